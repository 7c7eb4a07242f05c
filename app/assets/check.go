package assets

import (
	"math"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// CheckCreate checks what needs no state: BAD_NAME, BAD_FIELD or BAD_AMOUNT.
func CheckCreate(op *assetsv1.Create) error {
	if err := checkAsset(op.Asset); err != nil {
		return err
	}
	if op.Decimals > amount.MaxDecimals {
		return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "%d decimals, at most %d are allowed", op.Decimals, amount.MaxDecimals)
	}
	if op.Cap != "" {
		if _, err := parseAmount(op.Cap); err != nil {
			return err
		}
	}
	for _, role := range []string{op.MintRole, op.FreezeRole} {
		if role == "" {
			continue
		}
		if err := names.Role(role); err != nil {
			return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
		}
	}
	return nil
}

// CheckMint checks what needs no state: BAD_NAME or BAD_AMOUNT.
func CheckMint(op *assetsv1.Mint) error { return checkMove(op.Asset, op.To, op.Amount) }

// CheckBurn checks what needs no state: BAD_NAME or BAD_AMOUNT.
func CheckBurn(op *assetsv1.Burn) error {
	if err := checkAsset(op.Asset); err != nil {
		return err
	}
	_, err := parseAmount(op.Amount)
	return err
}

// CheckTransfer checks what needs no state: BAD_NAME or BAD_AMOUNT.
func CheckTransfer(op *assetsv1.Transfer) error { return checkMove(op.Asset, op.To, op.Amount) }

// CheckSetFrozen checks what needs no state: BAD_NAME.
func CheckSetFrozen(op *assetsv1.SetFrozen) error {
	if err := checkAsset(op.Asset); err != nil {
		return err
	}
	return checkAccount(op.Account)
}

// CheckOpenHold checks what needs no state: BAD_NAME, BAD_AMOUNT or BAD_FIELD.
func CheckOpenHold(op *assetsv1.OpenHold) error {
	if err := checkMove(op.Asset, op.To, op.Amount); err != nil {
		return err
	}
	if op.Arbiter != "" {
		if err := checkAccount(op.Arbiter); err != nil {
			return err
		}
		if op.Arbiter == op.To {
			return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD,
				"%s is to receive and cannot be the arbiter too: name a third account, or none",
				op.To)
		}
	}
	_, err := parseDeadline(op.Deadline)
	return err
}

// CheckReleaseHold checks what needs no state: BAD_FIELD.
func CheckReleaseHold(op *assetsv1.ReleaseHold) error { return checkHoldID(op.HoldId) }

// CheckCancelHold checks what needs no state: BAD_FIELD.
func CheckCancelHold(op *assetsv1.CancelHold) error { return checkHoldID(op.HoldId) }

func checkMove(asset, to, sum string) error {
	if err := checkAsset(asset); err != nil {
		return err
	}
	if err := checkAccount(to); err != nil {
		return err
	}
	_, err := parseAmount(sum)
	return err
}

func checkAsset(name string) error {
	if _, err := names.Asset(name); err != nil {
		return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	return nil
}

func checkAccount(name string) error {
	if _, err := names.Account(name); err != nil {
		return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	return nil
}

func checkHoldID(id []byte) error {
	if len(id) != HoldIDSize {
		return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "hold_id has %d bytes, the id of a hold has %d", len(id), HoldIDSize)
	}
	return nil
}

// parseAmount reads an amount of an operation: BAD_AMOUNT, also for zero.
func parseAmount(s string) (amount.Amount, error) {
	a, err := amount.Parse(s)
	if err != nil {
		return a, tx.Reject(ledgerv1.Code_CODE_BAD_AMOUNT, "%v", err)
	}
	if a.IsZero() {
		return a, tx.Reject(ledgerv1.Code_CODE_BAD_AMOUNT, "the amount is zero: give at least one base unit")
	}
	return a, nil
}

// parseDeadline reads a deadline as nanoseconds since 1970: BAD_FIELD.
func parseDeadline(at *timestamppb.Timestamp) (int64, error) {
	if at == nil || at.CheckValid() != nil || at.Seconds < 0 || at.Seconds > math.MaxInt64/int64(time.Second)-1 {
		return 0, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "deadline is missing or no time between 1970 and 2262")
	}
	return at.Seconds*int64(time.Second) + int64(at.Nanos), nil
}
