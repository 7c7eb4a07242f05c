package governance

import (
	"strings"

	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// upgradeNotice is how many heights ahead the engine has decided already when a block is executed.
const upgradeNotice = 2

// SetCharter changes the charter from the next block on: VOTE_REQUIRED, LIMIT_REACHED where the charter would not hold
// together.
func SetCharter(env *exec.Env, s Store, op *governancev1.SetCharter) error {
	if err := requireVote(env); err != nil {
		return err
	}
	present, err := s.Charter()
	if err != nil {
		return err
	}
	charter := Merge(present, op.Charter)
	if err := Validate(charter); err != nil {
		return tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED, "the charter would not hold together: %s: change both in one operation",
			strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if err := s.setCharter(charter); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_CharterSet{
		CharterSet: &governancev1.CharterSet{Charter: charter},
	}})
	return nil
}

// maxLevels is how many feature levels an upgrade may rise: one is usual, and a number that was mistyped would stop all nodes
// for good.
const maxLevels = 10

// ScheduleUpgrade plans a change of rules, instead of the one that is planned, or cancels it: VOTE_REQUIRED, NOT_FOUND
// where there is nothing to cancel, DEADLINE where the height has come too near, ALREADY_EXISTS where the rules are in
// force.
func ScheduleUpgrade(env *exec.Env, s Store, op *governancev1.ScheduleUpgrade) error {
	if err := requireVote(env); err != nil {
		return err
	}
	planned, err := s.Upgrade()
	if err != nil {
		return err
	}
	reached, err := s.LevelAt(env.Height)
	if err != nil {
		return err
	}
	next := op.Upgrade
	switch {
	case next.Height == 0 && (planned == nil || planned.Height <= env.Height):
		return tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "no upgrade is planned")
	case next.Height > 0 && next.Height <= env.Height+upgradeNotice:
		return tx.Reject(ledgerv1.Code_CODE_DEADLINE,
			"the upgrade would take effect at height %d, this is height %d: choose one that is more than %d ahead",
			next.Height, env.Height, upgradeNotice)
	case next.Height > 0 && next.FeatureLevel > reached+maxLevels:
		return tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED,
			"feature level %d is in force: %d is more than %d above it, and a level never falls: is it a slip?", reached, next.FeatureLevel, maxLevels)
	case next.Height > 0 && next.FeatureLevel <= reached:
		return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS, "feature level %d is in force already: the next one is higher than that",
			reached)
	}
	if planned != nil && planned.Height <= env.Height {
		// What has come into force by its height alone must not be lost with the plan.
		s.setFeatureLevel(reached)
	}
	if err := s.setUpgrade(next); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_UpgradeScheduled{
		UpgradeScheduled: &governancev1.UpgradeScheduled{Upgrade: next},
	}})
	return nil
}

func requireVote(env *exec.Env) error {
	if env.Proposal == 0 {
		return tx.Reject(ledgerv1.Code_CODE_VOTE_REQUIRED,
			"%s cannot do this alone: put it into a proposal for the members to vote on", env.Account)
	}
	return nil
}
