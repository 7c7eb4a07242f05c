package mempool

import (
	"fmt"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// discardMost is how many transactions are given up at a time, so that nobody waits long for the pool.
const discardMost = 1000

// Discard gives up every pending transaction that an organisation pays for, as if a recheck had found it, and answers what
// waits to be verified and claims to be paid by it. It is for an organisation that was suspended or removed. Nothing is
// held against the transactions: they may be handed in again. The state that refuses them must be visible to Authorize
// already, and reason should be the [*tx.Rejection] that it refuses them with. What the organisation signs and another
// pays for is found by [Pool.Recheck].
func (p *Pool) Discard(org string, reason error) {
	if code, rejected := tx.CodeOf(reason); !rejected || code == ledgerv1.Code_CODE_OK {
		reason = tx.Reject(ledgerv1.Code_CODE_ORG_NOT_ACTIVE, "%s is not active: hand the transaction in when it is (%.*s)",
			org, maxReason, fmt.Sprint(reason))
	}
	entries := p.paidBy(org, reason)
	for len(entries) > 0 {
		n := min(len(entries), discardMost)
		for _, e := range p.discard(entries[:n]) {
			p.dropped(e, reason)
		}
		entries = entries[n:]
	}
	refused := p.queue.forget(org)
	for _, a := range refused {
		if a.from != nil {
			a.from.dropped.Add(1)
		} else {
			a.reply(nil, reason)
		}
	}
	p.mu.Lock()
	p.counts.Discarded += uint64(len(refused))
	p.mu.Unlock()
}

// paidBy returns what an organisation has pending, and keeps what is just being judged from becoming so.
func (p *Pool) paidBy(org string, reason error) (entries []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.admitting != nil {
		p.discarding[org] = reason
	}
	if l := p.pending.lines[org]; l != nil {
		entries = present(l.entries, l.txs)
	}
	return entries
}

// discard removes entries and returns those that were still pending.
func (p *Pool) discard(entries []*entry) (removed []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range entries {
		if p.forgoLocked(e) {
			p.counts.Discarded++
			removed = append(removed, e)
		}
	}
	return removed
}
