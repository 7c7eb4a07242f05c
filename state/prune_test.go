package state

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/althing-ledger/althing/state/keyspace"
	"pgregory.net/rapid"
)

// reachable adds the nodes below k to nodes.
func reachable(t rapid.TB, s *Store, k nodeKey, nodes map[nodeKey]bool) {
	if nodes[k] {
		return
	}
	nodes[k] = true
	n, err := readNode(s.db, k)
	if err != nil {
		t.Fatal(err)
	}
	if !n.leaf() {
		reachable(t, s, n.left, nodes)
		reachable(t, s, n.right, nodes)
	}
}

// TestPruningIsExact checks that after pruning the database holds the nodes
// that the retained versions reach, no more and no less.
func TestPruningIsExact(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig(t.TempDir())
		cfg.KeepHeights = rapid.SampledFrom([]uint64{2, 3, 10}).Draw(rt, "keep")
		cfg.PrunePerCommit = rapid.IntRange(1, 3).Draw(rt, "perCommit")
		keys := rapid.SampledFrom([]int{1, 2, 100}).Draw(rt, "keys")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		s := mustOpen(rt, cfg)
		defer mustClose(rt, s)
		for range 40 {
			commit(rt, s, randomBlock(r, keys))
		}
		want := make(map[nodeKey]bool)
		for height := s.Oldest(); height <= s.Height(); height++ {
			root, err := readRoot(s.db, int64(height))
			if err != nil {
				rt.Fatal(err)
			}
			want[nodeKey{int64(height), 1}] = want[nodeKey{int64(height), 1}] || !root.own
			if !root.empty {
				reachable(rt, s, root.key, want)
			}
		}
		got := 0
		err := scan(s.db, spaceTree, nil, nil, false, func(key, _ []byte) (bool, error) {
			k, ok := parseNodeKey(key)
			if !ok || !want[k] {
				return false, fmt.Errorf("node %v (%x) is not reachable from heights %d to %d", k, key, s.Oldest(), s.Height())
			}
			got++
			return true, nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		if got != len(want) {
			rt.Fatalf("%d nodes are stored, %d are reachable", got, len(want))
		}
	})
}

func TestPruningCatchesUpGradually(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg)
	r := rand.New(rand.NewPCG(9, 9))
	for range 50 {
		commit(t, s, randomBlock(r, 50))
	}
	if s.Oldest() != 1 || s.RetainHeight() != 0 {
		t.Fatalf("archive: oldest %d, retain height %d", s.Oldest(), s.RetainHeight())
	}
	mustClose(t, s)
	cfg.KeepHeights, cfg.PrunePerCommit = 10, 3
	s = mustOpen(t, cfg)
	defer mustClose(t, s)
	for oldest := s.Oldest(); s.Oldest() != s.Height()-9; {
		commit(t, s, randomBlock(r, 50))
		if s.Oldest() <= oldest || s.Oldest() > oldest+3 || s.RetainHeight() != s.Oldest() {
			t.Fatalf("oldest went from %d to %d, retain height %d", oldest, s.Oldest(), s.RetainHeight())
		}
		oldest = s.Oldest()
	}
	for range 5 {
		commit(t, s, nil)
		if s.Oldest() != s.Height()-9 {
			t.Fatalf("oldest %d at height %d", s.Oldest(), s.Height())
		}
	}
}

func TestNothingAboveTheFloorIsPruned(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.KeepHeights, cfg.PrunePerCommit = 2, 10
	s := mustOpen(t, cfg)
	defer mustClose(t, s)
	r := rand.New(rand.NewPCG(3, 4))
	s.KeepAtLeast(7, 0)
	for range 20 {
		commit(t, s, randomBlock(r, 5))
	}
	if s.Oldest() != s.Height()-6 {
		t.Errorf("oldest %d at height %d, the floor is 7 heights", s.Oldest(), s.Height())
	}
	s.KeepAtLeast(0, 1000*time.Hour)
	oldest := s.Oldest()
	for range 5 {
		commit(t, s, randomBlock(r, 5))
	}
	if s.Oldest() != oldest {
		t.Errorf("oldest went from %d to %d, the floor is a thousand hours", oldest, s.Oldest())
	}
	s.KeepAtLeast(0, 0)
	for range 2 { // one may prune ten
		commit(t, s, nil)
	}
	if s.Oldest() != s.Height()-1 {
		t.Errorf("oldest %d at height %d without a floor", s.Oldest(), s.Height())
	}
}

func TestPrunable(t *testing.T) {
	t.Parallel()
	now := testGenesis.Add(time.Hour)
	for _, test := range []struct {
		keepHeights uint64
		keepFor     time.Duration
		height      uint64
		age         time.Duration
		want        bool
	}{
		{0, 0, 1, time.Hour, false},                 // archive
		{10, 0, 90, 0, true},                        // 91 to 100 are ten
		{10, 0, 91, time.Hour, false},               //
		{0, time.Minute, 50, time.Minute, false},    // exactly the limit
		{0, time.Minute, 50, time.Minute + 1, true}, //
		{10, time.Minute, 50, time.Second, false},   // both must agree
		{10, time.Minute, 95, time.Hour, false},     //
		{10, time.Minute, 50, time.Hour, true},      //
		{0, time.Nanosecond, 99, time.Hour, false},  // the one before the latest stays
		{0, time.Nanosecond, 100, time.Hour, false}, //
		{2, 0, 98, 0, true},                         //
	} {
		cfg := Config{KeepHeights: test.keepHeights, KeepFor: test.keepFor}
		if got := cfg.prunable(test.height, now.Add(-test.age), 100, now); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}

// TestDiskShrinks fills blocks with data that changes completely, prunes, and
// expects the space back.
func TestDiskShrinks(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg)
	r := rand.New(rand.NewPCG(2, 2))
	value := func() []byte {
		b := make([]byte, 8<<10) // incompressible
		for i := 0; i < len(b); i += 8 {
			copy(b[i:], keyspace.Uint64(nil, r.Uint64()))
		}
		return b
	}
	const keys = 200
	for range 40 {
		var writes []write
		for k := range keys {
			writes = append(writes, write{fmt.Appendf(nil, "key%03d", k), value()})
		}
		commit(t, s, writes)
	}
	mustClose(t, s)
	cfg.KeepHeights, cfg.PrunePerCommit = 2, 10
	s = mustOpen(t, cfg)
	defer mustClose(t, s)
	before := s.Metrics()
	for s.Oldest() != s.Height()-1 {
		commit(t, s, nil)
	}
	commit(t, s, nil)
	if err := s.compactDeleted(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Pebble deletes files in the background.
	deadline := time.Now().Add(30 * time.Second)
	after := s.Metrics()
	for ; after.TableBytes > before.TableBytes/8 || after.DiskBytes > before.DiskBytes/2; after = s.Metrics() {
		if time.Now().After(deadline) {
			t.Fatalf("tables of %d MB before pruning, %d MB after; all files %d and %d MB",
				before.TableBytes>>20, after.TableBytes>>20, before.DiskBytes>>20, after.DiskBytes>>20)
		}
		runtime.Gosched()
	}
	t.Logf("tables of %d MB before pruning, %d MB after; all files %d and %d MB; %d files compacted",
		before.TableBytes>>20, after.TableBytes>>20, before.DiskBytes>>20, after.DiskBytes>>20, after.CompactedTables)
}
