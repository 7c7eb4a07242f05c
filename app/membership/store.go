package membership

import (
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/state"
)

// Reader reads the registry of nodes. Its errors are I/O failures or corruption.
type Reader struct{ kv state.Reader }

// Read returns a reader over kv.
func Read(kv state.Reader) Reader { return Reader{kv} }

// Node returns a node, nil if there is none of that name.
func (r Reader) Node(name string) (*membershipv1.Node, error) {
	node := new(membershipv1.Node)
	if found, err := exec.Get(r.kv, nodeKey(name), node); err != nil || !found {
		return nil, err
	}
	return node, nil
}

// Store reads and writes the registry of nodes.
type Store struct {
	Reader
	out state.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

func (s Store) setNode(node *membershipv1.Node) error {
	return exec.Put(s.out, nodeKey(node.Name), node)
}

// List returns all nodes in the order of their names, at most [MaxNodes].
func List(kv exec.Scanner) ([]*membershipv1.Node, error) {
	var nodes []*membershipv1.Node
	start, end := state.PrefixRange(nodeRange())
	err := kv.Scan(start, end, func(_, value []byte) (bool, error) {
		if len(nodes) == MaxNodes {
			return false, fmt.Errorf("the registry holds more than %d nodes", MaxNodes)
		}
		node := new(membershipv1.Node)
		nodes = append(nodes, node)
		return true, exec.Decode(value, node)
	})
	if err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	return nodes, nil
}
