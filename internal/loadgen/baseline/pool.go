package main

import (
	"context"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/types"
)

// pooled is a ledger that keeps pending transactions itself, as the engine's mempool of type app wants it. Transactions of clients
// come through CheckTx and are gossiped; those of peers come through InsertTx and are not.
type pooled struct {
	*ledger

	mu      sync.Mutex
	pending map[string]struct{} // by all bytes
	bytes   int64               // of those
	order   [][]byte            // as they came, with those that are no longer pending
	fresh   [][]byte            // not gossiped yet

	// What was committed of late, in two parts of which the older one is forgotten when the newer one is full: a transaction may come from a
	// peer after its block.
	recent, older map[string]struct{}
}

func newPooled(l *ledger) *pooled {
	return &pooled{ledger: l, pending: map[string]struct{}{}, recent: map[string]struct{}{}}
}

// CheckTx takes a transaction of a client.
func (p *pooled) CheckTx(ctx context.Context, req *abci.RequestCheckTx) (*abci.ResponseCheckTx, error) {
	res, err := p.Application.CheckTx(ctx, req)
	if err == nil && res.Code == abci.CodeTypeOK {
		res.Code = p.add(req.Tx, forClients, true)
	}
	return res, err
}

// InsertTx takes a transaction of a peer.
func (p *pooled) InsertTx(ctx context.Context, req *abci.RequestInsertTx) (*abci.ResponseInsertTx, error) {
	res, err := p.Application.CheckTx(ctx, &abci.RequestCheckTx{Tx: req.Tx})
	if err != nil {
		return nil, err
	}
	if res.Code == abci.CodeTypeOK {
		res.Code = p.add(req.Tx, forAll, false)
	}
	return &abci.ResponseInsertTx{Code: res.Code}, nil
}

// add returns the code with which a transaction is taken or not.
func (p *pooled) add(tx []byte, part int, gossip bool) uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, known := range []map[string]struct{}{p.pending, p.recent, p.older} {
		if _, is := known[string(tx)]; is {
			return abci.CodeTypeOK
		}
	}
	if full(part, len(p.pending), p.bytes) {
		return abci.CodeTypeRetry
	}
	p.pending[string(tx)] = struct{}{}
	p.bytes += int64(len(tx))
	p.order = append(p.order, tx)
	if gossip {
		p.fresh = append(p.fresh, tx)
	}
	return abci.CodeTypeOK
}

// ReapTxs hands out what is to be gossiped, once.
func (p *pooled) ReapTxs(context.Context, *abci.RequestReapTxs) (*abci.ResponseReapTxs, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fresh := p.fresh
	p.fresh = nil
	return &abci.ResponseReapTxs{Txs: fresh}, nil
}

// PrepareProposal proposes the oldest transactions.
func (p *pooled) PrepareProposal(_ context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var txs [][]byte
	size := int64(0)
	for _, tx := range p.order {
		if size += types.ComputeProtoSizeForTxs([]types.Tx{tx}); size > req.MaxTxBytes {
			break
		}
		txs = append(txs, tx)
	}
	return &abci.ResponsePrepareProposal{Txs: txs}, nil
}

// Commit forgets what the block has committed.
func (p *pooled) Commit(ctx context.Context, req *abci.RequestCommit) (*abci.ResponseCommit, error) {
	txs := p.executed.txs
	res, err := p.ledger.Commit(ctx, req)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.recent) >= poolTxs {
		p.recent, p.older = map[string]struct{}{}, p.recent
	}
	for _, tx := range txs {
		if _, was := p.pending[string(tx)]; was {
			delete(p.pending, string(tx))
			p.bytes -= int64(len(tx))
		}
		p.recent[string(tx)] = struct{}{}
	}
	kept := make([][]byte, 0, len(p.pending))
	for _, tx := range p.order {
		if _, still := p.pending[string(tx)]; still {
			kept = append(kept, tx)
		}
	}
	p.order = kept
	return res, nil
}
