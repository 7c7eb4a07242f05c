package loadgen

import (
	"context"
	"fmt"
	"slices"
)

const (
	// spare is how many times what was committed in the first stage is signed ahead for the second: a network may also get faster.
	spare = 2
	// overloadConnections is how many connections each lane of an overload has. What is under way on them is more than the share
	// of the pending transactions that a node leaves one of four organisations, so that it is the nodes that refuse.
	overloadConnections = 24
)

// again measures a second time, where that is wanted: without some nodes, or with more than the network can commit.
func (r *run) again(ctx context.Context) error {
	if r.interrupted || r.Down == nil && r.Overload == 0 {
		return nil
	}
	first := r.measured.tallies[0]
	peak := float64(first.answered) / r.windows[0].seconds()
	// What was signed ahead and not sent is not kept: both stages are to have the same bound on memory.
	r.stage = stage{}
	if r.Down != nil {
		for _, node := range r.Down.Nodes {
			name := r.target.Nodes()[node].Name
			r.Progress("stop "+name, 0, 0)
			r.down = append(r.down, node)
			if err := r.Down.Stop(ctx, name); err != nil && ctx.Err() == nil {
				return fmt.Errorf("stop node %s: %w", name, err)
			}
		}
		r.name = "measure without"
		r.addLanes(r.senders(), r.measured, schedule{rate: r.Rate})
	} else {
		if peak == 0 {
			r.lacking = append(r.lacking, "the closed loop found no peak to multiply: nothing was committed in the measured time")
			return nil
		}
		rate := min(r.Overload*peak, maxRate)
		r.Backlog = max(1000, int(rate))
		r.name = "overload"
		r.addLanes(r.senders(), r.measured, schedule{rate: rate})
	}
	for _, l := range r.lanes {
		if r.Overload > 0 {
			l.workers, l.sheds = overloadConnections, true
		}
		l.needs = needed(spare*peak/float64(len(r.lanes)), r.Ramp+r.Warmup+r.For) + l.workers*l.limit
		if all := needed(l.schedule.rate, r.Ramp+r.Warmup+r.For); l.schedule.rate > 0 && all < l.needs {
			l.needs = all
		}
	}
	if err := r.signAhead(ctx); err != nil && ctx.Err() == nil {
		return fmt.Errorf("sign transactions: %w", err)
	}
	if r.interrupted = ctx.Err() != nil; r.interrupted {
		return nil
	}
	return r.load(ctx)
}

// isDown says whether a node was stopped for the measurement.
func (r *run) isDown(node int) bool { return slices.Contains(r.down, node) }

// senders returns the senders by the node that they talk to. Those of nodes that are down talk to the others in turn.
func (r *run) senders() [][]int {
	by := make([][]int, len(r.target.Nodes()))
	next := 0
	for i := range r.workload.Senders() {
		node := r.workload.Sender(i).Node % len(by)
		if r.isDown(node) {
			for next = (next + 1) % len(by); r.isDown(next); next = (next + 1) % len(by) {
			}
			node = next
		}
		by[node] = append(by[node], i)
	}
	return by
}

// alone returns what happened in a window in which nobody else sent.
func (r *run) alone(window int, counts func(node int) bool) Phase {
	w, t := r.windows[window], r.measured.tallies[window]
	p := phase(t, w)
	p.CPU = w.perTx(t.checked, counts)
	own := (w.last.own - w.first.own).Seconds()
	p.GeneratorCPU = &own
	return p
}

func (r *run) downResult() *DownResult {
	d := &DownResult{Healthy: r.alone(0, func(int) bool { return true })}
	for _, node := range r.Down.Nodes {
		d.Nodes = append(d.Nodes, r.target.Nodes()[node].Name)
	}
	if len(r.windows) > 1 {
		degraded := r.alone(1, func(node int) bool { return !r.isDown(node) })
		d.Degraded = &degraded
		d.ThroughputRatio = ratio(&degraded.CommittedTPS, &d.Healthy.CommittedTPS)
		d.P50Ratio, d.P99Ratio = ratio(degraded.P50, d.Healthy.P50), ratio(degraded.P99, d.Healthy.P99)
	}
	return d
}

func (r *run) overloadResult() *OverloadResult {
	all := func(int) bool { return true }
	o := &OverloadResult{Factor: r.Overload, Peak: r.alone(0, all)}
	o.PeakTPS = o.Peak.CommittedTPS
	if len(r.windows) > 1 {
		over, t, seconds := r.alone(1, all), r.measured.tallies[1], r.windows[1].seconds()
		o.Overloaded, o.GoodputTPS, o.GoodputRatio = &over, &over.CommittedTPS, ratio(&over.CommittedTPS, &o.PeakTPS)
		o.RefusedWithDelay, o.RefusedWithoutDelay = t.delayed, t.flatly
		if seconds > 0 {
			offered, sent := float64(t.due)/seconds, float64(t.sent)/seconds
			o.OfferedTPS, o.SentTPS = &offered, &sent
		}
	}
	return o
}
