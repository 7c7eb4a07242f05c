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
)

// condition says what a node lacks to be ready, empty when it is.
type condition func(status *ledgerv1.GetStatusResponse, running []string, total int) string

// allConnected is the condition for the start of a network.
func allConnected(status *ledgerv1.GetStatusResponse, _ []string, _ int) string {
	if len(status.Peers) < int(status.Members) {
		return fmt.Sprintf("is %s and connected to %d of %d nodes", status.Phase, len(status.Peers), status.Members)
	}
	return readyItself(status)
}

// othersConnected is the condition for the start of one node: others may be down on purpose.
func othersConnected(status *ledgerv1.GetStatusResponse, running []string, total int) string {
	for _, name := range running {
		connected := slices.ContainsFunc(status.Peers, func(p *ledgerv1.Peer) bool { return p.Name == name })
		if name != status.Node && !connected {
			return fmt.Sprintf("is %s and not connected to %s", status.Phase, name)
		}
	}
	if !Suffices(len(running), total) {
		return "" // nobody can be ready while a third is missing
	}
	return readyItself(status)
}

// Suffices says whether a network of total validators goes on with so many of them: more than two thirds.
func Suffices(running, total int) bool { return 3*running > 2*total }

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
	c, err := client.Dial(&asked, client.Config{AttemptTimeout: time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	timeout := time.NewTimer(n.ReadyTimeout)
	defer timeout.Stop()
	ticker := time.NewTicker(readyPause)
	defer ticker.Stop()
	for {
		for _, p := range started {
			select {
			case <-p.ended:
				return failed(p.node, "ended: "+p.how)
			default:
			}
		}
		lacking, reason, err := n.firstLacking(ctx, c, holds)
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
func (n *Network) firstLacking(ctx context.Context, c *client.Client, holds condition) (client.Node, string, error) {
	running, err := n.runningNames()
	if err != nil {
		return client.Node{}, "", err
	}
	for _, answer := range c.Statuses(ctx) {
		if errors.Is(answer.Err, client.ErrWrongNetwork) {
			return client.Node{}, "", answer.Err
		}
		if answer.Err != nil {
			return answer.Node, "does not answer", nil
		}
		if reason := holds(answer.Status, running, len(n.File.Nodes)); reason != "" {
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
