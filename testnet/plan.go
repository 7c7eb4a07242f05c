package testnet

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

const (
	// DefaultValidators is how many validators a network has if nothing else is said: the fewest that outlive the
	// loss of one.
	DefaultValidators = 4
	// MaxValidators bounds a local network: all its nodes share one machine.
	MaxValidators = 16

	// defaultName is the network's name, the chain id without its digits.
	defaultName = "local"
	// power is what each vote counts. Ten and not one, because the engine divides the total by three in integers.
	power = 10
)

// Options say what network to make. The zero value is good.
type Options struct {
	// Validators is how many there are, each of its own organisation, 1 to 16. Default 4.
	Validators int
	// Name is the network's name, the chain id without its digits. Default "local".
	Name string
	// Charter is what the network begins with; what is zero in it has the default of the state machine.
	Charter *governancev1.Charter
}

func (o Options) withDefaults() Options {
	if o.Validators == 0 {
		o.Validators = DefaultValidators
	}
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.Charter == nil {
		o.Charter = &governancev1.Charter{}
	}
	return o
}

func (o Options) validate() error {
	var problems []error
	if o.Validators < 1 || o.Validators > MaxValidators {
		problems = append(problems,
			fmt.Errorf("%d validators, want 1 to %d: they all run on this machine", o.Validators, MaxValidators))
	}
	if err := names.Network(o.Name); err != nil {
		problems = append(problems, err)
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return nil
}

// orgs returns the names of the first count organisations.
func orgs(count int) []string {
	all := []string{"acme", "globex", "initech", "umbrella"}
	for i := len(all) + 1; i <= count; i++ {
		all = append(all, "org"+strconv.Itoa(i))
	}
	return all[:count]
}

// plan is a network before it is written.
type plan struct {
	nodes    []plannedNode
	accounts []plannedAccount
	genesis  app.Genesis
	document []byte // the file of genesis
}

type plannedNode struct {
	config    home.Config
	node      keys.PrivateKey
	validator keys.PrivateKey
	listed    *membershipv1.AddNode // as the genesis lists it
	serves    string                // where clients of this machine find it
}

type plannedAccount struct {
	org, name string // ORG and ACCOUNT of ORG/ACCOUNT
	roles     []string
	key       keys.PrivateKey
}

// firstAccounts are the accounts that every organisation begins with.
func firstAccounts(org string) []plannedAccount {
	return []plannedAccount{
		{org: org, name: "admin", roles: []string{"admin", "issuer", "payer", "writer"}},
		{org: org, name: "treasury", roles: []string{"payer"}},
	}
}

// placement says where a node listens and is found.
type placement struct {
	p2p, grpc, metrics  string // where it listens
	http                string // likewise; empty: not over HTTP
	reached             string // where other nodes find it
	serves              string // where clients find it
	publishedOnLoopback bool
}

// onLoopback places a node that is a process.
func onLoopback(free *ports) placement {
	p := placement{p2p: at(free.next()), grpc: at(free.next()), metrics: at(free.next()), http: at(free.next())}
	p.reached, p.serves = p.p2p, p.grpc
	return p
}

// makePlan chooses all keys and makes the genesis document.
func makePlan(o Options, began time.Time, place func(name string) placement) (*plan, error) {
	p := &plan{}
	for _, org := range orgs(o.Validators) {
		name := org + "-1"
		spot := place(name)
		config := home.Default(name, org)
		config.P2P.Listen = spot.p2p
		config.GRPC.Listen = spot.grpc
		config.GRPC.PublishedOnLoopback = spot.publishedOnLoopback
		config.Metrics.Listen = spot.metrics
		config.HTTP.Listen = spot.http
		node, err := keys.Generate(keys.SchemeEd25519, nil)
		if err != nil {
			return nil, err
		}
		validator, err := keys.Generate(keys.SchemeEd25519, nil)
		if err != nil {
			return nil, err
		}
		listed, err := home.Listing(config, node, validator, power, []string{spot.reached})
		if err != nil {
			return nil, err
		}
		p.nodes = append(p.nodes, plannedNode{
			config: config, node: node, validator: validator, listed: listed, serves: spot.serves,
		})
		for _, account := range firstAccounts(org) {
			if account.key, err = keys.Generate(keys.SchemeSchnorr, nil); err != nil {
				return nil, err
			}
			p.accounts = append(p.accounts, account)
		}
	}
	var err error
	if p.document, err = app.EncodeGenesis(p.doc(o, began)); err != nil {
		return nil, err
	}
	p.genesis, err = app.ParseGenesis(p.document)
	return p, err
}

// doc returns the genesis document.
func (p *plan) doc(o Options, began time.Time) *genesisv1.Genesis {
	doc := &genesisv1.Genesis{
		Format:       1,
		Name:         o.Name,
		Time:         timestamppb.New(began),
		FeatureLevel: app.FeatureLevel,
		Charter:      o.Charter,
		Orgs:         orgs(o.Validators),
	}
	for _, a := range p.accounts {
		doc.Accounts = append(doc.Accounts, &accountsv1.Account{
			Name:      a.org + "/" + a.name,
			Keys:      []*accountsv1.WeightedKey{weighted(a.key)},
			Threshold: 1,
			Roles:     slices.Clone(a.roles),
		})
	}
	for _, n := range p.nodes {
		doc.Nodes = append(doc.Nodes, n.listed)
	}
	return doc
}

// network returns the network file, with paths relative to the network's directory.
func (p *plan) network() *client.Network {
	n := &client.Network{
		ChainID:     p.genesis.ChainID,
		GenesisHash: fmt.Sprintf("%x", p.genesis.Hash),
		KeysDir:     keysDir,
	}
	for _, node := range p.nodes {
		n.Nodes = append(n.Nodes, client.Node{
			Name: node.config.Name,
			Org:  node.config.Org,
			GRPC: node.serves,
			Home: filepath.Join(nodesDir, node.config.Name),
		})
	}
	return n
}

// weighted returns a key of an account, of weight 1.
func weighted(key keys.PrivateKey) *accountsv1.WeightedKey {
	public := key.Public()
	return &accountsv1.WeightedKey{
		PublicKey: &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(public.Scheme()), Key: public.Bytes()}, Weight: 1,
	}
}
