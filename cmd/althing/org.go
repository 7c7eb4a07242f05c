package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func newOrgCommand(s *streams) *cobra.Command {
	return noun("org", "Organisations", newOrgListCommand(s), newOrgShowCommand(s))
}

func newOrgShowCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:     "show ORG",
		Short:   "Show an organisation",
		Example: "  althing org show acme",
		Args:    cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if err := names.Org(args[0]); err != nil {
				return err
			}
			resp, err := l.Accounts().GetOrg(ctx, &accountsv1.GetOrgRequest{Name: args[0], Height: height})
			if err != nil {
				return err
			}
			value := append(l.units.render(ctx, resp.GetOrg()), field{"height", resp.Height})
			return s.show(g, value, func(out io.Writer) {
				fmt.Fprintf(out, "org\t%s\nstatus\t%s\nadmins\t%d\nat height\t%d\n", resp.Org.GetName(), orgStatus(resp.Org), resp.Org.GetAdmins(), resp.Height)
			})
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

func newOrgListCommand(s *streams) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the organisations",
		Example: "  althing org list",
		Args:    cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*accountsv1.Org, string, error) {
				resp, err := l.Accounts().ListOrgs(ctx, &accountsv1.ListOrgsRequest{Height: at, Page: page, PageSize: size})
				return resp.GetHeight(), resp.GetOrgs(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			return showList(ctx, s, g, l, "orgs", found, "ORG\tSTATUS\tADMINS", func(out io.Writer, o *accountsv1.Org) {
				fmt.Fprintf(out, "%s\t%s\t%d\n", o.Name, orgStatus(o), o.Admins)
			})
		}),
	}
	p.flags(cmd)
	return cmd
}

func orgStatus(o *accountsv1.Org) string {
	return fmt.Sprint(enumText(o.GetStatus().Descriptor(), o.GetStatus().Number()))
}
