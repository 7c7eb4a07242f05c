package app

import (
	"testing"
	"time"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/statetest"
)

// TestRepeatsAreKnownAcrossRestarts commits transactions with expiries of all lengths, some of which are rejected, and offers each of
// them again at every later height, before and after restarts: none is ever ruled out before it has expired, none is admitted twice.
func TestRepeatsAreKnownAcrossRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newReplica(t, w, statetest.Config(t.TempDir()))
	type sent struct {
		raw     []byte
		id      tx.ID
		expires int64
	}
	var all []sent
	at := genesisTime
	for height := uint64(1); height <= 12; height++ {
		at = at.Add(17 * time.Second)
		var txs [][]byte
		for _, until := range []time.Duration{time.Second, 30 * time.Second, 2 * time.Minute, time.Hour} {
			op := createAsset("acme/admin", "acme/usd") // only the first can succeed
			body, err := tx.NewBody(w.genesis.ChainID, at.Add(until), w.nonces, op)
			if err != nil {
				t.Fatal(err)
			}
			raw := w.sign(body)
			txs = append(txs, raw)
			all = append(all, sent{raw, w.id(raw), at.Add(until).UnixNano()})
		}
		r.decide(height, at, txs...)
		if height%3 == 0 {
			r.restart()
		}
		next := at.Add(time.Second)
		for _, s := range all {
			if s.expires > at.UnixNano() && r.app.repeats.rulesOut(s.id, s.expires) {
				t.Errorf("height %d: a transaction that expires %v later is ruled out", height, time.Duration(s.expires-at.UnixNano()))
			}
			if committed, err := r.app.committed(s.id, s.expires); err != nil || !committed {
				t.Errorf("height %d: committed %v, %v", height, committed, err)
			}
			if r.propose(height+1, next, s.raw) {
				t.Errorf("height %d: a repeat is admitted", height)
			}
		}
		fresh := w.sign(w.body(next, createAsset("globex/admin", "globex/eur")))
		if id := w.id(fresh); !r.app.repeats.rulesOut(id, next.Add(2*time.Minute).UnixNano()) {
			t.Errorf("height %d: a new transaction is not ruled out", height)
		}
		if !r.propose(height+1, next, fresh) {
			t.Errorf("height %d: a new transaction is refused", height)
		}
	}
	// What has expired needs no memory.
	held := 0
	for _, ids := range r.app.repeats.minutes {
		held += len(ids)
	}
	alive := 0
	for _, s := range all {
		if s.expires >= at.Truncate(time.Minute).UnixNano() {
			alive++
		}
	}
	if held > alive || held == 0 {
		t.Errorf("%d ids are held, %d have not expired", held, alive)
	}
	if codes := codesOf(r.decide(13, at.Add(time.Second), all[len(all)-1].raw)); codes[0] != ledgerv1.Code_CODE_DUPLICATE {
		t.Errorf("a decided repeat comes to %v", codes)
	}
}
