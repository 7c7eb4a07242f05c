package mempool

import (
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// Use is what the state machine says about a transaction that might go into a block.
type Use uint8

const (
	// Keep leaves the transaction pending, but not for this block.
	Keep Use = iota
	// Take puts it into the block.
	Take
	// Drop removes it: the newest state refuses it. It may be handed in again, for instance when a key is listed again.
	Drop
	// Stop leaves it pending and ends the block here: the judgement itself failed.
	Stop
	// KeepOrg leaves it and everything else that its organisation pays for to another block, in the order in which it waits:
	// the organisation has its share of this one. It works as Keep if nothing of the organisation was taken, so that
	// a transaction larger than the share does not hold up its line for ever.
	KeepOrg
)

const (
	// quantum is how many bytes each organisation may put into a block per round.
	quantum = 512
	// maxCredit bounds what an organisation can be owed, in bytes: enough for the largest transaction.
	maxCredit = MaxTxBytes + 16
	// maxPassed is how many transactions of one organisation a block may pass by before it gives up on that
	// organisation. They go to the end of its line.
	maxPassed = 1000
)

// SizeInBlock returns how many bytes a transaction of n bytes adds to an encoded block: a tag, its length and itself. Bounds
// of blocks and of shares in them are counted so, as the engine counts.
func SizeInBlock(n int) int64 {
	return int64(1 + (bits.Len64(uint64(n)|1)+6)/7 + n)
}

// Reap chooses transactions for a block of at most maxBytes, counted as the engine counts them, and returns their bytes,
// which must not be modified. They stay pending until Commit. If the newest block is older than StaleBlock allows when
// measured by the time of this one, it returns nothing: the block will bring the clock forward.
//
// While one organisation floods and another sends little, the first gets no more than makes blocks a little slower.
//
// Organisations that pay take turns by bytes (deficit round robin); within an organisation, first come, first served.
// usable judges each candidate for this block, given those taken before it; what it says Take to is taken. With Drop it
// returns the reason, a [*tx.Rejection], which [Config.Dropped] hears; it may come back, see [Pool.Ban].
func (p *Pool) Reap(maxBytes int64, blockTime time.Time, usable func(*tx.Tx) (Use, error)) [][]byte {
	if p.cfg.Now().Sub(blockTime) > p.cfg.StaleBlock() {
		return nil
	}
	r := &reaping{room: maxBytes, most: maxBytes, usable: usable, turns: p.turns(blockTime)}
	r.fill()
	for _, d := range p.conclude(r.turns) {
		p.dropped(d.entry, d.reason)
	}
	return r.taken
}

// turn is one organisation's part in a block.
type turn struct {
	line    *line
	waiting []*entry // candidates, oldest first
	credit  int64    // bytes it may still put in
	passed  int
	taken   int
	limit   int  // how many may be taken
	full    bool // the organisation has its share of the block
	kept    []*entry
	dropped []drop
}

type drop struct {
	entry  *entry
	reason error
}

// reaping is a block being filled. It runs without the pool's lock, on copies.
type reaping struct {
	room, most int64
	usable     func(*tx.Tx) (Use, error)
	turns      []*turn
	taken      [][]byte
	stopped    bool
}

// turns returns the organisations with something that has not expired, those that are owed most first, otherwise each
// first in turn.
func (p *Pool) turns(blockTime time.Time) []*turn {
	p.mu.Lock()
	defer p.mu.Unlock()
	after := blockTime.UnixNano()
	turns := make([]*turn, 0, len(p.pending.lines))
	for _, l := range p.pending.lines {
		t := &turn{line: l, credit: l.credit, waiting: make([]*entry, 0, l.txs)}
		for _, e := range l.entries {
			if !e.gone && e.expiresAt > after {
				t.waiting = append(t.waiting, e)
			}
		}
		if len(t.waiting) > 0 {
			turns = append(turns, t)
		}
	}
	if len(turns) == 0 {
		return nil
	}
	p.limitLocked(turns)
	slices.SortFunc(turns, func(a, b *turn) int { return strings.Compare(a.line.org, b.line.org) })
	first := p.turn % len(turns)
	p.turn++
	turns = append(turns[first:], turns[:first]...)
	slices.SortStableFunc(turns, func(a, b *turn) int { return int(b.credit - a.credit) })
	return turns
}

// fill plays rounds until no organisation can put in more. In a round all get the same credit before anybody uses it, also
// those whose next transaction the block has become too full for: they are owed it in the next one.
func (r *reaping) fill() {
	active := slices.Clone(r.turns)
	for !r.stopped {
		step, playable := int64(maxCredit), false
		for _, t := range active {
			if r.fits(t.waiting[0]) {
				step, playable = min(step, t.waiting[0].size-t.credit), true
			}
		}
		if !playable {
			return
		}
		step = max(step, quantum) // at least one moves in every round
		for _, t := range active {
			t.credit += step
		}
		active = slices.DeleteFunc(active, func(t *turn) bool { return !r.stopped && !r.play(t) })
	}
}

// fits reports whether there is room for a transaction. One that no block has room for must not hold up its line.
func (r *reaping) fits(e *entry) bool { return e.size <= r.room || e.size > r.most }

// play puts in what an organisation has credit and the block has room for. It reports whether more is waiting.
func (r *reaping) play(t *turn) bool {
	for len(t.waiting) > 0 && t.passed < maxPassed {
		if t.taken == t.limit {
			break
		}
		e := t.waiting[0]
		if e.size > t.credit || !r.fits(e) {
			return true
		}
		use, reason := Keep, error(nil)
		if e.size <= r.room {
			use, reason = r.usable(e.tx)
		}
		if use == KeepOrg && t.taken > 0 {
			t.full, t.credit = true, 0 // what its own share keeps out nobody owes it
			return false
		}
		switch use {
		case Take:
			r.taken = append(r.taken, e.tx.Raw)
			r.room -= e.size
			t.credit -= e.size
			t.taken++
		case Drop:
			t.dropped = append(t.dropped, drop{e, reason})
			t.passed++
		case Stop:
			r.stopped = true
			return false
		default:
			t.kept = append(t.kept, e)
			t.passed++
		}
		t.waiting = t.waiting[1:]
	}
	t.credit = 0 // it had every chance
	return false
}

// conclude remembers what each organisation is owed, moves what was kept to the end of its line, so that it does not stand
// in the way of the next block, and removes what was dropped. It returns what was removed.
func (p *Pool) conclude(turns []*turn) (removed []drop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range turns {
		if t.full {
			p.counts.OrgBlocksFull++
		}
		t.line.credit = min(t.credit, maxCredit)
		if len(t.kept) > 0 {
			t.line.moveBack(t.kept)
		}
		for _, d := range t.dropped {
			if p.forgoLocked(d.entry) {
				removed = append(removed, d)
			}
		}
	}
	return removed
}

// moveBack moves entries to the end of the line in the order given.
func (l *line) moveBack(entries []*entry) {
	moved := make(map[*entry]bool, len(entries))
	for _, e := range entries {
		moved[e] = true
	}
	order := make([]*entry, 0, len(l.entries))
	for _, e := range l.entries {
		if !e.gone && !moved[e] {
			order = append(order, e)
		}
	}
	for _, e := range entries {
		if !e.gone {
			order = append(order, e)
		}
	}
	l.entries = order
}
