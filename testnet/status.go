package testnet

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// statusTimeout is how long a node may take to say how it is.
const statusTimeout = 2 * time.Second

// NodeStatus is what is known of one node at one moment.
type NodeStatus struct {
	Name    string `json:"name"`
	Org     string `json:"org"`
	GRPC    string `json:"grpc"`
	Metrics string `json:"metrics"` // host:port of the page for Prometheus; empty when there is none, or it is not known
	HTTP    string `json:"http"`    // host:port of the API over HTTP; likewise
	Home    string `json:"home"`
	PID     int    `json:"pid"` // 0 for a node that does not run, or runs in a container
	Running bool   `json:"running"`
	Ready   bool   `json:"ready"`
	Phase   string `json:"phase"` // as GetStatus names it; empty when the node does not answer
	Height  uint64 `json:"height"`
	AppHash string `json:"app_hash"` // hex
	Peers   int    `json:"peers"`    // live connections
	Members int    `json:"members"`  // how many there should be
	Pending uint64 `json:"pending_transactions"`
	Waiting string `json:"waiting,omitempty"` // what it waits for before it can follow the network
	Error   string `json:"error,omitempty"`   // why it does not answer
}

// Status asks every node how it is, in the order of the network file. Nodes that do not answer are part of the answer; an
// error means that the question could not be put.
func (n *Network) Status(ctx context.Context) (all []NodeStatus, err error) {
	c, err := client.Dial(n.File, client.Config{AttemptTimeout: statusTimeout, Token: n.Reader})
	if err != nil {
		return nil, fmt.Errorf("status: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return n.status(ctx, c)
}

func (n *Network) status(ctx context.Context, c *client.Client) ([]NodeStatus, error) {
	var all []NodeStatus
	metrics, web := n.metrics(), n.http()
	for _, answer := range c.Statuses(ctx) {
		node := answer.Node
		s := NodeStatus{Name: node.Name, Org: node.Org, GRPC: node.GRPC, Metrics: metrics[node.Name], HTTP: web[node.Name], Home: node.Home}
		if n.containers {
			s.Running = answer.Err == nil
		} else {
			p, running, err := home.Running(node.Home)
			if err != nil {
				return nil, fmt.Errorf("status: %w", err)
			}
			s.PID, s.Running = p.PID, running
		}
		if answer.Err != nil {
			s.Error = answer.Err.Error()
			if !s.Running && !n.containers {
				s.Error = ErrNotRunning.Error()
			}
		} else {
			s.fill(answer.Status)
		}
		all = append(all, s)
	}
	return all, nil
}

func (s *NodeStatus) fill(said *ledgerv1.GetStatusResponse) {
	s.Ready, s.Phase, s.Height = said.Ready, said.Phase, said.Height
	s.AppHash = hex.EncodeToString(said.AppHash)
	s.Peers, s.Members = len(said.Peers), int(said.Members)
	s.Pending, s.Waiting = said.PendingTransactions, said.Waiting
}

// Snapshot is the network at one moment.
type Snapshot struct {
	Nodes []NodeStatus
	// Height and AppHash are those of the node that is ahead.
	Height  uint64
	AppHash string
	// Transactions counts those in the blocks after block Since, which is 0 unless the chain was long when Watch began.
	Transactions, Since uint64
}

// maxBlocksPerLook bounds how many block headers Watch reads before it shows something, and a chain is long that has
// more than so many.
const maxBlocksPerLook = 500

// Watch calls show at once and then every interval, until the context ends, whose end is not an error, or nothing of the
// network runs any more, which is [ErrNotRunning].
func (n *Network) Watch(ctx context.Context, interval time.Duration, show func(Snapshot)) (err error) {
	c, err := client.Dial(n.File, client.Config{AttemptTimeout: statusTimeout, Token: n.Reader})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var since, counted, transactions uint64
	for first := true; ; first = false {
		nodes, err := n.status(ctx, c)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		snapshot := Snapshot{Nodes: nodes}
		alive := false
		for _, node := range nodes {
			alive = alive || node.Running
			if node.Height > snapshot.Height {
				snapshot.Height, snapshot.AppHash = node.Height, node.AppHash
			}
		}
		if first && snapshot.Height > maxBlocksPerLook {
			since, counted = snapshot.Height, snapshot.Height
		}
		counted, transactions = count(ctx, c, counted, snapshot.Height, transactions)
		snapshot.Transactions, snapshot.Since = transactions, since
		show(snapshot)
		if !alive {
			return fmt.Errorf("watch: %w: no node of the network at %s is left", ErrNotRunning, n.Dir)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// count adds the transactions of the blocks after counted. What cannot be read now is counted the next time.
func count(ctx context.Context, c *client.Client, counted, height, transactions uint64) (uint64, uint64) {
	for range maxBlocksPerLook {
		if counted >= height {
			break
		}
		resp, err := c.Ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: counted + 1, HeaderOnly: true})
		if err != nil {
			break
		}
		transactions += uint64(resp.GetBlock().GetTxCount())
		counted++
	}
	return counted, transactions
}
