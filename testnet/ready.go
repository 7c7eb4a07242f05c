package testnet

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

const (
	// failureLines is how much of a failing node's log an error shows.
	failureLines = 15
	// readyPause is how often nodes are asked whether they are ready.
	readyPause = 50 * time.Millisecond

	// exitGrace is how long a node that has ended may turn out to be one that the ledger does not list any more.
	exitGrace = 3 * time.Second
)

// condition says what a node lacks to be ready, empty when it is. running are the nodes whose processes run.
type condition func(status *ledgerv1.GetStatusResponse, running []string, r registry) string

// allConnected is the condition for the start of a network. A node that the ledger does not list is connected to nobody.
func allConnected(status *ledgerv1.GetStatusResponse, _ []string, r registry) string {
	if !r.admitted(status.Node) {
		return ""
	}
	// A node whose reads are closed says neither of the two.
	if len(status.Peers) < int(status.Members) {
		return fmt.Sprintf("is %s and connected to %d of %d nodes", status.Phase, len(status.Peers), status.Members)
	}
	return readyItself(status)
}

// othersConnected is the condition for the start of one node: others may be down on purpose.
func othersConnected(status *ledgerv1.GetStatusResponse, running []string, r registry) string {
	if !r.admitted(status.Node) {
		return "" // it waits until the ledger lists it
	}
	for _, name := range running {
		connected := slices.ContainsFunc(status.Peers, func(p *ledgerv1.Peer) bool { return p.Name == name })
		if status.Members > 0 && name != status.Node && r.admitted(name) && !connected {
			return fmt.Sprintf("is %s and not connected to %s", status.Phase, name)
		}
	}
	if some, total := r.sum(running); !Suffices(some, total) {
		return "" // nobody can be ready while a third is missing
	}
	return readyItself(status)
}

func readyItself(status *ledgerv1.GetStatusResponse) string {
	if !status.Ready {
		return fmt.Sprintf("is %s and not ready", status.Phase)
	}
	return ""
}

// awaitReady waits until the condition holds for every one of the nodes. The error is a [*StartError] when one of those
// started ends first or the time is over.
func (n *Network) awaitReady(ctx context.Context, nodes []client.Node, started []*process, holds condition) (err error) {
	asked := *n.File
	asked.Nodes = nodes
	c, err := client.Dial(&asked, client.Config{AttemptTimeout: time.Second, Token: n.Reader})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	timeout := time.NewTimer(n.ReadyTimeout)
	defer timeout.Stop()
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	began, registered := time.Now(), &registryCache{network: n}
	for {
		r, err := registered.get(ctx)
		if err != nil {
			return err
		}
		for _, p := range started {
			if p.running() || (r.asked && !r.admitted(p.node.Name)) {
				continue
			}
			if r.asked || time.Since(began) > exitGrace || len(started) == 1 {
				return failed(p.node, "ended: "+p.how)
			}
		}
		lacking, reason, err := n.firstLacking(ctx, c, holds, r)
		if err != nil {
			return err
		}
		if reason == "" {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-timeout.C:
			return failed(lacking, fmt.Sprintf("%s after %s", reason, n.ReadyTimeout))
		}
	}
}

// firstLacking returns the first node for which the condition does not hold, and why.
func (n *Network) firstLacking(ctx context.Context, c *client.Client, holds condition, r registry) (client.Node, string, error) {
	running, err := n.runningNames()
	if err != nil {
		return client.Node{}, "", err
	}
	for _, answer := range c.Statuses(ctx) {
		if errors.Is(answer.Err, client.ErrWrongNetwork) {
			return client.Node{}, "", answer.Err
		}
		if answer.Err != nil {
			if r.asked && !r.admitted(answer.Node.Name) && !slices.Contains(running, answer.Node.Name) {
				continue // the ledger does not list it any more, and it has ended
			}
			return answer.Node, "does not answer", nil
		}
		if reason := holds(answer.Status, running, r); reason != "" {
			return answer.Node, reason, nil
		}
	}
	return client.Node{}, "", nil
}

// runningNames returns the names of the nodes whose processes run.
func (n *Network) runningNames() ([]string, error) {
	var running []string
	for _, node := range n.File.Nodes {
		_, runs, err := home.Running(node.Home)
		if err != nil {
			return nil, err
		}
		if runs {
			running = append(running, node.Name)
		}
	}
	return running, nil
}

// failed makes the error about a node out of the end of its log.
func failed(node client.Node, reason string) error {
	path := home.Dir(node.Home).Log()
	lines, err := lastLines(path, failureLines)
	if err != nil {
		return errors.Join(&StartError{Node: node.Name, Reason: reason, Log: path}, err)
	}
	return &StartError{Node: node.Name, Reason: reason, Log: path, Lines: lines}
}
