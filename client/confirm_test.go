package client_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// doubting returns a client that verifies.
func doubting(t *testing.T, n *clienttest.Network, config client.Config) *client.Client {
	t.Helper()
	c, err := client.Dial(n.Load(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestExpiredTakesMoreThanOneWord has some nodes of several say that a transaction has expired: nobody is to sign it again because
// of what one of them says.
func TestExpiredTakesMoreThanOneWord(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		nodes   int
		sent    bool  // the transaction stands in a block
		liars   []int // that say it has expired
		stopped []int
		expired bool // is believed
	}{
		"all say so":                         {nodes: 4, expired: true},
		"one alone":                          {nodes: 1, expired: true},
		"one of two":                         {nodes: 2, sent: true, liars: []int{0}},
		"one of four":                        {nodes: 4, sent: true, liars: []int{0}},
		"one of four, two are gone":          {nodes: 4, sent: true, liars: []int{0}, stopped: []int{1, 2}},
		"two of seven":                       {nodes: 7, sent: true, liars: []int{0, 1}},
		"two of seven, all others are gone":  {nodes: 7, liars: []int{0, 1}, stopped: []int{2, 3, 4, 5, 6}, expired: true},
		"one of four, and nobody to ask":     {nodes: 4, liars: []int{0}, stopped: []int{1, 2, 3}},
		"two of four, of which two are gone": {nodes: 4, stopped: []int{2, 3}, expired: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := clienttest.Start(t, c.nodes)
			id, expiresAt := tx.ID{1}, time.Now().Add(-time.Minute)
			if c.sent {
				result, err := n.Dial(t, client.Config{}).SubmitAndWait(t.Context(), oneAsset(t, n))
				if err != nil {
					t.Fatal(err)
				}
				id = result.ID
			}
			for i, node := range n.Nodes {
				node.Set(clienttest.Faults{SayExpired: slices.Contains(c.liars, i)})
				if slices.Contains(c.stopped, i) {
					node.Stop()
				}
			}
			asking := doubting(t, n, fast)
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			result, err := asking.WaitTransaction(ctx, id, expiresAt)
			if c.expired {
				if err != nil || result.Status != ledgerv1.TxStatus_TX_STATUS_EXPIRED {
					t.Fatalf("%+v, %v", result, err)
				}
				return
			}
			var undecided *client.Undecided
			if !errors.As(err, &undecided) || !errors.Is(err, client.ErrUndecided) || undecided.ID != id {
				t.Fatalf("%+v, %v", result, err)
			}
			if now, err := asking.Transaction(t.Context(), id, expiresAt); err == nil && now.Final() {
				t.Errorf("asked once: %+v", now)
			}
		})
	}
}

// TestUnconfirmed submits to nodes that take a transaction and lie about it: it is applied once, and never said to have failed.
func TestUnconfirmed(t *testing.T) {
	t.Parallel()
	t.Run("expired", func(t *testing.T) {
		t.Parallel()
		n := clienttest.Start(t, 4)
		raw := oneAsset(t, n)
		n.Nodes[0].Set(clienttest.Faults{SayExpired: true})
		c := doubting(t, n, fast)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		// The next node says that it is committed.
		if result, err := c.SubmitAndWait(ctx, raw); err != nil || !result.OK() {
			t.Fatalf("%+v, %v", result, err)
		}
		// A batch too.
		for r := range c.SubmitAll(ctx, slices.Values([][]byte{oneAsset(t, n)}), client.BatchOptions{}) {
			if r.Err == nil && r.Result.Status == ledgerv1.TxStatus_TX_STATUS_EXPIRED {
				t.Errorf("in a batch: %+v", r.Result)
			}
		}
	})
	t.Run("expired before it was sent", func(t *testing.T) {
		t.Parallel()
		n := clienttest.Start(t, 4)
		raw := encoded(t, n, client.Draft{ExpiresIn: time.Millisecond, Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
		built, err := client.ParseTransaction(n.Ledger.ChainID, raw)
		if err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Until(built.ExpiresAt()))
		var refused *client.Refused
		if _, err := doubting(t, n, fast).SubmitAndWait(t.Context(), raw); !errors.As(err, &refused) || refused.Code != ledgerv1.Code_CODE_EXPIRED {
			t.Fatalf("got %v", err)
		}
	})
}
