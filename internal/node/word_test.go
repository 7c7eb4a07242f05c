package node_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestOneNodesWord has a node take payments and say that they have failed: whoever believed it would sign them again and pay
// twice. The other nodes prove what became of each.
func TestOneNodesWord(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	proxy := clienttest.StartProxy(t, w.nodes[0].files(w).GRPC)
	file := *w.files.File
	file.Nodes = slices.Clone(file.Nodes)
	file.Nodes[0].GRPC = proxy.Address
	submit, wait := ledgerv1.LedgerService_Submit_FullMethodName, ledgerv1.LedgerService_WaitTransaction_FullMethodName
	for name, lie := range map[string]func(*clienttest.Exchange){
		"expired": func(e *clienttest.Exchange) {
			switch a := e.Answer.(type) {
			case *ledgerv1.SubmitResponse:
				a.Status, a.Outcome = ledgerv1.TxStatus_TX_STATUS_EXPIRED, nil
			case *ledgerv1.WaitTransactionResponse:
				a.Status, a.Outcome = ledgerv1.TxStatus_TX_STATUS_EXPIRED, nil
			case *ledgerv1.GetTransactionResponse:
				a.Status, a.Outcome, a.Proof = ledgerv1.TxStatus_TX_STATUS_EXPIRED, nil, nil
			}
		},
		"rejected": func(e *clienttest.Exchange) {
			switch a := e.Answer.(type) {
			case *ledgerv1.SubmitResponse:
				a.Status, a.Outcome.Code = ledgerv1.TxStatus_TX_STATUS_REJECTED, ledgerv1.Code_CODE_NOT_FOUND
			case *ledgerv1.WaitTransactionResponse:
				a.Status, a.Outcome.Code = ledgerv1.TxStatus_TX_STATUS_REJECTED, ledgerv1.Code_CODE_NOT_FOUND
			}
		},
		"refused": func(e *clienttest.Exchange) {
			if e.Method == submit {
				e.Answer, e.Err = nil, status.Error(codes.InvalidArgument, "no")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			proxy.Tamper(lie)
			raw, id, expiresAt := w.sign(2*time.Minute, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
			caught := new(liars)
			c, err := client.Dial(&file, client.Config{OnLie: caught.take, FreshnessInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			result, err := c.SubmitAndWait(ctx, raw)
			if name == "refused" {
				// No code says why: the call fails, and nothing is said of the transaction.
				if status.Code(err) != codes.InvalidArgument {
					t.Fatalf("submitted: %+v, %v", result, err)
				}
				eventually(t, "it is found", func(ctx context.Context) error {
					result, err := c.WaitTransaction(ctx, id, expiresAt)
					if err == nil && !result.OK() {
						err = errors.New(result.Status.String())
					}
					return err
				})
				return
			}
			if err != nil || !result.OK() || !result.Proven {
				t.Fatalf("submitted: %+v, %v", result, err)
			}
			lies := caught.all()
			if !slices.ContainsFunc(lies, func(l *client.Lie) bool { return l.Node == w.nodes[0].name && l.Method == submit }) {
				t.Errorf("reported: %v", lies)
			}
			pinned, err := client.Dial(&file, client.Config{OnLie: caught.take, FreshnessInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = pinned.Close() }()
			if result, err = pinned.WaitTransaction(ctx, id, expiresAt); err != nil || !result.OK() {
				t.Fatalf("waited: %+v, %v", result, err)
			}
			if lies = caught.all(); !slices.ContainsFunc(lies, func(l *client.Lie) bool { return l.Method == wait }) {
				t.Errorf("reported: %v", lies)
			}
		})
	}
}

// TestAnswersOfANewerVersion has nodes add fields that this version does not know, to the answers and to what is in them: they are
// dropped, and no lie.
func TestAnswersOfANewerVersion(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	proxy := clienttest.StartProxy(t, w.nodes[0].files(w).GRPC)
	unknown := []byte{0xc8, 0xbb, 0x06, 0x01} // field 13,369
	proxy.Tamper(func(e *clienttest.Exchange) {
		if e.Answer == nil {
			return
		}
		e.Answer.ProtoReflect().SetUnknown(unknown)
		switch a := e.Answer.(type) {
		case *accountsv1.GetAccountResponse:
			a.Account.ProtoReflect().SetUnknown(unknown)
			a.Proof.ProtoReflect().SetUnknown(unknown)
		case *ledgerv1.GetLineageResponse:
			a.Lineage.ProtoReflect().SetUnknown(unknown)
		case *ledgerv1.GetBlockResponse:
			a.Block.ProtoReflect().SetUnknown(unknown)
		case *ledgerv1.GetTransactionResponse:
			a.Outcome.ProtoReflect().SetUnknown(unknown)
		case *ledgerv1.WatchResponse:
			if b := a.GetBlock(); b != nil {
				b.ProtoReflect().SetUnknown(unknown)
				a.Proof.ProtoReflect().SetUnknown(unknown)
			}
		}
	})
	c, caught := w.dial(t, proxy, nil)
	defer func() { _ = c.Close() }()
	account, err := c.Accounts().GetAccount(t.Context(), &accountsv1.GetAccountRequest{Name: "acme/admin", Prove: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(account.ProtoReflect().GetUnknown())+len(account.Account.ProtoReflect().GetUnknown())+len(account.Proof.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("shown: %v", account)
	}
	transaction, err := c.Ledger().GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{Id: w.outcome.Id})
	if err != nil || len(transaction.Outcome.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("a transaction: %v, %v", transaction, err)
	}
	for block, err := range c.Watch(t.Context(), w.outcome.Height) {
		if err != nil || len(block.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("a block: %v, %v", block, err)
		}
		break
	}
	if lies := caught.all(); len(lies) > 0 {
		t.Errorf("reported: %v", lies)
	}
}
