package grpcapi

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

const (
	// A proof of inclusion reads and hashes a whole block.
	inclusionsAtOnce, inclusionsInLine = 4, 1024

	// maxNextWait bounds how long a call waits for the block that signs what is to be proven, whatever its deadline is.
	maxNextWait = 10 * time.Second
	nextRetry   = time.Second
)

// next returns the signed header of the block after height, which commits to what the block of height has led to. It waits for
// it, within bounds: there is one soon after each block that has changed the state.
func (s *ledgerServer) next(ctx context.Context, height uint64) (*proofv1.SignedHeader, error) {
	if s.app.Height() <= height {
		free, ok := s.waiters.take(clientOf(ctx))
		if !ok {
			return nil, errTooManyWaiters
		}
		defer free()
		wait, cancel := context.WithTimeout(ctx, maxNextWait)
		defer cancel()
		if err := s.app.WaitHeight(wait, height+1); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, detailed(codes.Unavailable, fmt.Sprintf("block %d, which signs what block %d has led to, has not been made in %v: "+
				"ask again, or ask for the status to learn what keeps the network", height+1, height, maxNextWait),
				"UNSIGNED", nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(nextRetry)})
		}
	}
	return s.engine.SignedHeader(height + 1)
}

// proveTransaction proves a transaction that stands in a block, with keys also what its events name.
func (s *ledgerServer) proveTransaction(ctx context.Context, o *ledgerv1.TxOutcome, keys bool) (*proofv1.TransactionProof, error) {
	signed, err := s.next(ctx, o.Height)
	if err != nil {
		return nil, err
	}
	leave, err := s.proofs.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	block, err := s.engine.Block(o.Height)
	if err != nil {
		return nil, err
	}
	outcomes, err := s.app.Outcomes(o.Height)
	if err != nil {
		return nil, err
	}
	proof, err := app.ProveInclusion(block.Txs, outcomes, o.Index)
	if err != nil {
		return nil, err
	}
	if proof.Header, err = s.engine.Header(o.Height); err != nil {
		return nil, err
	}
	proof.Signed = signed
	if keys {
		proof.Keys, err = s.proveTouched(o)
	}
	return proof, err
}

// proveTouched proves what a transaction's events name, as it stands after the whole block; nothing where they name nothing.
func (s *ledgerServer) proveTouched(o *ledgerv1.TxOutcome) ([]byte, error) {
	view, err := s.app.View(o.Height)
	if err != nil {
		return nil, err
	}
	defer view.Release()
	keys, err := app.Touched(view, o.Events)
	if err != nil || len(keys) == 0 {
		return nil, err
	}
	return view.Prove(keys)
}

// provenBlock puts a committed block together and proves it.
func (s *ledgerServer) provenBlock(ctx context.Context, height uint64, headerOnly bool) (*ledgerv1.Block, *proofv1.BlockProof, error) {
	if s.app.Height() == height {
		// The next block is waited for before it is this call's turn.
		newest, err := s.engine.Block(height)
		if err == nil && !newest.still(height) {
			_, err = s.next(ctx, height)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	leave, err := s.proofs.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	block, decided, err := s.decided(height, headerOnly)
	if err != nil {
		return nil, nil, err
	}
	proof := new(proofv1.BlockProof)
	if decided.still(height) {
		proof.Signed, err = s.engine.SignedHeader(height)
		return block, proof, err
	}
	if proof.Signed, err = s.next(ctx, height); err != nil {
		return nil, nil, err
	}
	if proof.Header, err = s.engine.Header(height); err != nil {
		return nil, nil, err
	}
	for _, o := range block.Outcomes {
		result, err := app.Committed(o)
		if err != nil {
			return nil, nil, err
		}
		proof.Results = append(proof.Results, result)
	}
	return block, proof, nil
}

// still says whether a block leaves the state as it was: then its own header carries the root after it, and there may be no
// next block for a long time. The first block carries the hash of the genesis document instead.
func (b Block) still(height uint64) bool { return len(b.Txs) == 0 && b.Evidence == 0 && height > 1 }

// decided puts a committed block and its outcomes together. For a header too it reads the whole block: the transactions
// follow the header in one record.
func (s *ledgerServer) decided(height uint64, headerOnly bool) (*ledgerv1.Block, Block, error) {
	decided, err := s.engine.Block(height)
	if err != nil {
		return nil, Block{}, err
	}
	hash, err := s.appHash(height)
	if err != nil {
		return nil, Block{}, err
	}
	block := &ledgerv1.Block{
		Height: height, Time: timestamppb.New(decided.Time), Hash: decided.Hash, AppHash: hash,
		Proposer: decided.Proposer, TxCount: uint32(len(decided.Txs)),
	}
	if headerOnly || len(decided.Txs) == 0 {
		return block, decided, nil
	}
	block.Txs = decided.Txs
	block.Outcomes, err = s.app.Outcomes(height)
	return block, decided, err
}
