package follow

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

// chain is a store that commits empty blocks.
type chain struct {
	t     *testing.T
	cfg   state.Config
	store *state.Store

	mu      sync.Mutex
	changed chan struct{}
}

func newChain(t *testing.T) *chain {
	c := &chain{t: t, cfg: statetest.Config(t.TempDir()), changed: make(chan struct{})}
	c.open()
	t.Cleanup(c.close)
	return c
}

func (c *chain) open() {
	c.t.Helper()
	var err error
	if c.store, err = state.Open(c.cfg); err != nil {
		c.t.Fatal(err)
	}
}

func (c *chain) close() {
	if err := c.store.Close(); err != nil {
		c.t.Error(err)
	}
}

func (c *chain) commit(blocks int) {
	c.t.Helper()
	for range blocks {
		height := c.store.Height() + 1
		view := c.store.Latest()
		kv := state.NewOverlay(view)
		kv.Set([]byte("height"), keyspace.Uint64(nil, height))
		_, err := c.store.Stage(height, time.Unix(int64(height), 0), kv, nil)
		view.Release()
		if err := errors.Join(err, c.store.Commit()); err != nil {
			c.t.Fatal(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *chain) waitHeight(ctx context.Context, height uint64) error {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.store.Height() >= height {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// notes writes a key for each block, and remembers what it was told.
type notes struct {
	mu   sync.Mutex
	told []uint64
	fail map[uint64]error
	size int // of each value, besides 8 bytes
}

func (n *notes) Name() string { return "notes" }

func noteKey(height uint64) []byte {
	return keyspace.Uint64(keyspace.Key(keyspace.LocalHistory), height)
}

func (n *notes) Follow(_ context.Context, height uint64) ([]state.LocalWrite, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.told = append(n.told, height)
	value := append(binary.BigEndian.AppendUint64(nil, height), make([]byte, n.size)...)
	return []state.LocalWrite{{Key: noteKey(height), Value: value}}, n.fail[height]
}

// follow runs the follower until the function that is returned is called.
func (c *chain) follow(f Follower, change func(*Config)) (*Followed, func() error) {
	c.t.Helper()
	cfg := Config{Store: c.store, WaitHeight: c.waitHeight}
	change(&cfg)
	followed, err := New(cfg, f)
	if err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- followed.Run(ctx) }()
	return followed, func() error {
		cancel()
		return <-done
	}
}

func asIs(*Config) {}

func (c *chain) wait(f *Followed, height uint64) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if err := f.Wait(ctx, height); err != nil {
		c.t.Fatalf("%s is at %d: %v", f.Name(), f.Height(), err)
	}
}

// check compares the notes with a range of heights, and the cursor with its end.
func (c *chain) check(first, last uint64) {
	c.t.Helper()
	view := c.store.Latest()
	defer view.Release()
	want := first
	start, end := keyspace.PrefixRange(keyspace.Key(keyspace.LocalHistory))
	err := view.ScanLocal(start, end, false, func(key, value []byte) (bool, error) {
		if got := binary.BigEndian.Uint64(value); got != want || string(key) != string(noteKey(want)) {
			return false, fmt.Errorf("a note about %d, want %d", got, want)
		}
		want++
		return true, nil
	})
	if err != nil || want != last+1 {
		c.t.Errorf("notes up to %d: %v, want %d to %d", want-1, err, first, last)
	}
	if reach, err := ReachOf(view, "notes"); err != nil || reach != (Reach{first, last}) {
		c.t.Errorf("the cursor says %+v, %v", reach, err)
	}
	if got, err := Cursor(view, "notes"); err != nil || got != last {
		c.t.Errorf("the cursor is %d, %v", got, err)
	}
}

// TestFollow follows from the first block, over a restart and a stretch of blocks that were missed.
func TestFollow(t *testing.T) {
	t.Parallel()
	c, n := newChain(t), &notes{}
	followed, stop := c.follow(n, asIs)
	if followed.Height() != 0 || followed.Needs() != 1 || followed.First() != 1 {
		t.Errorf("before the first block: at %d, needs %d", followed.Height(), followed.Needs())
	}
	for height := uint64(1); height <= 5; height++ {
		c.commit(1)
		// What it has written is seen at once, though there is no further block.
		c.wait(followed, height)
		c.check(1, height)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	missed := uint64(3*batchHeights + 7)
	c.commit(int(missed) - 5)
	c.close()
	c.open()
	followed, stop = c.follow(n, asIs)
	c.wait(followed, missed)
	c.check(1, missed)
	c.commit(1)
	c.wait(followed, missed+1)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	for i, height := range n.told {
		if height != uint64(i+1) {
			t.Fatalf("it was told %d after %d blocks", height, i)
		}
	}
}

func TestFollowStaysBehind(t *testing.T) {
	t.Parallel()
	c, n := newChain(t), &notes{}
	followed, stop := c.follow(n, func(cfg *Config) { cfg.Lag = 2 })
	retention := new(Retention)
	if got := retention.Lowest(); got != 0 {
		t.Errorf("nobody needs height %d", got)
	}
	retention.Add(followed)
	c.commit(7)
	c.wait(followed, 5)
	if followed.Height() != 5 || retention.Lowest() != 6 {
		t.Errorf("two behind 7 it is at %d, and %d is needed", followed.Height(), retention.Lowest())
	}
	other, err := New(Config{Store: c.store, WaitHeight: c.waitHeight, Oldest: func() uint64 { return 4 }}, other{n})
	if err != nil {
		t.Fatal(err)
	}
	retention.Add(other)
	if retention.Lowest() != 4 {
		t.Errorf("another one needs 4, lowest is %d", retention.Lowest())
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

type other struct{ *notes }

func (other) Name() string { return "other" }

func TestFollowBeginsLate(t *testing.T) {
	t.Parallel()
	c, n := newChain(t), &notes{}
	c.commit(9)
	followed, stop := c.follow(n, func(cfg *Config) { cfg.Oldest = func() uint64 { return 4 } })
	c.wait(followed, 9)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	c.check(4, 9)
	// It began there for good, whatever is the oldest later on.
	followed, stop = c.follow(n, func(cfg *Config) { cfg.Oldest = func() uint64 { return 8 } })
	if followed.First() != 4 || followed.Height() != 9 {
		t.Errorf("it has seen %d to %d", followed.First(), followed.Height())
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// TestFollowFails has a follower fail in the middle of a batch, and big blocks that end batches early.
func TestFollowFails(t *testing.T) {
	t.Parallel()
	c, broken := newChain(t), errors.New("broken")
	n := &notes{fail: map[uint64]error{6: broken}, size: batchBytes / 2}
	c.commit(8)
	followed, err := New(Config{Store: c.store, WaitHeight: c.waitHeight}, n)
	if err != nil {
		t.Fatal(err)
	}
	if err := followed.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("it ended with %v", err)
	}
	c.check(1, 4) // two at a time, and the third write failed
	n.fail = nil
	again, stop := c.follow(n, asIs)
	c.wait(again, 8)
	if err := stop(); err != nil {
		t.Error(err)
	}
	c.check(1, 8)
}

// TestDrop drops everything and begins anew, also when the node dies at every write of it.
func TestDrop(t *testing.T) {
	t.Parallel()
	for dies := 0; dies <= 5; dies++ {
		t.Run(fmt.Sprint(dies), func(t *testing.T) {
			t.Parallel()
			c, n := newChain(t), &notes{}
			blocks := uint64(10)
			c.commit(int(blocks))
			followed, stop := c.follow(n, asIs)
			c.wait(followed, blocks)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			var more []state.LocalWrite
			for i := range uint64(2 * dropKeys) {
				more = append(more, state.LocalWrite{Key: noteKey(1000 + i), Value: []byte("an older format")})
			}
			kept := state.LocalWrite{Key: keyspace.Key(keyspace.LocalLineage, "kept"), Value: []byte("of somebody else")}
			if err := c.store.SetLocal(append(more, kept), true); err != nil {
				t.Fatal(err)
			}
			c.close()
			writes := 0
			c.cfg.WriteHook = func(w state.Write) (bool, error) {
				if w.Writer == "local" {
					writes++
				}
				if dies != 0 && writes == dies {
					return true, statetest.ErrInjected
				}
				return true, nil
			}
			c.open()
			err := Drop(c.store, "notes", keyspace.Key(keyspace.LocalHistory))
			if (dies != 0) != errors.Is(err, state.ErrStoreFailed) {
				t.Fatalf("dropped with %v after %d writes", err, writes)
			}
			c.close()
			c.cfg.WriteHook = nil
			c.open()
			view := c.store.Latest()
			got, err := Cursor(view, "notes")
			view.Release()
			if err != nil || got != 0 {
				t.Errorf("after the drop it is at %d, %v", got, err)
			}
			followed, stop = c.follow(n, asIs)
			c.wait(followed, blocks)
			if err := stop(); err != nil {
				t.Fatal(err)
			}
			c.check(1, blocks)
			if got, err := readLocal(c.store, kept.Key); err != nil || string(got) != string(kept.Value) {
				t.Errorf("what is somebody else's: %q, %v", got, err)
			}
		})
	}
}

func TestDamagedCursors(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	for _, value := range [][]byte{{}, {9}, {formatReach}, append([]byte{formatReach}, make([]byte, 17)...), {formatDrop, 0}, {formatDrop, 9, 1}} {
		if err := c.store.SetLocal([]state.LocalWrite{{Key: cursorKey("notes"), Value: value}}, false); err != nil {
			t.Fatal(err)
		}
		_, err := New(Config{Store: c.store, WaitHeight: c.waitHeight}, &notes{})
		if (len(value) == 0) != (err == nil) {
			t.Errorf("cursor %x: %v", value, err)
		}
	}
	if err := Drop(c.store, "notes", nil); err == nil {
		t.Error("everything there is was dropped")
	}
}
