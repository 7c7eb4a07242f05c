package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/client"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// registryTimeout is how long asking for the registry may take, and registryAge how old an answer may be.
const (
	registryTimeout = 2 * time.Second
	registryAge     = 500 * time.Millisecond
)

// registry is whom the ledger lets into the mesh, and whose votes count how much.
type registry struct {
	// asked says that a node has answered; otherwise this is what the genesis document says.
	asked  bool
	admits []string
	power  map[string]uint64
}

// registry asks the running node that is furthest. Where none answers, or reads are closed and nobody is named who may
// read, the genesis document has to do.
func (n *Network) registry(ctx context.Context) (registry, error) {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	if node, found := n.furthest(ctx); found {
		if r, err := n.askRegistry(ctx, node); err == nil {
			return r, nil
		}
	}
	return n.genesisRegistry()
}

// furthest returns the node with the newest block among those that answer and have one.
func (n *Network) furthest(ctx context.Context) (node string, found bool) {
	c, err := client.Dial(n.File, client.Config{AttemptTimeout: time.Second, Token: n.Reader})
	if err != nil {
		return "", false
	}
	defer func() { _ = c.Close() }() // nothing was written
	var height uint64
	for _, answer := range c.Statuses(ctx) {
		if answer.Err == nil && answer.Status.Height > height {
			node, height = answer.Node.Name, answer.Status.Height
		}
	}
	return node, height > 0
}

func (n *Network) askRegistry(ctx context.Context, node string) (r registry, err error) {
	c, err := client.Dial(n.File, client.Config{Node: node, AttemptTimeout: time.Second, Token: n.Reader})
	if err != nil {
		return registry{}, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	validators, err := c.Membership().ListValidators(ctx, &membershipv1.ListValidatorsRequest{})
	if err != nil {
		return registry{}, err
	}
	// A local network has fewer of either than one page takes.
	orgs, err := c.Accounts().ListOrgs(ctx, &accountsv1.ListOrgsRequest{PageSize: 1000})
	if err != nil {
		return registry{}, err
	}
	nodes, err := c.Membership().ListNodes(ctx, &membershipv1.ListNodesRequest{PageSize: 1000})
	if err != nil {
		return registry{}, err
	}
	r = registry{asked: true, power: map[string]uint64{}}
	for _, v := range validators.Validators {
		r.power[v.Name] = v.Power
	}
	for _, listed := range nodes.Nodes {
		active := slices.ContainsFunc(orgs.Orgs, func(o *accountsv1.Org) bool {
			return o.Name == listed.Org && o.Status == accountsv1.OrgStatus_ORG_STATUS_ACTIVE
		})
		if active {
			r.admits = append(r.admits, listed.Name)
		}
	}
	return r, nil
}

// genesis reads the document that the network started from.
func (n *Network) genesis() (app.Genesis, error) {
	document, err := os.ReadFile(filepath.Join(n.Dir, genesisFile))
	if err != nil {
		return app.Genesis{}, err
	}
	return app.ParseGenesis(document)
}

func (n *Network) genesisRegistry() (registry, error) {
	genesis, err := n.genesis()
	if err != nil {
		return registry{}, err
	}
	r := registry{power: map[string]uint64{}}
	for _, node := range genesis.Doc.Nodes {
		r.admits = append(r.admits, node.Node.GetName())
		r.power[node.Node.GetName()] = node.Node.GetPower()
	}
	return r, nil
}

// admitted says whether the ledger lets a node into the mesh.
func (r registry) admitted(name string) bool { return slices.Contains(r.admits, name) }

// sum returns the voting power of some of the validators, and that of all.
func (r registry) sum(names []string) (some, total uint64) {
	for name, power := range r.power {
		total += power
		if slices.Contains(names, name) {
			some += power
		}
	}
	return some, total
}

// Power returns the voting power of the nodes whose processes run, and that of all validators, as the ledger lists them.
func (n *Network) Power(ctx context.Context) (running, total uint64, err error) {
	r, err := n.registry(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("voting power: %w", err)
	}
	names, err := n.runningNames()
	if err != nil {
		return 0, 0, fmt.Errorf("voting power: %w", err)
	}
	running, total = r.sum(names)
	return running, total, nil
}

// Suffices says whether a network goes on with so much of its voting power: more than two thirds.
func Suffices(running, total uint64) bool { return 3*running > 2*total }

// registryCache asks for the registry now and then, while something else is asked more often.
type registryCache struct {
	network *Network
	at      time.Time
	latest  registry
}

func (c *registryCache) get(ctx context.Context) (registry, error) {
	if time.Since(c.at) < registryAge {
		return c.latest, nil
	}
	r, err := c.network.registry(ctx)
	if err != nil {
		return registry{}, err
	}
	c.latest, c.at = r, time.Now()
	return r, nil
}
