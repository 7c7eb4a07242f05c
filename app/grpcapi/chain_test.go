package grpcapi

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cometbft/cometbft/crypto/ed25519"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"
	ics23 "github.com/cosmos/ics23/go"

	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// chain is an engine with headers and commits as CometBFT makes them, signed by the world's only validator.
type chain struct {
	noBlocks
	w          *world
	key        ed25519.PrivKey
	validators *types.ValidatorSet

	mu      sync.Mutex
	headers []*types.SignedHeader // of the blocks from 1 on
	asked   map[uint64]int        // how often each was asked for
	wrong   []byte                // what to say instead of app hashes, if anything
}

// newChain returns the chain of a world after its first block.
func newChain(w *world) *chain {
	w.t.Helper()
	key := ed25519.PrivKey(append(w.validatorKey.Bytes(), w.validatorKey.Public().Bytes()...))
	c := &chain{
		w: w, key: key, asked: make(map[uint64]int),
		validators: types.NewValidatorSet([]*types.Validator{types.NewValidator(key.PubKey(), 10)}),
	}
	c.announce(1, bytes.Repeat([]byte{1}, sha256.Size), nil)
	return c
}

// decide makes the next block: its header is known before its transactions are executed.
func (c *chain) decide(txs ...[]byte) {
	c.w.t.Helper()
	view, err := c.w.app.View(0)
	if err != nil {
		c.w.t.Fatal(err)
	}
	root := view.AppHash()
	view.Release()
	c.announce(c.w.height+1, root, txs)
	c.w.decide(c.w.height+1, txs...)
}

// do has the admin do something in a block of its own.
func (c *chain) do(op *ledgerv1.Operation) {
	c.w.t.Helper()
	op.Account = admin
	raw, id, expiresAt := c.w.sign(op)
	c.decide(raw)
	at, err := c.w.app.Transaction(id, expiresAt.UnixNano())
	if err != nil || at.Outcome.GetCode() != ledgerv1.Code_CODE_OK {
		c.w.t.Fatalf("%v: %v %v", op, at.Outcome, err)
	}
}

// announce makes the header of a block and has the validator sign it.
func (c *chain) announce(height uint64, root []byte, txs [][]byte) {
	c.w.t.Helper()
	var list types.Txs
	for _, raw := range txs {
		list = append(list, raw)
	}
	hash := func(text string) []byte { sum := sha256.Sum256([]byte(text)); return sum[:] }
	h := &types.Header{
		Version: cmtversion.Consensus{Block: version.BlockProtocol, App: 1}, ChainID: c.w.chainID, Height: int64(height), Time: blockTime(height),
		LastCommitHash: hash("commit"), DataHash: list.Hash(), ValidatorsHash: c.validators.Hash(), NextValidatorsHash: c.validators.Hash(),
		ConsensusHash: hash("parameters"), AppHash: root, LastResultsHash: hash("results"), EvidenceHash: types.EvidenceList(nil).Hash(),
		ProposerAddress: c.key.PubKey().Address(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if height > 1 {
		h.LastBlockID = c.headers[height-2].Commit.BlockID
	}
	commit := &types.Commit{
		Height: h.Height, BlockID: types.BlockID{Hash: h.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: hash("parts")}},
		Signatures: []types.CommitSig{{
			BlockIDFlag: types.BlockIDFlagCommit, ValidatorAddress: c.key.PubKey().Address(), Timestamp: blockTime(height).Add(time.Second),
		}},
	}
	var err error
	if commit.Signatures[0].Signature, err = c.key.Sign(commit.VoteSignBytes(c.w.chainID, 0)); err != nil {
		c.w.t.Fatal(err)
	}
	c.headers = append(c.headers, &types.SignedHeader{Header: h, Commit: commit})
}

func (c *chain) SignedHeader(height uint64) (*proofv1.SignedHeader, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked[height]++
	if height > uint64(len(c.headers)) {
		return nil, fmt.Errorf("block %d: %w", height, ErrBlockFuture)
	}
	sh := c.headers[height-1]
	header := *sh.Header
	if c.wrong != nil {
		header.AppHash = c.wrong
	}
	encoded, err := header.ToProto().Marshal()
	if err != nil {
		return nil, err
	}
	votes, err := sh.Commit.ToProto().Marshal()
	return &proofv1.SignedHeader{Header: encoded, Commit: votes}, err
}

// trust returns what a client knows that has the genesis hash and has fetched the lineage.
func (c *chain) trust() *verify.Trust {
	c.w.t.Helper()
	trust := verify.NewTrust(c.w.chainID, sha256.Sum256(c.w.genesis))
	if err := trust.Extend(&proofv1.Lineage{Genesis: c.w.genesis}); err != nil {
		c.w.t.Fatal(err)
	}
	return trust
}

// witness is the proven part of a state, checked with CometBFT's own code and plain ics23. What it does not cover is
// errNotCovered.
type witness struct {
	height uint64
	time   time.Time // zero where it is not proven
	leaves map[string]*ics23.ExistenceProof
	absent map[string]*ics23.NonExistenceProof
}

var errNotCovered = errors.New("the proof does not cover that")

// check verifies a proof as a stranger would who knows the validator.
func (c *chain) check(p *proofv1.StateProof) (*witness, error) {
	signed, err := c.verify(p.GetSigned())
	if err != nil {
		return nil, err
	}
	var at time.Time
	switch {
	case uint64(signed.Height) == p.Height+1:
		own, err := decodeHeader(p.Header)
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(own.Hash(), signed.LastBlockID.Hash) || uint64(own.Height) != p.Height {
			return nil, errors.New("the header is not of the block before")
		}
		at = own.Time
	case uint64(signed.Height) == p.Height && p.Height > 1 && len(p.Header) == 0:
		if !bytes.Equal(signed.DataHash, types.Txs(nil).Hash()) || !bytes.Equal(signed.EvidenceHash, types.EvidenceList(nil).Hash()) {
			return nil, errors.New("the block may have changed the state")
		}
		at = signed.Time
	default:
		return nil, fmt.Errorf("the header of block %d for the state of height %d", signed.Height, p.Height)
	}
	keys, err := witnessOf(p.Height, signed.AppHash, p.Keys)
	if err != nil {
		return nil, err
	}
	keys.time = at
	return keys, nil
}

// witnessOf checks a proof of keys against a root.
func witnessOf(height uint64, root, encoded []byte) (*witness, error) {
	w := &witness{height: height, leaves: make(map[string]*ics23.ExistenceProof), absent: make(map[string]*ics23.NonExistenceProof)}
	var proof ics23.CommitmentProof
	if err := proof.Unmarshal(encoded); err != nil {
		return nil, err
	}
	for _, e := range ics23.Decompress(&proof).GetBatch().GetEntries() {
		if x := e.GetExist(); x != nil {
			if err := x.Verify(ics23.IavlSpec, root, x.Key, x.Value); err != nil {
				return nil, err
			}
			w.leaves[string(x.Key)] = x
			continue
		}
		n := e.GetNonexist()
		if err := n.Verify(ics23.IavlSpec, root, n.Key); err != nil {
			return nil, err
		}
		w.absent[string(n.Key)] = n
		for _, x := range []*ics23.ExistenceProof{n.Left, n.Right} {
			if x != nil {
				w.leaves[string(x.Key)] = x
			}
		}
	}
	return w, nil
}

func (c *chain) verify(signed *proofv1.SignedHeader) (*types.Header, error) {
	header, err := decodeHeader(signed.GetHeader())
	if err != nil {
		return nil, err
	}
	var commit cmtproto.Commit
	if err := commit.Unmarshal(signed.Commit); err != nil {
		return nil, err
	}
	votes, err := types.CommitFromProto(&commit)
	if err != nil {
		return nil, err
	}
	if err := (types.SignedHeader{Header: header, Commit: votes}).ValidateBasic(c.w.chainID); err != nil {
		return nil, err
	}
	return header, c.validators.VerifyCommit(c.w.chainID, votes.BlockID, header.Height, votes)
}

func decodeHeader(encoded []byte) (*types.Header, error) {
	var p cmtproto.Header
	if err := p.Unmarshal(encoded); err != nil {
		return nil, err
	}
	header, err := types.HeaderFromProto(&p)
	return &header, err
}

func (w *witness) Height() uint64       { return w.height }
func (w *witness) BlockTime() time.Time { return w.time }

func (w *witness) Get(key []byte) ([]byte, error) {
	if leaf := w.leaves[string(key)]; leaf != nil {
		return leaf.Value, nil
	}
	if w.absent[string(key)] != nil {
		return nil, nil
	}
	return nil, fmt.Errorf("key %q: %w", key, errNotCovered)
}

func (w *witness) Scan(start, end []byte, fn func(key, value []byte) (bool, error)) error {
	at := w.leaves[string(start)]
	if at == nil {
		gap := w.absent[string(start)]
		if gap == nil {
			return fmt.Errorf("the beginning of a range, %q: %w", start, errNotCovered)
		}
		at = gap.Right
	}
	for at != nil && (end == nil || bytes.Compare(at.Key, end) < 0) {
		more, err := fn(at.Key, at.Value)
		if err != nil || !more {
			return err
		}
		if ics23.IsRightMost(ics23.IavlSpec.InnerSpec, at.Path) {
			return nil
		}
		var next *ics23.ExistenceProof
		for _, leaf := range w.leaves {
			if bytes.Compare(leaf.Key, at.Key) > 0 && (next == nil || bytes.Compare(leaf.Key, next.Key) < 0) {
				next = leaf
			}
		}
		if next == nil || !ics23.IsLeftNeighbor(ics23.IavlSpec.InnerSpec, at.Path, next.Path) {
			return fmt.Errorf("what follows %q: %w", at.Key, errNotCovered)
		}
		at = next
	}
	return nil
}

// Signing says that the validator has signed some blocks.
func (c *chain) Signing(int) []SigningRecord {
	return []SigningRecord{{Address: c.key.PubKey().Address(), Asked: 9, Signed: 8, Last: 7}}
}
