package httpapi

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// stateAnswer is what every answer is that follows from the state at its height.
type stateAnswer interface {
	GetHeight() uint64
	GetProof() *proofv1.StateProof
}

// mark says of an answer how long it holds. What follows from a decided height is for ever; the rest is to be asked again, and
// where it follows from a height, its ETag names it.
//
// Tags are weak: two nodes, or two versions of one, may write the same answer in different bytes and with different proofs.
func (s *Server) mark(_ context.Context, w http.ResponseWriter, message proto.Message) error {
	a, ok := w.(*answer)
	if !ok {
		return fmt.Errorf("an answer is written to a %T", w)
	}
	switch m := message.(type) {
	case *membershipv1.ListValidatorsResponse:
		// What this node has seen the validators sign is no part of any state.
	case *ledgerv1.SubmitResponse:
		a.Header().Set("Cache-Control", "no-store")
		a.Header().Set("Location", submitPath+"/"+hex.EncodeToString(m.GetId()))
		return nil
	case *ledgerv1.GetTransactionResponse:
		s.markOutcome(a, m.GetStatus(), m.GetOutcome())
		return nil
	case *ledgerv1.WaitTransactionResponse:
		s.markOutcome(a, m.GetStatus(), m.GetOutcome())
		return nil
	case *ledgerv1.GetBlockResponse:
		s.tag(a, a.path["height"] != "0", m.GetBlock().GetHeight())
		return nil
	case *historyv1.ListTransactionsResponse:
		s.tag(a, false, m.GetHeight(), m.GetOldestHeight())
		return nil
	case stateAnswer:
		s.tag(a, a.explicit, m.GetHeight())
		return nil
	}
	a.Header().Set("Cache-Control", "no-cache")
	return nil
}

// markOutcome marks what became of a transaction: in a block it stays. Whether it is expired depends on what was asked.
func (s *Server) markOutcome(a *answer, status ledgerv1.TxStatus, outcome *ledgerv1.TxOutcome) {
	switch status {
	case ledgerv1.TxStatus_TX_STATUS_COMMITTED, ledgerv1.TxStatus_TX_STATUS_REJECTED:
		s.tag(a, true, outcome.GetHeight(), uint64(outcome.GetIndex()))
	default:
		a.Header().Set("Cache-Control", "no-cache")
	}
}

// tag gives an answer the ETag of the heights that it follows from, and says whether it can ever change.
func (s *Server) tag(a *answer, final bool, heights ...uint64) {
	parts := []string{s.network}
	for _, height := range heights {
		parts = append(parts, fmt.Sprint(height))
	}
	a.Header().Set("ETag", `W/"`+strings.Join(parts, "-")+`"`)
	switch {
	case !final:
		a.Header().Set("Cache-Control", "no-cache")
	case a.private:
		a.Header().Set("Cache-Control", "private, max-age=31536000, immutable")
	default:
		a.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
}
