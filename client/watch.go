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

	"github.com/althing-ledger/althing/client/verify"
	"github.com/althing-ledger/althing/proto/blocks"
	"github.com/althing-ledger/althing/proto/cursor"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/subjects"
)

// WatchOptions says what [Client.Stream] yields. The zero value is every block from the next one on.
type WatchOptions struct {
	// From is the first height wanted; 0 for that of the next block to come.
	From uint64
	// Cursor goes on behind an item: the cursor that came with it, from whichever node, in whichever program. Overrides From.
	Cursor string
	// Detail is blocks, transactions or events.
	Detail ledgerv1.Detail
	// Filter lets pass what fits every field that is set, and in a field any of its values. Nil lets everything pass. Kinds may
	// be those of operations (asset_transfer) and those of events (asset_transferred).
	Filter *ledgerv1.Filter
	// Progress yields items without content too, now and then while nothing passes: their cursor is worth keeping, because an
	// old one may fall below what nodes keep.
	Progress bool
	// Unverified believes what nodes say, which then send only what passes the filter. Otherwise the client takes whole blocks
	// with their proofs and filters by itself, so that nothing can be left out; unless it is one that believes all
	// ([Config.Unverified]).
	Unverified bool
}

// WatchItem is something that a stream yields: a block, a transaction, an event, or none of them to tell of progress. It must
// not be changed.
type WatchItem struct {
	// Height of the block, or the block it is in. Of progress: everything up to that height has been yielded.
	Height uint64
	// Cursor goes on behind the item, with [WatchOptions.Cursor].
	Cursor string

	Block       *ledgerv1.Block
	Transaction *ledgerv1.WatchedTransaction
	Event       *ledgerv1.WatchedEvent
}

// Watch yields every block from the given height on, without a gap, and the next one to come for height 0. It is
// [Client.Stream] for those who want nothing else.
func (c *Client) Watch(ctx context.Context, from uint64) iter.Seq2[*ledgerv1.Block, error] {
	return func(yield func(*ledgerv1.Block, error) bool) {
		for item, err := range c.Stream(ctx, WatchOptions{From: from}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(item.Block, nil) {
				return
			}
		}
	}
}

// Stream yields what is committed, in the order of the ledger, without a gap or a repeat. When a node breaks off, falls silent,
// repeats something or leaves something out, it goes on at another one, behind the last item. Whoever ranges over it may take
// their time: the node waits.
//
// The last thing it yields is an error: that of ctx when it ended; a [*cursor.Error], or one that says what is wrong with the
// filter; or a status, such as FAILED_PRECONDITION when no node keeps the block any more, or OUT_OF_RANGE for a height that is
// far ahead of the ledger.
func (c *Client) Stream(ctx context.Context, o WatchOptions) iter.Seq2[*WatchItem, error] {
	return func(yield func(*WatchItem, error) bool) {
		w, err := newWatcher(c, o, yield)
		if err != nil {
			yield(nil, fmt.Errorf("watch: %w", err))
			return
		}
		if err = w.run(ctx); err != errStopped {
			yield(nil, err)
		}
	}
}

const (
	watchMethod = ledgerv1.LedgerService_Watch_FullMethodName

	shortestHeartbeat = time.Second
	longestHeartbeat  = 5 * time.Minute

	// lateTries is how often nodes are asked for a height that is ahead of all of them before it is taken for a mistake: a
	// cursor may come from a node that was ahead.
	lateTries = 16
)

var (
	// errStopped says that the one who ranges over the items wants no more. It never leaves this file.
	errStopped = errors.New("stopped")
	// errSilent says that a node has sent nothing for twice as long as it was to. It never leaves this file.
	errSilent = errors.New("the node fell silent")
)

type watcher struct {
	client    *Client
	yield     func(*WatchItem, error) bool
	detail    ledgerv1.Detail
	wanted    *ledgerv1.Filter
	filter    *subjects.Filter // nil lets everything pass
	verified  bool             // blocks are proven, and taken apart here
	progress  bool
	heartbeat time.Duration

	at    cursor.Position // the first thing that was not yielded; height 0 before it is known
	told  time.Time       // when something was yielded last
	node  *node           // of the present stream
	known bool            // at is on the ledger, or right behind it: a node has said so
	given bool            // at is a cursor from elsewhere, and may be ahead of some nodes

	signed  time.Time // when the token of the present stream was signed
	renewed bool      // a token ended before its time, and nothing has come since
	pruned  int       // nodes in a row that keep no block as old as at
	late    int       // times in a row that a node had no block as new as at
	due     uint64    // a height that there was at the last heartbeat, where nothing else has come since
}

func newWatcher(c *Client, o WatchOptions, yield func(*WatchItem, error) bool) (*watcher, error) {
	w := &watcher{
		client: c, yield: yield, detail: o.Detail, wanted: o.Filter, progress: o.Progress, told: time.Now(),
		verified:  !o.Unverified && !c.config.Unverified,
		heartbeat: min(max(c.config.IdleProbe, shortestHeartbeat), longestHeartbeat),
		at:        cursor.Block(o.From),
	}
	var err error
	if w.filter, err = subjects.NewFilter(o.Filter); err != nil {
		return nil, err
	}
	if o.Cursor != "" {
		if w.at, err = cursor.Parse(o.Cursor); err != nil {
			return nil, err
		}
		w.given = true
	}
	if w.at.Tx != 0 && o.Detail == ledgerv1.Detail_DETAIL_UNSPECIFIED || w.at.Event != 0 && o.Detail != ledgerv1.Detail_DETAIL_EVENTS {
		return nil, fmt.Errorf("%w of this detail: it came with another one", &cursor.Error{Cursor: o.Cursor})
	}
	return w, nil
}

// run follows one node after the other.
func (w *watcher) run(ctx context.Context) error {
	var wait pause
	for {
		began := w.at
		err := w.follow(ctx)
		moved := w.at != began
		if moved {
			wait.reset()
			w.pruned, w.late = 0, 0
		}
		switch {
		case err == errStopped:
			return err
		case ctx.Err() != nil:
			return ended(ctx, err)
		case w.renew(err):
			continue
		case !w.mayResume(ctx, err):
			return fromStatus(err)
		}
		w.client.pool.advance()
		if !moved {
			wait.next(ctx)
		}
	}
}

// renew reports whether the watch broke off because its token ended, or is too long, and goes on with another. A token that
// ends long before its time is worth one more: then this machine's clock is wrong, and no token helps.
func (w *watcher) renew(err error) bool {
	var denied *Denied
	if !errors.As(fromStatus(err), &denied) {
		return false
	}
	b := w.client.pool.bearer
	early := b != nil && !b.old(w.signed)
	if early && w.renewed || !b.renew(denied) {
		return false
	}
	w.renewed = early
	return true
}

// mayResume reports whether another node, or the same one later, may go on where this one failed.
func (w *watcher) mayResume(ctx context.Context, err error) bool {
	for _, passing := range []error{ErrUnreachable, ErrAnswer, ErrLie, ErrNoProof, ErrStale, errSilent, io.EOF} {
		if errors.Is(err, passing) {
			return true
		}
	}
	switch status.Code(err) {
	case codes.OutOfRange:
		// The next node may be a block behind the one that broke off.
		w.late++
		return w.known || w.at.Height <= w.client.SeenHeight()+1 || w.given && w.late < lateTries
	case codes.FailedPrecondition:
		// Another node may keep more.
		w.pruned++
		return w.pruned < len(w.client.pool.nodes)
	case codes.ResourceExhausted:
		return errors.Is(fromStatus(err), ErrFull)
	default:
		return isUnreachable(ctx, err) || retryable(err)
	}
}

// follow reads from one node until something breaks.
func (w *watcher) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if b := w.client.pool.bearer; b != nil {
		var err error
		if _, w.signed, err = b.token(); err != nil {
			return err
		}
	}
	if w.at.Height == 0 {
		// "The next block" is settled once, so that a break before the first block makes no gap.
		height, err := w.newest(ctx)
		if err != nil {
			return err
		}
		w.at, w.known = cursor.Block(height+1), true
	}
	stream, err := w.open(ctx)
	if err != nil {
		return err
	}
	answers, broken := make(chan *ledgerv1.WatchResponse), make(chan error, 1)
	go func() {
		for {
			answer, err := stream.Recv()
			if err != nil {
				broken <- err
				return
			}
			select {
			case answers <- answer:
			case <-ctx.Done():
				return
			}
		}
	}()
	w.due = 0
	silence := time.NewTimer(2 * w.heartbeat)
	defer silence.Stop()
	for {
		select {
		case answer := <-answers:
			if err := w.take(ctx, answer); err != nil {
				return err
			}
		case err := <-broken:
			return err
		case <-silence.C:
			return errSilent
		case <-ctx.Done():
			return ctx.Err()
		}
		// Only the time counts in which the node was listened to.
		silence.Reset(2 * w.heartbeat)
	}
}

// newest returns the height of the newest block, 0 where there is none. A node that keeps reads to members names no height
// in its status to others, who must not take the first block for the next one.
func (w *watcher) newest(ctx context.Context) (uint64, error) {
	if w.client.config.Unverified {
		status, err := w.client.Status(ctx)
		if err != nil || status.Height > 0 {
			return status.GetHeight(), err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, w.client.config.AttemptTimeout)
	defer cancel()
	resp, err := w.client.Ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{HeaderOnly: true})
	if unreachable := new(Unreachable); errors.As(err, &unreachable) && unreachable.Starting() {
		return 0, nil
	}
	return resp.GetBlock().GetHeight(), err
}

// open begins a stream at the first node that can be reached and is believed.
func (w *watcher) open(ctx context.Context) (grpc.ServerStreamingClient[ledgerv1.WatchResponse], error) {
	request := &ledgerv1.WatchRequest{
		FromHeight: w.at.Height, HeartbeatMs: uint32(w.heartbeat.Milliseconds()), Prove: w.verified,
	}
	if !w.verified {
		request.Detail, request.Filter = w.detail, w.wanted
		if w.at != cursor.Block(w.at.Height) {
			request.Cursor = w.at.String()
		}
	}
	var stream grpc.ServerStreamingClient[ledgerv1.WatchResponse]
	err := w.client.pool.try(ctx, func(_ context.Context, n *node) (err error) {
		if lie := n.distrust.now(); lie != nil {
			return lie
		}
		w.node = n
		stream, err = ledgerv1.NewLedgerServiceClient(n.conn).Watch(ctx, request, n.asReader...)
		return err
	})
	return stream, err
}

// take yields what a node has sent, if it is what comes next.
func (w *watcher) take(ctx context.Context, answer *ledgerv1.WatchResponse) error {
	if w.verified {
		discardUnknown(answer.ProtoReflect())
	}
	next, err := cursor.Parse(answer.Cursor)
	if err != nil {
		return w.lied("something without a cursor", err)
	}
	if beat := answer.GetHeartbeat(); beat != nil {
		return w.takeHeartbeat(ctx, beat, next)
	}
	if w.verified {
		return w.takeProven(ctx, answer, next)
	}
	item := &WatchItem{Block: answer.GetBlock(), Transaction: answer.GetTransaction(), Event: answer.GetEvent(), Cursor: answer.Cursor}
	var place, behind cursor.Position
	switch w.detail {
	case ledgerv1.Detail_DETAIL_TRANSACTIONS:
		o := item.Transaction.GetOutcome()
		place = cursor.Position{Height: o.GetHeight(), Tx: o.GetIndex()}
		behind = cursor.AfterTransaction(o.GetHeight(), o.GetIndex())
	case ledgerv1.Detail_DETAIL_EVENTS:
		e := item.Event
		place = cursor.Position{Height: e.GetHeight(), Tx: e.GetTxIndex(), Event: e.GetEventIndex()}
		behind = cursor.AfterEvent(e.GetHeight(), e.GetTxIndex(), e.GetEventIndex())
	default:
		place, behind = cursor.Block(item.Block.GetHeight()), cursor.Block(item.Block.GetHeight()+1)
	}
	item.Height = place.Height
	if place.Height == 0 || next != behind {
		return w.lied(fmt.Sprintf("an item with the cursor %s that another one has", next), nil)
	}
	if place.Compare(w.at) < 0 {
		return w.lied(fmt.Sprintf("again what stands at %s, when %s was next", place, w.at), nil)
	}
	if w.filter == nil && w.leavesOut(place) {
		return w.lied(fmt.Sprintf("what stands at %s, when %s was next", place, w.at), nil)
	}
	w.client.pool.saw(place.Height)
	return w.show(item, next)
}

// leavesOut reports whether something must stand between where the watch is and the place of an unfiltered item.
func (w *watcher) leavesOut(place cursor.Position) bool {
	switch w.detail {
	case ledgerv1.Detail_DETAIL_TRANSACTIONS:
		if place.Height == w.at.Height {
			return place.Tx != w.at.Tx
		}
		return place.Tx != 0
	case ledgerv1.Detail_DETAIL_EVENTS:
		if place.Height == w.at.Height && place.Tx == w.at.Tx {
			return place.Event != w.at.Event
		}
		return place.Event != 0
	default:
		return place != w.at
	}
}

// takeHeartbeat believes that nothing passed up to a height, unless something must have.
func (w *watcher) takeHeartbeat(ctx context.Context, beat *ledgerv1.Heartbeat, next cursor.Position) error {
	at := w.at
	if w.verified {
		at = cursor.Block(at.Height) // a stream of whole blocks
	}
	all := w.filter == nil && w.detail == ledgerv1.Detail_DETAIL_UNSPECIFIED || w.verified
	if next.Height != beat.Height+1 || next.Compare(at) < 0 || all && next != at || next != at && next != cursor.Block(next.Height) {
		return w.lied(fmt.Sprintf("that everything up to height %d was sent, behind which is %s, when %s was next", beat.Height, next, at), nil)
	}
	if !w.verified {
		w.at = next
	} else if err := w.keepsUp(ctx); err != nil {
		return err
	}
	w.renewed, w.known = false, true
	return w.tell()
}

// keepsUp reports a node that has nothing to show while others have had the next block, and the one that proves it, for as long as
// it takes from one heartbeat to the next.
func (w *watcher) keepsUp(ctx context.Context) error {
	p := w.client.pool
	if w.due > w.at.Height {
		return fmt.Errorf("%w: %s has nothing behind block %d to show, other nodes have block %d", ErrStale, w.node.label(), w.at.Height-1, w.due)
	}
	p.poll(ctx).end()
	w.due = p.fresh.floor.Load()
	return nil
}

// takeProven checks a block and yields what passes of it.
func (w *watcher) takeProven(ctx context.Context, answer *ledgerv1.WatchResponse, next cursor.Position) error {
	b := answer.GetBlock()
	if b.GetHeight() != w.at.Height || next != cursor.Block(w.at.Height+1) {
		return w.lied(fmt.Sprintf("block %d with the cursor %s, when block %d was next", b.GetHeight(), next, w.at.Height), nil)
	}
	if err := w.check(ctx, b, answer.Proof); err != nil {
		return err
	}
	block, err := blocks.New(b)
	if err != nil {
		return w.lied("a block without all of its transactions", err)
	}
	for shown, err := range block.Items(w.detail, w.filter, w.at) {
		if err != nil {
			return err // the caller's own cursor: the block is proven
		}
		behind, err := cursor.Parse(shown.Cursor)
		if err != nil {
			return err
		}
		item := &WatchItem{
			Height: b.Height, Cursor: shown.Cursor, Block: shown.GetBlock(), Transaction: shown.GetTransaction(), Event: shown.GetEvent(),
		}
		if err := w.show(item, behind); err != nil {
			return err
		}
	}
	w.at, w.renewed, w.known, w.due = next, false, true, 0
	return w.tell()
}

// check verifies a block.
func (w *watcher) check(ctx context.Context, b *ledgerv1.Block, proof *proofv1.BlockProof) error {
	p := w.client.pool
	if proof == nil {
		return w.lied("a block without a proof", nil)
	}
	ctx, cancel := context.WithTimeout(ctx, w.client.config.AttemptTimeout)
	defer cancel()
	err := p.lineage.check(ctx, p, w.node, func(t *verify.Trust) error { return t.Block(b, proof, false) })
	if err != nil {
		return p.judged(ctx, w.node, watchMethod, "a block that is not what its proof says", err)
	}
	raise(&p.proven, b.Height)
	raise(&p.seen, b.Height)
	w.node.distrust.cleared()
	return nil
}

// show yields an item, behind which the watch stands from then on.
func (w *watcher) show(item *WatchItem, behind cursor.Position) error {
	w.at, w.renewed, w.known = behind, false, true
	if !w.yield(item, nil) {
		return errStopped
	}
	w.told = time.Now()
	return nil
}

// tell yields how far the watch is, where that is wanted and nothing else was yielded for a while.
func (w *watcher) tell() error {
	if !w.progress || time.Since(w.told) < w.heartbeat {
		return nil
	}
	return w.show(&WatchItem{Height: w.at.Height - 1, Cursor: w.at.String()}, w.at)
}

// lied leaves a node that sends what cannot be.
func (w *watcher) lied(what string, err error) error {
	return w.client.pool.blame(w.node, watchMethod, what, err)
}
