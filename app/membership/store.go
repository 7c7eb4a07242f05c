package membership

import (
	"fmt"
	"slices"

	"github.com/althing-ledger/althing/app/exec"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Reader reads the registry of nodes. Its errors are I/O failures or corruption.
type Reader struct{ kv exec.Reader }

// Read returns a reader over kv.
func Read(kv exec.Reader) Reader { return Reader{kv} }

// Node returns a node, removed or not, nil if there was never one of that name.
func (r Reader) Node(name string) (*membershipv1.Node, error) {
	node := new(membershipv1.Node)
	if found, err := exec.Get(r.kv, nodeKey(name), node); err != nil || !found {
		return nil, err
	}
	return node, nil
}

// Seats returns the validators of the newest heights, nil before the genesis is written.
func (r Reader) Seats() (*membershipv1.Seats, error) {
	seats := new(membershipv1.Seats)
	if found, err := exec.Get(r.kv, seatsKey(), seats); err != nil || !found {
		return nil, err
	}
	return seats, nil
}

// NodesOf returns the names of the listed nodes of an org in ascending order.
func (r Reader) NodesOf(org string) ([]string, error) {
	names := new(membershipv1.OrgNodes)
	_, err := exec.Get(r.kv, orgNodesKey(org), names)
	return names.Names, err
}

// KeyUse returns what the key with that address (the first 20 bytes of its SHA-256) is or was registered for, nil if it
// never was.
func (r Reader) KeyUse(address []byte) (*membershipv1.KeyUse, error) {
	if len(address) != addressSize {
		return nil, nil
	}
	use := new(membershipv1.KeyUse)
	if found, err := exec.Get(r.kv, keyUseKey(address), use); err != nil || !found {
		return nil, err
	}
	return use, nil
}

// requireNode returns a node that the registry itself names.
func (r Reader) requireNode(name string) (*membershipv1.Node, error) {
	node, err := r.Node(name)
	if err == nil && node == nil {
		err = fmt.Errorf("membership: the node %s is missing", name)
	}
	return node, err
}

func (r Reader) requireSeats() (*membershipv1.Seats, error) {
	seats, err := r.Seats()
	if err == nil && seats == nil {
		err = fmt.Errorf("membership: the seats are missing")
	}
	return seats, err
}

// nodesOf returns the listed nodes of an org in the order of their names.
func (r Reader) nodesOf(org string) ([]*membershipv1.Node, error) {
	names, err := r.NodesOf(org)
	if err != nil {
		return nil, err
	}
	nodes := make([]*membershipv1.Node, 0, len(names))
	for _, name := range names {
		node, err := r.requireNode(name)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// Store reads and writes the registry of nodes.
type Store struct {
	Reader
	out exec.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

func (s Store) setNode(node *membershipv1.Node) error {
	return exec.Put(s.out, nodeKey(node.Name), node)
}

// setSeats writes the seats in their order, without those that ended with the block or before.
func (s Store) setSeats(seats *membershipv1.Seats, height uint64) error {
	tidy(seats, height)
	return exec.Put(s.out, seatsKey(), seats)
}

// setOrgNodes writes the names of the listed nodes of an org, which are in order.
func (s Store) setOrgNodes(org string, names []string) error {
	if len(names) == 0 {
		s.out.Delete(orgNodesKey(org))
		return nil
	}
	return exec.Put(s.out, orgNodesKey(org), &membershipv1.OrgNodes{Names: names})
}

func (s Store) listNode(org, name string) error {
	names, err := s.NodesOf(org)
	if err != nil {
		return err
	}
	at, _ := slices.BinarySearch(names, name)
	return s.setOrgNodes(org, slices.Insert(names, at, name))
}

func (s Store) unlistNode(org, name string) error {
	names, err := s.NodesOf(org)
	if err != nil {
		return err
	}
	at, found := slices.BinarySearch(names, name)
	if !found {
		return fmt.Errorf("membership: the node %s is not among those of %s", name, org)
	}
	return s.setOrgNodes(org, slices.Delete(names, at, at+1))
}

// useKey remembers a key for ever. It has been found unused.
func (s Store) useKey(key []byte, use tx.Use, node string) error {
	return exec.Put(s.out, keyUseKey(Address(key)), &membershipv1.KeyUse{Key: key, Node: node, Use: string(use)})
}

// retireKey notes from which height on a key is used no more.
func (s Store) retireKey(key []byte, height uint64) error {
	use, err := s.KeyUse(Address(key))
	if err != nil {
		return err
	}
	if use == nil {
		return fmt.Errorf("membership: the use of the key %x is missing", key)
	}
	use.RetiredHeight = height
	return exec.Put(s.out, keyUseKey(Address(key)), use)
}
