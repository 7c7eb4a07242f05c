package membership

import (
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	active    = accountsv1.OrgStatus_ORG_STATUS_ACTIVE
	suspended = accountsv1.OrgStatus_ORG_STATUS_SUSPENDED
)

// changeable returns the listed node that an operation names and its org, when whoever acts may change it: the members by
// a vote, or an admin of its org, which is active. It rejects with NOT_FOUND, WRONG_STATUS, VOTE_REQUIRED or ROLE_REQUIRED.
func (s Store) changeable(env *exec.Env, who accounts.Reader, name string) (*membershipv1.Node, *accountsv1.Org, error) {
	node, err := s.Node(name)
	if err != nil {
		return nil, nil, err
	}
	if node == nil {
		return nil, nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no node %s: check the name", name)
	}
	if node.RemovedHeight != 0 {
		return nil, nil, tx.Reject(ledgerv1.Code_CODE_WRONG_STATUS,
			"%s was removed: add the node under another name and with other keys", name)
	}
	org, err := actFor(env, who, node.Org)
	return node, org, err
}

// actFor returns the org whose nodes are to change, when whoever acts may change them.
func actFor(env *exec.Env, who accounts.Reader, name string) (*accountsv1.Org, error) {
	org, err := who.Org(name)
	if err != nil {
		return nil, err
	}
	if org == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no org %s: check the name", name)
	}
	if env.Proposal != 0 {
		return org, nil
	}
	if env.Org != name {
		return nil, tx.Reject(ledgerv1.Code_CODE_VOTE_REQUIRED,
			"%s cannot change nodes of %s: an admin of that org can, or the members by a proposal", env.Account, name)
	}
	if err := requireActive(org); err != nil {
		return nil, err
	}
	return org, who.RequireRole(env.Account, accounts.RoleAdmin)
}

func requireActive(org *accountsv1.Org) error {
	if org.Status == active {
		return nil
	}
	return tx.Reject(ledgerv1.Code_CODE_WRONG_STATUS, "%s is %s: only an active org can do this",
		org.Name, accounts.StatusText(org.Status))
}

// requireRoom rejects with BEYOND_ALLOTMENT unless the members act, or the org may have the given number of nodes and
// power more than its listed nodes have now. What it has beyond its allotment already only keeps it from having more.
func (s Store) requireRoom(env *exec.Env, org *accountsv1.Org, nodes uint32, power uint64) error {
	if env.Proposal != 0 || (nodes == 0 && power == 0) {
		return nil
	}
	listed, err := s.nodesOf(org.Name)
	if err != nil {
		return err
	}
	if count := uint32(len(listed)) + nodes; nodes > 0 && count > org.Allotment.GetNodes() {
		return tx.Reject(ledgerv1.Code_CODE_BEYOND_ALLOTMENT,
			"%s would have %d nodes, its allotment is %d: make a proposal of it, and the members decide",
			org.Name, count, org.Allotment.GetNodes())
	}
	sum := power
	for _, node := range listed {
		sum += node.Power
	}
	if power > 0 && sum > org.Allotment.GetPower() {
		return tx.Reject(ledgerv1.Code_CODE_BEYOND_ALLOTMENT,
			"the validators of %s would have the voting power %d, its allotment is %d: make a proposal of it, and the members decide",
			org.Name, sum, org.Allotment.GetPower())
	}
	return nil
}

// requireTrusted rejects with VOTE_REQUIRED when a validator that signed two blocks of one height is to vote again without
// the members having said so.
func requireTrusted(env *exec.Env, node *membershipv1.Node) error {
	if env.Proposal != 0 || node.ConvictedHeight == 0 {
		return nil
	}
	return tx.Reject(ledgerv1.Code_CODE_VOTE_REQUIRED,
		"%s was found at height %d to have signed two blocks of one height: only the members can let it vote again, by a proposal",
		node.Name, node.ConvictedHeight)
}

// requireUnused rejects with KEY_USED a key that is or was a key of the registry.
func (s Store) requireUnused(key []byte) error {
	use, err := s.KeyUse(Address(key))
	if err != nil || use == nil {
		return err
	}
	return tx.Reject(ledgerv1.Code_CODE_KEY_USED,
		"the key %x is or was the %s key of %s: make a new one, keys are never used twice", key, use.Use, use.Node)
}
