package app

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// withPool is a funded replica whose pool works. Its clock stands at block 2.
func withPool(t *testing.T, w *world) *replica {
	t.Helper()
	r := funded(t, w, state.Config{})
	r.now = func() time.Time { return blockTime(2) }
	r.restart()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.app.Pool().Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the pool ended: %v", err)
		}
	})
	return r
}

func (r *replica) fill(height uint64, at time.Time) [][]byte {
	r.t.Helper()
	res, err := r.app.PrepareProposal(r.t.Context(), &abci.RequestPrepareProposal{Height: int64(height), Time: at, MaxTxBytes: 1 << 20})
	if err != nil {
		r.t.Fatal(err)
	}
	return res.Txs
}

// TestFromPoolToBlock sends transactions of several orgs through the pool into a proposal that is accepted and decided.
func TestFromPoolToBlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := withPool(t, w)
	sent := map[string]bool{}
	for i := range 20 {
		payer := orgs[i%len(orgs)] + "/treasury"
		raw := w.sign(w.body(blockTime(2), transfer(payer, "acme/usd", "acme/admin", "1")))
		if _, err := r.app.Pool().Submit(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		sent[string(raw)] = true
	}
	txs := r.fill(2, blockTime(2))
	if len(txs) != len(sent) || !r.propose(2, blockTime(2), txs...) {
		t.Fatalf("the proposal has %d of %d transactions, or is refused", len(txs), len(sent))
	}
	codes := codesOf(r.decide(2, blockTime(2), txs...))
	if ok := len(slices.DeleteFunc(codes, func(c ledgerv1.Code) bool { return c != ledgerv1.Code_CODE_OK })); ok != 5 {
		t.Errorf("%d transactions were applied: only acme's treasury has anything", ok)
	}
	if n := r.app.Pool().Stats().Txs; n != 0 {
		t.Errorf("%d transactions are still pending", n)
	}
	for raw := range sent {
		if got, err := r.app.Pool().Submit(t.Context(), []byte(raw)); !errors.Is(err, mempool.ErrCommitted) {
			t.Errorf("sent again: %v, %v", got, err)
		}
	}
}

// TestPendingIsNotExpired asks about a pending transaction with an expiry that is a little too early: it is pending until a
// block has settled it, and the one who waits gets what becomes of it.
func TestPendingIsNotExpired(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := withPool(t, w)
	raw := w.pay(blockTime(2))
	sent, err := r.app.Pool().Submit(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	early := sent.ExpiresAt - int64(time.Second)
	answer := make(chan TransactionAt, 1)
	go func() {
		at, err := r.app.WaitTransaction(t.Context(), sent.ID, early)
		if err != nil {
			t.Error(err)
		}
		answer <- at
	}()
	r.waitWaiting(1)
	at := time.Unix(0, early)
	r.decide(2, at)
	if got, err := r.app.Transaction(sent.ID, early); err != nil || got.Status != ledgerv1.TxStatus_TX_STATUS_PENDING {
		t.Errorf("pending, and asked with an expiry that is too early: %v, %v", got, err)
	}
	if got := codesOf(r.decide(3, at.Add(time.Millisecond), raw)); got[0] != ledgerv1.Code_CODE_OK {
		t.Fatalf("the block: %v", got)
	}
	if got := <-answer; got.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
		t.Errorf("who waited got %v", got)
	}
}

// TestNoWaiterLeft asks, on a node on which nobody more can wait, for what is known all the same.
func TestNoWaiterLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	raw := w.pay(blockTime(2))
	r.decide(2, blockTime(2), raw)
	r.app.waiters.most = 0
	if at, err := r.app.WaitTransaction(t.Context(), w.id(raw), 0); err != nil || at.Outcome.GetHeight() != 2 {
		t.Errorf("a committed transaction: %v, %v", at, err)
	}
	if at, err := r.app.WaitTransaction(t.Context(), tx.ID{7}, 0); !errors.Is(err, ErrTooManyWaiters) {
		t.Errorf("an unknown one: %v, %v", at, err)
	}
}
