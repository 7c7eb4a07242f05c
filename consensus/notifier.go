package consensus

import (
	"context"
	"errors"
	"sync"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/types"
)

// notifier is the engine's mempool, reduced to the one thing consensus needs from it: to
// be told that a block is worth making. Transactions come from the application's
// PrepareProposal, which takes them from the pool itself.
//
// The engine waits, before the first round of every height, for a token from TxsAvailable,
// unless the last block changed the application hash. The notifier gives one token per
// height, and gives it again after every commit while the pool still wants a block.
// DESIGN.md shows that no wish is lost.
type notifier struct {
	pool Pool
	// evidence says whether proofs of misbehaviour wait for a block after a height. Set before anything runs.
	evidence func(height int64) bool
	tokens   chan struct{} // capacity 1

	mu     sync.Mutex
	given  bool  // a token was given since the last commit
	height int64 // of that commit
	ended  bool  // Run has ended: the pool must not be touched any more
}

var _ mempool.Mempool = (*notifier)(nil)

func newNotifier(pool Pool) *notifier {
	return &notifier{pool: pool, evidence: func(int64) bool { return false }, tokens: make(chan struct{}, 1)}
}

// run turns the pool's wake-ups into tokens until the context ends.
func (n *notifier) run(ctx context.Context) {
	n.poke() // what the pool wanted before we began
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.pool.Wake():
			n.poke()
		}
	}
}

// wanted says whether there is something for a block.
func (n *notifier) wanted() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.wantedLocked()
}

func (n *notifier) wantedLocked() bool {
	return !n.ended && (n.pool.WantsBlock() || n.evidence(n.height))
}

// poke gives this height's token if a block is wanted.
func (n *notifier) poke() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.giveLocked()
}

func (n *notifier) giveLocked() {
	if n.given || !n.wantedLocked() {
		return
	}
	n.given = true
	select {
	case n.tokens <- struct{}{}:
	default: // the last one was not taken yet: it serves
	}
}

// end makes the notifier deaf. An Update that the engine started in the background may
// still come.
func (n *notifier) end() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
}

// Update implements the engine's mempool: a block was committed. The engine calls it from a
// goroutine of its own, possibly while the next height is under way.
func (n *notifier) Update(height int64, _ types.Txs, _ []*abci.ExecTxResult, _ mempool.PreCheckFunc, _ mempool.PostCheckFunc) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.given, n.height = false, max(n.height, height)
	select {
	case <-n.tokens:
	default:
	}
	n.giveLocked()
	return nil
}

// TxsAvailable implements the engine's mempool.
func (n *notifier) TxsAvailable() <-chan struct{} { return n.tokens }

// EnableTxsAvailable implements the engine's mempool; tokens are always given.
func (n *notifier) EnableTxsAvailable() {}

var errNoCheckTx = errors.New("transactions are submitted through gRPC, not through the engine")

// CheckTx implements the engine's mempool and refuses.
func (n *notifier) CheckTx(types.Tx, func(*abci.ResponseCheckTx), mempool.TxInfo) error {
	return errNoCheckTx
}

// ReapMaxBytesMaxGas implements the engine's mempool: PrepareProposal chooses.
func (n *notifier) ReapMaxBytesMaxGas(int64, int64) types.Txs { return nil }

// ReapMaxTxs implements the engine's mempool.
func (n *notifier) ReapMaxTxs(int) types.Txs { return nil }

// RemoveTxByKey implements the engine's mempool; the pool forgets on commit.
func (n *notifier) RemoveTxByKey(types.TxKey) error { return nil }

// Lock implements the engine's mempool. The pool and the notifier lock for themselves; a
// lock here would stay locked when the application panics in Commit.
func (n *notifier) Lock() {}

// Unlock implements the engine's mempool.
func (n *notifier) Unlock() {}

// FlushAppConn implements the engine's mempool; nothing is buffered.
func (n *notifier) FlushAppConn() error { return nil }

// Flush implements the engine's mempool.
func (n *notifier) Flush() {}

// Size implements the engine's mempool.
func (n *notifier) Size() int { return 0 }

// SizeBytes implements the engine's mempool.
func (n *notifier) SizeBytes() int64 { return 0 }
