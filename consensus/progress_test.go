package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cometbft/cometbft/config"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
)

func addressOf(public []byte) []byte { return cmted25519.PubKey(public).Address() }

func TestProgressNamesWhoIsSilent(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	w.start()
	w.commit("begin", w.hosts[0], w.hosts...)
	h := w.hosts[0]
	w.eventually("the idle node waits for a reason to make a block", func() bool { return h.node.Progress().Step == "new-round" })
	height := h.node.Status().Height
	p := h.node.Progress()
	if p.Height != height+1 || p.Wanted || len(p.Validators) != 4 || p.TotalPower != 40 || p.VotedPower != 0 ||
		p.Since.IsZero() || p.Executing != "" {
		t.Errorf("progress of an idle node: %+v", p)
	}
	if s := time.Since(p.Since); s < 0 || s > time.Minute {
		t.Errorf("idle since %v", p.Since)
	}

	// Two of four go: no more blocks.
	silent := map[string]bool{}
	for _, gone := range w.hosts[2:] {
		gone.stop()
		silent[string(address(gone.voteKey))] = true
	}
	h.submit("never committed")
	w.eventually("the two who are left have voted in vain", func() bool {
		p = h.node.Progress()
		voted := 0
		for _, v := range p.Validators {
			if v.Prevoted || v.Precommitted {
				voted++
			}
		}
		return voted == 2 && p.Wanted
	})
	proposers := 0
	for _, v := range p.Validators {
		if silent[string(v.Address)] && (v.Prevoted || v.Precommitted) || !bytes.Equal(addressOf(v.PublicKey), v.Address) || v.Power != 10 {
			t.Errorf("validator %+v", v)
		}
		if v.Proposer {
			proposers++
		}
	}
	if proposers != 1 || p.Height != height+1 {
		t.Errorf("%d proposers: %+v", proposers, p)
	}
}

// A hanging application keeps consensus from answering for ever. Progress says so at once.
func TestProgressDoesNotWaitForTheApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	hang := make(chan struct{})
	var hanging atomic.Bool
	h.spoil = at(2, func() ([]byte, error) { hanging.Store(true); <-hang; return nil, nil })
	h.start()
	w.settled(h)
	h.node.Progress()
	h.submit("stuck")
	w.eventually("the application hangs", hanging.Load)
	begin := time.Now()
	var p Progress
	for range 10 {
		p = h.node.Progress()
	}
	if took := time.Since(begin); took > 5*time.Second { // 50 ms each, and the machine may be busy
		t.Errorf("ten questions took %v", took)
	}
	if p.Executing != "FinalizeBlock" || p.Height != 2 || p.Step != "commit" || time.Since(p.ExecutingSince) > patience {
		t.Errorf("progress: %+v", p)
	}
	close(hang)
	w.commits("stuck", h)
	w.eventually("nothing is executed any more", func() bool { return h.node.Progress().Executing == "" })
}

func TestTheSigningRecordCountsWhoSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	w.start()
	w.commit("begin", w.hosts[0], w.hosts...)
	away := w.hosts[3]
	left := away.node.Status().Height
	away.stop()
	for i := range 3 {
		w.commit(fmt.Sprintf("without %d", i), w.hosts[i], w.hosts[:3]...)
	}
	height := w.hosts[0].node.Status().Height
	for range 2 { // the second time from memory
		record, err := w.hosts[0].node.SigningRecord(int(height))
		if err != nil {
			t.Fatal(err)
		}
		if len(record) != 4 {
			t.Fatalf("%d validators, want 4", len(record))
		}
		for _, r := range record {
			switch {
			case r.Asked != int(height):
				t.Errorf("asked %d times in %d blocks", r.Asked, height)
			case bytes.Equal(r.Address, address(away.voteKey)):
				if r.Signed > int(left) || r.LastSigned > left {
					t.Errorf("away since %d: %+v", left, r)
				}
			case r.LastSigned <= left:
				t.Errorf("a validator that was there: %+v", r)
			}
		}
	}
	// The window begins after it went.
	record, err := w.hosts[0].node.SigningRecord(int(height - left))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range record {
		if bytes.Equal(r.Address, address(away.voteKey)) && (r.Signed != 0 || r.LastSigned != 0 || r.Asked != int(height-left)) {
			t.Errorf("within the window: %+v", r)
		}
	}
	if n := len(w.hosts[0].node.signings.heights); n >= int(height)+1 {
		t.Errorf("%d heights are remembered of %d", n, height)
	}
	w.hosts[0].stop()
	if _, err := w.hosts[0].node.SigningRecord(10); !errors.Is(err, ErrNotReady) {
		t.Errorf("SigningRecord after stopping: %v", err)
	}
}

// The pause between blocks follows what the network has agreed on, without a restart.
func TestTheBlockIntervalChangesLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	var interval atomic.Int64
	interval.Store(int64(time.Millisecond))
	h.tweak = func(c *Config) { c.BlockInterval = func() time.Duration { return time.Duration(interval.Load()) } }
	h.start()
	w.settled(h)
	// blocks returns how long it takes to commit some blocks, one after the other.
	blocks := func(name string) time.Duration {
		w.commit(name, h, h) // the new pause counts from the block after the next commit
		begin := time.Now()
		for i := range 4 {
			tx := fmt.Sprintf("%s %d", name, i)
			h.submit(tx)
			w.commits(tx, h)
		}
		return time.Since(begin)
	}
	blocks("fast")
	interval.Store(int64(700 * time.Millisecond))
	if took := blocks("slow"); took < 2*time.Second { // four blocks have at least three pauses between them
		t.Errorf("slow blocks took %v", took)
	}
}

func TestTheBlockIntervalIsBounded(t *testing.T) {
	t.Parallel()
	tests := []struct{ says, want time.Duration }{
		{0, time.Millisecond}, {-time.Second, time.Millisecond}, {time.Second, time.Second}, {time.Hour, maxTimeout},
	}
	for _, tt := range tests {
		n := &Node{cfg: Config{BlockInterval: func() time.Duration { return tt.says }}}
		knobs := config.DefaultConsensusConfig()
		if n.pace(knobs); knobs.TimeoutCommit != tt.want {
			t.Errorf("an interval of %v becomes %v, want %v", tt.says, knobs.TimeoutCommit, tt.want)
		}
	}
}
