package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/testnet"
)

func newTestnetAddNodeCommand(s *streams) *cobra.Command {
	var options testnet.AddOptions
	cmd := &cobra.Command{
		Use:   "add-node --org ORG",
		Short: "Make the home of one more node in the directory of a network",
		Long: `Make the home of one more node on free ports of this machine, for an organisation that is a member or for a new one,
and enter it into the network file. The ledger does not list it yet: for a new organisation that takes a vote, otherwise an
admin of its own as far as its allotment goes. The command says how; then ` + "`althing testnet node start`" + ` starts it.`,
		Example: `  althing testnet add-node --org hooli
  althing testnet add-node --org acme --observer --output json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			n, err := s.openTestnet(cmd)
			if err != nil {
				return err
			}
			added, err := n.AddNode(options)
			if err != nil {
				return testnetError(err, n.Dir)
			}
			return s.show(globalsOf(cmd), added, func(w io.Writer) {
				dir := shortPath(n.Dir)
				fmt.Fprintf(w, "%s of %s, %s, has a home in %s.\n\nNext:\n", added.Name, added.Org, added.Kind, shortPath(added.Home))
				if added.NewOrg {
					fmt.Fprintf(w, "  althing --network %s proposal create --admit-org %s --member %s --as acme/admin\n", dir, added.Org, shortPath(added.MemberFile))
					fmt.Fprintf(w, "  althing --network %s proposal vote ID --yes --as globex/admin\n", dir)
				} else {
					fmt.Fprintf(w, "  althing --network %s proposal create --add-node %s --as %s/admin\n", dir, shortPath(added.MemberFile), added.Org)
				}
				fmt.Fprintf(w, "  althing testnet node start %s --dir %s\n", added.Name, dir)
			})
		},
	}
	cmd.Flags().StringVar(&options.Org, "org", "", "`ORG` that the node belongs to")
	cmd.Flags().BoolVar(&options.Observer, "observer", false, "a node that follows and never votes")
	require(cmd, "org")
	return cmd
}
