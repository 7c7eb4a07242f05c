package consensus

import (
	"context"
	"crypto/ed25519"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"

	"github.com/althing-ledger/althing/p2p"
)

// A node key rotation: the node ends its mesh and makes a new one in the same process, on the
// same databases, application, pool, gossip and signer.
func TestANodeIsRebuiltWithAnotherNodeKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	for _, h := range w.hosts[:3] {
		h.start()
	}
	turns, rest := w.hosts[3], w.hosts[:3]
	cfg := turns.config()
	open := map[string]dbm.DB{}
	opener := cfg.DB
	cfg.DB = func(name string) dbm.DB {
		if open[name] == nil {
			open[name] = opener(name)
		}
		return open[name]
	}
	run := func() (stop func()) {
		var err error
		if turns.node, err = New(cfg); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		node := turns.node
		go func() { result <- node.Run(ctx) }()
		return func() {
			cancel()
			select {
			case err := <-result:
				if err != nil {
					t.Errorf("Run: %v", err)
				}
			case <-time.After(patience):
				panic("Run did not return")
			}
		}
	}
	stop := run()
	w.commit("before", turns, w.hosts...)

	// The overlap: both keys are listed, and nothing happens to the connections.
	before, next := turns.member.ID, key("the next node key")
	turns.member.ID, turns.member.FormerID = p2p.NodeID(next.Public().(ed25519.PublicKey)), before
	for _, h := range w.hosts {
		h.list(w.members()...)
	}
	w.commit("in the overlap", rest[0], w.hosts...)
	for _, h := range rest {
		if c := h.node.Reconciled(); c.Evictions != 0 {
			t.Errorf("%s evicted %d peers in the overlap", h.member.Name, c.Evictions)
		}
	}
	for range 3 { // and once more, because it can
		stop()
		cfg.NodeKey = next
		stop = run()
		tx := "after " + string(turns.node.Status().Phase) + time.Now().String()
		w.commit(tx, rest[1], w.hosts...)
	}
	// The overlap ends; the others know the node by its new id only.
	turns.member.FormerID = ""
	for _, h := range w.hosts {
		h.list(w.members()...)
	}
	w.commit("at last", turns, w.hosts...)
	for _, h := range rest {
		for _, p := range h.node.Status().Peers {
			if p.ID == before {
				t.Errorf("%s is still connected to the former id", h.member.Name)
			}
			if p.ID == turns.member.ID && p.Name != turns.member.Name {
				t.Errorf("%s calls the node %q", h.member.Name, p.Name)
			}
		}
	}
	stop()
	turns.release()
}
