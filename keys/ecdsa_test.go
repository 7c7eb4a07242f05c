package keys

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// checkFast holds the fast verifiers of the secp256k1 schemes, with and without a table, against btcec's arithmetic. Verify
// alone would hide a valid signature that they refuse, because it asks btcec before it refuses.
func checkFast(t testing.TB, pub PublicKey, digest [DigestSize]byte, sig []byte) {
	t.Helper()
	if checkEncoding(pub.scheme, sig) != nil || pub.point == nil {
		return
	}
	s := (*[SignatureSize]byte)(sig)
	fast, confirm := verifyECDSA, confirmECDSA
	if pub.scheme == SchemeSchnorr {
		fast, confirm = verifySchnorr, confirmSchnorr
	}
	want := confirm(&pub, &digest, s)
	for _, p := range []PublicKey{pub, pub.Precomputed()} {
		if got := fast(&p, &digest, s); got != want {
			t.Fatalf("%v %x of %x: %v, btcec says %v (table: %v)", pub, sig, digest, got, want, p.table != nil)
		}
	}
}

// crafted returns a signature whose sum is u·G + v·P, which makes it valid, under the key of the secret. It reports false if
// there is none: the sum is infinity, or its x is zero modulo n.
func crafted(t testing.TB, secret, u, v *btcec.ModNScalar) (signed, bool) {
	t.Helper()
	var k btcec.ModNScalar
	k.Mul2(secret, v).Add(u)
	if k.IsZero() || v.IsZero() {
		return signed{}, false
	}
	var sum btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&k, &sum)
	return craftedFrom(secpKey(t, secret), &sum, u, v)
}

// craftedFrom is crafted for a key of which nobody needs to know the secret, given the sum.
func craftedFrom(pub PublicKey, sum *btcec.JacobianPoint, u, v *btcec.ModNScalar) (signed, bool) {
	var r, s btcec.ModNScalar
	sum.ToAffine()
	r.SetBytes(sum.X.Bytes())
	s.InverseValNonConst(v).Mul(&r)
	e := *new(btcec.ModNScalar).Mul2(u, &s)
	if s.IsOverHalfOrder() { // the negated s negates the sum, whose x stays
		s.Negate()
	}
	sig := make([]byte, SignatureSize)
	r.PutBytesUnchecked(sig[:32])
	s.PutBytesUnchecked(sig[32:])
	return signed{pub, e.Bytes(), sig}, !r.IsZero()
}

// TestECDSACrafted verifies signatures made to meet the exceptions: a digest of zero, keys ±G and ±λG, sums of equal points.
func TestECDSACrafted(t *testing.T) {
	t.Parallel()
	edges := edgeScalars()
	r := rand.New(rand.NewPCG(17, 18))
	for _, secret := range append(edges[1:9:9], randomScalar(r)) {
		for _, u := range edges {
			v := edges[r.IntN(len(edges))]
			s, ok := crafted(t, &secret, &u, &v)
			if !ok {
				continue
			}
			checkFast(t, s.pub, s.digest, s.sig)
			if err := s.pub.Verify(s.digest, s.sig); err != nil {
				t.Fatalf("secret %v, u %v, v %v: %v", secret, u, v, err)
			}
			s.digest[r.IntN(32)] ^= 1
			checkFast(t, s.pub, s.digest, s.sig)
			if err := s.pub.Verify(s.digest, s.sig); err != ErrSignature {
				t.Fatalf("secret %v, u %v, v %v, another digest: %v", secret, u, v, err)
			}
		}
	}
}

// TestECDSASideBySide verifies batches of signatures whose keys have tables, most of them made to meet the exceptions: keys ±G and
// ±λG, and the filler and its opposite, so that points of a level are equal or cancel. Every fourth is damaged.
func TestECDSASideBySide(t *testing.T) {
	t.Parallel()
	edges := edgeScalars()
	rnd := rand.New(rand.NewPCG(27, 28))
	var all []signed
	for _, secret := range append(edges[1:9:9], randomScalar(rnd)) {
		for _, u := range edges {
			if s, ok := crafted(t, &secret, &u, &edges[rnd.IntN(len(edges))]); ok {
				all = append(all, s)
			}
		}
	}
	for i, point := range filler() {
		for _, negative := range []bool{false, true} {
			if negative {
				point.y.neg(&point.y)
			}
			ref := refPoint(&point)
			pub, err := ParsePublicKey(SchemeECDSA, btcec.NewPublicKey(&ref.X, &ref.Y).SerializeCompressed())
			if err != nil {
				t.Fatal(err)
			}
			for k := range edges {
				u, v := edges[k], edges[(7*k+i)%len(edges)]
				if v.IsZero() {
					continue
				}
				var uG, vP, sum btcec.JacobianPoint
				btcec.ScalarBaseMultNonConst(&u, &uG)
				btcec.ScalarMultNonConst(&v, &ref, &vP)
				btcec.AddNonConst(&uG, &vP, &sum)
				if s, ok := craftedFrom(pub, &sum, &u, &v); ok {
					all = append(all, s)
				}
			}
		}
	}
	valid := sign(t, SchemeECDSA, 300, 20)
	all = append(all, valid...)
	for i := range all {
		if i%4 == 3 {
			all[i].digest[rnd.IntN(32)] ^= 1
		}
	}
	rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	precompute(all)
	batch := NewBatch(0)
	for first := 0; first < len(all); first += 200 {
		some := all[first:min(first+200, len(all))]
		batch.Reset()
		addAll(batch, some)
		for i, err := range verifyBoth(t, batch) {
			if want := confirmECDSA(&some[i].pub, &some[i].digest, (*[SignatureSize]byte)(some[i].sig)); want != (err == nil) {
				t.Fatalf("%v %x of %x: %v, btcec says %v", some[i].pub, some[i].sig, some[i].digest, err, want)
			}
		}
	}

	// What is valid comes out right in lanes: Verify would hide that it was confirmed.
	if !haveLanes {
		return
	}
	valid = sign(t, SchemeECDSA, 300, 20)
	precompute(valid)
	for _, n := range []int{minTabled, minTabled + 1, 63, 64, 65, maxTabled, maxTabled + 1, 300} {
		batch.Reset()
		addAll(batch, valid[:n])
		for _, err := range batch.Verify() {
			if err != nil {
				t.Fatal(err)
			}
		}
		b := &batch.ecdsa
		first := (n - 1) / maxTabled * maxTabled
		if len(b.left) != n-first {
			t.Fatalf("%d of the last %d valid signatures met infinity", n-first-len(b.left), n-first)
		}
		for j := range n - first {
			var p jacobian
			p.setAffine(&b.buckets.points[b.buckets.next+2*j])
			if !isECDSASum(&p, (*[SignatureSize]byte)(valid[first+j].sig)) {
				t.Fatalf("the sum of signature %d of %d is wrong", first+j, n)
			}
		}
	}
}

// TestECDSAInfinity verifies signatures whose sum is infinity.
func TestECDSAInfinity(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(19, 20))
	for range 20 {
		secret, r, s := randomScalar(rnd), randomScalar(rnd), randomScalar(rnd)
		if s.IsOverHalfOrder() {
			s.Negate()
		}
		// e·G + r·P = infinity
		e := *new(btcec.ModNScalar).Mul2(&secret, &r)
		e.Negate()
		sig := make([]byte, SignatureSize)
		r.PutBytesUnchecked(sig[:32])
		s.PutBytesUnchecked(sig[32:])
		pub := secpKey(t, &secret)
		checkFast(t, pub, e.Bytes(), sig)
		if err := pub.Verify(e.Bytes(), sig); err != ErrSignature {
			t.Fatal(err)
		}
	}
}

// TestECDSAOverOrder verifies signatures whose sum has an x at or above n, where r is x - n.
func TestECDSAOverOrder(t *testing.T) {
	t.Parallel()
	found := 0
	for d := uint32(1); found < 20; d++ {
		var r, s, e btcec.ModNScalar
		r.SetInt(d)
		small := ownScalar(&r)
		x, below := addOrder(&small)
		var point affine
		if !below || !point.lift(&x, d%2 == 0) {
			continue
		}
		found++
		s.SetInt(1000 + d)
		e.SetInt(7 * d)
		// The key under which it is valid: (s·R - e·G)/r.
		ref := refPoint(&point)
		var sR, eG, sum, key btcec.JacobianPoint
		btcec.ScalarMultNonConst(&s, &ref, &sR)
		btcec.ScalarBaseMultNonConst(new(btcec.ModNScalar).NegateVal(&e), &eG)
		btcec.AddNonConst(&sR, &eG, &sum)
		sum.ToAffine()
		btcec.ScalarMultNonConst(new(btcec.ModNScalar).InverseValNonConst(&r), &sum, &key)
		key.ToAffine()
		pub, err := ParsePublicKey(SchemeECDSA, btcec.NewPublicKey(&key.X, &key.Y).SerializeCompressed())
		if err != nil {
			t.Fatal(err)
		}
		sig := make([]byte, SignatureSize)
		r.PutBytesUnchecked(sig[:32])
		s.PutBytesUnchecked(sig[32:])
		checkFast(t, pub, e.Bytes(), sig)
		if err := verifyBothWays(t, pub, e.Bytes(), sig); err != nil {
			t.Fatalf("r = %d: %v", d, err)
		}
		// The same r for a sum with the x that r is itself is another signature, and r + 1 is none.
		binary.BigEndian.PutUint32(sig[28:], d+1)
		checkFast(t, pub, e.Bytes(), sig)
		if err := verifyBothWays(t, pub, e.Bytes(), sig); err != ErrSignature {
			t.Fatalf("r = %d + 1: %v", d, err)
		}
	}
}

// FuzzECDSA crafts a valid signature from three scalars and changes one of its bytes.
func FuzzECDSA(f *testing.F) {
	for i, k := range edgeScalars() {
		b := k.Bytes()
		f.Add(b[:], b[:], b[:], uint8(i), uint8(i%2))
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte, at, flip uint8) {
		var secret, u, v btcec.ModNScalar
		secret.SetByteSlice(a)
		u.SetByteSlice(b)
		v.SetByteSlice(c)
		if secret.IsZero() {
			return
		}
		s, ok := crafted(t, &secret, &u, &v)
		if !ok {
			return
		}
		if err := s.pub.Verify(s.digest, s.sig); err != nil {
			t.Fatal(err)
		}
		checkFast(t, s.pub, s.digest, s.sig)
		if at < 64 {
			s.sig[at] ^= flip
		} else {
			s.digest[at%32] ^= flip
		}
		checkFast(t, s.pub, s.digest, s.sig)
		checkBatch(t, NewBatch(0), []signed{s, s})
	})
}

// TestVerifyAllocations: verification allocates nothing, with a table or without, but for the big integers of one inversion for
// a single ECDSA signature, or for all of a batch.
func TestVerifyAllocations(t *testing.T) {
	const inversion = 13
	for _, c := range []struct {
		scheme Scheme
		most   float64
	}{{SchemeSchnorr, 0}, {SchemeECDSA, inversion}} {
		s := sign(t, c.scheme, 1, 1)[0]
		for _, pub := range []PublicKey{s.pub, s.pub.Precomputed()} {
			if n := testing.AllocsPerRun(50, func() { _ = pub.Verify(s.digest, s.sig) }); n > c.most {
				t.Errorf("%v (table: %v): %v allocations, at most %v", c.scheme, pub.table != nil, n, c.most)
			}
		}
	}
	all := sign(t, SchemeECDSA, 100, 5)
	batch := NewBatch(len(all))
	const own = 1 + 8 // the verdicts, and the indices as they grow
	if n := testing.AllocsPerRun(10, func() {
		batch.Reset()
		addAll(batch, all)
		batch.Verify()
	}); n > inversion+own {
		t.Errorf("%v allocations for a batch, at most %v", n, inversion+own)
	}
}
