package main

import (
	"context"
	"fmt"
	"slices"
	"sync"

	dbm "github.com/cometbft/cometbft-db"
	"github.com/cometbft/cometbft/abci/example/kvstore"
	abci "github.com/cometbft/cometbft/abci/types"
)

// remembered is how many blocks back the digest of a node can be asked for.
const remembered = 1024

// ledger is CometBFT's example store as it is, in memory, and what is to be known of its blocks. The engine calls it; questions
// come from anywhere.
type ledger struct {
	*kvstore.Application
	// blocks receives each block after its commit. Whoever reads must not wait for the engine.
	blocks chan<- block

	executed block // and not committed yet; of the engine's goroutine

	mu      sync.Mutex
	height  int64
	digests [remembered][]byte
}

// block is what remains of a block once it is executed.
type block struct {
	height int64
	txs    [][]byte
	digest []byte // the hash of the block and the app hash
}

// newLedger makes a store that holds as many keys already as transactions will write, so that its size does not depend on how
// long it has been written to.
func newLedger(keys int, blocks chan<- block) (*ledger, error) {
	db := dbm.NewMemDB()
	for i := range keys {
		if err := db.Set(append([]byte(storedPrefix), keyName(i)...), []byte("0")); err != nil {
			return nil, fmt.Errorf("fill the store: %w", err)
		}
	}
	return &ledger{Application: kvstore.NewApplication(db), blocks: blocks}, nil
}

// storedPrefix is under which the store keeps keys.
const storedPrefix = "kvPairKey:"

// FinalizeBlock lets the store execute a block.
func (l *ledger) FinalizeBlock(ctx context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	res, err := l.Application.FinalizeBlock(ctx, req)
	if err != nil {
		return nil, err
	}
	// What stands in a block is answered with code 0, without looking: the store has no other code for it.
	for i, result := range res.TxResults {
		if result.Code != abci.CodeTypeOK {
			return nil, fmt.Errorf("transaction %d of block %d has code %d", i, req.Height, result.Code)
		}
	}
	// The store's app hash says how many transactions there were; the block's says which.
	l.executed = block{req.Height, req.Txs, slices.Concat(req.Hash, res.AppHash)}
	return res, nil
}

// Commit lets the store commit the block, and tells of it.
func (l *ledger) Commit(ctx context.Context, req *abci.RequestCommit) (*abci.ResponseCommit, error) {
	res, err := l.Application.Commit(ctx, req)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.height = l.executed.height
	l.digests[l.height%remembered] = l.executed.digest
	l.mu.Unlock()
	l.blocks <- l.executed
	return res, nil
}

// newest returns the height of the newest committed block, 0 before the first one.
func (l *ledger) newest() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.height
}

// digest returns the digest after a block.
func (l *ledger) digest(height int64) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if height < 1 || height > l.height || height <= l.height-remembered {
		return nil, fmt.Errorf("the digest after block %d is not known; the newest is block %d", height, l.height)
	}
	return l.digests[height%remembered], nil
}
