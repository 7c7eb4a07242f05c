//go:build amd64 && !purego

package keys

import (
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

var (
	bigEdPrime   = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	bigEdModulus = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(38))
)

// bigWords returns the integer of four words.
func bigWords(x [4]uint64) *big.Int {
	sum := new(big.Int)
	for k := 3; k >= 0; k-- {
		sum.Lsh(sum, 64)
		sum.Add(sum, new(big.Int).SetUint64(x[k]))
	}
	return sum
}

// edPoints returns n points of all kinds: multiples of the base point, the eight of small order, and sums of both, with their encodings.
func edPoints(tb testing.TB, n int, seed uint64) (points []*curve.EdwardsPoint, encoded [][32]byte) {
	tb.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	for i := range n {
		p := curve.NewEdwardsPoint()
		if i%3 != 0 {
			var b [64]byte
			for j := range b[:1+r.IntN(63)] {
				b[j] = byte(r.Uint32())
			}
			k, err := scalar.NewFromBytesModOrderWide(b[:])
			if err != nil {
				tb.Fatal(err)
			}
			p.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, k)
		}
		if i%3 != 1 {
			p.Add(p, curve.EIGHT_TORSION[r.IntN(8)])
		}
		var c curve.CompressedEdwardsY
		c.SetEdwardsPoint(p)
		points, encoded = append(points, p), append(encoded, c)
	}
	return points, encoded
}

// encode returns the encoding of element i of sums, or fails.
func (p *edLanes) encode(t testing.TB, i int) (b [32]byte) {
	t.Helper()
	x, y, z := bigWords(p[0].canonical(i)), bigWords(p[1].canonical(i)), bigWords(p[2].canonical(i))
	if z.Sign() == 0 {
		t.Fatalf("sum %d has z = 0", i)
	}
	product := new(big.Int).Mul(x, y)
	tz := new(big.Int).Mul(bigWords(p[3].canonical(i)), z)
	if product.Sub(product, tz).Mod(product, bigEdPrime).Sign() != 0 {
		t.Fatalf("sum %d has T ≠ XY/Z", i)
	}
	z.ModInverse(z, bigEdPrime)
	x.Mul(x, z).Mod(x, bigEdPrime)
	y.Mul(y, z).Mod(y, bigEdPrime)
	y.FillBytes(b[:])
	slices.Reverse(b[:])
	b[31] |= byte(x.Bit(0) << 7)
	return b
}

// lane puts a point for additions into element i, by what its coordinates are said to be.
func (p *edLanes) lane(i int, q *edPoint) {
	half := new(big.Int).ModInverse(big.NewInt(2), bigEdPrime)
	limb := func(k int) *big.Int {
		z := lanes{{q[k]}, {q[k+1]}, {q[k+2]}, {q[k+3]}, {q[k+4]}}
		return bigWords(z.canonical(0))
	}
	u, v := limb(0), limb(5)
	x := new(big.Int).Sub(u, v)
	y := new(big.Int).Add(u, v)
	x.Mul(x, half).Mod(x, bigEdPrime)
	y.Mul(y, half).Mod(y, bigEdPrime)
	for c, value := range []*big.Int{x, y, big.NewInt(1), new(big.Int).Mod(new(big.Int).Mul(x, y), bigEdPrime)} {
		var b [32]byte
		value.FillBytes(b[:])
		var f fe
		f.setBytes(b[:])
		p[c].set(i, &f)
	}
}

// TestEdPieces holds decompressing, adding, doubling, filling buckets and weighing them against the library, each alone.
func TestEdPieces(t *testing.T) {
	t.Parallel()
	needLanes(t)
	points, encoded := edPoints(t, 53, 1)
	var m edSummer
	ok := make([]bool, len(encoded))
	m.decompress(encoded, ok)
	compress := func(p *curve.EdwardsPoint) (c [32]byte) {
		var y curve.CompressedEdwardsY
		y.SetEdwardsPoint(p)
		return y
	}
	s := &m.s
	s.twoD = edConstant().twoD[0]
	for i := range points {
		if !ok[i] {
			t.Fatalf("%x is not on the curve", encoded[i])
		}
		l := i % 8
		s.p.lane(l, &m.points[edFirst+i])
		if got := s.p.encode(t, l); got != encoded[i] {
			t.Fatalf("%x is decompressed as %x", encoded[i], got)
		}
	}
	// Every pair.
	for i := range points {
		for at := 0; at < len(points); at += 8 {
			for l := range 8 {
				j := (at + l) % len(points)
				s.p.lane(l, &m.points[edFirst+i])
				s.q.lane(l, &m.points[edFirst+j])
			}
			addPointLanes(s)
			for l := range 8 {
				j := (at + l) % len(points)
				want := compress(curve.NewEdwardsPoint().Add(points[i], points[j]))
				if got := s.p.encode(t, l); got != want {
					t.Fatalf("%x + %x = %x, want %x", encoded[i], encoded[j], got, want)
				}
			}
			doublePointLanes(s, 3)
			for l := range 8 {
				j := (at + l) % len(points)
				sum := curve.NewEdwardsPoint().Add(points[i], points[j])
				want := compress(curve.NewEdwardsPoint().MulByCofactor(sum))
				if got := s.p.encode(t, l); got != want {
					t.Fatalf("8·(%x + %x) = %x, want %x", encoded[i], encoded[j], got, want)
				}
			}
		}
	}
}
