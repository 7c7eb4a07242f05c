//go:build amd64 && !purego

package keys

import (
	"encoding/binary"
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

// checkEdField holds the arithmetic of Ed25519's field against big integers.
func checkEdField(t *testing.T, x, y *[2]lanes) {
	t.Helper()
	check := func(op string, z *lanes, i int, want *big.Int) {
		t.Helper()
		z.checkTight(t, op, i)
		want.Mod(want, bigEdPrime)
		if got := bigWords(z.canonical(i)); got.Cmp(want) != 0 {
			t.Fatalf("%s: element %d is %x, want %x", op, i, got, want)
		}
		if got := z.big(i); got.Mod(got, bigEdPrime).Cmp(want) != 0 {
			t.Fatalf("%s: element %d is %x before it is read, want %x", op, i, got, want)
		}
	}
	var product, square, cube [2]lanes
	mulLanes(&ed25519Lanes, &product, x, y)
	squareLanes(&ed25519Lanes, &square, x, 1)
	squareLanes(&ed25519Lanes, &cube, x, 3)
	inPlace := *x
	mulLanes(&ed25519Lanes, &inPlace, &inPlace, &inPlace)
	for h := range x {
		// Sums and differences are of tight elements.
		a, b := x[h], y[h]
		a.tighten()
		b.tighten()
		var sum, difference lanes
		sum.plus(&a, &b)
		difference.minus(&a, &b)
		for i := range 8 {
			a, b := x[h].big(i), y[h].big(i)
			check("mul", &product[h], i, new(big.Int).Mul(a, b))
			check("square", &square[h], i, new(big.Int).Mul(a, a))
			check("square three times", &cube[h], i, new(big.Int).Exp(a, big.NewInt(8), bigEdPrime))
			check("mul in place", &inPlace[h], i, new(big.Int).Mul(a, a))
			check("plus", &sum, i, new(big.Int).Add(a, b))
			check("minus", &difference, i, new(big.Int).Sub(a, b))
		}
	}
}

func TestEdFieldAgreesWithReference(t *testing.T) {
	t.Parallel()
	needLanes(t)
	eachNasty(func(x, y *[2]lanes) { checkEdField(t, x, y) })
	// Values around the multiples of the prime, the modulus and 2^256.
	var values []fe
	for _, m := range []*big.Int{new(big.Int), bigEdPrime, bigEdModulus, new(big.Int).Lsh(big.NewInt(1), 256), new(big.Int).Lsh(big.NewInt(1), 255)} {
		for d := int64(-40); d <= 40; d++ {
			v := new(big.Int).Add(m, big.NewInt(d))
			if v.Sign() < 0 || v.BitLen() > 256 {
				continue
			}
			var b [32]byte
			v.FillBytes(b[:])
			values = append(values, rawFe(&b))
		}
	}
	for i := range values {
		for j := 0; j < len(values); j += 16 {
			var x, y [2]lanes
			for k := range 16 {
				x[k/8].set(k%8, &values[i])
				y[k/8].set(k%8, &values[(j+k)%len(values)])
			}
			checkEdField(t, &x, &y)
		}
	}
}

func FuzzEdField(f *testing.F) {
	for _, a := range nastyLimbs {
		f.Add(binary.LittleEndian.AppendUint64(nil, a))
		f.Add(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, a), ^a))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		needLanes(t)
		if x, y, ok := limbsOf(data); ok {
			checkEdField(t, &x, &y)
		}
	})
}

// TestEdConstants compares constants that are computed with what RFC 8032 says.
func TestEdConstants(t *testing.T) {
	t.Parallel()
	needLanes(t)
	c := edConstant()
	d, _ := new(big.Int).SetString("37095705934669439343138083508754565189542113879843219016388785533085940283555", 10)
	for h := range 2 {
		for i := range 8 {
			root := bigWords(c.root[h].canonical(i))
			if bigWords(c.d[h].canonical(i)).Cmp(d) != 0 ||
				bigWords(c.twoD[h].canonical(i)).Cmp(new(big.Int).Mod(new(big.Int).Lsh(d, 1), bigEdPrime)) != 0 ||
				root.Mul(root, root).Add(root, big.NewInt(1)).Mod(root, bigEdPrime).Sign() != 0 {
				t.Fatalf("a constant is wrong in element %d of %d", i, h)
			}
		}
	}
	minus := edMinusBase()
	var p edLanes
	p.lane(0, &minus)
	var want curve.CompressedEdwardsY
	want.SetEdwardsPoint(curve.NewEdwardsPoint().Neg(curve.ED25519_BASEPOINT_POINT))
	if got := p.encode(t, 0); got != want {
		t.Fatalf("the negated base point is %x, want %x", got, want)
	}
}

// TestEdDecompress holds decompressing against the library for each y around the limits, with both signs, and for random ones.
func TestEdDecompress(t *testing.T) {
	t.Parallel()
	needLanes(t)
	var encoded [][32]byte
	for _, base := range []*big.Int{new(big.Int), bigEdPrime, new(big.Int).Lsh(big.NewInt(1), 255)} {
		for d := int64(-60); d <= 60; d++ {
			y := new(big.Int).Add(base, big.NewInt(d))
			if y.Sign() < 0 || y.BitLen() > 255 {
				continue
			}
			var b [32]byte
			y.FillBytes(b[:])
			slices.Reverse(b[:])
			encoded = append(encoded, b)
			b[31] |= 0x80
			encoded = append(encoded, b)
		}
	}
	for _, e := range smallOrderEncodings(t) {
		encoded = append(encoded, [32]byte(e))
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		var b [32]byte
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		encoded = append(encoded, b)
	}
	decodable := 0
	for n := 1; len(encoded) > 0; n = n%40 + 1 {
		part := encoded[:min(n, len(encoded))]
		encoded = encoded[len(part):]
		points, ok := make([]edPoint, len(part)), make([]bool, len(part))
		edDecompress(part, points, ok)
		for i := range part {
			var p curve.EdwardsPoint
			y := curve.CompressedEdwardsY(part[i])
			_, err := p.SetCompressedY(&y)
			if ok[i] != (err == nil) {
				t.Fatalf("%x is a point: %v, the library says %v", part[i], ok[i], err)
			}
			if err != nil {
				continue
			}
			decodable++
			var want curve.CompressedEdwardsY
			want.SetEdwardsPoint(&p)
			var sum edLanes
			sum.lane(0, &points[i])
			if got := sum.encode(t, 0); got != want {
				t.Fatalf("%x is decompressed as %x, want %x", part[i], got, want)
			}
			// The third coordinate, which sums alone would not tell.
			z := lanes{{points[i][10]}, {points[i][11]}, {points[i][12]}, {points[i][13]}, {points[i][14]}}
			xy := bigWords(sum[3].canonical(0))
			xy.Mul(xy, bigWords(edConstant().twoD[0].canonical(0))).Mod(xy, bigEdPrime)
			if got := bigWords(z.canonical(0)); got.Cmp(xy) != 0 {
				t.Fatalf("%x has 2dxy = %x, want %x", part[i], got, xy)
			}
		}
	}
	if decodable < 1000 {
		t.Fatalf("only %d points", decodable)
	}
}

// TestEdSums holds sums against the library: with all widths of windows, scalars around every limit, few and many points, equal ones, opposite
// ones and ones of small order.
func TestEdSums(t *testing.T) {
	t.Parallel()
	needLanes(t)
	r := rand.New(rand.NewPCG(5, 6))
	points, encoded := edPoints(t, 90, 2)
	for i := 60; i < len(points); i++ { // equal and opposite points
		points[i], encoded[i] = points[i%7], encoded[i%7]
		if i%2 == 0 {
			points[i] = curve.NewEdwardsPoint().Neg(points[i])
			var y curve.CompressedEdwardsY
			y.SetEdwardsPoint(points[i])
			encoded[i] = y
		}
	}
	var order [32]byte
	_ = scalar.BASEPOINT_ORDER.ToBytes(order[:])
	l := words(order[:])
	nasty := [][4]uint64{
		{}, {1}, {2}, {^uint64(0)}, {0, 1}, {0, 1 << 63}, {^uint64(0), ^uint64(0)}, {^uint64(0), ^uint64(0) >> 1}, {0, 0, 1}, {1, 0, 1},
		{l[0] - 1, l[1], l[2], l[3]}, {l[0] - 2, l[1], l[2], l[3]}, {0, 0, 0, 1 << 60}, {^uint64(0), ^uint64(0), ^uint64(0), 1<<60 - 1}, {0, 0, 0, 1 << 59},
		{0x8888888888888888, 0x8888888888888888, 0x8888888888888888, 0x0888888888888888}, {0x5555555555555555, 0x5555555555555555, 0x5555555555555555, 0x0555555555555555},
		{0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa, 0x0aaaaaaaaaaaaaaa},
	}
	random := func(short bool) (k [4]uint64) {
		if r.IntN(3) == 0 {
			k = nasty[r.IntN(len(nasty))]
		} else {
			k = [4]uint64{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64() >> 4}
		}
		if short {
			k[2], k[3] = 0, 0
		}
		return k
	}
	var m edSummer
	ok := make([]bool, len(encoded))
	m.decompress(encoded, ok)
	for width := minEdWidth; width <= maxEdWidth; width++ {
		for _, n := range []int{1, 2, 7, 8, 9, 40, 90} {
			for kind := range 4 {
				m.reset()
				want := curve.NewEdwardsPoint()
				for i := range n {
					k := random(i < n/2)
					if kind == 1 {
						k = nasty[(i+width)%len(nasty)] // with zeros, and short ones that come late
					}
					if kind == 2 {
						k = nasty[n%len(nasty)] // all in the same buckets
					}
					at := i
					if kind == 3 {
						at = 1 // the same point
					}
					m.add(at, k)
					want.Add(want, times(t, points[at], k))
				}
				k := random(false)
				m.addMinusBase(k)
				want.Sub(want, times(t, curve.ED25519_BASEPOINT_POINT, k))
				short, windows := edWindows(width)
				m.sum(width, short, windows)
				var y curve.CompressedEdwardsY
				y.SetEdwardsPoint(want)
				if got := m.s.p.encode(t, 0); got != y {
					t.Fatalf("width %d, %d points, kind %d: %x, want %x", width, n, kind, got, y)
				}
				if got := m.smallOrder(); got != want.IsSmallOrder() {
					t.Fatalf("width %d, %d points, kind %d: small order: %v", width, n, kind, got)
				}
			}
		}
	}
	// Sums of small order.
	for i, p := range points[:60] {
		m.reset()
		m.add(i, [4]uint64{3, 5})
		m.add(i, [4]uint64{4, 7})
		m.add(i, [4]uint64{l[0] - 7, l[1] - 12, l[2], l[3]})
		if !m.smallOrder() {
			t.Fatalf("the order times %x is not of small order", encoded[i])
		}
		m.add(i, [4]uint64{1})
		if m.smallOrder() != p.IsSmallOrder() {
			t.Fatalf("of small order, %x: %v", encoded[i], m.smallOrder())
		}
	}
}

// times returns k·p for an integer k below 2^255, not modulo the order: p may have a part of small order.
func times(t testing.TB, p *curve.EdwardsPoint, k [4]uint64) *curve.EdwardsPoint {
	t.Helper()
	var b [32]byte
	for i, word := range k {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	s, err := scalar.NewFromBits(b[:])
	if err != nil {
		t.Fatal(err)
	}
	return curve.NewEdwardsPoint().Mul(p, s)
}
