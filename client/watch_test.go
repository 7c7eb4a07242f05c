package client_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
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
