package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// trial is a proposal that has been executed before it was decided.
type trial struct {
	hash     []byte
	block    *block
	outcomes []outcome
}

// staged is a decided block that waits for its commit.
type staged struct {
	height    uint64
	time      int64
	txs       [][]byte
	outcomes  []outcome
	rules     *rules
	authority bool     // who may act for an account has changed
	members   bool     // the registry has changed
	silenced  []string // orgs that the block suspended or removed
}

// Info tells the engine where this node's state stands.
func (a *App) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	return &abci.ResponseInfo{
		Data:             "althing",
		AppVersion:       a.rules.Load().level,
		LastBlockHeight:  int64(a.store.Height()),
		LastBlockAppHash: a.store.AppHash(),
	}, nil
}

// InitChain begins the network. The state of the genesis document is written with the first block.
func (a *App) InitChain(_ context.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	if req.ChainId != a.genesis.ChainID {
		return nil, fmt.Errorf("begin network %s: the genesis document is of %s", req.ChainId, a.genesis.ChainID)
	}
	return &abci.ResponseInitChain{AppHash: a.genesis.Hash[:]}, nil
}

// PrepareProposal fills a block with pending transactions that every node will admit.
func (a *App) PrepareProposal(_ context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	b, err := a.begin(uint64(req.Height), req.Time)
	if err != nil {
		return nil, err
	}
	defer b.release()
	var txs [][]byte
	room := min(req.MaxTxBytes, int64(b.rules.charter.MaxBlockBytes))
	err = a.guarded(b, func() (failure error) {
		txs = a.pool.Reap(room, req.Time, func(t *tx.Tx) (mempool.Use, error) {
			err := b.admit(mempool.Verdict{Tx: t})
			if _, rejected := tx.CodeOf(err); !rejected {
				failure = err
				return mempool.Stop, nil
			}
			return use(err), err
		})
		return failure
	})
	if errors.Is(err, errInvalidProposal) {
		// The culprit is set aside; the next block has the others.
		return &abci.ResponsePrepareProposal{}, nil
	}
	if err != nil {
		return nil, err
	}
	return &abci.ResponsePrepareProposal{Txs: txs}, nil
}

// ProcessProposal accepts a proposal whose every transaction may stand in it, and keeps what executing it came to.
func (a *App) ProcessProposal(_ context.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	reject := &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_REJECT}
	var size int64
	for _, raw := range req.Txs {
		size += mempool.SizeInBlock(len(raw))
	}
	if most := a.rules.Load().charter.MaxBlockBytes; uint64(size) > most {
		a.log.Warn("refused a proposal", "height", req.Height, "proposer", a.validator(req.ProposerAddress),
			"reason", "too large", "bytes", size, "most", most)
		a.counters.refusedProposals.Add(1)
		return reject, nil
	}
	err := a.try(req, func() []mempool.Verdict { return a.verifier.Verify(req.Txs, a.rules.Load().limits) })
	if errors.Is(err, errInvalidProposal) {
		a.log.Warn("refused a proposal", "height", req.Height, "proposer", a.validator(req.ProposerAddress), "reason", err.Error())
		a.counters.refusedProposals.Add(1)
		return reject, nil
	}
	if err != nil {
		return nil, err
	}
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, nil
}

// try executes a proposal on a buffer that is thrown away unless the block is decided.
func (a *App) try(req *abci.RequestProcessProposal, verify func() []mempool.Verdict) error {
	a.forgetTrial()
	b, err := a.begin(uint64(req.Height), req.Time)
	if err != nil {
		return err
	}
	t := &trial{hash: bytes.Clone(req.Hash), block: b}
	err = a.guarded(b, func() (err error) {
		if err := b.convict(req.Misbehavior); err != nil {
			return err
		}
		t.outcomes, err = b.run(verify(), true)
		return err
	})
	if err != nil {
		b.release()
		return err
	}
	a.tried = t
	return nil
}

// guarded does something with a block that will be thrown away. A transaction that makes this program panic must not take
// down every validator, over and over: it is set aside, and the error is [errInvalidProposal]. Nothing is recovered once
// a block is decided.
func (a *App) guarded(b *block, do func() error) (err error) {
	defer func() {
		cause := recover()
		if cause == nil {
			return
		}
		err = fmt.Errorf("%w: it makes this program panic: %v", errInvalidProposal, cause)
		a.log.Error("panic while looking at a proposal", "height", b.height, "cause", cause, "stack", string(debug.Stack()))
		if b.running != nil {
			a.pool.Ban(b.running, err)
		}
	}()
	return do()
}

func (a *App) forgetTrial() {
	if a.tried != nil {
		a.tried.block.release()
		a.tried = nil
	}
}

// FinalizeBlock executes a decided block, or takes what its proposal came to, and works out the app hash.
func (a *App) FinalizeBlock(_ context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	b, outcomes, err := a.decided(req)
	if err != nil {
		return nil, err
	}
	defer b.release()
	if err := b.keepRaw(a.evidence.of(req.Height)); err != nil {
		return nil, err
	}
	local, err := b.localWrites(outcomes)
	if err != nil {
		return nil, err
	}
	next, err := readRules(b.kv, b.height+1)
	if err != nil {
		return nil, err
	}
	root, err := a.store.Stage(b.height, req.Time, b.kv, local)
	if err != nil {
		return nil, fmt.Errorf("stage block %d: %w", b.height, err)
	}
	a.staged = &staged{
		height: b.height, time: b.time, txs: req.Txs, outcomes: outcomes, rules: next, authority: b.changed&authority != 0,
		members: b.changed&members != 0, silenced: b.silenced,
	}
	updates, err := b.validatorUpdates()
	if err != nil {
		return nil, err
	}
	res := &abci.ResponseFinalizeBlock{
		TxResults: make([]*abci.ExecTxResult, len(outcomes)), AppHash: root,
		ValidatorUpdates: updates, ConsensusParamUpdates: paramUpdates(b.rules, next),
	}
	for i, o := range outcomes {
		res.TxResults[i] = &abci.ExecTxResult{Code: uint32(o.Code), Data: o.result}
	}
	return res, nil
}

// decided returns the executed block of a request.
func (a *App) decided(req *abci.RequestFinalizeBlock) (*block, []outcome, error) {
	if t := a.tried; t != nil && bytes.Equal(t.hash, req.Hash) && t.block.height == uint64(req.Height) {
		a.tried = nil
		return t.block, t.outcomes, nil
	}
	a.forgetTrial()
	verdicts := a.verifier.Verify(req.Txs, a.rules.Load().limits)
	b, err := a.begin(uint64(req.Height), req.Time)
	if err != nil {
		return nil, nil, err
	}
	err = b.convict(req.Misbehavior)
	var outcomes []outcome
	if err == nil {
		outcomes, err = b.run(verdicts, false)
	}
	if err != nil {
		b.release()
		return nil, nil, err
	}
	return b, outcomes, nil
}

// Commit makes the block part of what this node knows, and then tells whoever waits for it.
func (a *App) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	done := a.staged
	if done == nil {
		return nil, errors.New("commit without a block")
	}
	a.staged = nil
	a.keepAtLeast(done.rules.charter)
	a.repeats.advance(done.time, done.outcomes)
	if err := a.store.Commit(); err != nil {
		return nil, fmt.Errorf("commit block %d: %w", done.height, err)
	}
	a.rules.Store(done.rules)
	if err := a.refreshRegistry(done); err != nil {
		return nil, err
	}
	ids := make([]tx.ID, 0, len(done.outcomes))
	for _, o := range done.outcomes {
		if o.admitted {
			ids = append(ids, tx.ID(o.Id))
		}
		if o.Code == ledgerv1.Code_CODE_OK {
			a.counters.applied.Add(1)
		} else {
			a.counters.rejected.Add(1)
		}
	}
	a.recent.add(done.height, time.Unix(0, done.time), done.txs, done.outcomes)
	a.pool.Commit(done.height, time.Unix(0, done.time), ids, done.authority)
	silenced, err := a.stillSilenced(done.silenced)
	if err != nil {
		return nil, err
	}
	for _, org := range silenced {
		a.pool.Discard(org, tx.Reject(ledgerv1.Code_CODE_ORG_NOT_ACTIVE, "the org %s is not an active member any more: its accounts cannot act", org))
	}
	if len(silenced) > 0 {
		a.pool.Recheck() // others may pay for what it signs
	}
	a.waiters.commit(done, a.pool.Pending)
	return &abci.ResponseCommit{RetainHeight: int64(a.needed(a.store.RetainHeight()))}, nil
}

// Close lets go of the state. The engine must have stopped.
func (a *App) Close() { a.forgetTrial() }

var _ abci.Application = (*App)(nil)
