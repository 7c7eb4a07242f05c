package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// settling is how long after a transaction's expiry its outcome is waited for: the ledger settles it within two blocks.
const settling = 30 * time.Second

// toStdout is the name of standard output where a file is asked for, and of standard input where one is read.
const toStdout = "-"

// writing is what the flags of a command that sends a transaction say.
type writing struct {
	as        []string
	keyFiles  []string
	expiresIn positive
	payer     string
	memo      string
	signOnly  bool
	out       string
	noWait    bool
	offline   bool
	receipt   string // file for the receipt; empty for none
}

// signerFlags adds the flags that say who signs.
func (w *writing) signerFlags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&w.as, "as", nil, "`ORG/NAME` that acts and signs; repeat it for further signers, such as a payer or a cosigner")
	flags.StringArrayVar(&w.keyFiles, "key", nil, "sign with this key `FILE` instead of the network's; may be repeated")
	flags.BoolVar(&w.offline, "offline", false, "ask no node: all keys sign, and clocks are not compared")
}

// bodyFlags adds the flags that say what stands in the transaction beside the operations.
func (w *writing) bodyFlags(cmd *cobra.Command) {
	w.expiresIn = positive(client.DefaultExpiry)
	flags := cmd.Flags()
	flags.Var(&w.expiresIn, "expires-in", "how long the transaction is good")
	flags.StringVar(&w.payer, "payer", "", "`ORG/NAME` that is charged; it signs too (default: who acts)")
	flags.StringVar(&w.memo, "memo", "", "free `TEXT`, at most 256 bytes")
}

// operation makes the operation of a command, but for the account that acts.
type operation func(ctx context.Context, l *link, args []string) (*ledgerv1.Operation, error)

// writer completes a command that sends a transaction of one operation.
func (s *streams) writer(cmd *cobra.Command, fill operation) *cobra.Command {
	cmd, _ = s.writerOf(cmd, func(ctx context.Context, l *link, args []string) ([]*ledgerv1.Operation, error) {
		op, err := fill(ctx, l, args)
		if err != nil {
			return nil, err
		}
		return []*ledgerv1.Operation{op}, nil
	})
	return cmd
}

// operations makes the operations of a command, but for the account that acts.
type operations func(ctx context.Context, l *link, args []string) ([]*ledgerv1.Operation, error)

// writerOf completes a command that sends a transaction. What its flags say is known once it runs.
func (s *streams) writerOf(cmd *cobra.Command, fill operations) (*cobra.Command, *writing) {
	w := new(writing)
	w.signerFlags(cmd)
	w.bodyFlags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&w.signOnly, "sign-only", false, "write the signed transaction to --out instead of sending it")
	flags.StringVarP(&w.out, "out", "o", "", "`FILE` for --sign-only, - for standard output")
	flags.BoolVar(&w.noWait, "no-wait", false, "do not wait for the commit; exit 0 once a node has taken the transaction")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		g := globalsOf(cmd)
		if err := w.validate(); err != nil {
			return err
		}
		return s.write(cmd.Context(), g, w, func(ctx context.Context, l *link) ([]*ledgerv1.Operation, error) {
			ops, err := fill(ctx, l, args)
			if err != nil {
				return nil, err
			}
			for _, op := range ops {
				op.Account = w.as[0]
			}
			return ops, nil
		})
	}
	return cmd, w
}

func (w *writing) validate() error {
	switch {
	case len(w.as) == 0:
		return hint(usagef("who acts? --as is missing"), "add --as ORG/NAME, such as --as acme/admin")
	case w.signOnly && w.out == "":
		return usagef("--sign-only needs --out FILE")
	case !w.signOnly && w.out != "":
		return usagef("--out is for --sign-only: a transaction that is sent is not written")
	case w.signOnly && w.noWait:
		return usagef("--sign-only sends nothing, so there is nothing for --no-wait")
	case w.offline && !w.signOnly:
		return usagef("--offline is for --sign-only: sending needs a node")
	case w.receipt != "" && (w.signOnly || w.noWait):
		return hint(usagef("--receipt needs the commit: neither --sign-only nor --no-wait waits for it"), "`althing tx receipt ID -o FILE` writes it later")
	case w.receipt == toStdout:
		return usagef("--receipt needs a file: standard output is for the outcome")
	}
	if err := checkWritable(w.receipt); err != nil {
		return err
	}
	return w.validateNames()
}

func (w *writing) validateNames() error {
	accounts := w.as
	if w.payer != "" {
		accounts = append(slices.Clone(accounts), w.payer)
	}
	for _, account := range accounts {
		if _, err := names.Account(account); err != nil {
			return usageError(err)
		}
	}
	if len(w.keyFiles) > 0 && len(w.as) > 1 {
		return usagef("--key says whose key it is for one --as only: sign the others with `althing tx sign`")
	}
	return nil
}

// content makes the operations of a transaction.
type content func(context.Context, *link) ([]*ledgerv1.Operation, error)

// write makes, signs and sends a transaction, or writes it to a file.
func (s *streams) write(ctx context.Context, g globals, w *writing, fill content) (err error) {
	l, err := s.dial(g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	l.offline, l.receiptFile = w.offline, w.receipt
	t, err := s.prepare(ctx, g, l, w, fill)
	if err != nil {
		return errors.Join(s.notSent(g, l, err), l.discardKeys())
	}
	if w.signOnly {
		return s.saveTransaction(ctx, g, l, t, w.out)
	}
	err = s.send(ctx, g, l, t, w.noWait)
	if err != nil {
		s.noteKeys(g, l)
	}
	return err
}

// noteKeys says of the key files that the command made that they stay. What was sent may be in the ledger whatever one node
// says of it, and the key with it.
func (s *streams) noteKeys(g globals, l *link) {
	for _, key := range l.made {
		again := "the same command, run again, uses it"
		if key.again != "" {
			again = "to use it, run the command again with " + key.again
		}
		s.note(g, "The new key is kept in %s, in case the ledger lists it after all; %s.", key.file, again)
	}
}

// discardKeys removes the key files that the command made for a transaction that was never sent.
func (l *link) discardKeys() error {
	var errs []error
	for _, key := range l.made {
		errs = append(errs, os.Remove(key.file))
	}
	return errors.Join(errs...)
}

// prepare returns the signed transaction.
func (s *streams) prepare(ctx context.Context, g globals, l *link, w *writing, fill content) (*client.Transaction, error) {
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	defer s.progress(ctx, "a node")()
	signers, err := w.loadSigners(l.Network())
	if err != nil {
		return nil, err
	}
	offline, err := s.compareClocks(ctx, g, l, w.offline, w.signOnly)
	if err != nil {
		return nil, err
	}
	if offline {
		l.units.client = nil
	}
	ops, err := fill(ctx, l)
	if err != nil {
		return nil, err
	}
	draft := client.Draft{Operations: ops, Payer: w.payer, Memo: w.memo, ExpiresIn: time.Duration(w.expiresIn)}
	t, err := client.NewTransaction(l.Network().ChainID, draft, s.now(), rand.Reader)
	if err != nil {
		return nil, usageError(err)
	}
	for _, signer := range signers {
		if w.signOnly && !offline {
			if err := requireListed(ctx, l.Client, signer, len(w.keyFiles) > 0); err != nil {
				return nil, err
			}
		}
		if err := sign(ctx, l, t, signer, offline || len(w.keyFiles) > 0); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// compareClocks makes sure that the node's clock and this machine's agree, and reports whether to go on without a node.
// Where nothing is sent, a network that cannot be reached is no obstacle.
func (s *streams) compareClocks(ctx context.Context, g globals, l *link, offline, mayBeOffline bool) (bool, error) {
	if offline {
		return true, nil
	}
	err := l.CheckClock(ctx)
	if mayBeOffline && errors.Is(err, client.ErrUnreachable) && !errors.Is(err, client.ErrWrongNetwork) {
		s.note(g, "No node answers: clocks are not compared, and all keys sign.")
		return true, nil
	}
	return false, err
}

func (w *writing) loadSigners(network *client.Network) ([]client.Signer, error) {
	var signers []client.Signer
	for _, account := range w.as {
		if slices.ContainsFunc(signers, func(s client.Signer) bool { return s.Account == account }) {
			continue
		}
		var loaded []keys.PrivateKey
		var err error
		if len(w.keyFiles) > 0 {
			loaded, err = client.LoadKeys(w.keyFiles...)
		} else {
			loaded, err = network.Keys(account)
		}
		if err != nil {
			return nil, unreadableKey(err)
		}
		signers = append(signers, client.Signer{Account: account, Keys: loaded})
	}
	return signers, nil
}

// sign adds an account's signatures. Of the keys in the network's directory only those that the ledger lists sign; keys
// that the user names all do. What the ledger does not know at all signs too, and the ledger says what is wrong with it.
func sign(ctx context.Context, l *link, t *client.Transaction, signer client.Signer, all bool) error {
	with := signer.Keys
	if !all {
		listed, err := l.Listed(ctx, signer.Account, signer.Keys)
		switch {
		case err == nil:
			with = listed
		case errors.Is(err, client.ErrTokenRequired) && len(signer.Keys) == 1:
			// Who may not read may write: with one key there is nothing to choose.
		case !errors.Is(err, client.ErrNoKey) && status.Code(err) != codes.NotFound:
			return err
		}
	}
	err := t.Sign(signer.Account, with...)
	if errors.Is(err, client.ErrTransaction) {
		return usageError(err)
	}
	return err
}

// saved is what a command prints that writes a transaction file.
type saved struct {
	ID        string   `json:"id"`
	ChainID   string   `json:"chain_id"`
	ExpiresAt string   `json:"expires_at"`
	File      string   `json:"file"`
	Signers   []string `json:"signers"`
	Missing   []string `json:"missing"`
}

// saveTransaction writes a transaction file. On standard output it stands alone.
func (s *streams) saveTransaction(ctx context.Context, g globals, l *link, t *client.Transaction, file string) error {
	if file == toStdout {
		data, err := t.EncodeFile()
		if err != nil {
			return err
		}
		_, err = s.out.Write(data)
		return err
	}
	if err := client.SaveTransaction(file, t); err != nil {
		return badPath(file, err)
	}
	missing := missingOf(standingsOf(ctx, l.units, t))
	value := saved{t.ID().String(), t.ChainID(), t.ExpiresAt().Format(timeFormat), file, t.Signers(), missing}
	return s.show(g, value, func(out io.Writer) {
		fmt.Fprintf(out, "%s holds transaction %s\n", file, t.ID())
		describeTransaction(ctx, out, l.units, t, s.now())
	})
}

// send submits a transaction, waits for its outcome unless told otherwise, and prints it.
func (s *streams) send(ctx context.Context, g globals, l *link, t *client.Transaction, noWait bool) error {
	raw, err := t.Encode()
	if err != nil {
		return err
	}
	limit := g.timeout
	if limit == 0 {
		limit = max(t.ExpiresAt().Sub(s.now()), 0) + settling
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := s.progress(ctx, "the commit")
	var result *client.Result
	if noWait {
		result, err = l.Submit(ctx, raw)
	} else {
		result, err = l.SubmitAndWait(ctx, raw)
	}
	if err == nil && !noWait && !g.unverified {
		result = l.prove(ctx, t, result)
	}
	stop()
	if err != nil {
		return s.showUndone(g, l, t.ID(), err)
	}
	// Showing the outcome may need a node, and may take as long as a read.
	showing, done := g.bounded(context.WithoutCancel(ctx))
	defer done()
	if l.receiptFile != "" && result.OK() {
		return s.showWithReceipt(showing, g, l, result)
	}
	return s.showResult(showing, g, l, result, noWait)
}

// proofTime bounds how long an outcome that one node has told is waited for to be proven.
const proofTime = 10 * time.Second

// prove returns the proven outcome of a transaction that stands in a block, which takes until the next block: so the next command
// finds it in the newest state that can be proven. Where no proof is to be had, the node's word stays what it is.
func (l *link) prove(ctx context.Context, t *client.Transaction, result *client.Result) *client.Result {
	if result.Outcome == nil || result.Proven {
		return result
	}
	ctx, cancel := context.WithTimeout(ctx, proofTime)
	defer cancel()
	if proven, err := l.Transaction(ctx, t.ID(), t.ExpiresAt()); err == nil && proven.Proven {
		return proven
	}
	return result
}

// unreadableKey makes an unreadable key file a mistake of configuration.
func unreadableKey(err error) error {
	if errors.Is(err, client.ErrNoKey) {
		return err
	}
	return usageError(err)
}
