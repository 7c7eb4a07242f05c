package app

import (
	"errors"
	"fmt"
	"time"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// errInvalidProposal is returned when a proposal breaks the rules of admission. It wraps the reason.
var errInvalidProposal = errors.New("invalid proposal")

// block is one block on top of the newest state. It belongs to one goroutine.
type block struct {
	view   *state.View    // the state before the block; released by release
	kv     *state.Overlay // what the block writes
	height uint64
	time   int64 // nanoseconds since 1970, UTC
	rules  *rules
	oldest uint64 // the oldest height whose outcomes this node keeps

	repeats  *repeats                // of the blocks before
	ids      map[tx.ID]struct{}      // admitted so far
	long     map[string]longExpiries // of the orgs in longOrgs, as the block will leave them
	longOrgs []string

	quotas quotas
	// convictions are what became of the misbehaviour in the block, in its order.
	convictions []membership.Conviction

	// changed is what the transactions of the block have changed so far.
	changed touch
	// silenced are the orgs that the block has suspended or removed.
	silenced []string
	// running is the transaction that is being looked at, for whoever catches a panic.
	running *tx.Tx
}

// begin opens the next block.
func (a *App) begin(height uint64, at time.Time) (*block, error) {
	rules := a.rules.Load()
	if err := rules.known(); err != nil {
		return nil, fmt.Errorf("begin block %d: %w", height, err)
	}
	view := a.store.Latest()
	if view.Height() != 0 && view.Height()+1 != height {
		view.Release()
		return nil, fmt.Errorf("begin block %d: the newest state is of height %d", height, view.Height())
	}
	kv, err := a.newest(view)
	if err != nil {
		view.Release()
		return nil, err
	}
	return &block{
		view: view, kv: kv, height: height, time: at.UnixNano(), rules: rules, oldest: a.needed(a.store.Oldest()),
		repeats: a.repeats, ids: make(map[tx.ID]struct{}), long: make(map[string]longExpiries),
	}, nil
}

func (b *block) release() { b.view.Release() }

// outcome is what became of one transaction of the block.
type outcome struct {
	*ledgerv1.TxOutcome
	expiresAt int64
	admitted  bool
	result    []byte // the encoded TxResult
}

// run admits and executes the transactions of the block. With strict, a transaction that is not admitted makes the whole
// block [errInvalidProposal]; otherwise it becomes a result without effect. Any other error is a failure of this node.
func (b *block) run(verdicts []mempool.Verdict, strict bool) ([]outcome, error) {
	outcomes := make([]outcome, len(verdicts))
	for i, v := range verdicts {
		err := b.admit(v)
		if _, rejected := tx.CodeOf(err); !rejected {
			return nil, err
		}
		if err != nil && strict {
			return nil, fmt.Errorf("%w: transaction %d: %w", errInvalidProposal, i, err)
		}
		outcomes[i] = b.outcome(i, v.Tx, err)
	}
	kv := state.NewOverlay(b.kv)
	var ids []remembered
	for i := range outcomes {
		if !outcomes[i].admitted {
			continue
		}
		b.running = verdicts[i].Tx
		if err := b.execute(kv, verdicts[i].Tx, &outcomes[i]); err != nil {
			return nil, fmt.Errorf("execute transaction %d of block %d: %w", i, b.height, err)
		}
		ids = append(ids, remembered{verdicts[i].Tx.ID, verdicts[i].Tx.ExpiresAt})
	}
	for i := range outcomes {
		if err := outcomes[i].seal(); err != nil {
			return nil, err
		}
	}
	if len(ids) == 0 {
		return outcomes, nil
	}
	b.rememberLong()
	if err := b.quotas.remember(b.kv); err != nil {
		return nil, err
	}
	return outcomes, b.rememberIDs(ids)
}

// outcome begins the result of a transaction; t is nil when the bytes are none.
func (b *block) outcome(index int, t *tx.Tx, refused error) outcome {
	o := outcome{admitted: refused == nil, TxOutcome: &ledgerv1.TxOutcome{
		Height: b.height, Index: uint32(index), FailedOperation: -1, TimeUnixNano: b.time,
	}}
	if t != nil {
		o.Id, o.expiresAt = t.ID[:], t.ExpiresAt
	}
	o.reject(refused)
	return o
}

// reject notes why the transaction has no effect; nil notes nothing.
func (o *outcome) reject(err error) {
	o.Code, _ = tx.CodeOf(err)
	if err != nil {
		o.Message = err.Error()
	}
}

// seal encodes what the block's header will commit to.
func (o *outcome) seal() error {
	result, err := Committed(o.TxOutcome)
	o.result = result.GetData()
	return err
}

// requireStillActive rejects an operation of an org that an earlier one of the same transaction, a deciding vote, has suspended
// or removed.
func requireStillActive(kv exec.Reader, op *ledgerv1.Operation) error {
	org, err := names.Account(op.Account)
	if err != nil {
		return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	active, err := accounts.Read(kv).IsActive(org)
	if err != nil || active {
		return err
	}
	return tx.Reject(ledgerv1.Code_CODE_AUTHORITY_CHANGED, "an earlier operation of the transaction has taken the membership of %s", org)
}

// execute applies an admitted transaction through kv, all of its operations or none.
func (b *block) execute(kv *state.Overlay, t *tx.Tx, o *outcome) error {
	defer kv.Discard()
	if b.changed&authority != 0 {
		if err := accounts.Authorize(accounts.Read(kv), t); err != nil {
			if _, rejected := tx.CodeOf(err); !rejected {
				return err
			}
			o.reject(tx.Reject(ledgerv1.Code_CODE_AUTHORITY_CHANGED, "an earlier transaction of the block changed an account: %v", err))
			return nil
		}
	}
	var events ledgerv1.EventList
	var silenced []string
	env := exec.Env{FeatureLevel: b.rules.level, Height: b.height, Time: b.time, TxID: t.ID}
	env.Emit = func(e *ledgerv1.Event) {
		e.Operation = env.Operation
		events.Events = append(events.Events, e)
		if s := e.GetOrgStatusChanged(); s != nil && s.Status != accountsv1.OrgStatus_ORG_STATUS_ACTIVE {
			silenced = append(silenced, s.Name)
		}
	}
	var changed touch
	for i, op := range t.Body.Operations {
		env.Operation = uint32(i)
		more, err := deliver(&env, kv, op)
		if err == nil && changed&members != 0 {
			err = requireStillActive(kv, op)
		}
		if err != nil {
			if _, rejected := tx.CodeOf(err); !rejected {
				return fmt.Errorf("operation %d: %w", i, err)
			}
			o.FailedOperation = int32(i)
			o.reject(err)
			return nil
		}
		changed |= more
	}
	encoded, err := events.MarshalVTStrict()
	if err != nil {
		return fmt.Errorf("encode the events: %w", err)
	}
	o.Events = encoded
	b.changed |= changed
	b.silenced = append(b.silenced, silenced...)
	b.quotas.applied(t)
	kv.Commit()
	return nil
}
