package consensus

import (
	"testing"
	"time"
)

func TestAStrangerIsRefusedByBothSides(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.settled(w.hosts...)
	// The stranger lists the members; they do not list it.
	stranger := w.newHost("stranger-1")
	stranger.list(append(w.members(), stranger.member)...)
	stranger.start()
	w.eventually("the stranger has been turned away several times", func() bool {
		return stranger.node.Reconciled().Dials >= 6
	})
	// One who is listed, but does not list the others, refuses them in turn.
	hermit := w.newHost("hermit-1")
	hermit.list(hermit.member)
	hermit.start()
	w.hosts[0].list(append(w.members(), hermit.member)...)
	w.eventually("the hermit has been dialled in vain", func() bool {
		return w.hosts[0].node.Reconciled().DialFailures+w.hosts[0].node.Reconciled().Dials >= 3
	})
	w.hosts[0].submit("tx")
	w.commits("tx", w.hosts...)

	for _, h := range w.hosts {
		if h.chatter.hasMet(stranger.member.ID) {
			t.Errorf("%s took the stranger for a peer", h.member.Name)
		}
		for _, p := range h.node.Status().Peers {
			if p.ID == stranger.member.ID {
				t.Errorf("%s shows the stranger as a peer", h.member.Name)
			}
		}
		if hermit.chatter.hasMet(h.member.ID) {
			t.Errorf("the hermit took %s for a peer", h.member.Name)
		}
	}
	for _, h := range []*host{stranger, hermit} {
		if n := h.chatter.messages(); n != 0 {
			t.Errorf("%s received %d messages", h.member.Name, n)
		}
		if height := h.node.Status().Height; height != 0 {
			t.Errorf("%s has got to height %d", h.member.Name, height)
		}
	}
}

func TestARemovedMemberIsDisconnectedAndAReturningOneIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 1)
	w.start()
	w.hosts[0].submit("together")
	w.commits("together", w.hosts...)
	rest, gone := w.hosts[:3], w.hosts[3]
	connected := func(h *host) bool {
		for _, p := range h.node.Status().Peers {
			if p.ID == gone.member.ID {
				return true
			}
		}
		return false
	}
	for _, h := range rest {
		w.eventually(h.member.Name+" is connected to the member", func() bool { return connected(h) })
	}
	begin := time.Now()
	all := w.members()
	for _, h := range rest {
		h.list(all[:3]...)
	}
	for _, h := range rest {
		w.eventually(h.member.Name+" has hung up", func() bool { return !connected(h) })
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("the connections were closed after %v, the promise is 2s", took)
	}
	rest[1].submit("without")
	w.commits("without", rest...)
	if gone.ledger.committedAt("without") != 0 {
		t.Error("the removed member still follows")
	}
	for _, h := range rest {
		h.list(all...)
	}
	w.commits("without", gone)
}

func TestAPeerThatMisbehavesInGossipIsDisconnected(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.settled(w.hosts...)
	a, b := w.hosts[0], w.hosts[1]
	w.eventually("the two are connected", func() bool { return len(a.node.Status().Peers) == 1 })
	since := a.node.Status().Peers[0].Since
	b.chatter.say("", []byte("nonsense"))
	w.eventually("they have hung up and connected anew", func() bool {
		peers := a.node.Status().Peers
		return len(peers) == 1 && peers[0].Since.After(since)
	})
}
