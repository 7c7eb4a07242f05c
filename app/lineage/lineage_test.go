package lineage

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/follow"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

func linkAt(height uint64) *proofv1.Link {
	return &proofv1.Link{
		Signed:     &proofv1.SignedHeader{Header: fmt.Appendf(nil, "header %d", height), Commit: make([]byte, 100)},
		Validators: []*proofv1.Validator{{PublicKey: make([]byte, 32), Power: height}},
	}
}

// TestRead follows twenty blocks of which every third changes the validators, and reads them in pages.
func TestRead(t *testing.T) {
	t.Parallel()
	store, err := state.Open(statetest.Config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	for height := uint64(1); height <= 21; height++ {
		view := store.Latest()
		kv := state.NewOverlay(view)
		kv.Set([]byte("height"), keyspace.Uint64(nil, height))
		_, err := store.Stage(height, time.Unix(int64(height), 0), kv, nil)
		view.Release()
		if err := errors.Join(err, store.Commit()); err != nil {
			t.Fatal(err)
		}
	}
	f := &Follower{ChangeAt: func(_ context.Context, height uint64) (*proofv1.Link, error) {
		if height%3 != 0 {
			return nil, nil
		}
		return linkAt(height), nil
	}}
	ctx, cancel := context.WithCancel(t.Context())
	followed, err := follow.New(follow.Config{Store: store, Lag: Lag, WaitHeight: func(ctx context.Context, height uint64) error {
		if height <= 21 {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}}, f)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- followed.Run(ctx) }()
	if err := followed.Wait(ctx, 20); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	size := proto.Size(linkAt(3))
	for _, c := range []struct {
		from       uint64
		most, size int
		want       string
		height     uint64
	}{
		{0, 100, 1 << 20, "3 6 9 12 15 18", 20},
		{1, 2, 1 << 20, "3 6", 8},
		{6, 2, 1 << 20, "6 9", 11},
		{7, 2, 1 << 20, "9 12", 14},
		{0, 100, 3 * size, "3 6 9", 11},
		{0, 100, 1, "3", 5},
		{18, 100, 1, "18", 20},
		{19, 100, 1 << 20, "", 20},
		{1 << 40, 100, 1 << 20, "", 20},
	} {
		view := store.Latest()
		page, err := Read(view, c.from, c.most, c.size)
		view.Release()
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, link := range page.Links {
			height := link.Validators[0].Power
			if !proto.Equal(link, linkAt(height)) {
				t.Errorf("link %d is %v", height, link)
			}
			got += fmt.Sprint(" ", height)
		}
		if c.want != "" {
			c.want = " " + c.want
		}
		if got != c.want || page.Height != c.height {
			t.Errorf("from %d: %q up to %d, want %q up to %d", c.from, got, page.Height, c.want, c.height)
		}
	}
}
