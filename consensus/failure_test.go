package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/consensus/signer"
)

var errDisk = errors.New("the disk is on fire")

// at misbehaves at one height.
func at(height int64, f func() ([]byte, error)) func(int64) ([]byte, error) {
	return func(h int64) ([]byte, error) {
		if h == height {
			return f()
		}
		return nil, nil
	}
}

func TestRunEndsWhenTheApplicationFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		spoil func() ([]byte, error)
		cause error
		says  string
	}{
		{"error", func() ([]byte, error) { return nil, errDisk }, errDisk, "FinalizeBlock"},
		{"panic", func() ([]byte, error) { panic("index out of range") }, nil, "index out of range"},
	}
	for _, tt := range tests {
		t.Run("consensus/"+tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 0)
			h := w.hosts[0]
			h.spoil = at(2, tt.spoil)
			h.start()
			w.settled(h)
			h.submit("poison")
			checkStopped(t, h.failed(), ErrConsensusStopped, tt.cause, tt.says)
			if s := h.node.Status(); s.Phase != PhaseStopped || s.CaughtUp {
				t.Errorf("status after the failure: %+v", s)
			}
			// Once the cause is repaired, the node goes on where it was.
			h.spoil = nil
			h.start()
			h.submit("cured")
			w.commits("cured", h)
		})
		t.Run("replay/"+tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 0)
			h := w.hosts[0]
			h.spoil = at(2, tt.spoil)
			h.start()
			w.settled(h)
			h.submit("poison")
			h.failed()
			h.start() // replays block 2, which was decided and stored
			checkStopped(t, h.failed(), ErrReplay, tt.cause, tt.says)
		})
		t.Run("catching up/"+tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 1, 1)
			validator, observer := w.hosts[0], w.hosts[1]
			validator.start()
			for _, tx := range []string{"one", "two", "three"} {
				validator.submit(tx)
				w.commits(tx, validator)
			}
			w.settled(validator)
			observer.spoil = at(2, tt.spoil)
			observer.start()
			checkStopped(t, observer.failed(), ErrConsensusStopped, tt.cause, tt.says)
		})
	}
}

func checkStopped(t *testing.T, err error, kind, cause error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || (cause != nil && !errors.Is(err, cause)) || !strings.Contains(err.Error(), says) {
		t.Errorf("Run: %v, want %v because of %v, saying %q", err, kind, cause, says)
	}
}

func TestANodeThatComputesAnotherStateStops(t *testing.T) {
	t.Parallel()
	wrong := func() ([]byte, error) { return bytes.Repeat([]byte{1}, 32), nil }
	t.Run("following", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 4, 0)
		w.hosts[3].spoil = at(2, wrong)
		w.start()
		w.settled(w.hosts...)
		w.hosts[0].submit("tx")
		checkStopped(t, w.hosts[3].failed(), ErrConsensusStopped, nil, "AppHash")
		w.commits("tx", w.hosts[:3]...)
		w.settled(w.hosts[:3]...)
	})
	t.Run("catching up", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, 1, 1)
		validator, observer := w.hosts[0], w.hosts[1]
		validator.start()
		for _, tx := range []string{"one", "two", "three"} {
			validator.submit(tx)
			w.commits(tx, validator)
		}
		w.settled(validator)
		observer.spoil = at(2, wrong)
		observer.start()
		checkStopped(t, observer.failed(), ErrConsensusStopped, nil, "AppHash")
	})
}

func TestRunEndsWhenTheSignerCannotWrite(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	votes := &moodySigner{}
	h.tweak = func(c *Config) { votes.Signer, c.Signer = c.Signer, votes }
	h.start()
	w.settled(h)
	votes.fail(fmt.Errorf("%w: %w", signer.ErrRecordWrite, errDisk))
	h.submit("tx")
	checkStopped(t, h.failed(), signer.ErrRecordWrite, errDisk, "record")
}

func TestRunEndsWhenGossipDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	cfg := h.config()
	broken := &brokenGossip{chatter: h.chatter}
	cfg.Gossip = broken
	node, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Run(t.Context()); !errors.Is(err, errDisk) {
		t.Errorf("Run: %v, want %v", err, errDisk)
	}
	h.release()
}
