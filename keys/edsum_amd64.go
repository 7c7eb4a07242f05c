//go:build !purego

package keys

import "slices"

// edSummer computes a sum of points multiplied by scalars with Pippenger's bucket method, as msm does, on eight buckets at a time: on
// this curve additions have no exceptions and need no division, so each lane goes through the points of its bucket by itself. Buckets that share the lanes hold
// about the same number of points, because they are sorted by it. The same goes for summing buckets with their weights, in eight windows at a time.
//
// The slices are scratch that is kept between uses; it grows with the largest batch.
type edSummer struct {
	points  []edPoint // the identity, the negated base point, and what was decompressed
	entries []edEntry
	short   int // how many of the first entries have scalars below 2^128

	digits []int16  // of the scalars, entry by entry
	next   []int32  // bucket → how many points it has, and then where in refs the next one goes
	counts []int32  // number of points → how many buckets have so many, and then where in to the next of them goes
	refs   []uint32 // places in points, eight for each step of each group of buckets
	steps  []uint32
	to     []uint32 // the buckets of the groups
	sums   []edSum  // of window w and digit d at w·2^(width-1) + d - 1
	s      edScratch
}

// edEntry is a scalar and the place of its point.
type edEntry struct {
	place uint32
	k     [4]uint64
}

const (
	edFirst    = 2   // the place of the first decompressed point
	shortBits  = 128 // of a coefficient
	longBits   = 253 // of a scalar modulo the order of the base point
	edSumBytes = 8 * 24

	minEdWidth, maxEdWidth = 3, 12
)

// decompress makes the points that the numbers of add are about, and reports which there are.
func (m *edSummer) decompress(encoded [][32]byte, ok []bool) {
	m.points = slices.Grow(m.points[:0], edFirst+len(encoded))[:edFirst+len(encoded)]
	m.points[0], m.points[1] = edIdentity, edMinusBase()
	edDecompress(encoded, m.points[edFirst:], ok)
}

// point returns the decompressed point of a number.
func (m *edSummer) point(number int) edPoint { return m.points[edFirst+number] }

// addPoint gives a point that was decompressed before the next number.
func (m *edSummer) addPoint(p *edPoint) (number int) {
	m.points = append(m.points, *p)
	return len(m.points) - 1 - edFirst
}

// reset forgets all scalars.
func (m *edSummer) reset() { m.entries, m.short = m.entries[:0], 0 }

// add adds k times the decompressed point of a number to the sum. Scalars of 128 bits come first.
func (m *edSummer) add(number int, k [4]uint64) { m.addPlace(uint32(edFirst+number), k) }

// addMinusBase adds -k times the base point.
func (m *edSummer) addMinusBase(k [4]uint64) { m.addPlace(1, k) }

func (m *edSummer) addPlace(place uint32, k [4]uint64) {
	if m.short == len(m.entries) && k[2]|k[3] == 0 {
		m.short++
	}
	m.entries = append(m.entries, edEntry{place, k})
}

// edWindow returns the window width that needs the least work, and how many windows short and long scalars have: an addition for each
// digit, and for each bucket of all windows, which are rounded up to fill the lanes, two that take a little longer. The doublings are the same for all but rounding.
func edWindow(short, long int) (width, shortWindows, windows int) {
	best := 0
	for c := minEdWidth; c <= maxEdWidth; c++ {
		s, l := edWindows(c)
		lanes := (l + 7) / 8 * 8
		if cost := 3*(short*s+long*l) + 5*lanes<<(c-1) + 7*lanes*c; best == 0 || cost < best {
			best, width, shortWindows, windows = cost, c, s, l
		}
	}
	return width, shortWindows, windows
}

// edWindows returns how many windows of a width short and long scalars have: one bit more is for the last carry.
func edWindows(width int) (short, long int) {
	return (shortBits + width) / width, (longBits + width) / width
}

// smallOrder reports whether eight times the sum of everything added since the last reset is the identity.
func (m *edSummer) smallOrder() bool {
	m.sum(edWindow(m.short, len(m.entries)-m.short))
	doublePointLanes(&m.s, 3)
	x, y, z := m.s.p[0].canonical(0), m.s.p[1].canonical(0), m.s.p[2].canonical(0)
	return x == [4]uint64{} && y == z && z != [4]uint64{}
}

// sum leaves the sum in element 0 of s.p.
func (m *edSummer) sum(width, shortWindows, windows int) {
	m.recode(width, shortWindows, windows)
	m.sort(width, shortWindows, windows)
	m.sums = slices.Grow(m.sums[:0], len(m.to))[:len(m.to)]
	bucketLanes(&m.points[0], &m.refs[0], &m.steps[0], &m.to[0], len(m.steps), &m.sums[0], &m.s)

	// Lane l has the windows from l·each on.
	each := len(m.to) >> (width - 1) / 8
	s := &m.s
	s.twoD = edConstant().twoD[0]
	var total edLanes
	total.identity()
	for w := each - 1; w >= 0; w-- {
		s.p.identity()
		s.sum.identity()
		weighLanes(&m.sums[w<<(width-1)], 1<<(width-1), each<<(width-1)*edSumBytes, s)
		s.p, s.q = total, s.sum
		doublePointLanes(s, width)
		addPointLanes(s)
		total = s.p
	}
	s.p = total.first(7)
	for l := 6; l >= 0; l-- {
		doublePointLanes(s, width*each)
		s.q = total.first(l)
		addPointLanes(s)
	}
}

// first returns sums of which the first one is that of lane l.
func (p *edLanes) first(l int) (q edLanes) {
	for c := range p {
		for k := range p[c] {
			q[c][k][0] = p[c][k][l]
		}
	}
	return q
}

// recode cuts all scalars into digits between -2^(width-1) and 2^(width-1), and counts what comes into each bucket.
func (m *edSummer) recode(width, shortWindows, windows int) {
	buckets := (windows + 7) / 8 * 8 << (width - 1)
	m.next = slices.Grow(m.next[:0], buckets)[:buckets]
	clear(m.next)
	size := m.short*shortWindows + (len(m.entries)-m.short)*windows
	m.digits = slices.Grow(m.digits[:0], size)[:size]
	limit := int32(1) << (width - 1)
	mask := uint64(1)<<width - 1
	right, left := width&63, (64-width)&63 // which spares the compiler the case of shifts beyond a word
	digits, next := m.digits, m.next
	for i := range m.entries {
		n := windows
		if i < m.short {
			n = shortWindows
		}
		k := m.entries[i].k
		var carry int32
		base := -1
		for w := range digits[:n] {
			d := int32(k[0]&mask) + carry
			k[0] = k[0]>>right | k[1]<<left
			k[1] = k[1]>>right | k[2]<<left
			k[2] = k[2]>>right | k[3]<<left
			k[3] >>= right
			carry = int32(uint32(limit-d) >> 31) // without branches, which nobody could predict
			d -= carry << right
			digits[w] = int16(d)
			if d != 0 {
				next[base+int(max(d, -d))]++
			}
			base += int(limit)
		}
		digits = digits[n:]
	}
}

// sort makes groups of eight buckets that have about the same number of points, and lists the points. Where a bucket has less than others of its
// group, the list has the identity.
func (m *edSummer) sort(width, shortWindows, windows int) {
	buckets := len(m.next)
	most := slices.Max(m.next)
	m.counts = slices.Grow(m.counts[:0], int(most)+1)[:most+1]
	clear(m.counts)
	for _, c := range m.next {
		m.counts[c]++
	}
	var before int32
	for c := most; c >= 0; c-- {
		m.counts[c], before = before, before+m.counts[c]
	}
	m.to = slices.Grow(m.to[:0], buckets)[:buckets]
	for b, c := range m.next {
		m.to[m.counts[c]] = uint32(b)
		m.counts[c]++
	}
	m.steps = slices.Grow(m.steps[:0], buckets/8)[:buckets/8]
	total := int32(0)
	for g := range m.steps {
		steps := max(1, m.next[m.to[8*g]])
		m.steps[g] = uint32(steps)
		for l, b := range m.to[8*g : 8*g+8] {
			m.next[b] = 8*total + int32(l)
		}
		total += steps
	}
	m.refs = slices.Grow(m.refs[:0], int(8*total))[:8*total]
	clear(m.refs)
	digits, next, refs := m.digits, m.next, m.refs
	for i := range m.entries {
		n := windows
		if i < m.short {
			n = shortWindows
		}
		place := m.entries[i].place
		base := -1
		for _, d := range digits[:n] {
			if d != 0 {
				b := &next[base+int(max(d, -d))]
				refs[*b] = place | uint32(d)&refNegative
				*b += 8
			}
			base += 1 << (width - 1)
		}
		digits = digits[n:]
	}
}
