package verify

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

const (
	// maxHeader is more than the largest header takes, in bytes: thirteen hashes and a chain id of 50 characters.
	maxHeader = 1024
	// maxCommit is more than the votes of maxValidators take: 112 bytes each at most.
	maxCommit = 256 + 112*maxValidators
	// signatureSize is that of Ed25519.
	signatureSize = 64
)

// Header is a verified block header. It must not be modified.
type Header struct {
	Height             uint64
	Time               time.Time
	Hash               []byte
	AppHash            []byte // root of the state after the block before
	DataHash           []byte
	LastResultsHash    []byte // of the outcomes of the block before
	LastBlockHash      []byte // empty for the first block
	EvidenceHash       []byte
	ValidatorsHash     []byte
	NextValidatorsHash []byte
	Proposer           []byte // address, 20 bytes
}

// hashOfNothing is the root of a tree without leaves: the data hash of a block without transactions, and the evidence hash of
// one without evidence.
var hashOfNothing = sha256.Sum256(nil)

// idle reports whether the block has neither transactions nor evidence and is not the first: it has left the state as it was.
func (h *Header) idle() bool {
	return h.Height > 1 && bytes.Equal(h.DataHash, hashOfNothing[:]) && bytes.Equal(h.EvidenceHash, hashOfNothing[:])
}

// parseHeader reads the one encoding of a header of a network.
func parseHeader(raw []byte, chainID string) (*Header, error) {
	if len(raw) == 0 {
		return nil, errorf(ErrMalformed, "a header is missing")
	}
	if len(raw) > maxHeader {
		return nil, errorf(ErrTooLarge, "a header has %d bytes, at most %d are possible", len(raw), maxHeader)
	}
	message := new(cmtproto.Header)
	if err := message.Unmarshal(raw); err != nil {
		return nil, errorf(ErrMalformed, "decode a header: %v", err)
	}
	header, err := types.HeaderFromProto(message)
	if err != nil {
		return nil, errorf(ErrMalformed, "header: %v", err)
	}
	// What is encoded again is what the hash covers: nothing else can have been in the bytes.
	again, err := header.ToProto().Marshal()
	if err != nil {
		return nil, errorf(ErrMalformed, "encode header %d again: %v", header.Height, err)
	}
	if !bytes.Equal(again, raw) {
		return nil, errorf(ErrNotCanonical, "header %d", header.Height)
	}
	if header.ChainID != chainID {
		return nil, errorf(ErrWrongNetwork, "header %d is of network %q, not of %q", header.Height, header.ChainID, chainID)
	}
	for _, hash := range [][]byte{header.DataHash, header.EvidenceHash, header.ValidatorsHash, header.NextValidatorsHash, header.AppHash, header.LastResultsHash} {
		if len(hash) != sha256.Size {
			return nil, errorf(ErrMalformed, "header %d has a hash of %d bytes", header.Height, len(hash))
		}
	}
	if first := header.Height == 1; first == header.LastBlockID.IsComplete() {
		return nil, errorf(ErrMalformed, "header %d: every block but the first names the one before", header.Height)
	}
	return &Header{
		Height:             uint64(header.Height),
		Time:               header.Time,
		Hash:               header.Hash(),
		AppHash:            header.AppHash,
		DataHash:           header.DataHash,
		LastResultsHash:    header.LastResultsHash,
		LastBlockHash:      header.LastBlockID.Hash,
		EvidenceHash:       header.EvidenceHash,
		ValidatorsHash:     header.ValidatorsHash,
		NextValidatorsHash: header.NextValidatorsHash,
		Proposer:           header.ProposerAddress,
	}, nil
}

// parseCommit reads the one encoding of the votes for a header.
func parseCommit(raw []byte, h *Header) (*types.Commit, error) {
	if len(raw) == 0 {
		return nil, errorf(ErrMalformed, "header %d comes without votes", h.Height)
	}
	if len(raw) > maxCommit {
		return nil, errorf(ErrTooLarge, "the votes for header %d have %d bytes, at most %d are possible", h.Height, len(raw), maxCommit)
	}
	message := new(cmtproto.Commit)
	if err := message.Unmarshal(raw); err != nil {
		return nil, errorf(ErrMalformed, "decode the votes for header %d: %v", h.Height, err)
	}
	commit, err := types.CommitFromProto(message)
	if err != nil {
		return nil, errorf(ErrMalformed, "the votes for header %d: %v", h.Height, err)
	}
	// Encoded from the checked form, because that one has narrower numbers than the wire.
	again, err := commit.ToProto().Marshal()
	if err != nil {
		return nil, errorf(ErrMalformed, "encode the votes for header %d again: %v", h.Height, err)
	}
	if !bytes.Equal(again, raw) {
		return nil, errorf(ErrNotCanonical, "the votes for header %d", h.Height)
	}
	if !commit.BlockID.IsComplete() || commit.Height < 1 {
		return nil, errorf(ErrMalformed, "the votes for header %d are for no block", h.Height)
	}
	if uint64(commit.Height) != h.Height {
		return nil, errorf(ErrHeight, "the votes for header %d are for height %d", h.Height, commit.Height)
	}
	if !bytes.Equal(commit.BlockID.Hash, h.Hash) {
		return nil, errorf(ErrHash, "the votes for header %d are for block %X, its hash is %X", h.Height, []byte(commit.BlockID.Hash), h.Hash)
	}
	return commit, nil
}

// signedHeader is a header whose votes have been checked.
type signedHeader struct {
	*Header
	commit *types.Commit
	by     *validators
}

// parseSigned reads a signed header. Its votes are not checked yet.
func parseSigned(s *proofv1.SignedHeader, chainID string) (*signedHeader, error) {
	if s == nil {
		return nil, errorf(ErrMalformed, "a signed header is missing")
	}
	if err := noUnknown(s.ProtoReflect()); err != nil {
		return nil, err
	}
	header, err := parseHeader(s.Header, chainID)
	if err != nil {
		return nil, err
	}
	commit, err := parseCommit(s.Commit, header)
	if err != nil {
		return nil, err
	}
	return &signedHeader{Header: header, commit: commit}, nil
}

// checkVotes checks every vote in the commit, those for nothing included, and that more than two thirds are for the header.
func (h *signedHeader) checkVotes(by *validators, chainID string) error {
	if n, size := len(h.commit.Signatures), by.set.Size(); n != size {
		return errorf(ErrSignature, "header %d has an entry for %d validators, %d decide it", h.Height, n, size)
	}
	for i, s := range h.commit.Signatures {
		if s.BlockIDFlag == types.BlockIDFlagAbsent {
			continue
		}
		if !bytes.Equal(s.ValidatorAddress, by.set.Validators[i].Address) {
			return errorf(ErrSignature, "entry %d of header %d is by %X, not by %X", i, h.Height, []byte(s.ValidatorAddress), []byte(by.set.Validators[i].Address))
		}
		if len(s.Signature) != signatureSize {
			return errorf(ErrSignature, "entry %d of header %d has a signature of %d bytes", i, h.Height, len(s.Signature))
		}
	}
	err := by.set.VerifyCommit(chainID, h.commit.BlockID, h.commit.Height, h.commit)
	var power types.ErrNotEnoughVotingPowerSigned
	if errors.As(err, &power) {
		return errorf(ErrPower, "header %d is signed by a voting power of %d, it takes more than %d", h.Height, power.Got, power.Needed)
	}
	if err != nil {
		return errorf(ErrSignature, "header %d: %v", h.Height, err)
	}
	h.by = by
	return nil
}

// follows checks that a block is the one after another.
func (h *Header) follows(before *Header) error {
	if before.Height+1 != h.Height {
		return errorf(ErrHeight, "header %d does not follow header %d", h.Height, before.Height)
	}
	if !bytes.Equal(h.LastBlockHash, before.Hash) {
		return errorf(ErrHash, "header %d names %X as the block before, header %d has the hash %X", h.Height, h.LastBlockHash, before.Height, before.Hash)
	}
	if !bytes.Equal(h.ValidatorsHash, before.NextValidatorsHash) {
		return errorf(ErrConflict, "header %d has other validators than header %d announces", h.Height, before.Height)
	}
	return nil
}
