package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	created := func(t *testing.T) string {
		dir := t.TempDir()
		s := mustOpen(t, testConfig(dir))
		commit(t, s, []write{{[]byte("k"), []byte("v")}})
		mustClose(t, s)
		return dir
	}
	// edit opens the database behind the store's back.
	edit := func(t *testing.T, dir string, fn func(*pebble.DB) error) {
		db, err := pebble.Open(dir, &pebble.Options{FormatMajorVersion: databaseFormat, Logger: &databaseLogger{log: discard}})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(fn(db), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		name     string
		prepare  func(t *testing.T) string
		readOnly bool
		want     error
		says     string
	}{
		{name: "foreign file", want: ErrForeign, says: "holds notes.txt", prepare: func(t *testing.T) string {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "notes.txt"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			return dir
		}},
		{name: "foreign database", want: ErrForeign, says: "another program", prepare: func(t *testing.T) string {
			dir := t.TempDir()
			edit(t, dir, func(db *pebble.DB) error { return db.Set([]byte("k"), []byte("v"), pebble.Sync) })
			return dir
		}},
		{name: "other marker", want: ErrForeign, says: "format marker", prepare: func(t *testing.T) string {
			dir := created(t)
			edit(t, dir, func(db *pebble.DB) error { return db.Set([]byte{spaceFormat}, []byte("something"), pebble.Sync) })
			return dir
		}},
		{name: "newer", want: ErrNewer, says: "has format 7 and this program reads formats up to 1", prepare: func(t *testing.T) string {
			dir := created(t)
			edit(t, dir, func(db *pebble.DB) error { return db.Set([]byte{spaceFormat}, encodeFormat(7), pebble.Sync) })
			return dir
		}},
		{name: "newer files", want: ErrNewer, says: "run the newer program", prepare: func(t *testing.T) string {
			dir := created(t)
			edit(t, dir, func(db *pebble.DB) error { return db.RatchetFormatMajorVersion(pebble.FormatNewest) })
			return dir
		}},
		{name: "tree and head disagree", want: ErrCorrupt, says: "tree is at height 1", prepare: func(t *testing.T) string {
			dir := created(t)
			edit(t, dir, func(db *pebble.DB) error {
				return db.Set([]byte(string(spaceMeta)+metaHead), encodeUint(9), pebble.Sync)
			})
			return dir
		}},
		{name: "bad record", want: ErrCorrupt, says: "height record", prepare: func(t *testing.T) string {
			dir := created(t)
			edit(t, dir, func(db *pebble.DB) error {
				return db.Set(append([]byte{spaceMeta}, heightKey(1)...), []byte("?"), pebble.Sync)
			})
			return dir
		}},
		{name: "absent", readOnly: true, want: ErrAbsent, says: "does not exist", prepare: func(t *testing.T) string {
			return filepath.Join(t.TempDir(), "none")
		}},
		{name: "empty", readOnly: true, want: ErrAbsent, says: "holds no state", prepare: func(t *testing.T) string {
			return t.TempDir()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(test.prepare(t))
			cfg.ReadOnly = test.readOnly
			for range 2 { // the failure must not leave a lock behind
				s, err := Open(cfg)
				if s != nil || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("opened %v, %v", s != nil, err)
				}
			}
		})
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg)
	if _, err := Open(cfg); !errors.Is(err, ErrLocked) {
		t.Fatalf("second open: %v", err)
	}
	if _, err := Check(t.Context(), cfg, nil); !errors.Is(err, ErrLocked) {
		t.Fatalf("check: %v", err)
	}
	mustClose(t, s)
	mustClose(t, s) // twice is fine
	mustClose(t, mustOpen(t, cfg))
}

func TestInterruptedCreation(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	cfg.WriteHook = func(Write) (bool, error) { return false, errInjected }
	if _, err := Open(cfg); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	cfg.WriteHook = nil
	s := mustOpen(t, cfg)
	defer mustClose(t, s)
	commit(t, s, []write{{[]byte("k"), []byte("v")}})
}

func TestConfigValidate(t *testing.T) {
	t.Parallel()
	_, err := Open(Config{CacheBytes: 1, TreeCacheNodes: -1, KeepHeights: 1, KeepFor: -time.Second, PrunePerCommit: -1})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, field := range []string{"Dir", "CacheBytes", "TreeCacheNodes", "KeepHeights", "KeepFor", "PrunePerCommit"} {
		if !strings.Contains(err.Error(), "state: "+field) {
			t.Errorf("%s is not reported in:\n%v", field, err)
		}
	}
	if err := (Config{Dir: "x", KeepHeights: 2}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestEmptyStore(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg)
	v := s.Latest()
	if s.Height() != 0 || s.AppHash() != nil || s.Oldest() != 0 || v.Height() != 0 || !s.BlockTime().IsZero() {
		t.Fatal("a new store is at height 0")
	}
	if err := same(v, nil); err != nil {
		t.Fatal(err)
	}
	v.Release()
	if zero, err := s.At(0); err != nil {
		t.Fatal(err)
	} else {
		zero.Release()
	}
	want := sha256.Sum256(nil)
	for range 3 {
		if root := commit(t, s, nil); !bytes.Equal(root, want[:]) {
			t.Fatalf("root of the empty tree is %X", root)
		}
	}
	commit(t, s, []write{{[]byte("k"), []byte("v")}})
	if root := commit(t, s, []write{{[]byte("k"), nil}}); !bytes.Equal(root, want[:]) {
		t.Fatalf("root of the emptied tree is %X", root)
	}
	past, err := s.At(2)
	if err != nil {
		t.Fatal(err)
	}
	if err := same(past, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := past.Local([]byte("k")); !errors.Is(err, ErrNoLocal) {
		t.Fatal(err)
	}
	past.Release()
	if _, err := s.At(0); !errors.Is(err, ErrPruned) {
		t.Fatalf("height 0 after the first commit: %v", err)
	}
	mustClose(t, s)
	s = mustOpen(t, cfg)
	defer mustClose(t, s)
	if s.Height() != 5 || !bytes.Equal(s.AppHash(), want[:]) {
		t.Fatal("reopened", s.Height())
	}
}

func TestStageMisuse(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, s)
	other := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, other)
	if err := s.Commit(); !errors.Is(err, ErrMisuse) {
		t.Fatalf("commit without stage: %v", err)
	}
	old := s.Latest()
	defer old.Release()
	commit(t, s, []write{{[]byte("k"), []byte("v")}})
	v, foreign := s.Latest(), other.Latest()
	defer v.Release()
	defer foreign.Release()
	for name, stage := range map[string]func() ([]byte, error){
		"height 0":     func() ([]byte, error) { return s.Stage(0, testTime(1), NewOverlay(v), nil) },
		"same height":  func() ([]byte, error) { return s.Stage(1, testTime(1), NewOverlay(v), nil) },
		"gap":          func() ([]byte, error) { return s.Stage(3, testTime(1), NewOverlay(v), nil) },
		"nested":       func() ([]byte, error) { return s.Stage(2, testTime(1), NewOverlay(NewOverlay(v)), nil) },
		"old view":     func() ([]byte, error) { return s.Stage(2, testTime(1), NewOverlay(old), nil) },
		"other store":  func() ([]byte, error) { return s.Stage(2, testTime(1), NewOverlay(foreign), nil) },
		"other reader": func() ([]byte, error) { return s.Stage(2, testTime(1), NewOverlay(&countingReader{}), nil) },
		"empty local key": func() ([]byte, error) {
			return s.Stage(2, testTime(1), NewOverlay(v), []LocalWrite{{Value: []byte("v")}})
		},
	} {
		if _, err := stage(); !errors.Is(err, ErrMisuse) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.SetLocal([]LocalWrite{{}}, false); !errors.Is(err, ErrMisuse) {
		t.Error(err)
	}
	commit(t, s, nil)
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	cfg := testConfig(t.TempDir())
	s := mustOpen(t, cfg)
	want := model{}
	for _, k := range []string{"a", "b"} {
		writes := []write{{[]byte(k), []byte("v")}}
		commit(t, s, writes)
		want = want.apply(writes)
	}
	mustClose(t, s)
	cfg.ReadOnly = true
	s = mustOpen(t, cfg)
	defer mustClose(t, s)
	v := s.Latest()
	defer v.Release()
	if err := same(v, want); err != nil {
		t.Fatal(err)
	}
	_, err := s.Stage(3, testTime(3), NewOverlay(v), nil)
	for i, err := range []error{err, s.Commit(), s.SetLocal([]LocalWrite{{Key: []byte("k")}}, true), s.CometDB("state").Set([]byte("k"), []byte("v"))} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("write %d: %v", i, err)
		}
	}
	past, err := s.At(1)
	if err != nil {
		t.Fatal(err)
	}
	past.Release()
}

func TestAfterClose(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	commit(t, s, nil)
	commit(t, s, nil)
	leaked := s.Latest()
	if err := s.Close(); !errors.Is(err, ErrMisuse) || !strings.Contains(err.Error(), "1 views") {
		t.Fatalf("close with an open view: %v", err)
	}
	leaked.Release()
	v := s.Latest()
	_, getErr := v.Get([]byte("k"))
	_, atErr := s.At(1)
	_, stageErr := stage(s, 3, nil, nil)
	for i, err := range []error{getErr, atErr, stageErr, s.Commit(), s.SetLocal(nil, false), v.Scan(nil, nil, nil)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	v.Release()
	if s.Metrics() != (Metrics{}) {
		t.Error("metrics after close")
	}
}

func TestLocal(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, s)
	before := s.Latest()
	defer before.Release()
	if _, err := stage(s, 1, nil, []LocalWrite{
		{Key: []byte("a"), Value: []byte("1")}, {Key: []byte("b"), Value: []byte("2")}, {Key: []byte("c"), Value: []byte{}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	v := s.Latest()
	defer v.Release()
	if err := s.SetLocal([]LocalWrite{{Key: []byte("b")}}, true); err != nil {
		t.Fatal(err)
	}
	commit(t, s, nil)
	after := s.Latest()
	defer after.Release()
	for _, test := range []struct {
		view    *View
		reverse bool
		want    string
	}{
		{before, false, ""}, {v, false, "a=1 b=2 c= "}, {v, true, "c= b=2 a=1 "}, {after, false, "a=1 c= "},
	} {
		var got strings.Builder
		if err := test.view.ScanLocal(nil, nil, test.reverse, func(k, v []byte) (bool, error) {
			got.WriteString(string(k) + "=" + string(v) + " ")
			return true, nil
		}); err != nil || got.String() != test.want {
			t.Errorf("height %d: %q, %v, want %q", test.view.Height(), got.String(), err, test.want)
		}
	}
	if empty, err := after.Local([]byte("c")); empty == nil || len(empty) != 0 || err != nil {
		t.Errorf("empty value: %#v, %v", empty, err)
	}
}

func TestScanBounds(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, s)
	var writes []write
	for _, k := range "abcdef" {
		writes = append(writes, write{[]byte(string(k)), []byte("v")})
	}
	commit(t, s, writes)
	commit(t, s, nil)
	past, err := s.At(1)
	if err != nil {
		t.Fatal(err)
	}
	defer past.Release()
	latest := s.Latest()
	defer latest.Release()
	for _, v := range []*View{past, latest} {
		for _, test := range []struct{ start, end, stop, want, reverse string }{
			{"", "", "", "abcdef", "fedcba"},
			{"b", "e", "", "bcd", "dcb"},
			{"bb", "ee", "", "cde", "edc"},
			{"", "c", "", "ab", "ba"},
			{"e", "", "", "ef", "fe"},
			{"c", "c", "", "", ""},
			{"e", "b", "", "", ""},
			{"x", "", "", "", ""},
			{"a", "f", "c", "abc", "edc"},
		} {
			for _, reverse := range []bool{false, true} {
				var got strings.Builder
				fn := func(k, _ []byte) (bool, error) {
					got.Write(k)
					return string(k) != test.stop, nil
				}
				scan, want := v.Scan, test.want
				if reverse {
					scan, want = v.ScanReverse, test.reverse
				}
				if err := scan(orNil(test.start), orNil(test.end), fn); err != nil || got.String() != want {
					t.Errorf("height %d, %+v, reverse %v: %q, %v", v.Height(), test, reverse, got.String(), err)
				}
			}
		}
		if err := v.Scan(nil, nil, func(_, _ []byte) (bool, error) { return true, errInjected }); !errors.Is(err, errInjected) {
			t.Errorf("height %d: %v", v.Height(), err)
		}
	}
}

func orNil(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	s.reclaim <- struct{}{}
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
}
