package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/verify"
	"github.com/althing-ledger/althing/internal/files"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// receiving is what the flags of `tx receipt` say.
type receiving struct {
	out       string
	expiresAt string
	state     bool
	anchor    uint64
	cose      bool
}

// receiptView is what is said of a receipt that was written.
type receiptView struct {
	File    string `json:"file"`
	Size    int    `json:"size"`
	Kind    string `json:"kind"`
	ID      string `json:"id"`
	ChainID string `json:"chain_id"`
	Status  string `json:"status"`
	Height  uint64 `json:"height"`
	Time    string `json:"time"`
	Events  int    `json:"events"`
	// State says that it proves the state that the transaction touched; Anchor is the height of the header it leads to, 0 for
	// none. A word of one node has neither.
	State            bool   `json:"state"`
	Anchor           uint64 `json:"anchor"`
	ValidatorChanges int    `json:"validator_changes"`
}

func newTxReceiptCommand(s *streams) *cobra.Command {
	r := new(receiving)
	cmd := &cobra.Command{
		Use:   "receipt ID -o FILE",
		Short: "Write a file that proves a transaction to anybody, without any network",
		Long: `Write a file that proves a transaction, its outcome and its events to whoever knows the genesis hash
of the network, for ever: ` + "`althing verify FILE`" + ` checks it, without any network. A rejected transaction
has a receipt too. It waits until the transaction can be proven, for --timeout at most.

With --state, the file also proves what the transaction touched, as it stood after its block: as
long as a node keeps that state. With --anchor, it leads to the header of another block, for whoever
trusts that one more than the keys of old validators. With --cose, it is a COSE_Sign1 message for
software that knows no ledger: the word of one node, and no more.`,
		Example: `  althing tx receipt 6f0c…64-hex-digits -o payment.receipt
  althing tx receipt 6f0c…64-hex-digits -o payment.receipt --state --anchor 1200
  althing tx receipt 6f0c…64-hex-digits -o payment.cose --cose`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if r.cose && (r.state || r.anchor != 0) {
				return usagef("--cose is one node's word for the outcome: it goes with neither --state nor --anchor")
			}
			if cmd.Flags().Changed("anchor") && r.anchor == 0 {
				return usagef("--anchor 0 is no block: the first is 1")
			}
			id, expiry, err := s.reference(args[0], r.expiresAt)
			if err != nil {
				return err
			}
			if err := checkWritable(r.out); err != nil {
				return err
			}
			return s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
				if err := decided(ctx, l, id, expiry); err != nil {
					return err
				}
				return s.receive(ctx, g, l, id, r)
			})(cmd, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&r.out, "out", "o", "", "`FILE` for the receipt, - for standard output")
	flags.BoolVar(&r.state, "state", false, "also prove what the transaction touched, as it stood after its block")
	flags.Uint64Var(&r.anchor, "anchor", 0, "also lead to the header of this `HEIGHT`")
	flags.BoolVar(&r.cose, "cose", false, "write a COSE_Sign1 message that one node signs")
	flags.StringVar(&r.expiresAt, "expires-at", "", "the transaction's own expiry, a `TIME`: until then it is waited for even if no node knows it")
	require(cmd, "out")
	return cmd
}

// decided returns when a transaction is in a block, and an error where it is in none.
func decided(ctx context.Context, l *link, id tx.ID, expiry time.Time) error {
	result, err := l.Transaction(ctx, id, expiry)
	if err == nil && !result.Final() && (result.Status == ledgerv1.TxStatus_TX_STATUS_PENDING || !expiry.IsZero()) {
		result, err = l.WaitTransaction(ctx, id, expiry)
	}
	switch {
	case err != nil:
		return err
	case result.Status == ledgerv1.TxStatus_TX_STATUS_EXPIRED:
		return hint(fmt.Errorf("transaction %s has expired: it is in no block and never will be, so that there is nothing to prove", id),
			"build and sign it anew")
	case !result.Final():
		return hint(fmt.Errorf("no node knows transaction %s", id),
			"check the id; where it may still come, --expires-at says until when to wait for it")
	default:
		return nil
	}
}

// receive fetches the receipt of a transaction that is in a block, writes it, and says what it holds.
func (s *streams) receive(ctx context.Context, g globals, l *link, id tx.ID, r *receiving) error {
	view, data, err := s.fetchReceipt(ctx, l, id, r)
	if err != nil {
		return err
	}
	if r.out == toStdout {
		_, err := s.out.Write(data)
		return err
	}
	if err := replaceFile(r.out, data); err != nil {
		return badPath(r.out, err)
	}
	return s.show(g, view, func(out io.Writer) {
		fmt.Fprintln(out, view.line())
		view.text(out)
	})
}

// fetchReceipt returns a receipt that has passed the checks of `verify`, and what is said of it.
func (s *streams) fetchReceipt(ctx context.Context, l *link, id tx.ID, r *receiving) (*receiptView, []byte, error) {
	if r.cose {
		return s.fetchAttestation(ctx, l, id, r.out)
	}
	data, err := l.Receipt(ctx, id, client.ReceiptOptions{State: r.state, Anchor: r.anchor})
	if err != nil {
		return nil, nil, unprovable(err, r)
	}
	genesis, err := parseHash(l.Network().GenesisHash)
	if err != nil {
		return nil, nil, err
	}
	report, err := verify.Receipt(data, verify.ReceiptOptions{GenesisHash: genesis})
	if err != nil {
		return nil, nil, fmt.Errorf("the receipt that was fetched does not hold: %w", err)
	}
	t := report.Transaction
	return &receiptView{
		File: r.out, Size: len(data), Kind: kindReceipt, ID: id.String(), ChainID: report.ChainID, Status: statusText(resultOf(t.Outcome).Status),
		Height: t.Header.Height, Time: utc(t.Header.Time), Events: len(t.Events.GetEvents()), State: t.State != nil, Anchor: r.anchor,
		ValidatorChanges: report.Changes,
	}, data, nil
}

// unprovable adds what to do where a transaction is in a block and its proof is not to be had.
func unprovable(err error, r *receiving) error {
	switch {
	case status.Code(err) != codes.FailedPrecondition:
		return err
	case r.state:
		return hint(err, "nodes keep old states for a while only: ask one that keeps more, with --node, or leave --state out")
	default:
		return hint(err, "nodes keep old blocks for a while only: ask one that keeps more, with --node")
	}
}

// showWithReceipt fetches and writes the receipt of a transaction that was applied, and prints both.
func (s *streams) showWithReceipt(ctx context.Context, g globals, l *link, result *client.Result) error {
	r := &receiving{out: l.receiptFile}
	view, data, err := s.fetchReceipt(ctx, l, result.ID, r)
	if err == nil {
		if err = replaceFile(r.out, data); err != nil {
			err = badPath(r.out, err)
		} else {
			l.receipt = view
		}
	}
	if shown := s.showResult(ctx, g, l, result, false); shown != nil || err == nil {
		return shown
	}
	return hint(fmt.Errorf("the transaction is committed, but its receipt is not written: %w", err),
		"`althing tx receipt %s -o %s` tries again; the transaction is not sent anew", result.ID, r.out)
}

// line names the file.
func (v *receiptView) line() string {
	return fmt.Sprintf("%s %s (%s)", v.Kind, v.File, plural(v.Size, "byte"))
}

// text says what it holds.
func (v *receiptView) text(out io.Writer) {
	fmt.Fprintf(out, "  transaction %s\n  %s at height %d, %s\n", v.ID, v.Status, v.Height, v.Time)
	if v.Kind == kindCOSE {
		fmt.Fprintln(out, "  holds one node's word for that, and no proof")
		return
	}
	holds := plural(v.Events, "event") + ", " + plural(v.ValidatorChanges, "change") + " of the validators since the genesis"
	if v.State {
		holds += ", what the transaction touched"
	}
	if v.Anchor > 0 {
		holds += fmt.Sprintf(", the way to the header of block %d", v.Anchor)
	}
	fmt.Fprintln(out, "  holds "+holds)
}

// checkWritable makes sure that a file can be written, before there is something to write. Empty and - pass.
func checkWritable(path string) error {
	if path == "" || path == toStdout {
		return nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return hint(usagef("%s is a directory", path), "name a file in it")
	} else if err == nil && !info.Mode().IsRegular() {
		return nil
	}
	f, err := files.Temporary(path)
	if err != nil {
		return badPath(path, err)
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// replaceFile writes a file so that it appears whole or not at all. What is no regular file, such as a pipe, is written to.
func replaceFile(path string, data []byte) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(path, data, 0o644)
	}
	return files.Replace(path, data, 0o644)
}
