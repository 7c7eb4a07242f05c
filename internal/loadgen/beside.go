package loadgen

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// readsAtOnce is how many reads are under way at most, and readersBacklog how many may be due and not begun.
	readsAtOnce  = 64
	readsWaiting = 1024
)

// readers read beside the load, at a fixed rate, from the end of the ramp until nothing more is due.
type readers struct {
	mu      sync.Mutex
	latency Histogram
	done    uint64
	errors  map[string]uint64
	lasted  time.Duration
}

func (r *readers) run(ctx context.Context, of *run) {
	if of.Reads == 0 {
		return
	}
	r.errors = map[string]uint64{}
	jobs := make(chan time.Time, readsWaiting)
	var wg sync.WaitGroup
	for range readsAtOnce {
		wg.Go(func() {
			for due := range jobs {
				err := of.Read(ctx)
				if ctx.Err() != nil {
					continue // the end of the run is no failure
				}
				r.count(due, time.Now(), err)
			}
		})
	}
	s := schedule{rate: of.Reads, begin: of.zero.Add(of.Ramp), end: of.stop}
	tick := time.NewTicker(pacePause)
	defer tick.Stop()
	n := 0
	due := s.due(n)
	for ctx.Err() == nil && due.Before(s.end) && !of.halted() {
		for now := time.Now(); !due.After(now); n, due = n+1, s.due(n+1) {
			select {
			case jobs <- due:
			default:
				r.fail(ReasonBacklog)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	close(jobs)
	wg.Wait()
	r.lasted = time.Since(s.begin)
}

func (r *readers) count(due, now time.Time, err error) {
	if err != nil {
		r.fail(err.Error())
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	r.latency.Record(now.Sub(due))
}

func (r *readers) fail(reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	count(r.errors, reason)
}

func (r *readers) result(rate float64) *ReadResult {
	return &ReadResult{
		Rate: rate, PerSec: float64(r.done) / r.lasted.Seconds(), Errors: r.errors,
		P50: quantile(&r.latency, 0.5), P99: quantile(&r.latency, 0.99),
	}
}

// watchers watch the blocks beside the load.
type watchers struct {
	blocks atomic.Uint64
	seen   []atomic.Uint64 // the newest block of each

	mu     sync.Mutex
	errors []string
	behind uint64
}

func (w *watchers) run(ctx context.Context, of *run) {
	var wg sync.WaitGroup
	for i, watch := range of.Watches {
		wg.Go(func() {
			err := watch(ctx, func(height uint64) {
				w.blocks.Add(1)
				w.seen[i].Store(height)
			})
			if err != nil && ctx.Err() == nil {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.errors = append(w.errors, err.Error())
			}
		})
	}
	wg.Wait()
}

// settle notes how far the watchers are when the load has ended.
func (w *watchers) settle(l *ledger) {
	_, highest := l.backlog()
	for i := range w.seen {
		if seen := w.seen[i].Load(); seen < highest {
			w.behind = max(w.behind, highest-seen)
		}
	}
}

func (w *watchers) result() *WatchResult {
	return &WatchResult{Watchers: len(w.seen), Blocks: w.blocks.Load(), Behind: w.behind, Errors: append([]string{}, w.errors...)}
}
