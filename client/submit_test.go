package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

func oneAsset(t *testing.T, n *clienttest.Network) []byte {
	t.Helper()
	return encoded(t, n, client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
}

// TestSubmitAndWaitThroughFailures names what goes wrong at which node; the transaction must be committed exactly once.
func TestSubmitAndWaitThroughFailures(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][2]clienttest.Faults{
		"answer lost":             {{LostAnswers: 1}, {}},
		"answer lost twice":       {{LostAnswers: 2}, {LostAnswers: 2}},
		"no answer":               {{SilentSubmits: 1}, {}},
		"first node silent":       {{Silent: true}, {}},
		"full":                    {{Full: 3, RetryAfter: time.Millisecond}, {Full: 2, RetryAfter: time.Millisecond}},
		"lost, then said expired": {{LostAnswers: 1}, {RefuseExpired: 1}},
		"unavailable":             {{Unavailable: true}, {}},
		"cut off":                 {{Apart: true}, {}},
		"starting":                {{Starting: 2}, {Starting: 2}},
		// Nobody has it: to wait for it would be to wait until it expires.
		"taken into death, then refused by one that is behind": {{LostSubmits: 1}, {RefuseBehind: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := clienttest.Start(t, 2)
			raw := oneAsset(t, n)
			for i := range faults {
				n.Nodes[i].Set(faults[i])
			}
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			result, err := n.Dial(t, fast).SubmitAndWait(ctx, raw)
			if err != nil || !result.OK() {
				t.Fatalf("result %+v, %v", result, err)
			}
			if got := n.Ledger.Committed(); got != 1 {
				t.Fatalf("%d transactions in blocks, want 1", got)
			}
		})
	}
}

// TestNotTakenIsNotHanded has one node take nothing and another one refuse: the refusal is the first word on the transaction, and final.
func TestNotTakenIsNotHanded(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	raw := oneAsset(t, n)
	n.Nodes[0].Set(clienttest.Faults{Apart: true})
	n.Nodes[1].Set(clienttest.Faults{RefuseBehind: 1})
	var refused *client.Refused
	if result, err := n.Dial(t, fast).SubmitAndWait(t.Context(), raw); !errors.As(err, &refused) || errors.Is(err, client.ErrUndecided) {
		t.Errorf("refused after one that takes nothing: %+v, %v", result, err)
	}

	n.Nodes[1].Set(clienttest.Faults{Apart: true})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := n.Dial(t, fast).SubmitAndWait(ctx, raw)
	if errors.Is(err, client.ErrUndecided) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody takes anything: %v", err)
	}
	var unreachable *client.Unreachable
	if _, err := n.Dial(t, fast).Submit(t.Context(), raw); !errors.As(err, &unreachable) || unreachable.Sent() || !unreachable.Starting() {
		t.Errorf("handed over without a wait: %v", err)
	}
	if got := n.Ledger.Committed(); got != 0 {
		t.Errorf("%d transactions in blocks", got)
	}
}

func TestFullWaitsAsLongAsTheNodeAsks(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	raw := oneAsset(t, n)
	c := n.Dial(t, client.Config{})
	n.Nodes[0].Set(clienttest.Faults{Full: 2, RetryAfter: 200 * time.Millisecond})
	var full *client.Full
	if _, err := c.Submit(t.Context(), raw); !errors.As(err, &full) || !errors.Is(err, client.ErrFull) || full.RetryAfter != 200*time.Millisecond {
		t.Fatalf("got %v", err)
	}
	began := time.Now()
	if result, err := c.SubmitAndWait(t.Context(), raw); err != nil || !result.OK() {
		t.Fatalf("result %+v, %v", result, err)
	}
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Fatalf("came back after %v", took)
	}
}

func TestSubmitFromManyAtOnce(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 4)
	raw := oneAsset(t, n)
	n.Nodes[1].Set(clienttest.Faults{LostAnswers: 3})
	heights := make([]uint64, 12)
	var wg sync.WaitGroup
	for i := range heights {
		c := n.Dial(t, client.Config{Node: n.Nodes[i%4].Name})
		wg.Go(func() {
			if result, err := c.SubmitAndWait(t.Context(), raw); err != nil || !result.OK() {
				t.Errorf("caller %d: %+v, %v", i, result, err)
			} else {
				heights[i] = result.Height
			}
		})
	}
	wg.Wait()
	for _, h := range heights {
		if h != heights[0] {
			t.Fatalf("outcomes at different heights: %v", heights)
		}
	}
	if got := n.Ledger.Committed(); got != 1 {
		t.Fatalf("%d transactions in blocks, want 1", got)
	}
}

func TestUndecided(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	raw := oneAsset(t, n)
	n.Ledger.Pause()
	c := n.Dial(t, fast)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var undecided *client.Undecided
	_, err := c.SubmitAndWait(ctx, raw)
	if !errors.As(err, &undecided) || !errors.Is(err, client.ErrUndecided) || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	now, err := c.Transaction(t.Context(), undecided.ID, undecided.ExpiresAt)
	if err != nil || now.Status != ledgerv1.TxStatus_TX_STATUS_PENDING || now.Final() {
		t.Fatalf("transaction %+v, %v", now, err)
	}
	done := make(chan error, 1)
	go func() {
		result, err := c.WaitTransaction(t.Context(), undecided.ID, undecided.ExpiresAt)
		if err == nil && !result.OK() {
			err = errors.New("not committed")
		}
		done <- err
	}()
	n.Ledger.Resume()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestNothingSentIsNotUndecided(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	raw := oneAsset(t, n)
	n.Nodes[0].Stop()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := n.Dial(t, fast).SubmitAndWait(ctx, raw)
	if errors.Is(err, client.ErrUndecided) || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, client.ErrUnreachable) {
		t.Fatalf("got %v", err)
	}
}

func TestExpired(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	c := n.Dial(t, client.Config{})
	id := tx.ID{1}
	if r, err := c.WaitTransaction(t.Context(), id, time.Now().Add(50*time.Millisecond)); err != nil || r.Status != ledgerv1.TxStatus_TX_STATUS_EXPIRED || !r.Final() {
		t.Fatalf("wait: %+v, %v", r, err)
	}
	if r, err := c.Transaction(t.Context(), id, time.Time{}); err != nil || r.Status != ledgerv1.TxStatus_TX_STATUS_UNKNOWN {
		t.Fatalf("unknown: %+v, %v", r, err)
	}
	raw := encoded(t, n, client.Draft{ExpiresIn: time.Millisecond, Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
	built, err := client.ParseTransaction(n.Ledger.ChainID, raw)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(built.ExpiresAt()))
	var refused *client.Refused
	if _, err := c.SubmitAndWait(t.Context(), raw); !errors.As(err, &refused) || refused.Code != ledgerv1.Code_CODE_EXPIRED {
		t.Fatalf("got %v", err)
	}
}
