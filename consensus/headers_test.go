package consensus

import (
	"bytes"
	"errors"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/light"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// decoded turns a signed header into the engine's, and checks that its encodings are the canonical ones.
func decoded(t *testing.T, s SignedHeader) *types.SignedHeader {
	t.Helper()
	var header cmtproto.Header
	var commit cmtproto.Commit
	if err := errors.Join(header.Unmarshal(s.Header), commit.Unmarshal(s.Commit)); err != nil {
		t.Fatal(err)
	}
	again, err := header.Marshal()
	votes, votesErr := commit.Marshal()
	if err := errors.Join(err, votesErr); err != nil || !bytes.Equal(again, s.Header) || !bytes.Equal(votes, s.Commit) {
		t.Fatalf("encoded again, a signed header differs: %v", err)
	}
	h, err := types.HeaderFromProto(&header)
	c, commitErr := types.CommitFromProto(&commit)
	if err := errors.Join(err, commitErr); err != nil {
		t.Fatal(err)
	}
	return &types.SignedHeader{Header: &h, Commit: c}
}

// engineSet makes the engine's set of validators.
func engineSet(validators []Validator) *types.ValidatorSet {
	set := make([]*types.Validator, len(validators))
	for i, v := range validators {
		set[i] = types.NewValidator(cmted25519.PubKey(v.PublicKey), v.Power)
	}
	return types.NewValidatorSet(set)
}

// TestSignedHeaders follows a network whose validators change from the genesis document on, on each of its nodes, with nothing
// but signed headers, changes and the engine's own light verifier.
func TestSignedHeaders(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 1)
	fifth := w.hosts[4]
	fifth.voteKey = key("vote " + fifth.member.Name)
	w.start()
	w.commit("begin", w.hosts[0], w.hosts...)
	w.commit(setPower(fifth.voteKey, 10), w.hosts[1], w.hosts...)
	w.commit("five", w.hosts[2], w.hosts...)
	w.commit(setPower(w.hosts[0].voteKey, 0), fifth, w.hosts...)
	w.commit("four", w.hosts[0], w.hosts...)
	w.commit(setPower(w.hosts[1].voteKey, 11), w.hosts[3], w.hosts...)
	w.commit("heavier", w.hosts[0], w.hosts...)
	w.hosts[3].stop()
	w.hosts[3].start()
	w.commit("and on", w.hosts[3], w.hosts...)
	newest := w.settled(w.hosts...)

	changes := map[int64]string{}
	for _, h := range w.hosts {
		set := engineSet(w.genesis.Validators)
		var before *types.SignedHeader
		for height := int64(1); height <= newest; height++ {
			signed, err := h.node.SignedHeader(height)
			if err != nil {
				t.Fatal(err)
			}
			if alone, err := h.node.Header(height); err != nil || !bytes.Equal(alone, signed.Header) {
				t.Fatalf("the header of block %d alone differs: %v", height, err)
			}
			now := decoded(t, signed)
			if before == nil {
				err = set.VerifyCommit(w.genesis.ChainID, now.Commit.BlockID, 1, now.Commit)
			} else {
				err = light.VerifyAdjacent(before, now, set, 24*time.Hour, time.Now(), time.Minute)
			}
			if err != nil {
				t.Fatalf("%s: block %d: %v", h.member.Name, height, err)
			}
			change, err := h.node.ChangeAt(height)
			if err != nil {
				t.Fatal(err)
			}
			if (change != nil) == bytes.Equal(now.ValidatorsHash, now.NextValidatorsHash) {
				t.Errorf("block %d: the change of the validators is %v", height, change)
			}
			if change != nil {
				if !bytes.Equal(change.Header, signed.Header) {
					t.Errorf("the change at block %d has another header", height)
				}
				set = engineSet(change.Validators)
				for i, v := range set.Validators {
					if !bytes.Equal(v.PubKey.Bytes(), change.Validators[i].PublicKey) {
						t.Errorf("block %d: validator %d is not in its place", height, i)
					}
				}
				if got := string(set.Hash()); changes[height] != "" && changes[height] != got {
					t.Errorf("%s has other validators after block %d", h.member.Name, height)
				}
				changes[height] = string(set.Hash())
			}
			if !bytes.Equal(set.Hash(), now.NextValidatorsHash) {
				t.Fatalf("block %d announces other validators", height)
			}
			before = now
		}
	}
	if len(changes) != 3 {
		t.Errorf("there were %d changes of the validators, want 3", len(changes))
	}

	// Below the newest block, all nodes show the same votes: those that the next block carries.
	for height := int64(1); height < newest; height++ {
		want, err := w.hosts[0].node.SignedHeader(height)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range w.hosts[1:] {
			if got, err := h.node.SignedHeader(height); err != nil || !bytes.Equal(got.Commit, want.Commit) {
				t.Errorf("%s: block %d is signed by another commit: %v", h.member.Name, height, err)
			}
		}
	}
}

func TestHeadersThatAreNotThere(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	h.retain = 2
	w.start()
	for _, tx := range []string{"a", "b", "c", "d"} {
		w.commit(tx, h, h)
	}
	newest := w.settled(h)
	// The engine prunes after it has committed: the newest block may be settled before the old ones are gone.
	base := newest - h.retain + 1
	w.eventually("old blocks are pruned", func() bool { kept, _ := h.node.BlockRange(); return kept == base })
	ask := func(height int64) []error {
		_, header := h.node.Header(height)
		_, signed := h.node.SignedHeader(height)
		_, change := h.node.ChangeAt(height)
		return []error{header, signed, change}
	}
	for height, want := range map[int64]error{0: ErrPruned, base - 1: ErrPruned, newest + 1: ErrFuture, base: nil, newest: nil} {
		for _, err := range ask(height) {
			if !errors.Is(err, want) {
				t.Errorf("height %d of %d to %d: %v, want %v", height, base, newest, err, want)
			}
		}
	}
	h.stop()
	for _, err := range ask(newest - 1) {
		// What the engine remembers it may still tell.
		if err != nil && !errors.Is(err, ErrNotReady) {
			t.Errorf("after the end: %v", err)
		}
	}
}
