package loadgen

import (
	"sync"
	"time"
)

// window is a stretch of measured time.
type window struct {
	begin, end  time.Time
	first, last sample // when it begins and ends
}

// cut ends the window no later than now.
func (w *window) cut(now time.Time) {
	if w.begin.After(now) {
		w.begin = now
	}
	if w.end.After(now) {
		w.end = now
	}
}

func (w *window) seconds() float64 { return w.end.Sub(w.begin).Seconds() }

func (w *window) holds(t time.Time) bool { return !t.Before(w.begin) && t.Before(w.end) }

// tally is what is counted of one group of senders in one window.
type tally struct {
	latency Histogram
	// answered is how many were answered within the window as committed with code 0, checked how many of them stand in blocks.
	answered, checked uint64
	due, sent         uint64 // fell due, and were sent for the first time, within the window
	errors            map[string]uint64
	// refused in the window: delayed with a time after which to come again, flatly without one.
	delayed, flatly uint64
}

// second is what is counted within one second of a run.
type second struct {
	committed uint64
	p50, p99  time.Duration
}

// recorder counts what becomes of the transactions of one group of senders.
type recorder struct {
	mu      sync.Mutex
	windows []*window
	tallies []*tally

	zero    time.Time // when the load began
	seconds []second
	current Histogram
	at      int // the second that current is of

	committed, resent uint64
	busy              map[string]uint64 // refusals after which the same was sent again, by reason
	reconnects        uint64
}

func newRecorder() *recorder {
	return &recorder{busy: map[string]uint64{}}
}

// begin says when load begins and what is measured of it. It is called before anything is counted, and again between two
// stretches of load.
func (r *recorder) begin(zero time.Time, windows []*window) {
	if r.zero.IsZero() {
		r.zero = zero
	}
	for _, w := range windows {
		r.windows = append(r.windows, w)
		r.tallies = append(r.tallies, &tally{errors: map[string]uint64{}})
	}
}

// maxReasons bounds how many different reasons are told apart.
const maxReasons = 64

func count(reasons map[string]uint64, reason string) {
	if _, known := reasons[reason]; !known && len(reasons) >= maxReasons {
		reason = "other"
	}
	reasons[reason]++
}

// due counts a transaction that fell due.
func (r *recorder) due(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range r.windows {
		if w.holds(at) {
			r.tallies[i].due++
		}
	}
}

// sent counts a transaction that was sent for the first time.
func (r *recorder) sent(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range r.windows {
		if w.holds(now) {
			r.tallies[i].sent++
		}
	}
}

// refused counts a refusal, by whether it came with a time after which to come again.
func (r *recorder) refused(now time.Time, withDelay bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range r.windows {
		switch {
		case !w.holds(now):
		case withDelay:
			r.tallies[i].delayed++
		default:
			r.tallies[i].flatly++
		}
	}
}

// failed counts a transaction that fell due at a time and is not committed.
func (r *recorder) failed(due time.Time, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, w := range r.windows {
		if w.holds(due) {
			count(r.tallies[i].errors, reason)
		}
	}
}

// again counts a refusal after which the same transaction is sent again.
func (r *recorder) again(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count(r.busy, reason)
}

func (r *recorder) reconnected(resent int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reconnects++
	r.resent += uint64(resent)
}

// done counts a transaction that was answered as committed with code 0, and returns the number of the window in which that
// was, -1 for none.
func (r *recorder) done(due, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	took, within := now.Sub(due), -1
	r.committed++
	for i, w := range r.windows {
		if w.holds(due) {
			r.tallies[i].latency.Record(took)
		}
		if w.holds(now) {
			r.tallies[i].answered++
			within = i
		}
	}
	if at := int(now.Sub(r.zero) / time.Second); at > r.at {
		r.turn(at)
	}
	r.current.Record(took)
	return within
}

// maxSeconds bounds the series of a run: a day.
const maxSeconds = 24*60*60 + 1

// turn ends the present second. The lock is held.
func (r *recorder) turn(to int) {
	for ; r.at < min(to, maxSeconds); r.at++ {
		r.seconds = append(r.seconds, second{r.current.Count(), r.current.Quantile(0.5), r.current.Quantile(0.99)})
		r.current = Histogram{}
	}
}

// series ends the count and returns each second of the run.
func (r *recorder) series() []second {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current.Count() > 0 {
		r.turn(r.at + 1)
	}
	return r.seconds
}
