package keys

import (
	"crypto/rand"
	mrand "math/rand/v2"
	"testing"
)

// TestVerdictsAgree compares the verdicts of single verification, with and without a table, of batches with and without
// tables, mixed and shuffled, and of the reference, on signatures that are right, damaged in each part, or exchanged.
func TestVerdictsAgree(t *testing.T) {
	t.Parallel()
	r := mrand.New(mrand.NewPCG(1, 2))
	type item struct {
		pub    PublicKey
		digest [DigestSize]byte
		sig    []byte
	}
	var pool []PrivateKey
	for i := range 12 {
		k, err := Generate([]Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519}[i%3], rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		pool = append(pool, k)
	}
	for range 25 {
		var items []item
		for range r.IntN(120) {
			k := pool[r.IntN(len(pool))]
			var it item
			it.pub = k.Public()
			for i := range it.digest {
				it.digest[i] = byte(r.Uint32())
			}
			switch r.IntN(8) {
			case 0:
				it.digest = [DigestSize]byte{}
			case 1: // above the order
				for i := range it.digest {
					it.digest[i] = 0xff
				}
			}
			sig, err := k.Sign(it.digest)
			if err != nil {
				t.Fatal(err)
			}
			it.sig = sig
			switch r.IntN(12) {
			case 0:
				it.sig[r.IntN(64)] ^= 1 << r.IntN(8)
			case 1:
				it.digest[r.IntN(32)] ^= 1 << r.IntN(8)
			case 2:
				it.pub = pool[r.IntN(len(pool))].Public()
			case 3:
				clear(it.sig[:32])
			case 4:
				clear(it.sig[32:])
			case 5: // r := r + n or beyond, s := 0xff..
				for i := range 16 {
					it.sig[i] = 0xff
				}
			case 6:
				if len(items) > 0 {
					it.sig = items[0].sig
				}
			}
			items = append(items, it)
		}
		plain, tabled := NewBatch(0), NewBatch(0)
		for i, it := range items {
			plain.Add(it.pub, it.digest, it.sig)
			if i%2 == 0 {
				it.pub = it.pub.Precomputed()
			}
			tabled.Add(it.pub, it.digest, it.sig)
		}
		a, b := verifyBoth(t, plain), verifyBoth(t, tabled)
		for i, it := range items {
			single, withTable := it.pub.Verify(it.digest, it.sig), it.pub.Precomputed().Verify(it.digest, it.sig)
			if single != a[i] || single != b[i] || single != withTable {
				t.Fatalf("%v: single %v, table %v, batch %v, batch with tables %v", it.pub, single, withTable, a[i], b[i])
			}
			checkFast(t, it.pub, it.digest, it.sig)
		}
	}
}
