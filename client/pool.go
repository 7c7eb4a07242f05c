package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// helloTimeout bounds how long a node may take to say who it is: less than a call may take, so that a node that is gone
// without a trace, or stopped in the middle, costs a call little.
const helloTimeout = 5 * time.Second

// startingPause is how long to wait before nodes that are starting are asked again.
const startingPause = 200 * time.Millisecond

// pool sends each call to one node and moves on when that one cannot be reached. It is the connection that the generated
// clients run over.
type pool struct {
	nodes          []*node
	bearer         *bearer    // nil for a client that reads without a token
	unverified     bool       // answers are believed
	onLie          func(*Lie) // may be nil
	lineage        *lineage
	fresh          freshness
	good           atomic.Uint32 // index of the node that answered last
	seen           atomic.Uint64 // highest height that an answer has named
	proven         atomic.Uint64 // highest height that an answer has proven
	attemptTimeout time.Duration
	timeout        time.Duration
}

var _ grpc.ClientConnInterface = (*pool)(nil)

func newPool(network *Network, nodes []Node, config Config) (*pool, error) {
	genesis, err := network.Hash()
	if err != nil {
		return nil, err
	}
	p := &pool{
		bearer: newBearer(network, config), unverified: config.Unverified, onLie: config.OnLie,
		lineage:        newLineage(network.ChainID, [32]byte(genesis)),
		attemptTimeout: config.AttemptTimeout, timeout: config.Timeout,
	}
	p.fresh.interval = config.FreshnessInterval
	for _, n := range nodes {
		opened, err := newNode(network, n, p.bearer)
		if err != nil {
			return nil, errors.Join(err, p.close())
		}
		p.nodes = append(p.nodes, opened)
	}
	return p, nil
}

func (p *pool) close() error {
	var errs []error
	for _, n := range p.nodes {
		errs = append(errs, n.conn.Close())
	}
	return errors.Join(errs...)
}

// advance makes the node after the one that answered last the first to be asked.
func (p *pool) advance() {
	p.good.Store((p.good.Load() + 1) % uint32(len(p.nodes)))
}

// try runs do against one node after the other, beginning with the one that answered last, until one answers, be it with
// a refusal. Each try has its own time, and leaves some of the whole for the nodes after it. It returns an [*Unreachable]
// when none answered.
func (p *pool) try(ctx context.Context, do func(context.Context, *node) error) error {
	failed := new(Unreachable)
	order := p.order()
	for i, index := range order {
		n := p.nodes[index]
		sent, err := p.tryOne(ctx, n, p.share(ctx, len(order)-i), do)
		if err == nil || (ctx.Err() == nil && !isUnreachable(ctx, err)) {
			p.good.Store(index)
			return err
		}
		failed.Attempts = append(failed.Attempts, Attempt{Node: n.label(), Address: n.GRPC, Sent: sent, Err: err})
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w", ctx.Err(), failed)
		}
	}
	return failed
}

// order returns the nodes in the order in which they are asked: the one that answered last, then those after it; those that
// are far behind the others later, and those that were caught lying last.
func (p *pool) order() []uint32 {
	first, count := p.good.Load(), uint32(len(p.nodes))
	order := make([]uint32, count)
	for i := range order {
		order[i] = (first + uint32(i)) % count
	}
	rank := func(index uint32) int {
		n := p.nodes[index]
		switch {
		case n.distrust.now() != nil:
			return 2
		case n.behind.Load():
			return 1
		default:
			return 0
		}
	}
	slices.SortStableFunc(order, func(a, b uint32) int { return cmp.Compare(rank(a), rank(b)) })
	return order
}

// share returns how long the next try may take when so many nodes are left.
func (p *pool) share(ctx context.Context, left int) time.Duration {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return p.attemptTimeout
	}
	return min(p.attemptTimeout, time.Until(deadline)/time.Duration(left))
}

func (p *pool) tryOne(ctx context.Context, n *node, limit time.Duration, do func(context.Context, *node) error) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := n.check(ctx); err != nil {
		return false, err
	}
	err = do(ctx, n)
	return !notReady(err), err
}

// Invoke makes a unary call. Every unary call of the API may be repeated: reads change nothing, and a transaction is
// applied once however often it is sent.
func (p *pool) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	_, err := p.call(ctx, method, args, reply, opts)
	return err
}

// call is Invoke that also tells which node has answered, nil where none was asked.
func (p *pool) call(ctx context.Context, method string, args, reply any, opts []grpc.CallOption) (*node, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	q := p.asks(method, args)
	var beside *poll
	if q.tip {
		beside = p.poll(ctx)
	}
	err := p.answer(ctx, q, reply, opts)
	beside.end()
	// What the others reported meanwhile counts too: a client that asks one question only would know nothing older to compare.
	if least := p.least(); beside != nil && q.verified && q.height > 0 && q.height < least && ctx.Err() == nil {
		q.raise(least)
		err = p.answer(ctx, q, reply, opts)
	}
	if err != nil {
		return q.by, fromStatus(err)
	}
	if q.tells(p.unverified) {
		p.note(reply)
	}
	return q.by, nil
}

// answer puts a question to the nodes until one has a good answer, or a refusal. A lie is no answer.
func (p *pool) answer(ctx context.Context, q *question, reply any, opts []grpc.CallOption) error {
	call := func(ctx context.Context, n *node) error { return p.ask(ctx, n, q, reply, opts) }
	err := p.try(ctx, call)
	if denied := new(Denied); errors.As(fromStatus(err), &denied) && p.bearer.renew(denied) {
		err = p.try(ctx, call)
	}
	// A network that is only just starting is worth the wait, and so are nodes that are a block behind; one that is not there is
	// not.
	began := time.Now()
	for unreachable := new(Unreachable); errors.As(err, &unreachable); {
		behind := errors.Is(err, ErrStale) && time.Since(began) < p.attemptTimeout
		if !unreachable.Starting() && !behind || !new(pause).sleep(ctx, startingPause) {
			break
		}
		err = p.try(ctx, call)
	}
	if unreachable := new(Unreachable); q.tip && errors.As(err, &unreachable) && unreachable.late() {
		p.forget(q.least)
	}
	return err
}

// NewStream opens a stream on the first node that can be reached. A stream that breaks later is the caller's to resume.
func (p *pool) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	var stream grpc.ClientStream
	err := p.try(ctx, func(_ context.Context, n *node) (err error) {
		stream, err = n.conn.NewStream(ctx, desc, method, slices.Concat(opts, n.asReader)...)
		return err
	})
	return stream, fromStatus(err)
}

// note remembers the height that an answer names, itself or in the outcome of a transaction.
func (p *pool) note(reply any) {
	p.saw(heightOf(reply, "height"))
	if told, ok := reply.(interface{ GetOutcome() *ledgerv1.TxOutcome }); ok && told.GetOutcome() != nil {
		p.saw(told.GetOutcome().Height)
	}
}

// saw raises the highest height seen.
func (p *pool) saw(height uint64) { raise(&p.seen, height) }
