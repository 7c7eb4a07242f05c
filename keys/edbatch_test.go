package keys

import (
	"bytes"
	"crypto/sha512"
	"math/big"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// smallOrderEncodings are all encodings of points of small order that ZIP-215 accepts.
func smallOrderEncodings(tb testing.TB) (all [][]byte) {
	tb.Helper()
	data, err := os.ReadFile("testdata/zip215_small_order.txt")
	if err != nil {
		tb.Fatal(err)
	}
	for _, line := range strings.Fields(string(data)) {
		all = append(all, unhex(tb, line))
	}
	if len(all) != 14 {
		tb.Fatalf("%d encodings", len(all))
	}
	return all
}

// craftedEd returns a signature under secret·B plus one of the eight points of small order, with R the same of nonce. Those are added to what honest
// ones sign, so only verifiers with the cofactor accept it. If R is given, it stands for nonce·B instead, which may be an encoding of small order for nonce 0.
func craftedEd(tb testing.TB, secret, nonce uint64, keyOrder, rOrder int, r []byte, digest [DigestSize]byte) signed {
	tb.Helper()
	point := func(k *scalar.Scalar, order int) []byte {
		p := curve.NewEdwardsPoint().MulBasepoint(curve.ED25519_BASEPOINT_TABLE, k)
		p.Add(p, curve.EIGHT_TORSION[order])
		var y curve.CompressedEdwardsY
		y.SetEdwardsPoint(p)
		return y[:]
	}
	// Large numbers, so that no part of them is zero.
	spread := scalar.New().Invert(scalar.NewFromUint64(1234567))
	a := scalar.New().Mul(spread, scalar.NewFromUint64(secret))
	n := scalar.New().Mul(spread, scalar.NewFromUint64(nonce))
	key := unregistrable(tb, point(a, keyOrder))
	if r == nil {
		r = point(n, rOrder)
	}
	h := sha512.Sum512(slices.Concat(r, key.Bytes(), digest[:]))
	k, err := scalar.NewFromBytesModOrderWide(h[:])
	if err != nil {
		tb.Fatal(err)
	}
	s := scalar.New().Mul(k, a)
	s.Add(s, n)
	var b [32]byte
	if err := s.ToBytes(b[:]); err != nil {
		tb.Fatal(err)
	}
	return signed{key, digest, slices.Concat(r, b[:])}
}

// checkEdBatch holds a batch in lanes, one without and single verification against each other, and sees that a batch of valid signatures
// passes by its first equation.
func checkEdBatch(t *testing.T, all []signed) []error {
	t.Helper()
	b := NewBatch(len(all))
	verdicts := checkBatch(t, b, all)
	invalid := slices.ContainsFunc(verdicts, func(err error) bool { return err != nil })
	if haveLanes && !invalid && len(all) >= minTogether && len(all) <= maxEdBatch && b.ed.budget != (maxShare-1)*len(all) {
		t.Fatalf("%d valid signatures took more than one equation: budget %d", len(all), b.ed.budget)
	}
	if b.ed.budget < 0 {
		t.Fatalf("budget overdrawn: %d", b.ed.budget)
	}
	return verdicts
}

func TestEdBatchNasty(t *testing.T) {
	t.Parallel()
	order := unhex(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	s := sign(t, SchemeEd25519, 30, 5)
	r, sc := func(i int) []byte { return s[i].sig[:32:32] }, func(i int) []byte { return s[i].sig[32:] }
	with := func(i int, sig []byte) signed { return signed{s[i].pub, s[i].digest, sig} }
	minus := func(b []byte) []byte {
		k, err := scalar.NewFromCanonicalBytes(b)
		if err != nil {
			t.Fatal(err)
		}
		out := make([]byte, 32)
		_ = scalar.New().Neg(k).ToBytes(out)
		return out
	}
	flipped := slices.Clone(r(5))
	flipped[31] ^= 0x80
	cases := []struct {
		name  string
		wrong signed
		want  error
	}{
		{"R is not on the curve", with(0, append([]byte{2, 31: 0}, sc(0)...)), ErrSignature},
		{"R is y = p + 3, not on the curve", with(0, slices.Concat([]byte{0xf0}, bytes.Repeat([]byte{0xff}, 30), []byte{0x7f}, sc(0))), ErrSignature},
		{"R = 0", with(1, append(make([]byte, 32), sc(1)...)), ErrSignature},
		{"R negated", with(5, append(flipped, sc(5)...)), ErrSignature},
		{"s negated", with(6, append(r(6), minus(sc(6))...)), ErrSignature},
		{"both negated", with(5, append(flipped, minus(sc(5))...)), ErrSignature},
		{"s = order", with(7, append(r(7), order...)), ErrSignatureEncoding},
		{"s = 2^256 - 1", with(7, append(r(7), bytes.Repeat([]byte{0xff}, 32)...)), ErrSignatureEncoding},
		{"s = order - 1", with(7, append(r(7), minus(append([]byte{1}, make([]byte, 31)...))...)), ErrSignature},
		{"s = 0", with(8, append(r(8), make([]byte, 32)...)), ErrSignature},
		{"R of another", with(9, append(r(10), sc(9)...)), ErrSignature},
		{"s of another", with(9, append(r(9), sc(10)...)), ErrSignature},
		{"R is the key", with(11, append(s[11].pub.Bytes(), sc(11)...)), ErrSignature},
		{"another digest", signed{s[12].pub, s[13].digest, s[12].sig}, ErrSignature},
		{"another key", signed{s[13].pub, s[12].digest, s[12].sig}, ErrSignature},
		{"short", with(14, s[14].sig[:63]), ErrSignatureEncoding},
	}
	var wrong []signed
	for _, c := range cases {
		wrong = append(wrong, c.wrong)
		if got := c.wrong.pub.Verify(c.wrong.digest, c.wrong.sig); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		for _, at := range []int{0, 15, 30} {
			for i, err := range checkEdBatch(t, slices.Insert(slices.Clone(s), at, c.wrong)) {
				if (err != nil) != (i == at) {
					t.Fatalf("%s at %d: verdict %d is %v", c.name, at, i, err)
				}
			}
		}
	}
	checkEdBatch(t, wrong)
	checkEdBatch(t, slices.Concat(wrong, s, wrong, s))
}

// TestEdBatchErrorsThatCancel adds the same to one s as it takes from another under the same key.
func TestEdBatchErrorsThatCancel(t *testing.T) {
	t.Parallel()
	s := sign(t, SchemeEd25519, 16, 1)
	d := scalar.NewFromUint64(12345)
	for i, at := range []int{3, 11} {
		k, err := scalar.NewFromCanonicalBytes(s[at].sig[32:])
		if err != nil {
			t.Fatal(err)
		}
		if i == 1 {
			d.Neg(d)
		}
		_ = k.Add(k, d).ToBytes(s[at].sig[32:])
	}
	for i, err := range checkEdBatch(t, s) {
		if (i == 3 || i == 11) != (err != nil) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// TestEdBatchSizes verifies valid batches of all sizes, with all keys different, few, and one signature again and again.
func TestEdBatchSizes(t *testing.T) {
	t.Parallel()
	for _, keys := range []int{1, 8, 300} {
		s := sign(t, SchemeEd25519, 300, keys)
		for n := 1; n <= len(s); n += 1 + n/40*20 {
			for i, err := range checkEdBatch(t, s[:n]) {
				if err != nil {
					t.Fatalf("%d of %d under %d keys: %v", i, n, keys, err)
				}
			}
		}
	}
	s := sign(t, SchemeEd25519, 3, 2)
	for _, n := range []int{6, 100, maxEdBatch, maxEdBatch + 3, 2*maxEdBatch + 100} {
		var all []signed
		for i := range n {
			all = append(all, s[i%len(s)])
		}
		b := NewBatch(n)
		addAll(b, all)
		for i, err := range verifyBoth(t, b) {
			if err != nil {
				t.Fatalf("%d of %d: %v", i, n, err)
			}
		}
	}
}

// TestEdBatchSmallOrder verifies batches of signatures that only verifiers with ZIP-215's rules accept: keys and R with every part of small order,
// honestly signed otherwise, R of small order in every encoding, and every pair of such encodings as key and R.
func TestEdBatchSmallOrder(t *testing.T) {
	t.Parallel()
	var all []signed
	for i := range uint64(8) {
		for j := range 8 {
			all = append(all, craftedEd(t, 5+i%3, 100+i, int(i), j, nil, TaggedHash("test", []byte{byte(i), byte(j)})))
		}
	}
	for i, r := range smallOrderEncodings(t) {
		all = append(all, craftedEd(t, 5, 0, 0, 0, r, TaggedHash("test", []byte{byte(i)})), craftedEd(t, 6, 0, i%8, 0, r, TaggedHash("test", []byte{byte(i)})))
		for j, a := range smallOrderEncodings(t) {
			all = append(all, signed{unregistrable(t, a), TaggedHash("test", []byte{byte(i), byte(j)}), append(slices.Clone(r), make([]byte, 32)...)})
		}
	}
	random := rand.New(rand.NewPCG(11, 12))
	for round := range 30 {
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		part := slices.Clone(all[:1+random.IntN(len(all))])
		if round == 0 {
			part = slices.Clone(all)
		}
		wrong := map[int]bool{}
		for range round % 4 {
			i := random.IntN(len(part))
			if s := part[i]; !bytes.Equal(s.sig[32:], make([]byte, 32)) { // else it is valid for every digest
				s.digest[3] ^= 1
				part[i], wrong[i] = s, !wrong[i]
			}
		}
		for i, err := range checkEdBatch(t, part) {
			if wrong[i] != (err != nil) {
				t.Fatalf("round %d: %d of %d is %v", round, i, len(part), err)
			}
		}
	}
}

// TestWide holds sums of products against big integers.
func TestWide(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(13, 14))
	order, _ := new(big.Int).SetString("1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed", 16)
	word := func() uint64 { return []uint64{0, ^uint64(0), 1, r.Uint64()}[r.IntN(4)] }
	integer := func(k []uint64) *big.Int {
		sum := new(big.Int)
		for i := len(k) - 1; i >= 0; i-- {
			sum.Lsh(sum, 64)
			sum.Add(sum, new(big.Int).SetUint64(k[i]))
		}
		return sum
	}
	for range 2000 {
		w := wide{word(), word(), word(), word(), word(), word(), word(), r.Uint64() >> 1}
		want := integer(w[:])
		for range 1 + r.IntN(5) {
			a, k := half{hi: word(), lo: word()}, [4]uint64{word(), word(), word(), word()}
			w.addProduct(a, &k)
			want.Add(want, new(big.Int).Mul(integer([]uint64{a.lo, a.hi}), integer(k[:])))
		}
		if got := integer(w[:]); got.Cmp(want) != 0 {
			t.Fatalf("%x, want %x", got, want)
		}
		k := w.modL()
		if got := integer(k[:]); got.Cmp(want.Mod(want, order)) != 0 {
			t.Fatalf("%x modulo the order, want %x", got, want)
		}
	}
}

// FuzzEdBatch reads instructions: which valid signatures to craft, and what to break in them.
func FuzzEdBatch(f *testing.F) {
	small := smallOrderEncodings(f)
	f.Add(bytes.Repeat([]byte{1, 2, 3, 4, 0, 0}, 8))
	f.Add([]byte{0, 1, 0, 0, 0, 0, 1, 2, 1, 1, 0, 0, 2, 3, 2, 2, 0, 0, 3, 4, 3, 3, 0, 0, 4, 5, 4, 4, 0, 0, 5, 6, 5, 5, 0, 0, 6, 7, 6, 6, 3, 9})
	f.Add([]byte{1, 0, 0, 1, 0, 0, 1, 0, 0, 2, 0, 0, 1, 0, 0, 3, 0, 0, 1, 0, 0, 4, 0, 0, 1, 0, 0, 5, 0, 0, 1, 0, 0, 6, 1, 7, 2, 0, 0, 7, 2, 200})
	f.Fuzz(func(t *testing.T, program []byte) {
		var all []signed
		var broken []bool
		for ; len(program) >= 6 && len(all) < 24; program = program[6:] {
			c := program[:6]
			var r []byte
			if c[1] == 0 {
				r = small[int(c[3])%len(small)]
			}
			s := craftedEd(t, uint64(c[0]), uint64(c[1]), int(c[2]%8), int(c[3]%8), r, TaggedHash("test", []byte{c[2] >> 4}))
			before := slices.Clone(s.sig)
			switch c[4] % 5 {
			case 1:
				s.sig[c[5]%64] ^= 1 << (c[5] >> 6)
			case 2:
				s.digest[c[5]%32] ^= 1
			case 3:
				if len(all) > 0 {
					copy(s.sig[32:], all[int(c[5])%len(all)].sig[32:])
				}
			case 4:
				copy(s.sig, small[int(c[5])%len(small)])
			}
			all = append(all, s)
			broken = append(broken, c[4]%5 == 2 || !bytes.Equal(before, s.sig))
		}
		for i, err := range checkEdBatch(t, all) {
			if err != nil && !broken[i] {
				t.Fatalf("%d of %d, %v %x: %v", i, len(all), all[i].pub, all[i].sig, err)
			}
		}
	})
}
