package consensus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestFourValidatorsCommitTransactionsSubmittedToAny(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	for _, h := range w.hosts {
		h.tweak = func(c *Config) { c.Version = "of " + h.member.Name }
	}
	w.start()
	for i, h := range w.hosts {
		tx := fmt.Sprintf("tx%d", i)
		h.submit(tx)
		w.commits(tx, w.hosts...)
	}
	height := w.settled(w.hosts...)
	want, err := w.hosts[0].node.Block(height)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range w.hosts {
		s := h.node.Status()
		if s.Phase != PhaseFollowing || !s.CaughtUp || !s.Validator || len(s.Peers) != 3 {
			t.Errorf("%s: status %+v", h.member.Name, s)
		}
		for _, p := range s.Peers {
			if p.Version != "of "+p.Name {
				t.Errorf("%s: peer %+v", h.member.Name, p)
			}
		}
		got, err := h.node.Block(height)
		if err != nil || string(got.Hash) != string(want.Hash) {
			t.Errorf("%s: block %d is %x (%v), want %x", h.member.Name, height, got.Hash, err, want.Hash)
		}
	}
}

func TestAnIdleNetworkMakesNoBlocks(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	w.start()
	w.hosts[0].submit("first")
	w.commits("first", w.hosts...)
	before := w.settled(w.hosts...)

	w.rounds(w.hosts[0], 300)

	for _, h := range w.hosts {
		if got := h.node.Status().Height; got != before {
			t.Errorf("%s went from height %d to %d while idle", h.member.Name, before, got)
		}
	}
	// The next transaction takes exactly the next height, and its proof the one after: no
	// empty block was made, and none is in the making.
	begin := time.Now()
	w.hosts[1].submit("second")
	w.commits("second", w.hosts...)
	t.Logf("first transaction after idleness committed on all nodes after %v", time.Since(begin))
	after := w.settled(w.hosts...)
	for _, h := range w.hosts {
		if got := h.ledger.committedAt("second"); got != before+1 {
			t.Errorf("%s: committed at %d, want %d", h.member.Name, got, before+1)
		}
	}
	if after != before+2 {
		t.Errorf("settled at %d, want %d", after, before+2)
	}
}

func TestAStoppedNodeCatchesUpFromDisk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	w.start()
	down, rest := w.hosts[3], w.hosts[:3]
	rest[0].submit("together")
	w.commits("together", w.hosts...)
	w.settled(w.hosts...)
	down.stop()
	if s := down.node.Status(); s.Phase != PhaseStopped || len(s.Peers) != 0 {
		t.Errorf("status after stopping: %+v", s)
	}
	if _, err := down.node.Block(1); !errors.Is(err, ErrNotReady) {
		t.Errorf("Block after stopping: %v", err)
	}
	for i := range 3 {
		tx := fmt.Sprintf("without %d", i)
		rest[i].submit(tx)
		w.commits(tx, rest...)
	}
	down.start()
	w.settled(w.hosts...)
	rest[1].submit("together again")
	w.commits("together again", w.hosts...)
	w.settled(w.hosts...)
}

func TestANetworkThatStoppedAsAWholeGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	w.start()
	w.hosts[0].submit("before")
	w.commits("before", w.hosts...)
	height := w.settled(w.hosts...)
	for _, h := range w.hosts {
		h.stop()
	}
	// A pool may want a block before consensus is there to hear of it.
	for _, h := range w.hosts {
		h.start()
		h.ledger.submit([]byte("after"))
	}
	w.commits("after", w.hosts...)
	w.settled(w.hosts...)
	for _, h := range w.hosts {
		if got := h.ledger.committedAt("after"); got != height+1 {
			t.Errorf("%s: committed at %d, want %d", h.member.Name, got, height+1)
		}
	}
}

func TestAnObserverFollows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	validator, observer := w.hosts[0], w.hosts[1]
	validator.start()
	for i := range 3 {
		tx := fmt.Sprintf("early %d", i)
		validator.submit(tx)
		w.commits(tx, validator)
	}
	observer.start()
	w.settled(w.hosts...)
	if s := observer.node.Status(); s.Validator {
		t.Errorf("the observer takes itself for a validator: %+v", s)
	}
	w.eventually("the observer follows", func() bool { return observer.node.Status().CaughtUp })
	observer.submit("through the observer")
	w.commits("through the observer", w.hosts...)
}

func TestAWeekOldChainCommitsPromptly(t *testing.T) {
	t.Parallel()
	const week = 7 * 24 * time.Hour
	w := newWorld(t, 4, 0)
	w.genesis.Time = time.Now().Add(-week - time.Hour)
	w.offset.Store(int64(-week))
	w.start()
	w.hosts[0].submit("a week ago")
	w.commits("a week ago", w.hosts...)
	w.settled(w.hosts...)
	if age := time.Since(w.hosts[0].node.Status().BlockTime); age < week-time.Hour {
		t.Fatalf("the newest block is %v old, want a week", age)
	}

	w.offset.Store(0)
	begin := time.Now()
	w.hosts[2].submit("today")
	w.commits("today", w.hosts[2])
	took := time.Since(begin)
	t.Logf("the first transaction after a week was committed after %v", took)
	if took > 5*time.Second { // generous: the machine may be busy
		t.Error("that is not prompt")
	}
	w.commits("today", w.hosts...)
	w.settled(w.hosts...)
	b, err := w.hosts[0].node.Block(w.hosts[0].ledger.committedAt("today"))
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(b.Time); age < week-time.Hour {
		t.Errorf("the block after the pause is %v old: its time is the previous block's commit", age)
	}
	if age := time.Since(w.hosts[0].node.Status().BlockTime); age > time.Hour {
		t.Errorf("the proof block is still %v old", age)
	}
}

func TestNewRefusesTheDataOfAnotherNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	h.start()
	w.settled(h)
	h.stop()
	tests := map[string]func(*Genesis){
		"chain id":      func(g *Genesis) { g.ChainID = "other" },
		"state":         func(g *Genesis) { g.AppState = []byte("another beginning") },
		"feature level": func(g *Genesis) { g.FeatureLevel++ },
		"validators":    func(g *Genesis) { g.Validators = []Validator{{PublicKey: make([]byte, 32), Power: 10}} },
	}
	for name, change := range tests {
		cfg := h.config()
		change(&cfg.Genesis)
		if _, err := New(cfg); !errors.Is(err, ErrForeignData) {
			t.Errorf("%s: New: %v, want %v", name, err, ErrForeignData)
		}
		h.release()
	}
	h.start() // the attempts have changed nothing
	h.submit("still here")
	w.commits("still here", h)
}

func TestRunSaysThatTheAddressIsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.hosts[0].start()
	w.settled(w.hosts[0])
	w.hosts[1].member.Addresses = w.hosts[0].member.Addresses
	w.hosts[1].start()
	if err := w.hosts[1].failed(); !errors.Is(err, ErrListen) {
		t.Errorf("Run: %v, want %v", err, ErrListen)
	}
	if err := w.hosts[1].node.Run(t.Context()); !errors.Is(err, ErrAlreadyRun) {
		t.Errorf("second Run: %v, want %v", err, ErrAlreadyRun)
	}
}

func TestBlocksArePrunedWhenTheApplicationSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	w.genesis.EvidenceMaxAgeBlocks, w.genesis.EvidenceMaxAge = 1, time.Second
	h := w.hosts[0]
	h.retain = 2
	h.start()
	if _, err := h.node.Block(1 << 40); !errors.Is(err, ErrFuture) {
		t.Errorf("Block of the future: %v", err)
	}
	for i := range 4 {
		tx := fmt.Sprintf("tx%d", i)
		h.submit(tx)
		w.commits(tx, h)
	}
	height := w.settled(h)
	w.eventually("old blocks are pruned", func() bool { base, _ := h.node.BlockRange(); return base >= height-1 })
	base, newest := h.node.BlockRange()
	var pruned *PrunedError
	if _, err := h.node.Block(1); !errors.As(err, &pruned) || !errors.Is(err, ErrPruned) || pruned.Base != base {
		t.Errorf("Block(1): %v, want pruned below %d", err, base)
	}
	if _, err := h.node.Block(newest + 1); !errors.Is(err, ErrFuture) {
		t.Errorf("Block(%d): %v, want %v", newest+1, err, ErrFuture)
	}
	if b, err := h.node.Block(newest); err != nil || b.Height != newest || len(b.LastCommit.Signatures) != 1 {
		t.Errorf("Block(%d) = %+v, %v", newest, b, err)
	}
	h.stop()
	h.start()
	h.submit("after pruning and restart")
	w.commits("after pruning and restart", h)
}

func TestATornWriteAheadLogIsRepaired(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	h.start()
	h.submit("before")
	w.commits("before", h)
	w.settled(h)
	h.stop()
	path := filepath.Join(h.home, "wal", "wal")
	wal, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, wal[:len(wal)-7], 0o600); err != nil { // in the middle of a record
		t.Fatal(err)
	}
	h.start()
	h.submit("after")
	w.commits("after", h)
}
