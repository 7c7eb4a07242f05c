package keys

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// add adds two 32-byte big-endian numbers modulo 2^256.
func add256(a, b []byte) []byte {
	out := make([]byte, 32)
	carry := 0
	for i := 31; i >= 0; i-- {
		sum := int(a[i]) + int(b[i]) + carry
		out[i], carry = byte(sum), sum>>8
	}
	return out
}

// verifyBoth verifies a batch in lanes, where the processor has them, and without, and expects the same of both.
func verifyBoth(t *testing.T, b *Batch) []error {
	t.Helper()
	verdicts := b.Verify()
	b.schnorr.msm.adder.plain, b.ecdsa.buckets.adder.plain, b.ed.plain = true, true, true
	plain := b.Verify()
	b.schnorr.msm.adder.plain, b.ecdsa.buckets.adder.plain, b.ed.plain = false, false, false
	for i := range verdicts {
		if verdicts[i] != plain[i] {
			t.Fatalf("signature %d of %d: %v in lanes, %v without", i, len(verdicts), verdicts[i], plain[i])
		}
	}
	return verdicts
}

// checkBatch holds a batch against single verification, and Schnorr verdicts against the library.
func checkBatch(t *testing.T, batch *Batch, all []signed) []error {
	t.Helper()
	batch.Reset()
	addAll(batch, all)
	if batch.Len() != len(all) {
		t.Fatalf("%d of %d are in the batch", batch.Len(), len(all))
	}
	verdicts := verifyBoth(t, batch)
	if len(verdicts) != len(all) {
		t.Fatalf("%d verdicts for %d signatures", len(verdicts), len(all))
	}
	for i, s := range all {
		if single := s.pub.Verify(s.digest, s.sig); verdicts[i] != single {
			t.Fatalf("signature %d of %d, %v %x: the batch says %v, single verification %v", i, len(all), s.pub, s.sig, verdicts[i], single)
		}
		checkFast(t, s.pub, s.digest, s.sig)
		if s.pub.Scheme() != SchemeSchnorr || errors.Is(verdicts[i], ErrSignatureEncoding) {
			continue
		}
		if ref := referenceSchnorr(s); ref != (verdicts[i] == nil) {
			t.Fatalf("signature %d of %d, %v %x: the batch says %v, the library %v", i, len(all), s.pub, s.sig, verdicts[i], ref)
		}
	}
	return verdicts
}

// referenceSchnorr is the verdict of btcec on a signature whose components are in range.
func referenceSchnorr(s signed) bool {
	pub, err := schnorr.ParsePubKey(s.pub.Bytes())
	if err != nil {
		return false
	}
	sig, err := schnorr.ParseSignature(s.sig)
	return err == nil && sig.Verify(s.digest[:], pub)
}

func TestBatchSizes(t *testing.T) {
	t.Parallel()
	batch := NewBatch(0)
	for _, scheme := range allSchemes {
		all := sign(t, scheme, 40, 7)
		for n := range len(all) {
			for i, err := range checkBatch(t, batch, all[:n]) {
				if err != nil {
					t.Fatalf("%v, %d of %d: %v", scheme, i, n, err)
				}
			}
		}
	}
}

// TestBatchNasty puts every kind of wrong signature we know among valid ones.
func TestBatchNasty(t *testing.T) {
	t.Parallel()
	order := unhex(t, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141")
	prime := unhex(t, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f")
	zero := make([]byte, 32)
	one := append(make([]byte, 31), 1)
	offCurve := unhex(t, "4a298dacae57395a15d0795ddbfd1dcb564da82b0f269bc70a74f8220429ba1d")
	s := sign(t, SchemeSchnorr, 30, 5)
	r, sc := func(i int) []byte { return s[i].sig[:32:32] }, func(i int) []byte { return s[i].sig[32:] }
	negated := func(i int) []byte {
		var k btcec.ModNScalar
		k.SetByteSlice(sc(i))
		k.Negate()
		b := k.Bytes()
		return b[:]
	}
	with := func(i int, sig []byte) signed { return signed{s[i].pub, s[i].digest, sig} }
	otherECDSA := sign(t, SchemeECDSA, 1, 1)[0]
	cases := []struct {
		name  string
		wrong signed
		want  error
	}{
		{"r is not on the curve", with(0, append(offCurve, sc(0)...)), ErrSignature},
		{"r = p", with(1, append(slices.Clone(prime), sc(1)...)), ErrSignatureEncoding},
		{"r = p + 1", with(1, append(add256(prime, one), sc(1)...)), ErrSignatureEncoding},
		{"r = 0", with(2, append(slices.Clone(zero), sc(2)...)), ErrSignature},
		{"r = 1", with(2, append(slices.Clone(one), sc(2)...)), ErrSignature},
		{"s = n", with(3, append(r(3), order...)), ErrSignatureEncoding},
		{"s = s + n or beyond", with(3, append(r(3), bytes.Repeat([]byte{0xff}, 32)...)), ErrSignatureEncoding},
		{"s = 0", with(4, append(r(4), zero...)), ErrSignature},
		{"s negated", with(5, append(r(5), negated(5)...)), ErrSignature},
		{"all zero", with(6, make([]byte, 64)), ErrSignature},
		{"r is the key", with(7, append(s[7].pub.Bytes(), sc(7)...)), ErrSignature},
		{"s of another", with(8, append(r(8), sc(9)...)), ErrSignature},
		{"r of another", with(8, append(r(9), sc(8)...)), ErrSignature},
		{"another digest", signed{s[10].pub, s[11].digest, s[10].sig}, ErrSignature},
		{"another key", signed{s[11].pub, s[10].digest, s[10].sig}, ErrSignature},
		{"empty", with(12, nil), ErrSignatureEncoding},
		{"short", with(12, s[12].sig[:63]), ErrSignatureEncoding},
		{"long", with(12, append(slices.Clone(s[12].sig), 0)), ErrSignatureEncoding},
		{"huge", with(12, make([]byte, 1<<16)), ErrSignatureEncoding},
		{"no key", signed{PublicKey{}, s[13].digest, s[13].sig}, ErrPublicKey},
		{"ecdsa as schnorr", signed{s[14].pub, s[14].digest, otherECDSA.sig}, ErrSignature},
	}
	batch := NewBatch(0)
	for _, c := range cases {
		if got := c.wrong.pub.Verify(c.wrong.digest, c.wrong.sig); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for _, at := range []int{0, 15, 30} {
			all := slices.Insert(slices.Clone(s), at, c.wrong)
			for i, err := range checkBatch(t, batch, all) {
				if (err != nil) != (i == at) {
					t.Fatalf("%s at %d: verdict %d is %v", c.name, at, i, err)
				}
			}
		}
	}
	var wrong []signed
	for _, c := range cases {
		wrong = append(wrong, c.wrong)
	}
	checkBatch(t, batch, wrong)
	checkBatch(t, batch, slices.Concat(wrong, s, wrong, s))
}

// TestBatchErrorsThatCancel adds the same to one s as it takes from another under the same key. A sum without
// coefficients would not notice.
func TestBatchErrorsThatCancel(t *testing.T) {
	t.Parallel()
	s := sign(t, SchemeSchnorr, 16, 1)
	shift := func(i int, negate bool) {
		var k, d btcec.ModNScalar
		k.SetByteSlice(s[i].sig[32:])
		d.SetInt(12345)
		if negate {
			d.Negate()
		}
		b := k.Add(&d).Bytes()
		copy(s[i].sig[32:], b[:])
	}
	shift(3, false)
	shift(11, true)
	for i, err := range checkBatch(t, NewBatch(0), s) {
		if (i == 3 || i == 11) != (err != nil) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// TestBatchRepeats verifies batches in which the same signature occurs many times, so that sums of points meet equal
// and opposite ones.
func TestBatchRepeats(t *testing.T) {
	t.Parallel()
	s := sign(t, SchemeSchnorr, 3, 1)
	for _, n := range []int{3, 10, 100, 1000} {
		var all []signed
		for i := range n {
			all = append(all, s[i%len(s)])
		}
		batch := NewBatch(n)
		addAll(batch, all)
		for i, err := range verifyBoth(t, batch) {
			if err != nil {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
		}
	}
}

// TestBatchMixed verifies batches of all schemes with random faults, again and again in one Batch.
func TestBatchMixed(t *testing.T) {
	t.Parallel()
	var all []signed
	for _, scheme := range allSchemes {
		all = append(all, sign(t, scheme, 60, 9)...)
	}
	r := rand.New(rand.NewPCG(7, 8))
	batch := NewBatch(10)
	for round := range 12 {
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		part := slices.Clone(all[:1+r.IntN(len(all))])
		wrong := map[int]bool{}
		for range round % 6 {
			i := r.IntN(len(part))
			if wrong[i] {
				continue
			}
			wrong[i] = true
			part[i].digest[0] ^= 1
		}
		for i, err := range checkBatch(t, batch, part) {
			if wrong[i] != (err != nil) {
				t.Fatalf("round %d: %d is %v", round, i, err)
			}
		}
	}
	batch.Reset()
	if batch.Len() != 0 || len(batch.Verify()) != 0 {
		t.Error("a reset batch is not empty")
	}
}

// TestBatchEquation checks that valid batches pass by their common equation, not by falling back to single
// verification, and that finding wrong signatures stays within its budget.
func TestBatchEquation(t *testing.T) {
	t.Parallel()
	s := sign(t, SchemeSchnorr, 200, 20)
	for n := minTogether; n <= len(s); n += 1 + n/70*40 { // all up to 70, then fewer
		for _, plain := range []bool{false, true} {
			b := NewBatch(n)
			b.schnorr.msm.adder.plain = plain
			addAll(b, s[:n])
			b.Verify()
			if b.schnorr.budget != (maxShare-1)*n {
				t.Errorf("%d valid signatures took more than one equation: budget %d (plain: %v)", n, b.schnorr.budget, plain)
			}
			if b.schnorr.terms[0].a == b.schnorr.terms[1].a {
				t.Error("coefficients repeat")
			}
		}
	}
	for i := range s {
		s[i].digest[0] ^= 1
	}
	b := NewBatch(len(s))
	addAll(b, s)
	for _, err := range b.Verify() {
		if err != ErrSignature {
			t.Fatal(err)
		}
	}
	if b.schnorr.budget < 0 {
		t.Errorf("budget overdrawn: %d", b.schnorr.budget)
	}
}

// TestSeedDependsOnEverything changes each part of a batch and expects other coefficients.
func TestSeedDependsOnEverything(t *testing.T) {
	t.Parallel()
	s := sign(t, SchemeSchnorr, 4, 4)
	seen := map[[32]byte]string{}
	check := func(name string, all []signed) {
		t.Helper()
		b := NewBatch(0)
		addAll(b, all)
		indices := make([]int, len(all))
		for i := range indices {
			indices[i] = i
		}
		seed := b.seed(&schnorrTag, indices)
		if other, found := seen[seed]; found {
			t.Errorf("%s and %s have the same seed", name, other)
		}
		seen[seed] = name
	}
	check("original", s)
	check("one less", s[:3])
	check("swapped", []signed{s[1], s[0], s[2], s[3]})
	for i := range s {
		for field := range 3 {
			all := slices.Clone(s)
			switch field {
			case 0:
				all[i].pub = mustGenerate(t, SchemeSchnorr, 200).Public()
			case 1:
				all[i].digest[31] ^= 1
			case 2:
				all[i].sig = slices.Clone(all[i].sig)
				all[i].sig[63] ^= 1
			}
			check(fmt.Sprintf("signature %d, field %d", i, field), all)
		}
	}
}

func FuzzVerify(f *testing.F) {
	for _, scheme := range allSchemes {
		s := sign(f, scheme, 1, 1)[0]
		f.Add(uint32(scheme), s.pub.Bytes(), s.digest[:], s.sig)
	}
	f.Fuzz(func(t *testing.T, scheme uint32, raw, message, sig []byte) {
		pub, err := ParsePublicKey(Scheme(scheme), raw)
		if err != nil {
			return
		}
		var digest [32]byte
		copy(digest[:], message)
		err = pub.Verify(digest, sig)
		if kind := ErrorKind(0); err != nil && (!errors.As(err, &kind) || kind == ErrPublicKey) {
			t.Fatalf("unexpected error %v", err)
		}
		checkFast(t, pub, digest, sig)
		if pub.Scheme() == SchemeSchnorr && !errors.Is(err, ErrSignatureEncoding) {
			if ref := referenceSchnorr(signed{pub, digest, sig}); ref != (err == nil) {
				t.Fatalf("%v, the library says %v", err, ref)
			}
		}
	})
}

// FuzzBatchAgreesWithSingle reads instructions: which signatures to take, what to overwrite in them.
func FuzzBatchAgreesWithSingle(f *testing.F) {
	var pool []signed
	for _, scheme := range allSchemes {
		pool = append(pool, sign(f, scheme, 8, 3)...)
	}
	special := [][]byte{
		make([]byte, 32),
		bytes.Repeat([]byte{0xff}, 32),
		unhex(f, "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"),
		unhex(f, "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"),
		unhex(f, "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
	}
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 5, 9})
	f.Add(binary.BigEndian.AppendUint64(nil, 0x0002030400030105))
	f.Add(bytes.Repeat([]byte{3, 0, 0, 0}, 20))
	f.Add([]byte{1, 3, 0, 2, 1, 3, 1, 3, 9, 4, 0, 0, 17, 1, 63, 1, 2, 0, 0, 0})
	f.Fuzz(func(t *testing.T, program []byte) {
		var all []signed
		for ; len(program) >= 4 && len(all) < 40; program = program[4:] {
			s := pool[int(program[0])%len(pool)]
			s.sig = slices.Clone(s.sig)
			at, value := int(program[2]), program[3]
			switch program[1] % 6 {
			case 1:
				s.sig[at%64] ^= value
			case 2:
				s.digest[at%32] ^= value
			case 3:
				copy(s.sig[32*(at%2):], special[int(value)%len(special)])
			case 4:
				copy(s.sig[32*(at%2):], pool[int(value)%len(pool)].sig[32*(at%2):][:32])
			case 5:
				s.pub = pool[int(value)%len(pool)].pub
			}
			all = append(all, s)
		}
		checkBatch(t, NewBatch(len(all)), all)
	})
}
