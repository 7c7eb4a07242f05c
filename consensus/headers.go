package consensus

import (
	"bytes"
	"fmt"

	"github.com/cometbft/cometbft/types"
)

// SignedHeader is the header of a decided block and the votes that decided it, in the encodings
// that CometBFT gives them.
type SignedHeader struct {
	// Header is a tendermint.types.Header.
	Header []byte
	// Commit is a tendermint.types.Commit: the one that the next block carries or, for the newest
	// block, the one by which this node learnt that it is decided. The two may have other votes, and
	// another round: either shows that the block is decided.
	Commit []byte
}

// Change is a block after which other validators decide.
type Change struct {
	SignedHeader
	// Validators decide from the next block on. They are in the order of the engine's sets:
	// descending by power, then ascending by address. They have no names.
	Validators []Validator
}

// Header returns the header of a block, a tendermint.types.Header. The errors are those of
// [Node.Block].
func (n *Node) Header(height int64) (header []byte, err error) {
	defer recovered(&err, "load header")
	meta, err := n.meta(height)
	if err != nil {
		return nil, err
	}
	return encodeHeader(&meta.Header)
}

// SignedHeader returns the header of a block and the commit that decided it. The errors are those
// of [Node.Block].
func (n *Node) SignedHeader(height int64) (signed SignedHeader, err error) {
	defer recovered(&err, "load signed header")
	meta, err := n.meta(height)
	if err != nil {
		return SignedHeader{}, err
	}
	return n.signed(meta)
}

// ChangeAt returns the change of the validators that a block announces, nil where the next block
// has the same ones. The errors are those of [Node.Block].
func (n *Node) ChangeAt(height int64) (change *Change, err error) {
	defer recovered(&err, "load a change of the validators")
	meta, err := n.meta(height)
	if err != nil || bytes.Equal(meta.Header.ValidatorsHash, meta.Header.NextValidatorsHash) {
		return nil, err
	}
	change = new(Change)
	if change.SignedHeader, err = n.signed(meta); err != nil {
		return nil, err
	}
	// Stored as they are, because they are new at this height: nothing is replayed.
	next, err := n.states.LoadValidators(height + 1)
	if err != nil {
		if lost := n.lost(height); lost != nil {
			return nil, lost
		}
		return nil, fmt.Errorf("validators of block %d: %w", height+1, err)
	}
	if hash := next.Hash(); !bytes.Equal(hash, meta.Header.NextValidatorsHash) {
		return nil, fmt.Errorf("validators of block %d have the hash %X, the header before says %X",
			height+1, hash, []byte(meta.Header.NextValidatorsHash))
	}
	for _, v := range next.Validators {
		change.Validators = append(change.Validators, Validator{PublicKey: v.PubKey.Bytes(), Power: v.VotingPower})
	}
	return change, nil
}

// meta loads what is stored of a block beside its parts.
func (n *Node) meta(height int64) (*types.BlockMeta, error) {
	if err := n.kept(height); err != nil {
		return nil, err
	}
	meta := n.blocks.LoadBlockMeta(height)
	if meta == nil {
		return nil, n.gone(height)
	}
	return meta, nil
}

// kept returns an error for a block that is not decided yet or not kept any more.
func (n *Node) kept(height int64) error {
	base, newest := n.BlockRange()
	switch {
	case height > newest:
		return fmt.Errorf("block %d: %w: the newest one is %d", height, ErrFuture, newest)
	case height < base:
		return &PrunedError{Height: height, Base: base}
	}
	return nil
}

// signed adds the commit to a header. The next block's is the network's; until there is one, any
// node's own will do.
func (n *Node) signed(meta *types.BlockMeta) (SignedHeader, error) {
	height := meta.Header.Height
	commit := n.blocks.LoadBlockCommit(height)
	if commit == nil {
		commit = n.blocks.LoadSeenCommit(height)
	}
	if commit == nil {
		// The next block may have come between the two looks, but neither look takes anything away.
		return SignedHeader{}, n.gone(height)
	}
	header, err := encodeHeader(&meta.Header)
	if err != nil {
		return SignedHeader{}, err
	}
	votes, err := commit.ToProto().Marshal()
	if err != nil {
		return SignedHeader{}, fmt.Errorf("encode the commit of block %d: %w", height, err)
	}
	return SignedHeader{Header: header, Commit: votes}, nil
}

// gone says why something of a block that was there is not found: it was pruned between two
// looks, or the databases are closed to us.
func (n *Node) gone(height int64) error {
	if lost := n.lost(height); lost != nil {
		return lost
	}
	return fmt.Errorf("block %d: %w", height, ErrNotReady)
}

// lost returns an error if a block has been pruned or the node has stopped.
func (n *Node) lost(height int64) error {
	if base := n.blocks.Base(); height < base {
		return &PrunedError{Height: height, Base: base}
	}
	if n.phase.Load() == PhaseStopped {
		return fmt.Errorf("block %d: %w", height, ErrNotReady)
	}
	return nil
}

func encodeHeader(h *types.Header) ([]byte, error) {
	encoded, err := h.ToProto().Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode the header of block %d: %w", h.Height, err)
	}
	return encoded, nil
}
