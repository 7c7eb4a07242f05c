package keys

import "slices"

// msm computes sums of points multiplied by 128-bit scalars with Pippenger's bucket method: scalars are cut into
// windows of c bits with signed digits, each window's points are added into 2^(c-1) buckets by digit, and the buckets
// are summed with their weights.
//
// Nearly all the work is adding points into buckets and summing those. Both are done by an adder, many additions at a time.
//
// The slices are scratch that is kept between uses; it grows with the largest batch.
type msm struct {
	buckets
	scalars []half // of the points

	digits []int16  // of window w and point i at w·len(points)+i
	sums   []affine // of window w and digit d at w·2^(width-1) + d - 1: the sum of a bucket
	has    []bool   // whether there is such a sum: not if it is infinity
}

// maxSorted bounds how many points are sorted into buckets at a time, so that their sums stay in the processor's cache.
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

// window returns the window width that needs the least work for n points: one addition for each to come into its bucket, and two
// for each bucket.
func window(n int) (width, windows int) {
	best := 0
	for c := 3; c <= 13; c++ {
		w := (128 + c) / c // one bit more than 128 for the last carry
		if cost := w * (n + 2<<(c-1)); best == 0 || cost < best {
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
	m.sums = slices.Grow(m.sums[:0], windows<<(width-1))[:windows<<(width-1)]
	m.has = slices.Grow(m.has[:0], len(m.sums))[:len(m.sums)]
	group := max(1, maxSorted/n)
	m.points = slices.Grow(m.points, group*n/2)[:n+group*n/2]
	for w := 0; w < windows; w += group {
		m.next = n
		m.sort(n, w, min(group, windows-w), width)
		for m.addRound(n) {
		}
		for b, c := range m.count {
			to := w<<(width-1) + b
			if m.has[to] = c == 1; m.has[to] {
				m.sums[to].take(m.points, m.refs[m.start[b]])
			}
		}
	}
	m.points = m.points[:n]
	for round := range width - 1 {
		m.weigh(round, width, windows)
	}
	// Each power of two that a window's digits have now stands for what is multiplied by it.
	for w := windows - 1; w >= 0; w-- {
		for k := width - 1; k >= 0; k-- {
			total.double(&total)
			if at := w<<(width-1) + 1<<k - 1; m.has[at] {
				total.addAffine(&m.sums[at])
			}
		}
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
		var carry, negative int32
		if k.neg {
			negative = -1
		}
		for w := range windows {
			d := int32(k.lo&mask) + carry
			k.lo = k.lo>>width | k.hi<<(64-width)
			k.hi >>= width
			carry = int32(uint32(limit-d) >> 31) // without branches, which nobody could predict
			d -= carry << width
			m.digits[w*n+i] = int16(d ^ negative - negative)
		}
	}
}

// sort puts the n points, for each of g windows from w on, into the buckets of their digits, negated for negative digits. The
// bucket of digit d in window w+i is i·2^(width-1) + d - 1.
func (m *msm) sort(n, w, g, width int) {
	buckets := g << (width - 1)
	m.start = slices.Grow(m.start[:0], buckets)[:buckets]
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
		m.start[b] = total
		total += c
	}
	m.refs = slices.Grow(m.refs[:0], int(total))[:total]
	for i := range g {
		start := m.start[i<<(width-1):]
		for j, d := range digits[i*n : (i+1)*n] {
			if d == 0 {
				continue
			}
			b := max(d, -d) - 1
			m.refs[start[b]] = uint32(j) | uint32(d)&refNegative
			start[b]++ // moves to the end while the points are put in
		}
	}
	for b, c := range m.count {
		m.start[b] -= c
	}
}

// weigh does one round of summing the sums of the buckets B of each window, each times its digit. With D = 2^(width-1), the highest
// digit,
//
//	Σ d·B(d) = 2·Σ e·(B(2e) + B(2e+1)) + Σ B(d) for odd d,
//
// and so on for the sum over e. Round k makes the sums in brackets for that level, where they take the place of d = 2e·2^k. Their
// second halves, at the odd multiples of 2^k, are what is summed as the last term, in the rounds that follow, neighbours first, to the place
// of the first of them, 2^k. There are D/2^(k+1) of them, which takes log2 D - k - 1 rounds, so that all levels end together.
func (m *msm) weigh(round, width, windows int) {
	m.pairs.reset()
	highest := 1 << (width - 1)
	for w := range windows {
		base := w<<(width-1) - 1
		for d := 2 << round; d < highest; d += 2 << round {
			m.pair(base+d, base+d+1<<round)
		}
		for k := range round {
			// The distance of neighbours: odd multiples of 2^k, of which rounds before have left every 2^(round-k-1)th.
			apart := 1 << round
			for d := 1 << k; d+apart < highest; d += 2 * apart {
				m.pair(base+d, base+d+apart)
			}
		}
	}
	for _, i := range m.adder.add(m.sums, &m.pairs) {
		m.has[m.pairs.to[i]] = false
	}
}

// pair plans the addition of the sum at q to the one at p.
func (m *msm) pair(p, q int) {
	switch {
	case m.has[p] && m.has[q]:
		m.pairs.add(uint32(p), uint32(q), uint32(p))
	case m.has[q]:
		m.sums[p], m.has[p] = m.sums[q], true
	}
}
