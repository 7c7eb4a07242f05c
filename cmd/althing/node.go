package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

func newNodeCommand(s *streams) *cobra.Command {
	var p paging
	list := &cobra.Command{
		Use:     "list",
		Short:   "List the nodes that the ledger knows",
		Example: "  althing node list",
		Args:    cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*membershipv1.Node, string, error) {
				resp, err := l.Membership().ListNodes(ctx, &membershipv1.ListNodesRequest{Height: at, Page: page, PageSize: size})
				return resp.GetHeight(), resp.GetNodes(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			return showList(ctx, s, g, l, "nodes", found, "NODE\tORG\tPOWER\tADDRESSES", func(out io.Writer, n *membershipv1.Node) {
				fmt.Fprintf(out, "%s\t%s\t%d\t%s\n", n.Name, n.Org, n.Power, strings.Join(n.Addresses, ", "))
			})
		}),
	}
	p.flags(list)
	return noun("node", "Nodes that the ledger lists", list)
}
