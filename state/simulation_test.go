package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func testConfig(dir string) Config {
	return Config{Dir: dir, CacheBytes: 4 << 20, TreeCacheNodes: 10_000}
}

func mustOpen(t rapid.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t rapid.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

var testGenesis = time.Date(2026, 1, 1, 0, 0, 0, 5, time.UTC)

func testTime(height uint64) time.Time {
	return testGenesis.Add(time.Duration(height) * time.Second)
}

// write is one operation of a block; a nil value deletes.
type write struct{ key, value []byte }

// stage stages a block of writes at a height.
func stage(s *Store, height uint64, writes []write, local []LocalWrite) ([]byte, error) {
	view := s.Latest()
	defer view.Release()
	o := NewOverlay(view)
	for _, w := range writes {
		if w.value == nil {
			o.Delete(w.key)
		} else {
			o.Set(w.key, w.value)
		}
	}
	return s.Stage(height, testTime(height), o, local)
}

func commit(t rapid.TB, s *Store, writes []write) []byte {
	t.Helper()
	height := s.Height() + 1
	root, err := stage(s, height, writes, nil)
	if err != nil {
		t.Fatalf("stage %d: %v", height, err)
	}
	if err := s.Commit(); err != nil {
		t.Fatalf("commit %d: %v", height, err)
	}
	return root
}

type model map[string]string

func (m model) apply(writes []write) model {
	next := maps.Clone(m)
	if next == nil {
		next = model{}
	}
	for _, w := range writes {
		if w.value == nil {
			delete(next, string(w.key))
		} else {
			next[string(w.key)] = string(w.value)
		}
	}
	return next
}

// randomBlock returns writes over a small key space, so that keys are written
// again, removed and return. Some blocks change nothing.
func randomBlock(r *rand.Rand, keys int) []write {
	n := r.IntN(12)
	if r.IntN(5) == 0 {
		n = 0
	}
	writes := make([]write, n)
	for i := range writes {
		key := fmt.Appendf(nil, "%c%04d", 'a'+r.IntN(3), r.IntN(keys))
		writes[i] = write{key: key}
		if r.IntN(3) > 0 {
			writes[i].value = fmt.Appendf(nil, "value-%d", r.IntN(4))
		}
	}
	return writes
}

// same reports how a view differs from the model.
func same(v *View, want model) error {
	keys := slices.Sorted(maps.Keys(want))
	for _, reverse := range []bool{false, true} {
		i := 0
		scan := v.Scan
		if reverse {
			slices.Reverse(keys)
			scan = v.ScanReverse
		}
		err := scan(nil, nil, func(k, value []byte) (bool, error) {
			if i >= len(keys) || keys[i] != string(k) || want[keys[i]] != string(value) {
				return false, fmt.Errorf("entry %d is %q=%q", i, k, value)
			}
			i++
			return true, nil
		})
		if err == nil && i != len(keys) {
			err = fmt.Errorf("scan ended after %d of %d keys", i, len(keys))
		}
		if err != nil {
			return fmt.Errorf("height %d, reverse %v: %w", v.Height(), reverse, err)
		}
	}
	for _, k := range keys {
		if got, err := v.Get([]byte(k)); err != nil || string(got) != want[k] {
			return fmt.Errorf("height %d: %q is %q, %v", v.Height(), k, got, err)
		}
	}
	if got, err := v.Get([]byte("absent")); got != nil || err != nil {
		return fmt.Errorf("height %d: absent key is %q, %v", v.Height(), got, err)
	}
	return nil
}

// TestSimulation runs the same random blocks through stores with different
// caches, retention and restarts. All must have the same roots, and each the
// state of the model at every height it keeps.
func TestSimulation(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		blocks := rapid.IntRange(1, 60).Draw(rt, "blocks")
		keys := rapid.SampledFrom([]int{1, 3, 200}).Draw(rt, "keys")
		first := rapid.SampledFrom([]uint64{1, 1, 7}).Draw(rt, "first")
		variants := []struct {
			name     string
			cfg      Config
			restarts int // one block in this many, 0 never
			restage  bool
		}{
			{name: "archive", cfg: Config{TreeCacheNodes: 10_000}},
			{name: "no cache", cfg: Config{TreeCacheNodes: 1}, restage: true},
			{name: "pruned", cfg: Config{TreeCacheNodes: 10, KeepHeights: 5}, restarts: 7},
			{name: "pruned by time", cfg: Config{TreeCacheNodes: 100, KeepFor: 9 * time.Second, PrunePerCommit: 5}, restarts: 4},
			{name: "barely kept", cfg: Config{TreeCacheNodes: 100, KeepHeights: 2, PrunePerCommit: 1}, restage: true},
		}
		var want [][]byte
		for i, variant := range variants {
			roots := simulate(rt, t.TempDir(), variant.cfg, seed, blocks, keys, first, variant.restarts, variant.restage)
			if i == 0 {
				want = roots
			} else if !slices.EqualFunc(want, roots, bytes.Equal) {
				rt.Fatalf("%s: roots differ from those of %s", variant.name, variants[0].name)
			}
		}
	})
}

func simulate(rt *rapid.T, dir string, cfg Config, seed uint64, blocks, keys int, first uint64, restarts int, restage bool) (roots [][]byte) {
	cfg.Dir, cfg.CacheBytes = dir, 1<<20
	s := mustOpen(rt, cfg)
	defer func() { mustClose(rt, s) }()
	r := rand.New(rand.NewPCG(seed, 0))
	models := map[uint64]model{first - 1: nil}
	for n := range blocks {
		height := first + uint64(n)
		writes := randomBlock(r, keys)
		models[height] = models[height-1].apply(writes)
		if restage {
			// Another proposal was executed first, and the block twice.
			for _, other := range [][]write{{{[]byte("other"), []byte("x")}}, writes} {
				if _, err := stage(s, height, other, nil); err != nil {
					rt.Fatal(err)
				}
			}
		}
		root, err := stage(s, height, writes, nil)
		if err != nil {
			rt.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(root, s.AppHash()) || s.Height() != height || !s.BlockTime().Equal(testTime(height)) {
			rt.Fatalf("height %d: store says height %d, root %X, time %v", height, s.Height(), s.AppHash(), s.BlockTime())
		}
		if maps.Equal(models[height], models[height-1]) && n > 0 && !bytes.Equal(root, roots[n-1]) {
			rt.Fatalf("height %d changes nothing, but the root", height)
		}
		roots = append(roots, root)
		if restarts > 0 && n%restarts == 0 {
			mustClose(rt, s)
			s = mustOpen(rt, cfg)
		}
	}
	last := first + uint64(blocks) - 1
	checkHeights(rt, s, models, first, last)
	mustClose(rt, s)
	report, err := Check(context.Background(), cfg, nil)
	if err != nil || !report.OK() {
		rt.Fatalf("check: %v, %v", err, report.Problems)
	}
	s = mustOpen(rt, cfg)
	return roots
}

// checkHeights compares every height with the model.
func checkHeights(rt *rapid.T, s *Store, models map[uint64]model, first, last uint64) {
	oldest := s.Oldest()
	if oldest < first || oldest > last {
		rt.Fatalf("oldest is %d of %d to %d", oldest, first, last)
	}
	if k := s.cfg.KeepHeights; k > 0 && s.cfg.KeepFor == 0 && last-oldest+1 < min(k, last-first+1) {
		rt.Fatalf("only %d heights are kept", last-oldest+1)
	}
	for height := first; height <= last+1; height++ {
		v, err := s.At(height)
		switch {
		case height > last:
			if future := (*FutureError)(nil); !errors.As(err, &future) || !errors.Is(err, ErrFuture) || future.Latest != last {
				rt.Fatalf("height %d: %v", height, err)
			}
			continue
		case height < oldest:
			if pruned := (*PrunedError)(nil); !errors.As(err, &pruned) || !errors.Is(err, ErrPruned) || pruned.Oldest != oldest {
				rt.Fatalf("height %d: %v", height, err)
			}
			continue
		case err != nil:
			rt.Fatal(err)
		}
		if !v.BlockTime().Equal(testTime(height)) {
			rt.Fatalf("height %d has time %v", height, v.BlockTime())
		}
		err = same(v, models[height])
		v.Release()
		if err != nil {
			rt.Fatal(err)
		}
	}
}
