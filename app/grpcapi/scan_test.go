package grpcapi

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
)

// TestScanEndsWithTheCall cancels a call during its scan.
func TestScanEndsWithTheCall(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	view, err := w.app.View(0)
	if err != nil {
		t.Fatal(err)
	}
	defer view.Release()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, all := 0, 0
	err = attendedView{view, ctx.Err}.Scan(nil, nil, func(_, _ []byte) (bool, error) {
		if seen++; seen == 2 {
			cancel()
		}
		return true, nil
	})
	if !errors.Is(err, context.Canceled) || seen != 2 {
		t.Errorf("after %d keys: %v", seen, err)
	}
	if err := view.Scan(nil, nil, func(_, _ []byte) (bool, error) { all++; return true, nil }); err != nil || all <= 2 {
		t.Fatalf("the state has %d keys: %v", all, err)
	}

	raw, _, _ := w.create("acme/usd")
	w.decide(2, raw)
	r, err := newReads(w.app, noBlocks{})
	if err != nil {
		t.Fatal(err)
	}
	assets, accounts := &assetsServer{reads: r}, &accountsServer{reads: r}
	for name, ask := range map[string]func(context.Context) error{
		"CheckSupply": func(ctx context.Context) error {
			_, err := assets.CheckSupply(ctx, &assetsv1.CheckSupplyRequest{})
			return err
		},
		"ListAssets": func(ctx context.Context) error {
			_, err := assets.ListAssets(ctx, &assetsv1.ListAssetsRequest{})
			return err
		},
		"ListAccounts": func(ctx context.Context) error {
			_, err := accounts.ListAccounts(ctx, &accountsv1.ListAccountsRequest{})
			return err
		},
	} {
		if err := ask(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := ask(ctx); status.Code(err) != codes.Canceled {
			t.Errorf("%s of somebody who has gone: %v", name, err)
		}
	}
	if r.listings.line.taken != 0 || len(r.listings.open) != 0 {
		t.Error("somebody still stands in line")
	}
}

// TestGate lets one through at a time, and only so many wait.
func TestGate(t *testing.T) {
	t.Parallel()
	g := newGate(1, 8)
	leave, err := g.enter(from(t, "10.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	through := make(chan func(), 1)
	ctx, cancel := context.WithCancel(from(t, "10.0.0.1"))
	gone := make(chan error, 1)
	go func() {
		_, err := g.enter(ctx)
		gone <- err
	}()
	waiting := func(n int) {
		for t.Context().Err() == nil {
			g.line.mu.Lock()
			taken := g.line.taken
			g.line.mu.Unlock()
			if taken == n {
				return
			}
		}
	}
	waiting(2)
	_, err = g.enter(from(t, "10.0.0.1"))
	err = toStatus(err)
	if reason, retry := whyOf(err); status.Code(err) != codes.ResourceExhausted || reason != "FULL" || retry <= 0 {
		t.Errorf("a third of one client: %v", err)
	}
	cancel()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who goes away: %v", err)
	}
	go func() {
		leave, err := g.enter(from(t, "10.0.0.2"))
		if err != nil {
			t.Error(err)
		}
		through <- leave
	}()
	waiting(2)
	select {
	case <-through:
		t.Fatal("two are through")
	default:
	}
	leave()
	(<-through)()
	waiting(0)
}
