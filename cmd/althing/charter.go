package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
)

func newCharterCommand(s *streams) *cobra.Command {
	var height uint64
	show := &cobra.Command{
		Use:     "show",
		Short:   "Show the limits that every node enforces",
		Example: "  althing charter show",
		Args:    cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			resp, err := l.Governance().GetCharter(ctx, &governancev1.GetCharterRequest{Height: height})
			if err != nil {
				return err
			}
			charter := l.units.render(ctx, resp.GetCharter())
			value := append(object{{"height", resp.Height}, {"feature_level", resp.FeatureLevel}}, charter...)
			return s.showProven(g, resp.Height, value, func(out io.Writer) {
				for _, f := range value {
					fmt.Fprintf(out, "%s\t%v\n", f.name, f.value)
				}
			})
		}),
	}
	heightFlag(show, &height)
	return noun("charter", "The rules that the ledger itself carries", show)
}
