package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/proto/tx"
)

func newTxCommand(s *streams) *cobra.Command {
	return noun("tx", "Transactions of several operations or signers, and what became of them",
		newTxBuildCommand(s), newTxSignCommand(s), newTxSubmitCommand(s), newTxShowCommand(s), newTxWaitCommand(s), newTxListCommand(s), newTxReceiptCommand(s))
}

// readFile reads a bounded file, or standard input for -.
func (s *streams) readFile(file string, limit int64) ([]byte, error) {
	in, err := s.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return nil, badPath(file, err)
	}
	if int64(len(data)) > limit {
		return nil, usagef("%s has more than %d bytes", file, limit)
	}
	return data, nil
}

// loadTransaction reads a transaction file and makes sure that it is for the network.
func (s *streams) loadTransaction(file, chainID string) (*client.Transaction, error) {
	data, err := s.readFile(file, maxTransactionFile)
	if err != nil {
		return nil, err
	}
	t, err := client.DecodeFile(data)
	if err != nil {
		return nil, usagef("%s: %w", file, err)
	}
	if chainID != "" && t.ChainID() != chainID {
		return nil, hint(usagef("%s is for network %s, this is %s", file, t.ChainID(), chainID), "check --network, or build it anew for this network")
	}
	return t, nil
}

// maxTransactionFile bounds in bytes what is read as a transaction file.
const maxTransactionFile = 32 << 20

func newTxSignCommand(s *streams) *cobra.Command {
	var w writing
	cmd := &cobra.Command{
		Use:   "sign T --as ORG/NAME",
		Short: "Add an account's signature to a transaction file, in place",
		Long: `Add an account's signature to a transaction file, in place. Those of the account's key files sign
whose keys the ledger lists; all of them when no node answers. With --key no network is needed at
all: a machine that is on no network can sign. Where a node answers, a key that the ledger does not
list is refused.`,
		Example: `  althing tx sign T --as acme/treasury
  althing tx sign T --as globex/treasury --key globex.json -o T.signed`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(w.as) == 0 {
				return hint(usagef("who signs? --as is missing"), "add --as ORG/NAME, such as --as acme/admin")
			}
			if err := w.validateNames(); err != nil {
				return err
			}
			if w.out == "" {
				w.out = args[0]
			}
			return s.sign(cmd.Context(), globalsOf(cmd), &w, args[0])
		},
	}
	w.signerFlags(cmd)
	cmd.Flags().StringVarP(&w.out, "out", "o", "", "write the signed transaction to this `FILE` (default: in place)")
	return cmd
}

func (s *streams) sign(ctx context.Context, g globals, w *writing, file string) (err error) {
	l, chainID := &link{units: new(units)}, ""
	var network *client.Network
	if s.networkNamed(g) || len(w.keyFiles) == 0 {
		if l, err = s.dial(g); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		network, chainID = l.Network(), l.Network().ChainID
	}
	t, err := s.loadTransaction(file, chainID)
	if err != nil {
		return err
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	signers, err := w.loadSigners(network)
	if err != nil {
		return err
	}
	// Without a network there is nobody to ask.
	offline, err := s.compareClocks(ctx, g, l, w.offline || network == nil, true)
	if err != nil {
		return err
	}
	if offline {
		l.units.client = nil
	}
	if !t.ExpiresAt().After(s.now()) {
		return hint(fmt.Errorf("%s expired at %s", file, t.ExpiresAt().Format(time.RFC3339)), "build it anew; --expires-in gives signers more time")
	}
	for _, signer := range signers {
		if !offline {
			if err := requireListed(ctx, l.Client, signer, len(w.keyFiles) > 0); err != nil {
				return err
			}
		}
		err := sign(ctx, l, t, signer, offline || len(w.keyFiles) > 0)
		if errors.Is(err, client.ErrTransaction) {
			return hint(err, "`althing tx show %s` says who signs it", file)
		}
		if err != nil {
			return err
		}
	}
	return s.saveTransaction(ctx, g, l, t, w.out)
}

func newTxSubmitCommand(s *streams) *cobra.Command {
	var noWait bool
	cmd := &cobra.Command{
		Use:   "submit T",
		Short: "Send a signed transaction file and wait for the commit",
		Long: `Send a signed transaction file and wait for the commit. It may be sent again at any time and from
anywhere: it is applied once, and every sender gets the first outcome.`,
		Example: `  althing tx submit T
  althing tx submit T --no-wait`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			g := globalsOf(cmd)
			l, err := s.dial(g)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.Close()) }()
			t, err := s.loadTransaction(args[0], l.Network().ChainID)
			if err != nil {
				return err
			}
			// An unreachable network is said at once; after the first contact it is waited for.
			asking, cancel := g.bounded(cmd.Context())
			_, err = l.Status(asking)
			cancel()
			if err != nil {
				return s.showUndone(g, l, t.ID(), err)
			}
			return s.send(cmd.Context(), g, l, t, noWait)
		},
	}
	cmd.Flags().BoolVar(&noWait, "no-wait", false, "do not wait for the commit; exit 0 once a node has taken the transaction")
	return cmd
}

func newTxShowCommand(s *streams) *cobra.Command {
	var expiresAt string
	cmd := &cobra.Command{
		Use:   "show ID|FILE",
		Short: "Show what became of a transaction, or what a transaction file says",
		Long: `Show what became of a transaction, or say in words what a transaction file does and who has signed
it. For a file no network is needed, but with one amounts are shown with the decimals of their
assets, and signatures are compared with the ledger's lists of keys. The exit code is 1 when no node
knows the id. Past --expires-at it waits a little for the block that settles the outcome.`,
		Example: `  althing tx show T
  althing tx show 6f0c…64-hex-digits`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&expiresAt, "expires-at", "", "the transaction's own expiry, a `TIME`: past it, what is in no block has expired")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := os.Stat(args[0]); err == nil || args[0] == toStdout {
			return s.showFile(cmd.Context(), globalsOf(cmd), args[0])
		}
		id, expiry, err := s.reference(args[0], expiresAt)
		if err != nil {
			return err
		}
		return s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			result, err := l.Transaction(ctx, id, expiry)
			if err != nil {
				return err
			}
			if !result.Final() && !expiry.IsZero() && !expiry.After(s.now()) {
				result = settled(ctx, l, g, result, expiry)
			}
			err = s.showResult(ctx, g, l, result, true)
			var outcome *notApplied
			if errors.As(err, &outcome) && !result.Final() && !expiry.IsZero() {
				return hint(err, "`althing tx wait %s --expires-at %s` waits until it is decided", id, expiry.UTC().Format(timeFormat))
			}
			if errors.As(err, &outcome) && result.Final() {
				if !g.json {
					fmt.Fprintln(s.out, outcome.Error())
				}
				return nil // what became of it is known, whatever it is
			}
			return err
		})(cmd, args)
	}
	return cmd
}

// longestSettling bounds how long `tx show` waits for the block that settles an expired transaction.
const longestSettling = 15 * time.Second

// settled waits a little for the outcome of a transaction that is past its expiry: no block may have come since. Where none
// comes, the result stays what it was.
func settled(ctx context.Context, l *link, g globals, result *client.Result, expiry time.Time) *client.Result {
	limit := longestSettling
	if g.timeout > 0 {
		limit = min(limit, g.timeout*3/4) // the rest is for showing it
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if final, err := l.WaitTransaction(ctx, result.ID, expiry); err == nil {
		return final
	}
	return result
}

// reference reads an id and an expiry.
func (s *streams) reference(id, expiresAt string) (parsed tx.ID, expiry time.Time, err error) {
	if parsed, err = tx.ParseID(id); err != nil {
		if _, statErr := os.Stat(id); errors.Is(statErr, fs.ErrNotExist) {
			return parsed, expiry, usagef("there is no file %.80q, and it is no id: an id has 64 hex digits", id)
		}
		return parsed, expiry, usageError(err)
	}
	if expiresAt != "" {
		if expiry, err = parseTime(expiresAt, s.now()); err != nil {
			return parsed, expiry, usagef("--expires-at: %w", err)
		}
	}
	return parsed, expiry, nil
}

// showFile says what a transaction file does.
func (s *streams) showFile(ctx context.Context, g globals, file string) error {
	chainID, u := "", new(units)
	if s.networkNamed(g) {
		l, err := s.dial(g)
		if err != nil {
			return err
		}
		defer func() { _ = l.Close() }()
		chainID, u = l.Network().ChainID, l.units
	}
	t, err := s.loadTransaction(file, chainID)
	if err != nil {
		return err
	}
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	if u.client != nil {
		if _, err := u.client.Status(ctx); err != nil {
			u.client = nil // amounts are shown in base units then
		}
	}
	return s.show(g, s.fileObject(ctx, u, t), func(out io.Writer) {
		fmt.Fprintf(out, "transaction %s\n", t.ID())
		describeTransaction(ctx, out, u, t, s.now())
	})
}

// fileObject is a transaction file as JSON.
func (s *streams) fileObject(ctx context.Context, u *units, t *client.Transaction) object {
	ops, signatures, all := []object{}, []object{}, standingsOf(ctx, u, t)
	for _, op := range t.Body().Operations {
		if c := op.GetAssetCreate(); c != nil {
			u.learn(c.Asset, c.Decimals)
		}
		ops = append(ops, u.render(ctx, op))
	}
	for _, signature := range t.Signatures() {
		signatures = append(signatures, object{
			{"account", signature.Account}, {"scheme", schemeOf(signature)}, {"public_key", fmt.Sprintf("%x", signature.PublicKey)},
			{"good", checkSignature(t, all, signature) == nil},
		})
	}
	return object{
		{"id", t.ID().String()}, {"chain_id", t.ChainID()}, {"expires_at", t.ExpiresAt().Format(timeFormat)},
		{"expired", !t.ExpiresAt().After(s.now())}, {"payer", t.Payer()}, {"memo", t.Body().Memo},
		{"operations", ops}, {"signers", t.Signers()}, {"missing", missingOf(all)}, {"signatures", signatures},
	}
}

func newTxWaitCommand(s *streams) *cobra.Command {
	var expiresAt string
	cmd := &cobra.Command{
		Use:   "wait ID",
		Short: "Wait until the outcome of a transaction is final",
		Long: `Wait until the outcome of a transaction is final: committed, rejected or, past its expiry, expired.
The exit code is 0 only when it committed with code 0. Without --expires-at a transaction that no
node knows is waited for until --timeout.`,
		Example: `  althing tx wait 6f0c…64-hex-digits --expires-at 2027-01-31T12:00:00Z
  althing tx wait 6f0c…64-hex-digits --timeout 5m`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			g := globalsOf(cmd)
			id, expiry, err := s.reference(args[0], expiresAt)
			if err != nil {
				return err
			}
			l, err := s.dial(g)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.Close()) }()
			limit := max(g.timeout, 0)
			if limit == 0 {
				limit = defaultTimeout
				if left := expiry.Sub(s.now()) + settling; !expiry.IsZero() && left > limit {
					limit = left
				}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			stop := s.progress(ctx, "the commit")
			result, err := l.WaitTransaction(ctx, id, expiry)
			stop()
			if err != nil {
				return s.showUndone(g, l, id, err)
			}
			showing, done := g.bounded(cmd.Context())
			defer done()
			return s.showResult(showing, g, l, result, false)
		},
	}
	cmd.Flags().StringVar(&expiresAt, "expires-at", "", "the transaction's own expiry, a `TIME`")
	return cmd
}
