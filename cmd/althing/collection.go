package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func newCollectionCommand(s *streams) *cobra.Command {
	return noun("collection", "Who may write the records of a collection", newCollectionShowCommand(s), newCollectionSetCommand(s))
}

func newCollectionShowCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:     "show ORG/COLLECTION",
		Short:   "Show who may write",
		Example: "  althing collection show acme/invoices",
		Args:    cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if _, err := names.Collection(args[0]); err != nil {
				return err
			}
			resp, err := l.Records().GetCollection(ctx, &recordsv1.GetCollectionRequest{Collection: args[0], Height: height})
			if err != nil {
				return err
			}
			c := resp.GetCollection()
			value := append(l.units.render(ctx, c), field{"set", resp.Set}, field{"height", resp.Height})
			return s.showProven(g, resp.Height, value, func(out io.Writer) {
				fmt.Fprintf(out, "collection\t%s\nwriters\t%s\ncosign\t%v\nset\t%v\n", c.GetName(), grantWords(c.GetWriters()), c.GetCosign(), resp.Set)
			})
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

func newCollectionSetCommand(s *streams) *cobra.Command {
	var writers []string
	var cosign bool
	cmd := &cobra.Command{
		Use:   "set ORG/COLLECTION --writer ORG:ROLE",
		Short: "Say who may write",
		Long: `Say who may write the records of a collection of the acting account's organisation: accounts of the
organisations named, with the roles named. With --cosign two accounts of different organisations
must write together.`,
		Example: `  althing collection set acme/invoices --writer acme:writer --writer globex:auditor --cosign --as acme/admin`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringArrayVar(&writers, "writer", nil, "`ORG:ROLE` that may write; may be repeated")
	cmd.Flags().BoolVar(&cosign, "cosign", false, "demand two accounts of different organisations")
	return s.writer(cmd, func(_ context.Context, _ *link, args []string) (*ledgerv1.Operation, error) {
		if _, err := names.Collection(args[0]); err != nil {
			return nil, err
		}
		op := &recordsv1.SetCollection{Collection: args[0], Cosign: cosign}
		for _, text := range writers {
			org, role, found := strings.Cut(text, ":")
			if !found {
				return nil, usagef("--writer %.80q is not ORG:ROLE", text)
			}
			if err := cmp.Or(names.Org(org), names.Role(role)); err != nil {
				return nil, usagef("--writer: %w", err)
			}
			op.Writers = append(op.Writers, &recordsv1.Grant{Org: org, Role: role})
		}
		if len(op.Writers) == 0 {
			return nil, usagef("--writer is missing: name at least one ORG:ROLE")
		}
		// The ledger keeps grants in ascending order.
		slices.SortFunc(op.Writers, func(a, b *recordsv1.Grant) int {
			return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.Role, b.Role))
		})
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_RecordSetCollection{RecordSetCollection: op}}, nil
	})
}
