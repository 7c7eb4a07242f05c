//go:build amd64 && !purego

package keys

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"math/rand/v2"
	"slices"
	"testing"
)

// needLanes skips a test on a processor that has nothing to test.
func needLanes(tb testing.TB) {
	tb.Helper()
	if !haveLanes {
		tb.Skip("this processor has no AVX-512 IFMA")
	}
}

var bigPrime, _ = new(big.Int).SetString("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f", 16)

// big returns element i as an integer, not reduced.
func (z *lanes) big(i int) *big.Int {
	sum := new(big.Int)
	for k := 4; k >= 0; k-- {
		sum.Lsh(sum, 52)
		sum.Add(sum, new(big.Int).SetUint64(z[k][i]))
	}
	return sum
}

// checkTight fails if element i is not tight.
func (z *lanes) checkTight(t *testing.T, op string, i int) {
	t.Helper()
	for k := range 4 {
		if z[k][i] > limb52 {
			t.Fatalf("%s: limb %d of element %d is %#x", op, k, i, z[k][i])
		}
	}
	if z[4][i] >= 1<<48+1<<4 {
		t.Fatalf("%s: the last limb of element %d is %#x", op, i, z[4][i])
	}
}

// checkElement fails if element i is not tight or stands for something else than want.
func (z *lanes) checkElement(t *testing.T, op string, i int, want *big.Int) {
	t.Helper()
	z.checkTight(t, op, i)
	want = new(big.Int).Mod(want, bigPrime)
	if got := new(big.Int).Mod(z.big(i), bigPrime); got.Cmp(want) != 0 {
		t.Fatalf("%s: element %d is %x, want %x", op, i, got, want)
	}
	x := z.get(i)
	if b := x.bytes(); new(big.Int).SetBytes(b[:]).Cmp(want) != 0 {
		t.Fatalf("%s: element %d is read as %x, want %x", op, i, b, want)
	}
}

// checkLanes holds every operation on the elements of x and y against big integers and fe.
func checkLanes(t *testing.T, x, y *[2]lanes) {
	t.Helper()
	var product, square, cube [2]lanes
	mulLanes(&secp256k1Lanes, &product, x, y)
	squareLanes(&secp256k1Lanes, &square, x, 1)
	squareLanes(&secp256k1Lanes, &cube, x, 3)
	inPlace := *x
	mulLanes(&secp256k1Lanes, &inPlace, &inPlace, &inPlace)
	for h := range x {
		for i := range 8 {
			a, b := x[h].big(i), y[h].big(i)
			product[h].checkElement(t, "mul", i, new(big.Int).Mul(a, b))
			square[h].checkElement(t, "square", i, new(big.Int).Mul(a, a))
			cube[h].checkElement(t, "square three times", i, new(big.Int).Exp(a, big.NewInt(8), bigPrime))
			inPlace[h].checkElement(t, "mul in place", i, new(big.Int).Mul(a, a))

			fa, fb := x[h].get(i), y[h].get(i)
			var want fe
			want.mul(&fa, &fb)
			if got := product[h].get(i); !got.equal(&want) {
				t.Fatalf("mul: element %d is %x, fe says %x", i, got.bytes(), want.bytes())
			}
			var back lanes
			back.set(i, &fa)
			if got := back.get(i); got != fa {
				t.Fatalf("%x is read as %x", fa, got)
			}
		}
	}
}

// nastyLimbs are limbs at the limits of what a multiplication takes, what it leaves, and what carries.
var nastyLimbs = []uint64{0, 1, limb52, limb52 - 1, 1<<48 - 1, 1 << 48, 1<<48 + 15, 1 << 51, 1<<51 - 1, 1 << 32, 1<<52 - foldC, 1<<52 - 16*foldC, foldC, 16 * foldC, 1<<52 - 38, 1<<52 - 608, 19, 608}

// eachNasty calls check with elements of nasty and of random limbs.
func eachNasty(check func(x, y *[2]lanes)) {
	// All limbs from the list, each value in each of the sixteen places beside all others.
	r := rand.New(rand.NewPCG(21, 22))
	var x, y [2]lanes
	fill := func(z *[2]lanes, limb func() uint64) {
		for h := range z {
			for k := range z[h] {
				for i := range z[h][k] {
					z[h][k][i] = limb()
				}
			}
		}
	}
	for _, a := range nastyLimbs {
		for _, b := range nastyLimbs {
			fill(&x, func() uint64 { return a })
			fill(&y, func() uint64 { return b })
			check(&x, &y)
		}
	}
	nasty := func() uint64 { return nastyLimbs[r.IntN(len(nastyLimbs))] }
	random := func() uint64 { return r.Uint64() & limb52 }
	for range 2000 {
		fill(&x, nasty)
		fill(&y, nasty)
		check(&x, &y)
		fill(&y, random)
		check(&x, &y)
		fill(&x, random)
		check(&x, &y)
	}
}

func TestLanesAgreeWithReference(t *testing.T) {
	t.Parallel()
	needLanes(t)
	eachNasty(func(x, y *[2]lanes) { checkLanes(t, x, y) })
	var x, y [2]lanes
	// The values that are nasty for fe: 0, p, p-1, 2^256-1 and their neighbours.
	var values []fe
	for _, b := range nastyFields() {
		values = append(values, rawFe(&b))
	}
	for i := range values {
		for j := 0; j < len(values); j += 16 {
			for k := range 16 {
				x[k/8].set(k%8, &values[i])
				y[k/8].set(k%8, &values[(j+k)%len(values)])
			}
			checkLanes(t, &x, &y)
		}
	}
}

func FuzzLanes(f *testing.F) {
	for _, a := range nastyLimbs {
		f.Add(binary.LittleEndian.AppendUint64(nil, a))
		f.Add(binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, a), ^a))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		needLanes(t)
		if x, y, ok := limbsOf(data); ok {
			checkLanes(t, &x, &y)
		}
	})
}

// limbsOf returns elements whose limbs are the data, repeated. It reports false if there is too little.
func limbsOf(data []byte) (x, y [2]lanes, ok bool) {
	if len(data) < 8 {
		return x, y, false
	}
	at := 0
	for _, z := range []*[2]lanes{&x, &y} {
		for h := range z {
			for i := range 8 {
				for k := range z[h] {
					var b [8]byte
					for j := range b {
						b[j] = data[at%len(data)]
						at++
					}
					z[h][k][i] = binary.LittleEndian.Uint64(b[:]) & limb52
				}
			}
		}
	}
	return x, y, true
}

// checkAdditions adds the pairs in lanes and without and reports whether lanes did it.
func checkAdditions(t *testing.T, points []affine, list *pairs) bool {
	t.Helper()
	lanes, plain := adder{}, adder{plain: true}
	a, b, c := slices.Clone(points), slices.Clone(points), slices.Clone(points)
	var direct laneAdder
	done := direct.add(c, list)
	goneA, goneB := lanes.add(a, list), plain.add(b, list)
	if !slices.Equal(goneA, goneB) {
		t.Fatalf("%d additions: infinity at %v in lanes, at %v without", list.len(), goneA, goneB)
	}
	for i := range a {
		if !a[i].x.equal(&b[i].x) || !a[i].y.equal(&b[i].y) {
			t.Fatalf("%d additions: place %d is %x, %x in lanes, %x, %x without", list.len(), i, a[i].x.bytes(), a[i].y.bytes(), b[i].x.bytes(), b[i].y.bytes())
		}
	}
	if done && !slices.Equal(a, c) || !done && !slices.Equal(points, c) {
		t.Fatalf("%d additions: lanes left something else", list.len())
	}
	return done
}

// neighbours are the pairs of a round of one bucket that begins at the first place.
func neighbours(n int) *pairs {
	var list pairs
	for i := range uint32(n) {
		list.add(2*i, 2*i+1, i)
	}
	return &list
}

// TestLaneAdditions adds points and what is none, since the formula of different x does not ask, with nasty coordinates, with sums whose x
// or y is at the edges of reduction, and pairs that go here and there.
func TestLaneAdditions(t *testing.T) {
	t.Parallel()
	needLanes(t)
	r := rand.New(rand.NewPCG(25, 26))
	var values []fe
	for _, b := range nastyFields() {
		values = append(values, rawFe(&b))
	}
	value := func() fe {
		if r.IntN(2) == 0 {
			return values[r.IntN(len(values))]
		}
		return fe{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
	}
	// between returns a point whose sum with p has the wanted x and, if the slope is not zero, the wanted y.
	between := func(p *affine, slope, x *fe) (q affine) {
		q.x.square(slope)
		q.x.sub(&q.x, &p.x)
		q.x.sub(&q.x, x)
		q.y.sub(&q.x, &p.x)
		q.y.mul(&q.y, slope)
		q.y.add(&q.y, &p.y)
		return q
	}
	for n := range 71 {
		for range 40 {
			points := make([]affine, 2*n)
			for i := 0; i < 2*n; i += 2 {
				points[i] = affine{value(), value()}
				for {
					points[i+1] = affine{value(), value()}
					if r.IntN(2) == 0 {
						slope, x := value(), value()
						if r.IntN(2) == 0 {
							slope = fe{uint64(r.IntN(4))}
						}
						points[i+1] = between(&points[i], &slope, &x)
					}
					if !points[i].x.equal(&points[i+1].x) {
						break
					}
				}
			}
			list := neighbours(n)
			if r.IntN(2) == 0 {
				for i, k := range r.Perm(n) {
					p, q := uint32(2*k), uint32(2*k+1)
					if r.IntN(2) == 0 {
						p, q = q, p
					}
					list.p[i], list.q[i], list.to[i] = p|r.Uint32()&refNegative, q|r.Uint32()&refNegative, p
				}
			}
			if done := checkAdditions(t, points, list); done != (n >= minPairs) {
				t.Fatalf("%d additions in lanes: %v", n, done)
			}
		}
	}
}

// TestLaneExceptions forces equal and opposite points, in both representations of a coordinate where it has two, into every place of
// sums of all sizes.
func TestLaneExceptions(t *testing.T) {
	t.Parallel()
	needLanes(t)
	// Multiples of G, all different, and a point with a small x, which p can be added to.
	var points []affine
	var sum jacobian
	for range 140 {
		sum.addAffine(&generator)
		var inv, zz fe
		inv.invert(&sum.z)
		zz.square(&inv)
		var p affine
		p.x.mul(&sum.x, &zz)
		p.y.mul(&sum.y, &zz)
		p.y.mul(&p.y, &inv)
		points = append(points, p)
	}
	var small affine
	if !small.lift(&feOne, false) {
		t.Fatal("no point has x = 1")
	}
	unreduced := small
	for i, limb := range (fe{1<<64 - foldC, ^uint64(0), ^uint64(0), ^uint64(0)}) { // p
		unreduced.x[i] += limb
	}
	minus := func(p affine) affine {
		p.y.neg(&p.y)
		return p
	}
	kinds := [][2]affine{
		{points[0], points[0]}, {points[1], minus(points[1])}, {small, unreduced}, {unreduced, small}, {minus(small), unreduced}, {unreduced, unreduced},
	}
	for n := 1; n <= 70; n++ {
		if n > 34 && n < 60 {
			continue
		}
		for at := range n {
			for _, kind := range kinds {
				all := slices.Clone(points[:2*n])
				all[2*at], all[2*at+1] = kind[0], kind[1]
				for marks := range 4 {
					list := neighbours(n)
					list.p[at] |= uint32(marks&1) << 31
					list.q[at] |= uint32(marks>>1) << 31
					if checkAdditions(t, all, list) {
						t.Fatalf("lanes did not notice an exception at %d of %d", at, n)
					}
				}
			}
		}
		all := slices.Clone(points[:2*n])
		for i := range n {
			kind := kinds[i%len(kinds)]
			all[2*i], all[2*i+1] = kind[0], kind[1]
		}
		checkAdditions(t, all, neighbours(n))
	}
}

func FuzzLaneAdditions(f *testing.F) {
	for _, b := range nastyFields()[:20] {
		f.Add(b[:])
	}
	f.Add(bytes.Repeat([]byte{0xff}, 31))
	f.Fuzz(func(t *testing.T, data []byte) {
		needLanes(t)
		if len(data) < 8 {
			return
		}
		// The data, repeated, are the coordinates of 24 additions.
		points := make([]affine, 48)
		at := 0
		next := func(z *fe) {
			var b [32]byte
			for i := range b {
				b[i] = data[at%len(data)]
				at++
			}
			*z = rawFe(&b)
		}
		for i := range points {
			next(&points[i].x)
			next(&points[i].y)
			if points[i].y.isZero() { // no point has such a y, and doubling would divide by it
				points[i].y = feOne
			}
			at += i / 8
		}
		list := neighbours(24)
		for i := range list.p {
			list.p[i] |= uint32(data[i%len(data)]) << 31
			list.q[i] |= uint32(data[i%len(data)]>>1) << 31
		}
		checkAdditions(t, points, list)
	})
}

func BenchmarkLanes(b *testing.B) {
	needLanes(b)
	var x, y [2]lanes
	for h := range x {
		for i := range 8 {
			x[h].set(i, &generator.x)
			y[h].set(i, &generator.y)
		}
	}
	each := func(b *testing.B, n int) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*16*n), "ns/each")
	}
	b.Run("mul", func(b *testing.B) {
		for b.Loop() {
			mulLanes(&secp256k1Lanes, &x, &x, &y)
		}
		each(b, 1)
	})
	b.Run("square", func(b *testing.B) {
		for b.Loop() {
			squareLanes(&secp256k1Lanes, &x, &x, 100)
		}
		each(b, 100)
	})
}
