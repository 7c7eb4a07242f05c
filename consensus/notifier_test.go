package consensus

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cometbft/cometbft/mempool"
	"github.com/cometbft/cometbft/types"
)

// wishes is a pool that wants a block when told to.
type wishes struct {
	wants atomic.Bool
	wake  chan struct{}
}

func (w *wishes) WantsBlock() bool      { return w.wants.Load() }
func (w *wishes) Wake() <-chan struct{} { return w.wake }

// run gives the notifier its goroutine for the time of the test.
func runNotifier(t *testing.T, wants bool) (*wishes, *notifier) {
	pool := &wishes{wake: make(chan struct{}, 1)}
	pool.wants.Store(wants)
	n := newNotifier(pool)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); n.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	synctest.Wait()
	return pool, n
}

func (w *wishes) ask() {
	w.wants.Store(true)
	w.wake <- struct{}{}
	synctest.Wait()
}

// token says whether consensus would be told of a wish now.
func token(n *notifier) bool {
	select {
	case <-n.TxsAvailable():
		return true
	default:
		return false
	}
}

func commit(t *testing.T, n *notifier) {
	t.Helper()
	if err := n.Update(1, nil, nil, nil, nil); err != nil {
		t.Fatal(err)
	}
}

func TestNotifier(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T){
		"a pool that wants nothing gives no token, not even after a commit": func(t *testing.T) {
			_, n := runNotifier(t, false)
			commit(t, n)
			if token(n) {
				t.Error("there is a token")
			}
		},
		"a wish from before the start gives a token": func(t *testing.T) {
			if _, n := runNotifier(t, true); !token(n) {
				t.Error("there is no token")
			}
		},
		"many wishes give one token per height": func(t *testing.T) {
			pool, n := runNotifier(t, false)
			for range 5 {
				pool.ask()
			}
			if !token(n) || token(n) {
				t.Error("there is not exactly one token")
			}
			pool.ask()
			if token(n) {
				t.Error("there is a second token at the same height")
			}
		},
		"a wish that the block did not fulfil is told again at the next height": func(t *testing.T) {
			pool, n := runNotifier(t, false)
			pool.ask()
			token(n)
			commit(t, n) // an empty block, or another one's
			if !token(n) {
				t.Error("there is no token after the commit")
			}
		},
		"a wish that the block fulfilled is not told again": func(t *testing.T) {
			pool, n := runNotifier(t, false)
			pool.ask()
			pool.wants.Store(false)
			commit(t, n)
			if token(n) {
				t.Error("there is a token for an empty pool")
			}
		},
		"a wish between a commit and its update is not lost": func(t *testing.T) {
			pool, n := runNotifier(t, false)
			pool.ask()
			token(n) // height 1 is proposed and committed ...
			pool.ask()
			if token(n) {
				t.Error("there is a second token at the same height")
			}
			commit(t, n) // ... and the engine tells us late
			if !token(n) {
				t.Error("there is no token after the update")
			}
		},
		"a wake-up without a wish gives no token": func(t *testing.T) {
			pool, n := runNotifier(t, false)
			pool.wake <- struct{}{}
			synctest.Wait()
			if token(n) {
				t.Error("there is a token")
			}
		},
		"after the end nothing is asked and nothing told": func(t *testing.T) {
			pool, n := runNotifier(t, false)
			n.end()
			pool.ask()
			commit(t, n)
			if token(n) {
				t.Error("there is a token")
			}
		},
		"transactions do not enter here": func(t *testing.T) {
			_, n := runNotifier(t, true)
			if err := n.CheckTx(types.Tx("tx"), nil, mempool.TxInfo{}); err == nil {
				t.Error("CheckTx accepts")
			}
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, f)
		})
	}
}

// The pool of evidence is told of a block before or after the notifier. Proofs that stand in the block itself ask for no other
// block either way, those that still wait do.
func TestOnlyProofsThatStillWaitAreAWish(t *testing.T) {
	t.Parallel()
	for _, poolFirst := range []bool{false, true} {
		for _, others := range []bool{false, true} {
			n := newNotifier(&wishes{wake: make(chan struct{}, 1)})
			told, waiting := int64(0), 1 // the height that the pool of evidence knows, and its proofs
			n.evidence = func(height int64) bool { return told >= height && waiting > 0 }
			if n.poke(); !token(n) {
				t.Fatal("a proof asks for no block")
			}
			take := func() {
				told, waiting = 1, 0
				if others {
					waiting = 1
				}
				n.poke()
			}
			if poolFirst {
				take()
			}
			commit(t, n)
			if !poolFirst {
				n.poke() // a message about the proof in the block
				if token(n) {
					t.Error("the proof in the block asks for another block")
				}
				take()
			}
			if got := token(n); got != others {
				t.Errorf("pool first %v, other proofs %v: token %v", poolFirst, others, got)
			}
		}
	}
}
