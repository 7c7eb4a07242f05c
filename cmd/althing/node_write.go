package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// listing is what the flags of `node add` say.
type listing struct {
	file                         string
	nodeKey, nodeKeyProof        string
	validatorKey, validatorProof string
	power                        uint64
	addresses                    []string
}

func newNodeAddCommand(s *streams) *cobra.Command {
	n := new(listing)
	cmd := &cobra.Command{
		Use:   "add [NAME]",
		Short: "List nodes of one's organisation",
		Long: `List nodes of the organisation of the one that acts, which needs the role admin, as far as its allotment
goes: ` + "`althing org show`" + ` shows it. More than that the members decide: ` + "`althing proposal create --add-node FILE`" + `.

The file is what ` + "`althing network init`" + ` wrote into the node's home; accounts in it are passed over.`,
		Example: `  althing node add --file acme-2.member.json --as acme/admin
  althing node add acme-2 --node-key HEX --node-key-proof HEX --address node2.acme.example:26656 --as acme/admin`,
		Args: cobra.MaximumNArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&n.file, "file", "", "member `FILE` of the node")
	flags.StringVar(&n.nodeKey, "node-key", "", "`HEX` of the key of the node's connections")
	flags.StringVar(&n.nodeKeyProof, "node-key-proof", "", "`HEX` of the proof that its owner has it")
	flags.StringVar(&n.validatorKey, "validator-key", "", "`HEX` of the key of its votes; none for an observer")
	flags.StringVar(&n.validatorProof, "validator-key-proof", "", "`HEX` of the proof that its owner has it")
	flags.Uint64Var(&n.power, "power", 0, "what its vote counts (default: what the file says, or 10 for a validator)")
	flags.StringArrayVar(&n.addresses, "address", nil, "`HOST:PORT` where other nodes reach it; may be repeated")
	var w *writing
	cmd, w = s.writerOf(cmd, func(_ context.Context, l *link, args []string) ([]*ledgerv1.Operation, error) {
		nodes, err := n.nodes(args, cmd.Flags().Changed("power"), w.as[0])
		if err != nil {
			return nil, err
		}
		l.ballot = fmt.Sprintf("`althing proposal create --add-node FILE --as %s`, where FILE is the node's member file", w.as[0])
		if n.file != "" {
			l.ballot = fmt.Sprintf("`althing proposal create --add-node %s --as %s`", n.file, w.as[0])
		}
		var ops []*ledgerv1.Operation
		for _, node := range nodes {
			ops = append(ops, &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: node}})
		}
		return ops, nil
	})
	return cmd
}

// nodes returns what is to be listed. The organisation of a node that flags describe is that of the account that acts.
func (n *listing) nodes(args []string, powerSaid bool, account string) ([]*membershipv1.AddNode, error) {
	byFlags := len(args) > 0 || n.nodeKey != "" || n.nodeKeyProof != "" || n.validatorKey != "" || n.validatorProof != "" || len(n.addresses) > 0
	switch {
	case n.file != "" && byFlags:
		return nil, usagef("--file says everything itself, but for --power: leave the name and the other flags out")
	case n.file != "":
		m, err := readMember(n.file)
		if err != nil {
			return nil, err
		}
		if len(m.Nodes) == 0 {
			return nil, usagef("%s lists no node", n.file)
		}
		for _, node := range m.Nodes {
			if powerSaid {
				node.Node.Power = n.power
			}
		}
		return m.Nodes, nil
	case len(args) == 0:
		return nil, hint(usagef("which node? name a member file with --file, or the node and its keys"), "`althing network init` makes such a file")
	case n.nodeKey == "" || n.nodeKeyProof == "":
		return nil, usagef("--node-key and --node-key-proof are needed")
	case (n.validatorKey == "") != (n.validatorProof == ""):
		return nil, usagef("--validator-key needs --validator-key-proof, and the other way round")
	}
	if err := names.Node(args[0]); err != nil {
		return nil, err
	}
	org, err := names.Account(account)
	if err != nil {
		return nil, err
	}
	node := &membershipv1.Node{Name: args[0], Org: org, Addresses: n.addresses, Power: n.power}
	if n.validatorKey != "" && !powerSaid {
		node.Power = defaultPower
	}
	add := &membershipv1.AddNode{Node: node}
	for _, part := range []struct {
		flag, text string
		size       int
		into       *[]byte
	}{
		{"node-key", n.nodeKey, 32, &node.NodeKey},
		{"node-key-proof", n.nodeKeyProof, 64, &add.NodeKeyProof},
		{"validator-key", n.validatorKey, 32, &node.ValidatorKey},
		{"validator-key-proof", n.validatorProof, 64, &add.ValidatorKeyProof},
	} {
		if part.text == "" {
			continue
		}
		value, err := hex.DecodeString(strings.TrimPrefix(part.text, "ed25519:"))
		if err != nil || len(value) != part.size {
			return nil, usagef("--%s has not %d hex digits", part.flag, 2*part.size)
		}
		*part.into = value
	}
	return []*membershipv1.AddNode{add}, nil
}

// defaultPower is what the vote of a validator counts that says nothing else.
const defaultPower = 10

func newNodeRemoveCommand(s *streams) *cobra.Command {
	var spread bool
	cmd := &cobra.Command{
		Use:   "remove NAME",
		Short: "Strike a node of one's organisation",
		Long: `Strike a node of the organisation of the one that acts, which needs the role admin. Every other node
closes its connections to it once the block is committed. It is refused where those who stay would not
hold more than two thirds of the voting power; with --spread the node then loses its power first, and
is cut off two blocks later. A node of another organisation is removed by a vote:
` + "`althing proposal create --remove-node NAME`" + `.`,
		Example: "  althing node remove acme-2 --as acme/admin",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&spread, "spread", false, "let a removal that takes too much power at once take effect over several blocks")
	return s.nodeWriter(cmd, "--remove-node %s", func(args []string) (*ledgerv1.Operation, error) {
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRemove{NodeRemove: &membershipv1.RemoveNode{Name: args[0], Spread: spread}}}, nil
	})
}

func newNodeSetAddressesCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set-addresses NAME HOST:PORT...",
		Short: "Replace the addresses where other nodes reach a node",
		Long: `Replace the addresses where other nodes reach a node of the organisation of the one that acts, which
needs the role admin. Names are looked up anew whenever a node is dialled.`,
		Example: "  althing node set-addresses acme-2 node2.acme.example:26656 --as acme/admin",
		Args:    cobra.MinimumNArgs(2),
	}
	return s.nodeWriter(cmd, "", func(args []string) (*ledgerv1.Operation, error) {
		op := &membershipv1.SetAddresses{Name: args[0], Addresses: args[1:]}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeSetAddresses{NodeSetAddresses: op}}, nil
	})
}

// nodeWriter completes a command that changes the node that its first argument names. ballot is the flag of
// `proposal create` that puts the same to the vote.
func (s *streams) nodeWriter(cmd *cobra.Command, ballot string, fill func(args []string) (*ledgerv1.Operation, error)) *cobra.Command {
	return s.writer(cmd, func(_ context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if err := names.Node(args[0]); err != nil {
			return nil, err
		}
		if ballot != "" {
			l.ballot = "`althing proposal create " + fmt.Sprintf(ballot, args[0]) + " --as ORG/admin`"
		}
		return fill(args)
	})
}

// nodePower makes the operation that changes what the vote of a validator counts.
func nodePower(name string, power uint64) (*ledgerv1.Operation, error) {
	if err := names.Node(name); err != nil {
		return nil, err
	}
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeSetPower{NodeSetPower: &membershipv1.SetPower{Name: name, Power: power}}}, nil
}

// homeOf returns the directory of a node that runs on this machine.
func homeOf(network *client.Network, name string) (string, error) {
	for _, node := range network.Nodes {
		if node.Name == name && node.Home != "" {
			return node.Home, nil
		}
	}
	return "", hint(usagef("the network file does not say where the home of %s is", name), "name it with --home DIR, on the machine that the node runs on")
}
