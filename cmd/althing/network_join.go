package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// joinedNetwork is what `network join` prints.
type joinedNetwork struct {
	ChainID    string `json:"chain_id"`
	Org        string `json:"org"`
	Node       string `json:"node"`
	Home       string `json:"home"`
	MemberFile string `json:"member_file"`
	// AsOf is the height of the ticket; Listed says whether the ledger listed the node then.
	AsOf   uint64 `json:"as_of"`
	Listed bool   `json:"listed"`
	// Waiting is what has to happen before the node is let in, and Command what a member runs for it; empty when listed.
	Waiting string `json:"waiting"`
	Command string `json:"command"`
}

func newNetworkJoinCommand(s *streams) *cobra.Command {
	n := new(newcomer)
	var dir string
	cmd := &cobra.Command{
		Use:   "join TICKET --home DIR",
		Short: "Complete the home of a node with a ticket, make it, or renew it",
		Long: `Complete the home of a node, which ` + "`althing network init`" + ` made, with the ticket that ` + "`althing network new`" + ` or a
member's ` + "`althing network ticket`" + ` wrote; or, with --org and --address, make the home at once. It says what the node
waits for: a node that the ledger does not list is let in nowhere, until the members have listed it. It may be started before:
then it waits by itself.

A home that belongs to the network already takes the nodes of a newer ticket, for a node that was away for so long that it
finds none of those that it knows; stop it first. What an interrupted join has left undone is done.

Whoever uses a ticket trusts the one who wrote it: get it from a member, on a way that you trust.`,
		Example: `  althing network join coop.ticket.json --home hooli-1
  althing network join coop.ticket.json --home hooli-1 --org hooli --address node.hooli.example:26656`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			result, err := n.join(args[0], dir)
			if err != nil {
				return err
			}
			return s.show(globalsOf(cmd), result, result.text)
		},
	}
	n.flags(cmd)
	homeFlag(cmd, &dir)
	return cmd
}

// readTicket reads a ticket that the user names, and the genesis document in it.
func readTicket(file string) (*home.Ticket, app.Genesis, error) {
	t, err := home.ReadTicket(file)
	if errors.Is(err, home.ErrTicket) {
		return nil, app.Genesis{}, usageError(hint(err, "`althing network ticket` and `althing network new` write tickets"))
	}
	if err != nil {
		return nil, app.Genesis{}, badPath(file, err)
	}
	genesis, err := app.ParseGenesis(t.Genesis)
	if err != nil {
		return nil, app.Genesis{}, usageError(hint(fmt.Errorf("%s: %w", file, err), "get another ticket from a member, or a newer version of this program"))
	}
	return t, genesis, nil
}

func (n *newcomer) join(file, dir string) (*joinedNetwork, error) {
	ticket, genesis, err := readTicket(file)
	if err != nil {
		return nil, err
	}
	_, err = os.Lstat(home.Dir(dir).Config())
	switch exists := err == nil; {
	case exists && (n.org != "" || len(n.addresses) > 0):
		return nil, usagef("there is a home at %s, which says itself whose it is: leave --org and --address out", dir)
	case !exists && n.org == "":
		return nil, hint(usagef("there is no home at %s", dir), "make it with `althing network init`, or at once with --org ORG --address HOST:PORT")
	case !exists:
		if _, err := n.make(dir); err != nil {
			return nil, err
		}
	}
	first := home.Incomplete(dir)
	if err := home.Complete(dir, ticket); err != nil {
		if errors.Is(err, home.ErrExists) {
			err = hint(err, "every network needs a home of its own: choose another --home")
		}
		return nil, startError(err)
	}
	h, err := home.Load(dir)
	if err != nil {
		return nil, startError(err)
	}
	result := describeJoin(h, ticket, genesis)
	if !first && exists(filepath.Join(string(h.Dir), client.NetworkFileName)) {
		return result, nil // its owner may have changed it
	}
	return result, writeNetworkFile(h, ticket, genesis)
}

// describeJoin says what a node waits for, as far as its ticket tells.
func describeJoin(h *home.Home, t *home.Ticket, genesis app.Genesis) *joinedNetwork {
	c := h.Config
	j := &joinedNetwork{ChainID: t.ChainID, Org: c.Org, Node: c.Name, Home: string(h.Dir), AsOf: t.Anchor.Height}
	if file := h.Dir.MemberFile(c.Org, c.Name); exists(file) {
		j.MemberFile = file
	}
	j.Listed = slices.ContainsFunc(t.Nodes, func(listed home.Contact) bool {
		return listed.Name == c.Name && string(listed.NodeKey) == string(h.NodeKey.Public().Bytes())
	})
	member := slices.Contains(genesis.Doc.Orgs, c.Org) ||
		slices.ContainsFunc(t.Nodes, func(listed home.Contact) bool { return listed.Org == c.Org })
	file := shortPath(h.Dir.MemberFile(c.Org, c.Name))
	switch {
	case j.Listed:
	case member:
		j.Waiting = fmt.Sprintf("an admin of %s to list the node", c.Org)
		j.Command = fmt.Sprintf("althing node add --file %s --as %s/admin", file, c.Org)
	default:
		j.Waiting = fmt.Sprintf("the members to admit %s with the node", c.Org)
		j.Command = fmt.Sprintf("althing proposal create --admit-org %s --member %s --as ORG/admin", c.Org, file)
	}
	return j
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (j *joinedNetwork) text(out io.Writer) {
	fmt.Fprintf(out, "network\t%s\nnode\t%s of %s\nhome\t%s\n", j.ChainID, j.Node, j.Org, j.Home)
	if j.Listed {
		fmt.Fprintf(out, "\nThe ledger lists the node as of height %d. Start it:\n", j.AsOf)
	} else {
		fmt.Fprintf(out, "\nAs of height %d the ledger does not list the node: it waits for %s. A member runs\n  %s\n", j.AsOf, j.Waiting, j.Command)
		fmt.Fprintln(out, "and tells the others the number of a proposal, for `althing proposal vote ID --yes`. The node may be started before:")
	}
	fmt.Fprintf(out, "  althing network start --home %s\n", shortPath(j.Home))
}

// writeNetworkFile writes the network file with which clients find the network through the node of a home, and through
// those nodes of its ticket that say where they serve.
func writeNetworkFile(h *home.Home, t *home.Ticket, genesis app.Genesis) error {
	own, err := clientNode(h)
	if err != nil {
		return err
	}
	file := &client.Network{
		ChainID: genesis.ChainID, GenesisHash: hex.EncodeToString(genesis.Hash[:]), Nodes: []client.Node{own},
		KeysDir: filepath.Join(string(h.Dir), keysDirName),
	}
	for _, c := range t.Nodes {
		if c.GRPC == "" || c.Name == own.Name {
			continue
		}
		other := client.Node{Name: c.Name, Org: c.Org, GRPC: c.GRPC, TLSCertificate: c.TLSCertificate}
		trial := *file
		trial.Nodes = append(slices.Clone(file.Nodes), other)
		// A node that serves without TLS on its own machine only is of no use here.
		if trial.Validate() == nil {
			file = &trial
		}
	}
	return client.SaveNetwork(filepath.Join(string(h.Dir), client.NetworkFileName), file)
}

// clientNode returns what a network file says of the node of a home. Its certificate is made here if there is none.
func clientNode(h *home.Home) (client.Node, error) {
	n := client.Node{Name: h.Config.Name, Org: h.Config.Org, GRPC: h.Config.GRPC.Dial(), Home: string(h.Dir)}
	secured, err := h.TLS()
	if err != nil {
		return client.Node{}, startError(err)
	}
	if secured != nil {
		certificate, err := os.ReadFile(h.Dir.Certificate())
		if err != nil {
			return client.Node{}, err
		}
		n.TLSCertificate = string(certificate)
	}
	return n, nil
}

// ticketWritten is what `network ticket` prints.
type ticketWritten struct {
	ChainID string   `json:"chain_id"`
	Height  uint64   `json:"height"`
	AppHash string   `json:"app_hash"`
	Nodes   []string `json:"nodes"`
	File    string   `json:"file"`
}

func newNetworkTicketCommand(s *streams) *cobra.Command {
	var dir, out string
	cmd := &cobra.Command{
		Use:   "ticket",
		Short: "Write what a new node needs to join",
		Long: `Write what a new node needs to join: the genesis document, the newest block as an anchor of trust, and where the
nodes are. It holds nothing that is secret, but whoever uses it trusts who wrote it. The document is that of the home of a
node on this machine: the one that the network file names, or --home.`,
		Example: `  althing network ticket -o coop.ticket.json
  althing network ticket --home acme-1 -o coop.ticket.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			g := globalsOf(cmd)
			if out == "" {
				return missing("out", "`FILE`")
			}
			if dir != "" && g.network == "" {
				g.network = dir
			}
			return s.read(cmd.Context(), g, nil, func(ctx context.Context, g globals, l *link, _ []string) error {
				ticket, err := writeTicket(ctx, l, dir)
				if err != nil {
					return err
				}
				content, err := ticket.Encode()
				if err != nil {
					return err
				}
				if err := s.saveFile(out, content); err != nil || out == toStdout {
					return err
				}
				value := ticketWritten{ticket.ChainID, ticket.Anchor.Height, hex.EncodeToString(ticket.Anchor.AppHash), []string{}, out}
				for _, n := range ticket.Nodes {
					value.Nodes = append(value.Nodes, n.Name)
				}
				return s.show(g, value, func(w io.Writer) {
					fmt.Fprintf(w, "network\t%s\nheight\t%d\nnodes\t%s\nticket\t%s\n", value.ChainID, value.Height, listWords(value.Nodes), out)
				})
			})
		},
	}
	cmd.Flags().StringVar(&dir, "home", "", "`DIR`ectory of a node of the network")
	cmd.Flags().StringVarP(&out, "out", "o", "", "`FILE` for the ticket, - for standard output")
	return cmd
}

// writeTicket asks a node for the newest block and the nodes, and takes the document from a home.
func writeTicket(ctx context.Context, l *link, dir string) (*home.Ticket, error) {
	document, err := genesisDocument(l.Network(), dir)
	if err != nil {
		return nil, err
	}
	genesis, err := app.ParseGenesis(document)
	if err != nil {
		return nil, err
	}
	if genesis.ChainID != l.Network().ChainID {
		return nil, usagef("the home is of network %s, the network file of %s", genesis.ChainID, l.Network().ChainID)
	}
	t := &home.Ticket{ChainID: genesis.ChainID, Genesis: document, Anchor: home.Anchor{AppHash: genesis.Hash[:]}}
	status, err := l.Status(ctx)
	if err != nil {
		return nil, err
	}
	if status.Height == 0 {
		t.Nodes = genesisContacts(genesis)
	} else {
		resp, err := l.Ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: status.Height, HeaderOnly: true})
		if err != nil {
			return nil, err
		}
		t.Anchor = home.Anchor{Height: resp.Block.Height, BlockHash: resp.Block.Hash, AppHash: resp.Block.AppHash}
		found, err := collect(paging{height: resp.Block.Height}, func(at uint64, page string, size uint32) (uint64, []*membershipv1.Node, string, error) {
			resp, err := l.Membership().ListNodes(ctx, &membershipv1.ListNodesRequest{Height: at, Page: page, PageSize: size})
			return resp.GetHeight(), resp.GetNodes(), resp.GetNextPage(), err
		})
		if err != nil {
			return nil, err
		}
		for _, n := range found.items {
			t.Nodes = append(t.Nodes, home.Contact{Name: n.Name, Org: n.Org, NodeKey: n.NodeKey, Addresses: n.Addresses})
		}
	}
	for i := range t.Nodes {
		for _, known := range l.Network().Nodes {
			if known.Name == t.Nodes[i].Name {
				t.Nodes[i].GRPC, t.Nodes[i].TLSCertificate = known.GRPC, known.TLSCertificate
			}
		}
	}
	return t, nil
}

// genesisDocument reads the document from a home: the one that is named, or the first of the network file that is here.
func genesisDocument(network *client.Network, dir string) ([]byte, error) {
	if dir != "" {
		h, err := home.Load(dir)
		if err != nil {
			return nil, startError(err)
		}
		return h.Genesis, nil
	}
	for _, node := range network.Nodes {
		if node.Home == "" || !exists(home.Dir(node.Home).Genesis()) {
			continue
		}
		document, err := os.ReadFile(home.Dir(node.Home).Genesis())
		if err != nil {
			return nil, badPath(home.Dir(node.Home).Genesis(), err)
		}
		return document, nil
	}
	return nil, hint(usagef("the network file names no home on this machine"), "name the home of a node with --home DIR")
}
