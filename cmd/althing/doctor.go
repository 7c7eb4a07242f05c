package main

import (
	"fmt"
	"io"

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

func newDoctorCommand(s *streams) *cobra.Command {
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
			report, err := node.Examine(cmd.Context(), h, s.examineProgress())
			if err != nil {
				return startError(err)
			}
			d := diagnosis{
				ChainID: report.ChainID, Home: string(h.Dir), Height: report.State.Height, Oldest: report.State.Oldest,
				AppHash: fmt.Sprintf("%x", report.State.AppHash), Nodes: report.State.Nodes, Leaves: report.State.Leaves,
				LastSigned: report.LastSigned, Problems: append([]string{}, report.Problems...), OK: report.OK(),
			}
			if err := s.show(globalsOf(cmd), d, d.print); err != nil {
				return err
			}
			if !d.OK {
				return hint(fmt.Errorf("problems found in %s: %d", dir, len(d.Problems)),
					"do not start the node on this directory: keep a copy, and let it catch up from the others in a new one")
			}
			return nil
		},
	}
	homeFlag(cmd, &dir)
	return cmd
}

func (d diagnosis) print(w io.Writer) {
	fmt.Fprintf(w, "network\t%s\nheights\t%d to %d\napp hash\t%s\nchecked\t%d leaves, %d tree nodes\n",
		d.ChainID, d.Oldest, d.Height, d.AppHash, d.Leaves, d.Nodes)
	if d.LastSigned > 0 {
		fmt.Fprintf(w, "signed\tup to height %d\n", d.LastSigned)
	}
	for _, p := range d.Problems {
		fmt.Fprintf(w, "problem\t%s\n", p)
	}
	if d.OK {
		fmt.Fprintln(w, "everything fits together")
	}
}

// examineProgress returns a progress line for terminals, nil for everything else.
func (s *streams) examineProgress() func(state.Progress) {
	if !s.terminal {
		return nil
	}
	return func(p state.Progress) {
		fmt.Fprintf(s.err, "\rchecked %d of %d leaves", p.Done, p.Total)
		if p.Done == p.Total {
			fmt.Fprintln(s.err)
		}
	}
}
