package loadgen

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestNodesThatAreDownInTheEndAreFaults(t *testing.T) {
	t.Parallel()
	c := newChain(3)
	c.away[0] = true
	r := mustRun(t, t.Context(), c, brief())
	if len(r.Faults) != 1 || !slices.Equal(r.Unreachable, []string{"node-0"}) || r.Chain.Agreed != 2 || r.Chain.AppHash == "" {
		t.Errorf("%v, %v, %+v", r.Faults, r.Unreachable, r.Chain)
	}
	if good, _ := c.codes(); r.Committed == 0 || r.Total != good || r.Errors != 0 {
		t.Errorf("%d committed, %+v", good, r)
	}
	c = newChain(3)
	c.away[1], c.differ = true, true
	if r = mustRun(t, t.Context(), c, brief()); len(r.Faults) != 2 || r.Chain.AppHash != "" {
		t.Errorf("one is down and one differs: %v", r.Faults)
	}
}

func TestNodesAreStoppedAndTheOthersMeasured(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]float64{"closed loop": 0, "rate": 300} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newChain(4)
			var mu sync.Mutex
			sentTo := map[int]int{} // since the stop
			c.judge = func(node int, _ uint64, _ []byte) (Answer, bool) {
				c.mu.Lock()
				stopped := len(c.away) > 0
				c.mu.Unlock()
				mu.Lock()
				defer mu.Unlock()
				if stopped {
					sentTo[node]++
				}
				return Answer{}, false
			}
			config := brief()
			config.Rate = rate
			config.Down = &Down{Nodes: []int{1}, Stop: c.stop}
			r := mustRun(t, t.Context(), c, config)
			d := r.Down
			if d == nil || d.Degraded == nil || d.Healthy.Committed == 0 || d.Degraded.Committed == 0 || d.ThroughputRatio == nil || d.P99Ratio == nil {
				t.Fatalf("%+v", d)
			}
			if !slices.Equal(d.Nodes, []string{"node-1"}) || len(r.Faults) > 0 || len(r.Unreachable) > 0 || r.Errors+d.Degraded.Errors != 0 || r.Chain.Agreed != 3 {
				t.Errorf("%+v", r)
			}
			if sentTo[1] > 0 || sentTo[0] == 0 || sentTo[2] == 0 || sentTo[3] == 0 {
				t.Errorf("sent to the nodes since one was stopped: %v", sentTo)
			}
			if good, _ := c.codes(); r.Total != good || r.Committed != d.Healthy.Committed || len(r.Series.Measured) != 2 {
				t.Errorf("%d committed, %+v", good, r)
			}
			if rate > 0 && (d.Degraded.Due < 85 || d.Degraded.Due > 95) {
				t.Errorf("%d were due in 300 ms at 300 per second", d.Degraded.Due)
			}
		})
	}
}

func TestStoppingIsInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	config := brief()
	config.Down = &Down{Nodes: []int{0}, Stop: func(context.Context, string) error {
		cancel()
		return nil
	}}
	r := mustRun(t, ctx, newChain(2), config)
	if !r.Interrupted || r.Down == nil || r.Down.Degraded != nil || r.Down.ThroughputRatio != nil || r.Committed == 0 {
		t.Errorf("%+v", r.Down)
	}
	config.Down.Stop = func(context.Context, string) error { return errAway }
	if _, err := Run(t.Context(), newChain(2), &numbers{senders: 2}, config); !errors.Is(err, errAway) {
		t.Errorf("a node that cannot be stopped: %v", err)
	}
	config.Down.Nodes = []int{0, 1}
	if _, err := Run(t.Context(), newChain(2), &numbers{senders: 2}, config); !errors.Is(err, ErrConfig) {
		t.Errorf("nothing is left: %v", err)
	}
}

func TestOverloadOffersMoreThanThePeak(t *testing.T) {
	t.Parallel()
	c := newChain(2)
	c.limited(5)
	config := brief()
	config.Overload, config.Drain = 3, 10*time.Second
	r := mustRun(t, t.Context(), c, config)
	o := r.Overload
	if o == nil || o.OfferedTPS == nil || o.SentTPS == nil || o.GoodputTPS == nil || o.GoodputRatio == nil || o.Overloaded.GeneratorCPU == nil {
		t.Fatalf("%+v", o)
	}
	if factor := *o.OfferedTPS / o.PeakTPS; factor < 2.5 || factor > 3.5 {
		t.Errorf("%v times the peak was offered: %+v", factor, o)
	}
	if o.RefusedWithDelay == 0 || o.RefusedWithoutDelay != 0 || *o.GoodputTPS == 0 || *o.SentTPS > *o.OfferedTPS*1.1 {
		t.Errorf("%+v", o)
	}
	if good, _ := c.codes(); r.Total != good || len(r.Faults) > 0 || r.CommittedTPS != o.PeakTPS {
		t.Errorf("%d committed, %+v", good, r)
	}
}

func TestOverloadNeedsAPeak(t *testing.T) {
	t.Parallel()
	c := newChain(1)
	c.judge = func(_ int, tag uint64, _ []byte) (Answer, bool) {
		return Answer{Tag: tag, Status: Undecided, Reason: "NOT_READY"}, true
	}
	config := brief()
	config.Overload, config.Drain = 2, time.Second
	if r := mustRun(t, t.Context(), c, config); len(r.Faults) != 1 || r.Overload == nil || r.Overload.Overloaded != nil {
		t.Errorf("%v, %+v", r.Faults, r.Overload)
	}
}

func TestWhatIsMeasuredTwiceIsMeasuredAlone(t *testing.T) {
	t.Parallel()
	down := &Down{Nodes: []int{0}, Stop: newChain(1).stop}
	read := func(context.Context) error { return nil }
	for name, c := range map[string]Config{
		"both":                   {Down: down, Overload: 2},
		"a flood":                {Down: down, Rate: 10, Flood: &Flood{Rate: 1}},
		"reads":                  {Overload: 2, Reads: 1, Read: read},
		"a rate":                 {Overload: 2, Rate: 10},
		"nobody":                 {Down: &Down{Stop: down.Stop}},
		"more than there can be": {Overload: 101},
		"less than nothing":      {Overload: -1},
	} {
		if err := c.Validate(); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRareTransactionsAreMeasured has so low a rate that a lane has nothing due for longer than the load lasts.
func TestRareTransactionsAreMeasured(t *testing.T) {
	t.Parallel()
	config := brief()
	config.Rate, config.For, config.Ramp, config.Warmup, config.Drain = 2.5, 2*time.Second, 0, 0, time.Minute
	c := newChain(4)
	began := time.Now()
	r := mustRun(t, t.Context(), c, config)
	if r.Due != 5 || r.Committed != 5 || r.Errors != 0 || r.Generator.SignedInRun != 0 {
		t.Errorf("%d due, %d committed, %d signed while the load ran: %v", r.Due, r.Committed, r.Generator.SignedInRun, r.ErrorsBy)
	}
	// The next one of some lane would be due 1.2 seconds after the end.
	if late := time.Since(began) - config.For; late > time.Second {
		t.Errorf("it ended %v after the load", late)
	}
	if *r.P99 > *r.Max || *r.P99 < *r.Max*0.992-0.001 || *r.P50 > *r.P99 {
		t.Errorf("percentiles: %v, %v, the longest is %v", *r.P50, *r.P99, *r.Max)
	}
}

func TestReadsAreCounted(t *testing.T) {
	t.Parallel()
	bad := errors.New("not now")
	var calls, unchecked atomic.Int64
	c := Reading{
		Workload: "numbers", Node: 1, InFlight: 4, For: 200 * time.Millisecond, Warmup: 20 * time.Millisecond,
		Call: func(ctx context.Context, caller int) (int, error) {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return 0, ctx.Err()
			}
			switch n := calls.Add(1); {
			case caller < 0 || caller > 3:
				return 0, errors.New("who is that?")
			case n%10 == 0:
				return 0, bad
			case n == 15:
				return 0, ErrWrong
			}
			return 7, nil
		},
	}
	r, err := RunReading(t.Context(), newChain(2), c)
	if err != nil || r.Node != "node-1" || r.Keys == 0 || r.Keys != 7*r.Calls || r.KeysPerSecond != 7*r.CallsPerSecond || r.P50 == nil || *r.P50 < 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.ErrorsBy[bad.Error()] == 0 || len(r.Faults) != 1 || r.Unchecked != nil || r.CPU != nil || r.Interrupted || int64(r.Calls) > calls.Load() {
		t.Errorf("%+v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.Unchecked = func(context.Context, int) (int, error) {
		if unchecked.Add(1) == 200 {
			cancel()
		}
		return 1, nil
	}
	r, err = RunReading(ctx, newChain(2), c)
	if err != nil || !r.Interrupted || r.Unchecked == nil || r.Keys != 0 || r.P50 != nil {
		t.Errorf("interrupted before anything is checked: %+v, %v", r, err)
	}
	if r, err = RunReading(t.Context(), newChain(2), c); err != nil || r.Unchecked == nil || r.Unchecked.Keys == 0 || r.Keys == 0 || len(r.Series.Measured) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := RunReading(t.Context(), newChain(2), Reading{Node: 2}); !errors.Is(err, ErrConfig) {
		t.Errorf("a node that there is not: %v", err)
	}
	if err := (Reading{InFlight: 257, Warmup: -1}).Validate(); !errors.Is(err, ErrConfig) {
		t.Errorf("%v", err)
	}
}
