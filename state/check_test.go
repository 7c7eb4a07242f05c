package state

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

var discard = slog.New(slog.DiscardHandler)

// TestCheckFindsDamage damages a store behind its back. The report must name
// what is wrong, and no more than that.
func TestCheckFindsDamage(t *testing.T) {
	t.Parallel()
	flat := func(key string) []byte { return append([]byte{spaceFlat}, key...) }
	for _, test := range []struct {
		name   string
		damage func(db *pebble.DB, s treeFinder) error
		want   []string // one part of each problem
	}{
		{name: "none", damage: func(*pebble.DB, treeFinder) error { return nil }},
		{name: "flat value", want: []string{"key 6b303530: value in the flat view differs"},
			damage: func(db *pebble.DB, _ treeFinder) error { return db.Set(flat("k050"), []byte("other"), nil) }},
		{name: "flat key missing", want: []string{"key 6b303530: in the tree but not in the flat view"},
			damage: func(db *pebble.DB, _ treeFinder) error { return db.Delete(flat("k050"), nil) }},
		{name: "flat key too much", want: []string{"in the flat view but not in the tree", "in the flat view but not in the tree"},
			damage: func(db *pebble.DB, _ treeFinder) error {
				return errors.Join(db.Set(flat("k050a"), []byte("v"), nil), db.Set(flat("z"), []byte("v"), nil))
			}},
		{name: "leaf value", want: []string{"value in the flat view differs", "has hash"},
			damage: func(db *pebble.DB, find treeFinder) error {
				return find.replace(db, "k050", func(v []byte) []byte { v[len(v)-1]++; return v })
			}},
		{name: "leaf missing", want: []string{"is missing"},
			damage: func(db *pebble.DB, find treeFinder) error { return db.Delete(find["k050"], nil) }},
		{name: "leaf undecodable", want: []string{"truncated"},
			damage: func(db *pebble.DB, find treeFinder) error {
				return find.replace(db, "k050", func(v []byte) []byte { return v[:len(v)-3] })
			}},
		{name: "inner hash", want: []string{"has hash", "has hash"}, // it and its parent
			damage: func(db *pebble.DB, find treeFinder) error {
				return find.replace(db, "inner", func(v []byte) []byte { v[10]++; return v })
			}},
		{name: "root missing", want: []string{"root of the tree at height 3 is missing"},
			damage: func(db *pebble.DB, _ treeFinder) error {
				return db.Delete(append([]byte{spaceTree}, nodeKey{3, 1}.bytes()...), nil)
			}},
		{name: "record missing", want: []string{"where height 2 is expected", "records of heights 2 to 3 are missing"},
			damage: func(db *pebble.DB, _ treeFinder) error {
				return db.Delete(append([]byte{spaceMeta}, heightKey(2)...), nil)
			}},
		{name: "record root", want: []string{"committed was"},
			damage: func(db *pebble.DB, _ treeFinder) error {
				return db.Set(append([]byte{spaceMeta}, heightKey(3)...), record{time: testTime(3), root: make([]byte, 32)}.encode(), nil)
			}},
		{name: "head", want: []string{"newest height 0"},
			damage: func(db *pebble.DB, _ treeFinder) error {
				return db.Delete([]byte(string(spaceMeta)+metaHead), nil)
			}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t.TempDir())
			s := mustOpen(t, cfg)
			var writes []write
			for i := range 100 {
				writes = append(writes, write{fmt.Appendf(nil, "k%03d", i), []byte("value")})
			}
			commit(t, s, writes[:60])
			commit(t, s, writes[50:])
			commit(t, s, nil)
			if err := test.damage(s.db, findNodes(t, s)); err != nil {
				t.Fatal(err)
			}
			if err := s.db.Flush(); err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			calls := 0
			report, err := Check(t.Context(), cfg, func(p Progress) { calls++ })
			if err != nil {
				t.Fatal(err)
			}
			if report.ProblemsTotal != uint64(len(test.want)) || report.OK() != (len(test.want) == 0) {
				t.Fatalf("%d problems: %v", report.ProblemsTotal, report.Problems)
			}
			for i, want := range test.want {
				if got := report.Problems[i].String(); !strings.Contains(got, want) {
					t.Errorf("problem %d is %q, want %q", i, got, want)
				}
			}
			if len(test.want) == 0 && (report.Leaves != 100 || report.FlatKeys != 100 || report.Nodes != 199 ||
				report.Height != 3 || report.Oldest != 1 || len(report.AppHash) != 32 || calls == 0) {
				t.Errorf("report: %+v, %d calls of progress", report, calls)
			}
		})
	}
}

// treeFinder maps leaf keys, and "inner" for some inner node that is neither
// root nor next to a leaf, to database keys.
type treeFinder map[string][]byte

func findNodes(t *testing.T, s *Store) treeFinder {
	t.Helper()
	nodes := make(map[nodeKey]bool)
	root, err := readRoot(s.db, int64(s.Height()))
	if err != nil {
		t.Fatal(err)
	}
	reachable(t, s, root.key, nodes)
	found := make(treeFinder)
	for k := range nodes {
		n, err := readNode(s.db, k)
		if err != nil {
			t.Fatal(err)
		}
		key := append([]byte{spaceTree}, k.bytes()...)
		if n.leaf() {
			found[string(n.key)] = key
		} else if n.height == 2 {
			found["inner"] = key
		}
	}
	return found
}

func (f treeFinder) replace(db *pebble.DB, name string, change func([]byte) []byte) error {
	value, err := get(db, f[name][0], f[name][1:])
	if err != nil {
		return err
	}
	return db.Set(f[name], change(value), nil)
}

// TestDamageIsNeverSilent reads past heights over a damaged tree. iavl's own
// iterator would just end.
func TestDamageIsNeverSilent(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func([]byte) []byte{
		"missing":     func([]byte) []byte { return nil },
		"undecodable": func(v []byte) []byte { return v[:len(v)-3] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := mustOpen(t, testConfig(t.TempDir()))
			defer mustClose(t, s)
			var writes []write
			for i := range 50 {
				writes = append(writes, write{fmt.Appendf(nil, "k%03d", i), []byte("value")})
			}
			commit(t, s, writes)
			find := findNodes(t, s)
			value, err := get(s.db, find["k025"][0], find["k025"][1:])
			if err != nil {
				t.Fatal(err)
			}
			if value = damage(value); value == nil {
				err = s.db.Delete(find["k025"], nil)
			} else {
				err = s.db.Set(find["k025"], value, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
			commit(t, s, nil)
			past, err := s.At(1)
			if err != nil {
				t.Fatal(err)
			}
			defer past.Release()
			err = past.Scan(nil, nil, func(_, _ []byte) (bool, error) { return true, nil })
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("scan: %v", err)
			}
			if _, err := past.Get([]byte("k025")); err == nil {
				t.Fatal("get succeeded")
			}
			if _, err := past.Get([]byte("k001")); err != nil {
				t.Fatalf("get of an undamaged key: %v", err)
			}
		})
	}
}

func TestCheckStopsWithItsContext(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg)
	commit(t, s, nil)
	mustClose(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, cfg, nil); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestCheckReadsEverything flips a byte anywhere in the largest table, most of
// which belongs to the engine's stores: whatever it hits, it is reported.
func TestCheckReadsEverything(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg)
	blocks := s.CometDB("blockstore")
	for i := range 200 {
		if err := blocks.Set(fmt.Appendf(nil, "block %d", i), bytes.Repeat([]byte{byte(i)}, 2000)); err != nil {
			t.Fatal(err)
		}
	}
	commit(t, s, []write{{[]byte("k"), []byte("v")}})
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	tables, err := filepath.Glob(filepath.Join(cfg.Dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	whole, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	for i := range 7 {
		damaged := bytes.Clone(whole)
		damaged[len(whole)*i/8+100] ^= 0x40
		if err := os.WriteFile(tables[0], damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := Check(t.Context(), cfg, nil)
		if err != nil || report.OK() {
			t.Errorf("byte %d of %d: %v, %v", len(whole)*i/8+100, len(whole), report.Problems, err)
		}
	}
}
