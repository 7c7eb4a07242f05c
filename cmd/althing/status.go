package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// networkStatus is what `status` prints. The values at the top are those of the reachable node that is furthest.
type networkStatus struct {
	ChainID     string       `json:"chain_id"`
	GenesisHash string       `json:"genesis_hash"`
	Height      uint64       `json:"height"`
	AppHash     string       `json:"app_hash"`
	BlockTime   string       `json:"block_time,omitempty"`
	Nodes       []nodeStatus `json:"nodes"`
	// Progress is what --why asks for.
	Progress *progressView `json:"progress,omitempty"`
}

type nodeStatus struct {
	Name         string       `json:"name"`
	Org          string       `json:"org"`
	GRPC         string       `json:"grpc"`
	Reachable    bool         `json:"reachable"`
	Error        string       `json:"error,omitempty"`
	Height       uint64       `json:"height"`
	AppHash      string       `json:"app_hash"`
	Phase        string       `json:"phase"`
	Ready        bool         `json:"ready"`
	Validator    bool         `json:"validator"`
	Peers        []peerStatus `json:"peers"`
	Members      uint32       `json:"members"`
	Pending      uint64       `json:"pending_transactions"`
	PendingBytes uint64       `json:"pending_bytes"`
	OldestHeight uint64       `json:"oldest_height"`
	OldestBlock  uint64       `json:"oldest_block"`
	FeatureLevel uint64       `json:"feature_level"`
	Version      string       `json:"version"`
	Waiting      string       `json:"waiting"`       // what the node waits for before it can follow; empty when it follows
	ClockSkewMS  int64        `json:"clock_skew_ms"` // how far the node's clock is ahead of this machine's
	RoundTripMS  int64        `json:"round_trip_ms"`
}

type peerStatus struct {
	Name    string `json:"name"`
	Org     string `json:"org"`
	Address string `json:"address"`
}

func newStatusCommand(s *streams) *cobra.Command {
	var why bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the network and each of its nodes are",
		Long: `Show how the network and each of its nodes are. The height and app hash at the top are those of the
reachable node that is furthest. The exit code is 1 when no node can be reached.

With --why it says what keeps the network from making blocks, as that node sees it: which validators are silent,
unconnected or behind. A network that has nothing to do makes no blocks, and that is as it should be.`,
		Example: `  althing status
  althing status --why
  althing status --node 127.0.0.1:9101 --output json`,
		Args: cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error { return s.status(ctx, g, l, why) }),
	}
	cmd.Flags().BoolVar(&why, "why", false, "say what keeps the network from making blocks")
	return cmd
}

func (s *streams) status(ctx context.Context, g globals, l *link, why bool) error {
	began := s.now()
	all := l.Statuses(ctx)
	value := networkStatus{ChainID: l.Network().ChainID, GenesisHash: l.Network().GenesisHash}
	var failures []error
	for _, answer := range all {
		n := nodeStatus{Name: answer.Node.Name, Org: answer.Node.Org, GRPC: answer.Node.GRPC, Peers: []peerStatus{}}
		if answer.Err != nil {
			n.Error = answer.Err.Error()
			failures = append(failures, answer.Err)
		} else {
			n.fill(answer, began)
			if n.Height >= value.Height {
				value.Height, value.AppHash = n.Height, n.AppHash
				value.BlockTime = ""
				if answer.Status.BlockTime != nil {
					value.BlockTime = answer.Status.BlockTime.AsTime().Format(timeFormat)
				}
			}
		}
		value.Nodes = append(value.Nodes, n)
	}
	if why && len(failures) < len(all) {
		progress, err := l.Ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{Why: true})
		if err != nil {
			return err
		}
		value.Progress = progressOf(progress)
	}
	if err := s.show(g, value, value.text); err != nil {
		return err
	}
	if len(failures) == len(all) {
		return joined(failures)
	}
	return nil
}

// joined tells the failures of all nodes in one sentence where each is that the node did not answer.
func joined(failures []error) error {
	together := new(client.Unreachable)
	for _, err := range failures {
		var one *client.Unreachable
		if !errors.As(err, &one) {
			return errors.Join(failures...)
		}
		together.Attempts = append(together.Attempts, one.Attempts...)
	}
	return together
}

func (n *nodeStatus) fill(answer client.NodeStatus, began time.Time) {
	said := answer.Status
	n.Reachable, n.Height, n.AppHash = true, said.Height, hex.EncodeToString(said.AppHash)
	n.Name, n.Org = said.Node, said.Org
	n.Phase, n.Ready, n.Validator, n.Members = said.Phase, said.Ready, said.Validator, said.Members
	n.Pending, n.PendingBytes = said.PendingTransactions, said.PendingBytes
	n.OldestHeight, n.OldestBlock = said.OldestHeight, said.OldestBlock
	n.FeatureLevel, n.Version, n.Waiting = said.FeatureLevel, said.Version, said.Waiting
	n.RoundTripMS = answer.RoundTrip.Milliseconds()
	n.ClockSkewMS = said.Now.AsTime().Sub(began.Add(answer.RoundTrip / 2)).Milliseconds()
	for _, p := range said.Peers {
		n.Peers = append(n.Peers, peerStatus{p.Name, p.Org, p.Address})
	}
}

func (v networkStatus) text(out io.Writer) {
	fmt.Fprintf(out, "network\t%s\n", v.ChainID)
	if !slices.ContainsFunc(v.Nodes, func(n nodeStatus) bool { return n.Reachable }) {
		fmt.Fprint(out, "height\tunknown\n\n")
	} else if v.Height == 0 && slices.ContainsFunc(v.Nodes, func(n nodeStatus) bool { return n.Ready }) {
		// A node that is ready has a block: it does not tell of it.
		fmt.Fprint(out, "height\tfor members only: say as whom you read with --read-as ORG/NAME\n\n")
	} else if v.Height == 0 {
		fmt.Fprint(out, "height\tno block yet\n\n")
	} else {
		fmt.Fprintf(out, "height\t%d\napp hash\t%s\nblock time\t%s\n\n", v.Height, v.AppHash, v.BlockTime)
	}
	fmt.Fprintln(out, "NODE\tADDRESS\tSTATE\tHEIGHT\tPEERS\tPENDING\tCLOCK")
	for _, n := range v.Nodes {
		if !n.Reachable {
			fmt.Fprintf(out, "%s\t%s\tunreachable\t\t\t\t\n", orDash(n.Name), n.GRPC)
			continue
		}
		state := n.Phase
		if n.Ready {
			state = "ready"
		}
		skew := (time.Duration(n.ClockSkewMS) * time.Millisecond).Round(100 * time.Millisecond)
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%d of %d\t%d\t%+.1fs\n", n.Name, n.GRPC, state, n.Height, len(n.Peers), n.Members, n.Pending, skew.Seconds())
	}
	for _, n := range v.Nodes {
		if n.Waiting != "" {
			fmt.Fprintf(out, "%s waits: %s\n", orDash(n.Name), n.Waiting)
		}
	}
	if v.Progress != nil {
		fmt.Fprintln(out)
		v.Progress.text(out)
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
