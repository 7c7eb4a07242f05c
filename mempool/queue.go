package mempool

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// minWindow is the number of arrivals from clients that may always wait, however slow verification is: three times a batch,
// because one line alone gets a third.
const minWindow = 3 * 1024

// window is how long an arrival from a client may have to wait for its verdict. More would only be work that is done
// while blocks are late.
const window = time.Second

// arrival is a transaction that nobody has looked at yet.
type arrival struct {
	raw   []byte
	from  *source             // the peer that offered it, nil for a client
	reply func(*tx.Tx, error) // tells the client; nil for a peer
	at    time.Time
	line  *flow // in which it waited
}

// cost is about what its verification takes, in bytes.
func (a *arrival) cost() int64 { return arrivalCost + int64(len(a.raw)) }

// source is a peer as the queue and the pool see it: what became of what it offered.
type source struct {
	name    string
	conduct conduct // guarded by the queue's mutex

	accepted, known, refused, dropped atomic.Uint64
}

// queue holds arrivals until the worker takes them, in two lanes, so that neither clients nor peers can keep the others
// out. Within a lane sources take turns, within a source the organisations that its arrivals claim to be paid by.
type queue struct {
	ready chan struct{} // capacity 1: something waits
	full  chan struct{} // capacity 1: a whole batch waits
	batch int
	// maxTxs and maxBytes bound each lane. What is being verified still counts.
	maxTxs   int
	maxBytes int64

	mu      sync.Mutex
	all     *flow
	clients *flow
	peers   *flow
	closed  bool
	speed   meter // arrivals verified
}

func newQueue(cfg Config) *queue {
	all := newFlow(nil, "all")
	return &queue{
		ready: make(chan struct{}, 1), full: make(chan struct{}, 1),
		batch: cfg.BatchTxs, maxTxs: cfg.QueueTxs, maxBytes: cfg.QueueBytes,
		all: all, clients: newFlow(all, "clients"), peers: newFlow(all, "peers"),
	}
}

// fits reports whether an arrival finds room. A line may hold no more than what its source, and a source no more than what
// its lane has left: a line alone gets a third of the lane, however many it is offered. Another line finds a third of
// that, another source half of what is left, and so on.
func (q *queue) fits(lane *flow, source, org string, size, mostTxs int) bool {
	txs, bytes := lane.txs, lane.bytes
	if s := lane.parts[source]; s != nil {
		txs, bytes = txs+s.txs, bytes+s.bytes
		if l := s.parts[org]; l != nil {
			txs, bytes = txs+l.txs, bytes+l.bytes
		}
	}
	return txs < mostTxs && bytes < q.maxBytes && lane.bytes+int64(size) <= q.maxBytes
}

// push queues an arrival, and returns it where it waits.
func push(lane *flow, source, org string, a arrival) *arrival {
	a.line = lane.part(source, false).part(org, true)
	a.line.push(&a)
	return &a
}

// submit queues an arrival from a client, or returns [*FullError] or [ErrClosed]. org is the one that it claims to be paid by, free how many
// may become pending.
func (q *queue) submit(client, org string, free int, a arrival) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	most := q.maxTxs
	if able := q.speed.in(window); able > 0 {
		most = min(most, max(able, minWindow))
	}
	most = min(most, max(free, q.batch))
	if !q.fits(q.clients, client, org, len(a.raw), most) {
		return &FullError{What: "the queue of arrivals", RetryAfter: q.speed.until(q.clients.txs / 2)}
	}
	push(q.clients, client, org, a)
	q.signal()
	return nil
}

// offer queues what a peer offers, as far as there is room, and returns how many were dropped. One whose offers are mostly
// bad is listened to less.
func (q *queue) offer(from *source, raws [][]byte, at time.Time) (dropped int) {
	orgs := make([]string, len(raws))
	for i, raw := range raws {
		orgs[i] = claimedOrg(raw)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return len(raws)
	}
	refused := from.refused.Load()
	allowed := from.conduct.allowance(len(raws), from.accepted.Load()+refused, refused, at)
	kept := make([]*arrival, 0, allowed)
	for i, raw := range raws[:allowed] {
		if q.fits(q.peers, from.name, orgs[i], len(raw), q.maxTxs) {
			kept = append(kept, push(q.peers, from.name, orgs[i], arrival{raw: raw, from: from, at: at}))
		}
	}
	dropped = len(raws) - len(kept)
	if dropped > 0 {
		// The dropped ones share their memory with the others, and would stay with them, uncounted.
		for _, a := range kept {
			a.raw = bytes.Clone(a.raw)
		}
	}
	q.signal()
	return dropped
}

func (q *queue) signal() {
	if q.all.waiting > 0 {
		notify(q.ready)
	}
	if q.all.waiting >= q.batch {
		notify(q.full)
	}
}

// take returns the next batch.
func (q *queue) take() (batch []arrival) {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := int64(maxBatchBytes)
	for len(batch) < q.batch && q.all.waiting > 0 {
		if room -= int64(len(q.all.first().raw)); room < 0 && len(batch) > 0 {
			break
		}
		batch = append(batch, q.all.pop())
	}
	q.signal()
	return batch
}

// whole reports whether as many wait as a batch can hold.
func (q *queue) whole() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.all.waiting >= q.batch
}

// done gives back the room of a batch that was worked on for so long.
func (q *queue) done(batch []arrival, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range batch {
		a.line.release(len(a.raw))
	}
	q.speed.add(len(batch), took)
}

// forget takes out what waits and claims to be paid by an organisation.
func (q *queue) forget(org string) (gone []*arrival) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, lane := range []*flow{q.clients, q.peers} {
		for _, source := range lane.parts {
			if line := source.parts[org]; line != nil {
				gone = append(gone, line.empty()...)
			}
		}
	}
	return gone
}

// close refuses everything from now on and returns what still waited.
func (q *queue) close() []arrival {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	left := make([]arrival, 0, q.all.waiting)
	for q.all.waiting > 0 {
		left = append(left, q.all.pop())
	}
	return left
}

// notify puts a token into a channel of capacity 1 unless one is there.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
