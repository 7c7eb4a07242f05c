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
	stage                     // the stretch of load that runs, or was the last to run
	windows         []*window // of all stages
	measured, flood *recorder
	sampler         *sampler
	ledger          *ledger
	from            uint64 // the first block of the run
	before, after   sample // around the load
	down            []int  // nodes that were stopped for the measurement
	signedInRun     uint64
	signedAhead     int
	signing         time.Duration
	reads           readers
	watches         watchers
	halt            chan struct{} // closed when the user wants no more
	interrupted     bool
	agreedAt        uint64
	appHash         []byte
	agreed          int      // how many nodes have it
	disagree        []string // what differs
	unreachable     []string // nodes that could not be compared
	away            []string // and why not
	lacking         []string // what could not be measured for another reason
}

// stage is a stretch of load, from its ramp to the last answer. Most runs have one.
type stage struct {
	name  string    // what progress says that is measured
	began time.Time // when its ramp begins
	stop  time.Time // when nothing new is due any more
	own   []*window
	lanes []*lane
}

// Run puts the target under load and returns what it found out. When ctx ends, the result is of what was measured until then. The
// error is [ErrConfig], one of the workload's, or that no node can be asked what has become of everything; the result then is
// nil. What is wrong with the network, a node that is down in the end too, is no error but stands in [Result.Faults].
func Run(ctx context.Context, target Target, workload Workload, c Config) (*Result, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	r := &run{
		Config: c.withDefaults(), target: target, workload: workload, ledger: newLedger(), halt: make(chan struct{}), stage: stage{name: "measure"},
	}
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
	height, err := target.Height(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the height: %w", err)
	}
	r.from = height + 1
	r.before = r.sampler.look(ctx)
	r.watches.seen = make([]atomic.Uint64, len(r.Watches))
	if err := r.load(ctx); err != nil {
		return nil, err
	}
	if err := r.again(ctx); err != nil {
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
	err := group.Wait()
	forget()
	r.interrupted = ctx.Err() != nil
	endSigning()
	err = errors.Join(err, workers.Wait())
	for _, l := range r.lanes {
		r.signedInRun += l.supply.signed.Load()
	}
	r.watches.settle(r.ledger)
	endBeside()
	background.Wait()
	if err == nil && r.own[0].last.at.IsZero() {
		// Interrupted before its time: what there is counts.
		r.cut(r.sampler.look(context.WithoutCancel(ctx)))
	}
	return err
}

// setTimes decides when what happens.
func (r *run) setTimes(now time.Time) {
	r.began = now.Add(50 * time.Millisecond)
	begin := r.began.Add(r.Ramp + r.Warmup)
	r.own = []*window{{begin: begin, end: begin.Add(r.For)}}
	r.stop = r.own[0].end
	flooding := r.stop
	if r.Flood != nil {
		calm := r.stop.Add(r.settling())
		r.own = append(r.own, &window{begin: calm, end: calm.Add(r.For)})
		r.stop = r.own[1].end
	}
	if r.zero.IsZero() {
		r.zero = r.began
	} else {
		r.ledger.resume(r.began)
	}
	r.windows = append(r.windows, r.own...)
	r.measured.begin(r.began, r.own)
	r.flood.begin(r.began, r.own)
	for _, l := range r.lanes {
		l.schedule.begin, l.schedule.end, l.schedule.ramp = r.began, r.stop, r.Ramp
		if l.record == r.flood {
			l.schedule.begin, l.schedule.ramp = flooding, 0
		}
	}
}

// cut ends the measured time now.
func (r *run) cut(now sample) {
	for _, w := range r.own {
		w.cut(now.at)
		if w.first.at.IsZero() {
			w.first = now
		}
		if w.last.at.IsZero() {
			w.last = now
		}
	}
}

// mark looks at the nodes exactly when measured time begins and ends.
func (r *run) mark(ctx context.Context) {
	for _, w := range r.own {
		for _, m := range []struct {
			at time.Time
			to *sample
		}{{w.begin, &w.first}, {w.end, &w.last}} {
			select {
			case <-time.After(time.Until(m.at)):
				*m.to = r.sampler.look(ctx)
			case <-ctx.Done():
				return
			}
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
		phase := r.name
		switch {
		case now.Before(r.began.Add(r.Ramp)):
			phase = "ramp up"
		case now.Before(r.own[0].begin):
			phase = "warm up"
		case now.After(r.stop):
			phase = "wait for answers"
		case len(r.own) > 1 && now.After(r.own[0].end):
			phase = "flood"
		}
		r.Progress(phase, int(now.Sub(r.began)/time.Millisecond), int(r.stop.Sub(r.began)/time.Millisecond))
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
	missing := new(Missing)
	if err != nil && !errors.As(err, &missing) {
		return fmt.Errorf("compare app hashes: %w", err)
	}
	r.compare(height, hashes, missing)
	r.after = r.sampler.look(ctx)
	if height >= r.from {
		if err := r.ledger.check(ctx, r.target, r.from, height, r.Progress); err != nil {
			return err
		}
	}
	r.ledger.settle()
	return nil
}

// compare notes which app hashes differ, and which are not known.
func (r *run) compare(height uint64, hashes [][]byte, missing *Missing) {
	nodes := r.target.Nodes()
	first := -1 // whom the others are compared with
	for i, hash := range hashes {
		why, away := missing.Why[i]
		switch {
		case away && r.isDown(i):
		case away:
			r.unreachable = append(r.unreachable, nodes[i].Name)
			r.away = append(r.away, fmt.Sprintf("node %s cannot be compared with the others: %v", nodes[i].Name, why))
		case first < 0:
			first = i
			r.agreed++
		case bytes.Equal(hash, hashes[first]):
			r.agreed++
		default:
			r.disagree = append(r.disagree, fmt.Sprintf("after block %d the app hash of %s is %x, that of %s is %x",
				height, nodes[i].Name, hash, nodes[first].Name, hashes[first]))
		}
	}
	r.agreedAt = height
	if len(r.disagree) == 0 && first >= 0 {
		r.appHash = hashes[first]
	}
}
