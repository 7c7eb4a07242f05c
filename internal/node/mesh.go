package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/p2p"
)

// mesh keeps the list of who may connect as the ledger says it should be.
//
// A node that is behind must not shut out today's members, nor hang up on them while it replays what has long been undone.
// Until it has caught up it admits everybody it knows of: those the ledger lists as far as it has got, those it has listed
// on the way, and those of the ticket it was joined with, if that is newer. From then on the ledger's list is the list.
type mesh struct {
	log   *slog.Logger
	seeds home.Members

	ledger  atomic.Pointer[membership.Registry]
	machine atomic.Pointer[app.App] // nil until the state machine is made

	mu       sync.Mutex // held while the list is made
	registry *p2p.Registry
	settled  bool // the node has caught up
}

// publish takes the ledger's list. The state machine calls it after the commit that changed it.
func (m *mesh) publish(ledger *membership.Registry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ledger.Store(ledger)
	m.update()
}

// settle notes whether the node has caught up.
func (m *mesh) settle(caughtUp bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.settled != caughtUp {
		m.settled = caughtUp
		m.update()
	}
}

// update makes the list anew. A list that cannot be is an error of ours: the old one stays.
func (m *mesh) update() {
	ledger := m.ledger.Load()
	list := members(ledger)
	if !m.settled {
		list = m.widen(list, ledger.Height)
	}
	var err error
	if m.registry == nil {
		m.registry, err = p2p.NewRegistry(list)
	} else {
		err = m.registry.Set(list, m.reasons(list)...)
	}
	if err != nil {
		m.log.Error("cannot follow the ledger's list of members", "height", ledger.Height, "error", err)
	}
}

// widen adds to the ledger's list of a height whoever else is known.
func (m *mesh) widen(list []p2p.Member, height uint64) []p2p.Member {
	if m.seeds.AsOf >= height {
		var seeds []p2p.Member
		for _, s := range m.seeds.Nodes {
			seeds = append(seeds, p2p.Member{Name: s.Name, Org: s.Org, ID: p2p.NodeID(s.NodeKey), Addresses: s.Addresses})
		}
		list = union(seeds, list)
	}
	if m.registry == nil {
		return list
	}
	return union(list, m.registry.Members())
}

// union adds to a list the members of an older one. Of a node that stands in both, both keys are admitted.
func union(list, older []p2p.Member) []p2p.Member {
	byName, ids := make(map[string]int, len(list)), make(map[string]bool, len(list))
	for i, member := range list {
		byName[member.Name] = i
		ids[member.ID], ids[member.FormerID] = true, true
	}
	for _, o := range older {
		i, known := byName[o.Name]
		switch {
		case ids[o.ID]:
		case known && list[i].FormerID == "":
			list[i].FormerID = o.ID
		case !known && len(list) < p2p.MaxMembers:
			if ids[o.FormerID] {
				o.FormerID = ""
			}
			list = append(list, o)
		}
		ids[o.ID] = true
	}
	return list
}

// reasons says why those are gone who were listed and are not in the new list.
func (m *mesh) reasons(list []p2p.Member) (gone []p2p.Gone) {
	machine := m.machine.Load()
	if machine == nil {
		return nil
	}
	view, err := machine.View(0)
	if err != nil {
		return nil // a reason is for people; the list does without
	}
	defer view.Release()
	for _, was := range m.registry.Members() {
		if slices.ContainsFunc(list, func(is p2p.Member) bool { return is.Name == was.Name }) {
			continue
		}
		reason := "node removed"
		if org, err := accounts.Read(view).Org(was.Org); err == nil && org.GetStatus() > 1 {
			reason = fmt.Sprintf("org %s %s: %s", was.Org, statusText(org), cmp.Or(org.StatusReason, "no reason given"))
		}
		gone = append(gone, p2p.Gone{Name: was.Name, Reason: reason})
	}
	return gone
}

// members is the ledger's list as the mesh wants it.
func members(ledger *membership.Registry) []p2p.Member {
	list := make([]p2p.Member, 0, len(ledger.Nodes))
	for _, n := range ledger.Nodes {
		member := p2p.Member{Name: n.Name, Org: n.Org, ID: p2p.NodeID(n.NodeKey), Addresses: n.Addresses}
		if former := ledger.FormerKey(n); former != nil {
			member.FormerID = p2p.NodeID(former)
		}
		list = append(list, member)
	}
	return list
}

// settleInterval is how often the node looks whether it has caught up.
const settleInterval = 100 * time.Millisecond

// run follows whether the node has caught up, and ends when the node can follow no more: the ledger has removed it, or the
// next block has rules that this program does not know.
func (m *mesh) run(ctx context.Context, e *engine, self string) error {
	tick := time.NewTicker(settleInterval)
	defer tick.Stop()
	anchored := len(m.seeds.BlockHash) == 0
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if !anchored && m.machine.Load().Height() >= m.seeds.AsOf {
			var err error
			if anchored, err = m.anchor(e); err != nil {
				return err
			}
		}
		m.settle(e.caughtUp(e.node.Load().Status()))
		if err := m.machine.Load().Outdated(); err != nil {
			return err
		}
		if _, err := m.standing(self); err != nil {
			return err
		}
	}
}

// errOtherHistory is returned when the blocks that this node was shown do not contain the one in its ticket.
var errOtherHistory = errors.New("this node was shown another history than the one in its ticket")

// anchor compares the block in the ticket with the one that this node has. It reports false when there is no saying yet.
func (m *mesh) anchor(e *engine) (bool, error) {
	b, err := e.node.Load().Block(int64(m.seeds.AsOf))
	switch {
	case errors.Is(err, consensus.ErrPruned):
		return true, nil // it was compared when it came
	case errors.Is(err, consensus.ErrNotReady):
		return false, nil // the engine is being made anew
	case err != nil:
		return false, fmt.Errorf("read block %d, which the ticket names: %w", m.seeds.AsOf, err)
	case !bytes.Equal(b.Hash, m.seeds.BlockHash):
		return false, fmt.Errorf("%w: block %d is %x, the ticket says %x; ask whoever gave you the ticket, and those whose nodes you reach",
			errOtherHistory, m.seeds.AsOf, b.Hash, m.seeds.BlockHash)
	}
	return true, nil
}

// errRemoved is returned when the ledger has removed this node for good: nobody will ever talk to it again.
var errRemoved = errors.New("the ledger has removed this node")

// standing says what the ledger says of this node: nothing where it lists it, otherwise what the node waits for. The error is
// [errRemoved], or a failure.
func (m *mesh) standing(self string) (waiting string, err error) {
	ledger := m.ledger.Load()
	if ledger.Listed(self) != nil {
		return "", nil
	}
	view, err := m.machine.Load().View(0)
	if err != nil {
		return "", err
	}
	defer view.Release()
	node, err := membership.Read(view).Node(self)
	if err != nil {
		return "", err
	}
	if node == nil {
		return fmt.Sprintf("the ledger does not list %s at height %d: a member has to propose it, see `althing network join --help`",
			self, view.Height()), nil
	}
	if node.RemovedHeight > 0 && node.RemovedHeight <= view.Height() {
		return "", fmt.Errorf("%w: %s, in block %d; a node that comes back needs another name and other keys", errRemoved, self, node.RemovedHeight)
	}
	org, err := accounts.Read(view).Org(node.Org)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("the org %s is %s since block %d (%s): its nodes are not admitted",
		node.Org, statusText(org), org.GetStatusHeight(), cmp.Or(org.GetStatusReason(), "no reason given")), nil
}
