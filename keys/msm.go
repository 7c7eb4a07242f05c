package keys

import "slices"

// msm computes sums of points multiplied by 128-bit scalars with Pippenger's bucket method: scalars are cut into
// windows of c bits with signed digits, each window's points are added into 2^(c-1) buckets by digit, and the buckets
// are summed with their weights.
//
// Nearly all the work is adding points into buckets. It is done on affine coordinates: such an addition needs one
// division, and any number of divisions cost one inversion and three multiplications each when done together
// (Montgomery's trick). That makes six multiplications per addition instead of eleven.
//
// The slices are scratch that is kept between uses; it grows with the largest batch.
type msm struct {
	points  []affine
	scalars []half

	digits []int16  // of window w and point i at w·len(points)+i
	end    []int32  // bucket → one past the end of its points in sorted
	count  []int32  // bucket → how many points it holds now
	sorted []affine // points by bucket
	den    []fe     // denominators of the additions of one round
	prod   []fe     // products of all later denominators
}

// maxSorted bounds how many points are sorted into buckets at a time, so that they stay in the processor's cache.
const maxSorted = 1 << 13

// reset forgets all points.
func (m *msm) reset() {
	m.points = m.points[:0]
	m.scalars = m.scalars[:0]
}

// add adds k·p to the sum.
func (m *msm) add(p *affine, k half) {
	if k.lo|k.hi == 0 {
		return
	}
	m.points = append(m.points, *p)
	m.scalars = append(m.scalars, k)
}

// addFull adds k·p for a scalar of any size, as two halves. It reports whether k could be split; it always can.
func (m *msm) addFull(p *affine, k *modN) bool {
	k1, k2, ok := splitScalar(k)
	m.add(p, k1)
	var q affine
	q.endomorphism(p)
	m.add(&q, k2)
	return ok
}

// window returns the window width that needs the least work for n points. An addition into a bucket costs about a
// third of the two additions that summing a bucket takes.
func window(n int) (width, windows int) {
	best := 0
	for c := 3; c <= 13; c++ {
		w := (128 + c) / c // one bit more than 128 for the last carry
		if cost := w * (n + 3<<(c-1)); best == 0 || cost < best {
			best, width, windows = cost, c, w
		}
	}
	return width, windows
}

// sum returns the sum of everything added since the last reset.
func (m *msm) sum() (total jacobian) {
	n := len(m.points)
	if n == 0 {
		return total
	}
	width, windows := window(n)
	m.recode(width, windows)
	group := max(1, maxSorted/n)
	sums := make([]jacobian, windows)
	for w := 0; w < windows; w += group {
		g := min(group, windows-w)
		m.sort(w, g, width)
		for m.addRound() {
		}
		for i := range g {
			sums[w+i] = m.sumBuckets(i<<(width-1), 1<<(width-1))
		}
	}
	for w := windows - 1; w >= 0; w-- {
		if !total.isInfinity() {
			for range width {
				total.double(&total)
			}
		}
		total.add(&sums[w])
	}
	return total
}

// recode cuts all scalars into digits between -2^(width-1) and 2^(width-1).
func (m *msm) recode(width, windows int) {
	n := len(m.points)
	m.digits = slices.Grow(m.digits[:0], n*windows)[:n*windows]
	limit := int32(1) << (width - 1)
	mask := uint64(1)<<width - 1
	for i, k := range m.scalars {
		var carry int32
		for w := range windows {
			d := int32(k.lo&mask) + carry
			k.lo = k.lo>>width | k.hi<<(64-width)
			k.hi >>= width
			carry = 0
			if d > limit {
				d -= 2 * limit
				carry = 1
			}
			if k.neg {
				d = -d
			}
			m.digits[w*n+i] = int16(d)
		}
	}
}

// sort puts the points of g windows from w on into the buckets of their digits, negated for negative digits. The
// bucket of digit d in window w+i is i·2^(width-1) + d - 1.
func (m *msm) sort(w, g, width int) {
	n := len(m.points)
	buckets := g << (width - 1)
	m.end = slices.Grow(m.end[:0], buckets)[:buckets]
	m.count = slices.Grow(m.count[:0], buckets)[:buckets]
	clear(m.count)
	digits := m.digits[w*n : (w+g)*n]
	for i := range g {
		count := m.count[i<<(width-1):]
		for _, d := range digits[i*n : (i+1)*n] {
			if d != 0 {
				count[max(d, -d)-1]++
			}
		}
	}
	var total int32
	for b, c := range m.count {
		m.end[b] = total // the start for now; it becomes the end while the points are put in
		total += c
	}
	m.sorted = slices.Grow(m.sorted[:0], int(total))[:total]
	for i := range g {
		end := m.end[i<<(width-1):]
		for j, d := range digits[i*n : (i+1)*n] {
			if d == 0 {
				continue
			}
			b := max(d, -d) - 1
			to := &m.sorted[end[b]]
			end[b]++
			*to = m.points[j]
			if d < 0 {
				to.y.neg(&to.y)
			}
		}
	}
	for b, c := range m.count {
		m.end[b] -= c // and now the start, which stays while the count shrinks
	}
}

// addRound adds neighbours in each bucket, which halves what the buckets hold, and reports whether it found any.
func (m *msm) addRound() bool {
	m.den = m.den[:0]
	for b, c := range m.count {
		s := m.sorted[m.end[b]:]
		for i := int32(1); i < c; i += 2 {
			m.den = append(m.den, denominator(&s[i-1], &s[i]))
		}
	}
	n := len(m.den)
	if n == 0 {
		return false
	}
	m.prod = slices.Grow(m.prod[:0], n)[:n]
	acc := feOne
	for i := n - 1; i >= 0; i-- {
		m.prod[i] = acc
		acc.mul(&acc, &m.den[i])
	}
	acc.invert(&acc) // 1 over the product of den[k:], for growing k
	k := 0
	for b, c := range m.count {
		if c < 2 {
			continue
		}
		s := m.sorted[m.end[b]:]
		to := int32(0)
		for i := int32(1); i < c; i += 2 {
			var inv fe
			inv.mul(&acc, &m.prod[k])
			acc.mul(&acc, &m.den[k])
			k++
			if addWith(&s[to], &s[i-1], &s[i], &inv) {
				to++
			}
		}
		if c&1 == 1 {
			s[to] = s[c-1]
			to++
		}
		m.count[b] = to
	}
	return true
}

// denominator returns what adding p and q divides by: the difference of x, twice y for equal points, and one for
// opposite points, whose sum needs no division. It is never zero, because no point has y = 0.
func denominator(p, q *affine) (d fe) {
	d.sub(&q.x, &p.x)
	if !d.isZero() {
		return d
	}
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

// sumBuckets returns the sum of n buckets from the given one on, each with its digit as weight: the running sum from
// the highest bucket down is added once per bucket.
func (m *msm) sumBuckets(first, n int) (total jacobian) {
	var running jacobian
	for b := first + n - 1; b >= first; b-- {
		if m.count[b] == 1 {
			running.addAffine(&m.sorted[m.end[b]])
		}
		total.add(&running)
	}
	return total
}
