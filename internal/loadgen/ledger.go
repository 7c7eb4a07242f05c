package loadgen

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ack is what a node has acknowledged: that a transaction stands in a block with a code.
type ack struct {
	id     ID
	code   uint32
	window int8 // in which it was answered; -1 for none
	record *recorder
}

// lost is a transaction of which no node has said what became of it.
type lost struct {
	due    time.Time
	record *recorder
	reason string
}

// maxUnclaimed bounds how many transactions of blocks are remembered that nobody had acknowledged when the block was read.
const maxUnclaimed = 200_000

// ledger compares what nodes acknowledged with what stands in the blocks of one node.
type ledger struct {
	mu      sync.Mutex
	acks    map[uint64][]ack // by height, of blocks that have not been read
	waiting int              // how many those are
	highest uint64
	read    uint64 // the newest block that was read
	open    map[ID]lost
	blocks  blockStats
	faults  []string // what was acknowledged and is not so; the first ones
	wrong   uint64   // how many those are
	found   uint64   // of open, in blocks

	unclaimed map[ID]claim
}

// claim is a transaction of a block that nobody had acknowledged.
type claim struct {
	code uint32
	time time.Time
}

// blockStats are about the blocks that were read.
type blockStats struct {
	count, nonEmpty     int
	txs, foreign        uint64
	bytes, maxBytes     int64
	maxTxs              int
	firstTx, lastTx     time.Time // of the second and the last that is not empty
	gap                 time.Duration
	firstHeight, height uint64
	resumed             time.Time     // when load began again after a pause
	paused              time.Duration // for how long there was no block with a transaction around that
}

func newLedger() *ledger {
	return &ledger{acks: map[uint64][]ack{}, open: map[ID]lost{}, unclaimed: map[ID]claim{}}
}

func (l *ledger) acknowledge(height uint64, a ack) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.highest = max(l.highest, height)
	if height <= l.read {
		claimed, found := l.unclaimed[a.id]
		l.judge(a, height, claimed.code, found)
		delete(l.unclaimed, a.id)
		return
	}
	l.acks[height] = append(l.acks[height], a)
	l.waiting++
}

// judge compares what was acknowledged with what the block holds. The lock is held.
func (l *ledger) judge(a ack, height uint64, code uint32, found bool) {
	switch {
	case !found:
		l.fault("transaction %x was acknowledged in block %d, which does not hold it", a.id, height)
	case code != a.code:
		l.fault("transaction %x was acknowledged with code %d, block %d holds it with %d", a.id, a.code, height, code)
	case code == 0 && a.window >= 0:
		a.record.tallies[a.window].checked++
	}
}

// backlog returns how many acknowledgements have not been compared yet, and the newest block that they name.
func (l *ledger) backlog() (waiting int, highest uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting, l.highest
}

func (l *ledger) leaveOpen(id ID, what lost) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[id] = what
}

// check reads the blocks from one height to another and compares. The error is that of reading.
func (l *ledger) check(ctx context.Context, target Target, from, to uint64, progress Progress) error {
	next := from
	for b, err := range target.Blocks(ctx, from, to) {
		if err != nil {
			return fmt.Errorf("read the blocks: %w", err)
		}
		if b.Height != next {
			return fmt.Errorf("read the blocks: got %d in place of %d", b.Height, next)
		}
		next++
		l.compare(b)
		progress("compare blocks", int(b.Height-from)+1, int(to-from)+1)
	}
	if next <= to && ctx.Err() == nil {
		return fmt.Errorf("read the blocks: they end at %d, before %d", next-1, to)
	}
	return ctx.Err()
}

// compare settles what was acknowledged to stand in a block.
func (l *ledger) compare(b Block) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stands := make(map[ID]uint32, len(b.Txs))
	for _, t := range b.Txs {
		stands[t.ID] = t.Code
	}
	for _, a := range l.acks[b.Height] {
		code, found := stands[a.id]
		l.judge(a, b.Height, code, found)
		delete(stands, a.id)
	}
	l.waiting -= len(l.acks[b.Height])
	delete(l.acks, b.Height)
	l.read = b.Height
	for id, code := range stands {
		if len(l.unclaimed) < maxUnclaimed {
			l.unclaimed[id] = claim{code, b.Time}
		}
	}
	l.blocks.add(b)
}

// maxFaults is how many faults are told in words.
const maxFaults = 10

func (l *ledger) fault(format string, args ...any) {
	if l.wrong++; l.wrong <= maxFaults {
		l.faults = append(l.faults, fmt.Sprintf(format, args...))
	}
}

// settle decides what has no answer, after all blocks have been read, and what was acknowledged for blocks that are not there.
func (l *ledger) settle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for height, acks := range l.acks {
		for _, a := range acks {
			l.fault("transaction %x was acknowledged in block %d, which there is not", a.id, height)
		}
	}
	l.acks = nil
	for id, what := range l.open {
		claimed, found := l.unclaimed[id]
		if !found {
			what.record.failed(what.due, what.reason)
			continue
		}
		l.found++
		delete(l.unclaimed, id)
		if claimed.code != 0 {
			what.record.failed(what.due, fmt.Sprintf("CODE_%d", claimed.code))
			continue
		}
		for i, w := range what.record.windows {
			if w.holds(claimed.time) {
				what.record.tallies[i].checked++
			}
		}
	}
	l.blocks.foreign = uint64(len(l.unclaimed))
}

func (s *blockStats) add(b Block) {
	if s.count == 0 {
		s.firstHeight = b.Height
	}
	s.count++
	s.height = b.Height
	s.txs += uint64(len(b.Txs))
	s.bytes += b.Bytes
	if len(b.Txs) > 0 {
		// The time of a block is that of the decision on the one before it: that of the first is from before the load.
		switch s.nonEmpty++; {
		case s.nonEmpty == 2:
			s.firstTx = b.Time
		case s.nonEmpty > 2 && s.lastTx.Before(s.resumed) && !b.Time.Before(s.resumed):
			s.paused += b.Time.Sub(s.lastTx)
		case s.nonEmpty > 2:
			s.gap = max(s.gap, b.Time.Sub(s.lastTx))
		}
		s.lastTx = b.Time
		s.maxTxs, s.maxBytes = max(s.maxTxs, len(b.Txs)), max(s.maxBytes, b.Bytes)
	}
}

// resume says that load begins again after a pause, which is no gap between blocks.
func (l *ledger) resume(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.blocks.resumed = at
}

// newest returns the newest block that was read.
func (l *ledger) newest() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read
}
