package membership

import (
	"errors"
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// Genesis writes the nodes that a network starts with, given the names of its orgs. The error joins all problems, each
// naming the entry; nothing is written then.
func Genesis(kv exec.KV, orgs []string, nodes []*membershipv1.Node) error {
	known := make(map[string]bool, len(orgs))
	for _, org := range orgs {
		known[org] = true
	}
	var problems []error
	bad := func(i int, node *membershipv1.Node, format string, args ...any) {
		problems = append(problems, fmt.Errorf("nodes[%d] (%.40s): %w", i, node.GetName(), fmt.Errorf(format, args...)))
	}
	if len(nodes) > MaxNodes {
		return fmt.Errorf("nodes: there are %d, at most %d are allowed", len(nodes), MaxNodes)
	}
	seen := make(map[string]bool, len(nodes))
	keyOf := make(map[string]string, 2*len(nodes)) // key to the node that has it
	validators := 0
	for i, node := range nodes {
		if err := CheckNode(node); err != nil {
			bad(i, node, "%w", err)
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
	s := Open(kv)
	for _, node := range nodes {
		if err := s.setNode(node); err != nil {
			return err
		}
	}
	return nil
}
