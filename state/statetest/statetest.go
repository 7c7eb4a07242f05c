package statetest

import (
	"sync"
	"testing"
	"time"

	"github.com/althing-ledger/althing/state"
)

// New opens a store in a temporary directory and closes it when the test ends.
// Each change may adapt the configuration, which has small caches and keeps
// everything.
func New(t testing.TB, changes ...func(*state.Config)) *state.Store {
	t.Helper()
	cfg := Config(t.TempDir())
	for _, change := range changes {
		change(&cfg)
	}
	store, err := state.Open(cfg)
	if err != nil {
		t.Fatalf("open state: %v", err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("close state: %v", err)
		}
	})
	return store
}

// Config returns the configuration New uses, for dir.
func Config(dir string) state.Config {
	return state.Config{Dir: dir, CacheBytes: 4 << 20, TreeCacheNodes: 10_000}
}

// genesis is the block time of height 0 in Commit; each block is a second
// later.
var genesis = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// BlockTime returns the time Commit gives to a height.
func BlockTime(height uint64) time.Time { return genesis.Add(time.Duration(height) * time.Second) }

// Commit makes one block of what fill writes and returns the app hash.
func Commit(t testing.TB, store *state.Store, fill func(*state.Overlay)) []byte {
	t.Helper()
	view := store.Latest()
	defer view.Release()
	overlay := state.NewOverlay(view)
	if fill != nil {
		fill(overlay)
	}
	height := store.Height() + 1
	root, err := store.Stage(height, BlockTime(height), overlay, nil)
	if err != nil {
		t.Fatalf("stage height %d: %v", height, err)
	}
	if err := store.Commit(); err != nil {
		t.Fatalf("commit height %d: %v", height, err)
	}
	return root
}

// ErrInjected is returned by the writes a Plan lets fail.
const ErrInjected = state.ErrorKind("injected fault")

// Plan watches the writes of a store and lets one fail. Its Hook goes into
// state.Config. It may be used from several goroutines.
type Plan struct {
	mu      sync.Mutex
	fail    int
	written bool
	writes  []state.Write
}

// FailWrite returns a plan that lets the write with number n, counted from 1,
// fail: after it happened if written, otherwise it is lost. With n = 0 nothing
// fails.
func FailWrite(n int, written bool) *Plan { return &Plan{fail: n, written: written} }

// Hook implements state.WriteHook.
func (p *Plan) Hook(w state.Write) (apply bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes = append(p.writes, w)
	if len(p.writes) == p.fail {
		return p.written, ErrInjected
	}
	return true, nil
}

// Writes returns the writes so far, including the one that failed.
func (p *Plan) Writes() []state.Write {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]state.Write(nil), p.writes...)
}

// Fired reports whether the planned write has failed.
func (p *Plan) Fired() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fail > 0 && len(p.writes) >= p.fail
}
