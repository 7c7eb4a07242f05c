//go:build !purego

package keys

import (
	"slices"

	"golang.org/x/sys/cpu"
)

// haveLanes says that the processor has the instructions that lanes need and the operating system keeps their registers: Intel
// since Ice Lake, AMD since Zen 4.
var haveLanes = cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512IFMA

// lanes are eight elements of a field side by side, limb by limb: element i is the sum of lanes[k][i]·2^(52k). As fe does
// they hold public data only, and stand for what they are modulo the field's prime. What multiplies takes five limbs below 2^52, so any value below 2^260;
// what it leaves is tight: four limbs below 2^52 and the fifth below 2^48 + 2^4.
type lanes [5][8]uint64

// laneField is what arithmetic in lanes has to know of a field: masks for 52 and 48 bits, and what 2^260 and 2^256 are worth in it.
type laneField [4]uint64

var secp256k1Lanes = laneField{limb52, 1<<48 - 1, 16 * foldC, foldC}

// mulLanes sets z = x·y.
//
//go:noescape
func mulLanes(f *laneField, z, x, y *[2]lanes)

// squareLanes sets z = x^(2^n), n > 0.
//
//go:noescape
func squareLanes(f *laneField, z, x *[2]lanes, n int)

const limb52 = 1<<52 - 1

// set sets element i.
func (z *lanes) set(i int, x *fe) {
	z[0][i] = x[0] & limb52
	z[1][i] = (x[0]>>52 | x[1]<<12) & limb52
	z[2][i] = (x[1]>>40 | x[2]<<24) & limb52
	z[3][i] = (x[2]>>28 | x[3]<<36) & limb52
	z[4][i] = x[3] >> 16
}

// get returns element i.
func (z *lanes) get(i int) (x fe) {
	// What is above 2^256 is below 2^4, and counts foldC.
	x = fe{z[0][i] | z[1][i]<<52, z[1][i]>>12 | z[2][i]<<40, z[2][i]>>24 | z[3][i]<<28, z[3][i]>>36 | z[4][i]<<16}
	x.add(&x, &fe{z[4][i] >> 48 * foldC})
	return x
}

// minRoots is how many roots are computed sooner in sixteen lanes than one after the other.
const minRoots = 3

// rootsInLanes does to each of the first n elements what [fe.root] does, and returns n.
func rootsInLanes(all []fe) (n int) {
	if !haveLanes {
		return 0
	}
	for len(all)-n >= minRoots {
		chunk := all[n:min(n+16, len(all))]
		var x [2]lanes
		for i := range chunk {
			x[i/8].set(i%8, &chunk[i])
		}
		root(&x)
		for i := range chunk {
			chunk[i] = x[i/8].get(i % 8)
		}
		n += len(chunk)
	}
	return n
}

// root sets x = x^((p+1)/4), by the way of [fe.chain].
func root(x *[2]lanes) {
	var x2, x3, x11, x22, x44, t [2]lanes
	next := func(z, y *[2]lanes, n int, times *[2]lanes) {
		squareLanes(&secp256k1Lanes, z, y, n)
		mulLanes(&secp256k1Lanes, z, z, times)
	}
	next(&x2, x, 1, x)
	next(&x3, &x2, 1, x)
	next(&t, &x3, 3, &x3)
	next(&t, &t, 3, &x3)
	next(&x11, &t, 2, &x2)
	next(&x22, &x11, 11, &x11)
	next(&x44, &x22, 22, &x22)
	next(&t, &x44, 44, &x44)
	x88 := t
	next(&t, &t, 88, &x88)
	next(&t, &t, 44, &x44)
	next(&t, &t, 3, &x3)
	next(&t, &t, 23, &x22)
	next(&t, &t, 6, &x2)
	squareLanes(&secp256k1Lanes, x, &t, 2)
}

// denominatorLanes takes blocks of eight pairs, from the last one on. For each, it sets den to what adding the pairs divides by,
// the differences of x, sets prod to acc, and multiplies acc by den.
//
//go:noescape
func denominatorLanes(points *affine, p, q *uint32, blocks int, den, prod, acc *lanes)

// addLanes adds the pairs of the same blocks, from the first one on, given in acc the inverses of what denominatorLanes left there. All
// points of a block are read before the sums of the block are written. The coordinates of the sums are below 2^256.
//
//go:noescape
func addLanes(points *affine, p, q, to *uint32, blocks int, den, prod, acc *lanes, scratch *[3]lanes)

const (
	// minPairs is how many additions are done sooner in lanes than one after the other.
	minPairs = 10
	// maxPlaces is how many places addLanes and denominatorLanes can tell apart: 4 GiB of points.
	maxPlaces = 1 << 26
)

// laneAdder is the scratch of additions in lanes: two elements for each eight of them, and three.
type laneAdder struct{ scratch []lanes }

// add does all the additions or none, and says which. It does none when there are too few or too many, and when the denominator of any is zero:
// when two points are equal or opposite, which happens to nobody who does not seek it.
func (a *laneAdder) add(points []affine, list *pairs) bool {
	n := list.len()
	if !haveLanes || n < minPairs || len(points) > maxPlaces {
		return false
	}
	for list.len()%8 != 0 {
		// Adding a pair twice in one block does no harm: the same is written to the same place.
		list.add(list.p[n-1], list.q[n-1], list.to[n-1])
	}
	blocks := list.len() / 8
	a.scratch = slices.Grow(a.scratch[:0], 3+2*blocks)[:3+2*blocks]
	den, prod := &a.scratch[3], &a.scratch[3+blocks]
	var acc lanes
	for i := range 8 {
		acc.set(i, &feOne)
	}
	denominatorLanes(&points[0], &list.p[0], &list.q[0], blocks, den, prod, &acc)
	ok := acc.invert()
	if ok {
		addLanes(&points[0], &list.p[0], &list.q[0], &list.to[0], blocks, den, prod, &acc, (*[3]lanes)(a.scratch))
	}
	list.p, list.q, list.to = list.p[:n], list.q[:n], list.to[:n]
	return ok
}

// invert replaces each element by its inverse and reports whether they all have one.
func (z *lanes) invert() bool {
	var x, prefix [8]fe
	acc := feOne
	for i := range x {
		x[i] = z.get(i)
		prefix[i] = acc
		acc.mul(&acc, &x[i])
	}
	if acc.isZero() {
		return false
	}
	acc.invert(&acc)
	for i := 7; i >= 0; i-- {
		var inv fe
		inv.mul(&acc, &prefix[i])
		acc.mul(&acc, &x[i])
		z.set(i, &inv)
	}
	return true
}
