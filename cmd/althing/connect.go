package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
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
	made []string
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
	config := client.Config{Node: g.node, Now: s.now}
	if g.timeout > 0 && g.timeout < 10*time.Second {
		config.AttemptTimeout = g.timeout
	}
	c, err := client.Dial(network, config)
	if err != nil {
		return nil, err
	}
	return &link{Client: c, units: &units{client: c}}, nil
}

// bounded returns a context that ends when the user's patience does.
func (g globals) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if g.timeout > 0 {
		return context.WithTimeout(ctx, g.timeout)
	}
	return context.WithTimeout(ctx, defaultTimeout)
}

// reading makes the RunE of a command that asks the network something.
func (s *streams) reading(ask func(ctx context.Context, g globals, l *link, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		g := globalsOf(cmd)
		l, err := s.dial(g)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ctx, cancel := g.bounded(cmd.Context())
		defer cancel()
		defer s.progress(ctx, "an answer")()
		return ask(ctx, g, l, args)
	}
}
