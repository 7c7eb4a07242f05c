package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// block is a block as it is printed.
type block struct {
	Height       uint64    `json:"height"`
	Time         string    `json:"time"`
	Hash         string    `json:"hash"`
	AppHash      string    `json:"app_hash"`
	Proposer     string    `json:"proposer"`
	TxCount      uint32    `json:"tx_count"`
	Transactions []outcome `json:"transactions"`
}

func newBlockCommand(s *streams) *cobra.Command {
	show := &cobra.Command{
		Use:   "show [HEIGHT]",
		Short: "Show a block and what became of its transactions; the newest without a height",
		Example: `  althing block show
  althing block show 12 --output json`,
		Args: cobra.MaximumNArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			var height uint64
			if len(args) == 1 {
				var err error
				if height, err = parseHeight(args[0]); err != nil {
					return err
				}
			}
			found, err := l.Block(ctx, height)
			if err != nil {
				return err
			}
			value, err := blockOf(ctx, l.units, found)
			if err != nil {
				return err
			}
			return s.showProven(g, value.Height, value, func(out io.Writer) {
				fmt.Fprintf(out, "block\t%d\ntime\t%s\nhash\t%s\napp hash\t%s\nproposer\t%s\n", value.Height, value.Time, value.Hash, value.AppHash, value.Proposer)
				showOutcomes(ctx, out, l.units, found)
			})
		}),
	}
	return noun("block", "Blocks", show)
}

func parseHeight(text string) (uint64, error) {
	height, err := strconv.ParseUint(text, 10, 63)
	if err != nil || height == 0 {
		return 0, usagef("%.40q is no height: write a number above zero", text)
	}
	return height, nil
}

func blockOf(ctx context.Context, u *units, b *ledgerv1.Block) (block, error) {
	value := block{
		Height: b.Height, Time: b.Time.AsTime().Format(timeFormat), Hash: hex.EncodeToString(b.Hash), AppHash: hex.EncodeToString(b.AppHash),
		Proposer: b.Proposer, TxCount: b.TxCount, Transactions: []outcome{},
	}
	for _, o := range b.Outcomes {
		printed, _, err := outcomeOf(ctx, u, resultOf(o))
		if err != nil {
			return block{}, fmt.Errorf("block %d: %w", b.Height, err)
		}
		value.Transactions = append(value.Transactions, printed)
	}
	return value, nil
}

// resultOf returns the result that an outcome in a block stands for. Bytes that were no transaction have no id.
func resultOf(o *ledgerv1.TxOutcome) *client.Result {
	r := &client.Result{Status: ledgerv1.TxStatus_TX_STATUS_COMMITTED, Outcome: o, Height: o.Height}
	if o.Code != ledgerv1.Code_CODE_OK {
		r.Status = ledgerv1.TxStatus_TX_STATUS_REJECTED
	}
	copy(r.ID[:], o.Id)
	return r
}

// showOutcomes writes a line for each transaction and each of its events.
func showOutcomes(ctx context.Context, out io.Writer, u *units, b *ledgerv1.Block) {
	for _, o := range b.Outcomes {
		if o.Code != ledgerv1.Code_CODE_OK {
			fmt.Fprintf(out, "%x rejected: %s: %s\n", o.Id, tx.Reason(o.Code), o.Message)
			continue
		}
		fmt.Fprintf(out, "%x\n", o.Id)
		events, err := resultOf(o).Events()
		if err != nil {
			fmt.Fprintf(out, "  %v\n", err)
		}
		for _, e := range events {
			fmt.Fprintln(out, "  "+eventWords(ctx, u, e))
		}
	}
}
