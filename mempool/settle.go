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
)

// appetite bounds how many empty blocks in a row the pool asks for: first as many as it was fed, then a ration after
// each of a series of pauses, every one twice as long as the one before.
type appetite struct {
	ration int
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
	a.pause = min(max(2*a.pause, minPause), maxPause)
	a.resume = now.Add(a.pause)
	a.blocks = a.ration
}

// delay postpones the next block.
func (a *appetite) delay(until time.Time) {
	if a.resume.Before(until) {
		a.resume = until
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
	return p.pending.live > 0 && p.hungry.allows(now) || len(p.pending.overdue) > 0 && p.settling.allows(now)
}

// passLocked notices what has expired by wall clock. The first one begins a settlement.
func (p *Pool) passLocked(now time.Time) {
	quiet := len(p.pending.overdue) == 0
	p.pending.pass(now.UnixNano())
	if quiet && len(p.pending.overdue) > 0 {
		p.settling.blocks = p.settling.ration
		p.settling.delay(now.Add(grace))
	}
}

// Settle asks for a block whose time is past expiresAt, once the wall clock is. It is for a client that waits for a
// transaction this pool does not hold. Requests are rounded up to ten seconds, those of one slot are one, and they share the
// bounds on empty blocks with everything else; one that lies further ahead than an expiry may is ignored.
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
	if !p.settling.allows(p.cfg.Now()) {
		return 0
	}
	for _, e := range p.pending.overdue {
		expiresAt = max(expiresAt, e.expiresAt)
	}
	return expiresAt
}

// Commit forgets what a block contains and what no later block can contain, and returns the ids of the latter: they were
// accepted here, are not committed, and have finally expired. The state machine calls it once per block, after the block's
// ids are visible to Committed.
func (p *Pool) Commit(height uint64, blockTime time.Time, ids []tx.ID) (expired []tx.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.cfg.Now()
	settling := len(p.pending.overdue) > 0
	p.passLocked(now)
	p.height, p.blockTime = height, blockTime
	for _, id := range ids {
		if p.admitting != nil {
			p.admitting[id] = struct{}{}
		}
		if e := p.pending.byID[id]; e != nil {
			p.pending.remove(e, false)
			p.counts.Committed++
		} else if ghost := p.pending.ghosts[id]; ghost != nil {
			p.pending.forget(ghost)
		}
	}
	p.drainLocked(len(ids), now)
	expired = p.pending.expire(blockTime.UnixNano())
	p.counts.Expired += uint64(len(expired))
	p.digestLocked(len(ids) > 0, settling, now)
	notify(p.recheck)
	notify(p.rearm)
	return expired
}

// digestLocked adjusts the appetites to a block. settling says whether something was to be settled when it came.
func (p *Pool) digestLocked(filled, settling bool, now time.Time) {
	if filled {
		p.hungry.feed(freshRation)
		p.settling.feed(p.settling.ration)
		return
	}
	if p.pending.live > 0 && p.hungry.allows(now) {
		p.hungry.spend(now)
	}
	switch {
	case !settling || !p.settling.allows(now):
	case len(p.pending.overdue) == 0:
		p.settling.rest(now)
	default:
		p.settling.spend(now)
	}
}

// drainLocked measures how fast blocks take transactions away.
func (p *Pool) drainLocked(n int, now time.Time) {
	if last := p.counts.lastCommit; n > 0 && !last.IsZero() {
		p.drain.add(n, min(max(now.Sub(last), 0), maxRetry))
	}
	p.counts.lastCommit = now
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
	if len(p.pending.overdue) > 0 && p.settling.allows(now) {
		notify(p.unrest)
	}
	next = maxPause
	if len(p.pending.future) > 0 {
		next = min(next, time.Unix(0, p.pending.future[0].expiresAt).Sub(now))
	}
	if wait := p.hungry.resume.Sub(now); p.pending.live > 0 && wait > 0 {
		next = min(next, wait)
	}
	if wait := p.settling.resume.Sub(now); len(p.pending.overdue) > 0 && wait > 0 {
		next = min(next, wait)
	}
	return p.wantsLocked(now), next
}
