package mempool

import "time"

// What clients may have pending follows what blocks take away. A pool that is deep does not commit more: its blocks become larger
// and cost more each, every transaction in it was verified by all nodes long before it counts for anything, and it waits for so long
// that whoever sent it has given up. So clients are told early to come back, before anything is verified. Peers are not: what they pass
// on was admitted elsewhere, and would only have to be verified in a proposal.
const (
	// backlogTime and backlogBlocks are how much of what blocks take may be pending, whichever is more: in time, and in blocks,
	// because where they are rare one of them must always find enough.
	backlogTime   = 1500 * time.Millisecond
	backlogBlocks = 2
	// minBacklog may always be pending: a network that had little to do must find out what it can.
	minBacklog = 4096
	// longestReturn bounds when a client is told to come back.
	longestReturn = 30 * time.Second
)

// backlogLocked returns how many transactions may be pending before clients are told to come back.
func (p *Pool) backlogLocked() int {
	return min(max(p.drain.in(backlogTime), backlogBlocks*p.drain.each(), minBacklog), p.cfg.MaxTxs)
}

// freeLocked returns how many more transactions clients may hand in, or a [*FullError] for one that should come later. It says that it
// is paid by org, which nobody has verified: who lies about it is measured by another's share. An organisation may have as much as is
// still free, but never less than if all who have something had the same: what others got in by way of peers shuts nobody out.
func (p *Pool) freeLocked(org string) (int, error) {
	backlog, orgs, held := p.backlogLocked(), len(p.pending.lines), 0
	if l := p.pending.lines[org]; l != nil {
		held = l.txs
	} else {
		orgs++
	}
	free, equal := backlog-len(p.pending.byID), max(backlog/(orgs+1), 1)
	if held >= max(free, equal) {
		return 0, &FullError{What: "the share of " + org, RetryAfter: p.returnLocked()}
	}
	return max(free, equal-held), nil
}

// returnLocked returns when a client that is turned away should come back. Those who are turned away get times one after another, at
// the rate at which blocks take what this node's clients hand in: if all came at once, turning them away would be all the work there is.
// At first, before a block tells that rate, it is taken for the one at which the backlog goes.
func (p *Pool) returnLocked() time.Duration {
	now := p.cfg.Now()
	if soonest := now.Add(p.drain.until(1)); p.nextReturn.Before(soonest) {
		p.nextReturn = soonest
	}
	wait := min(p.nextReturn.Sub(now), longestReturn)
	p.nextReturn = now.Add(wait + p.ownDrain.pace(backlogTime/time.Duration(p.backlogLocked())))
	return wait.Round(time.Millisecond)
}
