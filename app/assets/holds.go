package assets

import (
	"fmt"
	"time"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// maxHold is how far ahead of block time a deadline may lie, in nanoseconds: ten years of 365 days.
const maxHold = int64(10 * 365 * 24 * time.Hour)

// OpenHold sets an amount of the acting account's balance aside: ROLE_REQUIRED, NOT_A_PARTY, NOT_FOUND, DEADLINE, FROZEN,
// OVERDRAFT.
func OpenHold(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.OpenHold) error {
	sum, err := parseAmount(op.Amount)
	if err != nil {
		return err
	}
	deadline, err := parseDeadline(op.Deadline)
	if err != nil {
		return err
	}
	if err := who.RequireRole(env.Account, accounts.RolePayer); err != nil {
		return err
	}
	if err := who.RequireAccount(op.To); err != nil {
		return err
	}
	if op.Arbiter == env.Account {
		return tx.Reject(ledgerv1.Code_CODE_NOT_A_PARTY,
			"%s gives and cannot be the arbiter too: name a third account, or none",
			env.Account)
	}
	if op.Arbiter != "" {
		if err := who.RequireAccount(op.Arbiter); err != nil {
			return err
		}
	}
	if deadline <= env.Time || deadline-env.Time > maxHold {
		return tx.Reject(ledgerv1.Code_CODE_DEADLINE,
			"the deadline %s is not after the block's time %s, or more than ten years after it: choose another",
			showTime(deadline), showTime(env.Time))
	}
	if err := s.withdraw(op.Asset, env.Account, sum, true); err != nil {
		return err
	}
	id := HoldID(env.TxID, env.Operation)
	hold := &assetsv1.Hold{
		Id:               id[:],
		Asset:            op.Asset,
		From:             env.Account,
		To:               op.To,
		Amount:           op.Amount,
		Arbiter:          op.Arbiter,
		DeadlineUnixNano: deadline,
		CreatedHeight:    env.Height,
	}
	if err := s.setHold(hold); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetHoldOpened{
		AssetHoldOpened: &assetsv1.HoldOpened{Hold: hold},
	}})
	return nil
}

// ReleaseHold pays a hold to its receiver: ROLE_REQUIRED, NOT_FOUND, NOT_A_PARTY, DEADLINE, FROZEN.
func ReleaseHold(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.ReleaseHold) error {
	hold, sum, err := s.touchHold(env, who, op.HoldId)
	if err != nil {
		return err
	}
	if env.Account != hold.From && env.Account != hold.Arbiter {
		return tx.Reject(ledgerv1.Code_CODE_NOT_A_PARTY, "%s cannot release this hold: %s can",
			env.Account, orArbiter(hold.From, hold))
	}
	if env.Time >= hold.DeadlineUnixNano {
		return tx.Reject(ledgerv1.Code_CODE_DEADLINE, "the hold's deadline %s has passed: it can only be cancelled",
			showTime(hold.DeadlineUnixNano))
	}
	giver, err := s.closeHold(hold, sum)
	if err != nil {
		return err
	}
	if giver.Frozen {
		return frozen(hold.Asset, hold.From)
	}
	s.setHolding(hold.Asset, hold.From, giver)
	if err := s.deposit(hold.Asset, hold.To, sum); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetHoldReleased{
		AssetHoldReleased: &assetsv1.HoldReleased{Hold: hold},
	}})
	return nil
}

// CancelHold returns a hold to its giver, frozen or not: ROLE_REQUIRED, NOT_FOUND, NOT_A_PARTY, DEADLINE.
func CancelHold(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.CancelHold) error {
	hold, sum, err := s.touchHold(env, who, op.HoldId)
	if err != nil {
		return err
	}
	if env.Account != hold.To && env.Account != hold.Arbiter {
		if env.Account != hold.From {
			return tx.Reject(ledgerv1.Code_CODE_NOT_A_PARTY,
				"%s cannot cancel this hold: %s can, and from its deadline on %s",
				env.Account, orArbiter(hold.To, hold), hold.From)
		}
		if env.Time < hold.DeadlineUnixNano {
			return tx.Reject(ledgerv1.Code_CODE_DEADLINE,
				"%s can cancel this hold from its deadline %s on: until then %s can",
				env.Account, showTime(hold.DeadlineUnixNano), orArbiter(hold.To, hold))
		}
	}
	giver, err := s.closeHold(hold, sum)
	if err != nil {
		return err
	}
	s.setHolding(hold.Asset, hold.From, giver)
	if err := s.deposit(hold.Asset, hold.From, sum); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetHoldCancelled{
		AssetHoldCancelled: &assetsv1.HoldCancelled{Hold: hold},
	}})
	return nil
}

// touchHold returns a hold that the acting account, a payer, names, and its amount.
func (s Store) touchHold(env *exec.Env, who accounts.Reader, id []byte) (*assetsv1.Hold, amount.Amount, error) {
	if err := who.RequireRole(env.Account, accounts.RolePayer); err != nil {
		return nil, amount.Amount{}, err
	}
	hold, err := s.Hold(id)
	if err != nil {
		return nil, amount.Amount{}, err
	}
	if hold == nil {
		return nil, amount.Amount{}, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND,
			"there is no open hold %x: check the id, or it was released or cancelled",
			id)
	}
	sum, err := amount.Parse(hold.Amount)
	if err != nil {
		return nil, amount.Amount{}, fmt.Errorf("assets: hold %x: %w", id, err)
	}
	return hold, sum, nil
}

// closeHold removes a hold and returns the giver's holding without it, which the caller writes. Whatever a rejection
// follows is undone with the transaction.
func (s Store) closeHold(hold *assetsv1.Hold, sum amount.Amount) (Holding, error) {
	giver, err := s.Holding(hold.Asset, hold.From)
	if err != nil {
		return Holding{}, err
	}
	var ok bool
	if giver.Held, ok = giver.Held.Sub(sum); !ok {
		return Holding{}, brokenSum(hold.Asset, hold.From)
	}
	s.deleteHold(hold.Id)
	return giver, nil
}

// orArbiter names a party, and the arbiter if there is one.
func orArbiter(party string, hold *assetsv1.Hold) string {
	if hold.Arbiter == "" {
		return party
	}
	return party + " or " + hold.Arbiter
}

func showTime(nanos int64) string { return time.Unix(0, nanos).UTC().Format(time.RFC3339Nano) }
