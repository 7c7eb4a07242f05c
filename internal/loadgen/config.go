package loadgen

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Config says how a run goes. The zero value of a field is its default.
type Config struct {
	// Rate is how many transactions a second are due, over all nodes, whether or not earlier ones have been answered. 0: no
	// rate but a closed loop, in which an answer makes the next transaction due.
	Rate float64
	// InFlight is how many transactions are under way per node in a closed loop. Default 1,000, 1 to 20,000.
	InFlight int
	// Backlog is how many transactions of a rate may be due and not sent, over all nodes; what exceeds it is an error. Default:
	// those of two seconds, 1,000 at least.
	Backlog int
	// Ramp is how long the load grows, Warmup how long it then is not measured, For how long it is. Defaults 2, 3 and 30 s.
	Ramp, Warmup, For time.Duration
	// Drain is how long answers are waited for in the end. Default 60 s.
	Drain time.Duration
	// Check is how long reading the blocks and comparing app hashes may take. Default: 2 minutes and four times For.
	Check time.Duration
	// Ahead bounds the memory of transactions that are signed before the load begins, in bytes. Default 256 MiB; negative: none.
	Ahead int64
	// Guess is how many transactions per second are signed ahead for a closed loop. Default 12,000.
	Guess float64
	// Flood makes one organisation flood, and the others be measured without and with that. Nil for none; needs a Rate.
	Flood *Flood
	// Down makes nodes be stopped, and the network be measured again without them. Nil for none.
	Down *Down
	// Overload is how many times the throughput of the closed loop is then offered at a fixed rate, above 0 and at most 100. 0: not.
	Overload float64
	// Reads is how many times per second Read is called. 0 for never.
	Reads float64
	// Read reads something, and checks that it is so. It is called from several goroutines at once.
	Read func(ctx context.Context) error
	// Watches are run from the ramp until the drain; each calls its function for every block that it is told of, and returns when
	// its context ends.
	Watches []func(ctx context.Context, block func(height uint64)) error
	// Progress is told how far the run is, from one goroutine at a time. May be nil.
	Progress Progress
}

// Flood is load from one organisation beside what is measured.
type Flood struct {
	// Rate is in transactions per second, over all nodes.
	Rate float64
	// Org is who floods. Its senders send nothing else. Empty: the one of the first sender.
	Org string
}

// Down is nodes that are stopped between two measurements.
type Down struct {
	// Nodes are their indexes in [Target.Nodes]: some, and not all.
	Nodes []int
	// Stop stops one, by its name, and returns when it is gone.
	Stop func(ctx context.Context, node string) error
}

// ErrConfig is returned for a configuration that cannot be run. Its text says what to change.
var ErrConfig = errors.New("invalid load")

const (
	maxInFlight = 20_000
	maxRate     = 1_000_000
	// windowOfStream is how many transactions are under way on one connection: as many as a node works on.
	windowOfStream = 1000
	// maxOverload bounds Config.Overload.
	maxOverload = 100
	// maxBacklog bounds Config.Backlog.
	maxBacklog = 10_000_000
)

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, value time.Duration) {
		if *d == 0 {
			*d = value
		}
	}
	set(&c.For, 30*time.Second)
	set(&c.Drain, time.Minute)
	set(&c.Check, 2*time.Minute+4*c.For)
	if c.InFlight == 0 {
		c.InFlight = 1000
	}
	if c.Backlog == 0 {
		c.Backlog = max(1000, int(2*c.Rate))
	}
	if c.Ahead == 0 {
		c.Ahead = 256 << 20
	}
	if c.Guess == 0 {
		c.Guess = 12_000
	}
	if c.Progress == nil {
		c.Progress = func(string, int, int) {}
	}
	return c
}

// Validate reports all problems at once, as an error that is [ErrConfig].
func (c Config) Validate() error {
	c = c.withDefaults()
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Rate < 0 || c.Rate > maxRate {
		bad("the rate is %v, it is 0 to %d transactions per second", c.Rate, maxRate)
	}
	if c.InFlight < 1 || c.InFlight > maxInFlight {
		bad("%d transactions in flight, it is 1 to %d per node", c.InFlight, maxInFlight)
	}
	if !(c.Guess > 0 && c.Guess <= maxRate) {
		bad("%v transactions per second to sign ahead, it is above 0 and at most %d", c.Guess, maxRate)
	}
	if c.Backlog < 1 || c.Backlog > maxBacklog {
		bad("a backlog of %d, it is 1 to %d", c.Backlog, maxBacklog)
	}
	for _, d := range []struct {
		name     string
		value    time.Duration
		min, max time.Duration
	}{
		{"the ramp", c.Ramp, 0, time.Hour},
		{"the warm-up", c.Warmup, 0, time.Hour},
		{"the measured time", c.For, 100 * time.Millisecond, 24 * time.Hour},
		{"the drain", c.Drain, time.Second, time.Hour},
	} {
		problems = append(problems, within(d.name, d.value, d.min, d.max))
	}
	if c.Reads < 0 || c.Reads > maxRate || c.Reads > 0 && c.Read == nil {
		bad("%v reads per second, it is 0 to %d", c.Reads, maxRate)
	}
	if c.Flood != nil {
		if c.Flood.Rate <= 0 || c.Flood.Rate > maxRate {
			bad("the flood's rate is %v, it is above 0 and at most %d", c.Flood.Rate, maxRate)
		}
		if c.Rate == 0 {
			bad("a flood is measured against a fixed rate: set one for the others")
		}
	}
	if c.Down != nil && (len(c.Down.Nodes) == 0 || c.Down.Stop == nil) {
		bad("no node is to be stopped")
	}
	if !(c.Overload >= 0 && c.Overload <= maxOverload) {
		bad("an overload of %v times the peak, it is above 0 and at most %d", c.Overload, maxOverload)
	}
	if c.Overload > 0 && c.Rate > 0 {
		bad("an overload is of the peak that a closed loop finds: leave the rate out")
	}
	for _, one := range []struct {
		name  string
		wants bool
	}{{"with nodes down", c.Down != nil}, {"under overload", c.Overload > 0}} {
		if one.wants && (c.Flood != nil || c.Reads > 0 || len(c.Watches) > 0 || c.Down != nil && c.Overload > 0) {
			bad("what is measured %s is measured by itself: without a flood, verified reads, watchers or another second measurement", one.name)
		}
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// within returns an error for a duration outside of its bounds.
func within(name string, value, least, most time.Duration) error {
	if value < least || value > most {
		return fmt.Errorf("%s is %v, it is %v to %v", name, value, least, most)
	}
	return nil
}

// measured is how long all measured time is together.
func (c Config) measured() time.Duration {
	if c.Flood != nil {
		return 2*c.For + c.settling()
	}
	return c.For
}

// settling is how long a flood runs before what it does to others is measured.
func (c Config) settling() time.Duration { return min(c.For/4, 5*time.Second) }
