package loadgen

import (
	"container/heap"
	"context"
	"errors"
	"io"
	"sync"
	"time"
)

// Reasons by which answers and errors are counted beside those that nodes give.
const (
	// ReasonBacklog: it was due, and more were due already than may wait.
	ReasonBacklog = "BACKLOG"
	// ReasonUnsent: it was due, and had not been sent when the time for that was over.
	ReasonUnsent = "UNSENT"
	// ReasonUnanswered: no node has said in time what became of it, and it stands in no block.
	ReasonUnanswered = "UNANSWERED"
	// ReasonPending: the node took it, and does not say more. It is asked again, and that is no refusal.
	ReasonPending = "PENDING"
	// ReasonBusy: it was sent again and again, and refused each time, until it was too late.
	ReasonBusy = "BUSY"
)

const (
	// reconnectPause is how long to wait before a broken connection is made again, at the next node.
	reconnectPause = 100 * time.Millisecond
	// askAgain is how long to wait before a transaction is sent again of which the node did not say what became of it.
	askAgain = 250 * time.Millisecond
	// leastPause bounds from below what a busy node says.
	leastPause = time.Millisecond
)

// flight is a transaction under way.
type flight struct {
	tx    Tx
	due   time.Time
	tag   uint64
	again time.Time // when it is to be sent again; zero while it is with the node
	busy  bool      // the node has refused it at least once
}

// worker is one connection. Transactions that it has sent and that have no answer are sent again when it breaks.
type worker struct {
	*lane
	target Target
	at     int // the node it talks to

	mu      sync.Mutex
	open    map[uint64]*flight // without an outcome
	waiting waiting            // those of open that are to be sent again
	tags    uint64

	wake chan struct{} // holds a token when something has changed
}

func newWorker(l *lane, target Target) *worker {
	return &worker{lane: l, target: target, at: l.node, open: map[uint64]*flight{}, wake: make(chan struct{}, 1)}
}

// run works until nothing more is due and everything has an outcome, or ctx ends. What has none then is handed to the ledger,
// which looks whether blocks hold it.
func (w *worker) run(ctx context.Context) error {
	defer w.giveUp()
	for {
		done, err := w.session(ctx)
		if done || ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(reconnectPause):
		case <-ctx.Done():
			return nil
		}
		w.at = w.next(w.at)
		w.record.reconnected(w.sendAllAgain())
	}
}

// session opens a stream and uses it until it breaks, or there is nothing more to do. The error is one that ends the run.
func (w *worker) session(ctx context.Context) (done bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := w.target.Open(ctx, w.at)
	if err != nil {
		return false, nil
	}
	broken := make(chan struct{})
	var receiving sync.WaitGroup
	defer receiving.Wait()
	receiving.Go(func() {
		defer close(broken)
		for {
			a, err := stream.Recv()
			if err != nil {
				// The end of all answers is no break: who sends knows by then that there is nothing more to do.
				if !errors.Is(err, io.EOF) {
					cancel()
				}
				return
			}
			w.take(a, time.Now())
		}
	})
	done, err = w.feed(ctx, stream, broken)
	if done {
		// Answers that nobody needs any more may still come; the stream ends with the context.
		_ = stream.CloseSend()
	}
	cancel()
	return done, err
}

// feed sends what is due. It returns true when nothing more is and everything has an outcome.
func (w *worker) feed(ctx context.Context, stream Stream, broken <-chan struct{}) (done bool, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	ended := false // nothing new is due any more
	for {
		now := time.Now()
		f, next, under := w.again(now)
		if f != nil {
			if stream.Send(f.tag, f.tx.Raw) != nil {
				return false, nil
			}
			continue
		}
		ended = ended || (w.jobs == nil && w.over(now))
		if ended && under == 0 {
			return true, nil
		}
		room := !ended && under < w.room(now)
		if room && w.jobs == nil {
			w.record.due(now)
			if ok, err := w.launch(ctx, stream, now); !ok || err != nil {
				return false, err
			}
			continue
		}
		var jobs <-chan time.Time
		if room {
			jobs = w.jobs
		}
		timer.Reset(w.pause(now, next))
		select {
		case due, more := <-jobs:
			if !more {
				ended = true
				continue
			}
			if ok, err := w.launch(ctx, stream, due); !ok || err != nil {
				return false, err
			}
		case <-w.wake:
		case <-timer.C:
		case <-broken:
			return false, nil
		case <-ctx.Done():
			return false, nil
		}
	}
}

// room returns how many may be under way now.
func (w *worker) room(now time.Time) int {
	if w.jobs != nil {
		return w.limit
	}
	return max(1, int(float64(w.limit)*w.schedule.share(now)))
}

// pause returns how long there is nothing to do if nothing happens.
func (w *worker) pause(now, next time.Time) time.Duration {
	pause := time.Second
	if w.jobs == nil {
		if now.Sub(w.schedule.begin) < w.schedule.ramp {
			pause = 20 * time.Millisecond
		}
		if left := w.schedule.end.Sub(now); left > 0 {
			pause = min(pause, left)
		}
	}
	if !next.IsZero() {
		pause = min(pause, next.Sub(now))
	}
	return max(pause, 0)
}

// launch sends a new transaction. It returns false when the stream is broken; the transaction is sent again then.
func (w *worker) launch(ctx context.Context, stream Stream, due time.Time) (ok bool, err error) {
	t, err := w.supply.take(ctx)
	if err != nil {
		w.record.failed(due, ReasonUnsent)
		return false, nil
	}
	w.mu.Lock()
	w.tags++
	f := &flight{tx: t, due: due, tag: w.tags}
	w.open[f.tag] = f
	w.mu.Unlock()
	w.record.sent(time.Now())
	return stream.Send(f.tag, t.Raw) == nil, nil
}

// again returns a transaction that is to be sent again now, else when the next one is, and how many have no outcome.
func (w *worker) again(now time.Time) (f *flight, next time.Time, under int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) > 0 {
		if next = w.waiting[0].again; !next.After(now) {
			f = heap.Pop(&w.waiting).(*flight)
			f.again = time.Time{}
		}
	}
	return f, next, len(w.open)
}

// take judges an answer.
func (w *worker) take(a Answer, now time.Time) {
	w.mu.Lock()
	f := w.open[a.Tag]
	if f == nil || !f.again.IsZero() {
		w.mu.Unlock()
		return // answered twice: over a stream that was given up
	}
	switch a.Status {
	case Committed, Refused:
		delete(w.open, a.Tag)
	case Busy:
		f.busy = true
		w.later(f, now.Add(max(a.RetryAfter, leastPause)))
	default:
		w.later(f, now.Add(askAgain))
	}
	w.mu.Unlock()
	switch a.Status {
	case Committed:
		within := -1
		if a.Code == 0 {
			within = w.record.done(f.due, now)
		} else {
			w.record.failed(f.due, a.Reason)
		}
		w.ledger.acknowledge(a.Height, ack{id: f.tx.ID, code: a.Code, record: w.record, window: int8(within)})
	case Refused:
		w.record.failed(f.due, a.Reason)
		w.record.refused(now, false)
	default:
		w.record.again(a.Reason)
		if a.Status == Busy || a.Reason != ReasonPending {
			w.record.refused(now, a.Status == Busy)
		}
	}
	w.nudge()
}

// later makes a transaction be sent again. The lock is held.
func (w *worker) later(f *flight, at time.Time) {
	f.again = at
	heap.Push(&w.waiting, f)
}

func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// sendAllAgain makes everything without an outcome be sent again, and returns how many that are.
func (w *worker) sendAllAgain() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, sent := time.Now(), 0
	for _, f := range w.open {
		if f.again.IsZero() {
			w.later(f, now)
			sent++
		}
	}
	return sent
}

// giveUp hands over what has no outcome, and counts what was due and never sent.
func (w *worker) giveUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.open {
		reason := ReasonUnanswered
		if f.busy {
			reason = ReasonBusy
		}
		w.ledger.leaveOpen(f.tx.ID, lost{due: f.due, record: w.record, reason: reason})
	}
	for w.jobs != nil {
		select {
		case due, more := <-w.jobs:
			if !more {
				return
			}
			w.record.failed(due, ReasonUnsent)
		default:
			return
		}
	}
}

// waiting is a heap of transactions that are to be sent again, the next one on top.
type waiting []*flight

func (w waiting) Len() int           { return len(w) }
func (w waiting) Less(i, j int) bool { return w[i].again.Before(w[j].again) }
func (w waiting) Swap(i, j int)      { w[i], w[j] = w[j], w[i] }

// Push implements heap.Interface.
func (w *waiting) Push(x any) { *w = append(*w, x.(*flight)) }

// Pop implements heap.Interface.
func (w *waiting) Pop() any {
	last := len(*w) - 1
	f := (*w)[last]
	(*w)[last] = nil
	*w = (*w)[:last]
	return f
}
