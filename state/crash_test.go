package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

var errInjected = errors.New("injected")

// crashRun is what a node does for some blocks, in the order of CometBFT: save
// the block, save the responses, commit the app, save the engine's state. It
// starts where the stores say and stops at the first error.
func crashRun(s *Store, blocks uint64, block func(height uint64) []write) (roots map[uint64][]byte, err error) {
	roots = make(map[uint64][]byte)
	blockstore, engine := s.CometDB("blockstore"), s.CometDB("state")
	height := s.Height() + 1
	if saved, err := engine.Get([]byte("height")); err != nil {
		return roots, err
	} else if saved == nil || string(saved) != fmt.Sprint(s.Height()) {
		// The app is ahead by one: its commit survived, the engine's did not.
		if err := engine.SetSync([]byte("height"), fmt.Appendf(nil, "%d", s.Height())); err != nil {
			return roots, err
		}
	}
	for ; height <= blocks; height++ {
		if err := blockstore.SetSync(fmt.Appendf(nil, "block/%d", height), []byte("block")); err != nil {
			return roots, err
		}
		local := []LocalWrite{
			{Key: keyspace.Uint64([]byte{keyspace.LocalSummaries}, height), Value: []byte("summary")},
			{Key: []byte{keyspace.LocalTransactions}, Value: fmt.Appendf(nil, "newest %d", height)},
		}
		root, err := stage(s, height, block(height), local)
		if err != nil {
			return roots, err
		}
		roots[height] = root
		if err := engine.SetSync(fmt.Appendf(nil, "responses/%d", height), root); err != nil {
			return roots, err
		}
		if err := s.Commit(); err != nil {
			return roots, err
		}
		if err := engine.SetSync([]byte("height"), fmt.Appendf(nil, "%d", height)); err != nil {
			return roots, err
		}
		if height%4 == 0 {
			if err := s.SetLocal([]LocalWrite{{Key: keyspace.Uint64([]byte{keyspace.LocalSummaries}, height-3)}}, false); err != nil {
				return roots, err
			}
		}
	}
	return roots, nil
}

// TestEveryWriteFails lets each write of a run fail once lost and once
// written, reopens, and lets the node go on: roots and state must be those of
// a run without faults.
func TestEveryWriteFails(t *testing.T) {
	t.Parallel()
	const blocks = 9
	block := func(height uint64) []write {
		return randomBlock(rand.New(rand.NewPCG(42, height)), 30)
	}
	var want model
	for height := range uint64(blocks) {
		want = want.apply(block(height + 1))
	}
	count := 0
	cfg := testConfig(t.TempDir())
	cfg.KeepHeights = 3
	cfg.WriteHook = func(Write) (bool, error) { count++; return true, nil }
	s := mustOpen(t, cfg)
	roots, err := crashRun(s, blocks, block)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)

	for n := 1; n <= count; n++ {
		for _, written := range []bool{false, true} {
			t.Run(fmt.Sprintf("write=%d/written=%v", n, written), func(t *testing.T) {
				t.Parallel()
				cfg := testConfig(t.TempDir())
				cfg.KeepHeights = 3
				calls := 0
				var failed Write
				cfg.WriteHook = func(w Write) (bool, error) {
					if calls++; calls == n {
						failed = w
						return written, errInjected
					}
					return true, nil
				}
				got := make(map[uint64][]byte)
				s, err := Open(cfg)
				if err == nil {
					var roots map[uint64][]byte
					roots, err = crashRun(s, blocks, block)
					for height, root := range roots {
						got[height] = root
					}
					if again := s.SetLocal([]LocalWrite{{Key: []byte("x")}}, false); !errors.Is(again, ErrStoreFailed) {
						t.Fatalf("a later write: %v", again)
					}
					mustClose(t, s)
				}
				if !errors.Is(err, errInjected) || !errors.Is(err, ErrStoreFailed) {
					t.Fatalf("run ended with %v", err)
				}
				cfg.WriteHook = nil
				s = mustOpen(t, cfg)
				more, err := crashRun(s, blocks, block)
				if err != nil {
					t.Fatalf("after %v: %v", failed, err)
				}
				for height, root := range more {
					if before, ok := got[height]; ok && !bytes.Equal(before, root) {
						t.Fatalf("after %v: redo of height %d has another root", failed, height)
					}
					got[height] = root
				}
				for height, root := range roots {
					if other, ok := got[height]; ok && !bytes.Equal(other, root) {
						t.Fatalf("after %v: root of height %d is %X, want %X", failed, height, other, root)
					}
				}
				v := s.Latest()
				if err := same(v, want); err != nil {
					t.Fatalf("after %v: %v", failed, err)
				}
				if newest, err := v.Local([]byte{keyspace.LocalTransactions}); err != nil || string(newest) != fmt.Sprintf("newest %d", blocks) {
					t.Fatalf("after %v: local data %q, %v", failed, newest, err)
				}
				v.Release()
				mustClose(t, s)
				if report, err := Check(t.Context(), cfg, nil); err != nil || !report.OK() {
					t.Fatalf("after %v: %v %v", failed, err, report.Problems)
				}
			})
		}
	}
}

// TestPowerLoss cuts the power at random moments: what was not synced is lost
// in part. A synced write of the engine must keep every earlier commit.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	block := func(height uint64) []write {
		return append(randomBlock(rand.New(rand.NewPCG(7, height)), 50), write{[]byte("height"), fmt.Append(nil, height)})
	}
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		disk := vfs.NewCrashableMem()
		cfg := testConfig("state")
		cfg.KeepHeights = 4
		roots := map[uint64][]byte{}
		reached := uint64(0)
		for reached < 40 {
			cfg.fs = disk
			s := mustOpen(t, cfg)
			height := s.Height()
			if height+1 < reached {
				t.Fatalf("seed %d: restarted at height %d, the block after %d was synced", seed, height, reached-1)
			}
			if want, ok := roots[height]; ok && !bytes.Equal(want, s.AppHash()) {
				t.Fatalf("seed %d: root of height %d is %X after the crash, was %X", seed, height, s.AppHash(), want)
			}
			for range 1 + r.IntN(8) {
				height++
				if err := s.CometDB("blockstore").SetSync(fmt.Appendf(nil, "block/%d", height), []byte("b")); err != nil {
					t.Fatal(err)
				}
				root := commit(t, s, block(height))
				if want, ok := roots[height]; ok && !bytes.Equal(want, root) {
					t.Fatalf("seed %d: redo of height %d has another root", seed, height)
				}
				roots[height] = root
				reached = max(reached, height)
			}
			next := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.IntN(101), RNG: r})
			mustClose(t, s)
			disk = next
		}
	}
}

// TestDiskError lets the disk fail below the database: the commit must return
// an error rather than end the process, and Run must report it.
func TestDiskError(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	injector := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return &fs.PathError{Op: "write", Path: op.Path, Err: syscall.ENOSPC}
		}
		return nil
	})
	cfg := testConfig("state")
	cfg.fs = errorfs.Wrap(vfs.NewMem(), injector)
	s := mustOpen(t, cfg)
	commit(t, s, []write{{[]byte("a"), []byte("1")}})
	ran := make(chan error, 1)
	go func() { ran <- s.Run(t.Context()) }()

	broken.Store(true)
	err := s.CometDB("blockstore").SetSync([]byte("k"), []byte("v"))
	if !errors.Is(err, ErrStoreFailed) {
		t.Fatalf("synced write on a full disk: %v", err)
	}
	if err := <-ran; !errors.Is(err, ErrStoreFailed) {
		t.Fatalf("Run returned %v", err)
	}
	if _, err := stage(s, 2, nil, nil); !errors.Is(err, ErrStoreFailed) {
		t.Fatalf("stage after the failure: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
