package keys

import "sync"

// A table holds odd multiples of a point P for chunks of a scalar: (2i+1)·2^(spacing·c)·P for i below odds, at c·odds + i.
// With it, a multiplication by a 128-bit scalar takes spacing doublings instead of 128, all chunks side by side.
type table struct {
	points  []affine
	spacing int // doublings, a divisor of 128
	width   int // bits of a digit; odds is 2^(width-2)
}

const (
	// tableSpacing is the spacing of the tables that are kept.
	tableSpacing = 32
	// keyWidth is the width of digits for keys. A key's table takes 2 KiB; the one that is made for one verification by a
	// key without a table has one chunk.
	keyWidth = 5
	keyOdds  = 1 << (keyWidth - 2)
	// generatorWidth is the width of digits for the generator, whose table takes 256 KiB.
	generatorWidth = 12
	generatorOdds  = 1 << (generatorWidth - 2)
	// chunks is how many chunks a table of tableSpacing has.
	chunks = 128 / tableSpacing
)

// generatorTable returns the generator's table. It is made when it is first needed, in about a millisecond.
var generatorTable = sync.OnceValue(func() *table {
	t := newTable(&generator, generatorWidth)
	return &t
})

// newTable returns a table of p with the usual spacing.
func newTable(p *affine, width int) table {
	n := chunks << (width - 2)
	t := table{points: make([]affine, n), spacing: tableSpacing, width: width}
	t.fill(p, make([]jacobian, n), make([]fe, n))
	return t
}

// fill computes the table of p. The lengths of points and of the scratch, which are equal, say how many chunks it has.
func (t *table) fill(p *affine, sums []jacobian, prefix []fe) {
	var base jacobian
	base.setAffine(p)
	odds := 1 << (t.width - 2)
	for first := 0; first < len(sums); first += odds {
		if first > 0 {
			for range t.spacing {
				base.double(&base)
			}
		}
		var twice jacobian
		twice.double(&base)
		sums[first] = base
		for i := first + 1; i < first+odds; i++ {
			sums[i] = sums[i-1]
			sums[i].add(&twice)
		}
	}
	// No multiple by less than the order is infinity, so every z has an inverse, and all together cost one.
	acc := feOne
	for i := range sums {
		prefix[i] = acc
		acc.mul(&acc, &sums[i].z)
	}
	acc.invert(&acc)
	for i := len(sums) - 1; i >= 0; i-- {
		var inv, zz fe
		inv.mul(&acc, &prefix[i])
		acc.mul(&acc, &sums[i].z)
		zz.square(&inv)
		t.points[i].x.mul(&sums[i].x, &zz)
		zz.mul(&zz, &inv)
		t.points[i].y.mul(&sums[i].y, &zz)
	}
}
