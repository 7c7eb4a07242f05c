package keys

import (
	"slices"
	"sync"
)

// ecdsaBatch is the scratch of verifying ECDSA signatures together. Its slices are kept between uses.
type ecdsaBatch struct {
	inverses, prefix []modN
	tabled           []int // of the inverses: those of signatures whose keys have tables
	left             []int // of those, where the sum has met no infinity yet
	plan             plan
	buckets          buckets
}

const (
	// minTabled is how many ECDSA signatures are verified sooner in lanes than one after the other.
	minTabled = 32
	// maxTabled bounds how many are verified together, so that their points, about a hundred each, stay in the processor's cache.
	maxTabled = 256
	// levels is how many levels a plan has whose tables have tableSpacing: the last chunk has a digit at 128.
	levels = tableSpacing + 1
)

// verifyECDSA verifies the ECDSA signatures with the given indices. ECDSA has no equation that could be summed over a batch,
// because a signature gives only the x of its point. What the signatures share is the inversion of all s and, where the processor has lanes, all
// inversions of the additions on the way to their sums.
func (b *Batch) verifyECDSA(indices []int, verdicts []error) {
	s, n := &b.ecdsa, len(indices)
	if n == 0 {
		return
	}
	s.inverses = slices.Grow(s.inverses[:0], n)[:n]
	s.prefix = slices.Grow(s.prefix[:0], n)[:n]
	for k, i := range indices {
		s.inverses[k].setBytes(b.entries[i].sig[32:])
	}
	invertAll(s.inverses, s.prefix)
	together := haveLanes && !s.buckets.adder.plain && n >= minTabled
	s.tabled = s.tabled[:0]
	for k, i := range indices {
		if together && b.entries[i].pub.table != nil {
			s.tabled = append(s.tabled, k)
			continue
		}
		b.verifyOneECDSA(k, i, verdicts)
	}
	for chunk := range slices.Chunk(s.tabled, maxTabled) {
		b.verifyTabled(chunk, indices, verdicts)
	}
}

// verifyOneECDSA verifies the signature with index i, given the number of its inverse.
func (b *Batch) verifyOneECDSA(k, i int, verdicts []error) {
	e := &b.entries[i]
	if !verifyECDSAWith(&e.pub, &e.digest, &e.sig, &b.ecdsa.inverses[k]) {
		verdicts[i] = e.pub.confirm(&e.digest, &e.sig)
	}
}

// filler is a point of which nobody knows what multiple of the generator it is, the one with x = 1 and an even y, and excess is what it adds to a sum
// when every level adds it once: minus (2^levels - 1) times the point.
var filler = sync.OnceValue(func() (points [2]affine) {
	points[0].lift(&feOne, false)
	var sum, minus jacobian
	minus.setAffine(&points[0])
	sum = minus
	minus.y.neg(&minus.y)
	for range levels {
		sum.double(&sum)
	}
	sum.add(&minus)
	var inv, zz fe
	inv.invert(&sum.z)
	zz.square(&inv)
	points[1].x.mul(&sum.x, &zz)
	points[1].y.mul(&sum.y, &zz)
	points[1].y.mul(&points[1].y, &inv)
	points[1].y.neg(&points[1].y)
	return points
})

// verifyTabled verifies the ECDSA signatures with the given inverses, whose keys have tables. All sums follow their plans side by side, on affine
// coordinates: first the points of each level are added, then the levels from the top on. To double a sum a and add the t of a level is (a + t) + a, so
// nothing but different points is ever added. So that no level is empty, each also has the filler, whose excess is taken from the end.
//
// Who makes a signature whose additions meet infinity has it verified by itself.
func (b *Batch) verifyTabled(chunk, indices []int, verdicts []error) {
	s := &b.ecdsa
	t := &s.buckets
	f, gen := filler(), generatorTable()
	t.points = append(t.points[:0], f[:]...)
	t.refs, t.start, t.count = t.refs[:0], t.start[:0], t.count[:0]
	for _, k := range chunk {
		e := &b.entries[indices[k]]
		u, v := ecdsaScalars(&e.digest, &e.sig, &s.inverses[k])
		ok := s.plan.set(&u, &v, gen, e.pub.table)
		for level := range levels {
			t.start = append(t.start, int32(len(t.refs)))
			if ok {
				t.refs = append(t.refs, 0) // the filler
			}
			for _, step := range s.plan.at[level][:s.plan.count[level]] {
				t.refs = append(t.refs, uint32(len(t.points)))
				t.points = append(t.points, affine{})
				step.take(&t.points[len(t.points)-1], gen, e.pub.table)
			}
			t.count = append(t.count, int32(len(t.refs))-t.start[len(t.start)-1])
		}
	}
	n := len(t.points)
	t.next = n
	more := len(t.refs)/2 + 2*len(chunk)
	t.points = slices.Grow(t.points, more)[:n+more]
	for t.addRound(n) {
	}

	// Each sum has a place of its own, and one for what is in between.
	at := func(j, level int) uint32 { return t.refs[t.start[j*levels+level]] }
	sum := func(j int) uint32 { return uint32(t.next + 2*j) }
	between := func(j int) uint32 { return uint32(t.next + 2*j + 1) }
	s.left = s.left[:0]
	for j := range chunk {
		if slices.Contains(t.count[j*levels:(j+1)*levels], 0) {
			b.verifyOneECDSA(chunk[j], indices[chunk[j]], verdicts)
			continue
		}
		t.points[sum(j)] = t.points[at(j, levels-1)]
		s.left = append(s.left, j)
	}
	step := func(p, q, to func(j int) uint32) {
		t.pairs.reset()
		for _, j := range s.left {
			t.pairs.add(p(j), q(j), to(j))
		}
		gone := t.adder.add(t.points, &t.pairs)
		for i := len(gone) - 1; i >= 0; i-- {
			j := s.left[gone[i]]
			b.verifyOneECDSA(chunk[j], indices[chunk[j]], verdicts)
			s.left = slices.Delete(s.left, gone[i], gone[i]+1)
		}
	}
	for level := levels - 2; level >= 0; level-- {
		step(sum, func(j int) uint32 { return at(j, level) }, between)
		step(between, sum, sum)
	}
	step(sum, func(int) uint32 { return 1 }, sum) // the excess
	for _, j := range s.left {
		i := indices[chunk[j]]
		e := &b.entries[i]
		var p jacobian
		p.setAffine(&t.points[sum(j)])
		if !isECDSASum(&p, &e.sig) {
			verdicts[i] = e.pub.confirm(&e.digest, &e.sig)
		}
	}
}
