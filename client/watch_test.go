package client_test

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
	"github.com/althing-ledger/althing/proto/cursor"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// heights collects the heights of blocks until there are so many.
func heights(ctx context.Context, t *testing.T, c *client.Client, from uint64, count int) []uint64 {
	t.Helper()
	var got []uint64
	for block, err := range c.Watch(ctx, from) {
		if err != nil {
			t.Errorf("after %v: %v", got, err)
			return got
		}
		if got = append(got, block.Height); len(got) == count {
			break
		}
	}
	return got
}

func TestWatchWithoutGap(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string]clienttest.Faults{
		"breaks off":     {BreakWatchAfter: 2},
		"skips a block":  {SkipInWatch: 4},
		"is unavailable": {Unavailable: true},
		"is silent":      {Silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := clienttest.Start(t, 2)
			for range 8 {
				n.Ledger.EmptyBlock()
			}
			n.Nodes[0].Set(faults)
			n.Nodes[1].Set(clienttest.Faults{BreakWatchAfter: 3})
			ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
			defer cancel()
			got := heights(ctx, t, n.Dial(t, fast), 2, 7)
			for i, h := range got {
				if h != uint64(i+2) {
					t.Fatalf("blocks %v", got)
				}
			}
		})
	}
}

func TestWatchFromTheNextBlock(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	c := n.Dial(t, fast)
	next := n.Ledger.Height() + 1
	seen := make(chan []uint64, 1)
	go func() { seen <- heights(t.Context(), t, c, 0, 2) }()
	for n.Nodes[0].Calls("/althing.ledger.v1.LedgerService/Watch") == 0 {
		<-time.After(time.Millisecond)
	}
	n.Ledger.EmptyBlock()
	n.Ledger.EmptyBlock()
	if got := <-seen; len(got) != 2 || got[0] != next || got[1] != next+1 {
		t.Fatalf("blocks %v, want from %d", got, next)
	}
}

// TestWatchLeavesANodeThatFallsSilent freezes a node in the middle of a watch: no error ever comes from it.
func TestWatchLeavesANodeThatFallsSilent(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	c := n.Dial(t, fast)
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	for block, err := range c.Watch(ctx, 1) {
		if err != nil {
			t.Fatal(err)
		}
		if block.Height == 1 {
			n.Nodes[0].Set(clienttest.Faults{Silent: true, SkipInWatch: 2})
			n.Ledger.EmptyBlock()
			continue
		}
		if block.Height == 2 {
			return
		}
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	c := n.Dial(t, fast)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for block, err := range c.Watch(ctx, 1) {
		if block != nil {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Fatalf("the last error is %v", last)
	}
	n.Nodes[0].Set(clienttest.Faults{PrunedBelow: 5})
	for _, err := range c.Watch(t.Context(), 1) {
		if status.Code(err) != codes.FailedPrecondition {
			t.Fatalf("block that is no longer kept: %v", err)
		}
	}
}

// TestStream follows a small ledger in every detail, breaks off anywhere and goes on by the cursor with another client.
func TestStream(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	c := n.Dial(t, fast)
	for _, op := range []*ledgerv1.Operation{
		createAsset("acme/usd"), mint("acme/usd", "acme/treasury", "5"), mint("acme/nothing", "acme/treasury", "5"), mint("acme/usd", "globex/treasury", "7"),
	} {
		if _, err := c.Send(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{op}}, n.Signer(t, "acme/admin")); err != nil {
			t.Fatal(err)
		}
	}
	for name, s := range map[string]struct {
		options client.WatchOptions
		want    []string // cursors
	}{
		"blocks":       {client.WatchOptions{From: 2}, []string{"3", "4", "5", "6"}},
		"transactions": {client.WatchOptions{From: 2, Detail: ledgerv1.Detail_DETAIL_TRANSACTIONS}, []string{"2.1", "3.1", "4.1", "5.1"}},
		"events":       {client.WatchOptions{From: 2, Detail: ledgerv1.Detail_DETAIL_EVENTS}, []string{"2.0.1", "3.0.1", "5.0.1"}},
		"some events": {
			client.WatchOptions{From: 1, Detail: ledgerv1.Detail_DETAIL_EVENTS, Filter: &ledgerv1.Filter{Kinds: []string{"asset_mint"}}},
			[]string{"3.0.1", "5.0.1"},
		},
		"of one org": {
			client.WatchOptions{From: 1, Filter: &ledgerv1.Filter{Orgs: []string{"globex"}}}, []string{"6"},
		},
	} {
		var got []string
		for len(got) < len(s.want) {
			before := len(got)
			for item, err := range n.Dial(t, fast).Stream(t.Context(), s.options) {
				if err != nil {
					t.Fatalf("%s after %v: %v", name, got, err)
				}
				got, s.options.Cursor = append(got, item.Cursor), item.Cursor
				break
			}
			if len(got) == before {
				t.Fatalf("%s: nothing after %v", name, got)
			}
		}
		if !slices.Equal(got, s.want) {
			t.Errorf("%s: %v, want %v", name, got, s.want)
		}
	}
}

// TestStreamTellsProgress watches what does not happen: the cursor moves on all the same.
func TestStreamTellsProgress(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	n.Ledger.EmptyBlock()
	for item, err := range n.Dial(t, fast).Stream(t.Context(), client.WatchOptions{
		From: 1, Detail: ledgerv1.Detail_DETAIL_EVENTS, Progress: true,
	}) {
		if err != nil {
			t.Fatal(err)
		}
		if item.Height != 2 || item.Cursor != "3" || item.Event != nil {
			t.Errorf("%+v", item)
		}
		break
	}
}

// TestStreamRefuses begins streams that no node understands.
func TestStreamRefuses(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	c := n.Dial(t, fast)
	first := func(o client.WatchOptions) error {
		for _, err := range c.Stream(t.Context(), o) {
			return err
		}
		return nil
	}
	var bad *cursor.Error
	if err := first(client.WatchOptions{Cursor: "x"}); !errors.As(err, &bad) {
		t.Errorf("no cursor: %v", err)
	}
	if err := first(client.WatchOptions{Cursor: "1.1"}); !errors.As(err, &bad) {
		t.Errorf("the cursor of a transaction: %v", err)
	}
	var name *names.Error
	if err := first(client.WatchOptions{Filter: &ledgerv1.Filter{Orgs: []string{"A"}}}); !errors.As(err, &name) {
		t.Errorf("no name: %v", err)
	}
	if err := first(client.WatchOptions{From: 99}); status.Code(err) != codes.OutOfRange {
		t.Errorf("the far future: %v", err)
	}
	if n.Nodes[0].Calls("/althing.ledger.v1.LedgerService/Watch") != 1 {
		t.Error("a node was asked in vain")
	}
}

// TestStreamReportsWhatIsLeftOut has a node leave out a block: that is reported, and another one goes on.
func TestStreamReportsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	for range 4 {
		n.Ledger.EmptyBlock()
	}
	n.Nodes[0].Set(clienttest.Faults{SkipInWatch: 3})
	var lies []*client.Lie
	config := fast
	config.OnLie = func(lie *client.Lie) { lies = append(lies, lie) }
	if got := heights(t.Context(), t, n.Dial(t, config), 1, 5); !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) {
		t.Errorf("blocks %v", got)
	}
	if len(lies) != 1 || lies[0].Node != n.Nodes[0].Name {
		t.Errorf("lies %v", lies)
	}
}
