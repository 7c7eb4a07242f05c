package testnet

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// AddOptions say what node to add.
type AddOptions struct {
	// Org is the organisation of the node, a new one or one that is there. Required.
	Org string
	// Observer makes a node that never votes.
	Observer bool
}

// Added is a node that was added to the directory of a network. The ledger does not list it yet.
type Added struct {
	Name string `json:"name"`
	Org  string `json:"org"`
	Kind string `json:"kind"`
	GRPC string `json:"grpc"`
	P2P  string `json:"p2p"`
	Home string `json:"home"`
	// MemberFile is what `proposal create --member` and `node add --file` take.
	MemberFile string `json:"member_file"`
	// NewOrg says that the organisation has no other node here.
	NewOrg bool `json:"new_org"`
}

// AddNode makes the home of one more node on free ports of this machine, with keys for the accounts of its organisation
// where there are none, and enters it into the network file. It starts nothing, and the ledger learns of the node by a
// proposal or an admin of its organisation. The error is [ErrOptions], [ErrBusy], [ErrContainers] or [ErrPortInUse].
func (n *Network) AddNode(o AddOptions) (added *Added, err error) {
	if err := names.Org(o.Org); err != nil {
		return nil, fmt.Errorf("add node: %w: %w", ErrOptions, err)
	}
	lock, err := n.lock()
	if err != nil {
		return nil, fmt.Errorf("add node: %w", err)
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	// Another command may have added a node since this one looked.
	file, err := client.LoadNetwork(filepath.Join(n.Dir, client.NetworkFileName))
	if err != nil {
		return nil, fmt.Errorf("add node: %w", err)
	}
	n.File = file
	free, err := reserve(portsPerNode)
	if err != nil {
		return nil, fmt.Errorf("add node: %w", err)
	}
	defer func() { err = errors.Join(err, free.Close()) }()
	if added, err = n.addNode(o, onLoopback(free)); err != nil {
		return nil, fmt.Errorf("add node: %w", err)
	}
	return added, nil
}

func (n *Network) addNode(o AddOptions, spot placement) (*Added, error) {
	ticket, err := n.ticket()
	if err != nil {
		return nil, err
	}
	config := home.Default(n.freeName(o.Org), o.Org)
	config.P2P.Listen, config.GRPC.Listen, config.Metrics.Listen = spot.p2p, spot.grpc, spot.metrics
	config.HTTP.Listen = spot.http
	nodeKey, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		return nil, err
	}
	var validatorKey keys.PrivateKey
	if !o.Observer {
		if validatorKey, err = keys.Generate(keys.SchemeEd25519, nil); err != nil {
			return nil, err
		}
	}
	listed, err := home.Listing(config, nodeKey, validatorKey, power, []string{spot.reached})
	if err != nil {
		return nil, err
	}
	m := &home.Member{Org: o.Org, Nodes: []*membershipv1.AddNode{listed}}
	if m.Accounts, err = n.accountsOf(o.Org); err != nil {
		return nil, err
	}
	dir := filepath.Join(n.Dir, nodesDir, config.Name)
	if err := home.Prepare(dir, home.Options{Config: config, NodeKey: nodeKey, ValidatorKey: validatorKey}, m, nil); err != nil {
		return nil, err
	}
	if err := home.Complete(dir, ticket); err != nil {
		return nil, err
	}
	isNew := !slices.ContainsFunc(n.File.Nodes, func(known client.Node) bool { return known.Org == o.Org })
	n.File.Nodes = append(n.File.Nodes, client.Node{Name: config.Name, Org: o.Org, GRPC: spot.serves, Home: dir})
	if err := client.SaveNetwork(filepath.Join(n.Dir, client.NetworkFileName), n.File); err != nil {
		return nil, err
	}
	kind := "validator"
	if o.Observer {
		kind = "observer"
	}
	return &Added{
		Name: config.Name, Org: o.Org, Kind: kind, GRPC: spot.serves, P2P: spot.p2p, Home: dir,
		MemberFile: home.Dir(dir).MemberFile(o.Org, config.Name), NewOrg: isNew,
	}, nil
}

// freeName returns the first name of a node of an organisation that no node of the network has, or has had a home under.
func (n *Network) freeName(org string) string {
	for i := 1; ; i++ {
		name := org + "-" + strconv.Itoa(i)
		_, err := os.Lstat(filepath.Join(n.Dir, nodesDir, name))
		known := slices.ContainsFunc(n.File.Nodes, func(node client.Node) bool { return node.Name == name })
		if !known && errors.Is(err, fs.ErrNotExist) {
			return name
		}
	}
}

// ticket seeds a new node with the nodes whose homes are here, as they are now.
func (n *Network) ticket() (*home.Ticket, error) {
	genesis, err := n.genesis()
	if err != nil {
		return nil, err
	}
	document, err := os.ReadFile(filepath.Join(n.Dir, genesisFile))
	if err != nil {
		return nil, err
	}
	t := &home.Ticket{ChainID: genesis.ChainID, Genesis: document, Anchor: home.Anchor{AppHash: genesis.Hash[:]}}
	for _, node := range n.File.Nodes {
		h, err := home.Load(node.Home)
		if err != nil {
			return nil, err
		}
		t.Nodes = append(t.Nodes, home.Contact{
			Name: node.Name, Org: node.Org, NodeKey: h.NodeKey.Public().Bytes(), Addresses: []string{h.Config.P2P.Listen},
		})
	}
	return t, nil
}

// accountsOf returns the accounts that an organisation begins with, and makes their keys where there are none.
func (n *Network) accountsOf(org string) ([]*accountsv1.Create, error) {
	var all []*accountsv1.Create
	for _, account := range firstAccounts(org) {
		name := account.org + "/" + account.name
		loaded, err := n.File.Keys(name)
		if errors.Is(err, client.ErrNoKey) {
			loaded, err = n.makeKey(name)
		}
		if err != nil {
			return nil, err
		}
		create := &accountsv1.Create{Name: name, Threshold: 1, Roles: account.roles}
		for _, key := range loaded {
			create.Keys = append(create.Keys, weighted(key))
		}
		slices.SortFunc(create.Keys, func(a, b *accountsv1.WeightedKey) int {
			return cmp.Or(cmp.Compare(a.PublicKey.Scheme, b.PublicKey.Scheme), bytes.Compare(a.PublicKey.Key, b.PublicKey.Key))
		})
		all = append(all, create)
	}
	return all, nil
}

func (n *Network) makeKey(account string) ([]keys.PrivateKey, error) {
	path, err := n.File.KeyPath(account, "")
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	key, err := keys.Generate(keys.SchemeSchnorr, nil)
	if err != nil {
		return nil, err
	}
	return []keys.PrivateKey{key}, keys.SaveFile(path, key)
}
