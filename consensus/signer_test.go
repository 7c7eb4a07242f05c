package consensus

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"testing"
	"time"

	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/althing-ledger/althing/consensus/signer"
)

const testChain = "test-chain"

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func publicOf(name string) ed25519.PublicKey { return key(name).Public().(ed25519.PublicKey) }

// ringOf makes a keyring with these keys, the first of which owns the record.
func ringOf(t *testing.T, chainID string, names ...string) *signer.Keyring {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signer")
	if err := signer.Create(path, publicOf(names[0])); err != nil {
		t.Fatal(err)
	}
	var private []ed25519.PrivateKey
	for _, name := range names {
		private = append(private, key(name))
	}
	ring, err := signer.Open(path, chainID, private...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ring.Close() })
	return ring
}

func setOf(names ...string) *types.ValidatorSet {
	var validators []*types.Validator
	for _, name := range names {
		validators = append(validators, types.NewValidator(cmted25519.PubKey(publicOf(name)), 10))
	}
	return types.NewValidatorSet(validators)
}

// view is the signer as the engine sees it at a height with these validators.
func view(s Signer, height int64, validators ...string) *engineSigner {
	set := setOf(validators...)
	return &engineSigner{
		signer: s, next: func() (int64, *types.ValidatorSet) { return height, set },
		fail: func(error) {}, log: slog.New(slog.DiscardHandler),
	}
}

func newVote(by string, height int64, kind cmtproto.SignedMsgType, blockName string) *cmtproto.Vote {
	v := &cmtproto.Vote{Type: kind, Height: height, Timestamp: testTime, ValidatorAddress: cmted25519.PubKey(publicOf(by)).Address()}
	if blockName != "" {
		hash := bytes.Repeat([]byte(blockName), 32)[:32]
		v.BlockID = cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: hash}}
	}
	return v
}

func TestTheKeyThatVotesIsPicked(t *testing.T) {
	t.Parallel()
	ring := ringOf(t, testChain, "old", "new")
	for _, tt := range []struct {
		name       string
		validators []string
		want       string
	}{
		{"before the switch", []string{"other", "old"}, "old"},
		{"after it", []string{"new", "other"}, "new"},
		{"not a validator", []string{"other"}, "old"},
	} {
		s := view(ring, 7, tt.validators...)
		got, err := s.GetPubKey()
		if err != nil || !bytes.Equal(got.Bytes(), publicOf(tt.want)) {
			t.Errorf("%s: GetPubKey: %v, %v; want that of %s", tt.name, got, err, tt.want)
		}
		if is := votes(ring, setOf(tt.validators...)); is != (tt.name != "not a validator") {
			t.Errorf("%s: votes: %v", tt.name, is)
		}
	}
	if votes(nil, setOf("old")) {
		t.Error("an observer takes itself for a validator")
	}

	// Each message gets the key that it is for.
	vote := newVote("new", 7, cmtproto.PrevoteType, "a")
	if err := view(ring, 7, "old").SignVote(testChain, vote); err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(publicOf("new"), types.VoteSignBytes(testChain, vote), vote.Signature) {
		t.Error("a vote of the new key is not signed with it")
	}
	proposal := &cmtproto.Proposal{Type: cmtproto.ProposalType, Height: 8, PolRound: -1, BlockID: vote.BlockID, Timestamp: testTime}
	if err := view(ring, 8, "new").SignProposal(testChain, proposal); err != nil {
		t.Fatal(err)
	}
	if !ed25519.Verify(publicOf("new"), types.ProposalSignBytes(testChain, proposal), proposal.Signature) {
		t.Error("a proposal is not signed with the key that votes at its height")
	}
	if err := view(ring, 9, "new").SignProposal(testChain, proposal); err == nil {
		t.Error("a proposal of another height was signed")
	}
	if err := view(ring, 9, "new").SignVote(testChain, newVote("other", 9, cmtproto.PrevoteType, "a")); err == nil {
		t.Error("a vote in the name of another validator was signed")
	}
}

func TestVotesAreStampedAndCarryNoExtensions(t *testing.T) {
	t.Parallel()
	s := view(ringOf(t, testChain, "old"), 1, "old")
	s.now = func() time.Time { return testTime.Add(-time.Hour) }
	v := newVote("old", 1, cmtproto.PrevoteType, "a")
	if err := s.SignVote(testChain, v); err != nil || !v.Timestamp.Equal(testTime.Add(-time.Hour)) {
		t.Errorf("stamped %v, %v", v.Timestamp, err)
	}
	// The same vote at another time keeps the first one.
	s.now = nil
	again := newVote("old", 1, cmtproto.PrevoteType, "a")
	if err := s.SignVote(testChain, again); err != nil || !again.Timestamp.Equal(v.Timestamp) || !bytes.Equal(again.Signature, v.Signature) {
		t.Errorf("the second time: %v, %v", again.Timestamp, err)
	}
	v = newVote("old", 1, cmtproto.PrecommitType, "a")
	v.Extension = []byte("x")
	if err := s.SignVote(testChain, v); err == nil {
		t.Error("a vote with an extension was signed")
	}
}

func TestOnlyTheNewestMissedVoteIsOfferedAgain(t *testing.T) {
	t.Parallel()
	moody := &moodySigner{Signer: ringOf(t, testChain, "old")}
	s := view(moody, 1, "old")
	moody.fail(errors.New("the cable is out"))
	for _, kind := range []cmtproto.SignedMsgType{cmtproto.PrevoteType, cmtproto.PrecommitType} {
		if err := s.SignVote(testChain, newVote("old", 1, kind, "a")); err == nil {
			t.Fatal("signed without a signer")
		}
	}
	if vote := s.retry(); vote != nil {
		t.Fatalf("%v without a signer", vote)
	}
	moody.fail(nil)
	vote := s.retry()
	if vote == nil || vote.Type != cmtproto.PrecommitType {
		t.Fatalf("retried %v, want the precommit", vote)
	}
	if err := vote.Verify(testChain, cmted25519.PubKey(publicOf("old"))); err != nil {
		t.Error(err)
	}
	if vote := s.retry(); vote != nil {
		t.Errorf("retried twice: %v", vote)
	}
	// What the guard refuses is not offered again, and neither is what the engine has passed.
	if err := s.SignVote(testChain, newVote("old", 1, cmtproto.PrecommitType, "b")); !errors.Is(err, signer.ErrConflict) {
		t.Fatalf("another block: %v", err)
	}
	if s.missed != nil {
		t.Error("a refused vote waits")
	}
	moody.fail(errors.New("the cable is out again"))
	_ = s.SignVote(testChain, newVote("old", 2, cmtproto.PrevoteType, "a"))
	moody.fail(nil)
	if err := s.SignVote(testChain, newVote("old", 2, cmtproto.PrecommitType, "a")); err != nil {
		t.Fatal(err)
	}
	if s.missed != nil {
		t.Error("a vote waits that the engine has passed")
	}
}

func TestANetworkGoesOnWhenItsOnlySignerComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	moody := &moodySigner{}
	h.tweak = func(c *Config) { moody.Signer, c.Signer = c.Signer, moody }
	h.start()
	w.settled(h)
	for _, tx := range []string{"one", "two"} {
		moody.fail(errors.New("the cable is out"))
		before := moody.missed.Load()
		h.submit(tx)
		w.eventually("several signatures are missed", func() bool { return moody.missed.Load() >= before+3 })
		if h.ledger.committedAt(tx) != 0 {
			t.Fatal("committed without a signature")
		}
		moody.fail(nil)
		w.commits(tx, h)
		w.settled(h)
	}
}

func TestAValidatorChangesItsKeyWhileItRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4, 0)
	h := w.hosts[0]
	ring := ringOf(t, w.genesis.ChainID, "vote "+h.member.Name)
	h.tweak = func(c *Config) { c.Signer = ring }
	w.start()
	w.commit("begin", h, w.hosts...)
	next := "next " + h.member.Name
	if err := ring.Add(key(next)); err != nil {
		t.Fatal(err)
	}
	// They may fall into one block or into two.
	h.submit(setPower(key(next), 10))
	h.submit(setPower(h.voteKey, 0))
	w.commits(setPower(h.voteKey, 0), w.hosts...)
	for _, tx := range []string{"one", "two", "three"} {
		w.commit(tx, h, w.hosts...)
	}
	if !h.node.Status().Validator {
		t.Error("the node takes itself for an observer")
	}
	if err := ring.Drop(h.voteKey.Public().(ed25519.PublicKey), publicOf(next)); err != nil {
		t.Fatal(err)
	}
	// With another validator down, the network needs the new key's vote.
	w.hosts[3].stop()
	rest := w.hosts[:3]
	w.commit("with three", h, rest...)
	b, err := h.node.Block(h.node.Status().Height)
	if err != nil {
		t.Fatal(err)
	}
	signed := false
	for _, c := range b.LastCommit.Signatures {
		signed = signed || bytes.Equal(c.Validator, cmted25519.PubKey(publicOf(next)).Address())
	}
	if !signed {
		t.Errorf("the new key has not signed block %d", b.Height-1)
	}
}

// signerProcess is a signer in this process that is reached as one of its own would be.
type signerProcess struct {
	t       *testing.T
	dir     string
	address string
	cancel  context.CancelFunc
	result  chan error
}

func (p *signerProcess) start() {
	p.t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.address = listener.Addr().String()
	server, err := signer.NewServer(signer.ServerConfig{Dir: p.dir, Listener: listener})
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.result = cancel, make(chan error, 1)
	go func() { p.result <- server.Run(ctx) }()
}

func (p *signerProcess) stop() {
	p.t.Helper()
	p.cancel()
	if err := <-p.result; err != nil {
		p.t.Errorf("signer: Run: %v", err)
	}
}

func TestARemoteSignerAndItsNodeComeAndGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 0)
	h := w.hosts[0]
	process := &signerProcess{t: t, dir: t.TempDir(), address: "127.0.0.1:0"}
	err := signer.Fill(process.dir, signer.Settings{ChainID: w.genesis.ChainID, Nodes: [][]byte{h.nodeKey.Public().(ed25519.PublicKey)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := signer.ReadIdentity(process.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.genesis.Validators[0].PublicKey = id.Validator
	h.voteKey = nil
	h.tweak = func(c *Config) {
		remote, err := signer.NewRemote(signer.RemoteConfig{Address: process.address, PublicKey: id.PublicKey, Key: h.nodeKey})
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.Expect(id.Validator); err != nil {
			t.Fatal(err)
		}
		h.close = append(h.close, remote.Close)
		c.Signer = remote
	}
	process.start()
	h.start()
	w.commit("together", h, h)
	process.stop()
	h.submit("alone")
	process.start() // the vote that was missed is made up for
	w.commits("alone", h)
	w.settled(h)
	h.stop()
	h.start()
	w.commit("the node came back", h, h)
	process.stop()
	h.stop()
	h.start() // without its signer, it waits
	h.submit("both came back")
	process.start()
	w.commits("both came back", h)
	process.stop()
}
