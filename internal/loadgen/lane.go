package loadgen

import (
	"context"
	"math"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"
)

// lane is the load of one group of senders on one node.
type lane struct {
	node     int
	supply   *supply
	needs    int // how many transactions it will send, as far as that is known
	record   *recorder
	ledger   *ledger
	schedule schedule
	halt     <-chan struct{} // closed when nothing new is to be sent any more
	// jobs holds the times at which transactions of a rate are due; nil in a closed loop.
	jobs chan time.Time
	// limit is how many are under way at a time on each connection.
	limit   int
	workers int
	// running are the nodes that take load, of which node is one: whoever loses one goes to the next.
	running []int
	// sheds says that what is due and not sent when the schedule ends is an error, and not sent late.
	sheds bool
}

// connectionsOfRate is how many connections a lane with a rate has.
const connectionsOfRate = 4

// newLane divides what may be under way among connections.
func newLane(node int, running []int, s schedule, inFlight, backlog int) *lane {
	l := &lane{node: node, running: running, schedule: s}
	if s.rate > 0 {
		l.jobs = make(chan time.Time, max(1, backlog))
		l.workers, l.limit = connectionsOfRate, windowOfStream
		return l
	}
	l.workers = (inFlight + windowOfStream - 1) / windowOfStream
	l.limit = (inFlight + l.workers - 1) / l.workers
	return l
}

// next returns the node after one that was lost.
func (l *lane) next(lost int) int {
	return l.running[(slices.Index(l.running, lost)+1)%len(l.running)]
}

// run sends until the schedule ends, and then until everything is answered or ctx ends.
func (l *lane) run(ctx context.Context, target Target) error {
	group, ctx := errgroup.WithContext(ctx)
	if l.jobs != nil {
		group.Go(func() error {
			defer close(l.jobs)
			l.pace(ctx)
			if l.sheds {
				l.shed()
			}
			return nil
		})
	}
	for range l.workers {
		w := newWorker(l, target)
		group.Go(func() error { return w.run(ctx) })
	}
	return group.Wait()
}

// pacePause is how often a pacer looks which transactions are due at most.
const pacePause = time.Millisecond

// pace says when transactions are due, as the schedule has it, whether or not anybody is ready to send them.
func (l *lane) pace(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	n := 0
	for due := l.schedule.due(n); ; {
		now := time.Now()
		for ; !due.After(now) && due.Before(l.schedule.end); n, due = n+1, l.schedule.due(n+1) {
			l.record.due(due)
			select {
			case l.jobs <- due:
			default:
				l.record.failed(due, ReasonBacklog)
			}
		}
		if !now.Before(l.schedule.end) {
			return
		}
		timer.Reset(max(pacePause, min(time.Until(due), time.Until(l.schedule.end))))
		select {
		case <-timer.C:
		case <-l.halt:
			return
		case <-ctx.Done():
			return
		}
	}
}

// shed makes errors of what is due and not sent.
func (l *lane) shed() {
	for {
		select {
		case due := <-l.jobs:
			l.record.failed(due, ReasonBacklog)
		default:
			return
		}
	}
}

// over says whether nothing new is due in a closed loop any more.
func (l *lane) over(now time.Time) bool {
	select {
	case <-l.halt:
		return true
	default:
		return !now.Before(l.schedule.end)
	}
}

// schedule says when a lane sends.
type schedule struct {
	rate       float64 // per second of this lane; 0 for a closed loop
	begin, end time.Time
	ramp       time.Duration // from nothing to everything, at the begin
	offset     float64       // of this lane among its fellows, 0 to 1, so that they take turns
}

// due returns when transaction n, counted from 0, is due. While the load grows linearly to the rate, the number that are due after
// t is rate·t²/(2·ramp).
func (s schedule) due(n int) time.Time {
	at := float64(n) + s.offset
	ramp := s.ramp.Seconds()
	inRamp := s.rate * ramp / 2
	var seconds float64
	if at < inRamp {
		seconds = math.Sqrt(2 * ramp * at / s.rate)
	} else {
		seconds = ramp + (at-inRamp)/s.rate
	}
	return s.begin.Add(time.Duration(seconds * float64(time.Second)))
}

// share returns which part of the load there is at a time, 0 to 1.
func (s schedule) share(now time.Time) float64 {
	if since := now.Sub(s.begin); since < s.ramp {
		return max(0, since.Seconds()/s.ramp.Seconds())
	}
	return 1
}
