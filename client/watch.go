package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// Watch yields every block from the given height on, without a gap, and the next one to come for height 0. When a node
// breaks off it goes on with the next height at another node. The last thing it yields is an error: that of ctx when it
// ended, or a status such as FAILED_PRECONDITION when the block is no longer kept.
func (c *Client) Watch(ctx context.Context, from uint64) iter.Seq2[*ledgerv1.Block, error] {
	return func(yield func(*ledgerv1.Block, error) bool) {
		w := watcher{client: c, next: from}
		var wait pause
		for {
			began := w.next
			err := w.follow(ctx, yield)
			switch {
			case err == errStopped:
				return
			case ctx.Err() != nil:
				yield(nil, ended(ctx, err))
				return
			case !w.mayResume(err):
				yield(nil, fromStatus(err))
				return
			}
			if w.next != began {
				wait.reset()
			}
			c.pool.advance()
			wait.next(ctx)
		}
	}
}

// errStopped says that the one who ranges over the blocks wants no more. It never leaves this file.
var errStopped = errors.New("stopped")

type watcher struct {
	client *Client
	next   uint64 // height of the next block to yield; 0 before it is known
}

// mayResume reports whether another node, or the same one later, may go on where this one failed.
func (w *watcher) mayResume(err error) bool {
	if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrAnswer) || errors.Is(err, io.EOF) || retryable(err) {
		return true
	}
	switch status.Code(err) {
	case codes.OutOfRange:
		// The next node may be a block behind the one that broke off.
		return w.next <= w.client.SeenHeight()+1
	case codes.ResourceExhausted:
		return errors.Is(fromStatus(err), ErrFull)
	default:
		return false
	}
}

// follow reads blocks from one node until something breaks.
func (w *watcher) follow(ctx context.Context, yield func(*ledgerv1.Block, error) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if w.next == 0 {
		// "The next block" is settled once, so that a break before the first block makes no gap.
		status, err := w.client.Status(ctx)
		if err != nil {
			return err
		}
		w.next = status.Height + 1
	}
	stream, at, err := w.open(ctx)
	if err != nil {
		return err
	}
	blocks, broken := make(chan *ledgerv1.Block), make(chan error, 1)
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				broken <- err
				return
			}
			select {
			case blocks <- resp.Block:
			case <-ctx.Done():
				return
			}
		}
	}()
	idle := time.NewTimer(w.client.config.IdleProbe)
	defer idle.Stop()
	for {
		select {
		case block := <-blocks:
			if err := w.take(block, yield); err != nil {
				return err
			}
		case err := <-broken:
			return err
		case <-idle.C:
			if err := w.probe(ctx, at); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
		idle.Reset(w.client.config.IdleProbe)
	}
}

func (w *watcher) open(ctx context.Context) (grpc.ServerStreamingClient[ledgerv1.WatchResponse], *node, error) {
	var stream grpc.ServerStreamingClient[ledgerv1.WatchResponse]
	var at *node
	err := w.client.pool.try(ctx, func(_ context.Context, n *node) (err error) {
		at = n
		stream, err = ledgerv1.NewLedgerServiceClient(n.conn).Watch(ctx, &ledgerv1.WatchRequest{FromHeight: w.next})
		return err
	})
	return stream, at, err
}

// take yields a block if it is the next one.
func (w *watcher) take(block *ledgerv1.Block, yield func(*ledgerv1.Block, error) bool) error {
	if block.GetHeight() != w.next {
		return fmt.Errorf("%w: block %d came where %d was next", ErrAnswer, block.GetHeight(), w.next)
	}
	w.client.pool.saw(block.Height)
	w.next++
	if !yield(block, nil) {
		return errStopped
	}
	return nil
}

// probe asks a silent node whether it lives.
func (w *watcher) probe(ctx context.Context, at *node) error {
	ctx, cancel := context.WithTimeout(ctx, w.client.config.AttemptTimeout)
	defer cancel()
	_, err := at.status(ctx)
	return err
}
