package mempool

import (
	"bytes"
	"sync"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// minWindow is the number of arrivals from clients that may always wait, however slow verification is.
const minWindow = 1024

// window is how long an arrival from a client may have to wait for its verdict. More would only be work that is done
// while blocks are late.
const window = time.Second

// arrival is a transaction that nobody has looked at yet.
type arrival struct {
	raw   []byte
	from  *source             // the peer that offered it, nil for a client
	reply func(*tx.Tx, error) // tells the client; nil for a peer
	at    time.Time
}

// source is a peer as the queue and the pool see it: what it occupies and what became of what it offered.
type source struct {
	name string

	// Guarded by the queue's mutex: what is waiting or being verified, and how much more may come.
	txs     int
	bytes   int64
	conduct conduct

	accepted, known, refused, dropped atomic.Uint64
}

// lane is one bounded line of arrivals. Those that are being verified still count.
type lane struct {
	waiting  []arrival
	txs      int
	bytes    int64
	maxTxs   int
	maxBytes int64
}

func (l *lane) push(a arrival) {
	l.waiting = append(l.waiting, a)
	l.txs++
	l.bytes += int64(len(a.raw))
}

// take moves up to n arrivals of at most room bytes, but at least one, to batch.
func (l *lane) take(batch []arrival, n int, room *int64) []arrival {
	taken := 0
	for taken < min(n, len(l.waiting)) {
		if *room -= int64(len(l.waiting[taken].raw)); *room < 0 && len(batch)+taken > 0 {
			break
		}
		taken++
	}
	batch = append(batch, l.waiting[:taken]...)
	clear(l.waiting[:taken]) // their bytes must not live as long as the array
	l.waiting = l.waiting[taken:]
	return batch
}

// queue holds arrivals until the worker takes them, in two lanes, so that neither clients nor peers can keep the others out.
type queue struct {
	ready chan struct{} // capacity 1: something waits
	full  chan struct{} // capacity 1: a whole batch waits
	batch int

	mu      sync.Mutex
	clients lane
	peers   lane
	closed  bool
	speed   meter // arrivals verified
}

func newQueue(cfg Config) *queue {
	bounds := lane{maxTxs: cfg.QueueTxs, maxBytes: cfg.QueueBytes}
	return &queue{ready: make(chan struct{}, 1), full: make(chan struct{}, 1), batch: cfg.BatchTxs, clients: bounds, peers: bounds}
}

// submit queues a client's arrival, or returns [*FullError] or [ErrClosed].
func (q *queue) submit(a arrival) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	most := q.clients.maxTxs
	if able := q.speed.in(window); able > 0 {
		most = min(most, max(able, minWindow))
	}
	if q.clients.txs >= most || q.clients.bytes+int64(len(a.raw)) > q.clients.maxBytes {
		return &FullError{What: "the queue of arrivals", RetryAfter: q.speed.until(q.clients.txs / 2)}
	}
	q.clients.push(a)
	q.signal()
	return nil
}

// offer queues what a peer offers, as far as there is room, and returns how many were dropped. A peer may occupy no more
// than is still free: alone half the lane, and there is always room for another peer. One whose offers are mostly bad is
// listened to less.
func (q *queue) offer(from *source, raws [][]byte, at time.Time) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	refused := from.refused.Load()
	allowed := from.conduct.allowance(len(raws), from.accepted.Load()+refused, refused, at)
	fit := 0
	for ; fit < allowed && !q.closed; fit++ {
		size := int64(len(raws[fit]))
		if from.txs >= q.peers.maxTxs-q.peers.txs || from.bytes+size > q.peers.maxBytes-q.peers.bytes {
			break
		}
		from.txs++
		from.bytes += size
		q.peers.push(arrival{raw: raws[fit], from: from, at: at})
	}
	dropped = len(raws) - fit
	if dropped > 0 {
		// The dropped ones share their memory with the others, and would stay with them, uncounted.
		kept := q.peers.waiting[len(q.peers.waiting)-fit:]
		for i := range kept {
			kept[i].raw = bytes.Clone(kept[i].raw)
		}
	}
	q.signal()
	return dropped
}

func (q *queue) signal() {
	waiting := len(q.clients.waiting) + len(q.peers.waiting)
	if waiting > 0 {
		notify(q.ready)
	}
	if waiting >= q.batch {
		notify(q.full)
	}
}

// take returns the next batch, half from each lane if both have enough.
func (q *queue) take() []arrival {
	q.mu.Lock()
	defer q.mu.Unlock()
	room := int64(maxBatchBytes)
	batch := q.clients.take(nil, max(q.batch/2, q.batch-len(q.peers.waiting)), &room)
	batch = q.peers.take(batch, q.batch-len(batch), &room)
	q.signal()
	return batch
}

// whole reports whether as many wait as a batch can hold.
func (q *queue) whole() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.clients.waiting)+len(q.peers.waiting) >= q.batch
}

// done gives back the room of a batch that was worked on for so long.
func (q *queue) done(batch []arrival, took time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, a := range batch {
		l := &q.clients
		if a.from != nil {
			l = &q.peers
			a.from.txs--
			a.from.bytes -= int64(len(a.raw))
		}
		l.txs--
		l.bytes -= int64(len(a.raw))
	}
	q.speed.add(len(batch), took)
}

// close refuses everything from now on and returns what still waited.
func (q *queue) close() []arrival {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	left := append(q.clients.waiting, q.peers.waiting...)
	q.clients.waiting, q.peers.waiting = nil, nil
	return left
}

// notify puts a token into a channel of capacity 1 unless one is there.
func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
