package membership

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// Registry is who may connect and who votes, as of a committed block. It never changes, nor does what it points to: any
// goroutine may read it.
type Registry struct {
	// Height of the newest committed block when it was loaded.
	Height uint64
	// Nodes are those that may connect, in the order of their names.
	Nodes []*membershipv1.Node
	// Seats of the validators of Height and later.
	Seats *membershipv1.Seats

	time      int64  // of the newest committed block when it was loaded, nanoseconds since 1970, UTC
	until     uint64 // the first height at which a node of Nodes is cut off without another change
	untilTime int64  // the first block time at which a key of Nodes is not admitted any more
}

// Load reads the registry from a view whose newest committed block has the given height and time (nanoseconds since 1970,
// UTC). It reads the orgs and the nodes that are listed, however many were removed.
func Load(view exec.Scanner, height uint64, blockTime int64) (*Registry, error) {
	orgs, err := accounts.Orgs(view)
	if err != nil {
		return nil, fmt.Errorf("load the registry: %w", err)
	}
	r := &Registry{Height: height, time: blockTime, until: math.MaxUint64, untilTime: math.MaxInt64}
	reader := Read(view)
	status := make(map[string]accountsv1.OrgStatus, len(orgs))
	for _, org := range orgs {
		status[org.Name] = org.Status
		if org.Status != active {
			continue
		}
		nodes, err := reader.nodesOf(org.Name)
		if err != nil {
			return nil, fmt.Errorf("load the registry: %w", err)
		}
		for _, node := range nodes {
			r.admit(node)
		}
	}
	seats, err := reader.requireSeats()
	if err != nil {
		return nil, fmt.Errorf("load the registry: %w", err)
	}
	r.Seats = seats
	// A removed node that is still there has a seat in the set that is at work.
	for _, seat := range SeatsAt(seats, height+1) {
		if slices.ContainsFunc(r.Nodes, func(n *membershipv1.Node) bool { return n.Name == seat.Node }) {
			continue
		}
		node, err := reader.requireNode(seat.Node)
		if err != nil {
			return nil, fmt.Errorf("load the registry: %w", err)
		}
		if admitted(node, status[node.Org], height) {
			r.admit(node)
		}
	}
	slices.SortFunc(r.Nodes, func(a, b *membershipv1.Node) int { return strings.Compare(a.Name, b.Name) })
	return r, nil
}

func (r *Registry) admit(node *membershipv1.Node) {
	if r.FormerKey(node) != nil {
		r.untilTime = min(r.untilTime, node.FormerNodeKeyUntil)
	}
	if node.RemovedHeight != 0 {
		r.until = min(r.until, node.RemovedHeight)
	}
	r.Nodes = append(r.Nodes, node)
}

// FormerKey returns the Ed25519 key that admits a node of Nodes beside its own while that is being rotated, nil if none does.
func (r *Registry) FormerKey(node *membershipv1.Node) []byte {
	if len(node.FormerNodeKey) == 0 || r.time >= node.FormerNodeKeyUntil {
		return nil
	}
	return node.FormerNodeKey
}

// Listed returns the node of that name that may connect, nil if there is none.
func (r *Registry) Listed(name string) *membershipv1.Node {
	i, found := slices.BinarySearchFunc(r.Nodes, name, func(n *membershipv1.Node, name string) int {
		return strings.Compare(n.Name, name)
	})
	if !found {
		return nil
	}
	return r.Nodes[i]
}

// Validators returns the set of validators of a height from Height on, in the order of their keys. Sets above Height+2 are
// what they will be unless something changes.
func (r *Registry) Validators(height uint64) []*membershipv1.Seat {
	return SeatsAt(r.Seats, height)
}

// Stale reports whether the registry has to be loaded again at a newer block, although none since has changed it: a node's
// last block has come, or a key that was being replaced has had its time.
func (r *Registry) Stale(height uint64, blockTime int64) bool {
	return height >= r.until || blockTime >= r.untilTime
}
