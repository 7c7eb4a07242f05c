package membership

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Examine compares the leaves of the registry with one another, in the state after the block of the given height, and
// returns what does not fit. The error is an I/O failure or corruption. It reads every node that was ever listed.
func Examine(kv exec.Scanner, height uint64) ([]string, error) {
	e := examination{Reader: Read(kv)}
	orgs, err := accounts.Orgs(kv)
	if err != nil {
		return nil, err
	}
	if e.seats, err = e.requireSeats(); err != nil {
		return nil, err
	}
	e.next = SeatsAt(e.seats, height+delay)
	if n := len(e.next); n == 0 || n > MaxValidators {
		e.add("there are %d validators at height %d", n, height+delay)
	}
	listed := make(map[string]bool)
	for _, org := range orgs {
		names, err := e.NodesOf(org.Name)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			listed[name] = true
			if err := e.node(org, name); err != nil {
				return nil, err
			}
		}
	}
	for _, seat := range e.next {
		e.add("the seat of %s at height %d has no node to it", seat.Node, height+delay)
	}
	if int(e.seats.Nodes) != len(listed) {
		e.add("%d nodes are counted, and %d are listed", e.seats.Nodes, len(listed))
	}
	start, end := keyspace.PrefixRange(nodeRange())
	err = kv.Scan(start, end, func(_, value []byte) (bool, error) {
		node := new(membershipv1.Node)
		if err := exec.Decode(value, node); err != nil {
			return false, err
		}
		if (node.RemovedHeight == 0) != listed[node.Name] {
			e.add("%s was removed at height %d, and listed by its org: %t", node.Name, node.RemovedHeight, listed[node.Name])
		}
		return true, nil
	})
	return e.found, err
}

type examination struct {
	Reader
	seats *membershipv1.Seats
	next  []*membershipv1.Seat // those that no node has been found for
	found []string
}

func (e *examination) add(format string, args ...any) {
	e.found = append(e.found, fmt.Sprintf(format, args...))
}

// node examines a listed node of an org.
func (e *examination) node(org *accountsv1.Org, name string) error {
	node, err := e.requireNode(name)
	if err != nil {
		return err
	}
	if node.Org != org.Name {
		e.add("%s is a node of %s and listed by %s", name, node.Org, org.Name)
	}
	if err := e.key(node, node.NodeKey, tx.UseNode); err != nil {
		return err
	}
	if len(node.ValidatorKey) > 0 {
		if err := e.key(node, node.ValidatorKey, tx.UseValidator); err != nil {
			return err
		}
	}
	at := slices.IndexFunc(e.next, func(s *membershipv1.Seat) bool { return s.Node == name })
	votes := org.Status == active && node.Power > 0
	if votes != (at >= 0) {
		e.add("%s of the %s org %s has power %d and a seat: %t", name, accounts.StatusText(org.Status), org.Name, node.Power, at >= 0)
	}
	if at < 0 {
		return nil
	}
	if seat := e.next[at]; seat.Power != node.Power || !bytes.Equal(seat.ValidatorKey, node.ValidatorKey) {
		e.add("the seat of %s has the key %x and power %d, the node %x and %d", name, seat.ValidatorKey, seat.Power,
			node.ValidatorKey, node.Power)
	}
	e.next = slices.Delete(e.next, at, at+1)
	return nil
}

func (e *examination) key(node *membershipv1.Node, key []byte, want tx.Use) error {
	use, err := e.KeyUse(Address(key))
	if err != nil {
		return err
	}
	if use == nil || !bytes.Equal(use.Key, key) || use.Node != node.Name || use.Use != string(want) || use.RetiredHeight != 0 {
		e.add("the %s key %x of %s is remembered as %v", want, key, node.Name, use)
	}
	return nil
}
