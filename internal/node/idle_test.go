package node_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// clock is a clock that tests can set forward. It begins a month ago, because the engine refuses blocks from the future of
// the real one.
type clock struct{ ahead atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ahead.Store(int64(-30 * 24 * time.Hour))
	return c
}

func (c *clock) now() time.Time          { return time.Now().Add(time.Duration(c.ahead.Load())) }
func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// TestIdle lets a network idle for an hour and for a week of simulated time: it makes no block by itself, and the first
// transaction afterwards commits at once, although the newest block is that old.
func TestIdle(t *testing.T) {
	t.Parallel()
	c := newClock()
	n := newNetwork(t, c.now, nil)
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	for _, idle := range []time.Duration{time.Hour, 7 * 24 * time.Hour} {
		before := n.sameState(3)
		c.forward(idle)
		// Reads do not make blocks, nor does the pool when it notices that time has passed.
		for _, m := range n.nodes {
			m.waitReady()
		}
		if after := n.nodes[0].status(t).Height; after != before {
			t.Errorf("idle for %v, the network made blocks %d to %d", idle, before+1, after)
		}
		outcome := n.must(n.nodes[1], transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
		// One is empty because the newest block is old; on a busy machine another proposer or two may not have heard of it in time.
		if made := outcome.Height - before; made > 4 {
			t.Errorf("after %v the transaction took %d blocks, want three empty ones at most and its own", idle, made)
		}
	}
}

// TestExpiry follows a transaction that no block takes: pending, then expired once a block says so, on every node, and the
// network rests again.
func TestExpiry(t *testing.T) {
	t.Parallel()
	c := newClock()
	n := newNetwork(t, c.now, nil)
	n.startAll()
	before := n.sameState(2)
	// Signed and never sent: no node holds it, and a block has to settle what became of it.
	_, id, expiresAt := n.sign(time.Minute, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
	question := &ledgerv1.GetTransactionRequest{Id: id[:], ExpiresAt: timestamppb.New(expiresAt)}
	for _, m := range n.nodes {
		res, err := m.ledger().GetTransaction(t.Context(), question)
		if err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_UNKNOWN {
			t.Fatalf("%s: %v, %v", m.name, res, err)
		}
	}
	c.forward(time.Hour)
	for _, m := range n.nodes {
		eventually(t, m.name+" says that it has expired", func(ctx context.Context) error {
			res, err := m.ledger().GetTransaction(ctx, question)
			if err == nil && res.Status != ledgerv1.TxStatus_TX_STATUS_EXPIRED {
				err = errNotYet
			}
			return err
		})
	}
	after := n.sameState(before + 1)
	if after > before+2 {
		t.Errorf("settling took %d blocks, want two at most", after-before)
	}
	res, err := n.nodes[0].ledger().WaitTransaction(t.Context(), &ledgerv1.WaitTransactionRequest{Id: id[:], ExpiresAt: timestamppb.New(expiresAt)})
	if err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_EXPIRED {
		t.Errorf("waiting for what has expired: %v, %v", res, err)
	}
}
