package main

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
)

const buildHelp = `Write a transaction of several operations, for its signers to sign. They are applied in order, all
or none.

The file is a JSON array of operations, or an object {"operations": […], "payer": "ORG/NAME",
"memo": "…"}. An operation names the account that acts and what it does, as in the .proto files;
amounts are written with the decimals of their asset, keys as schnorr:HEX, ids of holds as hex
digits, content of records ("data") as base64, times as 2027-01-31T12:00:00Z. The kinds:

  accountCreate accountSetRoles accountAddKey accountRevokeKey accountRotateKey
  assetCreate assetMint assetBurn assetTransfer assetSetFrozen assetOpenHold assetReleaseHold assetCancelHold
  recordSetCollection recordPut
  nodeAdd nodeRemove nodeSetAddresses nodeSetPower nodeRotateKey validatorRotateKey accountSetTokenKeys
  proposalCreate proposalVote proposalWithdraw

Delivery against payment, where acme gives 5 gold for 100.00 of globex's euros:

  [
    {"account": "acme/treasury",   "assetTransfer": {"asset": "acme/gold",  "to": "globex/treasury", "amount": "5"}},
    {"account": "globex/treasury", "assetTransfer": {"asset": "globex/eur", "to": "acme/treasury",   "amount": "100.00"}}
  ]

Each signs; either submits. ` + "`althing tx show T`" + ` says in words what one is about to sign.`

func newTxBuildCommand(s *streams) *cobra.Command {
	var w writing
	var file string
	var baseUnits bool
	cmd := &cobra.Command{
		Use:   "build --file OPS.json -o T",
		Short: "Write a transaction of several operations, to be signed",
		Long:  buildHelp,
		Example: `  althing tx build --file OPS.json --expires-in 1h -o T
  althing tx sign T --as acme/treasury
  althing tx sign T --as globex/treasury
  althing tx submit T`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" || w.out == "" {
				return usagef("--file OPS.json and --out T are needed")
			}
			return s.build(cmd.Context(), globalsOf(cmd), &w, file, baseUnits)
		},
	}
	w.bodyFlags(cmd)
	flags := cmd.Flags()
	flags.StringVar(&file, "file", "", "`FILE` of operations, - for standard input")
	flags.StringVarP(&w.out, "out", "o", "", "`FILE` for the transaction, - for standard output")
	flags.BoolVar(&baseUnits, "base-units", false, "amounts in the file are base units: no node is needed to know decimals")
	flags.BoolVar(&w.offline, "offline", false, "ask no node: clocks are not compared; amounts need --base-units")
	return cmd
}

func (s *streams) build(ctx context.Context, g globals, w *writing, file string, baseUnits bool) (err error) {
	data, err := s.readFile(file, maxOperationsFile)
	if err != nil {
		return err
	}
	parsed, ops, err := parseOperations(data)
	if err != nil {
		return hint(usagef("%s: %w", file, err), "`althing tx build --help` shows what the file looks like")
	}
	l, err := s.dial(g)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	ctx, cancel := g.bounded(ctx)
	defer cancel()
	offline, err := s.compareClocks(ctx, g, l, w.offline, true)
	if err != nil {
		return err
	}
	if offline {
		l.units.client = nil
	}
	if !baseUnits {
		if err := toBaseUnits(ctx, l.units, ops); errors.Is(err, errNoNode) {
			return hint(err, "write amounts in base units and say --base-units, or make sure that a node can be reached")
		} else if err != nil {
			return err
		}
	}
	draft := client.Draft{Operations: ops, Payer: parsed.Payer, Memo: parsed.Memo, ExpiresIn: time.Duration(w.expiresIn)}
	if w.payer != "" {
		draft.Payer = w.payer
	}
	if w.memo != "" {
		draft.Memo = w.memo
	}
	t, err := client.NewTransaction(l.Network().ChainID, draft, s.now(), rand.Reader)
	if err != nil {
		return usagef("%s: %w", file, err)
	}
	return s.saveTransaction(ctx, g, l, t, w.out)
}
