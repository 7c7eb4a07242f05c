package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/internal/home"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// ticketSuffix ends the name of a ticket where none is named.
const ticketSuffix = ".ticket.json"

// founded is what `network new` prints.
type founded struct {
	ChainID     string   `json:"chain_id"`
	GenesisHash string   `json:"genesis_hash"`
	Ticket      string   `json:"ticket"`
	Orgs        []string `json:"orgs"`
	Nodes       []string `json:"nodes"`
}

func newNetworkNewCommand(s *streams) *cobra.Command {
	var name, out string
	var files, charter []string
	cmd := &cobra.Command{
		Use:   "new --name NAME --orgs A.json,B.json",
		Short: "Make a network of what its organisations contribute",
		Long: `Make a network of the member files of its organisations, each of which ` + "`althing network init`" + ` made. The
proofs in them are checked; files of one organisation are put together. What comes out is a ticket, with which each
organisation completes its homes: ` + "`althing network join TICKET --home DIR`" + `. Then all start their nodes.

Nobody has to trust who runs this command: every organisation finds its own keys in the ticket, and the network's name
ends in the first digits of its hash.`,
		Example: `  althing network new --name coop --orgs acme-1.member.json,globex-1.member.json
  althing network new --name coop --orgs acme-1.member.json --orgs globex-1.member.json --set-charter block_interval_ms=500 -o coop.ticket.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := names.Network(name); err != nil {
				return err
			}
			if out == "" {
				out = name + ticketSuffix
			}
			result, ticket, err := foundNetwork(name, files, charter, s.now())
			if err != nil {
				return err
			}
			result.Ticket = out
			if err := s.saveNewFile(out, ticket); err != nil || out == toStdout {
				return err
			}
			return s.show(globalsOf(cmd), result, func(w io.Writer) {
				fmt.Fprintf(w, "network\t%s\norganisations\t%s\nnodes\t%s\nticket\t%s\n", result.ChainID, listWords(result.Orgs), listWords(result.Nodes), out)
				fmt.Fprintf(w, "\nGive the ticket to every organisation. Each completes its homes with it, and starts its nodes:\n")
				fmt.Fprintf(w, "  althing network join %s --home DIR\n  althing network start --home DIR\n", out)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "`NAME` of the network")
	flags.StringSliceVar(&files, "orgs", nil, "member `FILES` of the organisations, separated by commas; may be repeated")
	flags.StringArrayVar(&charter, "set-charter", nil, "`KEY=VALUE`: a limit of the charter; may be repeated")
	flags.StringVarP(&out, "out", "o", "", "`FILE` for the ticket, - for standard output (default NAME"+ticketSuffix+")")
	require(cmd, "name", "orgs")
	return cmd
}

// saveFile writes a file, in the place of an earlier one, or to standard output.
func (s *streams) saveFile(path string, content []byte) error {
	if path == toStdout {
		_, err := s.out.Write(content)
		return err
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return badPath(path, err)
	}
	return nil
}

// saveNewFile is saveFile for what is never made a second time: it replaces nothing.
func (s *streams) saveNewFile(path string, content []byte) error {
	if path == toStdout {
		return s.saveFile(path, content)
	}
	switch err := home.WriteFile(path, content, 0o644); {
	case errors.Is(err, fs.ErrExist):
		return hint(usagef("%s exists", path), "it may be the ticket of a network that has begun: choose another file with -o")
	case err != nil:
		return badPath(path, err)
	}
	return nil
}

// foundNetwork makes the genesis document of a network and the ticket to it.
func foundNetwork(name string, files, limits []string, now time.Time) (*founded, []byte, error) {
	members, err := mergeFiles(files)
	if err != nil {
		return nil, nil, err
	}
	doc := &genesisv1.Genesis{
		Format: 1, Name: name, Time: timestamppb.New(now.UTC().Truncate(time.Second)), FeatureLevel: app.FeatureLevel,
		Charter: &governancev1.Charter{},
	}
	for _, limit := range limits {
		if err := setCharter(doc.Charter, limit); err != nil {
			return nil, nil, err
		}
	}
	for _, m := range members {
		doc.Orgs = append(doc.Orgs, m.Org)
		for _, a := range m.Accounts {
			doc.Accounts = append(doc.Accounts, &accountsv1.Account{Name: a.Name, Keys: a.Keys, Threshold: a.Threshold, Roles: a.Roles})
		}
		doc.Nodes = append(doc.Nodes, m.Nodes...)
	}
	document, err := app.EncodeGenesis(doc)
	if err != nil {
		return nil, nil, usageError(hint(err, "the member files together make no network: correct what it says"))
	}
	genesis, err := app.ParseGenesis(document)
	if err != nil {
		return nil, nil, err
	}
	ticket := &home.Ticket{ChainID: genesis.ChainID, Genesis: document, Anchor: home.Anchor{AppHash: genesis.Hash[:]}, Nodes: genesisContacts(genesis)}
	content, err := ticket.Encode()
	if err != nil {
		return nil, nil, usageError(err)
	}
	result := &founded{ChainID: genesis.ChainID, GenesisHash: fmt.Sprintf("%x", genesis.Hash), Orgs: doc.Orgs, Nodes: []string{}}
	for _, n := range doc.Nodes {
		result.Nodes = append(result.Nodes, n.Node.Name)
	}
	return result, content, nil
}

// genesisContacts returns the nodes of a genesis document.
func genesisContacts(g app.Genesis) []home.Contact {
	var all []home.Contact
	for _, n := range g.Doc.Nodes {
		all = append(all, home.Contact{Name: n.Node.GetName(), Org: n.Node.GetOrg(), NodeKey: n.Node.GetNodeKey(), Addresses: n.Node.GetAddresses()})
	}
	return all
}

// mergeFiles reads member files and puts those of one organisation together, in ascending order of organisation.
func mergeFiles(files []string) ([]*home.Member, error) {
	var members []*home.Member
	for _, file := range files {
		m, err := readMember(file)
		if err != nil {
			return nil, err
		}
		i := slices.IndexFunc(members, func(known *home.Member) bool { return known.Org == m.Org })
		if i < 0 {
			members = append(members, m)
			continue
		}
		if members[i], err = mergeMembers(members[i], m); err != nil {
			return nil, usagef("%s: %w", file, err)
		}
	}
	slices.SortFunc(members, func(a, b *home.Member) int { return strings.Compare(a.Org, b.Org) })
	for _, m := range members {
		slices.SortFunc(m.Accounts, func(a, b *accountsv1.Create) int { return strings.Compare(a.Name, b.Name) })
		slices.SortFunc(m.Nodes, func(a, b *membershipv1.AddNode) int { return strings.Compare(a.Node.Name, b.Node.Name) })
	}
	return members, nil
}

// errTwoKeys is why files of one organisation do not fit each other.
var errTwoKeys = errors.New("an account of the organisation has another key in another file: make further nodes with the same --keys")

// mergeMembers puts two files of one organisation together. What stands in both must be the same.
func mergeMembers(a, b *home.Member) (*home.Member, error) {
	merged := &home.Member{Org: a.Org, Accounts: slices.Clone(a.Accounts), Nodes: slices.Clone(a.Nodes)}
	for _, account := range b.Accounts {
		i := slices.IndexFunc(merged.Accounts, func(known *accountsv1.Create) bool { return known.Name == account.Name })
		if i < 0 {
			merged.Accounts = append(merged.Accounts, account)
		} else if !proto.Equal(merged.Accounts[i], account) {
			return nil, fmt.Errorf("%s: %w", account.Name, errTwoKeys)
		}
	}
	for _, node := range b.Nodes {
		i := slices.IndexFunc(merged.Nodes, func(known *membershipv1.AddNode) bool { return known.Node.Name == node.Node.Name })
		if i < 0 {
			merged.Nodes = append(merged.Nodes, node)
		} else if !proto.Equal(merged.Nodes[i], node) {
			return nil, fmt.Errorf("node %s has other keys in another file: name each node differently with --node", node.Node.Name)
		}
	}
	return merged, nil
}
