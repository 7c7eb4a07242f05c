package mempool

import (
	"math"
	"time"
)

// Blocks are kept short while one organisation floods and another sends little. What the other sends is in the next block
// whatever the first does, but a large block comes late, and so does the one after it. Where all send much there is nobody to
// protect, where several do alike nobody floods, and large blocks are cheaper.
const (
	// littlePart is the part of an equal share of blocks below which an organisation sends little. Who sends more than all others
	// together floods.
	littlePart = 0.25
	// shortBlocks is how long a short block may take, in intervals of the charter.
	shortBlocks = 1.25
	// leastShort is how many transactions a short block may hold however slow blocks are.
	leastShort = 512
	// forgotten is when what an organisation had in blocks counts for nothing any more: a single transaction after 28 blocks.
	forgotten = 0.05
)

// takings is how many transactions each organisation had in the last blocks, with a memory of some ten of them.
type takings map[string]float64

// add accounts for a block.
func (t takings) add(block map[string]int) {
	for org := range t {
		if t[org] *= meterDecay; t[org] < forgotten {
			delete(t, org)
		}
	}
	for org, n := range block {
		t[org] += float64(n)
	}
}

// flooded reports whether somebody floods and somebody else sends little, when what is waiting counts as well.
func (t takings) flooded(turns []*turn) bool {
	waiting := make(map[string]int, len(turns))
	for _, turn := range turns {
		waiting[turn.line.org] = len(turn.waiting)
	}
	least, most, total, orgs := math.Inf(1), 0.0, 0.0, 0.0
	count := func(n float64) { least, most, total, orgs = min(least, n), max(most, n), total+n, orgs+1 }
	for org, n := range t {
		count(n + float64(waiting[org]))
	}
	for org, n := range waiting {
		if _, counted := t[org]; !counted {
			count(float64(n))
		}
	}
	return least < littlePart*total/orgs && most > total/2
}

// mostLocked returns how many transactions a block may hold, given who has something for it.
func (p *Pool) mostLocked(turns []*turn) int {
	if !p.takings.flooded(turns) {
		return math.MaxInt
	}
	return max(p.drain.in(time.Duration(shortBlocks*float64(p.cfg.BlockInterval()))), leastShort)
}
