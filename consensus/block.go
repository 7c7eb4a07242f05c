package consensus

import (
	"time"

	"github.com/cometbft/cometbft/types"
)

// Block is a decided block. Hashes are 32 bytes, addresses 20.
type Block struct {
	Height int64
	// Time is when the previous block was precommitted: the weighted median of its votes.
	Time time.Time
	// Hash is the hash of the header.
	Hash []byte
	// AppHash is the state before this block, after the previous one.
	AppHash []byte
	// LastResultsHash commits to the results of the previous block's transactions.
	LastResultsHash []byte
	// DataHash commits to the transactions.
	DataHash []byte
	// ValidatorsHash commits to the validators of this block.
	ValidatorsHash []byte
	// Proposer is the address of the validator that proposed the block.
	Proposer []byte
	// LastCommit is the previous block's commit, as this block carries it.
	LastCommit Commit
	// Evidence is the number of proven misbehaviours in the block.
	Evidence int
	// Txs are the transactions in order.
	Txs [][]byte
}

// Commit is the proof that a block was decided.
type Commit struct {
	Height     int64
	Round      int32
	BlockHash  []byte
	Signatures []CommitSignature // one per validator, in the order of the set
}

// CommitSignature is one validator's part in a commit.
type CommitSignature struct {
	// Vote is "commit", "nil" (voted for no block) or "absent". An absent one has no
	// other fields.
	Vote      string
	Validator []byte // address
	Time      time.Time
	Signature []byte
}

// BlockRange returns the oldest and the newest height that are kept, or 0 and 0.
func (n *Node) BlockRange() (base, height int64) {
	return n.blocks.Base(), n.blocks.Height()
}

// Block returns a block by its height. The error is [ErrFuture] for a height that is not
// decided yet, a [*PrunedError] for one that is not kept (any more), [ErrNotReady] when
// the node has stopped, or one of the database.
func (n *Node) Block(height int64) (b Block, err error) {
	defer recovered(&err, "load block")
	if err := n.kept(height); err != nil {
		return Block{}, err
	}
	stored := n.blocks.LoadBlock(height)
	if stored == nil {
		return Block{}, n.gone(height)
	}
	return convertBlock(stored), nil
}

func convertBlock(b *types.Block) Block {
	out := Block{
		Height:          b.Height,
		Time:            b.Time,
		Hash:            b.Hash(),
		AppHash:         b.AppHash,
		LastResultsHash: b.LastResultsHash,
		DataHash:        b.DataHash,
		ValidatorsHash:  b.ValidatorsHash,
		Proposer:        b.ProposerAddress,
		Evidence:        len(b.Evidence.Evidence),
		Txs:             b.Txs.ToSliceOfBytes(),
	}
	if c := b.LastCommit; c != nil {
		out.LastCommit = Commit{Height: c.Height, Round: c.Round, BlockHash: c.BlockID.Hash}
		for _, s := range c.Signatures {
			out.LastCommit.Signatures = append(out.LastCommit.Signatures, CommitSignature{
				Vote: voteName(s.BlockIDFlag), Validator: s.ValidatorAddress, Time: s.Timestamp, Signature: s.Signature,
			})
		}
	}
	return out
}

func voteName(flag types.BlockIDFlag) string {
	switch flag {
	case types.BlockIDFlagCommit:
		return "commit"
	case types.BlockIDFlagNil:
		return "nil"
	default:
		return "absent"
	}
}
