package consensus

import (
	"crypto/ed25519"
	"fmt"
	"testing"
)

// commit submits a transaction and waits until the nodes are settled behind it.
func (w *world) commit(tx string, through *host, hosts ...*host) {
	w.t.Helper()
	through.submit(tx)
	w.commits(tx, hosts...)
	w.settled(hosts...)
}

// votes waits until exactly the given nodes take themselves for validators.
func (w *world) voting(validators ...*host) {
	w.t.Helper()
	is := map[*host]bool{}
	for _, h := range validators {
		is[h] = true
	}
	w.eventually(fmt.Sprintf("%d nodes are validators", len(validators)), func() bool {
		for _, h := range w.hosts {
			if h.node.Status().Validator != is[h] {
				return false
			}
		}
		return true
	})
}

// The application lets a set of one grow to three, shrink to another one, and grow again. Nobody
// restarts to become a validator or an observer, and whoever restarts finds its place.
func TestValidatorsChangeWhileTheNetworkRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 2)
	first, second, third := w.hosts[0], w.hosts[1], w.hosts[2]
	for _, h := range []*host{second, third} {
		h.voteKey = key("vote " + h.member.Name)
	}
	w.start()
	w.commit("begin", first, w.hosts...)
	w.voting(first)

	w.commit(setPower(second.voteKey, 10), second, w.hosts...)
	w.commit("the second joins", third, w.hosts...) // carries the heights on to where the update counts
	w.voting(first, second)
	w.commit(setPower(third.voteKey, 10), first, w.hosts...)
	w.commit("the third joins", second, w.hosts...)
	w.voting(w.hosts...)

	// Two go at once; the third is the whole set.
	w.commit(setPower(first.voteKey, 0), first, w.hosts...)
	w.commit("the first leaves", first, w.hosts...)
	w.voting(second, third)
	w.commit(setPower(second.voteKey, 0), third, w.hosts...)
	w.commit("the second leaves", second, w.hosts...)
	w.voting(third)
	if !third.node.Status().CaughtUp {
		t.Errorf("the only validator does not follow: %+v", third.node.Status())
	}

	// Alone, it needs nobody to go on after a restart, and those who were validators follow.
	for _, h := range w.hosts {
		h.stop()
	}
	third.start()
	w.commit("alone", third, third)
	first.start()
	second.start()
	w.commits("alone", first, second)
	w.settled(w.hosts...)

	// Back to three.
	w.commit(setPower(first.voteKey, 10), first, w.hosts...)
	w.commit(setPower(second.voteKey, 10), first, w.hosts...)
	w.commit("three again", second, w.hosts...)
	w.voting(w.hosts...)
	w.commit("at last", third, w.hosts...)
	height := w.settled(w.hosts...)
	b, err := first.node.Block(height)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(b.LastCommit.Signatures); n != 3 {
		t.Errorf("the commit in block %d has %d entries, want 3", height, n)
	}

	record, err := second.node.SigningRecord(MaxSigningWindow)
	if err != nil {
		t.Fatal(err)
	}
	if len(record) != 3 {
		t.Fatalf("signing record of %d validators, want 3", len(record))
	}
	for _, r := range record {
		if r.Asked == 0 || r.Asked >= int(height) && string(r.Address) != string(address(first.voteKey)) || r.Signed == 0 ||
			r.Signed > r.Asked || r.LastSigned < height-2 {
			t.Errorf("height %d: signing record %+v", height, r)
		}
	}
}

func TestBlockSizeAndFeatureLevelChangeWhileTheNetworkRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 1)
	w.start()
	w.commit("begin", w.hosts[0], w.hosts...)
	w.commit(setSize(1<<20), w.hosts[1], w.hosts...)
	w.commit(setLevel(2), w.hosts[2], w.hosts...)
	w.commit("after", w.hosts[3], w.hosts...)
	for _, h := range w.hosts {
		state, err := h.node.states.Load()
		if err != nil {
			t.Fatal(err)
		}
		if size, level := state.ConsensusParams.Block.MaxBytes, state.Version.Consensus.App; size != 1<<20 || level != 2 {
			t.Errorf("%s: size %d, level %d", h.member.Name, size, level)
		}
	}
	// A node that was away meets both changes again.
	late := w.hosts[4]
	late.stop()
	late.start()
	w.commit("end", late, w.hosts...)
}

// address returns the address that a key votes under.
func address(k ed25519.PrivateKey) []byte {
	return addressOf(k.Public().(ed25519.PublicKey))
}
