package membership

import (
	"errors"
	"fmt"
	"slices"

	"github.com/althing-ledger/althing/app/exec"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// Genesis writes the nodes that a network starts with, given the names of its orgs. The error joins all problems, each
// naming the entry; nothing is written then.
func Genesis(kv exec.KV, orgs []string, nodes []*membershipv1.AddNode) error {
	known := make(map[string]bool, len(orgs))
	for _, org := range orgs {
		known[org] = true
	}
	var problems []error
	bad := func(i int, node *membershipv1.Node, format string, args ...any) {
		// Not wrapped: a mistake in a document is no verdict on a transaction.
		problems = append(problems, fmt.Errorf("nodes[%d] (%.40s): %s", i, node.GetName(), fmt.Sprintf(format, args...)))
	}
	if len(nodes) > MaxNodes {
		return fmt.Errorf("nodes: there are %d, at most %d are allowed", len(nodes), MaxNodes)
	}
	seen := make(map[string]bool, len(nodes))
	keyOf := make(map[string]string, 2*len(nodes)) // key to the node that has it
	validators := 0
	for i, op := range nodes {
		node := op.GetNode()
		if err := CheckAddNode(op); err != nil {
			bad(i, node, "%v", err)
			continue
		}
		if seen[node.Name] {
			bad(i, node, "listed twice: node names are unique on the ledger")
			continue
		}
		seen[node.Name] = true
		if !known[node.Org] {
			bad(i, node, "its org %s is not listed in orgs", node.Org)
		}
		for _, key := range []struct {
			field string
			bytes []byte
		}{{"node_key", node.NodeKey}, {"validator_key", node.ValidatorKey}} {
			if len(key.bytes) == 0 {
				continue
			}
			if owner, used := keyOf[string(key.bytes)]; used {
				bad(i, node, "%s is a key of %s already: every node and every validator has a key of its own", key.field, owner)
			}
			keyOf[string(key.bytes)] = node.Name
		}
		if node.Power > 0 {
			validators++
		}
	}
	if validators == 0 || validators > MaxValidators {
		problems = append(problems, fmt.Errorf("nodes: %d of them are validators: list 1 to %d with validator_key and power",
			validators, MaxValidators))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	return Open(kv).writeGenesis(orgs, nodes)
}

// writeGenesis writes nodes that are in order. The sets of the heights 1 and 2 are those of the genesis.
func (s Store) writeGenesis(orgs []string, nodes []*membershipv1.AddNode) error {
	seats := &membershipv1.Seats{Nodes: uint32(len(nodes))}
	namesOf := make(map[string][]string, len(orgs))
	for _, op := range nodes {
		node := op.Node
		if err := s.setNode(node); err != nil {
			return err
		}
		if err := s.takeKeys(node); err != nil {
			return err
		}
		namesOf[node.Org] = append(namesOf[node.Org], node.Name)
		if node.Power > 0 {
			seats.Seats = append(seats.Seats, &membershipv1.Seat{
				ValidatorKey: node.ValidatorKey, Node: node.Name, Power: node.Power, FromHeight: 1,
			})
		}
	}
	for _, org := range orgs {
		if len(namesOf[org]) == 0 {
			continue
		}
		slices.Sort(namesOf[org])
		if err := s.setOrgNodes(org, namesOf[org]); err != nil {
			return err
		}
	}
	return s.setSeats(seats, 0)
}
