package consensus

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/libs/protoio"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"github.com/cosmos/gogoproto/proto"
)

// Steps of a round in the order in which a validator signs.
const (
	stepNone int8 = iota
	stepProposal
	stepPrevote
	stepPrecommit
)

// Signer signs votes and proposals with a validator's key and never signs two different
// messages for the same height, round and step, whatever crashes: the record is on disk before a
// signature leaves. It is safe for concurrent use.
type Signer struct {
	// Now, when set before the node runs, stamps votes with another clock than the
	// engine's. Tests use it to make a chain whose blocks are old.
	Now func() time.Time

	key    cmted25519.PrivKey
	public ed25519.PublicKey

	mu     sync.Mutex
	file   recordFile
	last   signed
	slot   int   // where last is
	broken error // sticky: a write failed, and what is on disk is unknown
}

// CreateSigner begins a record at path for a key (64 bytes) that has never signed, and
// opens it. It returns an error that is [ErrRecordExists] if there is one already: a record must
// not be begun anew for a key that may have signed.
func CreateSigner(path string, key ed25519.PrivateKey) (*Signer, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("create signer: %w", err)
	}
	if err := createRecord(path, key.Public().(ed25519.PublicKey)); err != nil {
		return nil, fmt.Errorf("create signer record %s: %w", path, err)
	}
	return OpenSigner(path, key)
}

// OpenSigner opens the record at path. It returns an error that is [ErrNoRecord],
// [ErrRecordCorrupt], [ErrRecordForeign] or [ErrRecordInUse], or one of the file system.
func OpenSigner(path string, key ed25519.PrivateKey) (*Signer, error) {
	if err := checkKey(key); err != nil {
		return nil, fmt.Errorf("open signer: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open signer record %s: %w", path, ErrNoRecord)
	}
	if err != nil {
		return nil, fmt.Errorf("open signer record: %w", err)
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock signer record %s: %w", path, err), f.Close())
	}
	s, err := openSigner(osFile{f}, key)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open signer record %s: %w", path, err), f.Close())
	}
	return s, nil
}

func checkKey(key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize {
		return fmt.Errorf("%w: signing key has %d bytes, want %d", ErrInvalidConfig, len(key), ed25519.PrivateKeySize)
	}
	return nil
}

func openSigner(f recordFile, key ed25519.PrivateKey) (*Signer, error) {
	public := key.Public().(ed25519.PublicKey)
	last, slot, err := readRecord(f, public)
	if err != nil {
		return nil, err
	}
	return &Signer{
		key: cmted25519.PrivKey(bytes.Clone(key)), public: public,
		file: f, last: last, slot: slot,
	}, nil
}

// PublicKey returns the validator's Ed25519 public key, 32 bytes.
func (s *Signer) PublicKey() []byte { return bytes.Clone(s.public) }

// LastSigned returns the height that was signed last, 0 if none.
func (s *Signer) LastSigned() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last.height
}

// Close closes the record. The signer refuses to sign afterwards.
func (s *Signer) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken == nil {
		s.broken = os.ErrClosed
	}
	return s.file.Close()
}

// engineSigner is the signer as the engine sees it. The engine takes a failure to sign
// for something that passes, so fail is told when it will not.
type engineSigner struct {
	*Signer
	fail func(error)
}

var _ types.PrivValidator = engineSigner{}

// GetPubKey implements the engine's PrivValidator.
func (s engineSigner) GetPubKey() (crypto.PubKey, error) { return s.key.PubKey(), nil }

// SignVote implements the engine's PrivValidator. The engine copies signature and
// timestamp back from the vote.
func (s engineSigner) SignVote(chainID string, vote *cmtproto.Vote) error {
	step, err := voteStep(vote.Type)
	if err != nil {
		return fmt.Errorf("sign vote: %w", err)
	}
	if s.Now != nil {
		vote.Timestamp = s.Now().UTC()
	}
	var extension []byte
	precommits := step == stepPrecommit && !types.ProtoBlockIDIsNil(&vote.BlockID)
	switch {
	case precommits:
		// Extensions may differ between two attempts, so they are outside the guard and
		// signed every time; an empty one too.
		if extension, err = s.key.Sign(types.VoteExtensionSignBytes(chainID, vote)); err != nil {
			return fmt.Errorf("sign vote extension: %w", err)
		}
	case len(vote.Extension) > 0:
		return errors.New("sign vote: only a precommit for a block may carry an extension")
	}
	signature, before, err := s.record(vote.Height, vote.Round, step, types.VoteSignBytes(chainID, vote), voteTime)
	if err != nil {
		return fmt.Errorf("sign vote %d/%d/%s: %w", vote.Height, vote.Round, vote.Type, err)
	}
	if !before.IsZero() {
		vote.Timestamp = before
	}
	vote.Signature, vote.ExtensionSignature = signature, extension
	return nil
}

// SignProposal implements the engine's PrivValidator.
func (s engineSigner) SignProposal(chainID string, proposal *cmtproto.Proposal) error {
	signature, before, err := s.record(proposal.Height, proposal.Round, stepProposal,
		types.ProposalSignBytes(chainID, proposal), proposalTime)
	if err != nil {
		return fmt.Errorf("sign proposal %d/%d: %w", proposal.Height, proposal.Round, err)
	}
	if !before.IsZero() {
		proposal.Timestamp = before
	}
	proposal.Signature = signature
	return nil
}

func (s engineSigner) record(height int64, round int32, step int8, message []byte,
	splitTime func([]byte) ([]byte, time.Time, error),
) ([]byte, time.Time, error) {
	signature, before, err := s.sign(height, round, step, message, splitTime)
	if errors.Is(err, ErrRecordWrite) {
		s.fail(err)
	}
	return signature, before, err
}

func voteStep(t cmtproto.SignedMsgType) (int8, error) {
	switch t {
	case cmtproto.PrevoteType:
		return stepPrevote, nil
	case cmtproto.PrecommitType:
		return stepPrecommit, nil
	default:
		return stepNone, fmt.Errorf("unknown vote type %v", t)
	}
}

// sign returns a signature of the message, after recording it. For the message it has
// signed last it returns the earlier signature; if the message differs from that one in its
// timestamp only, it also returns the earlier timestamp, which must be used instead.
// splitTime separates a message from its timestamp.
func (s *Signer) sign(height int64, round int32, step int8, message []byte,
	splitTime func([]byte) ([]byte, time.Time, error),
) (signature []byte, before time.Time, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, time.Time{}, s.broken
	}
	last := s.last
	switch order := compareSteps(height, round, step, last); {
	case order < 0:
		return nil, time.Time{}, fmt.Errorf("%w: asked for %d/%d/%d after %d/%d/%d",
			ErrRegression, height, round, step, last.height, last.round, last.step)
	case order == 0:
		if bytes.Equal(message, last.bytes) {
			return bytes.Clone(last.signature), time.Time{}, nil
		}
		was, at, errWas := splitTime(last.bytes)
		is, _, errIs := splitTime(message)
		if errWas != nil || errIs != nil || !bytes.Equal(was, is) {
			return nil, time.Time{}, fmt.Errorf("%w at %d/%d/%d", ErrConflict, height, round, step)
		}
		return bytes.Clone(last.signature), at, nil
	}
	signature, err = s.key.Sign(message)
	if err != nil {
		return nil, time.Time{}, err
	}
	next := signed{seq: last.seq + 1, height: height, round: round, step: step, bytes: message, signature: signature}
	if err := s.write(next); err != nil {
		// What the disk holds now is unknown. Reopening will find out; this process must
		// not sign again.
		s.broken = fmt.Errorf("%w: %w", ErrRecordWrite, err)
		return nil, time.Time{}, s.broken
	}
	s.last, s.slot = next, 1-s.slot
	return bytes.Clone(signature), time.Time{}, nil
}

func (s *Signer) write(next signed) error {
	slot, err := encodeSlot(s.public, next)
	if err != nil {
		return err
	}
	if _, err := s.file.WriteAt(slot, int64(1-s.slot)*slotSize); err != nil {
		return err
	}
	return s.file.Datasync()
}

// compareSteps orders a position against the last signed one.
func compareSteps(height int64, round int32, step int8, last signed) int {
	return cmp.Or(cmp.Compare(height, last.height), cmp.Compare(round, last.round), cmp.Compare(step, last.step))
}

func voteTime(message []byte) ([]byte, time.Time, error) {
	var v cmtproto.CanonicalVote
	if err := protoio.UnmarshalDelimited(message, &v); err != nil {
		return nil, time.Time{}, err
	}
	at := v.Timestamp
	v.Timestamp = time.Time{}
	rest, err := proto.Marshal(&v)
	return rest, at, err
}

func proposalTime(message []byte) ([]byte, time.Time, error) {
	var p cmtproto.CanonicalProposal
	if err := protoio.UnmarshalDelimited(message, &p); err != nil {
		return nil, time.Time{}, err
	}
	at := p.Timestamp
	p.Timestamp = time.Time{}
	rest, err := proto.Marshal(&p)
	return rest, at, err
}
