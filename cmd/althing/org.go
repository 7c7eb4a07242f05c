package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func newOrgCommand(s *streams) *cobra.Command {
	return noun("org", "Organisations", newOrgListCommand(s), newOrgShowCommand(s),
		newOrgSuspendCommand(s), newOrgResumeCommand(s), newOrgRemoveCommand(s), newOrgSetAllotmentCommand(s))
}

func newOrgShowCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:   "show ORG",
		Short: "Show an organisation, its nodes and its history",
		Long: `Show an organisation: its status and why it has it, what it may decide for itself, what it has used, its nodes
and its history.`,
		Example: `  althing org show acme
  althing org show acme --output json`,
		Args: cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if err := names.Org(args[0]); err != nil {
				return err
			}
			resp, err := l.Accounts().GetOrg(ctx, &accountsv1.GetOrgRequest{Name: args[0], Height: height})
			if err != nil {
				return err
			}
			return s.showOrg(ctx, g, l, resp)
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

// showOrg prints an organisation with what belongs to it, all as of one height.
func (s *streams) showOrg(ctx context.Context, g globals, l *link, resp *accountsv1.GetOrgResponse) error {
	name := resp.GetOrg().GetName()
	accounts, err := collect(paging{height: resp.Height}, func(at uint64, page string, size uint32) (uint64, []*accountsv1.Account, string, error) {
		resp, err := l.Accounts().ListAccounts(ctx, &accountsv1.ListAccountsRequest{Height: at, Page: page, PageSize: size, Org: name})
		return resp.GetHeight(), resp.GetAccounts(), resp.GetNextPage(), err
	})
	if err != nil {
		return err
	}
	all, err := collect(paging{height: resp.Height}, func(at uint64, page string, size uint32) (uint64, []*membershipv1.Node, string, error) {
		resp, err := l.Membership().ListNodes(ctx, &membershipv1.ListNodesRequest{Height: at, Page: page, PageSize: size})
		return resp.GetHeight(), resp.GetNodes(), resp.GetNextPage(), err
	})
	if err != nil {
		return err
	}
	changes, err := historyOf(ctx, l, &membershipv1.ListChangesRequest{Org: name, Height: resp.Height})
	if err != nil {
		return err
	}
	nodes, history := []object{}, []object{}
	var lines []string
	for _, n := range all.items {
		if n.Org == name {
			nodes, lines = append(nodes, l.units.render(ctx, n)), append(lines, nodeWords(n))
		}
	}
	for _, c := range changes {
		history = append(history, l.units.render(ctx, c))
	}
	value := append(l.units.render(ctx, resp.GetOrg()),
		field{"usage", object{{"stored_bytes", resp.GetUsage().GetStoredBytes()}}}, field{"accounts", len(accounts.items)},
		field{"nodes", nodes}, field{"history", history}, field{"height", resp.Height})
	return s.showProven(g, resp.Height, value, func(out io.Writer) {
		fmt.Fprint(out, orgText(resp.GetOrg()))
		fmt.Fprintf(out, "stored\t%s\naccounts\t%d\nat height\t%d\n", plural(resp.GetUsage().GetStoredBytes(), "byte"), len(accounts.items), resp.Height)
		for _, line := range lines {
			fmt.Fprintf(out, "node\t%s\n", line)
		}
		showHistory(out, changes)
	})
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
