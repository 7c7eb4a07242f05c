package node_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
	"github.com/althing-ledger/althing/testnet"
)

// churn is a network whose members change while clients pay.
type churn struct {
	*network
	t       *testing.T
	rng     *mathrand.Rand
	chainID string
	orgs    []*churnOrg // in the order in which they came
	all     []*churnNode
	log     []string // what was done, for whoever has to find out
	did     string   // to whom the present step is done

	done, refused map[string]int // operations by name, refusals by code

	hashes  map[uint64]string // app hashes by height, as the first node said that had it
	checked map[string]uint64 // up to which height a node's app hashes were compared

	listing sync.Mutex      // guards files.File against the clients that read it
	version atomic.Int64    // raised when the nodes of files.File have changed: clients dial anew
	life    context.Context // of the payers
	stop    context.CancelFunc
	paying  sync.WaitGroup
}

type churnOrg struct {
	name      string
	suspended bool
	removed   bool
	payer     *payer
}

// active says whether the org is a member with rights.
func (o *churnOrg) active() bool { return !o.suspended && !o.removed }

func (o *churnOrg) admin() string { return o.name + "/admin" }

type churnNode struct {
	*member
	org     *churnOrg
	removed bool
	first   bool // it stands in the genesis document, with the node key it has
	trap    *trap
}

func (n *churnNode) up() bool { return n.cancel != nil }

// admitted says whether the ledger lets the node into the mesh.
func (n *churnNode) admitted() bool { return !n.removed && n.org.active() }

// trap makes the next write of a node fail, once it is set.
type trap struct{ set atomic.Int32 }

const (
	trapLost    = 1
	trapWritten = 2
)

func (p *trap) hook(state.Write) (bool, error) {
	if how := p.set.Swap(0); how != 0 {
		return how == trapWritten, statetest.ErrInjected
	}
	return true, nil
}

// newChurn starts a network of so many validators, each with a client that pays.
func newChurn(t *testing.T, seed uint64, validators int) *churn {
	t.Helper()
	c := &churn{
		t: t, rng: mathrand.New(mathrand.NewPCG(seed, 0)), done: map[string]int{}, refused: map[string]int{},
		hashes: map[uint64]string{}, checked: map[string]uint64{},
	}
	charter := &governancev1.Charter{}
	if c.rng.IntN(2) == 0 {
		charter.NodeKeyOverlapSeconds = 10
	}
	c.network = newNetworkOf(t, testnet.Options{Validators: validators, Name: "test", Charter: charter}, nil, nil)
	c.chainID = c.files.File.ChainID
	for _, m := range c.nodes {
		org := &churnOrg{name: strings.TrimSuffix(m.name, "-1")}
		c.orgs = append(c.orgs, org)
		c.adopt(m, org).first = true
	}
	c.startAll()
	ctx, cancel := context.WithCancel(context.Background())
	c.life, c.stop = ctx, cancel
	t.Cleanup(func() {
		cancel()
		c.paying.Wait()
		if t.Failed() {
			t.Logf("what was done:\n%s", strings.Join(c.log, "\n"))
		}
	})
	for _, org := range c.orgs {
		c.startPaying(org)
	}
	return c
}

// adopt takes a member in.
func (c *churn) adopt(m *member, org *churnOrg) *churnNode {
	n := &churnNode{member: m, org: org, trap: new(trap)}
	m.hook = n.trap.hook
	if *churnLogs != "" {
		file, err := os.Create(filepath.Join(*churnLogs, m.name+".log"))
		if err != nil {
			c.t.Fatal(err)
		}
		m.tee = file
	}
	c.all = append(c.all, n)
	return n
}

// nodesWhere returns the nodes of which something is true.
func (c *churn) nodesWhere(is func(*churnNode) bool) []*churnNode {
	var some []*churnNode
	for _, n := range c.all {
		if is(n) {
			some = append(some, n)
		}
	}
	return some
}

// followers are the nodes that run and are members.
func (c *churn) followers() []*churnNode {
	return c.nodesWhere(func(n *churnNode) bool { return n.up() && n.admitted() })
}

func (c *churn) activeOrgs() []*churnOrg {
	var some []*churnOrg
	for _, o := range c.orgs {
		if o.active() {
			some = append(some, o)
		}
	}
	return some
}

// pick returns any of some things, the zero value of none.
func pick[T any](c *churn, from []T) (one T) {
	if len(from) > 0 {
		one = from[c.rng.IntN(len(from))]
	}
	return one
}

// client returns a client of the nodes that run and are members.
func (c *churn) client() *client.Client {
	c.t.Helper()
	file := *c.files.File
	file.Nodes = nil
	for _, n := range c.followers() {
		i := slices.IndexFunc(c.files.File.Nodes, func(known client.Node) bool { return known.Name == n.name })
		file.Nodes = append(file.Nodes, c.files.File.Nodes[i])
	}
	c.rng.Shuffle(len(file.Nodes), func(i, j int) { file.Nodes[i], file.Nodes[j] = file.Nodes[j], file.Nodes[i] })
	made, err := client.Dial(&file, client.Config{})
	if err != nil {
		c.t.Fatal(err)
	}
	return made
}

// refusal is what the ledger says to something that it does not do.
type refusal struct {
	code    ledgerv1.Code
	message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%v: %s", r.code, r.message) }

// send has an account do something and returns the block it is in and its events. The error is a [*refusal].
func (c *churn) send(account string, ops ...*ledgerv1.Operation) (uint64, []*ledgerv1.Event, error) {
	c.t.Helper()
	for _, op := range ops {
		op.Account = account
	}
	loaded, err := c.files.File.Keys(account)
	if err != nil {
		c.t.Fatal(err)
	}
	raw, id, err := sign(c.chainID, account, loaded[0], ops...)
	if err != nil {
		c.t.Fatal(err)
	}
	through := c.client()
	defer func() { _ = through.Close() }()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	result, err := through.SubmitAndWait(ctx, raw)
	if refused := new(client.Refused); errors.As(err, &refused) {
		return 0, nil, &refusal{refused.Code, refused.Message}
	}
	if err != nil {
		c.t.Fatalf("%s: transaction %s: %v\n%s", account, id, err, c.picture())
	}
	if !result.OK() {
		return 0, nil, &refusal{result.Outcome.GetCode(), result.Status.String() + " " + result.Outcome.GetMessage()}
	}
	events, err := result.Events()
	if err != nil {
		c.t.Fatal(err)
	}
	return result.Outcome.Height, events, nil
}

// sign returns an encoded transaction of one account.
func sign(chainID, account string, key keys.PrivateKey, ops ...*ledgerv1.Operation) ([]byte, tx.ID, error) {
	t, err := client.NewTransaction(chainID, client.Draft{Operations: ops}, time.Now(), rand.Reader)
	if err != nil {
		return nil, tx.ID{}, err
	}
	if err := t.Sign(account, key); err != nil {
		return nil, tx.ID{}, err
	}
	raw, err := t.Encode()
	return raw, t.ID(), err
}

// decide has the members vote for operations until they are executed. The target, which may be nil, proposes nothing and
// is asked last. The error is a [*refusal].
func (c *churn) decide(target *churnOrg, ops ...*ledgerv1.Operation) (uint64, []*ledgerv1.Event, error) {
	c.t.Helper()
	voters := slices.DeleteFunc(c.activeOrgs(), func(o *churnOrg) bool { return o == target })
	c.rng.Shuffle(len(voters), func(i, j int) { voters[i], voters[j] = voters[j], voters[i] })
	if target != nil && target.active() {
		voters = append(voters, target)
	}
	_, events, err := c.send(voters[0].admin(), client.Propose("", "churn", ops...))
	if err != nil {
		return 0, nil, err
	}
	var id uint64
	for _, e := range events {
		if p := e.GetProposed(); p != nil {
			id = p.Proposal
		}
	}
	for _, voter := range voters[1:] {
		height, events, err := c.send(voter.admin(), client.Vote("", id, true))
		if err != nil {
			return 0, nil, err
		}
		for _, e := range events {
			switch closed := e.GetProposalClosed(); {
			case closed == nil:
			case closed.Status == governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED:
				return height, events, nil
			default:
				return 0, nil, &refusal{ledgerv1.Code(closed.Code), "the proposal failed"}
			}
		}
	}
	c.t.Fatalf("proposal %d: all have voted and it is not closed", id)
	return 0, nil, nil
}

// seats returns the power of each validator now and two blocks later.
func (c *churn) seats() (now, next map[string]uint64) {
	c.t.Helper()
	now, next = map[string]uint64{}, map[string]uint64{}
	eventually(c.t, "a node lists the validators", func(ctx context.Context) error {
		res, err := membershipv1.NewMembershipServiceClient(pick(c, c.followers()).conn).ListValidators(ctx, &membershipv1.ListValidatorsRequest{})
		if err != nil {
			return err
		}
		for _, v := range res.Validators {
			now[v.Name], next[v.Name] = v.Power, v.NextPower
		}
		return nil
	})
	return now, next
}

// ticket describes the network as it is now, as `althing network ticket` does.
func (c *churn) ticket() *home.Ticket {
	c.t.Helper()
	from := pick(c, c.followers())
	h, err := home.Load(from.home)
	if err != nil {
		c.t.Fatal(err)
	}
	genesis, err := app.ParseGenesis(h.Genesis)
	if err != nil {
		c.t.Fatal(err)
	}
	t := &home.Ticket{ChainID: genesis.ChainID, Genesis: h.Genesis}
	var list *membershipv1.ListNodesResponse
	eventually(c.t, from.name+" gives what a ticket needs", func(ctx context.Context) error {
		res, err := from.ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{HeaderOnly: true})
		if err != nil {
			return err
		}
		b := res.Block
		t.Anchor = home.Anchor{Height: b.Height, BlockHash: b.Hash, AppHash: b.AppHash}
		list, err = membershipv1.NewMembershipServiceClient(from.conn).ListNodes(ctx, &membershipv1.ListNodesRequest{Height: b.Height})
		return err
	})
	for _, n := range list.Nodes {
		t.Nodes = append(t.Nodes, home.Contact{Name: n.Name, Org: n.Org, NodeKey: n.NodeKey, Addresses: n.Addresses})
	}
	return t
}

// picture says how the nodes stand, for whoever has to find out.
func (c *churn) picture() string {
	var b strings.Builder
	for _, n := range c.all {
		fmt.Fprintf(&b, "%s up=%v removed=%v org=%+v", n.name, n.up(), n.removed, *n.org)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		if status, err := n.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{Why: true}); err == nil {
			fmt.Fprintf(&b, " height=%d ready=%v phase=%s waiting=%q obstacle=%q peers=", status.Height, status.Ready, status.Phase, status.Waiting, status.Progress.GetObstacle())
			for _, p := range status.Peers {
				fmt.Fprintf(&b, "%s@%d ", p.Name, p.Height)
			}
		}
		cancel()
		b.WriteByte('\n')
	}
	for _, o := range c.activeOrgs() {
		if o.payer == nil || o.payer.now.Load() == nil || time.Since(o.payer.now.Load().began) < 5*time.Second {
			continue
		}
		p := o.payer.now.Load()
		fmt.Fprintf(&b, "%s waits since %s for %s:", o.payer.account, p.began.UTC().Format(time.RFC3339Nano), p.id)
		for _, n := range c.followers() {
			ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
			res, err := n.ledger().GetTransaction(ctx, &ledgerv1.GetTransactionRequest{Id: p.id[:]})
			cancel()
			fmt.Fprintf(&b, " %s: %v %v", n.name, res.GetStatus(), err)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
