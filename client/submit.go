package client

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Bounds of the pauses between two rounds over the nodes.
const (
	shortestPause = 100 * time.Millisecond
	longestPause  = 5 * time.Second
	longestRetry  = 30 * time.Second // what a node may ask for with a retry delay
)

// Result is what became of a transaction, as far as it is known.
type Result struct {
	ID     tx.ID
	Status ledgerv1.TxStatus
	// Outcome is the transaction's place in the ledger, where it is committed or rejected.
	Outcome *ledgerv1.TxOutcome
	// Height is that of the outcome, else the one up to which the status holds; 0 where the node did not say.
	Height uint64
	// Proven says that the validators' signatures stand for the outcome, its words and its failed operation aside. Otherwise it
	// is the word of the node that answered; [Client.Transaction] proves what is committed or rejected.
	Proven bool
}

// Final reports whether the status will never change: committed, rejected or expired.
func (r *Result) Final() bool {
	switch r.Status {
	case ledgerv1.TxStatus_TX_STATUS_COMMITTED, ledgerv1.TxStatus_TX_STATUS_REJECTED, ledgerv1.TxStatus_TX_STATUS_EXPIRED:
		return true
	default:
		return false
	}
}

// OK reports whether the transaction is in a block and was applied.
func (r *Result) OK() bool {
	return r.Status == ledgerv1.TxStatus_TX_STATUS_COMMITTED && r.Outcome.GetCode() == ledgerv1.Code_CODE_OK
}

// Events returns the effects of a committed transaction, in order. It returns [ErrAnswer] for bytes that are no events.
func (r *Result) Events() ([]*ledgerv1.Event, error) {
	list := new(ledgerv1.EventList)
	if err := list.UnmarshalVT(r.Outcome.GetEvents()); err != nil {
		return nil, fmt.Errorf("%w: events of transaction %s: %w", ErrAnswer, r.ID, err)
	}
	return list.Events, nil
}

// newResult checks that an answer is about the transaction that was asked for.
func newResult(id tx.ID, status ledgerv1.TxStatus, outcome *ledgerv1.TxOutcome, height uint64) (*Result, error) {
	decided := status == ledgerv1.TxStatus_TX_STATUS_COMMITTED || status == ledgerv1.TxStatus_TX_STATUS_REJECTED
	switch {
	case status == ledgerv1.TxStatus_TX_STATUS_UNSPECIFIED:
		return nil, fmt.Errorf("%w: transaction %s has no status", ErrAnswer, id)
	case decided && (outcome == nil || string(outcome.Id) != string(id[:])):
		return nil, fmt.Errorf("%w: transaction %s is decided without an outcome of its own", ErrAnswer, id)
	case decided:
		height = outcome.Height
	default:
		outcome = nil
	}
	return &Result{ID: id, Status: status, Outcome: outcome, Height: height}, nil
}

// Submit hands an encoded transaction to one node and returns at once: pending, or final where the ledger knows it
// already. The error is a [*Refused] where the node refuses it, a [*Full] where it has no room, and an [*Unreachable]
// where no node answered; [Unreachable.Sent] then tells whether one may have taken it all the same.
func (c *Client) Submit(ctx context.Context, raw []byte) (*Result, error) {
	t, err := ParseTransaction(c.network.ChainID, raw)
	if err != nil {
		return nil, err
	}
	result, _, err := c.submit(ctx, t.ID(), raw, false)
	return result, err
}

// handing is one round over the nodes with a transaction.
type handing struct {
	times int   // to how many nodes the transaction may have gone
	by    *node // the one that was asked last
}

// submit makes one round over the nodes.
func (c *Client) submit(ctx context.Context, id tx.ID, raw []byte, wait bool) (result *Result, h handing, err error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.config.Timeout)
		defer cancel()
	}
	var resp *ledgerv1.SubmitResponse
	err = c.pool.try(ctx, func(ctx context.Context, n *node) (err error) {
		h.times++
		h.by = n
		// Where reads are for members, a member learns why it is refused.
		resp, err = ledgerv1.NewLedgerServiceClient(n.conn).Submit(ctx, &ledgerv1.SubmitRequest{Tx: raw, Wait: wait}, n.asReader...)
		if notReady(err) {
			h.times-- // this one has not taken it
		}
		return err
	})
	if err != nil {
		return nil, h, fromStatus(err)
	}
	c.pool.note(resp)
	if string(resp.Id) != string(id[:]) {
		return nil, h, fmt.Errorf("%w: sent transaction %s, the node calls it %x", ErrAnswer, id, resp.Id)
	}
	result, err = newResult(id, resp.Status, resp.Outcome, 0)
	return result, h, err
}

// SubmitAndWait submits an encoded transaction and returns when its status is final. When nodes die before, during or
// after the call, or are full, it sends the same bytes again, to the next node if need be, for as long as ctx lives: the
// ledger applies them once. When ctx ends first, the error is an [*Undecided].
//
// A [*Refused] is returned only if no node can have taken the transaction; otherwise its expiry settles it. A client that verifies
// returns a rejection with its proof. That a transaction has expired takes the word of more than a third of the nodes, two at least,
// or of all that can be reached where those are fewer. Until then it is undecided: signing it again could pay twice.
func (c *Client) SubmitAndWait(ctx context.Context, raw []byte) (*Result, error) {
	t, err := ParseTransaction(c.network.ChainID, raw)
	if err != nil {
		return nil, err
	}
	return c.submitAndWait(ctx, t, raw, 0)
}

// submitAndWait is SubmitAndWait of a transaction that was handed over so often already.
func (c *Client) submitAndWait(ctx context.Context, t *Transaction, raw []byte, handed int) (*Result, error) {
	id, wait := t.ID(), pause{}
	asked := waitingFor(id, t.ExpiresAt())
	for {
		result, h, err := c.submit(ctx, id, raw, true)
		handed += h.times
		var refused *Refused
		var full *Full
		switch {
		case err == nil && result.Final():
			if result, err = c.confirm(ctx, result, h.by, ledgerv1.LedgerService_Submit_FullMethodName, asked); err == nil {
				return result, nil
			}
			c.pool.advance()
		case err == nil: // pending, and the node has no room for another one who waits
		case errors.As(err, &refused):
			earlier := handed > 1
			expired := refused.Code == ledgerv1.Code_CODE_EXPIRED
			switch {
			case refused.Code == ledgerv1.Code_CODE_DUPLICATE, expired && (earlier || !c.believes()):
				result, err := c.WaitTransaction(ctx, id, t.ExpiresAt())
				if err == nil && !earlier && expired && result.Status == ledgerv1.TxStatus_TX_STATUS_EXPIRED {
					return nil, refused
				}
				if denied := new(Denied); errors.As(err, &denied) {
					err = &Undecided{ID: id, ExpiresAt: t.ExpiresAt(), Err: err}
				}
				return result, err
			case !earlier || refusedEverywhere(refused.Code):
				return nil, refused
			}
			// Who took it may have gone with it, and who refuses it may be behind: another one may still take it.
			if result, err := c.Transaction(ctx, id, t.ExpiresAt()); err == nil && result.Final() {
				return result, nil
			}
			c.pool.advance()
		case errors.As(err, &full):
			handed-- // this one was not taken
			if ctx.Err() == nil && wait.sleep(ctx, min(full.RetryAfter, longestRetry)) {
				c.pool.advance()
				continue
			}
		case !errors.Is(err, ErrUnreachable) && !retryable(err):
			if handed > 1 {
				return nil, &Undecided{ID: id, ExpiresAt: t.ExpiresAt(), Err: err}
			}
			return nil, err
		}
		if ctx.Err() != nil || !wait.next(ctx) {
			if handed == 0 {
				return nil, ended(ctx, err)
			}
			return nil, &Undecided{ID: id, ExpiresAt: t.ExpiresAt(), Err: ended(ctx, err)}
		}
	}
}

// refusedEverywhere reports whether a code depends on nothing but the bytes, so that no node, earlier or later, can have
// come to another verdict.
func refusedEverywhere(code ledgerv1.Code) bool {
	switch code {
	case ledgerv1.Code_CODE_MALFORMED, ledgerv1.Code_CODE_UNKNOWN_FIELD, ledgerv1.Code_CODE_REPEATED_FIELD,
		ledgerv1.Code_CODE_WRONG_CHAIN, ledgerv1.Code_CODE_SURPLUS_SIGNATURE, ledgerv1.Code_CODE_WRONG_SIGNATURE,
		ledgerv1.Code_CODE_HIGH_S, ledgerv1.Code_CODE_UNKNOWN_OPERATION, ledgerv1.Code_CODE_BAD_NAME,
		ledgerv1.Code_CODE_BAD_FIELD, ledgerv1.Code_CODE_BAD_AMOUNT:
		return true
	default:
		return false
	}
}

// retryable reports whether a failure of a node may pass.
func retryable(err error) bool {
	switch status.Code(err) {
	case codes.Aborted, codes.Internal, codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	default:
		return false
	}
}

// Transaction returns what is known of a transaction now. Nodes know different pending transactions, so when the first
// one does not know it the others are asked. Past expiresAt, what is in no block has expired; a zero expiresAt leaves
// that unknown. That a transaction is in a block, and what became of it there, is proven. That it is in none is the word of one
// node; but that it has expired is believed as in [Client.SubmitAndWait], and unknown otherwise.
func (c *Client) Transaction(ctx context.Context, id tx.ID, expiresAt time.Time) (*Result, error) {
	var best *Result
	var failure error
	const method = ledgerv1.LedgerService_GetTransaction_FullMethodName
	for range c.pool.nodes {
		resp := new(ledgerv1.GetTransactionResponse)
		by, err := c.pool.call(ctx, method, &ledgerv1.GetTransactionRequest{Id: id[:], ExpiresAt: timestamp(expiresAt)}, resp, nil)
		if err != nil {
			failure = err
			break
		}
		result, err := newResult(id, resp.Status, resp.Outcome, resp.Height)
		if err != nil {
			return nil, err
		}
		result.Proven = result.Outcome != nil && !c.config.Unverified
		if confirmed, err := c.confirm(ctx, result, by, method, waitingFor(id, expiresAt)); err == nil {
			result = confirmed
		} else {
			result.Status = ledgerv1.TxStatus_TX_STATUS_UNKNOWN
		}
		if best == nil || result.Status != ledgerv1.TxStatus_TX_STATUS_UNKNOWN {
			best = result
		}
		if best.Status != ledgerv1.TxStatus_TX_STATUS_UNKNOWN {
			return best, nil
		}
		c.pool.advance()
	}
	if best == nil {
		return nil, failure
	}
	return best, nil
}

// WaitTransaction returns when the status of a transaction is final. It asks again, the next node if need be, for as long
// as ctx lives; when ctx ends first, the error is an [*Undecided]. Without expiresAt a transaction that was never
// submitted is waited for until ctx ends. Rejected and expired are believed as in [Client.SubmitAndWait].
func (c *Client) WaitTransaction(ctx context.Context, id tx.ID, expiresAt time.Time) (*Result, error) {
	const method = ledgerv1.LedgerService_WaitTransaction_FullMethodName
	asked := waitingFor(id, expiresAt)
	var wait pause
	for {
		resp := new(ledgerv1.WaitTransactionResponse)
		by, err := c.pool.call(ctx, method, asked, resp, nil)
		var full *Full
		switch {
		case err == nil:
			var result *Result
			if result, err = newResult(id, resp.Status, resp.Outcome, resp.Height); err != nil {
				return nil, err
			}
			if result.Final() {
				if result, err = c.confirm(ctx, result, by, method, asked); err == nil {
					return result, nil
				}
				c.pool.advance()
			}
		case errors.As(err, &full):
			if wait.sleep(ctx, min(full.RetryAfter, longestRetry)) {
				c.pool.advance()
				continue
			}
		case !errors.Is(err, ErrUnreachable) && !retryable(err):
			return nil, err
		}
		if ctx.Err() != nil || !wait.next(ctx) {
			return nil, &Undecided{ID: id, ExpiresAt: expiresAt, Err: ended(ctx, err)}
		}
	}
}

func waitingFor(id tx.ID, expiresAt time.Time) *ledgerv1.WaitTransactionRequest {
	return &ledgerv1.WaitTransactionRequest{Id: id[:], ExpiresAt: timestamp(expiresAt)}
}

func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// ended says why a wait ended: the context's error, and what was wrong last, if anything.
func ended(ctx context.Context, last error) error {
	switch {
	case last == nil:
		return ctx.Err()
	case errors.Is(last, ctx.Err()):
		return last
	default:
		return fmt.Errorf("%w: %w", ctx.Err(), last)
	}
}

// pause is the growing pause between two rounds over the nodes.
type pause struct{ last time.Duration }

func (p *pause) reset() { p.last = 0 }

// next waits longer than the time before. It returns false when ctx ended.
func (p *pause) next(ctx context.Context) bool {
	p.last = min(max(2*p.last, shortestPause), longestPause)
	return p.sleep(ctx, p.last)
}

// sleep waits for d and up to a quarter more, so that many clients do not come back at once.
func (p *pause) sleep(ctx context.Context, d time.Duration) bool {
	d = max(d, 10*time.Millisecond)
	timer := time.NewTimer(d + rand.N(d/4+1))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
