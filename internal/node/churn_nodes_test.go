package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// rotateValidatorKey prepares a key in the home of a node, as the command does, and waits until the node votes with it.
func (c *churn) rotateValidatorKey() error {
	n := pick(c, c.nodesWhere((*churnNode).admitted))
	h, err := home.Load(n.home)
	if err != nil {
		return err
	}
	if h.Observer() {
		return errNotNow
	}
	c.did = fmt.Sprintf("%s up=%v", n.name, n.up())
	key, err := h.PrepareValidatorKey(c.t.Context())
	if err != nil {
		return err
	}
	op := &membershipv1.RotateValidatorKey{Name: n.name, ValidatorKey: key.PublicKey, ValidatorKeyProof: key.Proof}
	height, _, err := c.act(n.org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_ValidatorRotateKey{ValidatorRotateKey: op}})
	if err != nil {
		return err
	}
	if !n.up() {
		return nil
	}
	c.until(n.name+" votes with its new key", func(ctx context.Context) error {
		res, err := membershipv1.NewMembershipServiceClient(pick(c, c.followers()).conn).ListValidators(ctx, &membershipv1.ListValidatorsRequest{MinHeight: height + 2})
		if err != nil {
			return err
		}
		for _, v := range res.Validators {
			if v.Name == n.name && (!bytes.Equal(v.PublicKey, key.PublicKey) || v.LastSignedHeight < v.FromHeight) {
				return fmt.Errorf("it has signed block %d last, with %x since %d", v.LastSignedHeight, v.PublicKey, v.FromHeight)
			}
		}
		return nil
	})
	c.until("the former key of "+n.name+" is destroyed", func(context.Context) error {
		now, err := home.Load(n.home)
		if err == nil && (!bytes.Equal(now.ValidatorKey.Public().Bytes(), key.PublicKey) || !now.NextValidatorKey.IsZero()) {
			err = errNotYet
		}
		return err
	})
	return nil
}

// rotateNodeKey prepares a key in the home of a node, as the command does, and waits until the node is met under it.
func (c *churn) rotateNodeKey() error {
	n := pick(c, c.nodesWhere((*churnNode).admitted))
	h, err := home.Load(n.home)
	if err != nil {
		return err
	}
	// The mesh of the node is made anew, and meanwhile it does not vote.
	if n.up() && !c.suffices([]*churnNode{n}, nil) {
		return errNotNow
	}
	c.did = fmt.Sprintf("%s up=%v", n.name, n.up())
	key, err := h.PrepareNodeKey()
	if err != nil {
		return err
	}
	op := &membershipv1.RotateNodeKey{Name: n.name, NodeKey: key.PublicKey, NodeKeyProof: key.Proof}
	height, _, err := c.act(n.org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRotateKey{NodeRotateKey: op}})
	if err != nil {
		return err
	}
	n.first = false
	if !n.up() {
		return nil
	}
	c.until(n.name+" has its new node key", func(context.Context) error {
		now, err := home.Load(n.home)
		if err == nil && (!bytes.Equal(now.NodeKey.Public().Bytes(), key.PublicKey) || !now.NextNodeKey.IsZero()) {
			err = errNotYet
		}
		return err
	})
	c.follows(n, height)
	return nil
}

// rotateAccountKey gives the account that pays another key: the new one is added, the client signs with it, and when what
// it had signed with the old one is decided, that is revoked.
func (c *churn) rotateAccountKey() error {
	org := pick(c, c.activeOrgs())
	p := org.payer
	c.did = p.account
	fresh, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		return err
	}
	public := func(k keys.PrivateKey) *keysv1.PublicKey {
		return &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(k.Public().Scheme()), Key: k.Public().Bytes()}
	}
	height, _, err := c.send(org.admin(), &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountAddKey{AccountAddKey: &accountsv1.AddKey{
		Name: p.account, Key: &accountsv1.WeightedKey{PublicKey: public(fresh), Weight: 1},
	}}})
	if err != nil {
		return err
	}
	for _, n := range c.followers() {
		c.follows(n, height)
	}
	p.mu.Lock()
	old := p.key
	p.key = fresh
	p.mu.Unlock()
	_, _, err = c.send(org.admin(), &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountRevokeKey{AccountRevokeKey: &accountsv1.RevokeKey{
		Name: p.account, PublicKey: public(old),
	}}})
	return err
}

func (c *churn) stopNode() error {
	n := pick(c, c.followers())
	if !c.suffices([]*churnNode{n}, nil) {
		return errNotNow
	}
	c.did = n.name
	return n.halt()
}

// crashNode makes a write of a node fail, which ends it.
func (c *churn) crashNode() error {
	n := pick(c, c.followers())
	if !c.suffices([]*churnNode{n}, nil) {
		return errNotNow
	}
	c.did = n.name
	n.trap.set.Store([]int32{trapLost, trapWritten}[c.rng.IntN(2)])
	c.until(n.name+" has crashed", func(context.Context) error {
		select {
		case <-n.done:
			return nil
		default:
			return errNotYet
		}
	})
	if err := n.halt(); err == nil {
		return errors.New("a write failed and the node says nothing")
	}
	if c.rng.IntN(2) == 0 {
		c.run(n)
	}
	return nil
}

func (c *churn) startNode() error {
	n := pick(c, c.nodesWhere(func(n *churnNode) bool { return !n.up() && !n.removed }))
	if n == nil {
		return errNotNow
	}
	c.did = n.name
	c.run(n)
	return nil
}

// moveNode lets a node that is down listen at another address, of which the ledger is told before or after it is up again.
func (c *churn) moveNode() error {
	n := pick(c, c.nodesWhere(func(n *churnNode) bool { return !n.up() && n.admitted() }))
	if n == nil {
		return errNotNow
	}
	c.did = n.name
	var address string
	reconfigure(c.t, n.home, func(config *home.Config) {
		config.P2P.Listen, config.Metrics.Listen = config.Metrics.Listen, config.P2P.Listen
		address = strings.Replace(config.P2P.Listen, "127.0.0.1", "localhost", 1)
	})
	before := c.rng.IntN(2) == 0
	if before {
		c.run(n)
	}
	_, _, err := c.act(n.org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeSetAddresses{NodeSetAddresses: &membershipv1.SetAddresses{
		Name: n.name, Addresses: []string{address},
	}}})
	if err == nil && !before {
		c.run(n)
	}
	return err
}

func (c *churn) setPower() error {
	n := pick(c, c.nodesWhere((*churnNode).admitted))
	power := pick(c, []uint64{0, 10, 10, 20, 30})
	_, next := c.seats()
	after := maps.Clone(next)
	after[n.name] = power
	maps.DeleteFunc(after, func(_ string, power uint64) bool { return power == 0 })
	if len(after) < fewest || len(after) > most || !c.suffices(nil, map[string]uint64{n.name: power}) {
		return errNotNow
	}
	c.did = fmt.Sprintf("%s=%d", n.name, power)
	_, _, err := c.act(n.org, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeSetPower{NodeSetPower: &membershipv1.SetPower{Name: n.name, Power: power}}})
	return err
}

// revive starts a node that the ledger has removed: nobody lets it in.
func (c *churn) revive() error {
	n := pick(c, c.nodesWhere(func(n *churnNode) bool { return n.removed && c.checked[n.name] > 0 }))
	if n == nil {
		return errNotNow
	}
	c.did = n.name
	c.run(n)
	waited := time.NewTimer(time.Second)
	defer waited.Stop()
	select {
	case <-n.done:
		c.did += ", which ended"
	case <-waited.C:
	}
	for _, m := range c.followers() {
		status, err := m.ledger().GetStatus(c.t.Context(), &ledgerv1.GetStatusRequest{})
		if err != nil {
			continue // it may have been started a moment ago
		}
		if slices.ContainsFunc(status.Peers, func(p *ledgerv1.Peer) bool { return p.Name == n.name }) {
			return fmt.Errorf("%s is connected to it", m.name)
		}
	}
	if err := n.halt(); err != nil && !strings.Contains(err.Error(), "the ledger has removed this node") {
		return fmt.Errorf("it ended with %w", err)
	}
	return nil
}
