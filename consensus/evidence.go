package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/evidence"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
)

// EvidenceKeeper is implemented by an application that keeps proofs of misbehaviour for
// auditors. FinalizeBlock itself tells only who did something, and when.
type EvidenceKeeper interface {
	// KeepEvidence is called on the goroutine that executes, right before FinalizeBlock of a
	// block with misbehaviour, also when the block is replayed. evidence has one
	// encoded tendermint.types.Evidence for each entry of the request's Misbehavior, in its
	// order; one proof that convicts several validators is repeated.
	KeepEvidence(height int64, evidence [][]byte)
}

// evidencePool is the engine's pool of proofs that no block carries yet.
type evidencePool struct {
	*evidence.Pool
	changed func()
	height  atomic.Int64 // of the newest block whose proofs it has taken out
}

var _ sm.EvidencePool = (*evidencePool)(nil)

// Update implements the engine's EvidencePool: a block was committed, and the pool turns the
// conflicting votes that were seen into proofs.
func (p *evidencePool) Update(state sm.State, committed types.EvidenceList) {
	p.Pool.Update(state, committed)
	p.height.Store(state.LastBlockHeight)
	p.changed()
}

// pending says whether the block after a height could carry a proof. Until the pool has been
// told of that height it may still hold what is in it: changed is called then. The pool's own
// count is only asked first, for speed: it grows too much when two peers bring the same proof at once.
func (p *evidencePool) pending(height int64) bool {
	if p.height.Load() < height || p.Pool.Size() == 0 {
		return false
	}
	proofs, _ := p.Pool.PendingEvidence(p.Pool.State().ConsensusParams.Evidence.MaxBytes)
	return len(proofs) > 0
}

var errEvidenceLost = errors.New("the stored block does not explain the misbehaviour that the engine reports")

// rawEvidence returns the proofs of a block that is about to be executed. The engine stores
// every block before it executes it, whether it was decided here, fetched or found in the
// store after a crash.
func (n *Node) rawEvidence(req *abci.RequestFinalizeBlock) (raw [][]byte, err error) {
	block := n.blocks.LoadBlock(req.Height)
	if block == nil || !bytes.Equal(block.Hash(), req.Hash) {
		return nil, fmt.Errorf("load evidence of block %d: %w", req.Height, errEvidenceLost)
	}
	if raw, err = encodeEvidence(block.Evidence.Evidence); err != nil {
		return nil, fmt.Errorf("encode evidence of block %d: %w", req.Height, err)
	}
	if len(raw) != len(req.Misbehavior) {
		return nil, fmt.Errorf("load evidence of block %d: %w", req.Height, errEvidenceLost)
	}
	return raw, nil
}

// encodeEvidence returns one encoded proof for each misbehaviour that the engine makes of the list.
func encodeEvidence(list types.EvidenceList) (raw [][]byte, err error) {
	for _, e := range list {
		message, err := types.EvidenceToProto(e)
		if err != nil {
			return nil, err
		}
		encoded, err := message.Marshal()
		if err != nil {
			return nil, err
		}
		for range e.ABCI() {
			raw = append(raw, encoded)
		}
	}
	return raw, nil
}
