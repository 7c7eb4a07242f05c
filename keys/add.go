package keys

import "slices"

// adder adds pairs of points on affine coordinates. Such an addition needs one division, and any number of divisions cost one
// inversion and three multiplications each when done together (Montgomery's trick). That makes six multiplications for each
// addition instead of eleven, and they are the same for all additions, so that they can be done in lanes.
type adder struct {
	plain bool // never compute in lanes; only tests set it

	lanes laneAdder
	den   []fe  // denominators
	prod  []fe  // products of all later denominators
	gone  []int // what add returned last
}

// pairs is a list of additions: two different places that hold a point, each of which may be marked to be subtracted, and the place for
// the sum.
type pairs struct{ p, q, to []uint32 }

const (
	refNegative = 1 << 31 // marks a place
	refPlace    = refNegative - 1
)

func (l *pairs) reset() { l.p, l.q, l.to = l.p[:0], l.q[:0], l.to[:0] }

func (l *pairs) len() int { return len(l.p) }

func (l *pairs) add(p, q, to uint32) {
	l.p = append(l.p, p)
	l.q = append(l.q, q)
	l.to = append(l.to, to)
}

// take sets p to the point at a place, negated if that is marked, without a branch that nobody could predict.
func (p *affine) take(points []affine, ref uint32) {
	*p = points[ref&refPlace]
	var minus fe
	minus.neg(&p.y)
	mask := -uint64(ref >> 31)
	for i := range minus {
		p.y[i] ^= (p.y[i] ^ minus[i]) & mask
	}
}

// add adds the pairs and returns those, by their numbers in order, whose sum is infinity and was not written. No pair may read a place that
// an earlier one writes.
func (a *adder) add(points []affine, list *pairs) (gone []int) {
	a.gone = a.gone[:0]
	if !a.plain && a.lanes.add(points, list) {
		return nil
	}
	n := list.len()
	a.den = slices.Grow(a.den[:0], n)[:n]
	a.prod = slices.Grow(a.prod[:0], n)[:n]
	acc := feOne
	var p, q affine
	for i := n - 1; i >= 0; i-- {
		a.den[i].sub(&points[list.q[i]&refPlace].x, &points[list.p[i]&refPlace].x)
		if a.den[i].isZero() {
			p.take(points, list.p[i])
			q.take(points, list.q[i])
			a.den[i] = denominatorOfSameX(&p, &q)
		}
		a.prod[i] = acc
		acc.mul(&acc, &a.den[i])
	}
	acc.invert(&acc) // 1 over the product of den[i:], for growing i
	for i, to := range list.to {
		var inv fe
		inv.mul(&acc, &a.prod[i])
		acc.mul(&acc, &a.den[i])
		p.take(points, list.p[i])
		q.take(points, list.q[i])
		if !addWith(&points[to], &p, &q, &inv) {
			a.gone = append(a.gone, i)
		}
	}
	return a.gone
}

// denominatorOfSameX returns what adding p and q divides by, where other points have the difference of their x: twice y for equal points, and
// one for opposite points, whose sum needs no division. It is never zero, because no point has y = 0.
func denominatorOfSameX(p, q *affine) (d fe) {
	if p.y.equal(&q.y) {
		d.double(&p.y)
		return d
	}
	return feOne
}

// addWith sets z = p + q, given the inverse of their denominator. It reports false, and leaves z alone, if the sum
// is infinity. z may be p.
func addWith(z, p, q *affine, inv *fe) bool {
	var slope, t fe
	t.sub(&q.x, &p.x)
	if !t.isZero() {
		slope.sub(&q.y, &p.y)
	} else {
		if !p.y.equal(&q.y) {
			return false
		}
		slope.square(&p.x)
		t.double(&slope)
		slope.add(&slope, &t)
	}
	slope.mul(&slope, inv)
	var x, y fe
	x.square(&slope)
	x.sub(&x, &p.x)
	x.sub(&x, &q.x)
	y.sub(&p.x, &x)
	y.mul(&y, &slope)
	z.y.sub(&y, &p.y)
	z.x = x
	return true
}
