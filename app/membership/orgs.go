package membership

import (
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// What happens to the nodes of an org when its status changes. Each of these follows the operation of accounts in the same
// transaction: who reads what that has written.

// OrgAdmitted remembers that an org was admitted. It has no nodes yet.
func OrgAdmitted(env *exec.Env, s Store, _ accounts.Reader, org string) error {
	return s.remember(ofOrg, org, change(env, kindOrgAdmit, org, env.Height+1))
}

// AllotmentSet remembers that an org may have more or less than before. Its nodes stay.
func AllotmentSet(env *exec.Env, s Store, _ accounts.Reader, org string) error {
	return s.remember(ofOrg, org, change(env, kindOrgAllotment, org, env.Height+1))
}

// OrgSuspended ends the seats of an org that was suspended and cuts off its nodes, which stay listed with their power and
// keys: QUORUM_LOST.
func OrgSuspended(env *exec.Env, s Store, who accounts.Reader, org, reason string) error {
	seats, err := s.requireSeats()
	if err != nil {
		return err
	}
	nodes, err := s.nodesOf(org)
	if err != nil {
		return err
	}
	ended := false
	for _, node := range nodes {
		if endSeat(seats, env.Height, node.ValidatorKey) > 0 {
			ended = true
		}
	}
	if err := checkSuccessors(seats, env.Height); err != nil {
		return err
	}
	if err := s.checkCut(env.Height, who, seats,
		"let the proposal set the power of its validators to 0 first, and suspend it in a later block"); err != nil {
		return err
	}
	return s.statusChanged(env, kindOrgSuspend, org, reason, seats, ended)
}

// OrgResumed gives the nodes of an org that was resumed their seats back, from the block after the next one on:
// LIMIT_REACHED, QUORUM_LOST.
func OrgResumed(env *exec.Env, s Store, _ accounts.Reader, org, reason string) error {
	seats, err := s.requireSeats()
	if err != nil {
		return err
	}
	nodes, err := s.nodesOf(org)
	if err != nil {
		return err
	}
	given := false
	for _, node := range nodes {
		if node.Power > 0 {
			giveSeat(seats, env.Height, node.ValidatorKey, node.Name, node.Power)
			given = true
		}
	}
	if given {
		if err := checkSuccessors(seats, env.Height); err != nil {
			return err
		}
	}
	return s.statusChanged(env, kindOrgResume, org, reason, seats, given)
}

// OrgRemoved removes all nodes of an org that was removed, as [RemoveNode] does: QUORUM_LOST.
func OrgRemoved(env *exec.Env, s Store, who accounts.Reader, org, reason string, spread bool) error {
	seats, err := s.requireSeats()
	if err != nil {
		return err
	}
	nodes, err := s.nodesOf(org)
	if err != nil {
		return err
	}
	ended := false
	for _, node := range nodes {
		ended = ended || sits(seats, node.Name, env.Height+delay)
		if err := s.strike(env, seats, node, spread); err != nil {
			return err
		}
	}
	if len(nodes) > 0 {
		if err := s.setOrgNodes(org, nil); err != nil {
			return err
		}
	}
	if err := checkSuccessors(seats, env.Height); err != nil {
		return err
	}
	if err := s.checkCut(env.Height, who, seats, spreadInstead); err != nil {
		return err
	}
	return s.statusChanged(env, kindOrgRemove, org, reason, seats, ended)
}

// statusChanged writes the seats and remembers what became of the org; votes says that seats were given or taken.
func (s Store) statusChanged(
	env *exec.Env, kind, org, reason string, seats *membershipv1.Seats, votes bool,
) error {
	effective := env.Height + 1
	if votes {
		effective = env.Height + delay
	}
	if err := s.setSeats(seats, env.Height); err != nil {
		return err
	}
	c := change(env, kind, org, effective)
	c.Reason = reason
	return s.remember(ofOrg, org, c)
}
