package app

import (
	"fmt"
	"time"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// What needs more than one module: a passed proposal goes through the same switch as everything else, and some operations
// follow the charter.

func checkPropose(op *ledgerv1.Propose) error {
	if err := governance.CheckPropose(op); err != nil {
		return err
	}
	for i, inner := range op.Operations {
		if err := check(inner); err != nil {
			code, _ := tx.CodeOf(err)
			return tx.Reject(code, "operation %d of the proposal: %v", i, err)
		}
	}
	return nil
}

// propose puts operations to the vote. What would be refused now is not put to the vote: members shall not spend their
// votes on it.
func propose(env *exec.Env, kv *state.Overlay, op *ledgerv1.Propose) (changed touch, err error) {
	p, passed, err := governance.Propose(env, governance.Open(kv), accounts.Read(kv), op)
	if err != nil {
		return 0, err
	}
	if passed {
		return enact(env, kv, p)
	}
	trial := state.NewOverlay(kv)
	defer trial.Discard()
	silent := *env
	silent.Emit = func(*ledgerv1.Event) {}
	if _, at, err := apply(&silent, trial, p); err != nil {
		code, rejected := tx.CodeOf(err)
		if !rejected {
			return 0, err
		}
		return 0, tx.Reject(code, "operation %d of the proposal would be refused now: %v", at, err)
	}
	return 0, nil
}

func vote(env *exec.Env, kv *state.Overlay, op *governancev1.Vote) (changed touch, err error) {
	p, passed, err := governance.Vote(env, governance.Open(kv), accounts.Read(kv), op)
	if err != nil || !passed {
		return 0, err
	}
	return enact(env, kv, p)
}

// enact applies a proposal that has passed, all of its operations or none, and closes it. What the state refuses by now
// closes it as failed: the vote that decided it stands.
func enact(env *exec.Env, kv *state.Overlay, p *proposalsv1.Proposal) (changed touch, err error) {
	var events []*ledgerv1.Event
	inner := *env
	inner.Emit = func(e *ledgerv1.Event) { events = append(events, e) }
	trial := state.NewOverlay(kv)
	changed, at, err := apply(&inner, trial, p)
	if err == nil {
		trial.Commit()
		for _, e := range events {
			env.Emit(e)
		}
		return changed, governance.Close(env, governance.Open(kv), p, governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED, ledgerv1.Code_CODE_OK, -1, "")
	}
	trial.Discard()
	code, rejected := tx.CodeOf(err)
	if !rejected {
		return 0, fmt.Errorf("apply proposal %d: %w", p.Id, err)
	}
	// The words of a rejection are free to change; what stands in the state is not.
	reason := fmt.Sprintf("operation %d was refused: %s", at, tx.Reason(code))
	return 0, governance.Close(env, governance.Open(kv), p, governancev1.ProposalStatus_PROPOSAL_STATUS_FAILED, code, int32(at), reason)
}

// apply applies the operations of a proposal in the name of the members. It returns the index of the one that failed.
func apply(env *exec.Env, kv *state.Overlay, p *proposalsv1.Proposal) (changed touch, at int, err error) {
	env.Proposal = p.Id
	for i, op := range p.Operations {
		more, err := deliver(env, kv, op)
		if err != nil {
			return 0, i, err
		}
		changed |= more
	}
	return changed, -1, nil
}

func admitOrg(env *exec.Env, kv *state.Overlay, op *accountsv1.AdmitOrg) error {
	charter, err := governance.Read(kv).Charter()
	if err != nil {
		return err
	}
	defaults := &accountsv1.Allotment{Power: charter.OrgPower, Nodes: charter.OrgNodes}
	if err := accounts.AdmitOrg(env, accounts.Open(kv), defaults, op); err != nil {
		return err
	}
	return membership.OrgAdmitted(env, membership.Open(kv), accounts.Read(kv), op.Name)
}

func rotateNodeKey(env *exec.Env, kv *state.Overlay, op *membershipv1.RotateNodeKey) error {
	charter, err := governance.Read(kv).Charter()
	if err != nil {
		return err
	}
	overlap := time.Duration(charter.NodeKeyOverlapSeconds) * time.Second
	return membership.RotateNodeKey(env, membership.Open(kv), accounts.Read(kv), overlap.Nanoseconds(), op)
}
