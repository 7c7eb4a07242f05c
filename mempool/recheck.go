package mempool

import (
	"context"

	"github.com/althing-ledger/althing/proto/tx"
)

// recheckMost is how many pending transactions are authorised again after a commit, those that were authorised longest ago
// first: some milliseconds of one core. Whatever slips through is found by Reap, which checks everything.
const recheckMost = 2000

// recheckPending drops, after each commit, pending transactions that the newest state does not authorise any more, for
// instance because a key was revoked.
func (p *Pool) recheckPending(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.recheck:
		}
		entries, height := p.longestUnchecked()
		for _, e := range entries {
			if ctx.Err() != nil {
				return nil
			}
			err := p.cfg.Authorize(e.tx)
			if err == nil {
				continue
			}
			if _, rejected := tx.CodeOf(err); !rejected {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
			if p.forgo(e) {
				p.dropped(e, err)
			}
		}
		p.checked(entries, height)
	}
}

// longestUnchecked returns pending transactions that were not authorised on the newest state, and its height.
func (p *Pool) longestUnchecked() (entries []*entry, height uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for el := p.pending.byCheck.Front(); el != nil && len(entries) < recheckMost; el = el.Next() {
		e := el.Value.(*entry)
		if e.checked >= p.height {
			break
		}
		entries = append(entries, e)
	}
	return entries, p.height
}

// checked notes that entries were authorised on a state not older than height.
func (p *Pool) checked(entries []*entry, height uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		if !e.gone {
			e.checked = height
			p.pending.byCheck.MoveToBack(e.element)
		}
	}
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
