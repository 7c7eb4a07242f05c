// Package blocks takes blocks apart as a watch shows them: into transactions and events, each with the cursor behind it, and
// only those that a filter lets pass. A node does it for those who believe it; a client that verifies blocks does the same by
// itself, so that nothing can be left out of what it sees.
package blocks

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"

	"github.com/althing-ledger/althing/proto/cursor"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/subjects"
)

var (
	// ErrIncomplete is returned for a block that has not one outcome for each transaction, or an outcome whose events are none.
	ErrIncomplete = errors.New("the block is not complete")
	// ErrCursor is returned for a cursor that stands in the block, but behind the end of it or of the transaction it names.
	ErrCursor = errors.New("the cursor stands where the block has nothing: it is not of this ledger; begin with a height")
)

// Block is a complete block. What follows from it is worked out when it is first asked for. It is immutable, as the message
// must be from now on, and safe for concurrent use.
type Block struct {
	*ledgerv1.Block
	events  func() ([][]*ledgerv1.Event, error) // by transaction
	touched func() (touches, error)
}

// touches is what the transactions of a block and their events touch.
type touches struct {
	txs    []subjects.Set
	events [][]subjects.Set
}

// New returns a block that can be taken apart, or [ErrIncomplete].
func New(b *ledgerv1.Block) (*Block, error) {
	if b == nil || len(b.Outcomes) != len(b.Txs) || uint64(len(b.Txs)) != uint64(b.TxCount) {
		return nil, fmt.Errorf("%w: block %d of %d transactions has %d, and %d outcomes",
			ErrIncomplete, b.GetHeight(), b.GetTxCount(), len(b.GetTxs()), len(b.GetOutcomes()))
	}
	block := &Block{Block: b}
	block.events = sync.OnceValues(func() ([][]*ledgerv1.Event, error) { return decode(b) })
	block.touched = sync.OnceValues(func() (touches, error) {
		events, err := block.events()
		if err != nil {
			return touches{}, err
		}
		return touchesOf(b, events), nil
	})
	return block, nil
}

// Size estimates the bytes of memory that the block takes with all that follows from it.
func (b *Block) Size() int {
	size := 1024
	for i, o := range b.Outcomes {
		// Decoded, events and names take some times their encoding.
		size += 1024 + 2*len(b.Txs[i]) + 12*len(o.Events)
	}
	return size
}

func decode(b *ledgerv1.Block) ([][]*ledgerv1.Event, error) {
	events := make([][]*ledgerv1.Event, len(b.Outcomes))
	for i, o := range b.Outcomes {
		list := new(ledgerv1.EventList)
		if err := list.UnmarshalVT(o.GetEvents()); err != nil {
			return nil, fmt.Errorf("%w: events of transaction %x: %w", ErrIncomplete, o.GetId(), err)
		}
		events[i] = list.Events
	}
	return events, nil
}

// touchesOf asks what the parts of a block touch. Their kinds are those by which a filter may ask for them: an event has its
// own and those of the operation that made it, a transaction those of its operations and of its events. So a transaction
// passes a filter whenever one of its events does.
func touchesOf(b *ledgerv1.Block, events [][]*ledgerv1.Event) touches {
	t := touches{txs: make([]subjects.Set, len(b.Txs)), events: make([][]subjects.Set, len(b.Txs))}
	for i, raw := range b.Txs {
		// What is no transaction was refused as such, and touches nothing.
		set, _ := subjects.OfTransaction(raw, b.Outcomes[i])
		var byOperation [][]string
		if len(events[i]) > 0 {
			byOperation, _ = subjects.KindsOf(raw)
		}
		for _, e := range events[i] {
			touched := subjects.OfEvent(e)
			set.Kinds = append(set.Kinds, touched.Kinds...)
			if int(e.Operation) < len(byOperation) {
				touched.Kinds = sorted(append(touched.Kinds, byOperation[e.Operation]...))
			}
			t.events[i] = append(t.events[i], touched)
		}
		set.Kinds = sorted(set.Kinds)
		t.txs[i] = set
	}
	return t
}

func sorted(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// Items yields what a watch of a detail shows of the block from a position on, as far as the filter lets it pass (nil:
// everything), each with its cursor. The position is one in this block. The last thing it yields may be an error:
// [ErrCursor] or [ErrIncomplete].
func (b *Block) Items(detail ledgerv1.Detail, f *subjects.Filter, from cursor.Position) iter.Seq2[*ledgerv1.WatchResponse, error] {
	return func(yield func(*ledgerv1.WatchResponse, error) bool) {
		if err := b.holds(from); err != nil {
			yield(nil, err)
			return
		}
		var t touches
		if f != nil {
			var err error
			if t, err = b.touched(); err != nil {
				yield(nil, err)
				return
			}
		}
		switch detail {
		case ledgerv1.Detail_DETAIL_TRANSACTIONS:
			b.transactions(f, t, from, yield)
		case ledgerv1.Detail_DETAIL_EVENTS:
			b.eachEvent(f, t, from, yield)
		default:
			b.whole(f, t, yield)
		}
	}
}

// holds refuses a position that no watch of this block has ever given out.
func (b *Block) holds(p cursor.Position) error {
	count := uint32(len(b.Txs))
	if p.Height != b.Height || p.Tx > count || p.Event != 0 && p.Tx == count {
		return fmt.Errorf("cursor %s: %w", p, ErrCursor)
	}
	if p.Event == 0 {
		return nil
	}
	events, err := b.events()
	if err == nil && p.Event > uint32(len(events[p.Tx])) {
		err = fmt.Errorf("cursor %s: %w", p, ErrCursor)
	}
	return err
}

// whole yields the block with those of its transactions that pass, or not at all with none.
func (b *Block) whole(f *subjects.Filter, t touches, yield func(*ledgerv1.WatchResponse, error) bool) {
	item := b.Block
	if f != nil {
		item = &ledgerv1.Block{
			Height: b.Height, Time: b.Time, Hash: b.Hash, AppHash: b.AppHash, Proposer: b.Proposer, TxCount: b.TxCount,
		}
		for i, raw := range b.Txs {
			if f.Passes(t.txs[i]) {
				item.Txs, item.Outcomes = append(item.Txs, raw), append(item.Outcomes, b.Outcomes[i])
			}
		}
		if len(item.Txs) == 0 {
			return
		}
	}
	yield(&ledgerv1.WatchResponse{
		Item: &ledgerv1.WatchResponse_Block{Block: item}, Cursor: cursor.Block(b.Height + 1).String(),
	}, nil)
}

func (b *Block) transactions(f *subjects.Filter, t touches, from cursor.Position, yield func(*ledgerv1.WatchResponse, error) bool) {
	for i := from.Tx; i < uint32(len(b.Txs)); i++ {
		if f != nil && !f.Passes(t.txs[i]) {
			continue
		}
		item := &ledgerv1.WatchedTransaction{Tx: b.Txs[i], Outcome: b.Outcomes[i]}
		if !yield(&ledgerv1.WatchResponse{
			Item: &ledgerv1.WatchResponse_Transaction{Transaction: item}, Cursor: cursor.AfterTransaction(b.Height, i).String(),
		}, nil) {
			return
		}
	}
}

func (b *Block) eachEvent(f *subjects.Filter, t touches, from cursor.Position, yield func(*ledgerv1.WatchResponse, error) bool) {
	events, err := b.events()
	if err != nil {
		yield(nil, err)
		return
	}
	first := from.Event
	for i := from.Tx; i < uint32(len(events)); i, first = i+1, 0 {
		for j := first; j < uint32(len(events[i])); j++ {
			if f != nil && !f.Passes(t.events[i][j]) {
				continue
			}
			o := b.Outcomes[i]
			item := &ledgerv1.WatchedEvent{
				Height: b.Height, TxIndex: i, EventIndex: j, TxId: o.Id, TimeUnixNano: o.TimeUnixNano, Event: events[i][j],
			}
			if !yield(&ledgerv1.WatchResponse{
				Item: &ledgerv1.WatchResponse_Event{Event: item}, Cursor: cursor.AfterEvent(b.Height, i, j).String(),
			}, nil) {
				return
			}
		}
	}
}
