package state

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/althing-ledger/althing/state/keyspace"
)

// TestReadersDuringCommits reads the newest and past heights from several
// goroutines while blocks are committed and pruned. Each view must show
// exactly the state of its height.
func TestReadersDuringCommits(t *testing.T) {
	t.Parallel()
	const blocks = 150
	cfg := testConfig(t.TempDir())
	cfg.KeepHeights = 8
	cfg.TreeCacheNodes = 50
	s := mustOpen(t, cfg)
	defer mustClose(t, s)

	models := make([]model, blocks+1)
	r := rand.New(rand.NewPCG(3, 4))
	all := make([][]write, blocks+1)
	for height := 1; height <= blocks; height++ {
		all[height] = randomBlock(r, 40)
		models[height] = models[height-1].apply(all[height])
	}
	commit(t, s, all[1])

	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	done := make(chan struct{})
	for reader := range 4 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(5, uint64(reader)))
			for {
				select {
				case <-done:
					return
				default:
				}
				v := s.Latest()
				if reader%2 == 0 {
					oldest := s.Oldest()
					past, err := s.At(oldest + r.Uint64N(s.Height()-oldest+1))
					if errors.Is(err, ErrPruned) {
						v.Release()
						continue
					}
					if err != nil {
						t.Error(err)
						v.Release()
						return
					}
					v.Release()
					v = past
				}
				err := same(v, models[v.Height()])
				s.Metrics()
				v.Release()
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	group.Go(func() {
		db := s.CometDB("evidence")
		for i := range uint64(200) {
			if err := errors.Join(db.Set(keyspace.Uint64(nil, i), []byte("e")), s.SetLocal([]LocalWrite{{Key: []byte("l"), Value: keyspace.Uint64(nil, i)}}, false)); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for height := 2; height <= blocks; height++ {
		commit(t, s, all[height])
	}
	close(done)
	cancel()
	group.Wait()
}

// TestViewOutlivesPruning holds views of heights that are pruned meanwhile.
func TestViewOutlivesPruning(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.KeepHeights = 2
	s := mustOpen(t, cfg)
	defer mustClose(t, s)
	var models []model
	var views []*View
	r := rand.New(rand.NewPCG(1, 1))
	next := model(nil)
	for range 30 {
		writes := randomBlock(r, 20)
		next = next.apply(writes)
		commit(t, s, writes)
		if s.Height() > 1 {
			v, err := s.At(s.Height() - 1)
			if err != nil {
				t.Fatal(err)
			}
			views = append(views, v, s.Latest())
			models = append(models, models[len(models)-1], next)
			continue
		}
		views, models = append(views, s.Latest()), append(models, next)
	}
	if m := s.Metrics(); m.OpenViews != len(views) || m.PastHeightsOpen != 29 || m.Oldest != 29 {
		t.Fatalf("metrics: %+v", m)
	}
	for i, v := range views {
		if err := same(v, models[i]); err != nil {
			t.Fatal(err)
		}
		v.Release()
		v.Release()
		if _, err := v.Get([]byte("a")); !errors.Is(err, ErrReleased) {
			t.Fatalf("read after release: %v", err)
		}
	}
	if m := s.Metrics(); m.OpenViews != 0 || m.PastHeightsOpen != 0 {
		t.Fatalf("metrics: %+v", m)
	}
	if _, err := s.At(28); !errors.Is(err, ErrPruned) {
		t.Fatalf("height 28: %v", err)
	}
}
