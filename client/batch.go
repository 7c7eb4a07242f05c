package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Bounds of [BatchOptions.InFlight].
const (
	defaultInFlight = 256
	maxInFlight     = 10_000
)

// BatchOptions adjust [Client.SubmitAll]. The zero value is good.
type BatchOptions struct {
	// InFlight is how many transactions may be without an outcome at a time, which also bounds what is held in memory. Default
	// 256, at most 10,000. A node takes 1,024 at a time from one client.
	InFlight int
}

// BatchResult is what became of one transaction of a batch.
type BatchResult struct {
	// Index is its place in the batch, from 0.
	Index int
	// ID is that of the transaction; zero for bytes that are none.
	ID tx.ID
	// Result is final where Err is nil. A transaction that the ledger rejected is not an error: ask [Result.OK].
	Result *Result
	// Err is one of those of [Client.SubmitAndWait].
	Err error
}

// SubmitAll submits encoded transactions over one stream and yields what became of each, in the order in which that is known,
// which is not the order of the batch: [BatchResult.Index] tells. Every transaction is yielded once, unless whoever ranges over
// the results stops.
//
// Transactions that the stream's node does not settle, because it dies, is full or loses them, are submitted again like those of
// [Client.SubmitAndWait], to the other nodes if need be, and applied once all the same. When ctx ends, no more are pulled, and those
// without an outcome have the error [*Undecided], or that of ctx where they reached no node.
//
// The sequence of transactions is pulled from another goroutine, and no faster than outcomes are taken: it may be as long as one
// likes. Bytes that it yields must not be changed. Transactions of one batch are not applied in its order.
func (c *Client) SubmitAll(ctx context.Context, transactions iter.Seq[[]byte], options BatchOptions) iter.Seq[BatchResult] {
	inFlight := options.InFlight
	if inFlight <= 0 {
		inFlight = defaultInFlight
	}
	inFlight = min(inFlight, maxInFlight)
	return func(yield func(BatchResult) bool) {
		ctx, cancel := context.WithCancel(ctx)
		b := &batch{client: c, results: make(chan BatchResult), stop: make(chan struct{}), room: make(chan struct{}, inFlight)}
		// Whoever stops early waits for what still runs: nothing outlives the loop.
		defer b.running.Wait()
		defer close(b.stop)
		defer cancel()
		b.running.Go(func() {
			defer close(b.results)
			b.feed(ctx, transactions)
			b.open.Wait()
		})
		for result := range b.results {
			if !yield(result) {
				return
			}
		}
	}
}

// batch is one SubmitAll.
type batch struct {
	client  *Client
	results chan BatchResult
	stop    chan struct{} // closed when nobody wants results any more
	room    chan struct{} // holds one token for each transaction without an outcome
	running sync.WaitGroup
	open    sync.WaitGroup // transactions without an outcome, and streams
}

// item is a transaction of a batch.
type item struct {
	index int
	t     *Transaction
	raw   []byte
}

// feed pulls transactions and sends them, over a new stream whenever the one before broke.
func (b *batch) feed(ctx context.Context, transactions iter.Seq[[]byte]) {
	var s *submitStream
	defer func() { s.end() }()
	index := -1
	for raw := range transactions {
		index++
		select {
		case b.room <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			return
		}
		b.open.Add(1)
		t, err := ParseTransaction(b.client.network.ChainID, raw)
		if err != nil {
			b.done(BatchResult{Index: index, Err: err})
			continue
		}
		it := item{index, t, raw}
		if s != nil && s.broken() {
			s.end()
			s = nil
		}
		if s == nil {
			s = b.stream(ctx)
		}
		if s == nil {
			b.settle(ctx, it, 0)
		} else {
			s.send(it)
		}
	}
}

// done hands over a result and makes room.
func (b *batch) done(r BatchResult) {
	defer b.open.Done()
	select {
	case b.results <- r:
	case <-b.stop:
	}
	<-b.room
}

// settle submits a transaction by itself, and again until its outcome is known. It was handed over so often already.
func (b *batch) settle(ctx context.Context, it item, handed int) {
	b.running.Go(func() {
		result, err := b.client.submitAndWait(ctx, it.t, it.raw, handed)
		b.done(BatchResult{Index: it.index, ID: it.t.ID(), Result: result, Err: err})
	})
}

// submitStream is a stream to one node, and the transactions on it that have no answer, in the order they were sent: the node
// answers in that order.
type submitStream struct {
	batch   *batch
	ctx     context.Context
	cancel  context.CancelFunc
	stream  grpc.BidiStreamingClient[ledgerv1.SubmitStreamRequest, ledgerv1.SubmitStreamResponse]
	at      *node
	answers atomic.Uint64 // how many have come
	sent    chan item     // closed when no more are sent
	dead    chan struct{} // closed when no more are answered
}

// stream opens a stream at the first node that can be reached, nil where there is none.
func (b *batch) stream(ctx context.Context) *submitStream {
	s := &submitStream{batch: b, ctx: ctx, sent: make(chan item, cap(b.room)), dead: make(chan struct{})}
	streaming, cancel := context.WithCancel(ctx)
	err := b.client.pool.try(ctx, func(_ context.Context, n *node) (err error) {
		s.at = n
		s.stream, err = ledgerv1.NewLedgerServiceClient(n.conn).SubmitStream(streaming, n.asReader...)
		return err
	})
	if err != nil {
		cancel()
		return nil
	}
	s.cancel = cancel
	b.open.Add(1)
	b.running.Go(func() {
		defer b.open.Done()
		s.receive()
	})
	b.running.Go(func() { s.attend(streaming) })
	return s
}

// attend ends the stream when its node is silent and does not even say how it is: no error would ever come from a machine that
// was unplugged.
func (s *submitStream) attend(ctx context.Context) {
	idle := time.NewTicker(s.batch.client.config.IdleProbe)
	defer idle.Stop()
	var before uint64
	for {
		select {
		case <-idle.C:
		case <-ctx.Done():
			return
		}
		now := s.answers.Load()
		if now == before && s.probe(ctx) != nil {
			s.cancel()
			return
		}
		before = now
	}
}

func (s *submitStream) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.batch.client.config.AttemptTimeout)
	defer cancel()
	_, err := s.at.status(ctx)
	return err
}

func (s *submitStream) broken() bool {
	select {
	case <-s.dead:
		return true
	default:
		return false
	}
}

// send puts a transaction on the stream. It is answered, or settled, by the one who receives.
func (s *submitStream) send(it item) {
	// There is room: no more are without an outcome than this channel holds.
	s.sent <- it
	_ = s.stream.Send(&ledgerv1.SubmitStreamRequest{Tx: it.raw, Wait: true}) // what is wrong shows in Recv
}

// end says that nothing more is sent. A nil stream has ended.
func (s *submitStream) end() {
	if s == nil {
		return
	}
	close(s.sent)
	_ = s.stream.CloseSend()
}

// receive takes the answers until all have come, or the stream breaks; then each that is left is settled by itself.
func (s *submitStream) receive() {
	defer s.cancel()
	alive := true
	for it := range s.sent {
		var answer *ledgerv1.SubmitStreamResponse
		if alive {
			var err error
			if answer, err = s.stream.Recv(); err != nil {
				alive = false
				s.batch.client.pool.advance()
				close(s.dead)
			}
		}
		if !alive {
			s.batch.settle(s.ctx, it, 1)
			continue
		}
		s.answers.Add(1)
		s.take(it, answer)
	}
}

// take judges the answer to one transaction.
func (s *submitStream) take(it item, a *ledgerv1.SubmitStreamResponse) {
	id := it.t.ID()
	done := func(result *Result, err error) {
		s.batch.done(BatchResult{Index: it.index, ID: id, Result: result, Err: err})
	}
	if a.RefusedReason == "" {
		if string(a.Id) != string(id[:]) {
			s.batch.settle(s.ctx, it, 1)
			return
		}
		result, err := newResult(id, a.Status, a.Outcome, 0)
		// Whatever is not to be believed of one node is asked of the others too.
		if err != nil || !result.Final() || !result.OK() && !s.batch.client.believes() {
			s.batch.settle(s.ctx, it, 1)
			return
		}
		s.batch.client.pool.saw(result.Height)
		done(result, nil)
		return
	}
	err := streamRefusal(a)
	var refused *Refused
	switch {
	case notReady(err):
		s.cancel() // the others go to another node too
		s.batch.settle(s.ctx, it, 0)
	case errors.As(err, &refused) && refused.Code == ledgerv1.Code_CODE_EXPIRED && !s.batch.client.believes():
		s.batch.settle(s.ctx, it, 0) // the others are asked too
	case errors.As(err, &refused) && refused.Code != ledgerv1.Code_CODE_DUPLICATE:
		done(nil, refused)
	case errors.Is(err, ErrFull):
		s.batch.settle(s.ctx, it, 0)
	default:
		s.batch.settle(s.ctx, it, 1)
	}
}

// streamRefusal makes of what a stream says of a refused transaction the error that Submit would have returned.
func streamRefusal(a *ledgerv1.SubmitStreamResponse) error {
	details := &errdetails.ErrorInfo{Domain: errorDomain, Reason: a.RefusedReason}
	code := codes.InvalidArgument
	switch {
	case a.RefusedCode != 0:
		details.Metadata = map[string]string{"code": fmt.Sprint(a.RefusedCode)}
	case a.RefusedReason == reasonNotReady:
		code = codes.Unavailable
	case a.RetryAfterMs > 0:
		code = codes.ResourceExhausted
	default:
		code = codes.Unavailable
	}
	st := status.New(code, a.RefusedMessage)
	if code == codes.ResourceExhausted {
		if with, err := st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(a.RetryAfterMs) * time.Millisecond)}); err == nil {
			st = with
		}
	} else if with, err := st.WithDetails(details); err == nil {
		st = with
	}
	return fromStatus(st.Err())
}
