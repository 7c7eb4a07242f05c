package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/althing-ledger/althing/client/explorer"
)

// explorerGrace is how long answers under way may take when the command ends.
const explorerGrace = 2 * time.Second

func newExplorerCommand(s *streams) *cobra.Command {
	var listen string
	var hosts []string
	cmd := &cobra.Command{
		Use:   "explorer",
		Short: "Show the network in a browser",
		Long: `Show the network in a browser: nodes and validators live, blocks, transactions, organisations, accounts, assets, records
and proposals. The command is a client of the network that serves a page; it checks the proof of every answer before the
page gets it, and the page says which values were verified. It runs until Ctrl-C.

Whoever reaches the page reads what this client may read: it listens on loopback only, unless --listen says otherwise. A page
that is reached by another name than that of loopback must be told the name with --host.`,
		Example: `  althing explorer
  althing explorer --listen 127.0.0.1:0 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			g := globalsOf(cmd)
			l, err := s.dial(g)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.Close()) }()
			return s.explore(cmd.Context(), g, l, listen, hosts)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8080", "`HOST:PORT` to serve the page on")
	cmd.Flags().StringArrayVar(&hosts, "host", nil, "a `NAME` by which the page may be reached, besides localhost")
	return cmd
}

func (s *streams) explore(ctx context.Context, g globals, l *link, listen string, hosts []string) error {
	// A network that cannot be reached at all is a failure; one that is lost later is waited for.
	asking, cancel := g.bounded(ctx)
	_, err := l.Status(asking)
	cancel()
	if err != nil {
		return err
	}
	handler, err := explorer.Handler(explorer.Config{Client: l.Client, Hosts: hosts, Unverified: g.unverified})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return hint(usageError(err), "choose another address with --listen HOST:PORT")
	}
	url := "http://" + listener.Addr().String() + "/"
	if g.json {
		err = s.showJSON(object{{"url", url}}, "")
	} else {
		_, err = fmt.Fprintf(s.out, "The explorer of %s is at %s (Ctrl-C ends it)\n", l.Network().ChainID, url)
	}
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx },
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the explorer: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), explorerGrace)
		defer cancel()
		if err := server.Shutdown(grace); err != nil {
			return server.Close() // streams that did not end by themselves
		}
		return nil
	})
	return group.Wait()
}
