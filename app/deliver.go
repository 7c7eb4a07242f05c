package app

import (
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/records"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// deliver applies one operation. It reports whether the operation may have changed who may act for an account.
func deliver(env *exec.Env, kv exec.KV, op *ledgerv1.Operation) (authority bool, err error) {
	if env.Org, err = names.Account(op.Account); err != nil {
		return false, tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	who := accounts.Read(kv)
	switch k := op.Kind.(type) {
	case *ledgerv1.Operation_AccountCreate:
		return true, accounts.Create(env, accounts.Open(kv), k.AccountCreate)
	case *ledgerv1.Operation_AccountSetRoles:
		return true, accounts.SetRoles(env, accounts.Open(kv), k.AccountSetRoles)
	case *ledgerv1.Operation_AccountAddKey:
		return true, accounts.AddKey(env, accounts.Open(kv), k.AccountAddKey)
	case *ledgerv1.Operation_AccountRevokeKey:
		return true, accounts.RevokeKey(env, accounts.Open(kv), k.AccountRevokeKey)
	case *ledgerv1.Operation_AccountRotateKey:
		return true, accounts.RotateKey(env, accounts.Open(kv), k.AccountRotateKey)

	case *ledgerv1.Operation_AssetCreate:
		return false, assets.Create(env, assets.Open(kv), who, k.AssetCreate)
	case *ledgerv1.Operation_AssetMint:
		return false, assets.Mint(env, assets.Open(kv), who, k.AssetMint)
	case *ledgerv1.Operation_AssetBurn:
		return false, assets.Burn(env, assets.Open(kv), who, k.AssetBurn)
	case *ledgerv1.Operation_AssetTransfer:
		return false, assets.Transfer(env, assets.Open(kv), who, k.AssetTransfer)
	case *ledgerv1.Operation_AssetSetFrozen:
		return false, assets.SetFrozen(env, assets.Open(kv), who, k.AssetSetFrozen)
	case *ledgerv1.Operation_AssetOpenHold:
		return false, assets.OpenHold(env, assets.Open(kv), who, k.AssetOpenHold)
	case *ledgerv1.Operation_AssetReleaseHold:
		return false, assets.ReleaseHold(env, assets.Open(kv), who, k.AssetReleaseHold)
	case *ledgerv1.Operation_AssetCancelHold:
		return false, assets.CancelHold(env, assets.Open(kv), who, k.AssetCancelHold)

	case *ledgerv1.Operation_RecordSetCollection:
		return false, records.SetCollection(env, records.Open(kv), who, k.RecordSetCollection)
	case *ledgerv1.Operation_RecordPut:
		return false, records.Put(env, records.Open(kv), who, k.RecordPut)
	}
	return false, tx.Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION, "this version does not know the operation %T", op.Kind)
}

// CheckOperations refuses, without looking at any state, a transaction whose operations can never succeed. The error is
// a [tx.Rejection].
func CheckOperations(t *tx.Tx) error {
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
	}
	return tx.Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION, "this version does not know the operation %T", op.Kind)
}
