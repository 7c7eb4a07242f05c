package mempool

import (
	"math"
	"time"
)

// While one organisation floods and another sends little, the first gets no more of a block than makes it come a little later. What the
// other sends is in the next block whatever the first does, but a large block comes late, and so does the one after it. Where
// several send much alike nobody floods, and large blocks are cheaper.
const (
	// littlePart is the part of an equal share of blocks below which an organisation sends little. Who sends floodFactor times as
	// much as anybody else floods.
	littlePart  = 0.25
	floodFactor = 2
	// shortExtra is how much longer than without a flood a block may take, as a part of that.
	shortExtra = 0.1
	// leastShort is how many transactions a flood may always have in a block, and as what is waiting counts at most: it may never be taken.
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

// flooder returns the organisation that floods while somebody else sends little, when what is waiting counts as well; "" for none.
func (t takings) flooder(turns []*turn) (org string) {
	sends := make(map[string]float64, len(t)+len(turns))
	for org, n := range t {
		sends[org] = n
	}
	for _, turn := range turns {
		sends[turn.line.org] += float64(min(len(turn.waiting), leastShort))
	}
	least, second, most, total := math.Inf(1), 0.0, 0.0, 0.0
	for name, n := range sends {
		least, total = min(least, n), total+n
		if n > most {
			org, second, most = name, most, n
		} else {
			second = max(second, n)
		}
	}
	if most > floodFactor*second && least < littlePart*total/float64(len(sends)) {
		return org
	}
	return ""
}

// tempo measures how long blocks take, and how much longer if they are large.
type tempo struct {
	quiet time.Duration // what a block takes that is not large; 0 if unknown
	extra meter         // transactions of large blocks, in the time those took longer
}

// add accounts for a block that came so long after the one before it.
func (t *tempo) add(n int, took time.Duration, flooded bool) {
	switch {
	case t.quiet == 0 || took < t.quiet && flooded:
		t.quiet = took
	case n < leastShort && !flooded:
		t.quiet = time.Duration(meterDecay*float64(t.quiet) + (1-meterDecay)*float64(took))
	}
	if n >= leastShort/2 {
		// One that stood still says nothing of how many transactions are too many.
		t.extra.add(n, min(max(took-t.quiet, time.Millisecond), 3*t.quiet))
	}
}

// most returns how many transactions a flood may have in a block.
func (t *tempo) most() int {
	return max(t.extra.in(time.Duration(shortExtra*float64(t.quiet))), leastShort)
}

// limitLocked bounds the turn of an organisation that floods.
func (p *Pool) limitLocked(turns []*turn) {
	flooder := p.takings.flooder(turns)
	for _, t := range turns {
		if t.limit = math.MaxInt; t.line.org == flooder {
			t.limit = p.tempo.most()
		}
	}
}
