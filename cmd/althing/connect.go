package main

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// defaultTimeout bounds commands that only read.
const defaultTimeout = 30 * time.Second

// link is a client, and what the command line remembers while it uses it.
type link struct {
	*client.Client
	units *units
	// offline says that the user wants nobody to be asked.
	offline bool
	// made are the key files that the command made.
	made []madeKey
	// receiptFile is where the receipt of the transaction goes; empty for none. receipt is what was written there.
	receiptFile string
	receipt     *receiptView
	// shape makes of an outcome, and of its events, what the command prints as JSON; nil prints the outcome.
	shape func(outcome, []*ledgerv1.Event) any
	// ballot is the command that puts to the vote what the ledger does not let one org do by itself; empty where there is
	// none.
	ballot string
}

// madeKey is a key file that the command made.
type madeKey struct {
	file string
	// again are the flags with which the command uses the key when it is run again; none if it does by itself.
	again string
}

// shaped returns what is printed of an outcome.
func (l *link) shaped(o outcome, events []*ledgerv1.Event) any {
	if l.shape == nil {
		return o
	}
	return l.shape(o, events)
}

// loadNetwork reads the network that the flags or the environment name.
func (s *streams) loadNetwork(g globals) (*client.Network, error) {
	path := g.network
	if path == "" {
		path = s.getenv(networkVariable)
	}
	if path == "" && g.node != "" {
		return nil, hint(usagef("no network is named"),
			"--node chooses a node of a network: name that too, with --network DIR-or-FILE or %s", networkVariable)
	}
	if path == "" {
		return nil, hint(usagef("no network is named"),
			"name one with --network DIR-or-FILE or %s; `althing testnet up --dir DIR` makes one", networkVariable)
	}
	return client.LoadNetwork(path)
}

// networkNamed reports whether the flags or the environment name a network.
func (s *streams) networkNamed(g globals) bool {
	return g.network != "" || s.getenv(networkVariable) != ""
}

// dial connects to the network that the flags name. The caller closes the link.
func (s *streams) dial(g globals) (*link, error) {
	network, err := s.loadNetwork(g)
	if err != nil {
		return nil, err
	}
	config := client.Config{Node: g.node, Now: s.now, Unverified: g.unverified}
	if !g.json {
		config.OnLie = s.tellLie(g)
	}
	if g.timeout > 0 && g.timeout < 10*time.Second {
		config.AttemptTimeout = g.timeout
	}
	if config.Token, err = s.reader(g, network); err != nil {
		return nil, err
	}
	c, err := client.Dial(network, config)
	if err != nil {
		return nil, err
	}
	return &link{Client: c, units: &units{client: c}}, nil
}

// tellLie returns what says of an answer that is not true, on one line, whose it was. With JSON nobody reads it, and the error says
// it if no other node tells the truth.
func (s *streams) tellLie(g globals) func(*client.Lie) {
	then := "; asking another node"
	if g.node != "" {
		then = "" // there is no other
	}
	return func(lie *client.Lie) {
		what := lie.What
		if lie.Err != nil {
			what += ": " + textOf(lie.Err)
		}
		s.note(g, "%s answered %s with something that is not so: %s%s", lie.Node, path.Base(lie.Method), strings.Join(strings.Fields(what), " "), then)
	}
}

// reader returns the source of the tokens with which to read, nil where nobody is named.
func (s *streams) reader(g globals, network *client.Network) (*client.TokenSource, error) {
	account := g.readAs
	if account == "" {
		account = s.getenv(readerVariable)
	}
	if account == "" {
		return nil, nil
	}
	if _, err := names.Account(account); err != nil {
		return nil, usageError(fmt.Errorf("--read-as: %w", err))
	}
	source, err := network.TokenSource(account)
	if errors.Is(err, client.ErrNoKey) {
		return nil, hint(usageError(err), "`althing account set-token-key %s --as %[1]s` makes and registers it", account)
	}
	return source, err
}

// bounded returns a context that ends when the user's patience does.
func (g globals) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if g.timeout > 0 {
		return context.WithTimeout(ctx, g.timeout)
	}
	return context.WithTimeout(ctx, defaultTimeout)
}

// asking is what a command asks the network.
type asking func(ctx context.Context, g globals, l *link, args []string) error

// reading makes the RunE of a command that asks the network something.
func (s *streams) reading(ask asking) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return s.read(cmd.Context(), globalsOf(cmd), args, ask)
	}
}

// read asks the network something.
func (s *streams) read(ctx context.Context, g globals, args []string, ask asking) (err error) {
	l, err := s.dial(g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	defer s.progress(ctx, "an answer")()
	return ask(ctx, g, l, args)
}
