package loadgen

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// plan divides senders into groups and these into lanes.
func (r *run) plan() error {
	nodes := len(r.target.Nodes())
	if nodes == 0 || r.workload.Senders() == 0 {
		return fmt.Errorf("%w: there are %d nodes and %d senders", ErrConfig, nodes, r.workload.Senders())
	}
	if d := r.Down; d != nil && (len(d.Nodes) >= nodes || slices.Min(d.Nodes) < 0 || slices.Max(d.Nodes) >= nodes) {
		return fmt.Errorf("%w: of %d nodes %v are to be stopped: some must be left", ErrConfig, nodes, d.Nodes)
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
	for _, l := range r.lanes {
		lasts := r.Ramp + r.Warmup + r.Config.measured()
		if l.record == r.flood {
			lasts = r.For + r.settling()
		}
		rate := l.schedule.rate
		if rate == 0 {
			rate = min(r.Guess/float64(len(r.lanes)), float64(r.InFlight)/soonest.Seconds())
		}
		l.needs = needed(rate, lasts)
	}
	return nil
}

// needed returns how many transactions a lane needs.
func needed(rate float64, lasts time.Duration) int {
	return int(math.Ceil(rate * min(lasts, longestValid-validFor).Seconds()))
}

// addLanes makes a lane for each node that has senders, and divides the rate by how many senders each has. What may be under way
// in a closed loop is so many for each node of the target, those that do not run too.
func (r *run) addLanes(senders [][]int, record *recorder, s schedule) {
	total, number := 0, 0
	var running []int
	for node, of := range senders {
		total += len(of)
		if !r.isDown(node) {
			running = append(running, node)
		}
	}
	for node, of := range senders {
		if len(of) == 0 {
			continue
		}
		part := float64(len(of)) / float64(total)
		share := s
		share.rate, share.offset = s.rate*part, float64(number)/float64(len(senders))
		number++
		l := newLane(node, running, share, r.InFlight*len(senders)/len(running), int(float64(r.Backlog)*part))
		l.supply, l.record, l.ledger, l.halt = newSupply(r.workload, of), record, r.ledger, r.halt
		r.lanes = append(r.lanes, l)
	}
}

// signAhead makes as many transactions as the load is expected to need, within the bound on memory.
func (r *run) signAhead(ctx context.Context) error {
	began := time.Now()
	length := r.Ramp + r.Warmup + r.Config.measured()
	type order struct {
		lane         *lane
		count, begun int
	}
	var orders []order
	total := 0
	for _, l := range r.lanes {
		orders, total = append(orders, order{lane: l, count: l.needs}), total+l.needs
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
	// Lanes take turns, so that each has its part when patience ends.
	for left := true; left; {
		left = false
		for i := range orders {
			o := &orders[i]
			o.lane.supply.expires = expires
			batch := min(int(float64(o.count)*fit)-o.begun, signBatch)
			if batch <= 0 {
				continue
			}
			o.begun += batch
			left = true
			group.Go(func() error {
				if time.Now().After(patience) {
					return nil
				}
				for range batch {
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
				done += batch
				r.Progress("sign transactions", done, all)
				return nil
			})
		}
	}
	err = group.Wait()
	r.signedAhead, r.signing = r.signedAhead+done, r.signing+time.Since(began)
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
