package node_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestFourValidators runs transactions through all four nodes, stops and restarts one while the others go on, and checks
// that all agree and that nothing acknowledged is missing anywhere.
func TestFourValidators(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil, nil)
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))

	var acknowledged []*ledgerv1.TxOutcome
	pay := func(rounds int, through ...*member) {
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, m := range through {
			wg.Go(func() {
				for range rounds {
					o := n.must(m, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
					mu.Lock()
					acknowledged = append(acknowledged, o)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
	}
	pay(5, n.nodes...)
	n.sameState(acknowledged[len(acknowledged)-1].Height)
	if page := n.nodes[0].metrics(); !strings.Contains(page, "althing_gossip_received_transactions_total{peer=") || !strings.Contains(page, "althing_peers 3") {
		t.Errorf("the metrics do not tell of three peers and what they offered")
	}

	last := n.nodes[3]
	last.stop()
	pay(5, n.nodes[:3]...)
	last.start()
	pay(3, n.nodes[:3]...)
	last.waitReady()
	pay(2, n.nodes...)

	n.sameState(acknowledged[len(acknowledged)-1].Height)
	want := fmt.Sprint(len(acknowledged))
	for _, m := range n.nodes {
		if got := n.balance(m, "acme/usd", "globex/treasury"); got != want {
			t.Errorf("%s: the balance is %s after %s payments", m.name, got, want)
		}
		for _, o := range acknowledged {
			res, err := m.ledger().GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{Id: o.Id})
			if err != nil {
				t.Fatal(err)
			}
			if res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED || res.Outcome.Height != o.Height || res.Outcome.Index != o.Index {
				t.Errorf("%s: transaction %x was acknowledged at %d/%d and is %v", m.name, o.Id, o.Height, o.Index, res)
			}
		}
	}
}

// TestSentManyTimes sends one transaction ten times at once to each of four nodes, and again after it was committed: it is
// applied once, and every caller gets the first outcome.
func TestSentManyTimes(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil, nil)
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	n.sameState(1)

	raw, id, _ := n.sign(time.Minute, transfer("acme/treasury", "acme/usd", "globex/treasury", "7"))
	send := func(times int) []*ledgerv1.SubmitResponse {
		answers := make([]*ledgerv1.SubmitResponse, times*len(n.nodes))
		var wg sync.WaitGroup
		for i := range answers {
			wg.Go(func() {
				var err error
				answers[i], err = n.nodes[i%len(n.nodes)].ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
				if err != nil {
					t.Errorf("copy %d: %v", i, err)
				}
			})
		}
		wg.Wait()
		return answers
	}
	answers := append(send(10), send(2)...)
	if t.Failed() {
		return
	}
	for i, a := range answers {
		if a.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED || string(a.Id) != string(id[:]) ||
			a.Outcome.Height != answers[0].Outcome.Height || a.Outcome.Index != answers[0].Outcome.Index {
			t.Errorf("copy %d got %v, the first one %v", i, a, answers[0])
		}
	}
	for _, m := range n.nodes {
		if got := n.balance(m, "acme/usd", "globex/treasury"); got != "7" {
			t.Errorf("%s: the balance is %s", m.name, got)
		}
	}
}
