package network

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc"

	"github.com/althing-ledger/althing/internal/loadgen"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// tagsWaiting bounds the transactions without an answer on a stream: above what a node works on.
const tagsWaiting = 4096

// stream is a SubmitStream, whose answers come in the order of what was sent.
type stream struct {
	calls grpc.BidiStreamingClient[ledgerv1.SubmitStreamRequest, ledgerv1.SubmitStreamResponse]
	tags  chan uint64
}

// Open implements [loadgen.Target].
func (t *Target) Open(ctx context.Context, node int) (loadgen.Stream, error) {
	calls, err := t.each[node].Ledger().SubmitStream(ctx)
	if err != nil {
		return nil, err
	}
	return &stream{calls: calls, tags: make(chan uint64, tagsWaiting)}, nil
}

func (s *stream) Send(tag uint64, raw []byte) error {
	select {
	case s.tags <- tag:
	case <-s.calls.Context().Done():
		return s.calls.Context().Err()
	}
	return s.calls.Send(&ledgerv1.SubmitStreamRequest{Tx: raw, Wait: true})
}

func (s *stream) CloseSend() error { return s.calls.CloseSend() }

// errUnasked is returned when a node answers what nobody has asked.
var errUnasked = errors.New("the node answers more than it was sent")

func (s *stream) Recv() (loadgen.Answer, error) {
	a, err := s.calls.Recv()
	if err != nil {
		return loadgen.Answer{}, err
	}
	select {
	case tag := <-s.tags:
		return answer(tag, a), nil
	default:
		return loadgen.Answer{}, errUnasked
	}
}

func answer(tag uint64, a *ledgerv1.SubmitStreamResponse) loadgen.Answer {
	told := loadgen.Answer{Tag: tag, Height: a.GetOutcome().GetHeight(), Code: uint32(a.GetOutcome().GetCode()), Reason: a.RefusedReason}
	code := ledgerv1.Code(a.RefusedCode)
	switch {
	case a.RefusedReason == "":
		told.Status, told.Reason = statusOf(a)
	case a.RetryAfterMs > 0:
		told.Status, told.RetryAfter = loadgen.Busy, time.Duration(a.RetryAfterMs)*time.Millisecond
	case code != 0 && code != ledgerv1.Code_CODE_DUPLICATE:
		told.Status, told.Code = loadgen.Refused, a.RefusedCode
	default:
		told.Status = loadgen.Undecided
	}
	return told
}

// statusOf says what a node did that has not refused, and names what is not to count as applied.
func statusOf(a *ledgerv1.SubmitStreamResponse) (loadgen.Status, string) {
	switch a.Status {
	case ledgerv1.TxStatus_TX_STATUS_COMMITTED:
		return loadgen.Committed, ""
	case ledgerv1.TxStatus_TX_STATUS_REJECTED:
		return loadgen.Committed, tx.Reason(a.GetOutcome().GetCode())
	case ledgerv1.TxStatus_TX_STATUS_EXPIRED:
		return loadgen.Refused, tx.Reason(ledgerv1.Code_CODE_EXPIRED)
	default:
		return loadgen.Undecided, loadgen.ReasonPending
	}
}
