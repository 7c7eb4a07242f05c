package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newWatchCommand(s *streams) *cobra.Command {
	var from, count uint64
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show blocks as they come",
		Long: `Show blocks as they come, without a gap: when a node breaks off, the next one goes on. With --output
json each block is a JSON object on a line of its own. The command runs until Ctrl-C, which is no
failure, or for --timeout or --count.`,
		Example: `  althing watch
  althing watch --from 1 --count 10 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			g := globalsOf(cmd)
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
			return s.watch(ctx, g, l, from, count)
		},
	}
	cmd.Flags().Uint64Var(&from, "from", 0, "begin with this `HEIGHT` (default: the next block)")
	cmd.Flags().Uint64Var(&count, "count", 0, "stop after so many blocks (default: never)")
	return cmd
}

func (s *streams) watch(ctx context.Context, g globals, l *link, from, count uint64) error {
	// A network that cannot be reached at all is a failure; one that is lost later is waited for.
	asking, cancel := g.bounded(ctx)
	_, err := l.Status(asking)
	cancel()
	if err != nil {
		return err
	}
	var seen uint64
	for b, err := range l.Watch(ctx, from) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		value, err := blockOf(ctx, l.units, b)
		if err != nil {
			return err
		}
		if g.json {
			err = s.showJSON(value, "")
		} else {
			_, err = fmt.Fprintf(s.out, "block %d  %s  app hash %.16s  %s, proposed by %s\n",
				value.Height, value.Time, value.AppHash, plural(value.TxCount, "transaction"), value.Proposer)
			showOutcomes(ctx, s.out, l.units, b)
		}
		if err != nil {
			return err
		}
		if seen++; seen == count {
			return nil
		}
	}
	return nil
}
