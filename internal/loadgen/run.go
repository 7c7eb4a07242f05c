package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// run is one run.
type run struct {
	Config
	target   Target
	workload Workload

	zero            time.Time // when the load begins
	stop            time.Time // when nothing new is due any more
	windows         []*window
	measured, flood *recorder
	lanes           []*lane
	sampler         *sampler
	ledger          *ledger
	from            uint64 // the first block of the run
	before, after   sample // around the load
	begin, end      sample // around the measured time
	signedAhead     int
	signing         time.Duration
	reads           readers
	watches         watchers
	halt            chan struct{} // closed when the user wants no more
	interrupted     bool
	agreedAt        uint64
	appHash         []byte
	disagree        []string
}

// Run puts the target under load and returns what it found out. When ctx ends, the result is of what was measured until then. The
// error is [ErrConfig], one of the workload's, or that of a node that could not be asked what has become of everything; the
// result then is nil. What is wrong with the network is no error but stands in [Result.Faults].
func Run(ctx context.Context, target Target, workload Workload, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &run{Config: c.withDefaults(), target: target, workload: workload, ledger: newLedger(), halt: make(chan struct{})}
	r.sampler = &sampler{nodes: target.Nodes()}
	if err := workload.Prepare(ctx, target, r.Progress); err != nil {
		return nil, fmt.Errorf("prepare the load: %w", err)
	}
	if err := r.plan(); err != nil {
		return nil, err
	}
	if err := r.signAhead(ctx); err != nil {
		return nil, fmt.Errorf("sign transactions: %w", err)
	}
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	// What has been measured is told even when the user has lost patience: the rest has its own deadline.
	checking, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Check)
	defer cancel()
	if err := r.check(checking); err != nil {
		return nil, err
	}
	return r.result(), nil
}

// load sends, from the ramp to the drain.
func (r *run) load(ctx context.Context) error {
	height, err := r.target.Height(ctx)
	if err != nil {
		return fmt.Errorf("ask for the height: %w", err)
	}
	r.from = height + 1
	r.before = r.sampler.look(ctx)
	r.watches.seen = make([]atomic.Uint64, len(r.Watches))
	r.setTimes(time.Now())

	// Nothing new is due after stop; who is interrupted sees that come at once. The drain has its own end.
	draining, cancel := context.WithDeadline(context.WithoutCancel(ctx), r.stop.Add(r.Drain))
	defer cancel()
	beside, endBeside := context.WithCancel(draining)
	defer endBeside()
	var background sync.WaitGroup
	background.Go(func() { r.sampler.run(beside) })
	background.Go(func() { r.tell(beside) })
	background.Go(func() { r.reads.run(beside, r) })
	background.Go(func() { r.watches.run(beside, r) })
	background.Go(func() { r.mark(beside) })

	signing, endSigning := context.WithCancel(draining)
	defer endSigning()
	group, sending := errgroup.WithContext(draining)
	workers, _ := errgroup.WithContext(signing)
	for _, l := range r.lanes {
		for range max(1, runtime.GOMAXPROCS(0)/len(r.lanes)) {
			workers.Go(func() error { return l.supply.refill(signing) })
		}
		group.Go(func() error { return l.run(sending, r.target) })
	}
	forget := context.AfterFunc(ctx, func() {
		close(r.halt)
		time.AfterFunc(drainAfterHalt, cancel)
	})
	err = group.Wait()
	forget()
	r.interrupted = ctx.Err() != nil
	endSigning()
	err = errors.Join(err, workers.Wait())
	r.watches.settle(r.ledger)
	endBeside()
	background.Wait()
	if err == nil && r.end.at.IsZero() {
		// Interrupted before its time: what there is counts.
		now := r.sampler.look(context.WithoutCancel(ctx))
		if r.begin.at.IsZero() {
			r.begin = now
		}
		r.end = now
		r.cut(now.at)
	}
	return err
}

// setTimes decides when what happens.
func (r *run) setTimes(now time.Time) {
	r.zero = now.Add(50 * time.Millisecond)
	begin := r.zero.Add(r.Ramp + r.Warmup)
	r.windows = []*window{{"quiet", begin, begin.Add(r.For)}}
	r.stop = r.windows[0].end
	flooding := r.stop
	if r.Flood != nil {
		calm := r.stop.Add(r.settling())
		r.windows = append(r.windows, &window{"flooded", calm, calm.Add(r.For)})
		r.stop = r.windows[1].end
	}
	r.measured.begin(r.zero, r.windows)
	r.flood.begin(r.zero, r.windows)
	for _, l := range r.lanes {
		l.schedule.begin, l.schedule.end, l.schedule.ramp = r.zero, r.stop, r.Ramp
		if l.record == r.flood {
			l.schedule.begin, l.schedule.ramp = flooding, 0
		}
	}
}

// cut ends the measured time now.
func (r *run) cut(now time.Time) {
	for _, w := range r.windows {
		if w.begin.After(now) {
			w.begin = now
		}
		if w.end.After(now) {
			w.end = now
		}
	}
}

// mark looks at the nodes exactly when the measured time begins and ends.
func (r *run) mark(ctx context.Context) {
	for _, m := range []struct {
		at time.Time
		to *sample
	}{{r.windows[0].begin, &r.begin}, {r.windows[0].end, &r.end}} {
		select {
		case <-time.After(time.Until(m.at)):
			*m.to = r.sampler.look(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// halted says whether the user wants no more.
func (r *run) halted() bool {
	select {
	case <-r.halt:
		return true
	default:
		return false
	}
}

const (
	// drainAfterHalt is how long answers are waited for when the user wants no more.
	drainAfterHalt = 5 * time.Second
	// tellPause is how often progress is told.
	tellPause = 200 * time.Millisecond
	// maxWaiting is how many acknowledgements are remembered before they are compared with blocks while the load runs, and
	// settled how many of the newest blocks are left for later then.
	maxWaiting = 2_000_000
	settled    = 20
)

// tell tells how far the load is, and keeps what is to be compared in the end within bounds.
func (r *run) tell(ctx context.Context) {
	tick := time.NewTicker(tellPause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := time.Now()
		phase := "measure"
		switch {
		case now.Before(r.zero.Add(r.Ramp)):
			phase = "ramp up"
		case now.Before(r.windows[0].begin):
			phase = "warm up"
		case now.After(r.stop):
			phase = "wait for answers"
		case len(r.windows) > 1 && now.After(r.windows[0].end):
			phase = "flood"
		}
		r.Progress(phase, int(now.Sub(r.zero)/time.Millisecond), int(r.stop.Sub(r.zero)/time.Millisecond))
		if waiting, highest := r.ledger.backlog(); waiting > maxWaiting && highest > r.from+settled {
			// A failure shows again in the end.
			_ = r.ledger.check(ctx, r.target, r.from, highest-settled, func(string, int, int) {})
			r.from = max(r.from, r.ledger.newest()+1)
		}
	}
}

// check compares what was acknowledged with blocks, and the nodes with each other.
func (r *run) check(ctx context.Context) error {
	_, highest := r.ledger.backlog()
	r.Progress("compare app hashes", 0, 0)
	height, hashes, err := r.target.AppHashes(ctx, highest)
	if err != nil {
		return fmt.Errorf("compare app hashes: %w", err)
	}
	r.agreedAt = height
	for i, hash := range hashes {
		if !bytes.Equal(hash, hashes[0]) {
			r.disagree = append(r.disagree, fmt.Sprintf("after block %d the app hash of %s is %x, that of %s is %x",
				height, r.target.Nodes()[i].Name, hash, r.target.Nodes()[0].Name, hashes[0]))
		}
	}
	if len(r.disagree) == 0 && len(hashes) > 0 {
		r.appHash = hashes[0]
	}
	r.after = r.sampler.look(ctx)
	if height >= r.from {
		if err := r.ledger.check(ctx, r.target, r.from, height, r.Progress); err != nil {
			return err
		}
	}
	r.ledger.settle()
	return nil
}
