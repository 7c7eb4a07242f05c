package client

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// Config adjusts a [Client]. The zero value is good.
type Config struct {
	// Node pins one node by its name in the network file or its address, host:port. An address that the file does not
	// list must be loopback. Empty: all nodes of the file, in its order.
	Node string

	// AttemptTimeout is how long one try at one node may take before the next node is asked. It is also how long one
	// request waits for an outcome before it is asked for again. Default 10 s.
	AttemptTimeout time.Duration

	// Timeout bounds a whole read, over all nodes, whose context has no deadline. Default 60 s. It does not bound
	// SubmitAndWait, WaitTransaction and Watch, which run until their context ends.
	Timeout time.Duration

	// IdleProbe is how often a node is to say that it is alive while a watch has nothing to show: an idle ledger is silent,
	// and so is a machine that was unplugged. A node that is silent for twice as long is left. 1 s to 5 min, default 15 s.
	IdleProbe time.Duration

	// Token says as whom to read where the charter keeps reads to members. Nil reads without a token. Submissions carry it too: who has
	// none is not told which account a transaction is refused for. Where reads are open it changes nothing.
	Token *TokenSource

	// Unverified believes what nodes answer. By default every read that can be proven is asked for with its proof and checked,
	// from the genesis hash of the network file on, and a node that answers anything else is not believed.
	Unverified bool

	// FreshnessInterval is how often at most all nodes of the network file are asked how far they are, beside a read of the
	// newest state: an answer from before what more than a third of them report is not taken. Default 5 s; negative for never.
	// With one node, or with a pinned one, there is nobody to compare it with.
	FreshnessInterval time.Duration

	// OnLie is told of every answer that is not true, from the goroutine of the call that got it, before the next node is
	// asked. It must not block and not call the client. Nil for nobody.
	OnLie func(*Lie)

	// Now is the clock. Default time.Now.
	Now func() time.Time

	// Random is where nonces come from. Default crypto/rand.
	Random io.Reader
}

// withDefaults returns the configuration with every zero replaced.
func (c Config) withDefaults() Config {
	positive := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	positive(&c.AttemptTimeout, 10*time.Second)
	positive(&c.Timeout, time.Minute)
	positive(&c.IdleProbe, 15*time.Second)
	if c.FreshnessInterval == 0 {
		c.FreshnessInterval = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Random == nil {
		c.Random = rand.Reader
	}
	return c
}

// Client talks to one network through whichever of its nodes answers. It is safe for concurrent use. Close it when done.
type Client struct {
	network *Network
	config  Config
	pool    *pool
}

// Dial returns a client of the network. It connects to nothing yet: connections are made when they are needed, and each
// node is asked for its chain id first. Dial fails for a network that [Network.Validate] refuses and for a
// [Config.Node] that is not to be found.
func Dial(network *Network, config Config) (*Client, error) {
	if err := network.Validate(); err != nil {
		return nil, fmt.Errorf("dial: %w: %w", ErrNetworkFile, err)
	}
	config = config.withDefaults()
	nodes, err := choose(network, config.Node)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	p, err := newPool(network, nodes, config)
	if err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	return &Client{network: network, config: config, pool: p}, nil
}

// choose returns the nodes that a client may talk to.
func choose(network *Network, pinned string) ([]Node, error) {
	if pinned == "" {
		return network.Nodes, nil
	}
	i := slices.IndexFunc(network.Nodes, func(n Node) bool { return n.Name == pinned || n.GRPC == pinned })
	if i >= 0 {
		return network.Nodes[i : i+1], nil
	}
	host, err := hostOf(pinned)
	if err != nil {
		return nil, fmt.Errorf("%w: it lists no node %.80q, and that is not HOST:PORT", ErrNetworkFile, pinned)
	}
	if !isLoopback(host) {
		return nil, fmt.Errorf("%w: it does not list %.80s, whose certificate is therefore not known", ErrNetworkFile, pinned)
	}
	return []Node{{GRPC: pinned}}, nil
}

// Close closes all connections. Calls under way end with an error.
func (c *Client) Close() error { return c.pool.close() }

// Network returns the network that the client talks to. It must not be changed.
func (c *Client) Network() *Network { return c.network }

// SeenHeight returns the highest height that an answer has named so far, 0 before the first. Reads that ask for no height
// of their own are answered from this height or a later one: a client reads its own writes, on whichever node.
func (c *Client) SeenHeight() uint64 { return c.pool.seen.Load() }

// Ledger returns the generated client of the LedgerService, with failover for its unary calls and without the retrying of
// [Client.SubmitAndWait] or the resuming of [Client.Watch].
func (c *Client) Ledger() ledgerv1.LedgerServiceClient {
	return ledgerv1.NewLedgerServiceClient(c.pool)
}

// Accounts returns the generated client of the AccountsService, with failover.
func (c *Client) Accounts() accountsv1.AccountsServiceClient {
	return accountsv1.NewAccountsServiceClient(c.pool)
}

// Assets returns the generated client of the AssetsService, with failover.
func (c *Client) Assets() assetsv1.AssetsServiceClient {
	return assetsv1.NewAssetsServiceClient(c.pool)
}

// Records returns the generated client of the RecordsService, with failover.
func (c *Client) Records() recordsv1.RecordsServiceClient {
	return recordsv1.NewRecordsServiceClient(c.pool)
}

// Membership returns the generated client of the MembershipService, with failover.
func (c *Client) Membership() membershipv1.MembershipServiceClient {
	return membershipv1.NewMembershipServiceClient(c.pool)
}

// Governance returns the generated client of the GovernanceService, with failover.
func (c *Client) Governance() governancev1.GovernanceServiceClient {
	return governancev1.NewGovernanceServiceClient(c.pool)
}

// Proposals returns the generated client of the ProposalsService, with failover.
func (c *Client) Proposals() proposalsv1.ProposalsServiceClient {
	return proposalsv1.NewProposalsServiceClient(c.pool)
}

// History returns the generated client of the HistoryService, with failover. What it lists comes from an index, and nobody can
// prove that nothing was left out; each transaction can be proven by itself.
func (c *Client) History() historyv1.HistoryServiceClient {
	return historyv1.NewHistoryServiceClient(c.pool)
}

// Status returns the status of the first node that answers. Where reads are closed, it says little more to those without a
// token than which network this is and whether the node is ready.
func (c *Client) Status(ctx context.Context) (*ledgerv1.GetStatusResponse, error) {
	return c.Ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
}

// NodeStatus is what one node said of itself.
type NodeStatus struct {
	Node      Node
	Status    *ledgerv1.GetStatusResponse // nil where Err is not
	RoundTrip time.Duration
	Err       error
}

// Statuses asks every node of the client at once and returns their answers in the order of the network file.
func (c *Client) Statuses(ctx context.Context) []NodeStatus {
	all := make([]NodeStatus, len(c.pool.nodes))
	var wg sync.WaitGroup
	for i, n := range c.pool.nodes {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, min(c.config.AttemptTimeout, helloTimeout))
			defer cancel()
			var status *ledgerv1.GetStatusResponse
			err := n.check(ctx)
			began := time.Now()
			if err == nil {
				status, err = n.status(ctx, n.asReader...)
			}
			if err != nil && !errors.Is(err, ErrWrongNetwork) {
				err = &Unreachable{Attempts: []Attempt{{Node: n.label(), Address: n.GRPC, Err: err}}}
			}
			all[i] = NodeStatus{Node: n.Node, Status: status, RoundTrip: time.Since(began), Err: err}
		})
	}
	wg.Wait()
	return all
}

// Block returns a block, the newest for height 0. The status of the error is NOT_FOUND, FAILED_PRECONDITION or
// OUT_OF_RANGE where there is none, none anymore or none yet.
func (c *Client) Block(ctx context.Context, height uint64) (*ledgerv1.Block, error) {
	resp, err := c.Ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: height})
	if err != nil {
		return nil, err
	}
	if resp.Block == nil || (height != 0 && resp.Block.Height != height) {
		return nil, fmt.Errorf("%w: asked for block %d, got %d", ErrAnswer, height, resp.GetBlock().GetHeight())
	}
	return resp.Block, nil
}
