package grpcapi

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/app/history"
	"github.com/althing-ledger/althing/mempool"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// historyWorld is a world whose blocks are kept and indexed.
type historyWorld struct {
	*world
	blocks map[uint64][][]byte
	index  *follow.Followed
	run    func() // has the index follow, until the test ends
}

func newHistoryWorld(t *testing.T, change func(*genesisv1.Genesis)) *historyWorld {
	t.Helper()
	w := &historyWorld{world: newWorldOf(t, mempool.Config{}, change), blocks: map[uint64][][]byte{}}
	follower := &history.Follower{Logger: slog.New(slog.DiscardHandler), Block: func(_ context.Context, height uint64) (history.Block, error) {
		outcomes, err := w.app.Outcomes(height)
		return history.Block{Time: blockTime(height), Txs: w.blocks[height], Outcomes: outcomes}, err
	}}
	var err error
	if w.index, err = follow.New(follow.Config{Store: w.store, WaitHeight: w.app.WaitHeight}, follower); err != nil {
		t.Fatal(err)
	}
	w.run = func() {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- w.index.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("the index ended: %v", err)
			}
		})
	}
	return w
}

// commit puts transactions into a block that the index can read.
func (w *historyWorld) commit(txs ...[]byte) {
	w.t.Helper()
	w.blocks[w.height+1] = txs
	w.decide(w.height+1, txs...)
}

func (w *historyWorld) service(t *testing.T) historyv1.HistoryServiceClient {
	t.Helper()
	return historyv1.NewHistoryServiceClient(dial(t, w.serve(func(c *Config) { c.History = w.index })))
}

// TestListTransactions lists what touched an account, an asset and an org, page by page.
func TestListTransactions(t *testing.T) {
	t.Parallel()
	w := newHistoryWorld(t, func(*genesisv1.Genesis) {})
	usd, usdID, _ := w.create("acme/usd")
	w.commit(usd)
	again, againID, _ := w.create("acme/usd")
	eur, eurID, _ := w.create("acme/eur")
	w.commit(again, eur)
	w.commit()
	w.run()
	service := w.service(t)
	list := func(q *historyv1.ListTransactionsRequest) *historyv1.ListTransactionsResponse {
		t.Helper()
		q.MinHeight = max(q.MinHeight, w.height)
		answer, err := service.ListTransactions(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if answer.Height != 4 || answer.OldestHeight != 1 {
			t.Errorf("heights %d to %d", answer.OldestHeight, answer.Height)
		}
		return answer
	}
	same := func(what string, got []*ledgerv1.TxOutcome, want ...[32]byte) {
		t.Helper()
		if len(got) != len(want) {
			t.Fatalf("%s: %d transactions, want %d", what, len(got), len(want))
		}
		for i, o := range got {
			if [32]byte(o.Id) != want[i] {
				t.Errorf("%s: transaction %d is %x, want %x", what, i, o.Id, want[i])
			}
		}
	}
	byAsset := list(&historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Asset{Asset: "acme/usd"}})
	same("the asset", byAsset.Transactions, againID, usdID)
	refused := byAsset.Transactions[0]
	if refused.Code != ledgerv1.Code_CODE_ALREADY_EXISTS || refused.Height != 3 || refused.Index != 0 || refused.TimeUnixNano != blockTime(3).UnixNano() {
		t.Errorf("the rejected one: %v", refused)
	}
	q := &historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Account{Account: admin}, PageSize: 2}
	first := list(q)
	same("the first page", first.Transactions, eurID, againID)
	q.Page = first.NextPage
	second := list(q)
	same("the second page", second.Transactions, usdID)
	if second.NextPage != "" {
		t.Error("there is a third page")
	}
	same("heights", list(&historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Org{Org: "acme"}, ToHeight: 2}).Transactions, usdID)
	same("a stranger", list(&historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Org{Org: "globex"}}).Transactions)
	same("a record", list(&historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Record{Record: "acme/bills/1"}}).Transactions)

	for what, q := range map[string]*historyv1.ListTransactionsRequest{
		"no subject": {},
		"a bad name": {Subject: &historyv1.ListTransactionsRequest_Account{Account: "acme"}},
		"a bad page": {Subject: &historyv1.ListTransactionsRequest_Org{Org: "acme"}, Page: "1"},
		"a size":     {Subject: &historyv1.ListTransactionsRequest_Org{Org: "acme"}, PageSize: 1 << 31},
		"heights":    {Subject: &historyv1.ListTransactionsRequest_Org{Org: "acme"}, FromHeight: 3, ToHeight: 2},
	} {
		_, err := service.ListTransactions(t.Context(), q)
		if reason, _ := whyOf(err); status.Code(err) != codes.InvalidArgument || (reason != "BAD_FIELD" && reason != "BAD_NAME") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestListWaits asks an index that has not begun, one for a height to come, and one for a height that does not come.
func TestListWaits(t *testing.T) {
	t.Parallel()
	w := newHistoryWorld(t, func(*genesisv1.Genesis) {})
	service := w.service(t)
	q := &historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Org{Org: "acme"}}
	type result struct {
		answer *historyv1.ListTransactionsResponse
		err    error
	}
	ask := func(q *historyv1.ListTransactionsRequest) <-chan result {
		results := make(chan result, 1)
		go func() {
			answer, err := service.ListTransactions(t.Context(), q)
			results <- result{answer, err}
		}()
		return results
	}
	begun := ask(q)
	later := ask(&historyv1.ListTransactionsRequest{Subject: q.Subject, MinHeight: 2})
	w.run()
	if r := <-begun; r.err != nil || r.answer.Height != 1 {
		t.Errorf("of an index that begins: %v %v", r.answer, r.err)
	}
	usd, _, _ := w.create("acme/usd")
	w.commit(usd)
	if r := <-later; r.err != nil || r.answer.Height != 2 || len(r.answer.Transactions) != 1 {
		t.Errorf("of the next block: %v %v", r.answer, r.err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := service.ListTransactions(ctx, &historyv1.ListTransactionsRequest{Subject: q.Subject, MinHeight: 9})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("of a block that does not come: %v", err)
	}
}

// TestNoHistory asks a node that keeps no index.
func TestNoHistory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	service := historyv1.NewHistoryServiceClient(dial(t, w.serve(func(*Config) {})))
	_, err := service.ListTransactions(t.Context(), &historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Org{Org: "acme"}})
	if reason, _ := whyOf(err); status.Code(err) != codes.FailedPrecondition || reason != reasonNoHistory {
		t.Error(err)
	}
}

// TestHistoryIsARead asks without a token where reads are for members.
func TestHistoryIsARead(t *testing.T) {
	t.Parallel()
	w := newHistoryWorld(t, func(doc *genesisv1.Genesis) {
		doc.Charter = &governancev1.Charter{ReadAccess: governancev1.ReadAccess_READ_ACCESS_MEMBERS}
	})
	w.run()
	_, err := w.service(t).ListTransactions(t.Context(), &historyv1.ListTransactionsRequest{Subject: &historyv1.ListTransactionsRequest_Org{Org: "acme"}})
	if reason, _ := whyOf(err); status.Code(err) != codes.Unauthenticated || reason != reasonTokenRequired {
		t.Error(err)
	}
}
