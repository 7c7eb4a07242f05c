package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// keysDirName is the directory of account keys in a home that `network init` makes.
const keysDirName = "keys"

// newcomer is what the flags say of a node that has no home yet.
type newcomer struct {
	org, node string
	addresses []string
	observer  bool
	power     uint64
	keysDir   string

	listen, grpc, metrics string
	tlsNames              []string
}

func (n *newcomer) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&n.org, "org", "", "`ORG` that the node belongs to")
	// It hides the flag of all commands that chooses whom to ask: these ask nobody.
	flags.StringVar(&n.node, "node", "", "`NAME` of the node, such as acme-1 (default: ORG-1)")
	flags.StringArrayVar(&n.addresses, "address", nil, "`HOST:PORT` where other nodes reach it; may be repeated")
	flags.BoolVar(&n.observer, "observer", false, "a node that follows and never votes")
	flags.Uint64Var(&n.power, "power", defaultPower, "what the vote of a validator shall count")
	flags.StringVar(&n.keysDir, "keys", "", "`DIR` of account keys; a key of ORG/admin in it is used (default: keys in the home)")
	flags.StringVar(&n.listen, "listen", "", "`IP:PORT` for other nodes (default: 0.0.0.0 and the port of the first address)")
	flags.StringVar(&n.grpc, "grpc", "", "`IP:PORT` for clients (default 127.0.0.1:9090)")
	flags.StringVar(&n.metrics, "metrics", "", "`IP:PORT` for metrics, - for none (default 127.0.0.1:26660)")
	flags.StringArrayVar(&n.tlsNames, "tls-name", nil, "`NAME` or IP address that clients use for the node; may be repeated")
}

// config returns the configuration of the node.
func (n *newcomer) config() (home.Config, error) {
	if n.org == "" {
		return home.Config{}, missing("org", "`ORG`")
	}
	if err := names.Org(n.org); err != nil {
		return home.Config{}, err
	}
	if n.node == "" {
		n.node = n.org + "-1"
	}
	if len(n.addresses) == 0 {
		return home.Config{}, missing("address", "`HOST:PORT`")
	}
	if n.observer && n.power != defaultPower {
		return home.Config{}, usagef("--power is for validators: an observer never votes")
	}
	c := home.Default(n.node, n.org)
	_, port, err := net.SplitHostPort(n.addresses[0])
	if err != nil {
		return home.Config{}, usagef("--address %.80q is not HOST:PORT", n.addresses[0])
	}
	c.P2P.Listen = net.JoinHostPort("0.0.0.0", port)
	if n.listen != "" {
		c.P2P.Listen = n.listen
	}
	if n.grpc != "" {
		c.GRPC.Listen = n.grpc
	}
	switch n.metrics {
	case "":
	case toStdout:
		c.Metrics.Listen = ""
	default:
		c.Metrics.Listen = n.metrics
	}
	if len(n.tlsNames) > 0 {
		c.GRPC.TLSNames = n.tlsNames
	}
	return c, nil
}

// made is what `network init` prints.
type made struct {
	Org        string `json:"org"`
	Node       string `json:"node"`
	Kind       string `json:"kind"`
	Home       string `json:"home"`
	MemberFile string `json:"member_file"`
	KeysDir    string `json:"keys"`
	Admin      string `json:"admin"`
}

func newNetworkInitCommand(s *streams) *cobra.Command {
	n := new(newcomer)
	var dir string
	cmd := &cobra.Command{
		Use:   "init --org ORG --address HOST:PORT --home DIR",
		Short: "Make the home of a node that does not know its network yet",
		Long: `Make the home of a node that does not know its network yet: its keys, its configuration, a key for the account
ORG/admin, and a member file, which is what others need of it and holds nothing that is secret. With the files of all
organisations ` + "`althing network new`" + ` makes a network; to one that runs, a member admits it with
` + "`althing proposal create --admit-org ORG --member FILE`" + `. Then ` + "`althing network join`" + ` completes the home.

Further nodes of an organisation are made with the same --keys, so that its account has one key.`,
		Example: `  althing network init --org acme --address node1.acme.example:26656 --home acme-1
  althing network init --org acme --node acme-2 --observer --keys acme-1/keys --address node2.acme.example:26656 --home acme-2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			result, err := n.make(dir)
			if err != nil {
				return err
			}
			return s.show(globalsOf(cmd), result, func(out io.Writer) {
				fmt.Fprintf(out, "home\t%s\nmember file\t%s\nkey of %s\t%s\n", result.Home, result.MemberFile, result.Admin, result.KeysDir)
				fmt.Fprintf(out, "\nThe member file is for the others; keep the rest to yourself. Next, with the ticket that they give you:\n")
				fmt.Fprintf(out, "  althing network join TICKET --home %s\n", shortPath(result.Home))
			})
		},
	}
	n.flags(cmd)
	homeFlag(cmd, &dir)
	return cmd
}

// make makes the home. A key outside it is saved first: what the member file names exists.
func (n *newcomer) make(dir string) (*made, error) {
	c, err := n.config()
	if err != nil {
		return nil, err
	}
	nodeKey, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		return nil, err
	}
	kind, validatorKey := kindObserver, keys.PrivateKey{}
	if !n.observer {
		kind = kindValidator
		if validatorKey, err = keys.Generate(keys.SchemeEd25519, nil); err != nil {
			return nil, err
		}
	}
	listed, err := home.Listing(c, nodeKey, validatorKey, n.power, n.addresses)
	if err != nil {
		return nil, err
	}
	admin := n.org + "/admin"
	loaded, fresh, err := n.adminKeys(admin)
	if err != nil {
		return nil, err
	}
	account := &accountsv1.Create{Name: admin, Threshold: 1, Roles: firstRoles()}
	for _, key := range loaded {
		account.Keys = append(account.Keys, &accountsv1.WeightedKey{PublicKey: wireKey(key.Public()), Weight: 1})
	}
	sortKeys(account.Keys)
	m := &home.Member{Org: n.org, Accounts: []*accountsv1.Create{account}}
	m.Nodes = append(m.Nodes, listed)
	if fresh && n.keysDir != "" {
		if err := saveAccountKey(n.keysDir, admin, loaded[0]); err != nil {
			return nil, err
		}
	}
	err = home.Prepare(dir, home.Options{Config: c, NodeKey: nodeKey, ValidatorKey: validatorKey}, m, func(temporary home.Dir) error {
		if !fresh || n.keysDir != "" {
			return nil
		}
		return saveAccountKey(filepath.Join(string(temporary), keysDirName), admin, loaded[0])
	})
	if err != nil {
		return nil, makeHomeError(err)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	result := &made{Org: n.org, Node: c.Name, Kind: kind, Home: absolute, Admin: admin, KeysDir: filepath.Join(absolute, keysDirName)}
	result.MemberFile = home.Dir(absolute).MemberFile(n.org, c.Name)
	if n.keysDir != "" {
		result.KeysDir, err = filepath.Abs(n.keysDir)
	}
	return result, err
}

// adminKeys returns the keys of the account in --keys, or a fresh one that is not saved yet.
func (n *newcomer) adminKeys(admin string) (loaded []keys.PrivateKey, fresh bool, err error) {
	if n.keysDir != "" {
		loaded, err = (&client.Network{KeysDir: n.keysDir}).Keys(admin)
		if err == nil {
			return loaded, false, nil
		}
		if !errors.Is(err, client.ErrNoKey) {
			return nil, false, unreadableKey(err)
		}
	}
	key, err := keys.Generate(keys.SchemeSchnorr, nil)
	return []keys.PrivateKey{key}, true, err
}

// saveAccountKey writes the key file of an account below a directory of keys.
func saveAccountKey(dir, account string, key keys.PrivateKey) error {
	path, err := (&client.Network{KeysDir: dir}).KeyPath(account, "")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return badPath(filepath.Dir(path), err)
	}
	if err := keys.SaveFile(path, key); err != nil {
		return badPath(path, err)
	}
	return nil
}

// makeHomeError says what to do about a home that could not be made.
func makeHomeError(err error) error {
	switch {
	case errors.Is(err, home.ErrExists):
		return usageError(hint(err, "name another directory with --home; nothing that exists is ever replaced"))
	case errors.Is(err, home.ErrConfig), errors.Is(err, home.ErrMember):
		return usageError(hint(err, "see `althing network init --help`"))
	default:
		return err
	}
}
