package keys

import "math/bits"

// plan says how u·G + v·P is summed, by the method of Strauss: both scalars are split by the endomorphism, written with
// signed odd digits that stand far apart (wNAF), cut into chunks by the tables, and all of them share the doublings. Before
// the additions of each level but the top one, the sum is doubled.
type plan struct {
	top   int // the highest level that has additions
	count [129]uint8
	at    [129][maxPerLevel]step
}

// maxPerLevel is how many digits one level can have: one for each chunk and half of both scalars.
const maxPerLevel = 4 * chunks

// step is one addition: an index into a table's points and flags.
type step uint16

const (
	stepNegative  step = 1 << 15 // subtract
	stepLambda    step = 1 << 14 // multiply by λ
	stepGenerator step = 1 << 13 // from the generator's table, else from the key's
	stepIndex          = stepGenerator - 1
)

// set makes the plan for u·G + v·P. It reports false if a scalar could not be split, which cannot happen.
func (p *plan) set(u, v *modN, gen, key *table) bool {
	p.top = 0
	clear(p.count[:])
	u1, u2, ok1 := splitScalar(u)
	v1, v2, ok2 := splitScalar(v)
	p.add(u1, gen, stepGenerator)
	p.add(u2, gen, stepGenerator|stepLambda)
	p.add(v1, key, 0)
	p.add(v2, key, stepLambda)
	return ok1 && ok2
}

// add puts the digits of k on their levels. The digits are odd and below 2^(width-1) in magnitude, and after each one
// there are width-1 zeros.
func (p *plan) add(k half, t *table, flags step) {
	mask := uint64(1)<<t.width - 1
	last := 128 - t.spacing // where the last chunk begins; it also has a digit at 128
	var carry uint64
	for pos := 0; pos <= 128; {
		skip := bits.TrailingZeros64(k.lo ^ -carry)
		k.lo, k.hi = shift(k.lo, k.hi, skip)
		pos += skip
		if skip == 64 || pos > 128 {
			continue
		}
		digit := k.lo&mask + carry
		carry = digit >> (t.width - 1)
		f := flags
		if carry == 1 {
			digit = mask + 1 - digit
			f ^= stepNegative
		}
		if k.neg {
			f ^= stepNegative
		}
		chunk := min(pos/t.spacing, last/t.spacing)
		level := pos - chunk*t.spacing
		p.at[level][p.count[level]] = f | step(chunk<<(t.width-2)+int(digit>>1))
		p.count[level]++
		p.top = max(p.top, level)
		k.lo, k.hi = shift(k.lo, k.hi, t.width)
		pos += t.width
	}
}

// shift returns the 128-bit value hi‖lo shifted right by n ≤ 64.
func shift(lo, hi uint64, n int) (uint64, uint64) {
	return lo>>n | hi<<(64-n), hi >> n
}

// take sets q to the point of a step.
func (s step) take(q *affine, gen, key *table) {
	if s&stepGenerator != 0 {
		*q = gen.points[s&stepIndex]
	} else {
		*q = key.points[s&stepIndex]
	}
	if s&stepLambda != 0 {
		q.x.mul(&q.x, &feBeta)
	}
	if s&stepNegative != 0 {
		q.y.neg(&q.y)
	}
}

// sum follows the plan.
func (p *plan) sum(gen, key *table) (acc jacobian) {
	var q affine
	for level := p.top; level >= 0; level-- {
		if level < p.top {
			acc.double(&acc)
		}
		for _, s := range p.at[level][:p.count[level]] {
			s.take(&q, gen, key)
			acc.addAffine(&q)
		}
	}
	return acc
}

// combine returns u·G + v·P for a secp256k1 key P. It reports false if a scalar could not be split, which cannot happen.
func (p *PublicKey) combine(u, v *modN) (sum jacobian, ok bool) {
	var pl plan
	gen := generatorTable()
	if p.table != nil {
		ok = pl.set(u, v, gen, p.table)
		return pl.sum(gen, p.table), ok
	}
	var points [keyOdds]affine
	var sums [keyOdds]jacobian
	var prefix [keyOdds]fe
	key := table{points: points[:], spacing: 128, width: keyWidth}
	key.fill(p.point, sums[:], prefix[:])
	ok = pl.set(u, v, gen, &key)
	return pl.sum(gen, &key), ok
}
