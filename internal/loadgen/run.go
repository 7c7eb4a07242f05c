package loadgen

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
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

// plan divides senders into groups and these into lanes.
func (r *run) plan() error {
	nodes := len(r.target.Nodes())
	if nodes == 0 || r.workload.Senders() == 0 {
		return fmt.Errorf("%w: there are %d nodes and %d senders", ErrConfig, nodes, r.workload.Senders())
	}
	floods := ""
	if r.Flood != nil {
		if floods = r.Flood.Org; floods == "" {
			floods = r.workload.Sender(0).Org
		}
		r.Flood = &Flood{Rate: r.Flood.Rate, Org: floods}
	}
	measured, flooding := make([][]int, nodes), make([][]int, nodes)
	others := 0
	for i := range r.workload.Senders() {
		s := r.workload.Sender(i)
		if r.Flood != nil && s.Org == floods {
			// A flood comes in everywhere, and not only where those of its organisation usually go.
			flooding[i%nodes] = append(flooding[i%nodes], i)
			continue
		}
		others++
		measured[s.Node%nodes] = append(measured[s.Node%nodes], i)
	}
	if others == 0 {
		return fmt.Errorf("%w: all senders are of %s, which floods: nobody is left to be measured", ErrConfig, floods)
	}
	r.measured, r.flood = newRecorder(), newRecorder()
	r.addLanes(measured, r.measured, schedule{rate: r.Rate})
	if r.Flood != nil {
		if len(slices.Concat(flooding...)) == 0 {
			return fmt.Errorf("%w: no sender is of %s, which is to flood", ErrConfig, floods)
		}
		r.addLanes(flooding, r.flood, schedule{rate: r.Flood.Rate})
	}
	return nil
}

// addLanes makes a lane for each node that has senders, and divides the rate by how many senders each has.
func (r *run) addLanes(senders [][]int, record *recorder, s schedule) {
	total, number := 0, 0
	for _, of := range senders {
		total += len(of)
	}
	for node, of := range senders {
		if len(of) == 0 {
			continue
		}
		part := float64(len(of)) / float64(total)
		share := s
		share.rate, share.offset = s.rate*part, float64(number)/float64(len(senders))
		number++
		l := newLane(node, share, r.InFlight, int(float64(r.Backlog)*part))
		l.supply, l.record, l.ledger, l.halt = newSupply(r.workload, of), record, r.ledger, r.halt
		r.lanes = append(r.lanes, l)
	}
}

// signAhead makes as many transactions as the load is expected to need, within the bound on memory.
func (r *run) signAhead(ctx context.Context) error {
	began := time.Now()
	length := r.Ramp + r.Warmup + r.Config.measured()
	type order struct {
		lane  *lane
		count int
	}
	var orders []order
	total := 0
	for _, l := range r.lanes {
		rate, lasts := l.schedule.rate, length
		if l.record == r.flood {
			lasts = r.For + r.settling()
		}
		if rate == 0 {
			rate = min(r.Guess/float64(len(r.lanes)), float64(r.InFlight)/soonest.Seconds())
		}
		o := order{l, int(math.Ceil(rate * min(lasts, longestValid-validFor).Seconds()))}
		orders, total = append(orders, o), total+o.count
	}
	if r.Ahead < 0 {
		return nil
	}
	// The size of one says how many fit.
	probe, err := orders[0].lane.supply.make(time.Now().Add(validFor))
	if err != nil {
		return err
	}
	const perTx = 64 // what remembering one costs beside its bytes
	fit := min(1, float64(r.Ahead)/float64(total*(len(probe.Raw)+perTx)))
	// Who waits for signatures for longer than the load lasts has no use for them: the rest is signed while it runs.
	patience := began.Add(min(max(length, leastSigning), mostSigning))
	expires := began.Add(min(patience.Sub(began)+length+validFor, longestValid))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	var mu sync.Mutex
	done, all := 0, int(float64(total)*fit)
	for _, o := range orders {
		o.lane.supply.expires = expires
		for left := int(float64(o.count) * fit); left > 0; left -= signBatch {
			group.Go(func() error {
				if time.Now().After(patience) {
					return nil
				}
				for range min(left, signBatch) {
					if ctx.Err() != nil {
						return ctx.Err()
					}
					t, err := o.lane.supply.make(expires)
					if err != nil {
						return err
					}
					o.lane.supply.store(t)
				}
				mu.Lock()
				defer mu.Unlock()
				done += min(left, signBatch)
				r.Progress("sign transactions", done, all)
				return nil
			})
		}
	}
	err = group.Wait()
	r.signedAhead, r.signing = done, time.Since(began)
	return err
}

const (
	// signBatch is how many transactions are signed ahead between two looks at the progress.
	signBatch = 500
	// leastSigning and mostSigning are how long signing ahead may take, as long as the load in between.
	leastSigning, mostSigning = 15 * time.Second, time.Minute
	// soonest is how long a transaction takes at least, for guessing how many a closed loop needs.
	soonest = 20 * time.Millisecond
)

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
