package consensus

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cs "github.com/cometbft/cometbft/consensus"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/evidence"
	"github.com/cometbft/cometbft/libs/protoio"
	cmtp2p "github.com/cometbft/cometbft/p2p"
	cmtcons "github.com/cometbft/cometbft/proto/tendermint/consensus"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// otherVote is a vote by a validator for a block that nobody has proposed.
func otherVote(t *testing.T, chainID string, voter ed25519.PrivateKey, set *types.ValidatorSet, like cmtproto.CanonicalVote, about string) *types.Vote {
	t.Helper()
	address := cmted25519.PubKey(voter.Public().(ed25519.PublicKey)).Address()
	index, _ := set.GetByAddress(address)
	hash := sha256.Sum256([]byte(about))
	v := &types.Vote{
		Type: like.Type, Height: like.Height, Round: int32(like.Round), Timestamp: time.Now().UTC(),
		BlockID:          types.BlockID{Hash: hash[:], PartSetHeader: types.PartSetHeader{Total: 1, Hash: hash[:]}},
		ValidatorAddress: address, ValidatorIndex: index,
	}
	v.Signature = ed25519.Sign(voter, types.VoteSignBytes(chainID, v.ToProto()))
	return v
}

// twoFaced is a signer that tells one peer something else.
type twoFaced struct {
	Signer
	host  *host
	armed atomic.Bool
}

func (s *twoFaced) Sign(publicKey, message []byte) ([]byte, time.Time, error) {
	var v cmtproto.CanonicalVote
	err := protoio.UnmarshalDelimited(message, &v)
	if err == nil && v.Type == cmtproto.PrevoteType && v.BlockID != nil && s.armed.CompareAndSwap(true, false) {
		e := s.host.node.run.Load()
		_, set := e.states.next()
		other := otherVote(s.host.world.t, s.host.world.genesis.ChainID, s.host.voteKey, set, v, "nobody's block")
		// One peer hears this vote, and then, as every other, the honest one.
		e.sw.Peers().Copy()[0].TrySend(cmtp2p.Envelope{ChannelID: cs.VoteChannel, Message: &cmtcons.Vote{Vote: other.ToProto()}})
	}
	return s.Signer.Sign(publicKey, message)
}

func TestAValidatorThatSignsTwiceIsProvenToTheApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 1)
	culprit := w.hosts[3]
	liar := &twoFaced{host: culprit}
	culprit.tweak = func(c *Config) { liar.Signer = c.Signer; c.Signer = liar }
	w.start()
	w.settled(w.hosts...)
	liar.armed.Store(true)
	w.hosts[0].submit("a block to lie about")
	w.commits("a block to lie about", w.hosts...)
	address := cmted25519.PubKey(culprit.voteKey.Public().(ed25519.PublicKey)).Address()
	for _, h := range w.hosts {
		w.eventually(h.member.Name+" has executed the evidence", func() bool { return len(h.ledger.convictions()) > 0 })
		got := h.ledger.convictions()
		if len(got) != 1 {
			t.Fatalf("%s: %d convictions", h.member.Name, len(got))
		}
		checkConviction(t, got[0], address)
	}
	w.settled(w.hosts...)
}

// checkConviction checks that the proof convicts the validator without anything else.
func checkConviction(t *testing.T, c conviction, address []byte) {
	t.Helper()
	if c.misbehavior.Type != abci.MisbehaviorType_DUPLICATE_VOTE || !bytes.Equal(c.misbehavior.Validator.Address, address) {
		t.Errorf("misbehaviour %+v, want a duplicate vote of %X", c.misbehavior, address)
	}
	var message cmtproto.Evidence
	if err := message.Unmarshal(c.proof); err != nil {
		t.Fatalf("the proof is unreadable: %v", err)
	}
	proof, err := types.EvidenceFromProto(&message)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := proof.(*types.DuplicateVoteEvidence)
	if !ok || d.VoteA.BlockID.Equals(d.VoteB.BlockID) || d.Height() != c.misbehavior.Height {
		t.Fatalf("the proof is %v", proof)
	}
	for _, v := range []*types.Vote{d.VoteA, d.VoteB} {
		if !bytes.Equal(v.ValidatorAddress, address) || len(v.Signature) != ed25519.SignatureSize {
			t.Errorf("the proof has the vote %v", v)
		}
	}
}

// An idle network makes one block for a proof that a peer brings, and rests again. The proof
// reaches the application live, when a newcomer fetches the block and when it is replayed.
func TestEvidenceMakesABlockOnAnIdleNetworkAndSurvivesReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 2)
	validator, observer, late := w.hosts[0], w.hosts[1], w.hosts[2]
	validator.start()
	observer.start()
	validator.submit("something")
	w.commits("something", validator, observer)
	before := w.settled(validator, observer)

	block, err := validator.node.Block(before)
	if err != nil {
		t.Fatal(err)
	}
	set, err := validator.node.states.LoadValidators(before)
	if err != nil {
		t.Fatal(err)
	}
	like := cmtproto.CanonicalVote{Type: cmtproto.PrecommitType, Height: before}
	proof, err := types.NewDuplicateVoteEvidence(
		otherVote(t, w.genesis.ChainID, validator.voteKey, set, like, "one"),
		otherVote(t, w.genesis.ChainID, validator.voteKey, set, like, "two"), block.Time, set)
	if err != nil {
		t.Fatal(err)
	}
	message, err := types.EvidenceToProto(proof)
	if err != nil {
		t.Fatal(err)
	}
	w.eventually("the observer is connected", func() bool { return len(observer.node.Status().Peers) == 1 })
	list := cmtp2p.Envelope{ChannelID: evidence.EvidenceChannel, Message: &cmtproto.EvidenceList{Evidence: []cmtproto.Evidence{*message}}}
	for range 3 { // the same proof again is no other proof
		observer.node.run.Load().sw.Peers().Copy()[0].TrySend(list)
	}
	address := set.Validators[0].Address
	check := func(h *host) {
		t.Helper()
		w.eventually(h.member.Name+" has executed the evidence", func() bool { return len(h.ledger.convictions()) > 0 })
		if got := h.ledger.convictions(); len(got) != 1 || got[0].height != before+1 {
			t.Errorf("%s: convictions %+v, want one at %d", h.member.Name, got, before+1)
		} else {
			checkConviction(t, got[0], address)
		}
	}
	check(validator)
	check(observer)
	w.rounds(observer, 100)
	if after := w.settled(validator, observer); after != before+1 {
		t.Errorf("settled at %d, want %d: one block for the evidence", after, before+1)
	}
	late.start()
	check(late)

	// The application loses everything; the blocks are still there.
	validator.stop()
	if err := os.RemoveAll(filepath.Join(validator.home, "data", "app.db")); err != nil {
		t.Fatal(err)
	}
	validator.start()
	check(validator)
}

// A proof against several validators is one item in the block and several misbehaviours.
func TestEveryMisbehaviourHasItsProof(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	var list []*types.Validator
	for _, h := range w.hosts {
		list = append(list, types.NewValidator(cmted25519.PubKey(h.voteKey.Public().(ed25519.PublicKey)), 10))
	}
	set := types.NewValidatorSet(list)
	like := cmtproto.CanonicalVote{Type: cmtproto.PrevoteType, Height: 3}
	double := func(h *host) types.Evidence {
		e, err := types.NewDuplicateVoteEvidence(otherVote(t, w.genesis.ChainID, h.voteKey, set, like, "one"),
			otherVote(t, w.genesis.ChainID, h.voteKey, set, like, "two"), time.Now(), set)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	attack := &types.LightClientAttackEvidence{
		ConflictingBlock: &types.LightBlock{
			SignedHeader: &types.SignedHeader{Header: &types.Header{Height: 3}, Commit: &types.Commit{Height: 3}}, ValidatorSet: set,
		},
		CommonHeight: 2, ByzantineValidators: set.Validators[:3], TotalVotingPower: 40, Timestamp: time.Now(),
	}
	in := types.EvidenceList{double(w.hosts[0]), attack, double(w.hosts[1])}
	raw, err := encodeEvidence(in)
	if err != nil {
		t.Fatal(err)
	}
	misbehaviour := in.ToABCI()
	if len(raw) != 5 || len(misbehaviour) != 5 {
		t.Fatalf("%d proofs for %d misbehaviours, want 5 for 5", len(raw), len(misbehaviour))
	}
	for i, m := range misbehaviour {
		var message cmtproto.Evidence
		if err := message.Unmarshal(raw[i]); err != nil {
			t.Fatal(err)
		}
		if is := message.GetLightClientAttackEvidence() != nil; is != (m.Type == abci.MisbehaviorType_LIGHT_CLIENT_ATTACK) {
			t.Errorf("misbehaviour %d is of type %v, its proof is of the other one", i, m.Type)
		}
	}
}
