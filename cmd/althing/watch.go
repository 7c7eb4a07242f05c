package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/proto/cursor"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/subjects"
	"github.com/althing-ledger/althing/proto/tx"
)

func newWatchCommand(s *streams) *cobra.Command {
	var options client.WatchOptions
	var filter ledgerv1.Filter
	var count uint64
	var wholeBlocks, transactions bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show what happens on the ledger as it happens",
		Long: `Show what happens on the ledger as it happens: each event of the transactions that are applied, or whole
transactions, rejected ones too, or blocks. Nothing is left out and nothing comes twice: when a node
breaks off, the next one goes on. With --output json each is a JSON object on a line of its own, the
same whichever node it comes from; its cursor goes on behind it with --cursor, at any time.

A filter lets pass what fits all of its flags, and of a flag that is repeated any value. It is applied
here, to blocks whose proof was checked; with --unverified nodes apply it. The command runs until
Ctrl-C, which is no failure, or for --timeout or --count.`,
		Example: `  althing watch
  althing watch --from 1 --output json
  althing watch --account acme/treasury --kind asset_transferred
  althing watch --record-prefix acme/invoices/2026- --transactions
  althing watch --blocks --from 1 --count 10 --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			options.Filter, options.Detail = &filter, ledgerv1.Detail_DETAIL_EVENTS
			switch {
			case wholeBlocks:
				options.Detail = ledgerv1.Detail_DETAIL_UNSPECIFIED
			case transactions:
				options.Detail = ledgerv1.Detail_DETAIL_TRANSACTIONS
			}
			if err := checkWatch(options); err != nil {
				return err
			}
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
			return s.watch(ctx, g, l, options, count)
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&options.From, "from", 0, "begin with this `HEIGHT` (default: the next block)")
	flags.StringVar(&options.Cursor, "cursor", "", "go on behind what came with this `CURSOR`")
	flags.BoolVar(&transactions, "transactions", false, "show transactions instead of events")
	flags.BoolVar(&wholeBlocks, "blocks", false, "show blocks instead of events")
	flags.StringSliceVar(&filter.Orgs, "org", nil, "only what touches this `ORG`, its accounts, assets or records")
	flags.StringSliceVar(&filter.Accounts, "account", nil, "only what touches this account, `ORG/NAME`")
	flags.StringSliceVar(&filter.Assets, "asset", nil, "only what touches this asset, `ORG/NAME`")
	flags.StringSliceVar(&filter.RecordPrefixes, "record-prefix", nil, "only what touches a record whose name begins with this `PREFIX`")
	flags.StringSliceVar(&filter.Kinds, "kind", nil, "only this `KIND` of operation or event, such as asset_transfer or asset_transferred")
	flags.Uint64Var(&count, "count", 0, "stop after so many (default: never)")
	cmd.MarkFlagsMutuallyExclusive("from", "cursor")
	cmd.MarkFlagsMutuallyExclusive("blocks", "transactions")
	return cmd
}

// checkWatch refuses flags that no network understands.
func checkWatch(o client.WatchOptions) error {
	var name *names.Error
	if _, err := subjects.NewFilter(o.Filter); errors.As(err, &name) {
		return usageError(name)
	} else if err != nil {
		return usageError(err)
	}
	if o.Cursor == "" {
		return nil
	}
	if _, err := cursor.Parse(o.Cursor); err != nil {
		return hint(usagef("--cursor: %w", err), "each line of `althing watch --output json` has one")
	}
	return nil
}

func (s *streams) watch(ctx context.Context, g globals, l *link, o client.WatchOptions, count uint64) error {
	// A network that cannot be reached at all is a failure; one that is lost later is waited for.
	asking, cancel := g.bounded(ctx)
	_, err := l.Status(asking)
	cancel()
	if err != nil {
		return err
	}
	var seen uint64
	for item, err := range l.Stream(ctx, o) {
		if err == nil {
			err = s.showWatched(ctx, g, l.units, item)
		}
		if ctx.Err() != nil {
			return nil
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

// watchedEvent is an event as it is printed.
type watchedEvent struct {
	Height     uint64 `json:"height"`
	Time       string `json:"time"`
	TxID       string `json:"tx_id"`
	TxIndex    uint32 `json:"tx_index"`
	EventIndex uint32 `json:"event_index"`
	Operation  uint32 `json:"operation"`
	Kind       any    `json:"kind"`
	Details    any    `json:"details"`
	Cursor     string `json:"cursor"`
}

// watchedTransaction is a transaction as it is printed.
type watchedTransaction struct {
	outcome
	TxIndex uint32 `json:"tx_index"`
	Cursor  string `json:"cursor"`
}

// watchedBlock is a block as it is printed.
type watchedBlock struct {
	block
	Cursor string `json:"cursor"`
}

// showWatched prints an item as soon as it has come.
func (s *streams) showWatched(ctx context.Context, g globals, u *units, item *client.WatchItem) error {
	switch {
	case item.Event != nil:
		return s.showEvent(ctx, g, u, item)
	case item.Transaction != nil:
		return s.showTransaction(ctx, g, u, item)
	default:
		return s.showBlock(ctx, g, u, item)
	}
}

func (s *streams) showEvent(ctx context.Context, g globals, u *units, item *client.WatchItem) error {
	e := item.Event
	if err := u.know(ctx, e.Event); err != nil {
		return err
	}
	at := time.Unix(0, e.TimeUnixNano).UTC().Format(timeFormat)
	if !g.json {
		_, err := fmt.Fprintf(s.out, "%d.%d.%d  %s  %s\n", e.Height, e.TxIndex, e.EventIndex, at, eventWords(ctx, u, e.Event))
		return err
	}
	line := watchedEvent{
		Height: e.Height, Time: at, TxID: hex.EncodeToString(e.TxId), TxIndex: e.TxIndex, EventIndex: e.EventIndex,
		Operation: e.Event.GetOperation(), Cursor: item.Cursor,
	}
	for _, f := range u.render(ctx, e.Event) {
		switch f.name {
		case "kind":
			line.Kind = f.value
		case "details":
			line.Details = f.value
		}
	}
	return s.showJSON(line, "")
}

func (s *streams) showTransaction(ctx context.Context, g globals, u *units, item *client.WatchItem) error {
	o := item.Transaction.Outcome
	printed, events, err := u.outcome(ctx, o)
	if err != nil {
		return err
	}
	if g.json {
		return s.showJSON(watchedTransaction{outcome: printed, TxIndex: o.Index, Cursor: item.Cursor}, "")
	}
	line := fmt.Sprintf("%d.%d  %s  %s  %s", o.Height, o.Index, printed.Time, printed.ID, printed.Status)
	if o.Code != ledgerv1.Code_CODE_OK {
		line += fmt.Sprintf(": %s: %s", tx.Reason(o.Code), o.Message)
	}
	if _, err := fmt.Fprintln(s.out, line); err != nil {
		return err
	}
	for _, e := range events {
		if _, err := fmt.Fprintln(s.out, "  "+eventWords(ctx, u, e)); err != nil {
			return err
		}
	}
	return nil
}

func (s *streams) showBlock(ctx context.Context, g globals, u *units, item *client.WatchItem) error {
	for _, o := range item.Block.Outcomes {
		if _, _, err := u.outcome(ctx, o); err != nil {
			return err
		}
	}
	value, err := blockOf(ctx, u, item.Block)
	if err != nil {
		return err
	}
	if g.json {
		return s.showJSON(watchedBlock{block: value, Cursor: item.Cursor}, "")
	}
	_, err = fmt.Fprintf(s.out, "block %d  %s  app hash %.16s  %s, proposed by %s\n",
		value.Height, value.Time, value.AppHash, plural(value.TxCount, "transaction"), value.Proposer)
	showOutcomes(ctx, s.out, u, item.Block)
	return err
}

// outcome is outcomeOf with amounts whose decimals are known: what is printed must not depend on whether a node answers.
func (u *units) outcome(ctx context.Context, o *ledgerv1.TxOutcome) (outcome, []*ledgerv1.Event, error) {
	events, err := resultOf(o).Events()
	if err != nil {
		return outcome{}, nil, err
	}
	for _, e := range events {
		if err := u.know(ctx, e); err != nil {
			return outcome{}, nil, err
		}
	}
	return outcomeOf(ctx, u, resultOf(o))
}

// know sees to it that the decimals of the assets in an event are known.
func (u *units) know(ctx context.Context, e *ledgerv1.Event) error {
	if created := e.GetAssetCreated().GetAsset(); created != nil {
		u.learn(created.Name, created.Decimals)
	}
	for _, asset := range subjects.OfEvent(e).Assets {
		if _, err := u.decimals(ctx, asset); err != nil {
			return err
		}
	}
	return nil
}
