package client

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
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
	good           atomic.Uint32 // index of the node that answered last
	seen           atomic.Uint64 // highest height that an answer has named
	attemptTimeout time.Duration
	timeout        time.Duration
}

var _ grpc.ClientConnInterface = (*pool)(nil)

func newPool(network *Network, nodes []Node, config Config) (*pool, error) {
	p := &pool{attemptTimeout: config.AttemptTimeout, timeout: config.Timeout}
	for _, n := range nodes {
		opened, err := newNode(network, n)
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
	first := p.good.Load()
	failed := new(Unreachable)
	for i := range p.nodes {
		index := (first + uint32(i)) % uint32(len(p.nodes))
		n := p.nodes[index]
		sent, err := p.tryOne(ctx, n, p.share(ctx, len(p.nodes)-i), do)
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
	return true, do(ctx, n)
}

// Invoke makes a unary call. Every unary call of the API may be repeated: reads change nothing, and a transaction is
// applied once however often it is sent.
func (p *pool) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	args = p.freshen(args)
	call := func(ctx context.Context, n *node) error { return n.conn.Invoke(ctx, method, args, reply, opts...) }
	err := p.try(ctx, call)
	// A network that is only just starting is worth the wait; one that is not there is not.
	for unreachable := new(Unreachable); errors.As(err, &unreachable) && unreachable.Starting() && new(pause).sleep(ctx, startingPause); {
		err = p.try(ctx, call)
	}
	if err != nil {
		return fromStatus(err)
	}
	p.note(reply)
	return nil
}

// NewStream opens a stream on the first node that can be reached. A stream that breaks later is the caller's to resume.
func (p *pool) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	var stream grpc.ClientStream
	err := p.try(ctx, func(_ context.Context, n *node) (err error) {
		stream, err = n.conn.NewStream(ctx, desc, method, opts...)
		return err
	})
	return stream, fromStatus(err)
}

// freshen asks for an answer that is not older than what this client has seen, unless the request says otherwise.
func (p *pool) freshen(args any) any {
	seen := p.seen.Load()
	message, ok := args.(proto.Message)
	if !ok || seen == 0 {
		return args
	}
	m := message.ProtoReflect()
	height, least := heightField(m, "height"), heightField(m, "min_height")
	if height == nil || least == nil || m.Get(height).Uint() != 0 || m.Get(least).Uint() != 0 {
		return args
	}
	fresh := proto.Clone(message)
	fresh.ProtoReflect().Set(least, protoreflect.ValueOfUint64(seen))
	return fresh
}

// note remembers the height that an answer names, itself or in the outcome of a transaction.
func (p *pool) note(reply any) {
	message, ok := reply.(proto.Message)
	if !ok {
		return
	}
	m := message.ProtoReflect()
	if height := heightField(m, "height"); height != nil {
		p.saw(m.Get(height).Uint())
	}
	if outcome := m.Descriptor().Fields().ByName("outcome"); outcome != nil && m.Has(outcome) {
		p.note(m.Get(outcome).Message().Interface())
	}
}

// saw raises the highest height seen.
func (p *pool) saw(height uint64) {
	for {
		seen := p.seen.Load()
		if height <= seen || p.seen.CompareAndSwap(seen, height) {
			return
		}
	}
}

func heightField(m protoreflect.Message, name protoreflect.Name) protoreflect.FieldDescriptor {
	field := m.Descriptor().Fields().ByName(name)
	if field == nil || field.Kind() != protoreflect.Uint64Kind || field.IsList() {
		return nil
	}
	return field
}
