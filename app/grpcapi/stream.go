package grpcapi

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/status"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// streamWindow bounds the transactions of one stream that have no answer yet. The sender feels it as back-pressure.
const streamWindow = 1024

// SubmitStream works on up to streamWindow transactions at a time and answers in the order they came.
func (s *ledgerServer) SubmitStream(stream ledgerv1.LedgerService_SubmitStreamServer) error {
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
			group.Go(func() error {
				answer <- s.submitOne(ctx, q)
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

func (s *ledgerServer) submitOne(ctx context.Context, q *ledgerv1.SubmitStreamRequest) *ledgerv1.SubmitStreamResponse {
	r, err := s.Submit(ctx, &ledgerv1.SubmitRequest{Tx: q.Tx, Wait: q.Wait})
	if err == nil {
		return &ledgerv1.SubmitStreamResponse{Id: r.Id, Status: r.Status, Outcome: r.Outcome}
	}
	answer := &ledgerv1.SubmitStreamResponse{RefusedMessage: status.Convert(err).Message()}
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			answer.RefusedCode = uint32(ledgerv1.Code_value["CODE_"+d.Reason])
		case *errdetails.RetryInfo:
			answer.RetryAfterMs = uint32(d.RetryDelay.AsDuration() / time.Millisecond)
		}
	}
	return answer
}
