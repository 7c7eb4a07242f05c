package membership

import (
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// AddNode lists a node of an active org: NOT_FOUND, WRONG_STATUS, VOTE_REQUIRED, ROLE_REQUIRED, ALREADY_EXISTS, KEY_USED,
// LIMIT_REACHED, BEYOND_ALLOTMENT, QUORUM_LOST. Its power counts from the block after the next one on.
func AddNode(env *exec.Env, s Store, who accounts.Reader, op *membershipv1.AddNode) error {
	org, err := actFor(env, who, op.Node.Org)
	if err != nil {
		return err
	}
	if err := requireActive(org); err != nil {
		return err
	}
	if old, err := s.Node(op.Node.Name); err != nil {
		return err
	} else if old != nil {
		return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS,
			"the node %s is or was listed: choose another name, a name is given once", op.Node.Name)
	}
	node := &membershipv1.Node{
		Name: op.Node.Name, Org: op.Node.Org, NodeKey: op.Node.NodeKey, ValidatorKey: op.Node.ValidatorKey,
		Power: op.Node.Power, Addresses: op.Node.Addresses, ListedHeight: env.Height,
	}
	if err := s.requireRoom(env, org, 1, node.Power); err != nil {
		return err
	}
	if err := s.takeKeys(node); err != nil {
		return err
	}
	seats, err := s.requireSeats()
	if err != nil {
		return err
	}
	if seats.Nodes >= MaxNodes {
		return tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED, "the network lists %d nodes, which is the limit", seats.Nodes)
	}
	seats.Nodes++
	effective := env.Height + 1
	if node.Power > 0 {
		effective = env.Height + delay
		giveSeat(seats, env.Height, node.ValidatorKey, node.Name, node.Power)
		if err := checkSuccessors(seats, env.Height); err != nil {
			return err
		}
	}
	if err := s.setSeats(seats, env.Height); err != nil {
		return err
	}
	if err := s.listNode(node.Org, node.Name); err != nil {
		return err
	}
	if err := s.record(env, kindAdd, node, effective); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_NodeAdded{
		NodeAdded: &membershipv1.NodeAdded{Node: node},
	}})
	return nil
}

// takeKeys registers the keys of a new node.
func (s Store) takeKeys(node *membershipv1.Node) error {
	if err := s.takeKey(node.NodeKey, tx.UseNode, node.Name); err != nil {
		return err
	}
	if len(node.ValidatorKey) == 0 {
		return nil
	}
	return s.takeKey(node.ValidatorKey, tx.UseValidator, node.Name)
}

func (s Store) takeKey(key []byte, use tx.Use, node string) error {
	if err := s.requireUnused(key); err != nil {
		return err
	}
	return s.useKey(key, use, node)
}

const spreadInstead = "ask for the removal to be spread, which takes the power now and cuts off when that has worked"

// RemoveNode strikes a node for good: NOT_FOUND, WRONG_STATUS, VOTE_REQUIRED, ROLE_REQUIRED, QUORUM_LOST. It is cut off when
// the block is committed; a validator, with spread, a block later, when the sets without it have taken over.
func RemoveNode(env *exec.Env, s Store, who accounts.Reader, op *membershipv1.RemoveNode) error {
	node, _, err := s.changeable(env, who, op.Name)
	if err != nil {
		return err
	}
	seats, err := s.requireSeats()
	if err != nil {
		return err
	}
	if err := s.strike(env, seats, node, op.Spread); err != nil {
		return err
	}
	if err := s.unlistNode(node.Org, node.Name); err != nil {
		return err
	}
	if err := checkSuccessors(seats, env.Height); err != nil {
		return err
	}
	// Who holds no seat in the fixed sets is not missed.
	if sits(seats, node.Name, env.Height) || sits(seats, node.Name, env.Height+1) {
		if err := s.checkCut(env.Height, who, seats, spreadInstead); err != nil {
			return err
		}
	}
	return s.setSeats(seats, env.Height)
}

// strike makes a listed node a removed one. Its seat ends, and its keys are retired.
func (s Store) strike(env *exec.Env, seats *membershipv1.Seats, node *membershipv1.Node, spread bool) error {
	effective := env.Height + 1
	if len(node.ValidatorKey) > 0 {
		if endSeat(seats, env.Height, node.ValidatorKey) > 0 {
			effective = env.Height + delay
		}
		if err := s.retireKey(node.ValidatorKey, env.Height+delay); err != nil {
			return err
		}
	}
	node.RemovedHeight = env.Height
	if spread && sits(seats, node.Name, env.Height+1) {
		node.RemovedHeight = env.Height + 1
	}
	if err := s.retireKey(node.NodeKey, node.RemovedHeight+1); err != nil {
		return err
	}
	seats.Nodes--
	if err := s.record(env, kindRemove, node, effective); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_NodeRemoved{
		NodeRemoved: &membershipv1.NodeRemoved{Name: node.Name, Org: node.Org, RemovedHeight: node.RemovedHeight},
	}})
	return nil
}

// SetAddresses replaces the addresses of a node: NOT_FOUND, WRONG_STATUS, VOTE_REQUIRED, ROLE_REQUIRED.
func SetAddresses(env *exec.Env, s Store, who accounts.Reader, op *membershipv1.SetAddresses) error {
	node, _, err := s.changeable(env, who, op.Name)
	if err != nil {
		return err
	}
	node.Addresses = op.Addresses
	return s.changed(env, kindAddresses, node, env.Height+1)
}

// SetPower changes the power of a validator: NOT_FOUND, WRONG_STATUS where it has no validator key, VOTE_REQUIRED,
// ROLE_REQUIRED, BEYOND_ALLOTMENT, LIMIT_REACHED, QUORUM_LOST. The power counts from the block after the next one on, or, if
// its org is suspended, when that is resumed.
func SetPower(env *exec.Env, s Store, who accounts.Reader, op *membershipv1.SetPower) error {
	node, org, err := s.changeable(env, who, op.Name)
	if err != nil {
		return err
	}
	if op.Power > 0 {
		if err := requireTrusted(env, node); err != nil {
			return err
		}
		if len(node.ValidatorKey) == 0 {
			return tx.Reject(ledgerv1.Code_CODE_WRONG_STATUS,
				"%s has no validator key: give it one first, by rotating its validator key", node.Name)
		}
	}
	if op.Power > node.Power {
		if err := s.requireRoom(env, org, 0, op.Power-node.Power); err != nil {
			return err
		}
	}
	node.Power = op.Power
	if org.Status != active {
		return s.changed(env, kindPower, node, env.Height+1)
	}
	seats, err := s.requireSeats()
	if err != nil {
		return err
	}
	endSeat(seats, env.Height, node.ValidatorKey)
	if node.Power > 0 {
		giveSeat(seats, env.Height, node.ValidatorKey, node.Name, node.Power)
	}
	if err := checkSuccessors(seats, env.Height); err != nil {
		return err
	}
	if err := s.setSeats(seats, env.Height); err != nil {
		return err
	}
	return s.changed(env, kindPower, node, env.Height+delay)
}

// record writes a node and remembers what was done to it.
func (s Store) record(env *exec.Env, kind string, node *membershipv1.Node, effective uint64) error {
	c := change(env, kind, node.Org, effective)
	c.Node = node
	if err := s.remember(ofNode, node.Name, c); err != nil {
		return err
	}
	return s.setNode(node)
}

// changed is record with the event that goes with most operations.
func (s Store) changed(env *exec.Env, kind string, node *membershipv1.Node, effective uint64) error {
	if err := s.record(env, kind, node, effective); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_NodeChanged{
		NodeChanged: &membershipv1.NodeChanged{Node: node, EffectiveHeight: effective},
	}})
	return nil
}

// checkCut rejects with QUORUM_LOST when those who stay connected would miss the nodes that are cut off after the block. Nodes
// and orgs have been written; the seats are those that will be.
func (s Store) checkCut(height uint64, who accounts.Reader, seats *membershipv1.Seats, remedy string) error {
	away := make(map[string]bool)
	status := make(map[string]accountsv1.OrgStatus)
	for _, seat := range seats.Seats {
		if _, known := away[seat.Node]; known {
			continue
		}
		node, err := s.requireNode(seat.Node)
		if err != nil {
			return err
		}
		if _, known := status[node.Org]; !known {
			org, err := who.Org(node.Org)
			if err != nil {
				return err
			}
			status[node.Org] = org.GetStatus()
		}
		away[seat.Node] = !admitted(node, status[node.Org], height)
	}
	return checkReach(seats, height, away, remedy)
}

// admitted reports whether a node may connect when the block of the height is the newest that is committed. A removed node
// is there up to its last block, unless its org was suspended before.
func admitted(node *membershipv1.Node, org accountsv1.OrgStatus, height uint64) bool {
	if node.RemovedHeight == 0 {
		return org == active
	}
	return height < node.RemovedHeight && org != suspended
}
