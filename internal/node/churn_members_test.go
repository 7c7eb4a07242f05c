package node_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/althing-ledger/althing/internal/home"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/testnet"
)

func (c *churn) admitOrg() error {
	if !c.room() || c.voting() >= most || !c.suffices(nil, map[string]uint64{"a new node": 10}) {
		return errNotNow
	}
	org := &churnOrg{name: fmt.Sprintf("new%d", len(c.orgs))}
	n, member := c.newNode(org, false)
	ops := []*ledgerv1.Operation{
		{Kind: &ledgerv1.Operation_OrgAdmit{OrgAdmit: &accountsv1.AdmitOrg{Name: org.name, Accounts: member.Accounts}}},
		{Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: member.Nodes[0]}},
	}
	before := c.rng.IntN(2) == 0
	if before {
		c.run(n)
	}
	height, _, err := c.decide(nil, ops...)
	if err != nil {
		n.removed = true
		return errors.Join(err, n.halt())
	}
	c.orgs = append(c.orgs, org)
	if !before {
		c.run(n)
	}
	c.follows(n, height)
	for _, other := range c.followers() {
		c.follows(other, height) // so that none refuses what the new accounts sign
	}
	c.startPaying(org)
	return nil
}

// newNode makes a home that was joined with a ticket, or knows the genesis document alone where that is enough.
func (c *churn) newNode(org *churnOrg, observer bool) (*churnNode, *home.Member) {
	c.t.Helper()
	c.listing.Lock()
	added, err := c.files.AddNode(testnet.AddOptions{Org: org.name, Observer: observer})
	c.listing.Unlock()
	if err != nil {
		c.t.Fatal(err)
	}
	dir := home.Dir(added.Home)
	if err := os.Remove(dir.Members()); err != nil {
		c.t.Fatal(err)
	}
	old := c.nodesWhere(func(n *churnNode) bool { return n.first && n.up() && n.admitted() })
	c.did = added.Name + " by its genesis"
	if len(old) == 0 || c.rng.IntN(2) == 0 {
		c.did = added.Name + " by a ticket"
		if err := os.Remove(dir.Genesis()); err != nil {
			c.t.Fatal(err)
		}
		if err := home.Complete(added.Home, c.ticket()); err != nil {
			c.t.Fatal(err)
		}
	}
	member, err := home.ReadMember(added.MemberFile)
	if err != nil {
		c.t.Fatal(err)
	}
	listed := c.files.File.Nodes[len(c.files.File.Nodes)-1]
	n := c.adopt(c.add(listed), org)
	c.version.Add(1)
	return n, member
}

// act has the org of a node do something for itself, or lets all vote on it.
func (c *churn) act(org *churnOrg, op *ledgerv1.Operation) (uint64, []*ledgerv1.Event, error) {
	c.t.Helper()
	if org.active() && c.rng.IntN(2) == 0 {
		c.did += " by itself"
		return c.send(org.admin(), op)
	}
	c.did += " by vote"
	return c.decide(org, op)
}

func (c *churn) addNode() error {
	org, observer := pick(c, c.activeOrgs()), c.rng.IntN(2) == 0
	if !c.room() || (!observer && (c.voting() >= most || !c.suffices(nil, map[string]uint64{"a new node": 10}))) {
		return errNotNow
	}
	n, member := c.newNode(org, observer)
	height, _, err := c.act(org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: member.Nodes[0]}})
	if err != nil {
		n.removed = true
		return err
	}
	c.run(n)
	c.follows(n, height)
	return nil
}

func (c *churn) removeNode() error {
	n := pick(c, c.nodesWhere(func(n *churnNode) bool { return !n.removed }))
	_, next := c.seats()
	if next[n.name] > 0 && len(next) <= fewest || (!c.allUp() && !c.suffices([]*churnNode{n}, map[string]uint64{n.name: 0})) {
		return errNotNow
	}
	spread := c.rng.IntN(2) == 0
	c.did = fmt.Sprintf("%s spread=%v", n.name, spread)
	height, events, err := c.act(n.org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRemove{NodeRemove: &membershipv1.RemoveNode{Name: n.name, Spread: spread}}})
	if err != nil {
		return err
	}
	c.struck(height, events, n)
	return nil
}

// replaceNode removes a node and lists another one of the same org in one proposal.
func (c *churn) replaceNode() error {
	old := pick(c, c.nodesWhere((*churnNode).admitted))
	_, next := c.seats()
	if next[old.name] == 0 || !c.suffices([]*churnNode{old}, map[string]uint64{old.name: 0, "a new node": 10}) {
		return errNotNow
	}
	n, member := c.newNode(old.org, false)
	before, spread := c.rng.IntN(2) == 0, c.rng.IntN(2) == 0
	c.did += fmt.Sprintf(" for %s spread=%v", old.name, spread)
	if before {
		c.run(n)
	}
	height, events, err := c.decide(old.org,
		&ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRemove{NodeRemove: &membershipv1.RemoveNode{Name: old.name, Spread: spread}}},
		&ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: member.Nodes[0]}})
	if err != nil {
		n.removed = true
		return errors.Join(err, n.halt())
	}
	if !before {
		c.run(n)
	}
	c.struck(height, events, old)
	c.follows(n, height)
	return nil
}

func (c *churn) nodesOf(org *churnOrg) []*churnNode {
	return c.nodesWhere(func(n *churnNode) bool { return n.org == org && !n.removed })
}

// struck follows the removal of nodes.
func (c *churn) struck(height uint64, events []*ledgerv1.Event, nodes ...*churnNode) {
	c.t.Helper()
	for _, e := range events {
		if removed := e.GetNodeRemoved(); removed != nil {
			height = max(height, removed.RemovedHeight)
		}
	}
	for _, n := range nodes {
		n.removed = true
	}
	c.cut(height, nodes...)
	for _, n := range nodes {
		// It may not have got the block that removes it: then it waits.
		if err := n.halt(); err != nil && !strings.Contains(err.Error(), "the ledger has removed this node") {
			c.t.Errorf("%s ended with %v", n.name, err)
		}
	}
}

// cut waits until every member has closed its connections to some nodes, which are no members from a height on.
func (c *churn) cut(height uint64, nodes ...*churnNode) {
	c.t.Helper()
	var wg sync.WaitGroup
	began := time.Now()
	for _, m := range c.followers() {
		wg.Go(func() {
			var since time.Time
			for tick := time.NewTicker(5 * time.Millisecond); !c.t.Failed(); <-tick.C {
				ctx, cancel := context.WithTimeout(c.t.Context(), patience)
				status, err := m.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
				cancel()
				if err != nil || status.Height < height {
					if time.Since(began) > patience {
						c.t.Errorf("%s does not come to block %d: %v", m.name, height, err)
						return
					}
					continue // it may have been started a moment ago
				}
				if since.IsZero() {
					since = time.Now()
				}
				connected := slices.ContainsFunc(status.Peers, func(p *ledgerv1.Peer) bool {
					return slices.ContainsFunc(nodes, func(n *churnNode) bool { return n.name == p.Name })
				})
				if !connected {
					return
				}
				if time.Since(since) > cutLimit {
					c.t.Errorf("%s is still connected to one of %d nodes, %v after it had block %d", m.name, len(nodes), cutLimit, height)
					return
				}
			}
		})
	}
	wg.Wait()
}

func powers(nodes []*churnNode, power uint64) map[string]uint64 {
	all := map[string]uint64{}
	for _, n := range nodes {
		all[n.name] = power
	}
	return all
}

func (c *churn) leaves(org *churnOrg) bool {
	nodes := c.nodesOf(org)
	_, next := c.seats()
	maps.Copy(next, powers(nodes, 0))
	maps.DeleteFunc(next, func(_ string, power uint64) bool { return power == 0 })
	return len(c.activeOrgs()) > 3 && len(next) >= fewest-1 && (c.allUp() || c.suffices(nodes, powers(nodes, 0)))
}

func (c *churn) removeOrg() error {
	org := pick(c, slices.DeleteFunc(slices.Clone(c.orgs), func(o *churnOrg) bool { return o.removed }))
	if !c.leaves(org) {
		return errNotNow
	}
	was := org.payer.excused.Swap(true)
	spread := c.rng.IntN(2) == 0
	c.did = fmt.Sprintf("%s spread=%v", org.name, spread)
	height, events, err := c.decide(org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgRemove{OrgRemove: &accountsv1.RemoveOrg{Name: org.name, Reason: "churn", Spread: spread}}})
	if err != nil {
		org.payer.excused.Store(was)
		return err
	}
	nodes := c.nodesOf(org)
	org.removed = true
	c.struck(height, events, nodes...)
	return nil
}

func (c *churn) suspendOrg() error {
	org := pick(c, c.activeOrgs())
	if !c.leaves(org) {
		return errNotNow
	}
	c.did = org.name
	org.payer.excused.Store(true)
	height, _, err := c.decide(org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgSuspend{OrgSuspend: &accountsv1.SuspendOrg{Name: org.name, Reason: "churn"}}})
	if err != nil {
		org.payer.excused.Store(false)
		return err
	}
	org.suspended = true
	c.cut(height, c.nodesOf(org)...)
	return nil
}

func (c *churn) resumeOrg() error {
	org := pick(c, slices.DeleteFunc(slices.Clone(c.orgs), func(o *churnOrg) bool { return !o.suspended || o.removed }))
	if org == nil {
		return errNotNow
	}
	// Its nodes need a moment to come back.
	if !c.suffices(nil, powers(c.nodesOf(org), 10)) {
		return errNotNow
	}
	c.did = org.name
	height, _, err := c.decide(nil, &ledgerv1.Operation{Kind: &ledgerv1.Operation_OrgResume{OrgResume: &accountsv1.ResumeOrg{Name: org.name, Reason: "churn"}}})
	if err != nil {
		return err
	}
	org.suspended = false
	for _, n := range c.followers() {
		c.follows(n, height)
	}
	org.payer.excused.Store(false)
	return nil
}
