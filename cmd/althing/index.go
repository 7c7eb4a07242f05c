package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client/pgindex"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/internal/node"
)

func newIndexCommand(s *streams) *cobra.Command {
	return noun("index", "Indexes of what happened: in PostgreSQL, and in a node", newIndexPostgresCommand(s), newIndexRebuildCommand(s))
}

// postgresVariable names the variable with the address of the database, so that what is secret in it need not be an argument.
const postgresVariable = "ALTHING_POSTGRES_URL"

func newIndexPostgresCommand(s *streams) *cobra.Command {
	var cfg pgindex.Config
	cmd := &cobra.Command{
		Use:   "postgres --url postgres://USER@HOST/DATABASE",
		Short: "Copy blocks into PostgreSQL as they come, for SQL",
		Long: `Copy blocks, transactions, operations, events, movements of assets and what was touched into a schema
of a PostgreSQL database, and go on as blocks come. Each block is written once, with the height that
the schema has got to in the same database transaction: the command can be stopped, killed and started
again at any time. When a node or the database goes away it waits and goes on. A schema belongs to one
network. The tables are described in docs/postgres.md.

Arguments can be seen by others on this machine: keep the password in ~/.pgpass or PGPASSWORD, or the
whole URL in ` + postgresVariable + `. The command runs until Ctrl-C, which is no failure, or for --timeout.
With --output json it prints the height that the database has got to, one object per line.`,
		Example: `  althing index postgres --url postgres://althing@db.internal/ledger
  althing index postgres --url "host=/var/run/postgresql dbname=ledger" --schema acme_net`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&cfg.URL, "url", "", "the database: a `URL`, or words such as host=/var/run/postgresql dbname=ledger (default $"+postgresVariable+")")
	flags.StringVar(&cfg.Schema, "schema", "althing", "`NAME` of the schema; it is made where it is not there")
	flags.Uint64Var(&cfg.From, "from", 0, "first `HEIGHT` that an empty schema gets (default 1): for networks whose first blocks no node keeps")
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		g := globalsOf(cmd)
		if cfg.URL == "" {
			cfg.URL = s.getenv(postgresVariable)
		}
		if cfg.URL == "" {
			return hint(usagef("--url is missing"), "add --url postgres://USER@HOST/DATABASE, or set %s", postgresVariable)
		}
		l, err := s.dial(g)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		ctx := cmd.Context()
		if g.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, g.timeout)
			defer cancel()
		}
		return s.indexPostgres(ctx, g, l, cfg)
	}
	return cmd
}

func (s *streams) indexPostgres(ctx context.Context, g globals, l *link, cfg pgindex.Config) (err error) {
	cfg.ChainID, cfg.Watch = l.Network().ChainID, l.Watch
	if cfg.GenesisHash, err = hex.DecodeString(l.Network().GenesisHash); err != nil {
		return fmt.Errorf("the genesis hash of the network: %w", err)
	}
	cfg.Logger = slog.New(slog.NewTextHandler(s.err, nil))
	said := &heightsSaid{s: s, g: g}
	cfg.Written = said.written
	indexer, err := pgindex.New(cfg)
	if err != nil {
		return usageError(err)
	}
	// A network that cannot be reached at all is a failure; one that is lost later is waited for.
	asking, cancel := g.bounded(ctx)
	_, err = l.Status(asking)
	cancel()
	if err != nil {
		return err
	}
	err = indexer.Run(ctx)
	switch {
	case errors.Is(err, pgindex.ErrConfig), errors.Is(err, pgindex.ErrOtherNetwork), errors.Is(err, pgindex.ErrForeignSchema):
		return hint(usageError(err), "--schema NAME chooses another one")
	case errors.Is(err, pgindex.ErrNewerSchema):
		return hint(err, "use the newer version")
	case err != nil:
		return err
	}
	return said.flush()
}

// heightsSaid says which height the database has got to: at most once a second, so that catching up is no flood, and at the end.
type heightsSaid struct {
	s    *streams
	g    globals
	last uint64
	said uint64
	at   time.Time
	err  error
}

// written is called by the indexer, from one goroutine at a time.
func (h *heightsSaid) written(height uint64) {
	h.last = height
	if now := h.s.now(); h.at.IsZero() || now.Sub(h.at) >= time.Second {
		h.at = now
		h.err = errors.Join(h.err, h.say())
	}
}

func (h *heightsSaid) say() error {
	h.said = h.last
	if h.g.json {
		return h.s.showJSON(struct {
			Height uint64 `json:"height"`
		}{h.last}, "")
	}
	_, err := fmt.Fprintf(h.s.out, "written up to height %d\n", h.last)
	return err
}

func (h *heightsSaid) flush() error {
	if h.said != h.last {
		h.err = errors.Join(h.err, h.say())
	}
	return h.err
}

func newIndexRebuildCommand(s *streams) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Drop the index of history of a stopped node, so that its next start builds it again",
		Long: `Drop the index of history of a stopped node. The next start builds it again, beside its other work,
from the blocks that the node still keeps; what only the index still knew of older ones is gone. So
this also takes a node's disk back where nobody asks for its history: set enabled = false in the
section [history] of its althing.toml first.`,
		Example: `  althing testnet node stop acme-1
  althing index rebuild --home althing-testnet/nodes/acme-1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := home.Load(dir)
			if err != nil {
				return startError(err)
			}
			had, err := node.DropHistory(h)
			if err != nil {
				return startError(err)
			}
			value := struct {
				Home    string `json:"home"`
				Oldest  uint64 `json:"dropped_from"`
				Height  uint64 `json:"dropped_to"`
				Enabled bool   `json:"enabled"`
			}{string(h.Dir), had.First, had.Last, h.Config.History.Enabled}
			return s.show(globalsOf(cmd), value, func(out io.Writer) {
				if had.Last == 0 {
					fmt.Fprintln(out, "there was no index of history")
				} else {
					fmt.Fprintf(out, "dropped\theights %d to %d\n", had.First, had.Last)
				}
				if h.Config.History.Enabled {
					fmt.Fprintln(out, "the next start builds it again")
				} else {
					fmt.Fprintln(out, "history is switched off in althing.toml: it stays away")
				}
			})
		},
	}
	homeFlag(cmd, &dir)
	return cmd
}
