package app

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// ErrTooManyWaiters is returned when as many calls wait for transactions as the configuration allows. Ask again later.
var ErrTooManyWaiters = errors.New("too many calls wait for transactions on this node")

// counters are totals since the start.
type counters struct {
	applied, rejected, refusedProposals atomic.Uint64
}

// waiters hands the outcomes of committed blocks to the calls that wait for them.
type waiters struct {
	most int

	mu      sync.Mutex
	count   int
	byID    map[tx.ID][]*waiter
	changed chan struct{} // closed and replaced at every commit
}

type waiter struct {
	expiresAt int64       // nanoseconds since 1970; 0 when the caller does not know
	answer    chan answer // holds one
}

// answer is what a waiter hears: what became of the transaction, or why this node gave it up.
type answer struct {
	TransactionAt
	refused error
}

func newWaiters(most int) *waiters {
	return &waiters{most: most, byID: make(map[tx.ID][]*waiter), changed: make(chan struct{})}
}

func (w *waiters) add(id tx.ID, expiresAt int64) (*waiter, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= w.most {
		return nil, ErrTooManyWaiters
	}
	w.count++
	one := &waiter{expiresAt: expiresAt, answer: make(chan answer, 1)}
	w.byID[id] = append(w.byID[id], one)
	return one, nil
}

func (w *waiters) remove(id tx.ID, one *waiter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.byID[id]
	for i, other := range list {
		if other != one {
			continue
		}
		w.count--
		if len(list) == 1 {
			delete(w.byID, id)
		} else {
			w.byID[id] = append(list[:i:i], list[i+1:]...)
		}
		return
	}
}

// commit answers those who wait for a transaction of the block, or for one that has expired with it. What is still pending
// has not expired, whatever its waiter believes.
func (w *waiters) commit(s *staged, pending func(tx.ID) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range s.outcomes {
		if !o.admitted {
			continue
		}
		id := tx.ID(o.Id)
		for _, one := range w.byID[id] {
			one.tell(answer{TransactionAt: TransactionAt{Status: statusOf(o.Code), Outcome: o.TxOutcome, Height: s.height}})
		}
	}
	for id, list := range w.byID {
		for _, one := range list {
			if one.expiresAt != 0 && one.expiresAt <= s.time && !pending(id) {
				one.tell(answer{TransactionAt: TransactionAt{Status: ledgerv1.TxStatus_TX_STATUS_EXPIRED, Height: s.height}})
			}
		}
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// refuse tells those who wait for a transaction that this node holds it no longer, and why.
func (w *waiters) refuse(id tx.ID, reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, one := range w.byID[id] {
		one.tell(answer{refused: reason})
	}
}

// end tells everybody who waits the same.
func (w *waiters) end(reason error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, list := range w.byID {
		for _, one := range list {
			one.tell(answer{refused: reason})
		}
	}
}

// tell gives the first answer; a waiter that has one needs no other.
func (one *waiter) tell(a answer) {
	select {
	case one.answer <- a:
	default:
	}
}

func (w *waiters) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

func statusOf(code ledgerv1.Code) ledgerv1.TxStatus {
	if code == ledgerv1.Code_CODE_OK {
		return ledgerv1.TxStatus_TX_STATUS_COMMITTED
	}
	return ledgerv1.TxStatus_TX_STATUS_REJECTED
}

// Waiting returns how many calls wait for transactions.
func (a *App) Waiting() int {
	a.waiters.mu.Lock()
	defer a.waiters.mu.Unlock()
	return a.waiters.count
}

// WaitTransaction returns when the transaction's status is final on this node. The error is that of the context,
// [ErrTooManyWaiters], one that [App.Transaction] returns, that of [App.EndWaits], or a [tx.Rejection] when this node has given up a transaction that
// was pending: the newest state refuses it, and unless another node still holds it, it may be sent again.
func (a *App) WaitTransaction(ctx context.Context, id tx.ID, expiresAt int64) (TransactionAt, error) {
	// What is known needs no waiter, of which there may be none left.
	now, err := a.Transaction(id, expiresAt)
	if err != nil || now.Final() {
		return now, err
	}
	one, err := a.waiters.add(id, expiresAt)
	if err != nil {
		return now, err
	}
	defer a.waiters.remove(id, one)
	// Looked up again after the waiter was added: a block that commits in between is in one of the two.
	if now, err = a.Transaction(id, expiresAt); err != nil || now.Final() {
		return now, err
	}
	select {
	case heard := <-one.answer:
		if heard.refused != nil {
			return now, heard.refused
		}
		return heard.TransactionAt, nil
	case <-ctx.Done():
		return now, ctx.Err()
	}
}

// EndWaits has all calls return that wait for transactions now, with this error. What they wait for goes on.
func (a *App) EndWaits(reason error) { a.waiters.end(reason) }

// WaitHeight returns when this node has committed a height, or the context's error.
func (a *App) WaitHeight(ctx context.Context, height uint64) error {
	for {
		next := a.waiters.next()
		if a.store.Height() >= height {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
