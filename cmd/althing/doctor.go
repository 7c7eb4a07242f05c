package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/internal/node"
	"github.com/althing-ledger/althing/state"
)

// diagnosis is what `doctor` prints.
type diagnosis struct {
	ChainID    string   `json:"chain_id"`
	Home       string   `json:"home"`
	Height     uint64   `json:"height"`
	Oldest     uint64   `json:"oldest_height"`
	AppHash    string   `json:"app_hash"`
	Nodes      uint64   `json:"tree_nodes"`
	Leaves     uint64   `json:"leaves"`
	LastSigned int64    `json:"last_signed"`
	Problems   []string `json:"problems"`
	OK         bool     `json:"ok"`
}

func newDoctorCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check the directory of a stopped node",
		Long: `Check the directory of a stopped node and change nothing: every node of the tree is hashed again and compared with the root
that was committed, the flat view with the tree in both directions, the supply of every asset with the sum of its balances and
holds, the index of transactions with the digests in the tree, and the record of what the validator signed.

The exit code is 0 when everything fits together and 1 when it does not.`,
		Example: `  althing testnet node stop acme-1
  althing doctor --home althing-testnet/nodes/acme-1`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			h, err := home.Load(dir)
			if err != nil {
				return startError(err)
			}
			report, err := node.Examine(cmd.Context(), h, examineProgress(cmd))
			if err != nil {
				return startError(err)
			}
			return printDiagnosis(cmd, diagnosis{
				ChainID: report.ChainID, Home: string(h.Dir), Height: report.State.Height, Oldest: report.State.Oldest,
				AppHash: fmt.Sprintf("%x", report.State.AppHash), Nodes: report.State.Nodes, Leaves: report.State.Leaves,
				LastSigned: report.LastSigned, Problems: append([]string{}, report.Problems...), OK: report.OK(),
			})
		},
	}
	homeFlag(cmd, &dir)
	return cmd
}

// examineProgress returns a progress line for terminals, nil for everything else.
func examineProgress(cmd *cobra.Command) func(state.Progress) {
	if !isTerminal(os.Stderr) {
		return nil
	}
	return func(p state.Progress) {
		if p.Total > 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "\rchecked %d of %d leaves", p.Done, p.Total)
		}
		if p.Done == p.Total {
			fmt.Fprintln(cmd.ErrOrStderr())
		}
	}
}
