package mempool

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

var suspended = tx.Reject(ledgerv1.Code_CODE_ORG_NOT_ACTIVE, "acme is suspended")

// ear hears what is dropped. It is safe for concurrent use.
type ear struct {
	mu    sync.Mutex
	heard map[tx.ID]error
	twice int
}

func (e *ear) dropped(id tx.ID, reason error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.heard == nil {
		e.heard = map[tx.ID]error{}
	}
	if e.heard[id] != nil {
		e.twice++
	}
	e.heard[id] = reason
}

// TestDiscardMany: an organisation loses everything it pays for at once, the others nothing, and everybody who waits hears
// of each.
func TestDiscardMany(t *testing.T) {
	t.Parallel()
	var e ear
	cfg := newLedger().config(t, Config{})
	cfg.Dropped = e.dropped
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	fill(p, random, "acme", 3*discardMost+7, 200)
	fill(p, random, "globex", 10, 200)
	p.Discard("acme", suspended)
	p.Discard("initech", suspended)
	if len(e.heard) != 3*discardMost+7 || e.twice != 0 {
		t.Errorf("heard of %d, of %d twice", len(e.heard), e.twice)
	}
	for _, reason := range e.heard {
		if reason != suspended {
			t.Fatalf("the reason is %v", reason)
		}
	}
	if s := p.Stats(); s.Txs != 10 || s.Orgs != 1 || s.Dropped != 3*discardMost+7 || s.Discarded != s.Dropped {
		t.Errorf("%+v", s)
	}
	for _, raw := range p.Reap(1<<20, time.Now(), take) {
		if len(raw) != 200 {
			t.Error("not one of globex")
		}
	}
}

// TestDiscardArrivals: what waits for verification is answered, and what is being judged by the state before does not become
// pending. Afterwards the same bytes are as good as any.
func TestDiscardArrivals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := newLedger().config(t, Config{BatchTxs: 2})
		judging, judge := make(chan struct{}, 100), make(chan struct{})
		authorize := cfg.Authorize
		cfg.Authorize = func(t *tx.Tx) error {
			judging <- struct{}{}
			<-judge
			return authorize(t)
		}
		p, stop := startPool(t, cfg)
		key := newKey(t, keys.SchemeEd25519, "k")
		expires := time.Now().Add(time.Hour)
		errs := map[string]error{} // by memo; guarded by mu
		var mu sync.Mutex
		submit := func(org, memo string) []byte {
			raw := transfer(t, org, memo, expires, key)
			if err := p.SubmitAsync(raw, func(_ *tx.Tx, err error) {
				mu.Lock()
				defer mu.Unlock()
				errs[memo] = err
			}); err != nil {
				t.Fatal(err)
			}
			return raw
		}
		raw := submit("acme", "judged")
		<-judging
		for _, memo := range []string{"a", "b", "c"} {
			submit("acme", memo)
		}
		submit("globex", "other")
		peer := &source{name: "peer"}
		p.queue.offer(peer, [][]byte{transfer(t, "acme", "offered", expires, key), transfer(t, "globex", "offered", expires, key)}, time.Now())
		p.Discard("acme", suspended)
		close(judge)
		time.Sleep(time.Second)
		synctest.Wait()
		mu.Lock()
		for memo, want := range map[string]error{"judged": suspended, "a": suspended, "b": suspended, "c": suspended, "other": nil} {
			if err, answered := errs[memo]; !answered || !errors.Is(err, want) {
				t.Errorf("%s: %v, answered %v", memo, err, answered)
			}
		}
		mu.Unlock()
		if peer.dropped.Load() != 1 || peer.accepted.Load() != 1 {
			t.Errorf("of the peer %d were dropped, %d accepted", peer.dropped.Load(), peer.accepted.Load())
		}
		if s := p.Stats(); s.Txs != 2 || s.QueuedBytes != 0 || s.Sources != 0 || s.Discarded != 4 {
			t.Errorf("%+v", s)
		}
		if _, err := p.Submit(t.Context(), raw); err != nil {
			t.Errorf("handed in again: %v", err)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestDiscardForBadReason: whoever waits gets a rejection, whatever the reason is.
func TestDiscardForBadReason(t *testing.T) {
	t.Parallel()
	var e ear
	cfg := newLedger().config(t, Config{})
	cfg.Dropped = e.dropped
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	fill(p, rand.New(rand.NewPCG(1, 1)), "acme", 1, 200)
	p.Discard("acme", nil)
	for _, reason := range e.heard {
		if code, _ := tx.CodeOf(reason); code != ledgerv1.Code_CODE_ORG_NOT_ACTIVE {
			t.Errorf("the reason is %v", reason)
		}
	}
	if len(e.heard) != 1 {
		t.Errorf("heard of %d", len(e.heard))
	}
}

// TestRecheckAll: without any block everything is authorised again, in slices between which time passes, also what was
// judged by an earlier state and inserted later.
func TestRecheckAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		var e ear
		cfg := l.config(t, Config{})
		cfg.Dropped = e.dropped
		judging, judge := make(chan struct{}), make(chan struct{})
		var judged atomic.Bool
		authorize := cfg.Authorize
		cfg.Authorize = func(t *tx.Tx) error {
			err := authorize(t)
			if t.Body != nil && t.Body.Memo == "late" && !judged.Swap(true) {
				judging <- struct{}{}
				<-judge
			}
			return err
		}
		p, err := NewPool(cfg)
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 1))
		payer := func(org string, n int) {
			fill(p, random, org, n, 200)
			for _, e := range p.pending.lines[org].entries {
				e.tx.Payer = org + "/alice"
			}
		}
		payer("globex", 2*recheckMost)
		payer("acme", recheckMost+1)
		p.drain.add(100_000, time.Second) // clients may have as much pending
		stop := run(t, p.Run)
		late := transfer(t, "acme", "late", time.Now().Add(time.Hour), newKey(t, keys.SchemeEd25519, "k"))
		if err := p.SubmitAsync(late, func(*tx.Tx, error) {}); err != nil {
			t.Fatal(err)
		}
		<-judging
		l.set(func(l *ledger) { l.revoked["acme/alice"] = true })
		began := time.Now()
		p.Recheck()
		synctest.Wait()
		if s := p.Stats(); s.Rechecked != recheckMost {
			t.Errorf("%d were authorised again at once", s.Rechecked)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := p.Stats(); s.Txs != 2*recheckMost || s.Dropped != recheckMost+1 || s.Rechecked != 3*recheckMost+1 || len(e.heard) != recheckMost+1 {
			t.Errorf("after %v: %+v", time.Since(began), s)
		}
		judge <- struct{}{} // the late one was authorised by the state before
		time.Sleep(time.Second)
		synctest.Wait()
		if s := p.Stats(); s.Txs != 2*recheckMost || s.Dropped != recheckMost+2 || p.pending.stale != 0 {
			t.Errorf("the late one is pending: %+v", s)
		}
		p.Recheck()
		p.Commit(1, time.Now(), nil, true)
		p.Recheck()
		time.Sleep(time.Second)
		synctest.Wait()
		if s := p.Stats(); p.pending.stale != 0 || s.Txs != 2*recheckMost {
			t.Errorf("%d were not authorised again: %+v", p.pending.stale, s)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestRecheckOrder: what was authorised again while a block was committed stays before what was judged after it, or the next
// recheck would miss it.
func TestRecheckOrder(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{Height: 1}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	fill(p, random, "acme", 3, 200)
	p.Commit(2, time.Now(), nil, true)
	slice, height, round := p.longestUnchecked()
	p.Commit(3, time.Now(), nil, true)
	fill(p, random, "globex", 2, 200)
	for _, e := range p.pending.lines["globex"].entries {
		p.checked([]*entry{e}, 3, round)
	}
	p.checked(slice, height, round)
	if again, _, _ := p.longestUnchecked(); len(slice) != 3 || len(again) != 3 || again[0] != slice[0] {
		t.Errorf("%d of %d would be authorised again", len(again), len(slice))
	}
}

// TestRecheckAfterAuthority: only what was authorised before a block that changed authority is authorised again, and then in slices
// with each later block, of whatever kind.
func TestRecheckAfterAuthority(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{Height: 1}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	recheck := func(want int) {
		t.Helper()
		slice, height, round := p.longestUnchecked()
		if len(slice) != want {
			t.Errorf("after block %d, %d would be authorised again, want %d", height, len(slice), want)
		}
		p.checked(slice, height, round)
	}
	fill(p, random, "acme", recheckMost+3, 200)
	p.Commit(2, time.Now(), nil, false)
	recheck(0)
	p.Commit(3, time.Now(), nil, true)
	recheck(recheckMost)
	p.Commit(4, time.Now(), nil, false)
	recheck(3)
	p.Commit(5, time.Now(), nil, false)
	recheck(0)
}

// TestInsertInOrderOfChecks: what was judged on an older state takes its place among what was judged on newer ones, or a recheck
// that ends at the first that needs none would miss it.
func TestInsertInOrderOfChecks(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{Height: 1}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	fill(p, random, "acme", 6, 200)
	entries := slices.Clone(p.pending.lines["acme"].entries)
	p.mu.Lock()
	for _, e := range entries {
		p.pending.remove(e, false)
	}
	for i, height := range []uint64{1, 3, 2, 3, 1, 2} {
		e := entries[i]
		p.pending.insert(&entry{tx: e.tx, size: e.size, expiresAt: e.expiresAt, checked: height, offerAt: e.offerAt})
	}
	p.height, p.authority = 3, 3
	p.mu.Unlock()
	if slice, _, _ := p.longestUnchecked(); len(slice) != 4 {
		t.Errorf("%d would be authorised again, want the 4 judged before block 3", len(slice))
	}
}
