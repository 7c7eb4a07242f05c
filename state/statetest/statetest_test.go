package statetest_test

import (
	"errors"
	"testing"

	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

func TestMemoryReadsLikeAView(t *testing.T) {
	t.Parallel()
	store := statetest.New(t)
	var memory statetest.Memory
	fill := func(w interface {
		Set(key, value []byte)
		Delete(key []byte)
	}) {
		for _, key := range []string{"a", "b", "c", "d"} {
			w.Set([]byte(key), []byte("value of "+key))
		}
		w.Delete([]byte("c"))
	}
	fill(&memory)
	root := statetest.Commit(t, store, func(o *state.Overlay) { fill(o) })
	if len(root) != 32 || store.Height() != 1 || memory.Len() != 3 {
		t.Fatalf("root %x, height %d, %d keys", root, store.Height(), memory.Len())
	}
	view := store.Latest()
	defer view.Release()
	type scanner func(start, end []byte, fn func(k, v []byte) (bool, error)) error
	collect := func(scan scanner) (all string) {
		if err := scan([]byte("a"), []byte("d"), func(k, v []byte) (bool, error) {
			all += string(k) + string(v) + ";"
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	if got, want := collect(memory.Scan), collect(view.Scan); got != want || got == "" {
		t.Errorf("scan gives %q, a view %q", got, want)
	}
	if got, want := collect(memory.ScanReverse), collect(view.ScanReverse); got != want || got == "" {
		t.Errorf("reverse scan gives %q, a view %q", got, want)
	}
	memory.Fail = statetest.ErrInjected
	if _, err := memory.Get([]byte("a")); !errors.Is(err, statetest.ErrInjected) {
		t.Error(err)
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		plan := statetest.FailWrite(2, written) // the first marks the directory
		cfg := statetest.Config(t.TempDir())
		cfg.WriteHook = plan.Hook
		store, err := state.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		err = store.SetLocal([]state.LocalWrite{{Key: []byte("k"), Value: []byte("v")}}, true)
		if !errors.Is(err, statetest.ErrInjected) || !errors.Is(err, state.ErrStoreFailed) || !plan.Fired() || len(plan.Writes()) != 2 {
			t.Fatalf("%v, %v", err, plan.Writes())
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		store = statetest.New(t, func(c *state.Config) { c.Dir = cfg.Dir })
		view := store.Latest()
		value, err := view.Local([]byte("k"))
		view.Release()
		if err != nil || (value != nil) != written {
			t.Errorf("written %v: %q, %v", written, value, err)
		}
	}
}
