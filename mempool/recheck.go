package mempool

import (
	"context"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// recheckMost is how many pending transactions are authorised again at a time, those that were authorised longest ago
// first: some milliseconds of one core. After the commit of a block that changes accounts that is all. Whatever slips through
// is found by Reap, which checks everything.
const recheckMost = 2000

// Recheck has everything that is pending authorised again by the newest state, soon and in slices, because some of it may
// have lost its authority, for instance by the suspension of an organisation that signs but does not pay. The state
// must be visible to Authorize already.
func (p *Pool) Recheck() {
	p.mu.Lock()
	p.pending.round++
	p.pending.stale = len(p.pending.byID)
	p.mu.Unlock()
	notify(p.recheck)
}

// recheckPending drops pending transactions that the newest state does not authorise any more, for instance because a
// key was revoked: after each commit a slice of those that were authorised before a block that can have changed it, after a call
// of Recheck all, slice after slice.
func (p *Pool) recheckPending(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.recheck:
		}
		for {
			more, err := p.recheckSlice(ctx)
			if err != nil || ctx.Err() != nil {
				return err
			}
			if !more {
				break
			}
			if !p.breathe(ctx) {
				return nil
			}
		}
	}
}

// recheckSlice authorises one slice again. It reports whether a call of Recheck wants more, and returns an error only if the
// machine failed.
func (p *Pool) recheckSlice(ctx context.Context) (more bool, err error) {
	entries, height, round := p.longestUnchecked()
	for _, e := range entries {
		if ctx.Err() != nil {
			return false, nil
		}
		err := p.cfg.Authorize(e.tx)
		if err == nil {
			continue
		}
		if _, rejected := tx.CodeOf(err); !rejected {
			if ctx.Err() != nil {
				return false, nil
			}
			return false, err
		}
		if p.forgo(e) {
			p.dropped(e, err)
		}
	}
	return p.checked(entries, height, round), nil
}

// breathe leaves the processor to others between two slices. It reports whether the context still lives.
func (p *Pool) breathe(ctx context.Context) bool {
	timer := time.NewTimer(max(p.cfg.BatchPace, 0))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// longestUnchecked returns pending transactions that may have lost their authority since they were authorised, or that were not
// authorised since the last call of Recheck, with the height and the round that they will have been authorised for.
func (p *Pool) longestUnchecked() (entries []*entry, height, round uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for el := p.pending.byCheck.Front(); el != nil && len(entries) < recheckMost; el = el.Next() {
		e := el.Value.(*entry)
		if e.checked >= p.authority && e.round == p.pending.round {
			break // and so are all that follow
		}
		entries = append(entries, e)
	}
	return entries, p.height, p.pending.round
}

// checked notes that entries were authorised on a state not older than height, for a round. It reports whether the round
// is not finished.
func (p *Pool) checked(entries []*entry, height, round uint64) (more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts.Rechecked += uint64(len(entries))
	// What was judged later, after a commit in between, stays behind them.
	mark := p.pending.checkedBefore(height, round)
	for _, e := range entries {
		if e.gone {
			continue
		}
		if e.round < p.pending.round && round == p.pending.round {
			p.pending.stale--
		}
		e.checked, e.round = height, round
		if mark != nil {
			p.pending.byCheck.MoveAfter(e.element, mark)
			mark = e.element
		}
	}
	return len(entries) > 0 && p.pending.stale > 0
}

// forgo removes a pending transaction without holding it against its bytes: the key may be listed again. It reports whether
// the transaction was still pending.
func (p *Pool) forgo(e *entry) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.forgoLocked(e)
}

func (p *Pool) forgoLocked(e *entry) bool {
	if e.gone {
		return false
	}
	p.pending.remove(e, true)
	p.counts.Dropped++
	return true
}
