package client

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// believes reports whether the word of one node is enough: the client believes everything, or has no other node.
func (c *Client) believes() bool { return c.config.Unverified || len(c.pool.nodes) == 1 }

// enough is how many nodes have to say what nobody can prove: more than a third, so that one of them is honest, and never one.
func (c *Client) enough() int { return max(2, len(c.pool.nodes)/3+1) }

// confirm returns what may be believed of a final result that one node has told. Whoever hears that a transaction was rejected
// or has expired signs it again, and pays twice where that was not so. A rejection is therefore proven; that something stands in
// no block cannot be, so it takes the word of more than a third of the nodes, two at least, or of all that can be reached where
// those are fewer. The error is [ErrUnconfirmed], or that of ctx: then nothing is known.
func (c *Client) confirm(ctx context.Context, told *Result, by *node, method string, asked *ledgerv1.WaitTransactionRequest) (*Result, error) {
	if c.believes() || told.Proven {
		return told, nil
	}
	var proven *Result
	var err error
	switch told.Status {
	case ledgerv1.TxStatus_TX_STATUS_REJECTED:
		err = c.pool.try(ctx, func(ctx context.Context, n *node) (err error) {
			proven, err = c.inBlock(ctx, n, told.ID)
			return err
		})
	case ledgerv1.TxStatus_TX_STATUS_EXPIRED:
		proven, err = c.expired(ctx, told, by, asked)
	default:
		return told, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s says %s of it: %w", ErrUnconfirmed, by.label(), statusWord(told.Status), fromStatus(err))
	}
	if proven.Status != told.Status {
		_ = c.pool.blame(by, method, fmt.Sprintf("that a transaction is %s, which is proven to be %s",
			statusWord(told.Status), statusWord(proven.Status)), nil)
	}
	return proven, nil
}

// statusWord is a status for people: `EXPIRED`.
func statusWord(s ledgerv1.TxStatus) string { return s.String()[len("TX_STATUS_"):] }

// inBlock asks one node for the proof of what became of a transaction. [ErrStale] says that the node knows of no block with it.
func (c *Client) inBlock(ctx context.Context, n *node, id tx.ID) (*Result, error) {
	answer := new(ledgerv1.GetTransactionResponse)
	q := c.pool.asks(ledgerv1.LedgerService_GetTransaction_FullMethodName, &ledgerv1.GetTransactionRequest{Id: id[:]})
	if err := c.pool.ask(ctx, n, q, answer, nil); err != nil {
		return nil, err
	}
	if answer.Outcome == nil {
		return nil, fmt.Errorf("%w: %s knows of no block with transaction %s", ErrStale, n.label(), id)
	}
	result, err := newResult(id, answer.Status, answer.Outcome, answer.Height)
	if err != nil {
		return nil, err
	}
	result.Proven = true
	return result, nil
}

// expired asks the other nodes whether they, too, say that a transaction has expired, until enough do. One that has it in a block
// has to prove it, and settles the matter.
func (c *Client) expired(ctx context.Context, told *Result, by *node, asked *ledgerv1.WaitTransactionRequest) (*Result, error) {
	ctx, cancel := context.WithTimeout(ctx, c.config.AttemptTimeout)
	defer cancel()
	others := slices.DeleteFunc(slices.Clone(c.pool.nodes), func(n *node) bool { return n == by })
	type word struct {
		result *Result
		err    error
	}
	words := make(chan word, len(others))
	for _, n := range others {
		go func() {
			result, err := c.askExpired(ctx, n, told.ID, asked)
			words <- word{result, err}
		}()
	}
	agree, needed := 1, c.enough()
	var contrary, silent error
	var proven *Result
	// All are waited for, so that nothing outlives the call.
	for range others {
		w := <-words
		switch {
		case w.err == nil && w.result.Proven:
			proven = w.result
		case w.err == nil:
			agree++
		case errors.As(w.err, new(*contradiction)):
			contrary = w.err
		case isUnreachable(ctx, w.err), status.Code(w.err) == codes.FailedPrecondition:
			silent = w.err // it cannot be reached, or no longer keeps the blocks that tell
		default:
			contrary = w.err
		}
		if proven != nil || agree >= needed {
			cancel()
		}
	}
	switch {
	case proven != nil:
		return proven, nil
	case agree >= needed || agree > 1 && contrary == nil:
		return told, nil
	default:
		return nil, errors.Join(contrary, silent)
	}
}

// contradiction is why a node cannot prove that a transaction is in a block, which it says.
type contradiction struct{ error }

// askExpired asks one node what became of a transaction that is said to have expired, and for the proof where it is in a block.
func (c *Client) askExpired(ctx context.Context, n *node, id tx.ID, asked *ledgerv1.WaitTransactionRequest) (*Result, error) {
	if err := n.check(ctx); err != nil {
		return nil, err
	}
	answer, err := ledgerv1.NewLedgerServiceClient(n.conn).WaitTransaction(ctx, asked, n.asReader...)
	if err != nil {
		return nil, err
	}
	switch answer.Status {
	case ledgerv1.TxStatus_TX_STATUS_EXPIRED:
		return newResult(id, answer.Status, nil, answer.Height)
	case ledgerv1.TxStatus_TX_STATUS_COMMITTED, ledgerv1.TxStatus_TX_STATUS_REJECTED:
		result, err := c.inBlock(ctx, n, id)
		if err != nil {
			err = &contradiction{err} // it does not say EXPIRED, whatever keeps it from proving what it says
		}
		return result, err
	default:
		return nil, fmt.Errorf("%w: %s says %s of transaction %s", ErrAnswer, n.label(), statusWord(answer.Status), id)
	}
}
