package app

import (
	"errors"
	"fmt"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// TransactionAt is what a node knows about a transaction at a height.
type TransactionAt struct {
	Status  ledgerv1.TxStatus
	Outcome *ledgerv1.TxOutcome // where the status is committed or rejected
	Height  uint64              // up to which the answer holds
}

// Final says whether the status will never change.
func (t TransactionAt) Final() bool {
	switch t.Status {
	case ledgerv1.TxStatus_TX_STATUS_COMMITTED, ledgerv1.TxStatus_TX_STATUS_REJECTED, ledgerv1.TxStatus_TX_STATUS_EXPIRED:
		return true
	}
	return false
}

// ErrHistoryPruned is returned when the blocks that would hold a transaction are no longer kept on this node.
var ErrHistoryPruned = errors.New("the blocks of that time are no longer kept on this node: ask one that keeps all")

// Transaction returns the status of a transaction. With its expiry (nanoseconds since 1970, 0 when unknown) it can tell
// one that has expired from one that is unknown; [ErrHistoryPruned] is returned when it could tell only with pruned blocks.
func (a *App) Transaction(id tx.ID, expiresAt int64) (TransactionAt, error) {
	// The pool is asked first: it forgets a transaction only after the commit, which the view then shows.
	pending, height := a.pool.PendingAt(id)
	view := a.store.Latest()
	defer view.Release()
	at := TransactionAt{Status: ledgerv1.TxStatus_TX_STATUS_UNKNOWN, Height: view.Height()}
	if pending && height >= view.Height() {
		at.Status = ledgerv1.TxStatus_TX_STATUS_PENDING
		return at, nil
	}
	e, err := findEntry(view, id)
	if err != nil {
		return at, err
	}
	if e != nil {
		at.Status = statusOf(e.code)
		at.Outcome, err = findOutcome(view, e)
		return at, err
	}
	// What this node holds is pending, whatever the caller takes for its expiry: a block may still contain it. If a block has
	// just settled it, the next question tells.
	if pending {
		at.Status = ledgerv1.TxStatus_TX_STATUS_PENDING
		return at, nil
	}
	if expiresAt != 0 && view.Height() > 0 && expiresAt <= view.BlockTime().UnixNano() {
		_, horizon, err := readHorizon(view)
		if err == nil && expiresAt <= horizon {
			err = fmt.Errorf("transaction %s: %w", id, ErrHistoryPruned)
		}
		at.Status = ledgerv1.TxStatus_TX_STATUS_EXPIRED
		return at, err
	}
	return at, nil
}

// Outcomes returns what became of the transactions of a committed block, in their order: none for a block without
// transactions. It returns [ErrHistoryPruned] or a [state.FutureError] when there is no saying.
func (a *App) Outcomes(height uint64) ([]*ledgerv1.TxOutcome, error) {
	view := a.store.Latest()
	defer view.Release()
	if height > view.Height() {
		return nil, &state.FutureError{Height: height, Latest: view.Height()}
	}
	dropped, _, err := readHorizon(view)
	if err != nil {
		return nil, err
	}
	if height <= dropped {
		return nil, fmt.Errorf("block %d: %w", height, ErrHistoryPruned)
	}
	var outcomes []*ledgerv1.TxOutcome
	start, end := keyspace.PrefixRange(keyspace.Uint64(keyspace.Key(keyspace.LocalBlockResults), height))
	err = view.ScanLocal(start, end, false, func(_, page []byte) (bool, error) {
		return true, eachOutcome(page, func(encoded []byte) (bool, error) {
			o, err := decodeOutcome(encoded)
			outcomes = append(outcomes, o)
			return true, err
		})
	})
	return outcomes, err
}

// View returns the state at a height, the newest for 0. The caller releases it. The error is a [state.PrunedError] or a
// [state.FutureError].
func (a *App) View(height uint64) (*state.View, error) {
	if height == 0 {
		return a.store.Latest(), nil
	}
	return a.store.At(height)
}

// Stats are totals since the start.
type Stats struct {
	Applied          uint64 // transactions in blocks, applied
	Rejected         uint64 // transactions in blocks, refused with a code
	RefusedProposals uint64
}

// Stats returns the totals.
func (a *App) Stats() Stats {
	c := &a.counters
	return Stats{Applied: c.applied.Load(), Rejected: c.rejected.Load(), RefusedProposals: c.refusedProposals.Load()}
}

// Height returns the newest committed height, 0 before the first block.
func (a *App) Height() uint64 { return a.store.Height() }

// Oldest returns the oldest height whose state can be read.
func (a *App) Oldest() uint64 { return a.store.Oldest() }

// FeatureLevel returns the rules in force.
func (a *App) FeatureLevel() uint64 { return a.rules.Load().level }
