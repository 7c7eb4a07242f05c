package loadgen

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"
)

func TestEverythingCommittedIsCounted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"closed loop":     func(*Config) {},
		"rate":            func(c *Config) { c.Rate = 500 },
		"nothing ahead":   func(c *Config) { c.Ahead = -1 },
		"no ramp at all":  func(c *Config) { c.Ramp, c.Warmup = 0, 0 },
		"many in flight":  func(c *Config) { c.InFlight = 2500 },
		"with a flood":    func(c *Config) { c.Rate, c.Flood = 200, &Flood{Rate: 1000, Org: "b"} },
		"one sent per 1s": func(c *Config) { c.Rate, c.For = 2, time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := brief()
			change(&config)
			c := newChain(3)
			r := mustRun(t, t.Context(), c, config)
			good, bad := c.codes()
			if r.Total != good || bad != 0 || r.Total == 0 || r.Chain.Txs != good || r.Chain.Foreign != 0 {
				t.Errorf("%d are counted, the chain holds %d and %d, the result says %+v", r.Total, good, bad, r.Chain)
			}
			if r.Committed == 0 || r.Committed > r.Total || r.Errors != 0 || len(r.Faults) > 0 || r.Interrupted {
				t.Errorf("%+v", r)
			}
			if r.P50 == nil || r.P99 == nil || *r.P50 > *r.P99 || *r.P99 > *r.Max {
				t.Errorf("percentiles: %v, %v, %v", r.P50, r.P99, r.Max)
			}
			if r.CPU != nil || r.RSS != nil || r.Disk != nil {
				t.Error("the use of processes is told of which nothing is known")
			}
			if f := r.Flood; (f != nil) != (config.Flood != nil) || f != nil && (f.Org != "b" || f.Flooder.Committed == 0 || f.Flooded.Committed == 0) {
				t.Errorf("flood: %+v", f)
			}
		})
	}
}

func TestBusyNodesAreAskedAgain(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	refused := map[string]bool{}
	c := newChain(2)
	c.judge = func(_ int, tag uint64, raw []byte) (Answer, bool) {
		mu.Lock()
		defer mu.Unlock()
		if refused[string(raw)] {
			return Answer{}, false
		}
		refused[string(raw)] = true
		return Answer{Tag: tag, Status: Busy, Reason: "FULL", RetryAfter: 3 * time.Millisecond}, true
	}
	r := mustRun(t, t.Context(), c, brief())
	good, _ := c.codes()
	if r.Total != good || r.Busy["FULL"] != good || r.Errors != 0 {
		t.Errorf("%d committed, %d are counted, refused %v, errors %v", good, r.Total, r.Busy, r.ErrorsBy)
	}
	if *r.P50 < 3 {
		t.Errorf("latency is %v ms, though every transaction had to wait for 3 ms", *r.P50)
	}
}

func TestBrokenStreamsLoseNothing(t *testing.T) {
	t.Parallel()
	c := newChain(2)
	c.breaks = 20
	r := mustRun(t, t.Context(), c, brief())
	good, _ := c.codes()
	if r.Total != good || r.Errors != 0 || r.Generator.Reconnects == 0 || r.Generator.Resent == 0 || len(r.Faults) > 0 {
		t.Errorf("%d committed, %+v", good, r)
	}
}

func TestCodesAreErrors(t *testing.T) {
	t.Parallel()
	c := newChain(2)
	c.judge = func(_ int, tag uint64, raw []byte) (Answer, bool) {
		switch raw[len(raw)-1] % 3 {
		case 0:
			return Answer{Tag: tag, Status: Committed, Code: 7, Reason: "OVERDRAFT"}, true
		case 1:
			return Answer{Tag: tag, Status: Refused, Code: 9, Reason: "EXPIRED"}, true
		default:
			return Answer{}, false
		}
	}
	r := mustRun(t, t.Context(), c, brief())
	good, bad := c.codes()
	if r.Total != good || r.Chain.Txs != good+bad || len(r.Faults) > 0 {
		t.Errorf("%d and %d stand in blocks, counted %d of %d; %v", good, bad, r.Total, r.Chain.Txs, r.Faults)
	}
	if r.ErrorsBy["OVERDRAFT"] == 0 || r.ErrorsBy["EXPIRED"] == 0 || r.Errors != r.ErrorsBy["OVERDRAFT"]+r.ErrorsBy["EXPIRED"] {
		t.Errorf("errors %d: %v", r.Errors, r.ErrorsBy)
	}
}

func TestLiesAreFaults(t *testing.T) {
	t.Parallel()
	c := newChain(2)
	c.lose = 10
	r := mustRun(t, t.Context(), c, brief())
	if len(r.Faults) == 0 {
		t.Error("acknowledged transactions are missing, and no fault is told")
	}
	if good, _ := c.codes(); r.Committed > good {
		t.Errorf("%d are counted as committed, blocks hold %d", r.Committed, good)
	}
	c = newChain(3)
	c.differ = true
	if r = mustRun(t, t.Context(), c, brief()); len(r.Faults) != 1 || r.Chain.AppHash != "" {
		t.Errorf("app hashes differ: %v, agreed on %q", r.Faults, r.Chain.AppHash)
	}
}

func TestSilentNodesEndInErrors(t *testing.T) {
	t.Parallel()
	c := newChain(1)
	c.judge = func(_ int, _ uint64, raw []byte) (Answer, bool) {
		return Answer{}, raw[0] == 0 // one sender of twelve gets no answer
	}
	config := brief()
	config.Rate, config.Drain = 500, time.Second
	r := mustRun(t, t.Context(), c, config)
	if r.ErrorsBy[ReasonUnanswered] == 0 || r.Errors != r.ErrorsBy[ReasonUnanswered] {
		t.Errorf("errors %v", r.ErrorsBy)
	}
	// What is not answered but stands in a block is committed all the same.
	c = newChain(1)
	c.judge = func(_ int, _ uint64, raw []byte) (Answer, bool) {
		if raw[0] != 0 {
			return Answer{}, false
		}
		c.commit(sha256.Sum256(raw), 0, len(raw))
		return Answer{}, true
	}
	r = mustRun(t, t.Context(), c, config)
	if r.Errors != 0 || r.Generator.FoundLater == 0 || len(r.Faults) > 0 {
		t.Errorf("errors %v, found later %d, %v", r.ErrorsBy, r.Generator.FoundLater, r.Faults)
	}
}

func TestBacklogIsBounded(t *testing.T) {
	t.Parallel()
	c := newChain(1)
	c.judge = func(int, uint64, []byte) (Answer, bool) { return Answer{}, true }
	config := brief()
	config.Rate, config.Backlog, config.Drain = 50_000, 10, time.Second
	r := mustRun(t, t.Context(), c, config)
	if r.ErrorsBy[ReasonBacklog] == 0 || r.Committed != 0 || r.Errors != r.Due {
		t.Errorf("%d due, errors %v", r.Due, r.ErrorsBy)
	}
	if r.P50 != nil {
		t.Error("there is a latency without a committed transaction")
	}
}

func TestInterruptedRunsTellWhatTheyMeasured(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	config := brief()
	config.For = time.Hour
	config.Progress = func(phase string, _, _ int) {
		if phase == "measure" {
			cancel()
		}
	}
	c := newChain(2)
	r := mustRun(t, ctx, c, config)
	good, _ := c.codes()
	if !r.Interrupted || r.Total != good || r.Seconds > 60 || r.Errors != 0 {
		t.Errorf("%d committed, %+v", good, r)
	}
}

func TestReadsAndWatchesGoBeside(t *testing.T) {
	t.Parallel()
	config := brief()
	bad := errors.New("not so")
	var mu sync.Mutex
	read := 0
	config.Reads = 200
	config.Read = func(context.Context) error {
		mu.Lock()
		defer mu.Unlock()
		if read++; read%2 == 0 {
			return bad
		}
		return nil
	}
	config.Watches = append(config.Watches, func(ctx context.Context, block func(uint64)) error {
		block(1)
		<-ctx.Done()
		return ctx.Err()
	})
	r := mustRun(t, t.Context(), newChain(2), config)
	if r.Reads == nil || r.Reads.Errors[bad.Error()] == 0 || r.Reads.P50 == nil {
		t.Errorf("reads: %+v", r.Reads)
	}
	if r.Watches == nil || r.Watches.Blocks != 1 || len(r.Watches.Errors) != 0 || r.Watches.Behind == 0 {
		t.Errorf("watches: %+v", r.Watches)
	}
}
