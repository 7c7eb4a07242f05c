package loadgen

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Reading is load that only reads, from one node, in a closed loop: so many calls are under way, and an answer makes the next one
// due. The zero value of a number or a duration is its default.
type Reading struct {
	// Workload describes what is read, for the result.
	Workload string
	// Node is the index in [Target.Nodes] of the node that is read from.
	Node int
	// InFlight is how many calls are under way. Default 16, 1 to 256.
	InFlight int
	// Warmup is how long it reads before that is measured, For how long it is. For defaults to 30 s.
	Warmup, For time.Duration
	// Call reads and returns how many keys it got. Each caller, numbered from 0, has one call under way at a time. An error that is
	// [ErrWrong] is a fault of the network.
	Call func(ctx context.Context, caller int) (keys int, err error)
	// Unchecked does the same without checking the answers, and is measured before Call. Nil: there is nothing to check.
	Unchecked func(ctx context.Context, caller int) (keys int, err error)
	// Progress is told how far it is. May be nil.
	Progress Progress
}

// ErrWrong is returned by what reads when the answer is not true.
var ErrWrong = errors.New("the answer is wrong")

const (
	maxReadsInFlight = 256
	// readPatience is how long one call may take.
	readPatience = 15 * time.Second
	// readAgain is how long a caller waits after a call that failed.
	readAgain = 10 * time.Millisecond
)

func (c Reading) withDefaults() Reading {
	if c.InFlight == 0 {
		c.InFlight = 16
	}
	if c.For == 0 {
		c.For = 30 * time.Second
	}
	if c.Progress == nil {
		c.Progress = func(string, int, int) {}
	}
	return c
}

// Validate reports all problems at once, as an error that is [ErrConfig].
func (c Reading) Validate() error {
	c = c.withDefaults()
	var problems []error
	if c.InFlight < 1 || c.InFlight > maxReadsInFlight {
		problems = append(problems, fmt.Errorf("%d calls in flight, it is 1 to %d", c.InFlight, maxReadsInFlight))
	}
	problems = append(problems, within("the warm-up", c.Warmup, 0, time.Hour), within("the measured time", c.For, 100*time.Millisecond, 24*time.Hour))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// RunReading reads and returns what it found out. When ctx ends, the result is of what was measured until then. The only error
// is [ErrConfig]: calls that fail are counted.
func RunReading(ctx context.Context, target Target, c Reading) (*ReadingResult, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c = c.withDefaults()
	if c.Node < 0 || c.Node >= len(target.Nodes()) {
		return nil, fmt.Errorf("%w: there is no node %d", ErrConfig, c.Node)
	}
	r := &reading{Reading: c, record: newRecorder(), sampler: &sampler{nodes: target.Nodes()}, began: time.Now()}
	r.sampler.look(ctx)
	if c.Unchecked != nil {
		r.measure(ctx, "read, nothing checked", c.Unchecked)
	}
	if c.Unchecked == nil || ctx.Err() == nil {
		r.measure(ctx, "read", c.Call)
	}
	return r.result(ctx.Err() != nil), nil
}

// reading is one run of a [Reading].
type reading struct {
	Reading
	began   time.Time
	record  *recorder
	sampler *sampler

	mu     sync.Mutex
	keys   []uint64 // read within each window
	faults []string
}

// measure reads for the time of the warm-up and the measured time.
func (r *reading) measure(ctx context.Context, phase string, call func(context.Context, int) (int, error)) {
	begin := time.Now().Add(r.Warmup)
	w := &window{begin: begin, end: begin.Add(r.For)}
	r.record.begin(r.began, []*window{w})
	number := len(r.record.windows) - 1
	r.keys = append(r.keys, 0)

	beside, end := context.WithCancel(ctx)
	defer end()
	var background, callers sync.WaitGroup
	background.Go(func() { r.sampler.run(beside) })
	background.Go(func() { r.tell(beside, phase, begin.Add(-r.Warmup), w.end) })
	for caller := range r.InFlight {
		callers.Go(func() {
			for now := time.Now(); now.Before(w.end) && ctx.Err() == nil; now = time.Now() {
				r.call(ctx, caller, number, call)
			}
		})
	}
	at := func(when time.Time) sample {
		select {
		case <-time.After(time.Until(when)):
		case <-ctx.Done():
		}
		return r.sampler.look(context.WithoutCancel(ctx))
	}
	w.first = at(w.begin)
	w.last = at(w.end)
	callers.Wait()
	end()
	background.Wait()
	if ctx.Err() != nil {
		// Interrupted before its time: what there is counts.
		w.cut(w.last.at)
	}
}

// call makes one call.
func (r *reading) call(ctx context.Context, caller, window int, call func(context.Context, int) (int, error)) {
	bounded, cancel := context.WithTimeout(ctx, readPatience)
	defer cancel()
	due := time.Now()
	r.record.due(due)
	keys, err := call(bounded, caller)
	switch {
	case err == nil:
		if r.record.done(due, time.Now()) == window {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.keys[window] += uint64(keys)
		}
		return
	case ctx.Err() != nil:
		return // the end of the run is no failure
	case errors.Is(err, ErrWrong):
		r.mu.Lock()
		if len(r.faults) < maxFaults {
			r.faults = append(r.faults, err.Error())
		}
		r.mu.Unlock()
	}
	r.record.failed(due, err.Error())
	select {
	case <-time.After(readAgain):
	case <-ctx.Done():
	}
}

func (r *reading) tell(ctx context.Context, phase string, began, end time.Time) {
	tick := time.NewTicker(tellPause)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			r.Progress(phase, int(now.Sub(began)/time.Millisecond), int(end.Sub(began)/time.Millisecond))
		case <-ctx.Done():
			return
		}
	}
}

// ReadingResult is what a [Reading] has found out. Numbers that are not known are nil, never zero.
type ReadingResult struct {
	// ReadPhase is of the answers that were checked, where they can be.
	ReadPhase
	// Unchecked is of the same reads when the generator did not check the answers; absent where there is nothing to check.
	Unchecked *ReadPhase `json:"unchecked,omitempty"`
	// Interrupted says that it was ended before its time, Faults which answers were wrong.
	Interrupted bool     `json:"interrupted"`
	Faults      []string `json:"faults"`

	Began    time.Time    `json:"began"`
	Workload string       `json:"workload"`
	Node     string       `json:"node"`
	InFlight int          `json:"in_flight"`
	Warmup   float64      `json:"warmup_seconds"`
	Machine  Machine      `json:"machine"`
	Nodes    []NodeResult `json:"nodes"`
	// Series is what happened in each second from Began on; what is committed are calls.
	Series Series `json:"series"`
}

// ReadPhase is what was read in some time.
type ReadPhase struct {
	KeysPerSecond  float64  `json:"keys_per_second"`
	CallsPerSecond float64  `json:"calls_per_second"`
	P50            *float64 `json:"p50_ms"`
	P90            *float64 `json:"p90_ms"`
	P99            *float64 `json:"p99_ms"`
	// CPU is the processor time of the node that was read from for each key, GeneratorCPU that of the generator, in microseconds.
	CPU          *float64 `json:"cpu_us_per_key"`
	GeneratorCPU *float64 `json:"generator_cpu_us_per_key"`
	// GeneratorSeconds is the generator's processor time, in seconds.
	GeneratorSeconds float64           `json:"generator_cpu_seconds"`
	Seconds          float64           `json:"measured_seconds"`
	Keys             uint64            `json:"keys"`
	Calls            uint64            `json:"calls"`
	Errors           uint64            `json:"errors"`
	ErrorsBy         map[string]uint64 `json:"errors_by"`
}

func (r *reading) result(interrupted bool) *ReadingResult {
	last := len(r.keys) - 1
	res := &ReadingResult{
		ReadPhase: r.phase(last), Interrupted: interrupted, Faults: append([]string{}, r.faults...),
		Began: r.began.UTC(), Workload: r.Workload, Node: r.sampler.nodes[r.Node].Name, InFlight: r.InFlight, Warmup: r.Warmup.Seconds(),
		Machine: thisMachine(), Series: series(r.began, r.record, r.sampler, r.record.windows),
	}
	for i := range r.sampler.nodes {
		res.Nodes = append(res.Nodes, r.sampler.node(i, r.record.windows[last]))
	}
	if last > 0 {
		unchecked := r.phase(0)
		res.Unchecked = &unchecked
	} else if r.Unchecked != nil {
		// Interrupted before anything was checked: what there is was not.
		unchecked := res.ReadPhase
		res.Unchecked, res.ReadPhase = &unchecked, ReadPhase{ErrorsBy: map[string]uint64{}}
	}
	return res
}

func (r *reading) phase(number int) ReadPhase {
	w, t := r.record.windows[number], r.record.tallies[number]
	p := ReadPhase{
		P50: quantile(&t.latency, 0.5), P90: quantile(&t.latency, 0.9), P99: quantile(&t.latency, 0.99),
		GeneratorSeconds: (w.last.own - w.first.own).Seconds(), Seconds: w.seconds(), Keys: r.keys[number], Calls: t.answered, ErrorsBy: t.errors,
	}
	if p.Seconds > 0 {
		p.KeysPerSecond, p.CallsPerSecond = float64(p.Keys)/p.Seconds, float64(p.Calls)/p.Seconds
	}
	for _, n := range t.errors {
		p.Errors += n
	}
	if p.Keys > 0 {
		own := p.GeneratorSeconds * 1e6 / float64(p.Keys)
		p.GeneratorCPU = &own
	}
	p.CPU = w.perTx(p.Keys, func(node int) bool { return node == r.Node })
	return p
}
