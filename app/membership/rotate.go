package membership

import (
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// RotateNodeKey gives a node another key for its connections. The one before is admitted too for the overlap, nanoseconds
// of block time from this block on; one that was being replaced already is not any more: NOT_FOUND, WRONG_STATUS,
// VOTE_REQUIRED, ROLE_REQUIRED, NO_POSSESSION, KEY_USED.
func RotateNodeKey(env *exec.Env, s Store, who accounts.Reader, overlap int64, op *membershipv1.RotateNodeKey) error {
	node, _, err := s.changeable(env, who, op.Name)
	if err != nil {
		return err
	}
	if err := tx.CheckPossession(op.NodeKey, op.NodeKeyProof, tx.UseNode, node.Name, node.Org); err != nil {
		return err
	}
	if err := s.takeKey(op.NodeKey, tx.UseNode, node.Name); err != nil {
		return err
	}
	if err := s.retireKey(node.NodeKey, env.Height+1); err != nil {
		return err
	}
	node.FormerNodeKey, node.FormerNodeKeyUntil = node.NodeKey, env.Time+overlap
	node.NodeKey = op.NodeKey
	return s.changed(env, kindNodeKey, node, env.Height+1)
}

// RotateValidatorKey gives a validator another key for its votes from the block after the next one on, or a node its first
// one, which has no power yet: NOT_FOUND, WRONG_STATUS, VOTE_REQUIRED, ROLE_REQUIRED, NO_POSSESSION, KEY_USED.
func RotateValidatorKey(env *exec.Env, s Store, who accounts.Reader, op *membershipv1.RotateValidatorKey) error {
	node, _, err := s.changeable(env, who, op.Name)
	if err != nil {
		return err
	}
	if err := requireTrusted(env, node); err != nil {
		return err
	}
	if err := tx.CheckPossession(op.ValidatorKey, op.ValidatorKeyProof, tx.UseValidator, node.Name, node.Org); err != nil {
		return err
	}
	if err := s.takeKey(op.ValidatorKey, tx.UseValidator, node.Name); err != nil {
		return err
	}
	former := node.ValidatorKey
	node.ValidatorKey = op.ValidatorKey
	if len(former) == 0 {
		return s.changed(env, kindValidatorKey, node, env.Height+1)
	}
	if err := s.retireKey(former, env.Height+delay); err != nil {
		return err
	}
	seats, err := s.requireSeats()
	if err != nil {
		return err
	}
	power := endSeat(seats, env.Height, former)
	if power == 0 {
		return s.changed(env, kindValidatorKey, node, env.Height+1)
	}
	giveSeat(seats, env.Height, node.ValidatorKey, node.Name, power)
	if err := checkSuccessors(seats, env.Height); err != nil {
		return err
	}
	if err := s.setSeats(seats, env.Height); err != nil {
		return err
	}
	return s.changed(env, kindValidatorKey, node, env.Height+delay)
}
