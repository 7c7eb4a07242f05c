package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/proto/blocks"
	"github.com/althing-ledger/althing/proto/cursor"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/subjects"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// Heartbeats of a watch.
const (
	defaultHeartbeat  = 15 * time.Second
	shortestHeartbeat = time.Second
	longestHeartbeat  = 5 * time.Minute
)

// errStopping ends the watches of a node that stops.
var errStopping = status.Error(codes.Unavailable, "the node stops: go on at another one with the newest cursor")

// watch is one call of Watch. Its goroutine alone uses it, but for height.
type watch struct {
	detail ledgerv1.Detail
	filter *subjects.Filter // nil lets everything pass
	prove  bool
	every  time.Duration // between heartbeats

	at     cursor.Position // the first thing that was not sent
	height atomic.Uint64   // of the next block, for whoever asks how far behind the watch is
	stream ledgerv1.LedgerService_WatchServer
	sent   time.Time // when something was sent last
}

// Watch reads blocks one by one from the store, as fast as the reader takes them: consensus does not know of it. Before each
// block, and each heartbeat, it asks whether the caller may still read, by the newest state.
func (s *ledgerServer) Watch(q *ledgerv1.WatchRequest, stream ledgerv1.LedgerService_WatchServer) error {
	w, err := newWatch(q, stream)
	if err != nil {
		return toStatus(err)
	}
	free, ok := s.watchers.take(clientOf(stream.Context()))
	if !ok {
		return toStatus(errTooManyWatchers)
	}
	defer free()
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	defer s.feed.enter(w, func() { cancel(errStopping) })()
	err = s.watch(ctx, w)
	if context.Cause(ctx) == errStopping && stream.Context().Err() == nil {
		return errStopping
	}
	return toStatus(err)
}

// newWatch checks a request.
func newWatch(q *ledgerv1.WatchRequest, stream ledgerv1.LedgerService_WatchServer) (*watch, error) {
	w := &watch{detail: q.Detail, prove: q.Prove, stream: stream, every: time.Duration(q.HeartbeatMs) * time.Millisecond, sent: time.Now()}
	if _, known := ledgerv1.Detail_name[int32(q.Detail)]; !known {
		return nil, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD,
			"this version knows no detail %d: ask for blocks (0), transactions (1) or events (2)", q.Detail)
	}
	if w.every == 0 {
		w.every = defaultHeartbeat
	}
	if w.every < shortestHeartbeat || w.every > longestHeartbeat {
		return nil, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "heartbeat_ms is %d: ask for %d to %d, or for 0, which is %d",
			q.HeartbeatMs, shortestHeartbeat.Milliseconds(), longestHeartbeat.Milliseconds(), defaultHeartbeat.Milliseconds())
	}
	var err error
	if w.filter, err = subjects.NewFilter(q.Filter); err != nil {
		code := ledgerv1.Code_CODE_BAD_FIELD
		if bad := new(names.Error); errors.As(err, &bad) {
			code = ledgerv1.Code_CODE_BAD_NAME
		}
		return nil, tx.Reject(code, "%v", err)
	}
	if q.Prove && (w.detail != ledgerv1.Detail_DETAIL_UNSPECIFIED || w.filter != nil) {
		return nil, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD,
			"a proof is of a whole block: watch blocks without a filter, or prove single transactions with GetTransaction")
	}
	w.at = cursor.Block(q.FromHeight)
	if q.Cursor != "" {
		if w.at, err = cursor.Parse(q.Cursor); err != nil {
			return nil, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "%v", err)
		}
	}
	finer := w.at.Tx != 0 && w.detail == ledgerv1.Detail_DETAIL_UNSPECIFIED || w.at.Event != 0 && w.detail != ledgerv1.Detail_DETAIL_EVENTS
	if finer {
		return nil, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD,
			"cursor %s stands inside of what this watch sends whole: go on with the detail it came with, or from_height %d", w.at, w.at.Height)
	}
	return w, nil
}

// watch sends until something ends it, and returns what.
func (s *ledgerServer) watch(ctx context.Context, w *watch) error {
	until, err := s.access.check(ctx)
	if err != nil {
		return err
	}
	latest := s.app.Height()
	if w.at.Height == 0 {
		w.at = cursor.Block(latest + 1)
	}
	if w.at.Height > latest+1 {
		return &state.FutureError{Height: w.at.Height, Latest: latest}
	}
	for {
		w.height.Store(w.at.Height)
		needed, err := s.needed(w)
		if err != nil {
			return err
		}
		arrived, err := s.attend(ctx, needed, until, w.sent.Add(w.every))
		if err != nil {
			return err
		}
		if until, err = s.access.check(ctx); err != nil {
			return err
		}
		// Of a proof it is seen only now whether it needs one more block.
		if needed, err = s.needed(w); err != nil {
			return err
		}
		if arrived && s.app.Height() >= needed {
			if err := s.show(ctx, w); err != nil {
				return err
			}
			w.at = cursor.Block(w.at.Height + 1)
		}
		if time.Since(w.sent) < w.every {
			continue
		}
		beat := &ledgerv1.WatchResponse_Heartbeat{Heartbeat: &ledgerv1.Heartbeat{Height: w.at.Height - 1}}
		if err := w.send(&ledgerv1.WatchResponse{Item: beat, Cursor: w.at.String()}); err != nil {
			return err
		}
	}
}

// needed returns the height that must be committed before the watch can go on: that of its next block, or the one after it,
// whose header proves what the block has led to.
func (s *ledgerServer) needed(w *watch) (uint64, error) {
	height := w.at.Height
	if !w.prove || s.app.Height() != height {
		return height, nil
	}
	b, err := s.engine.Block(height)
	if err != nil || b.still(height) {
		return height, err
	}
	return height + 1, nil
}

// attend waits for a block, but not beyond the time of the next heartbeat, nor the end of the caller's token, if there is one.
func (s *ledgerServer) attend(ctx context.Context, height uint64, until, beat time.Time) (arrived bool, err error) {
	limit := time.Until(beat)
	if !until.IsZero() {
		limit = min(limit, until.Sub(s.now()))
	}
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err = s.app.WaitHeight(wait, height)
	if err != nil && wait.Err() != nil && ctx.Err() == nil {
		return false, nil
	}
	return err == nil, err
}

// send sends something.
func (w *watch) send(r *ledgerv1.WatchResponse) error {
	err := w.stream.Send(r)
	w.sent = time.Now()
	return err
}

// show sends what the watch wants of the block that it has come to.
func (s *ledgerServer) show(ctx context.Context, w *watch) error {
	height := w.at.Height
	b, err := s.feed.block(height, func() (*ledgerv1.Block, error) { return s.block(height, false) })
	if err != nil {
		return s.unkept(height, err)
	}
	for item, err := range b.Items(w.detail, w.filter, w.at) {
		if errors.Is(err, blocks.ErrCursor) {
			return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "%v", err)
		}
		if err != nil {
			return err
		}
		if w.prove {
			if item.Proof, err = b.proof(func() (*proofv1.BlockProof, error) {
				_, proof, err := s.provenBlock(ctx, height, false)
				return proof, err
			}); err != nil {
				return s.unkept(height, err)
			}
		}
		if err := w.send(item); err != nil {
			return err
		}
	}
	return nil
}

// unkept gives the error of a block that is no longer kept the oldest height at which a watch may begin.
func (s *ledgerServer) unkept(height uint64, err error) error {
	if !errors.Is(err, ErrBlockPruned) && !errors.Is(err, app.ErrHistoryPruned) && !errors.Is(err, state.ErrPruned) {
		return err
	}
	oldest := max(s.engine.Status().OldestBlock, height+1)
	return detailed(codes.FailedPrecondition, fmt.Sprintf(
		"block %d is no longer kept on this node, the oldest is %d: begin there, or go on at a node that keeps more", height, oldest),
		"PRUNED", map[string]string{"oldest_height": fmt.Sprint(oldest)})
}

// Watchers returns how many watches there are, and how many committed blocks the slowest of them has not been sent yet.
func (s *Server) Watchers() (count int, lag uint64) {
	return s.feed.lag(s.cfg.App.Height())
}
