package node_test

import (
	"fmt"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/internal/node"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
)

// TestHistory has a node keep the index of history, switches it off and on again, and has it built again: the answers are the
// same. While the node runs its index cannot be dropped.
func TestHistory(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	for i := range 5 {
		n.must(m, transfer("acme/treasury", "acme/usd", "acme/admin", fmt.Sprint(i+1)))
	}
	list := func() (*historyv1.ListTransactionsResponse, error) {
		return historyv1.NewHistoryServiceClient(m.conn).ListTransactions(t.Context(), &historyv1.ListTransactionsRequest{
			Subject: &historyv1.ListTransactionsRequest_Account{Account: "acme/treasury"}, MinHeight: m.status(t).Height,
		})
	}
	want, err := list()
	if err != nil || len(want.Transactions) != 6 || want.OldestHeight != 1 {
		t.Fatalf("%v %v", want, err)
	}
	for i, o := range want.Transactions[1:] {
		if o.Height > want.Transactions[i].Height {
			t.Errorf("the list is not newest first: %v", want)
		}
	}
	drop := func() (uint64, error) {
		h, err := home.Load(m.home)
		if err != nil {
			t.Fatal(err)
		}
		had, err := node.DropHistory(h)
		return had.Last, err
	}
	if _, err := drop(); err == nil {
		t.Error("the index of a node that runs was dropped")
	}
	restart := func(change func(*home.Config)) {
		m.stop()
		reconfigure(t, m.home, change)
		m.start()
		m.waitReady()
	}
	restart(func(c *home.Config) { c.History.Enabled = false })
	if _, err := list(); status.Code(err) != codes.FailedPrecondition || reasonOf(err) != "NO_HISTORY" {
		t.Errorf("switched off: %v", err)
	}
	check := func(when string) {
		t.Helper()
		got, err := list()
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if got.Height = want.Height; !proto.Equal(got, want) {
			t.Errorf("%s: %v, want %v", when, got, want)
		}
	}
	restart(func(c *home.Config) { c.History.Enabled = true })
	check("on again")
	m.stop()
	if had, err := drop(); err != nil || had < want.Height {
		t.Errorf("dropped up to %d: %v", had, err)
	}
	if had, err := drop(); err != nil || had != 0 {
		t.Errorf("dropped twice, up to %d: %v", had, err)
	}
	m.start()
	m.waitReady()
	check("built again")
}
