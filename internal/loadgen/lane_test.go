package loadgen

import (
	"math"
	"testing"
	"time"
)

func TestScheduleHasTheRateAndTheRamp(t *testing.T) {
	t.Parallel()
	begin := time.Unix(1000, 0)
	s := schedule{rate: 100, begin: begin, end: begin.Add(12 * time.Second), ramp: 2 * time.Second}
	within := func(from, to time.Duration) (n int) {
		for i := 0; ; i++ {
			due := s.due(i).Sub(begin)
			if i > 0 && due < s.due(i-1).Sub(begin) {
				t.Fatalf("transaction %d is due before the one before it", i)
			}
			if due >= to {
				return n
			}
			if due >= from {
				n++
			}
		}
	}
	for _, c := range []struct {
		from, to time.Duration
		want     int
	}{{0, time.Second, 25}, {time.Second, 2 * time.Second, 75}, {2 * time.Second, 12 * time.Second, 1000}} {
		if got := within(c.from, c.to); math.Abs(float64(got-c.want)) > 1 {
			t.Errorf("%d are due from %v to %v, want %d", got, c.from, c.to, c.want)
		}
	}
	if share := s.share(begin.Add(500 * time.Millisecond)); share != 0.25 {
		t.Errorf("after a quarter of the ramp there is %v of the load", share)
	}
	if share := s.share(s.end); share != 1 {
		t.Errorf("after the ramp there is %v of the load", share)
	}
}

func TestConfigSaysAllThatIsWrong(t *testing.T) {
	t.Parallel()
	err := Config{Rate: -1, InFlight: 30_000, Warmup: -time.Second, Flood: &Flood{}}.Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%v", err)
	}
	problems, ok := joined.Unwrap()[1].(interface{ Unwrap() []error })
	if !ok || len(problems.Unwrap()) != 4 {
		t.Errorf("want four problems: %v", err)
	}
	if err := (Config{}).Validate(); err != nil {
		t.Errorf("the zero value: %v", err)
	}
}
