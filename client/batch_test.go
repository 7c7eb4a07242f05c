package client_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// payments returns so many transactions; that of index `bad`, if there is one, is no transaction at all.
func payments(t *testing.T, n *clienttest.Network, count, bad int) [][]byte {
	t.Helper()
	var all [][]byte
	for i := range count {
		if i == bad {
			all = append(all, []byte("junk"))
			continue
		}
		all = append(all, encoded(t, n, client.Draft{Operations: []*ledgerv1.Operation{createAsset(fmt.Sprintf("acme/coin-%d", i))}}))
	}
	return all
}

func TestSubmitAll(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]clienttest.Faults{
		"an honest node":           {},
		"a node that dies":         {BreakSubmitsAfter: 5},
		"a node that takes none":   {Apart: true},
		"a node that is full":      {Full: 3, RetryAfter: time.Millisecond},
		"a node that loses them":   {LostSubmits: 4},
		"a node that answers late": {LostAnswers: 4},
		"a node that is not there": {Unavailable: true},
		"a node that says nothing": {Silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const count, bad = 20, 7
			n := clienttest.Start(t, 2)
			all := payments(t, n, count, bad)
			n.Nodes[0].Set(faults)
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			seen := make([]int, count)
			for r := range n.Dial(t, fast).SubmitAll(ctx, slices.Values(all), client.BatchOptions{InFlight: 6}) {
				seen[r.Index]++
				switch {
				case r.Index == bad:
					if !errors.Is(r.Err, client.ErrTransaction) {
						t.Errorf("junk: %v", r.Err)
					}
				case r.Err != nil || !r.Result.OK() || r.Result.ID != r.ID:
					t.Errorf("transaction %d: %+v, %v", r.Index, r.Result, r.Err)
				}
			}
			if i := slices.IndexFunc(seen, func(times int) bool { return times != 1 }); i >= 0 {
				t.Errorf("results by index: %v", seen)
			}
			if got := n.Ledger.Committed(); got != count-1 {
				t.Errorf("%d transactions stand in blocks, %d were submitted", got, count-1)
			}
		})
	}
}

func TestSubmitAllTellsRefusals(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	c := n.Dial(t, fast)
	built, err := c.Build(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := built.Sign("acme/admin", n.Signer(t, "globex/admin").Keys...); err != nil {
		t.Fatal(err)
	}
	raw, err := built.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for r := range c.SubmitAll(t.Context(), slices.Values([][]byte{raw}), client.BatchOptions{}) {
		if refused := new(client.Refused); !errors.As(r.Err, &refused) || refused.Code != ledgerv1.Code_CODE_KEY_NOT_LISTED {
			t.Errorf("result %+v, %v", r.Result, r.Err)
		}
	}
}

// TestSubmitAllStops ends batches that would go on for ever.
func TestSubmitAllStops(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	raw := encoded(t, n, client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
	var endless iter.Seq[[]byte] = func(yield func([]byte) bool) {
		for yield(raw) {
		}
	}
	c := n.Dial(t, fast)
	taken := 0
	for r := range c.SubmitAll(t.Context(), endless, client.BatchOptions{InFlight: 4}) {
		if r.Err != nil {
			t.Error(r.Err)
		}
		if taken++; taken == 10 {
			break
		}
	}
	n.Ledger.Pause()
	other := encoded(t, n, client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/eur")}})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	for r := range c.SubmitAll(ctx, slices.Values([][]byte{other}), client.BatchOptions{}) {
		if !errors.Is(r.Err, client.ErrUndecided) {
			t.Errorf("the wait ended: %+v, %v", r.Result, r.Err)
		}
	}
}
