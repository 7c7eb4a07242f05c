package mempool

import (
	"maps"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// Counts is what a pool has done since it was made.
type Counts struct {
	// Accepted counts transactions that became pending.
	Accepted uint64
	// Waited is how long they took for it since they arrived, summed.
	Waited time.Duration
	// Known counts arrivals that were pending already, AlreadyCommitted those that a block held.
	Known, AlreadyCommitted uint64
	// Full counts arrivals turned away because a bound was reached, those of peers on the way in not included.
	Full uint64
	// Refused counts rejected arrivals by code.
	Refused map[tx.Code]uint64
	// Committed, Expired and Dropped count how pending transactions left: in a block, by a block's time, or because
	// this node gave them up.
	Committed, Expired, Dropped uint64
	// Discarded counts those among Dropped that [Pool.Discard] gave up, and arrivals that it refused.
	Discarded uint64
	// Rechecked counts how often a pending transaction was authorised again.
	Rechecked uint64
	// OrgBlocksFull counts how often [Pool.Reap] heard [KeepOrg]: an organisation had its share of a block.
	OrgBlocksFull uint64

	lastCommit time.Time
}

func (c *Counts) refuse(err error) {
	code, _ := tx.CodeOf(err)
	if c.Refused == nil {
		c.Refused = map[tx.Code]uint64{}
	}
	c.Refused[code]++
}

// Stats is a pool at one moment.
type Stats struct {
	Counts
	// Txs and Bytes are what is pending, Orgs how many organisations pay for it.
	Txs   int
	Bytes int64
	Orgs  int
	// QueuedFromClients and QueuedFromPeers count arrivals that wait for a verdict, those being verified included.
	QueuedFromClients, QueuedFromPeers int
	// QueuedBytes is their size, Sources how many clients and peers they come from.
	QueuedBytes int64
	Sources     int
	// Quarantined counts the transactions that are refused for a while.
	Quarantined int
	// Verifier is what the pool's verifier has done, for everybody.
	Verifier VerifierStats
}

// Stats returns a snapshot.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	s := Stats{
		Counts: p.counts, Txs: len(p.pending.byID), Bytes: p.pending.bytes, Orgs: len(p.pending.lines),
		Quarantined: p.quarantine.Len() / 2,
	}
	s.Refused = maps.Clone(p.counts.Refused)
	p.mu.Unlock()
	p.queue.mu.Lock()
	s.QueuedFromClients, s.QueuedFromPeers = p.queue.clients.txs, p.queue.peers.txs
	s.QueuedBytes, s.Sources = p.queue.all.bytes, len(p.queue.clients.parts)+len(p.queue.peers.parts)
	p.queue.mu.Unlock()
	s.Verifier = p.cfg.Verifier.Stats()
	return s
}
