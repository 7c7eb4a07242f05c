package node_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/client"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// reason returns why a call was not answered, empty where it was.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is {
			return info.Reason
		}
	}
	return ""
}

// refuses waits until a node takes no transactions, and checks that its status agrees.
func (m *member) refuses(n *network, why string) {
	m.t.Helper()
	eventually(m.t, m.name+" takes no transactions", func(ctx context.Context) error {
		raw, _, _ := n.sign(2*time.Minute, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
		_, err := m.ledger().Submit(ctx, &ledgerv1.SubmitRequest{Tx: raw})
		if err == nil {
			return errNotYet
		}
		if status.Code(err) != codes.Unavailable || reason(err) != "NOT_READY" || !strings.Contains(err.Error(), "another node") {
			m.t.Fatalf("%s refuses with %v", m.name, err)
		}
		if !strings.Contains(err.Error(), why) {
			return fmt.Errorf("it refuses with %w", err)
		}
		return nil
	})
	if said := m.status(m.t); said.Ready || !strings.Contains(said.Waiting, why) {
		m.t.Errorf("%s says that it is ready: %v, and waits for %q", m.name, said.Ready, said.Waiting)
	}
}

// takes waits until a node takes a transaction, and returns what asks for its outcome.
func (m *member) takes(n *network) *ledgerv1.WaitTransactionRequest {
	m.t.Helper()
	var question *ledgerv1.WaitTransactionRequest
	eventually(m.t, m.name+" takes transactions", func(ctx context.Context) error {
		raw, id, expiresAt := n.sign(2*time.Minute, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
		question = &ledgerv1.WaitTransactionRequest{Id: id[:], ExpiresAt: timestamppb.New(expiresAt)}
		_, err := m.ledger().Submit(ctx, &ledgerv1.SubmitRequest{Tx: raw})
		return err
	})
	return question
}

// TestCutOff takes all peers from a node. It takes transactions for a while, then no more, and sends away who waits; with one of three
// back, without whom nobody makes blocks, it takes them again, and with two back they are committed.
func TestCutOff(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil, nil)
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	n.sameState(2)
	one := n.nodes[0]
	for _, other := range n.nodes[1:] {
		other.stop()
	}
	first := one.takes(n)
	if said := one.status(t); said.Ready {
		t.Errorf("%s is ready, alone", one.name)
	}
	began := time.Now()
	if _, err := one.ledger().WaitTransaction(t.Context(), first); status.Code(err) != codes.Unavailable || reason(err) != "UNDECIDED" {
		t.Errorf("who waited was told %v", err)
	}
	t.Logf("who waited was sent away after %v", time.Since(began))
	one.refuses(n, "no other member is connected")

	n.nodes[1].start()
	second := one.takes(n)
	if said := one.status(t); said.Ready {
		t.Errorf("%s is ready with half of the votes", one.name)
	}
	n.nodes[2].start()
	one.waitReady()
	for _, q := range []*ledgerv1.WaitTransactionRequest{first, second} {
		if res, err := one.ledger().WaitTransaction(t.Context(), q); err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
			t.Errorf("transaction %x is %v, %v", q.Id, res, err)
		}
	}
}

// TestSuspendedTakesNothing suspends an org and resumes it: between the two its node takes nobody's transactions.
func TestSuspendedTakesNothing(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil, nil)
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	vote := func(proposal uint64, op *ledgerv1.Operation) {
		n.must(n.nodes[0], client.Propose("acme/admin", "a test", op))
		for _, account := range []string{"globex/admin", "initech/admin"} {
			n.must(n.nodes[0], client.Vote(account, proposal, true))
		}
	}
	suspended := n.nodes[3]
	suspended.takes(n)
	vote(1, &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSuspend{OrgSuspend: &accountsv1.SuspendOrg{Name: "umbrella", Reason: "a test"}}})
	// It may have heard of the block that suspends its org, or not any more: then it is cut off.
	suspended.refuses(n, "")
	vote(2, &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgResume{OrgResume: &accountsv1.ResumeOrg{Name: "umbrella", Reason: "a test"}}})
	suspended.waitReady()
	q := suspended.takes(n)
	if res, err := suspended.ledger().WaitTransaction(t.Context(), q); err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
		t.Errorf("the transaction after it was resumed is %v, %v", res, err)
	}
}
