package app

import (
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/app/records"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// A touch says what an operation may have changed besides its own module's state.
type touch uint8

const (
	// authority is who may act for an account: signatures are weighed anew for the rest of the block.
	authority touch = 1 << iota
	// members is who may connect and vote: the mesh is told after the block.
	members
)

// deliver applies one operation: of the account that acts or, where env names a proposal, of the members together.
func deliver(env *exec.Env, kv *state.Overlay, op *ledgerv1.Operation) (changed touch, err error) {
	env.Account, env.Org = op.Account, ""
	if env.Proposal == 0 {
		if env.Org, err = names.Account(op.Account); err != nil {
			return 0, tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
		}
	}
	who := accounts.Read(kv)
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_AccountCreate:
		return authority, accounts.Create(env, accounts.Open(kv), k.AccountCreate)
	case *ledgerv1.Operation_AccountSetRoles:
		return authority, accounts.SetRoles(env, accounts.Open(kv), k.AccountSetRoles)
	case *ledgerv1.Operation_AccountAddKey:
		return authority, accounts.AddKey(env, accounts.Open(kv), k.AccountAddKey)
	case *ledgerv1.Operation_AccountRevokeKey:
		return authority, accounts.RevokeKey(env, accounts.Open(kv), k.AccountRevokeKey)
	case *ledgerv1.Operation_AccountRotateKey:
		return authority, accounts.RotateKey(env, accounts.Open(kv), k.AccountRotateKey)

	case *ledgerv1.Operation_AccountSetTokenKeys:
		return 0, accounts.SetTokenKeys(env, accounts.Open(kv), k.AccountSetTokenKeys)

	case *ledgerv1.Operation_AssetCreate:
		return 0, assets.Create(env, assets.Open(kv), who, k.AssetCreate)
	case *ledgerv1.Operation_AssetMint:
		return 0, assets.Mint(env, assets.Open(kv), who, k.AssetMint)
	case *ledgerv1.Operation_AssetBurn:
		return 0, assets.Burn(env, assets.Open(kv), who, k.AssetBurn)
	case *ledgerv1.Operation_AssetTransfer:
		return 0, assets.Transfer(env, assets.Open(kv), who, k.AssetTransfer)
	case *ledgerv1.Operation_AssetSetFrozen:
		return 0, assets.SetFrozen(env, assets.Open(kv), who, k.AssetSetFrozen)
	case *ledgerv1.Operation_AssetOpenHold:
		return 0, assets.OpenHold(env, assets.Open(kv), who, k.AssetOpenHold)
	case *ledgerv1.Operation_AssetReleaseHold:
		return 0, assets.ReleaseHold(env, assets.Open(kv), who, k.AssetReleaseHold)
	case *ledgerv1.Operation_AssetCancelHold:
		return 0, assets.CancelHold(env, assets.Open(kv), who, k.AssetCancelHold)

	case *ledgerv1.Operation_RecordSetCollection:
		return 0, records.SetCollection(env, records.Open(kv), who, k.RecordSetCollection)
	case *ledgerv1.Operation_RecordPut:
		return 0, records.Put(env, records.Open(kv), who, k.RecordPut)

	case *ledgerv1.Operation_NodeAdd:
		return members, membership.AddNode(env, membership.Open(kv), who, k.NodeAdd)
	case *ledgerv1.Operation_NodeRemove:
		return members, membership.RemoveNode(env, membership.Open(kv), who, k.NodeRemove)
	case *ledgerv1.Operation_NodeSetAddresses:
		return members, membership.SetAddresses(env, membership.Open(kv), who, k.NodeSetAddresses)
	case *ledgerv1.Operation_NodeSetPower:
		return members, membership.SetPower(env, membership.Open(kv), who, k.NodeSetPower)
	case *ledgerv1.Operation_NodeRotateKey:
		return members, rotateNodeKey(env, kv, k.NodeRotateKey)
	case *ledgerv1.Operation_ValidatorRotateKey:
		return members, membership.RotateValidatorKey(env, membership.Open(kv), who, k.ValidatorRotateKey)

	case *ledgerv1.Operation_ProposalCreate:
		return propose(env, kv, k.ProposalCreate)
	case *ledgerv1.Operation_ProposalVote:
		return vote(env, kv, k.ProposalVote)
	case *ledgerv1.Operation_ProposalWithdraw:
		return 0, governance.Withdraw(env, governance.Open(kv), who, k.ProposalWithdraw)
	case *ledgerv1.Operation_CharterSet:
		return 0, governance.SetCharter(env, governance.Open(kv), k.CharterSet)
	case *ledgerv1.Operation_UpgradeSchedule:
		return 0, governance.ScheduleUpgrade(env, governance.Open(kv), k.UpgradeSchedule)

	case *ledgerv1.Operation_OrgAdmit:
		return authority | members, admitOrg(env, kv, k.OrgAdmit)
	case *ledgerv1.Operation_OrgSuspend:
		if err := accounts.SuspendOrg(env, accounts.Open(kv), k.OrgSuspend); err != nil {
			return authority | members, err
		}
		return authority | members, membership.OrgSuspended(env, membership.Open(kv), who, k.OrgSuspend.Name, k.OrgSuspend.Reason)
	case *ledgerv1.Operation_OrgResume:
		if err := accounts.ResumeOrg(env, accounts.Open(kv), k.OrgResume); err != nil {
			return authority | members, err
		}
		return authority | members, membership.OrgResumed(env, membership.Open(kv), who, k.OrgResume.Name, k.OrgResume.Reason)
	case *ledgerv1.Operation_OrgRemove:
		if err := accounts.RemoveOrg(env, accounts.Open(kv), k.OrgRemove); err != nil {
			return authority | members, err
		}
		return authority | members, membership.OrgRemoved(env, membership.Open(kv), who, k.OrgRemove.Name, k.OrgRemove.Reason, k.OrgRemove.Spread)
	case *ledgerv1.Operation_OrgSetAllotment:
		if err := accounts.SetAllotment(env, accounts.Open(kv), k.OrgSetAllotment); err != nil {
			return 0, err
		}
		return 0, membership.AllotmentSet(env, membership.Open(kv), who, k.OrgSetAllotment.Name)
	}
	return 0, tx.Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION, "this version does not know the operation %T", op.Kind)
}

// CheckOperations refuses, without looking at any state, a transaction whose operations can never succeed. The error is
// a [tx.Rejection].
func CheckOperations(t *tx.Tx) error {
	if weight := deliberation(t); weight > maxDeliberation {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE,
			"the transaction holds %d votes, changes of nodes and proposed operations, at most %d are allowed: split it", weight, maxDeliberation)
	}
	for i, op := range t.Body.Operations {
		if err := check(op); err != nil {
			code, _ := tx.CodeOf(err)
			return tx.Reject(code, "operation %d: %v", i, err)
		}
	}
	return nil
}

func check(op *ledgerv1.Operation) error {
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_AccountCreate:
		return accounts.CheckCreate(k.AccountCreate)
	case *ledgerv1.Operation_AccountSetRoles:
		return accounts.CheckSetRoles(k.AccountSetRoles)
	case *ledgerv1.Operation_AccountAddKey:
		return accounts.CheckAddKey(k.AccountAddKey)
	case *ledgerv1.Operation_AccountRevokeKey:
		return accounts.CheckRevokeKey(k.AccountRevokeKey)
	case *ledgerv1.Operation_AccountRotateKey:
		return accounts.CheckRotateKey(k.AccountRotateKey)

	case *ledgerv1.Operation_AccountSetTokenKeys:
		return accounts.CheckSetTokenKeys(k.AccountSetTokenKeys)

	case *ledgerv1.Operation_AssetCreate:
		return assets.CheckCreate(k.AssetCreate)
	case *ledgerv1.Operation_AssetMint:
		return assets.CheckMint(k.AssetMint)
	case *ledgerv1.Operation_AssetBurn:
		return assets.CheckBurn(k.AssetBurn)
	case *ledgerv1.Operation_AssetTransfer:
		return assets.CheckTransfer(k.AssetTransfer)
	case *ledgerv1.Operation_AssetSetFrozen:
		return assets.CheckSetFrozen(k.AssetSetFrozen)
	case *ledgerv1.Operation_AssetOpenHold:
		return assets.CheckOpenHold(k.AssetOpenHold)
	case *ledgerv1.Operation_AssetReleaseHold:
		return assets.CheckReleaseHold(k.AssetReleaseHold)
	case *ledgerv1.Operation_AssetCancelHold:
		return assets.CheckCancelHold(k.AssetCancelHold)

	case *ledgerv1.Operation_RecordSetCollection:
		return records.CheckSetCollection(k.RecordSetCollection)
	case *ledgerv1.Operation_RecordPut:
		return records.CheckPut(k.RecordPut)

	case *ledgerv1.Operation_NodeAdd:
		return membership.CheckAddNode(k.NodeAdd)
	case *ledgerv1.Operation_NodeRemove:
		return membership.CheckRemoveNode(k.NodeRemove)
	case *ledgerv1.Operation_NodeSetAddresses:
		return membership.CheckSetAddresses(k.NodeSetAddresses)
	case *ledgerv1.Operation_NodeSetPower:
		return membership.CheckSetPower(k.NodeSetPower)
	case *ledgerv1.Operation_NodeRotateKey:
		return membership.CheckRotateNodeKey(k.NodeRotateKey)
	case *ledgerv1.Operation_ValidatorRotateKey:
		return membership.CheckRotateValidatorKey(k.ValidatorRotateKey)

	case *ledgerv1.Operation_ProposalCreate:
		return checkPropose(k.ProposalCreate)
	case *ledgerv1.Operation_ProposalVote:
		return governance.CheckVote(k.ProposalVote)
	case *ledgerv1.Operation_ProposalWithdraw:
		return governance.CheckWithdraw(k.ProposalWithdraw)
	case *ledgerv1.Operation_CharterSet:
		return governance.CheckSetCharter(k.CharterSet)
	case *ledgerv1.Operation_UpgradeSchedule:
		return governance.CheckScheduleUpgrade(k.UpgradeSchedule)

	case *ledgerv1.Operation_OrgAdmit:
		return accounts.CheckAdmitOrg(k.OrgAdmit)
	case *ledgerv1.Operation_OrgSuspend:
		return accounts.CheckSuspendOrg(k.OrgSuspend)
	case *ledgerv1.Operation_OrgResume:
		return accounts.CheckResumeOrg(k.OrgResume)
	case *ledgerv1.Operation_OrgRemove:
		return accounts.CheckRemoveOrg(k.OrgRemove)
	case *ledgerv1.Operation_OrgSetAllotment:
		return accounts.CheckSetAllotment(k.OrgSetAllotment)
	}
	return tx.Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION, "this version does not know the operation %T", op.Kind)
}
