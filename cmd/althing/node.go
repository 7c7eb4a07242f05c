package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// Kinds of nodes.
const (
	kindValidator = "validator"
	kindObserver  = "observer"
)

// nodeView is a node of the ledger, and what the node that was asked sees of it.
type nodeView struct {
	Name string `json:"name"`
	Org  string `json:"org"`
	// Connected says whether the node that was asked has a connection to it; to itself it has.
	Connected bool `json:"connected"`
	// Kind is validator, for a node with power, or observer.
	Kind         string   `json:"kind"`
	Power        uint64   `json:"power"`
	NodeKey      string   `json:"node_key"`
	ValidatorKey string   `json:"validator_key"`
	Addresses    []string `json:"addresses"`
	ListedHeight uint64   `json:"listed_height"`
	// RemovedHeight and ConvictedHeight are 0 for a node that is listed, and for one that has done no wrong.
	RemovedHeight   uint64 `json:"removed_height"`
	ConvictedHeight uint64 `json:"convicted_height"`
	// Of the connection; empty and 0 where there is none.
	Since         string  `json:"since"`
	Address       string  `json:"address"`
	LatencyMS     float64 `json:"latency_ms"`
	Height        uint64  `json:"height"`
	Lag           uint64  `json:"lag"` // blocks behind the node that was asked
	Version       string  `json:"version"`
	ClockOffsetMS int64   `json:"clock_offset_ms"`
}

// nodesView is what `node list` prints.
type nodesView struct {
	Height uint64     `json:"height"`
	Asked  string     `json:"asked"`
	Nodes  []nodeView `json:"nodes"`
	More   bool       `json:"more"`
}

func newNodeCommand(s *streams) *cobra.Command {
	return noun("node", "Nodes that the ledger lists",
		newNodeListCommand(s), newNodeShowCommand(s), newNodeAddCommand(s), newNodeRemoveCommand(s),
		newNodeSetAddressesCommand(s), newNodeRotateKeyCommand(s))
}

func newNodeListCommand(s *streams) *cobra.Command {
	var p paging
	var removed bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nodes that the ledger knows, and who is connected",
		Long: `List the nodes that the ledger knows, with what the node that is asked sees of each: whether it is connected, since
when, how far away and how far behind. --node chooses whom to ask.`,
		Example: `  althing node list
  althing node list --node globex-1 --output json`,
		Args: cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			status, err := l.Status(ctx)
			if err != nil {
				return err
			}
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*membershipv1.Node, string, error) {
				resp, err := l.Membership().ListNodes(ctx, &membershipv1.ListNodesRequest{Height: at, Page: page, PageSize: size, Removed: removed})
				return resp.GetHeight(), resp.GetNodes(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			view := nodesView{Height: found.height, Asked: status.Node, Nodes: []nodeView{}, More: found.more}
			for _, n := range found.items {
				view.Nodes = append(view.Nodes, viewOfNode(n, status))
			}
			if err := s.show(g, view, view.text); err != nil {
				return err
			}
			if view.More {
				s.note(g, "There are more; --limit 0 lists all.")
			}
			return nil
		}),
	}
	p.flags(cmd)
	cmd.Flags().BoolVar(&removed, "removed", false, "removed nodes too")
	return cmd
}

// viewOfNode joins what the ledger says of a node with what another node sees of it.
func viewOfNode(n *membershipv1.Node, asked *ledgerv1.GetStatusResponse) nodeView {
	v := nodeView{
		Name: n.Name, Org: n.Org, Kind: kindValidator, Power: n.Power, NodeKey: hex.EncodeToString(n.NodeKey),
		ValidatorKey: hex.EncodeToString(n.ValidatorKey), Addresses: append([]string{}, n.Addresses...),
		ListedHeight: n.ListedHeight, RemovedHeight: n.RemovedHeight, ConvictedHeight: n.ConvictedHeight,
	}
	if n.Power == 0 {
		v.Kind = kindObserver
	}
	if n.Name == asked.Node {
		v.Connected, v.Height, v.Version = true, asked.Height, asked.Version
		return v
	}
	i := slices.IndexFunc(asked.Peers, func(p *ledgerv1.Peer) bool { return p.Name == n.Name })
	if i < 0 {
		return v
	}
	p := asked.Peers[i]
	v.Connected, v.Address, v.Height, v.Version = true, p.Address, p.Height, p.Version
	v.LatencyMS, v.ClockOffsetMS = float64(p.RoundTripUs)/1000, p.ClockOffsetMs
	if p.Since != nil {
		v.Since = p.Since.AsTime().UTC().Format(timeFormat)
	}
	if asked.Height > p.Height {
		v.Lag = asked.Height - p.Height
	}
	return v
}

func (v nodesView) text(out io.Writer) {
	fmt.Fprintf(out, "As %s sees it:\n\nNODE\tORG\tKIND\tPOWER\tCONNECTED\tHEIGHT\tLAG\tLATENCY\tCLOCK\tVERSION\tADDRESSES\n", v.Asked)
	for _, n := range v.Nodes {
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%s\n", n.Name, n.Org, n.Kind, n.Power, strings.Join(append(n.seen(v.Asked), strings.Join(n.Addresses, ", ")), "\t"))
	}
}

// seen is what a table says of the connection to a node.
func (n nodeView) seen(asked string) []string {
	switch {
	case n.RemovedHeight > 0:
		return []string{fmt.Sprintf("removed at %d", n.RemovedHeight), "", "", "", "", ""}
	case n.Name == asked:
		return []string{"itself", fmt.Sprint(n.Height), "", "", "", n.Version}
	case !n.Connected:
		return []string{"no", "", "", "", "", ""}
	}
	since := "yes"
	if at, err := time.Parse(timeFormat, n.Since); err == nil {
		since = "since " + at.Format(time.DateTime)
	}
	clock := fmt.Sprintf("%+.1fs", (time.Duration(n.ClockOffsetMS) * time.Millisecond).Seconds())
	return []string{since, fmt.Sprint(n.Height), fmt.Sprint(n.Lag), fmt.Sprintf("%.1f ms", n.LatencyMS), clock, n.Version}
}

// nodeHistory is what `node show` prints.
type nodeHistory struct {
	nodeView
	AtHeight uint64   `json:"at_height"`
	Asked    string   `json:"asked"`
	History  []object `json:"history"`
}

func newNodeShowCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show a node, how it is connected, and its history",
		Example: `  althing node show acme-1
  althing node show acme-1 --output json`,
		Args: cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if err := names.Node(args[0]); err != nil {
				return err
			}
			resp, err := l.Membership().GetNode(ctx, &membershipv1.GetNodeRequest{Name: args[0], Height: height})
			if err != nil {
				return err
			}
			status, err := l.Status(ctx)
			if err != nil {
				return err
			}
			changes, err := historyOf(ctx, l, &membershipv1.ListChangesRequest{Node: args[0], Height: resp.Height})
			if err != nil {
				return err
			}
			view := nodeHistory{viewOfNode(resp.GetNode(), status), resp.Height, status.Node, []object{}}
			for _, c := range changes {
				view.History = append(view.History, l.units.render(ctx, c))
			}
			return s.show(g, view, func(out io.Writer) {
				view.text(out)
				showHistory(out, changes)
			})
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

func (v nodeHistory) text(out io.Writer) {
	fmt.Fprintf(out, "node\t%s\norg\t%s\nkind\t%s\npower\t%d\nnode key\t%s\n", v.Name, v.Org, v.Kind, v.Power, v.NodeKey)
	if v.ValidatorKey != "" {
		fmt.Fprintf(out, "validator key\t%s\n", v.ValidatorKey)
	}
	fmt.Fprintf(out, "addresses\t%s\nlisted at\t%d\n", listWords(v.Addresses), v.ListedHeight)
	if v.RemovedHeight > 0 {
		fmt.Fprintf(out, "removed at\t%d\n", v.RemovedHeight)
	}
	if v.ConvictedHeight > 0 {
		fmt.Fprintf(out, "convicted at\t%d\n", v.ConvictedHeight)
	}
	switch {
	case v.Name == v.Asked:
		fmt.Fprintf(out, "height\t%d\n", v.Height)
	case v.Connected:
		fmt.Fprintf(out, "connected\tto %s since %s, %.1f ms away\nheight\t%d\n", v.Asked, v.Since, v.LatencyMS, v.Height)
	default:
		fmt.Fprintf(out, "connected\tnot to %s\n", v.Asked)
	}
}

// historyOf reads all changes of a node or an organisation.
func historyOf(ctx context.Context, l *link, req *membershipv1.ListChangesRequest) ([]*membershipv1.Change, error) {
	found, err := collect(paging{height: req.Height}, func(at uint64, page string, size uint32) (uint64, []*membershipv1.Change, string, error) {
		resp, err := l.Membership().ListChanges(ctx, &membershipv1.ListChangesRequest{
			Height: at, Page: page, PageSize: size, Node: req.Node, Org: req.Org,
		})
		return resp.GetHeight(), resp.GetChanges(), resp.GetNextPage(), err
	})
	return found.items, err
}

// showHistory writes a line for each change.
func showHistory(out io.Writer, changes []*membershipv1.Change) {
	for i, c := range changes {
		label := ""
		if i == 0 {
			label = "history"
		}
		by := c.Account
		if c.Proposal > 0 {
			by = fmt.Sprintf("proposal %d", c.Proposal)
		}
		if by != "" {
			by = " by " + by
		}
		from := ""
		if c.EffectiveHeight > c.Height {
			from = fmt.Sprintf(", from block %d on", c.EffectiveHeight)
		}
		fmt.Fprintf(out, "%s\theight %d, %s: %s%s%s%s\n", label, c.Height, time.Unix(0, c.TimeUnixNano).UTC().Format(time.RFC3339), c.Kind, by, from, because(c.Reason))
	}
}
