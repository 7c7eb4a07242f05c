package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
)

// Signer signs votes and proposals with the keys of one validator, which change in the course of time. It never signs two
// different messages for the same height, round and step, with whichever key, whatever crashes. Its methods are called from
// several goroutines.
//
// What an error means it says itself, by two methods that it or one it wraps may have: Fatal() bool, nothing will be signed any
// more, and the node ends; Final() bool, this message will never be signed. Any other error passes, and the message is
// offered again until the engine has gone on.
type Signer interface {
	// PublicKeys returns the Ed25519 public keys, 32 bytes each, that it signs with now. Must not block.
	PublicKeys() [][]byte
	// Sign returns the signature (64 bytes) of a message: CometBFT's canonical sign bytes, a CanonicalVote or a
	// CanonicalProposal behind its length. A time that is not zero is the one in an earlier message that said the same and
	// whose signature this is; it must be put into the message. It may block for two seconds.
	Sign(publicKey, message []byte) (signature []byte, at time.Time, err error)
}

// retrySigning is how often a vote that could not be signed is offered again.
const retrySigning = 250 * time.Millisecond

// quietSigning is how long a log keeps silent about a signer that goes on failing.
const quietSigning = 10 * time.Second

// engineSigner is the signer as the engine sees it: a validator whose key is the one that votes at the next height. The
// engine takes a failure to sign for something that passes, and never comes back to that vote; so fail is told
// when it will not pass, and [engineSigner.run] comes back when it does.
type engineSigner struct {
	signer Signer
	next   func() (height int64, set *types.ValidatorSet) // who votes at the height that the engine works on
	now    func() time.Time                               // stamps votes; nil leaves the engine's time
	fail   func(error)
	log    *slog.Logger

	mu     sync.Mutex
	missed *missedVote // the newest vote that was to be signed, while it is not
	failed time.Time   // when a failure was logged last; zero when the last attempt succeeded
	silent int         // failures since then
}

// missedVote is a vote that waits for its signature.
type missedVote struct {
	chainID string
	vote    *cmtproto.Vote
}

var _ types.PrivValidator = (*engineSigner)(nil)

// GetPubKey implements the engine's PrivValidator. The engine asks at the start and after each block.
func (s *engineSigner) GetPubKey() (crypto.PubKey, error) {
	public := s.pick()
	if public == nil {
		return nil, errors.New("the signer has no key yet")
	}
	return public, nil
}

// pick returns the signer's key that votes at the height that the engine works on, any of them if none does, nil if there
// is none.
func (s *engineSigner) pick() crypto.PubKey {
	_, set := s.next()
	var first crypto.PubKey
	for _, key := range s.signer.PublicKeys() {
		public := cmted25519.PubKey(key)
		if set.HasAddress(public.Address()) {
			return public
		}
		if first == nil {
			first = public
		}
	}
	return first
}

// votes says whether one of a signer's keys is in a set of validators.
func votes(signer Signer, set *types.ValidatorSet) bool {
	if signer == nil {
		return false
	}
	for _, key := range signer.PublicKeys() {
		if set.HasAddress(cmted25519.PubKey(key).Address()) {
			return true
		}
	}
	return false
}

// SignVote implements the engine's PrivValidator. The engine copies signature and timestamp back from the vote.
func (s *engineSigner) SignVote(chainID string, vote *cmtproto.Vote) error {
	if len(vote.Extension) > 0 {
		return errors.New("sign vote: votes carry no extensions here")
	}
	if s.now != nil {
		vote.Timestamp = s.now().UTC()
	}
	again := *vote
	err := s.signVote(chainID, vote)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missed = nil
	if err != nil && passes(err) {
		s.missed = &missedVote{chainID, &again}
	}
	s.note(err)
	return err
}

// signVote signs with the key that the vote names.
func (s *engineSigner) signVote(chainID string, vote *cmtproto.Vote) error {
	for _, key := range s.signer.PublicKeys() {
		if !bytes.Equal(cmted25519.PubKey(key).Address(), vote.ValidatorAddress) {
			continue
		}
		signature, before, err := s.sign(key, types.VoteSignBytes(chainID, vote))
		if err != nil {
			return fmt.Errorf("sign vote %d/%d/%s: %w", vote.Height, vote.Round, vote.Type, err)
		}
		if !before.IsZero() {
			vote.Timestamp = before
		}
		vote.Signature = signature
		return nil
	}
	return fmt.Errorf("sign vote %d/%d/%s: the signer has no key with the address %X", vote.Height, vote.Round, vote.Type, vote.ValidatorAddress)
}

// SignProposal implements the engine's PrivValidator. A proposal that is missed is not offered again: the next round has
// one of its own.
func (s *engineSigner) SignProposal(chainID string, proposal *cmtproto.Proposal) error {
	err := s.signProposal(chainID, proposal)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(err)
	return err
}

func (s *engineSigner) signProposal(chainID string, proposal *cmtproto.Proposal) error {
	where := fmt.Sprintf("sign proposal %d/%d", proposal.Height, proposal.Round)
	if height, _ := s.next(); height != proposal.Height {
		return fmt.Errorf("%s: the engine works on height %d", where, height)
	}
	public := s.pick()
	if public == nil {
		return fmt.Errorf("%s: the signer has no key yet", where)
	}
	signature, before, err := s.sign(public.Bytes(), types.ProposalSignBytes(chainID, proposal))
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	if !before.IsZero() {
		proposal.Timestamp = before
	}
	proposal.Signature = signature
	return nil
}

func (s *engineSigner) sign(publicKey, message []byte) ([]byte, time.Time, error) {
	signature, before, err := s.signer.Sign(publicKey, message)
	var says interface{ Fatal() bool }
	if errors.As(err, &says) && says.Fatal() {
		s.fail(err)
	}
	return signature, before, err
}

// passes says whether it makes sense to offer a message again after this error.
func passes(err error) bool {
	var fatal interface{ Fatal() bool }
	var final interface{ Final() bool }
	return !(errors.As(err, &fatal) && fatal.Fatal()) && !(errors.As(err, &final) && final.Final())
}

// note logs that signing has begun to fail, goes on failing, or works again. The caller holds the lock.
func (s *engineSigner) note(err error) {
	switch now := time.Now(); {
	case err == nil && s.failed.IsZero():
	case err == nil:
		s.log.Info("signing again", "unsigned", s.silent)
		s.failed, s.silent = time.Time{}, 0
	case now.Sub(s.failed) < quietSigning:
		s.silent++
	default:
		s.log.Error("a vote or proposal is not signed", "err", err, "unsigned_before", s.silent)
		s.failed, s.silent = now, 0
	}
}

// run offers the newest vote that was missed to the signer again, until it is signed, refused, or the engine has gone on,
// and gives it to cast. Without this a network that needs the vote would wait for it for ever: the engine votes once.
func (s *engineSigner) run(ctx context.Context, cast func(*types.Vote)) {
	tick := time.NewTicker(retrySigning)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if vote := s.retry(); vote != nil {
			cast(vote)
		}
	}
}

// retry returns the vote that was missed, if it can be signed now.
func (s *engineSigner) retry() *types.Vote {
	s.mu.Lock()
	missed := s.missed
	s.mu.Unlock()
	if missed == nil {
		return nil
	}
	signed := *missed.vote
	err := s.signVote(missed.chainID, &signed)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.missed != missed {
		return nil // the engine has asked for a later one meanwhile
	}
	if err != nil && passes(err) {
		return nil
	}
	s.missed = nil
	s.note(err)
	if err != nil {
		return nil
	}
	vote, err := types.VoteFromProto(&signed)
	if err != nil {
		s.log.Error("a vote that was signed late is not usable", "err", err)
		return nil
	}
	return vote
}
