package node

import (
	"context"
	"fmt"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/state"
)

// Report is what an examination of a stopped node's directory found.
type Report struct {
	ChainID string
	// State is the comparison of the tree with its root and with the flat view.
	State state.Report
	// Problems are all that was found wrong, in words, the state's included.
	Problems []string
	// LastSigned is the height that the validator signed last, 0 for none.
	LastSigned int64
}

// OK says whether nothing is wrong.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// Examine checks the directory of a stopped node and changes nothing but its lock file: the tree against its root and
// the flat view, the supplies against the balances, the index of transactions against the tree, the signer's record. An
// error means that the examination could not be made: the node runs, or the directory is not that of a node.
func Examine(ctx context.Context, h *home.Home, progress func(state.Progress)) (report Report, err error) {
	genesis, err := app.ParseGenesis(h.Genesis)
	if err != nil {
		return Report{}, err
	}
	lock, err := h.Lock()
	if err != nil {
		return Report{}, err
	}
	defer func() { err = joined(err, lock.Close()) }()
	report.ChainID = genesis.ChainID
	cfg := state.Config{Dir: string(h.Dir.Data()), CacheBytes: h.Config.State.CacheBytes, ReadOnly: true}
	if report.State, err = state.Check(ctx, cfg, progress); err != nil {
		return Report{}, err
	}
	for _, p := range report.State.Problems {
		report.Problems = append(report.Problems, p.String())
	}
	if more := report.State.ProblemsTotal - uint64(len(report.State.Problems)); more > 0 {
		report.Problems = append(report.Problems, fmt.Sprintf("and %d more discrepancies of the state", more))
	}
	if report.OK() {
		// What is damaged below would only be stumbled over again above.
		found, err := examineApp(ctx, genesis, cfg)
		if err != nil {
			return Report{}, err
		}
		report.Problems = found
	}
	report.examineSigner(h)
	return report, nil
}

func examineApp(ctx context.Context, genesis app.Genesis, cfg state.Config) (found app.Findings, err error) {
	store, err := state.Open(cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = joined(err, store.Close()) }()
	return app.Examine(ctx, genesis, store)
}

func (r *Report) examineSigner(h *home.Home) {
	var err error
	if r.LastSigned, err = h.LastSigned(r.ChainID); err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("the record of what the validator signed: %v", err))
	}
}

func joined(err, closing error) error {
	if err == nil {
		return closing
	}
	return err
}
