//go:build !purego

package keys

import (
	"encoding/binary"
	"math/bits"
	"sync"
)

// ed25519Lanes makes lanes elements of Ed25519's field, the integers modulo 2^255 - 19. Arithmetic keeps them modulo twice
// that, 2^256 - 38; only comparing and encoding reduce them further.
var ed25519Lanes = laneField{limb52, 1<<48 - 1, 16 * 38, 38}

// canonical returns element i of Ed25519's field, a tight one, reduced.
func (z *lanes) canonical(i int) (x [4]uint64) {
	x = [4]uint64{z[0][i] | z[1][i]<<52, z[1][i]>>12 | z[2][i]<<40, z[2][i]>>24 | z[3][i]<<28, z[3][i]>>36 | z[4][i]<<16}
	addSmall(&x, z[4][i]>>48*38) // nothing much is above 2^256, or beside it
	const low63 = 1<<63 - 1
	top := x[3] >> 63
	x[3] &= low63
	addSmall(&x, 19*top) // below 2^255 + 19
	y := x
	addSmall(&y, 19)
	if y[3]>>63 == 1 {
		x = y
		x[3] &= low63
	}
	return x
}

// addSmall adds k to x, modulo 2^256.
func addSmall(x *[4]uint64, k uint64) {
	var c uint64
	x[0], c = bits.Add64(x[0], k, 0)
	x[1], c = bits.Add64(x[1], 0, c)
	x[2], c = bits.Add64(x[2], 0, c)
	x[3], _ = bits.Add64(x[3], 0, c)
}

// pass passes on the carries of all limbs.
func (z *lanes) pass() {
	for k := range 4 {
		for i := range 8 {
			z[k+1][i] += z[k][i] >> 52
			z[k][i] &= limb52
		}
	}
}

// tighten makes what has limbs below 2^55 tight.
func (z *lanes) tighten() {
	for i := range 8 {
		z[0][i] += z[4][i] >> 48 * 38
		z[4][i] &= 1<<48 - 1
	}
	z.pass()
}

// plus sets z = x + y, tight elements all of them.
func (z *lanes) plus(x, y *lanes) {
	for k := range z {
		for i := range 8 {
			z[k][i] = x[k][i] + y[k][i]
		}
	}
	z.tighten()
}

// minus sets z = x - y, tight elements all of them.
func (z *lanes) minus(x, y *lanes) {
	twice := [5]uint64{1<<53 - 76, 1<<53 - 2, 1<<53 - 2, 1<<53 - 2, 1<<49 - 2}
	for k := range z {
		for i := range 8 {
			z[k][i] = x[k][i] + twice[k] - y[k][i]
		}
	}
	z.tighten()
}

// all makes every element the same.
func (z *lanes) all(x fe) {
	for i := range 8 {
		z.set(i, &x)
	}
}

// edIdentity is the neutral point.
var edIdentity = edPoint{0: 1, 5: 1}

// edSum is a sum of points: the limbs of X, Y, Z and T, with x = X/Z, y = Y/Z, T = XY/Z, and four words that nobody reads.
type edSum [24]uint64

// edLanes are eight sums of points.
type edLanes [4]lanes

// edScratch is what the functions on points work in: p is what they change, q what is added to it.
type edScratch struct {
	p, q edLanes
	_    lanes
	twoD lanes
	sum  edLanes
}

// bucketLanes sums points in groups of eight buckets, side by side. refs has the places of points, eight for each step of each group, the marked ones to be
// subtracted; steps has the number of steps of each group, at least one; to has the places of the sums.
//
//go:noescape
func bucketLanes(points *edPoint, refs, steps, to *uint32, groups int, sums *edSum, s *edScratch)

// weighLanes adds Σ d·B(d) to s.sum, side by side for eight windows, whose sums B(1) to B(digits) begin stride bytes apart. It leaves
// p as nobody needs it, and expects the identity there.
//
//go:noescape
func weighLanes(sums *edSum, digits, stride int, s *edScratch)

// addPointLanes sets p = p + q.
//
//go:noescape
func addPointLanes(s *edScratch)

// doublePointLanes sets p = 2^n·p, n > 0.
//
//go:noescape
func doublePointLanes(s *edScratch, n int)

// identity makes all sums the identity.
func (p *edLanes) identity() {
	*p = edLanes{}
	p[1].all(feOne)
	p[2].all(feOne)
}

// edConstants are what decompressing multiplies by: d, 2d, and a square root of -1.
type edConstants struct{ d, twoD, root [2]lanes }

// newEdConstants computes them: d = -121665/121666, and 2^((p-1)/4) is a root, because 2 is no square.
func newEdConstants() *edConstants {
	c := new(edConstants)
	var n, m, inv, t [2]lanes
	for h := range 2 {
		n[h].all(fe{121665})
		n[h].minus(&lanes{}, &n[h])
		m[h].all(fe{121666})
		t[h].all(fe{2})
	}
	// 1/m = m^(p-2) = (m^(2^252-3))^8·m^3, and (p-1)/4 = 2·(2^252-3) + 1.
	edPower(&inv, &m)
	squareLanes(&ed25519Lanes, &inv, &inv, 3)
	for range 3 {
		mulLanes(&ed25519Lanes, &inv, &inv, &m)
	}
	mulLanes(&ed25519Lanes, &c.d, &n, &inv)
	edPower(&c.root, &t)
	squareLanes(&ed25519Lanes, &c.root, &c.root, 1)
	mulLanes(&ed25519Lanes, &c.root, &c.root, &t)
	for h := range 2 {
		c.twoD[h].plus(&c.d[h], &c.d[h])
	}
	return c
}

var edConstant = sync.OnceValue(newEdConstants)

// edMinusBase is the base point, negated, for additions.
var edMinusBase = sync.OnceValue(func() edPoint {
	minus := [32]byte{31: 0x66 | 0x80}
	minus[0] = 0x58
	for i := 1; i < 31; i++ {
		minus[i] = 0x66
	}
	var p [1]edPoint
	var ok [1]bool
	edDecompress([][32]byte{minus}, p[:], ok[:])
	return p[0]
})

// edPower sets z = x^(2^252 - 3).
func edPower(z, x *[2]lanes) {
	var x2, x9, x11, x31, t10, t20, t50, t100, t [2]lanes
	next := func(z, y *[2]lanes, n int, times *[2]lanes) {
		squareLanes(&ed25519Lanes, z, y, n)
		mulLanes(&ed25519Lanes, z, z, times)
	}
	squareLanes(&ed25519Lanes, &x2, x, 1)
	next(&x9, &x2, 2, x)
	mulLanes(&ed25519Lanes, &x11, &x9, &x2)
	next(&x31, &x11, 1, &x9)    // 5 ones
	next(&t10, &x31, 5, &x31)   // 10
	next(&t20, &t10, 10, &t10)  // 20
	next(&t, &t20, 20, &t20)    // 40
	next(&t50, &t, 10, &t10)    // 50
	next(&t100, &t50, 50, &t50) // 100
	t = t100
	next(&t, &t, 100, &t100) // 200
	next(&t, &t, 50, &t50)   // 250
	next(&t, &t, 2, x)
	*z = t
}

// edDecompress decodes points as ZIP-215 does: y may be p or more, x may be a negative zero. It reports which are on the curve; what it
// leaves for the others is no point.
func edDecompress(encoded [][32]byte, points []edPoint, ok []bool) {
	for len(encoded) > 0 {
		n := min(16, len(encoded))
		edDecompress16(encoded[:n], points, ok)
		encoded, points, ok = encoded[n:], points[n:], ok[n:]
	}
}

func edDecompress16(encoded [][32]byte, points []edPoint, ok []bool) {
	f, c := &ed25519Lanes, edConstant()
	var y, yy, u, v, t, x, x3 [2]lanes
	var one lanes
	one.all(feOne)
	for i := range encoded {
		b := &encoded[i]
		y[i/8].set(i%8, &fe{
			binary.LittleEndian.Uint64(b[0:]), binary.LittleEndian.Uint64(b[8:]),
			binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:]) & (1<<63 - 1),
		})
	}
	// x² = u/v with u = y² - 1 and v = dy² + 1. A root, if there is one, is u·v³·(u·v⁷)^((p-5)/8), perhaps times the root of -1.
	squareLanes(f, &yy, &y, 1)
	mulLanes(f, &v, &yy, &c.d)
	for h := range 2 {
		u[h].minus(&yy[h], &one)
		v[h].plus(&v[h], &one)
	}
	squareLanes(f, &x3, &v, 1)
	mulLanes(f, &x3, &x3, &v) // v³
	squareLanes(f, &t, &x3, 1)
	mulLanes(f, &t, &t, &v)
	mulLanes(f, &t, &t, &u) // u·v⁷
	edPower(&t, &t)
	mulLanes(f, &x, &x3, &u)
	mulLanes(f, &x, &x, &t)
	squareLanes(f, &t, &x, 1)
	mulLanes(f, &t, &t, &v)
	mulLanes(f, &x3, &x, &c.root)
	var less, more [2]lanes // v·x² - u and v·x² + u
	for h := range 2 {
		less[h].minus(&t[h], &u[h])
		more[h].plus(&t[h], &u[h])
	}
	zero := [4]uint64{}
	for i := range encoded {
		h, k := i/8, i%8
		ok[i] = true
		if less[h].canonical(k) != zero {
			ok[i] = more[h].canonical(k) == zero
			for l := range 5 {
				x[h][l][k] = x3[h][l][k]
			}
		}
	}
	for h := range 2 {
		var minus lanes
		minus.minus(&lanes{}, &x[h])
		for k := range min(8, len(encoded)-8*h) {
			if r := x[h].canonical(k); byte(r[0])&1 != encoded[8*h+k][31]>>7 {
				for l := range 5 {
					x[h][l][k] = minus[l][k]
				}
			}
		}
	}
	mulLanes(f, &t, &x, &y)
	mulLanes(f, &t, &t, &c.twoD)
	for h := range 2 {
		u[h].plus(&y[h], &x[h])
		v[h].minus(&y[h], &x[h])
	}
	for i := range encoded {
		for l := range 5 {
			points[i][l], points[i][5+l], points[i][10+l] = u[i/8][l][i%8], v[i/8][l][i%8], t[i/8][l][i%8]
		}
	}
}
