package grpcapi

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// Bounds of the transactions of one stream that have no answer yet, and of the bytes of those that the pool has not
// examined yet. The sender feels both as back-pressure.
const (
	streamWindow = 1024
	streamBytes  = 8 << 20
)

// SubmitStream works on up to streamWindow transactions at a time and answers in the order they came.
func (s *ledgerServer) SubmitStream(stream ledgerv1.LedgerService_SubmitStreamServer) error {
	bytes := semaphore.NewWeighted(streamBytes)
	group, ctx := errgroup.WithContext(stream.Context())
	answers := make(chan chan *ledgerv1.SubmitStreamResponse, streamWindow)
	group.Go(func() error {
		defer close(answers)
		for {
			q, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			answer := make(chan *ledgerv1.SubmitStreamResponse, 1)
			select {
			case answers <- answer:
			case <-ctx.Done():
				return ctx.Err()
			}
			size := min(int64(len(q.Tx)), streamBytes)
			if err := bytes.Acquire(ctx, size); err != nil {
				return err
			}
			group.Go(func() error {
				answer <- s.submitOne(ctx, q, func() { bytes.Release(size) })
				return nil
			})
		}
	})
	group.Go(func() error {
		for answer := range answers {
			select {
			case r := <-answer:
				if err := stream.Send(r); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return toStatus(group.Wait())
}

// submitOne submits one transaction of a stream, and calls examined when its bytes are needed no more.
func (s *ledgerServer) submitOne(ctx context.Context, q *ledgerv1.SubmitStreamRequest, examined func()) *ledgerv1.SubmitStreamResponse {
	r, err := s.submitExamined(ctx, q, examined)
	if err == nil {
		return &ledgerv1.SubmitStreamResponse{Id: r.Id, Status: r.Status, Outcome: r.Outcome}
	}
	if full := (*mempool.FullError)(nil); errors.As(err, &full) {
		// Under overload this is most answers: a status with its details would only be taken apart again.
		return &ledgerv1.SubmitStreamResponse{
			RefusedMessage: full.Error(), RefusedReason: reasonFull, RetryAfterMs: uint32(full.RetryAfter / time.Millisecond),
		}
	}
	st := status.Convert(err)
	answer := &ledgerv1.SubmitStreamResponse{RefusedMessage: st.Message(), RefusedReason: code.Code(st.Code()).String()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			answer.RefusedReason = d.Reason
			answer.RefusedCode = uint32(ledgerv1.Code_value["CODE_"+d.Reason])
		case *errdetails.RetryInfo:
			answer.RetryAfterMs = uint32(d.RetryDelay.AsDuration() / time.Millisecond)
		}
	}
	return answer
}

// submitExamined is Submit that calls examined when the bytes are needed no more, and leaves a [*mempool.FullError] as it is.
func (s *ledgerServer) submitExamined(ctx context.Context, q *ledgerv1.SubmitStreamRequest, examined func()) (*ledgerv1.SubmitResponse, error) {
	if err := s.mayTake(ctx); err != nil {
		examined()
		return nil, toStatus(err)
	}
	t, err := s.app.Pool().From(clientOf(ctx)).Submit(ctx, q.Tx)
	examined()
	if full := (*mempool.FullError)(nil); errors.As(err, &full) {
		return nil, err
	}
	return s.submitted(ctx, t, err, q.Wait)
}
