package consensus

import (
	"crypto/ed25519"
	"fmt"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
)

func TestAttendance(t *testing.T) {
	t.Parallel()
	const signed, absent, voted = cmtproto.BlockIDFlagCommit, cmtproto.BlockIDFlagAbsent, cmtproto.BlockIDFlagNil
	tests := []struct {
		name string
		of   []cmtproto.BlockIDFlag // what the commits hold of the validator, 0 if it is in no set
		gone bool
	}{
		{"nothing is known", nil, false},
		{"signed", []cmtproto.BlockIDFlag{signed}, false},
		{"missing once", []cmtproto.BlockIDFlag{signed, absent}, false},
		{"missing twice", []cmtproto.BlockIDFlag{absent, absent}, true},
		{"missing for long", []cmtproto.BlockIDFlag{absent, absent, absent, absent}, true},
		{"back", []cmtproto.BlockIDFlag{absent, absent, absent, signed}, false},
		{"back and missing once", []cmtproto.BlockIDFlag{absent, absent, signed, absent}, false},
		{"votes for no block", []cmtproto.BlockIDFlag{voted, voted}, false},
		{"no validator in between", []cmtproto.BlockIDFlag{absent, 0, absent}, false},
	}
	n := &Node{cfg: Config{Profile: Profile{}.withDefaults()}}
	for _, tt := range tests {
		n.app = &application{}
		for _, flag := range tt.of {
			commit := abci.CommitInfo{Votes: []abci.VoteInfo{{Validator: abci.Validator{Address: []byte("other")}, BlockIdFlag: signed}}}
			if flag != 0 {
				commit.Votes = append(commit.Votes, abci.VoteInfo{Validator: abci.Validator{Address: []byte("it")}, BlockIdFlag: flag})
			}
			n.app.attendance.note(commit)
		}
		if got := n.app.attendance.gone([]byte("it")); got != tt.gone {
			t.Errorf("%s: gone %v, want %v", tt.name, got, tt.gone)
		}
		if n.app.attendance.gone([]byte("other")) {
			t.Errorf("%s: who has signed is gone", tt.name)
		}
		knobs := n.consensusConfig()
		n.await(knobs, []byte("it"))
		propose, precommit := time.Second, 500*time.Millisecond
		if tt.gone {
			propose, precommit = 200*time.Millisecond, 100*time.Millisecond
		}
		if knobs.TimeoutPropose != propose || knobs.TimeoutPrecommit != precommit {
			t.Errorf("%s: waits %v and %v, want %v and %v", tt.name, knobs.TimeoutPropose, knobs.TimeoutPrecommit, propose, precommit)
		}
	}
}

func TestAStoppedValidatorIsGoneUntilItVotesAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	w.start()
	down, rest := w.hosts[3], w.hosts[:3]
	rest[0].submit("together")
	w.commits("together", w.hosts...)
	address := cmted25519.PubKey(down.voteKey.Public().(ed25519.PublicKey)).Address()
	down.stop()
	gone := func(h *host) bool { return h.node.app.attendance.gone(address) }
	txs := 0
	commitUntil := func(what string, condition func(*host) bool) {
		t.Helper()
		w.eventually(what, func() bool {
			tx := fmt.Sprintf("tx %d", txs)
			txs++
			rest[0].submit(tx)
			w.commits(tx, rest...)
			for _, h := range rest {
				if !condition(h) {
					return false
				}
			}
			return true
		})
	}
	commitUntil("all know that it is gone", gone)
	down.start()
	commitUntil("all know that it is back", func(h *host) bool { return !gone(h) })
}

// TestLaterRoundsWaitInFull demands that only the turn of who is gone is cut: the proposer of the next round may be there, and needs
// the time of any other height, whatever the deltas of the profile are.
func TestLaterRoundsWaitInFull(t *testing.T) {
	t.Parallel()
	for _, profile := range []Profile{{}, {TimeoutPropose: 5 * time.Second, TimeoutProposeDelta: time.Millisecond}} {
		n := &Node{cfg: Config{Profile: profile.withDefaults()}, app: &application{}}
		for range 2 {
			n.app.attendance.note(abci.CommitInfo{Votes: []abci.VoteInfo{{
				Validator: abci.Validator{Address: []byte("it")}, BlockIdFlag: cmtproto.BlockIDFlagAbsent}}})
		}
		usual, cut := n.consensusConfig(), n.consensusConfig()
		n.await(cut, []byte("it"))
		for round := int32(1); round < 5; round++ {
			if cut.Propose(round) < usual.Propose(0) {
				t.Errorf("round %d: a proposer that is there gets %v, in round 0 of other heights %v", round, cut.Propose(round), usual.Propose(0))
			}
			if cut.Propose(round) < usual.Propose(round) || cut.Precommit(round) < usual.Precommit(round) {
				t.Errorf("round %d: waits %v and %v, usually %v and %v", round, cut.Propose(round), cut.Precommit(round), usual.Propose(round), usual.Precommit(round))
			}
		}
	}
}
