package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/internal/node"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/state/statetest"
	"github.com/althing-ledger/althing/testnet"
)

// writesPerPayment is more than the writes of the two blocks that one payment makes: of the application, of pruning, and
// of the engine's stores.
const writesPerPayment = 10

// TestCrashAtEveryWrite ends a node at each write that a payment makes, with the write lost and with the write done. The
// node says why it ended, replays when it comes back, and the payment is applied exactly once.
func TestCrashAtEveryWrite(t *testing.T) {
	t.Parallel()
	for _, written := range []bool{false, true} {
		t.Run(fmt.Sprintf("written=%v", written), func(t *testing.T) {
			t.Parallel()
			crashAtEveryWrite(t, written)
		})
	}
}

func crashAtEveryWrite(t *testing.T, written bool) {
	n := newNetworkOf(t, testnet.Options{Validators: 1, Name: "test"}, nil, nil)
	m := n.nodes[0]
	n.startAll()
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	fired := 0
	for write := 1; write <= writesPerPayment; write++ {
		n.sameState(3)
		m.stop()
		plan := statetest.FailWrite(write, written)
		m.hook = plan.Hook
		m.start()
		raw, _, _ := n.sign(time.Minute, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
		m.payAndRest(raw)
		if plan.Fired() {
			fired++
			<-m.done
			if m.err == nil {
				t.Errorf("write %d failed and the node says nothing", write)
			}
		}
		m.stop()
		m.hook = nil
		m.start()
		m.waitReady()
		// Sending the same bytes again is always right.
		res, err := m.ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
		if err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
			t.Fatalf("write %d: the payment is %v, %v", write, res, err)
		}
		if got, want := n.balance(m, "acme/usd", "acme/admin"), fmt.Sprint(write); got != want {
			t.Fatalf("write %d: the balance is %s after %s payments", write, got, want)
		}
	}
	if fired < 8 {
		t.Errorf("only %d writes failed", fired)
	}
	m.stop()
	examine(t, m)
}

// payAndRest submits a payment and returns when the network rests again or the node has ended.
func (m *member) payAndRest(raw []byte) {
	m.t.Helper()
	eventually(m.t, "the payment is committed and the network rests, or the node has ended", func(ctx context.Context) error {
		select {
		case <-m.done:
			return nil
		default:
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		res, err := m.ledger().Submit(ctx, &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
		if err != nil {
			return err
		}
		// One more block publishes the payment's app hash.
		status, err := m.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
		if err == nil && status.Height <= res.Outcome.Height {
			err = errNotYet
		}
		return err
	})
}

// examine checks the directory of a stopped node as `althing doctor` does.
func examine(t *testing.T, m *member) {
	t.Helper()
	h, err := home.Load(m.home)
	if err != nil {
		t.Fatal(err)
	}
	report, err := node.Examine(t.Context(), h, nil)
	if err != nil || !report.OK() {
		t.Errorf("%s: %v %v", m.name, report.Problems, err)
	}
}
