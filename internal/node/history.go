package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/app/history"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/state"
)

// followHistory makes the follower that keeps the index of history, nil where it is switched off. Blocks that it has not seen
// are kept for it while it is switched on; after it was off for long it begins anew.
func followHistory(h *home.Home, store *state.Store, engine *engine, retention *follow.Retention, log *slog.Logger) (*follow.Followed, error) {
	if !h.Config.History.Enabled {
		return nil, nil
	}
	if err := dropAfterGap(store, engine, log); err != nil {
		return nil, err
	}
	followed, err := follow.New(follow.Config{
		Store: store, WaitHeight: engine.machine.WaitHeight, Logger: log,
		// The outcomes of a block may go before the block itself, but not before its state.
		Oldest: func() uint64 { return max(engine.oldestBlock(), engine.machine.Oldest()) },
	}, &history.Follower{Block: engine.historyBlock, Logger: log})
	if err == nil {
		retention.Add(followed)
	}
	return followed, err
}

// dropAfterGap drops an index that misses blocks that are no longer kept: an answer from it would not be complete.
func dropAfterGap(store *state.Store, engine *engine, log *slog.Logger) error {
	reach, err := historyReach(store)
	if err != nil || reach.First == 0 {
		return err
	}
	next := reach.Last + 1
	if oldest := engine.oldestBlock(); oldest <= next {
		_, err = engine.machine.Outcomes(next)
		if !errors.Is(err, app.ErrHistoryPruned) {
			return nil // what else is wrong is said when the block is read
		}
	}
	log.Warn("the index of history begins anew: blocks that it had not read are no longer kept", "had_read", reach.Last)
	return follow.Drop(store, history.Name, history.Prefixes()...)
}

func historyReach(store *state.Store) (follow.Reach, error) {
	view := store.Latest()
	defer view.Release()
	return follow.ReachOf(view, history.Name)
}

// historyBlock returns what the index of history needs of a committed block. It waits while the engine begins anew.
func (e *engine) historyBlock(ctx context.Context, height uint64) (history.Block, error) {
	if b := e.machine.Recent(height); b != nil {
		return history.Block{Time: b.Time, Txs: b.Txs, Outcomes: b.Outcomes}, nil
	}
	for begin := time.Now(); ; {
		decided, err := e.Block(height)
		if err == nil {
			outcomes, err := e.machine.Outcomes(height)
			return history.Block{Time: decided.Time, Txs: decided.Txs, Outcomes: outcomes}, err
		}
		if !errors.Is(err, grpcapi.ErrNotReady) || time.Since(begin) > engineGone {
			return history.Block{}, err
		}
		select {
		case <-time.After(engineRetry):
		case <-ctx.Done():
			return history.Block{}, ctx.Err()
		}
	}
}

// DropHistory drops the index of history of a stopped node. The next start builds it again, from the oldest block that is
// kept. It returns which heights the index had, zero where there was none.
func DropHistory(h *home.Home) (had follow.Reach, err error) {
	lock, err := h.Lock()
	if err != nil {
		return had, err
	}
	defer func() { err = joined(err, lock.Close()) }()
	store, err := state.Open(state.Config{Dir: string(h.Dir.Data()), CacheBytes: h.Config.State.CacheBytes})
	if err != nil {
		return had, err
	}
	defer func() { err = joined(err, store.Close()) }()
	if had, err = historyReach(store); err != nil {
		return had, err
	}
	if err := follow.Drop(store, history.Name, history.Prefixes()...); err != nil {
		return had, fmt.Errorf("drop the index of history: %w", err)
	}
	return had, nil
}
