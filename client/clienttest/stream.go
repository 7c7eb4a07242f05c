package clienttest

import (
	"errors"
	"io"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// SubmitStream answers one transaction after the other.
func (s *ledgerService) SubmitStream(stream ledgerv1.LedgerService_SubmitStreamServer) error {
	for answered := 0; ; answered++ {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if f := s.node.now(); f.BreakSubmitsAfter > 0 && answered >= f.BreakSubmitsAfter {
			return status.Error(codes.Unavailable, "the node has died")
		}
		done, err := s.Submit(stream.Context(), &ledgerv1.SubmitRequest{Tx: req.Tx, Wait: req.Wait})
		answer := &ledgerv1.SubmitStreamResponse{Id: done.GetId(), Status: done.GetStatus(), Outcome: done.GetOutcome()}
		if err != nil {
			answer = refusedInStream(status.Convert(err))
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

func refusedInStream(st *status.Status) *ledgerv1.SubmitStreamResponse {
	answer := &ledgerv1.SubmitStreamResponse{RefusedMessage: st.Message(), RefusedReason: st.Code().String()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			answer.RefusedReason, answer.RefusedCode = d.Reason, uint32(ledgerv1.Code_value["CODE_"+d.Reason])
		case *errdetails.RetryInfo:
			answer.RetryAfterMs = uint32(d.RetryDelay.AsDuration().Milliseconds())
		}
	}
	return answer
}
