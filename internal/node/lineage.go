package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/app/lineage"
	"github.com/althing-ledger/althing/consensus"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/state"
)

const (
	// engineRetry is how long a follower waits before it asks an engine again that begins anew under another node key.
	engineRetry = 50 * time.Millisecond
	// engineGone is after how long it takes the engine for broken.
	engineGone = time.Minute
)

// followLineage makes the follower that keeps the changes of the validators.
func followLineage(store *state.Store, machine *app.App, engine *engine, log *slog.Logger) (*follow.Followed, error) {
	return follow.New(follow.Config{
		Store: store, WaitHeight: machine.WaitHeight, Lag: lineage.Lag, Oldest: engine.oldestBlock, Logger: log,
	}, &lineage.Follower{ChangeAt: engine.changeAt})
}

// oldestBlock returns the height of the oldest block that is kept, 0 for none.
func (e *engine) oldestBlock() uint64 {
	base, _ := e.node.Load().BlockRange()
	return uint64(base)
}

// changeAt returns the change of the validators that a block announces, nil for none. It waits while the engine begins anew.
func (e *engine) changeAt(ctx context.Context, height uint64) (*proofv1.Link, error) {
	for begin := time.Now(); ; {
		change, err := e.node.Load().ChangeAt(int64(height))
		switch {
		case err == nil && change == nil:
			return nil, nil
		case err == nil:
			return link(change)
		case !errors.Is(err, consensus.ErrNotReady) || time.Since(begin) > engineGone:
			return nil, err
		}
		select {
		case <-time.After(engineRetry):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func link(change *consensus.Change) (*proofv1.Link, error) {
	l := &proofv1.Link{Signed: &proofv1.SignedHeader{Header: change.Header, Commit: change.Commit}}
	for _, v := range change.Validators {
		if v.Power <= 0 {
			return nil, fmt.Errorf("a validator with power %d", v.Power)
		}
		l.Validators = append(l.Validators, &proofv1.Validator{PublicKey: v.PublicKey, Power: uint64(v.Power)})
	}
	return l, nil
}
