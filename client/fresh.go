package client

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

const (
	// pollTimeout bounds how long a node may take to say how far it is.
	pollTimeout = time.Second
	// pollGrace is how long a read that has its answer waits for the nodes that have not said it yet, while fewer than two thirds
	// have.
	pollGrace = 250 * time.Millisecond
	// pollPause is how long a node is not asked how far it is after it did not say.
	pollPause = 30 * time.Second
	// behindBlocks is how far a node may be behind the others and still be asked as early as they.
	behindBlocks = 10
)

// freshness knows what is the newest state that there must be: a height that more than a third of the validators' nodes report.
// At least one of them is honest, so that height exists, and who answers from before it withholds something.
type freshness struct {
	interval time.Duration
	floor    atomic.Uint64 // the height that so many reported, 0 where that is not known

	mu      sync.Mutex
	polling bool
	last    time.Time           // when the last poll began
	paused  map[*node]time.Time // until when a node is not asked
	polls   int                 // how many there were
	seats   map[string]uint64   // voting power by the name of the node; nil where it is not known
	seated  uint64              // the height of the change of validators after which that is so
}

// poll asks all nodes how far they are, beside a read.
type poll struct {
	pool   *pool
	cancel context.CancelFunc
	wg     sync.WaitGroup
	nodes  []*node // that are asked

	enough chan struct{} // closed when as many have answered as matter

	mu       sync.Mutex
	heights  map[*node]uint64
	missing  int  // goroutines that have not come to an end
	learning bool // one of them asks who votes
	settled  bool
}

// poll begins to ask the nodes how far they are, unless that was done a moment ago, or there is but one. The caller ends it.
func (p *pool) poll(ctx context.Context) *poll {
	f := &p.fresh
	if p.unverified || f.interval < 0 || len(p.nodes) < 2 {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if f.polling || now.Sub(f.last) < f.interval {
		return nil
	}
	f.polling, f.last = true, now
	f.polls++
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	asked := &poll{pool: p, cancel: cancel, heights: map[*node]uint64{}, enough: make(chan struct{})}
	for _, n := range p.nodes {
		if !now.Before(f.paused[n]) {
			asked.nodes = append(asked.nodes, n)
		}
	}
	// A client that lives on learns who votes, so that the word of those who do not counts for nothing.
	known := p.lineage.trust.Known()
	asked.learning = f.polls > 1 && (f.seats == nil || f.seated != known)
	asked.missing = len(asked.nodes)
	if asked.learning {
		asked.missing++
		asked.wg.Go(func() {
			p.learnSeats(ctx, known)
			asked.learnt()
		})
	}
	for _, n := range asked.nodes {
		asked.wg.Go(func() { asked.take(n, p.report(ctx, n)) })
	}
	asked.mu.Lock()
	defer asked.mu.Unlock()
	asked.settle()
	return asked
}

// report asks a node how far it is, 0 for no answer.
func (p *pool) report(ctx context.Context, n *node) uint64 {
	err := n.check(ctx)
	var status *ledgerv1.GetStatusResponse
	if err == nil {
		status, err = n.status(ctx, n.asReader...)
	}
	if err != nil && ctx.Err() != context.Canceled {
		p.fresh.pause(n)
	}
	return status.GetHeight()
}

// take notes what a node has reported, 0 for nothing.
func (a *poll) take(n *node, height uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missing--
	if height > 0 {
		a.heights[n] = height
	}
	a.settle()
}

func (a *poll) learnt() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.missing--
	a.learning = false
	a.settle()
}

// settle ends the wait when what is still to come no longer matters. The caller has the lock.
func (a *poll) settle() {
	if !a.settled && (a.missing == 0 || !a.learning && 3*len(a.heights) >= 2*len(a.nodes)) {
		a.settled = true
		close(a.enough)
	}
}

func (f *freshness) pause(n *node) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.paused == nil {
		f.paused = map[*node]time.Time{}
	}
	f.paused[n] = time.Now().Add(pollPause)
}

// end waits for what matters, for a little while, and remembers it. Nothing of the poll runs on when it returns. A nil poll has
// ended.
func (a *poll) end() {
	if a == nil {
		return
	}
	grace := time.NewTimer(pollGrace)
	select {
	case <-a.enough:
	case <-grace.C:
	}
	grace.Stop()
	a.cancel()
	a.wg.Wait()
	a.pool.fresh.remember(a.pool.nodes, a.heights)
}

func (f *freshness) remember(nodes []*node, heights map[*node]uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.polling = false
	reports, total := []report{}, uint64(len(nodes))
	if f.seats != nil {
		total = 0
	}
	for _, power := range f.seats {
		total += power
	}
	for _, n := range nodes {
		power := uint64(1)
		if f.seats != nil {
			power = f.seats[n.Name]
		}
		if height, told := heights[n]; told && power > 0 {
			reports = append(reports, report{height, power})
		}
	}
	floor := floorOf(reports, total)
	raise(&f.floor, floor)
	for _, n := range nodes {
		height, told := heights[n]
		n.behind.Store(told && height+behindBlocks < floor)
	}
}

// report is the height that a node with some voting power has.
type report struct{ height, power uint64 }

// floorOf returns the greatest height that nodes with more than a third of the whole power report at least, 0 for none.
func floorOf(reports []report, total uint64) uint64 {
	slices.SortFunc(reports, func(a, b report) int { return cmp.Compare(b.height, a.height) })
	var sum uint64
	for _, r := range reports {
		if sum += r.power; 3*sum > total {
			return r.height
		}
	}
	return 0
}

// learnSeats asks who votes. What fails is tried again with the next poll.
func (p *pool) learnSeats(ctx context.Context, known uint64) {
	answer := new(membershipv1.ListValidatorsResponse)
	q := &question{
		method: membershipv1.MembershipService_ListValidators_FullMethodName, verified: true,
		request: &membershipv1.ListValidatorsRequest{Prove: true, MinHeight: known}, least: known,
	}
	err := p.try(ctx, func(ctx context.Context, n *node) error { return p.ask(ctx, n, q, answer, nil) })
	if err != nil {
		return
	}
	seats := make(map[string]uint64, len(answer.Validators))
	for _, v := range answer.Validators {
		seats[v.Name] = v.Power
	}
	p.fresh.mu.Lock()
	defer p.fresh.mu.Unlock()
	p.fresh.seats, p.fresh.seated = seats, known
}

// least returns the height that an answer about the newest state must have at least: that of everything this client has seen,
// and one below what more than a third have reported, because the proof of the newest block hangs on the next one.
func (p *pool) least() uint64 {
	least := p.seen.Load()
	if floor := p.fresh.floor.Load(); floor > 0 {
		least = max(least, floor-1)
	}
	return least
}

// forget drops a height that no node has proven and that no other node has reached while a call waited for it: otherwise one
// node's claim about the far future would make all reads wait in vain.
func (p *pool) forget(least uint64) {
	if proven := p.proven.Load(); least > proven {
		p.seen.CompareAndSwap(least, proven)
		p.fresh.floor.CompareAndSwap(least+1, 0)
	}
}

// raise makes a height at least as high as another.
func raise(height *atomic.Uint64, to uint64) {
	for {
		now := height.Load()
		if to <= now || height.CompareAndSwap(now, to) {
			return
		}
	}
}
