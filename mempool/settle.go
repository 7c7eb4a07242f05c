package mempool

import (
	"context"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

const (
	// freshRation is how many empty blocks in a row may pass a new transaction by before the pool begins to doubt: one
	// because the newest block was old, one from a proposer that has not heard of it, one to spare.
	freshRation = 3
	// grace is how long after an expiry the pool begins to settle it, so that nodes whose clocks differ a little do so
	// together.
	grace = time.Second
	// slot is what the times of Settle are rounded up to.
	slot = 10 * time.Second

	minPause = time.Second
	maxPause = time.Hour
	// settlePause passes between two groups of accepted transactions that are settled, settleMost at most if blocks come that
	// settle nothing.
	settlePause = 5 * time.Second
	settleMost  = time.Minute
)

// appetite bounds how many empty blocks in a row the pool asks for: first as many as it was fed, then a ration after
// each of a series of pauses, every one twice as long as the one before, from least to most.
type appetite struct {
	ration      int
	least, most time.Duration

	blocks int
	pause  time.Duration
	resume time.Time
}

// feed forgets all pauses.
func (a *appetite) feed(blocks int) { a.blocks, a.pause, a.resume = blocks, 0, time.Time{} }

// allows reports whether another empty block may be asked for.
func (a *appetite) allows(now time.Time) bool { return a.blocks > 0 && !now.Before(a.resume) }

// spend accounts for an empty block.
func (a *appetite) spend(now time.Time) {
	if a.blocks--; a.blocks <= 0 {
		a.rest(now)
	}
}

// rest begins a pause.
func (a *appetite) rest(now time.Time) {
	a.pause = min(max(2*a.pause, a.least), a.most)
	a.resume = now.Add(a.pause)
	a.blocks = a.ration
}

// begin allows a ration for a new group, after the grace.
func (a *appetite) begin(now time.Time) {
	a.blocks = a.ration
	if until := now.Add(grace); a.resume.Before(until) {
		a.resume = until
	}
}

// digest accounts for an empty block that came while there were things to settle; left says whether any are left.
func (a *appetite) digest(left bool, now time.Time) {
	switch {
	case !a.allows(now):
	case !left:
		a.rest(now)
	default:
		a.spend(now)
	}
}

// WantsBlock reports whether a block made now would contain or settle something. On a network where nothing happens it
// becomes false after a bounded number of empty blocks; DESIGN.md counts them.
func (p *Pool) WantsBlock() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	p.passLocked(now)
	return p.wantsLocked(now)
}

func (p *Pool) wantsLocked(now time.Time) bool {
	return p.pending.live > 0 && p.hungry.allows(now) ||
		len(p.pending.overdue) > 0 && p.settling.allows(now) ||
		len(p.pending.asked) > 0 && p.answering.allows(now)
}

// passLocked notices what has expired by wall clock. The first one begins a settlement.
func (p *Pool) passLocked(now time.Time) {
	settled, answered := len(p.pending.overdue) == 0, len(p.pending.asked) == 0
	p.pending.pass(now.UnixNano())
	if settled && len(p.pending.overdue) > 0 {
		p.settling.begin(now)
	}
	if answered && len(p.pending.asked) > 0 {
		p.answering.begin(now)
	}
}

// Settle asks for a block whose time is past expiresAt, once the wall clock is. It is for a client that waits for a
// transaction this pool does not hold. Requests are rounded up to ten seconds, those of one slot are one, and all of them
// together get two empty blocks at a time with ever longer pauses, because anybody can invent them. They delay nothing that
// was accepted. One that lies further ahead than an expiry may is ignored.
func (p *Pool) Settle(expiresAt time.Time) {
	most := p.cfg.MaxExpiry()
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	if !expiresAt.After(p.blockTime) || expiresAt.After(now.Add(most)) {
		return
	}
	at := expiresAt.Add(slot - 1).Truncate(slot).UnixNano()
	if p.pending.requests[at] != nil || len(p.pending.requests) >= maxGhosts {
		return
	}
	e := &entry{expiresAt: at}
	p.pending.requests[at] = e
	p.pending.wait(e, &p.pending.future)
	notify(p.rearm)
}

// unsettled returns the last expiry that this node wants settled now, in nanoseconds since 1970, 0 for none.
func (p *Pool) unsettled() (expiresAt int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unsettledLocked(p.cfg.Now())
}

func (p *Pool) unsettledLocked(now time.Time) (expiresAt int64) {
	if p.settling.allows(now) {
		expiresAt = p.pending.overdue.last()
	}
	if p.answering.allows(now) {
		expiresAt = max(expiresAt, p.pending.asked.last())
	}
	return expiresAt
}

// Commit forgets what a block contains and what no later block can contain, and returns the ids of the latter: they were
// accepted here, are not committed, and have finally expired. authority says whether the block changed who may act for an account,
// so that some of what is pending may have lost its authority; whatever else Authorize refuses is not looked for again. The state
// machine calls it once per block, after the block's ids are visible to Committed and its state to Authorize.
func (p *Pool) Commit(height uint64, blockTime time.Time, ids []tx.ID, authority bool) (expired []tx.ID) {
	expired, committed := p.commit(height, blockTime, ids, authority)
	p.cfg.Verifier.forget(committed, p.cfg.Limits())
	return expired
}

func (p *Pool) commit(height uint64, blockTime time.Time, ids []tx.ID, authority bool) (expired []tx.ID, committed []*tx.Tx) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	settling, answering := len(p.pending.overdue) > 0, len(p.pending.asked) > 0
	p.passLocked(now)
	p.height, p.blockTime = height, blockTime
	if authority {
		p.authority = height
	}
	own, block := 0, map[string]int{}
	for _, id := range ids {
		if p.admitting != nil {
			p.admitting[id] = struct{}{}
		}
		if e := p.pending.byID[id]; e != nil {
			block[e.line.org]++
			p.pending.remove(e, false)
			committed = append(committed, e.tx)
			p.counts.Committed++
			if e.own {
				own++
			}
		} else if ghost := p.pending.ghosts[id]; ghost != nil {
			p.pending.forget(ghost)
		}
	}
	p.takings.add(block)
	p.drainLocked(len(ids), own, now)
	expired = p.pending.expire(blockTime.UnixNano())
	p.counts.Expired += uint64(len(expired))
	if len(expired) > 0 {
		p.settling.pause = 0 // settlement works
	}
	if len(ids) > 0 {
		p.hungry.feed(freshRation)
		p.settling.feed(p.settling.ration)
		p.answering.feed(p.answering.ration)
	} else {
		p.digestLocked(settling, answering, now)
	}
	notify(p.recheck)
	notify(p.rearm)
	return expired, committed
}

// digestLocked adjusts the appetites to an empty block. settling and answering say whether there was something of that kind
// to be settled when it came.
func (p *Pool) digestLocked(settling, answering bool, now time.Time) {
	if p.pending.live > 0 && p.hungry.allows(now) {
		p.hungry.spend(now)
	}
	if settling {
		p.settling.digest(len(p.pending.overdue) > 0, now)
	}
	if answering {
		p.answering.digest(len(p.pending.asked) > 0, now)
	}
}

// drainLocked measures how fast blocks take transactions away, and those of this node's clients among them for as long as some who
// were turned away are to come back: what blocks took when there was little says nothing of what they can.
func (p *Pool) drainLocked(n, own int, now time.Time) {
	last := p.counts.lastCommit
	p.counts.lastCommit = now
	if n == 0 || last.IsZero() {
		return
	}
	if p.since.Sub(last) < now.Sub(last)/4 { // the pool was hardly ever empty in between
		p.tempo.add(n, min(now.Sub(last), maxRetry), p.takings.flooder(nil) != "")
	}
	if p.since.After(last) {
		last = p.since // before that there was nothing to take
	}
	took := min(max(now.Sub(last), 0), maxRetry)
	p.drain.add(n, took)
	if now.Before(p.nextReturn) {
		p.ownDrain.add(own, took)
	} else {
		p.ownDrain = meter{}
	}
}

// watchClock wakes consensus when time alone makes a block worth while.
func (p *Pool) watchClock(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.rearm:
		case <-timer.C:
		}
		wants, next := p.look()
		if wants {
			notify(p.wake)
		}
		timer.Reset(next)
	}
}

// look returns whether a block is wanted now, and when to look again.
func (p *Pool) look() (wants bool, next time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	p.passLocked(now)
	if p.unsettledLocked(now) != 0 {
		notify(p.unrest)
	}
	next = maxPause
	if len(p.pending.future) > 0 {
		next = min(next, time.Unix(0, p.pending.future[0].expiresAt).Sub(now))
	}
	for _, waiting := range []struct {
		is     bool
		resume time.Time
	}{
		{p.pending.live > 0, p.hungry.resume},
		{len(p.pending.overdue) > 0, p.settling.resume},
		{len(p.pending.asked) > 0, p.answering.resume},
	} {
		if wait := waiting.resume.Sub(now); waiting.is && wait > 0 {
			next = min(next, wait)
		}
	}
	return p.wantsLocked(now), next
}
