package mempool

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

func TestPoolConfig(t *testing.T) {
	t.Parallel()
	_, err := NewPool(Config{MaxTxs: -1})
	if !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("an empty configuration: %v", err)
	}
	for _, name := range []string{"Verifier", "Limits", "Authorize", "Committed", "MaxTxs"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}

// TestPoolUnderLoad has clients, peers, blocks and curious readers at work at once. In the end every transaction is
// committed exactly once and the pool is empty.
func TestPoolUnderLoad(t *testing.T) {
	t.Parallel()
	const clients, each = 6, 50
	l := newLedger()
	p, _ := startPool(t, l.config(t, Config{BatchPace: time.Millisecond, BatchTxs: 32}))
	key := newKey(t, keys.SchemeEd25519, "k")
	expires := time.Now().Add(time.Hour)
	raws := make([][]byte, clients*each)
	for i := range raws {
		raws[i] = transfer(t, "org"+strconv.Itoa(i%4), strconv.Itoa(i), expires, key)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var blocks, readers sync.WaitGroup
	var submitted atomic.Bool
	times := map[tx.ID]int{} // owned by the goroutine that makes blocks
	blocks.Go(func() {
		next := time.Now()
		for height := uint64(1); !(submitted.Load() && !p.WantsBlock()) && ctx.Err() == nil; height++ {
			var ids []tx.ID
			for _, raw := range p.Reap(4000, next, take) {
				id := decode(t, raw).ID
				ids = append(ids, id)
				times[id]++
			}
			l.commit(ids...)
			p.Commit(height, next, ids, true)
			next = time.Now()
		}
	})
	readers.Go(func() {
		for !submitted.Load() {
			p.Stats()
			p.Settle(time.Now().Add(time.Minute))
			p.Ban(&tx.Tx{ID: tx.ID{1}}, nil)
			p.Pending(tx.ID{})
		}
	})
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			for i := range each {
				for _, raw := range [][]byte{raws[c*each+i], raws[(c*each+i*7)%len(raws)]} {
					if _, err := p.Submit(ctx, raw); err != nil && !errors.Is(err, ErrCommitted) {
						t.Errorf("submit: %v", err)
					}
				}
			}
		})
	}
	peer := &source{name: "peer"}
	group.Go(func() {
		for i := range raws {
			p.queue.offer(peer, raws[i:i+1], time.Now())
		}
	})
	group.Wait()
	submitted.Store(true)
	readers.Wait()
	blocks.Wait()
	for _, raw := range raws {
		if n := times[decode(t, raw).ID]; n != 1 {
			t.Errorf("a transaction stands in %d blocks", n)
		}
	}
	if s := p.Stats(); s.Txs != 0 || s.Bytes != 0 || s.Orgs != 0 || s.Committed != uint64(len(raws)) {
		t.Errorf("left over: %+v", s)
	}
}

// TestCommittedWhileJudged: a block commits the transaction between the look into the index and the insertion.
func TestCommittedWhileJudged(t *testing.T) {
	t.Parallel()
	l := newLedger()
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeEd25519, "acme"))
	cfg := l.config(t, Config{})
	var p *Pool
	cfg.Authorize = func(t *tx.Tx) error {
		l.commit(t.ID)
		p.Commit(5, time.Now(), []tx.ID{t.ID}, true)
		return nil
	}
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, p.Run)
	got, err := p.Submit(t.Context(), raw)
	if !errors.Is(err, ErrCommitted) || got == nil {
		t.Errorf("submit: %v, %v", got, err)
	}
	if p.WantsBlock() || p.Stats().Txs != 0 {
		t.Error("a committed transaction is pending")
	}
}

// TestAuthorizeFails: a failure of the machine is no verdict; it ends Run and goes to the caller as it is.
func TestAuthorizeFails(t *testing.T) {
	t.Parallel()
	l := newLedger()
	broken := errors.New("disk on fire")
	l.broken = broken
	p, err := NewPool(l.config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeEd25519, "acme"))
	if _, err := p.Submit(t.Context(), raw); !errors.Is(err, broken) {
		t.Errorf("submit: %v", err)
	}
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("Run: %v", err)
	}
	if _, err := p.Submit(t.Context(), raw); !errors.Is(err, ErrClosed) {
		t.Errorf("submit to a pool that has ended: %v", err)
	}
	if n := p.Stats().Refused; len(n) != 0 {
		t.Errorf("a failure was counted as a verdict: %v", n)
	}
}

// TestRecheckFails: the same when the failure shows after a commit.
func TestRecheckFails(t *testing.T) {
	t.Parallel()
	l := newLedger()
	p, err := NewPool(l.config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeEd25519, "acme"))
	if _, err := p.Submit(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk on fire")
	l.set(func(l *ledger) { l.broken = broken })
	p.Commit(1, time.Now(), nil, true)
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("Run: %v", err)
	}
}

// TestCommittedFails: the same when the index of committed transactions cannot be read.
func TestCommittedFails(t *testing.T) {
	t.Parallel()
	l := newLedger()
	broken := errors.New("disk on fire")
	l.unreadable = broken
	p, err := NewPool(l.config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Run(context.Background()) }()
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeEd25519, "acme"))
	if _, err := p.Submit(t.Context(), raw); !errors.Is(err, broken) {
		t.Errorf("submit: %v", err)
	}
	if err := <-ended; !errors.Is(err, broken) {
		t.Errorf("Run: %v", err)
	}
}

// TestStrangersDisplaceNothing: transactions that are signed well, by keys that nobody lists, do not displace the verdicts
// on what is pending, which the next proposal will ask for.
func TestStrangersDisplaceNothing(t *testing.T) {
	t.Parallel()
	l := newLedger()
	l.revoked["stranger/alice"] = true
	v := newVerifier(t, VerifierConfig{CacheEntries: 32})
	p, _ := startPool(t, l.config(t, Config{Verifier: v, BatchPace: -1}))
	key, expires := newKey(t, keys.SchemeEd25519, "k"), time.Now().Add(time.Hour)
	var pending [][]byte
	for i := range 20 {
		raw := transfer(t, "acme", strconv.Itoa(i), expires, key)
		if _, err := p.Submit(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		pending = append(pending, raw)
	}
	for i := range 100 {
		_, err := p.Submit(t.Context(), transfer(t, "stranger", strconv.Itoa(i), expires, key))
		if !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_KEY_NOT_LISTED}) {
			t.Fatalf("a stranger: %v", err)
		}
	}
	before := v.Stats()
	v.Verify(pending, testLimits)
	if after := v.Stats(); after.Verified != before.Verified {
		t.Errorf("%d of %d pending transactions were verified again", after.Verified-before.Verified, len(pending))
	}
}

// TestFullPoolVerifiesNothing: what cannot find room is not worth a signature.
func TestFullPoolVerifiesNothing(t *testing.T) {
	t.Parallel()
	v := newVerifier(t, VerifierConfig{})
	p, err := NewPool(newLedger().config(t, Config{Verifier: v, MaxTxs: 3}))
	if err != nil {
		t.Fatal(err)
	}
	fill(p, rand.New(rand.NewPCG(1, 1)), "acme", 3, 100)
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeEd25519, "k"))
	peer := &source{name: "peer"}
	if err := p.admit([]arrival{{raw: raw, from: peer, at: time.Now()}}); err != nil {
		t.Fatal(err)
	}
	if n := v.Stats().Verified; n != 0 || peer.dropped.Load() != 1 {
		t.Errorf("%d were verified, %d dropped", n, peer.dropped.Load())
	}
}

// TestBan: a ban holds for the transaction, whatever encoding of it was met and whatever encoding is pending.
func TestBan(t *testing.T) {
	t.Parallel()
	l := newLedger()
	cfg := l.config(t, Config{})
	var heard []tx.ID // by the goroutine that bans
	cfg.Dropped = func(id tx.ID, _ error) { heard = append(heard, id) }
	p, _ := startPool(t, cfg)
	expires := time.Now().Add(time.Hour)
	raw := transfer(t, "acme", "poison", expires, newKey(t, keys.SchemeEd25519, "one"))
	pending := decode(t, raw)
	met := decode(t, signBody(t, pending.Body, "acme/alice", newKey(t, keys.SchemeEd25519, "two")))
	other := signBody(t, pending.Body, "acme/alice", newKey(t, keys.SchemeSchnorr, "three"))
	good := transfer(t, "acme", "good", expires, newKey(t, keys.SchemeEd25519, "one"))
	for _, raw := range [][]byte{raw, good} {
		if _, err := p.Submit(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
	}
	p.Ban(met, errors.New("panic: "+strings.Repeat("x", 10_000)))
	if len(heard) != 1 || heard[0] != pending.ID {
		t.Errorf("heard of %v", heard)
	}
	for name, raw := range map[string][]byte{"pending": raw, "met": met.Raw, "other": other} {
		_, err := p.Submit(t.Context(), raw)
		if !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_BAD_FIELD}) || len(err.Error()) > 2*maxReason {
			t.Errorf("the %s encoding: %v", name, err)
		}
	}
	if got := memos(t, p.Reap(1<<20, time.Now(), take)); got != "good" {
		t.Errorf("the block has %s", got)
	}
	if n := p.Stats().Quarantined; n != 1 {
		t.Errorf("%d are in quarantine", n)
	}
	late := []*candidate{{arrival: arrival{raw: other, from: &source{}}, tx: decode(t, other)}}
	if p.insert(late); late[0].err == nil {
		t.Error("what was banned while it was judged is pending")
	}
}

// TestQueueFull: a worker that hangs lets the queue fill up. One source cannot take all of a lane, nor one organisation all
// that its source may have; peers and clients do not concern one another.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	l := newLedger()
	cfg := l.config(t, Config{QueueTxs: 100})
	hang, hanging := make(chan struct{}), make(chan struct{}, 1000)
	cfg.Authorize = func(*tx.Tx) error {
		hanging <- struct{}{}
		<-hang
		return nil
	}
	p, stop := startPool(t, cfg)
	key := newKey(t, keys.SchemeEd25519, "k")
	made := 0
	raw := func(org string) []byte {
		made++
		return transfer(t, org, strconv.Itoa(made), time.Now().Add(time.Hour), key)
	}
	var answers atomic.Int64
	reply := func(_ *tx.Tx, err error) {
		if err == nil || errors.Is(err, ErrClosed) {
			answers.Add(1)
		}
	}
	if err := p.From("flood").SubmitAsync(raw("acme"), reply); err != nil {
		t.Fatal(err)
	}
	<-hanging
	taken := int64(1) // what is being verified counts
	for _, step := range []struct {
		source, org string
		want        int // besides
	}{
		{"flood", "acme", 33}, {"flood", "globex", 11}, {"flood", "acme", 0}, {"flood", "initech", 4},
		{"quiet", "acme", 17}, {"third", "acme", 12}, {"flood", "umbrella", 0}, {"fourth", "acme", 8},
	} {
		n := 0
		for ; ; n++ {
			err := p.From(step.source).SubmitAsync(raw(step.org), reply)
			if err == nil {
				continue
			}
			var full *FullError
			if !errors.As(err, &full) || full.RetryAfter < minRetry || full.RetryAfter > maxRetry {
				t.Errorf("%s: %v", step.source, err)
			}
			break
		}
		if taken += int64(n); n != step.want {
			t.Errorf("%d of %s found room for %s, want %d", n, step.org, step.source, step.want)
		}
	}
	var offers [][]byte
	for range 100 {
		offers = append(offers, raw("acme"))
	}
	for i, want := range []int{66, 78, 85, 90, 93} {
		if dropped := p.queue.offer(&source{name: fmt.Sprint(i)}, offers, time.Now()); dropped != want {
			t.Errorf("peer %d: %d dropped, want %d", i, dropped, want)
		}
	}
	if s := p.Stats(); s.Full != 8 || s.QueuedFromClients != int(taken) || s.Sources != 9 {
		t.Errorf("%+v, %d were taken", s, taken)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Submit(ctx, raw("acme")); err == nil {
		t.Error("submit with a context that has ended")
	}
	go func() { close(hang) }()
	if err := stop(); err != nil {
		t.Errorf("Run: %v", err)
	}
	if n := answers.Load(); n != taken {
		t.Errorf("%d of %d were answered", n, taken)
	}
}

// TestPace: what is handed in on an idle node is judged at once, what follows is gathered.
func TestPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLedger()
		p, stop := startPool(t, l.config(t, Config{BatchTxs: 64}))
		key := newKey(t, keys.SchemeEd25519, "acme")
		began := time.Now()
		expires := began.Add(time.Hour)
		if _, err := p.Submit(t.Context(), transfer(t, "acme", "first", expires, key)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("the first one waited %v", took)
		}
		var group sync.WaitGroup
		for i := range 40 {
			raw := transfer(t, "acme", strconv.Itoa(i), expires, key)
			group.Go(func() {
				if _, err := p.Submit(t.Context(), raw); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if took := time.Since(began); took != 20*time.Millisecond {
			t.Errorf("the others were judged after %v", took)
		}
		if n := p.Stats().Verifier.Batches; n != 2 {
			t.Errorf("%d batches, want 2", n)
		}
		for i := range 64 { // a whole batch does not wait
			if err := p.SubmitAsync(transfer(t, "acme", "x"+strconv.Itoa(i), expires, key), func(*tx.Tx, error) {}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := p.Stats().Txs; n != 105 || time.Since(began) != 20*time.Millisecond {
			t.Errorf("%d pending after %v", n, time.Since(began))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestSpoiltCopyFirst: whoever spoils a copy of a transaction cannot keep the good one out.
func TestSpoiltCopyFirst(t *testing.T) {
	t.Parallel()
	l := newLedger()
	p, _ := startPool(t, l.config(t, Config{}))
	raw := transfer(t, "acme", "a", time.Now().Add(time.Hour), newKey(t, keys.SchemeEd25519, "acme"))
	spoilt := append([]byte{}, raw...)
	spoilt[len(spoilt)-1] ^= 1
	if _, err := p.Submit(t.Context(), spoilt); !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_WRONG_SIGNATURE}) {
		t.Fatalf("spoilt: %v", err)
	}
	p.Ban(&tx.Tx{Hash: sha256.Sum256(spoilt)}, nil)
	if _, err := p.Submit(t.Context(), spoilt); !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_BAD_FIELD}) {
		t.Fatalf("in quarantine: %v", err)
	}
	if _, err := p.Submit(t.Context(), raw); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	if err := p.SubmitAsync(make([]byte, MaxTxBytes+1), nil); !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_TOO_LARGE}) {
		t.Fatalf("larger than possible: %v", err)
	}
}

// fill inserts transactions of the given sizes without verifying anything.
func fill(p *Pool, random *rand.Rand, org string, n, size int) {
	for range n {
		t := &tx.Tx{Raw: make([]byte, size), PayerOrg: org, ExpiresAt: time.Now().Add(time.Hour).UnixNano()}
		for i := range 32 {
			t.ID[i], t.Hash[i] = byte(random.Uint32()), byte(random.Uint32())
		}
		p.pending.insert(&entry{tx: t, size: SizeInBlock(size), expiresAt: t.ExpiresAt})
	}
}

// TestLargeOnesAreNotStarved: an organisation with small transactions without end does not keep out one whose
// transactions fill a block, and neither gets more than its share in the long run.
func TestLargeOnesAreNotStarved(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(3, 4))
	const room = 100_000
	fill(p, random, "large", 30, room-10)
	fill(p, random, "middle", 200, 9_000)
	fill(p, random, "small", 20_000, 200)
	got := map[string]int64{}
	for height := range uint64(30) {
		var ids []tx.ID
		var total int64
		p.Reap(room, time.Now(), func(t *tx.Tx) (Use, error) {
			ids = append(ids, t.ID)
			total += SizeInBlock(len(t.Raw))
			got[t.PayerOrg] += SizeInBlock(len(t.Raw))
			return Take, nil
		})
		if total > room || total < room-10_000 {
			t.Errorf("a block of %d bytes, with room for %d", total, room)
		}
		p.Commit(height, time.Now(), ids, true)
	}
	for _, org := range []string{"large", "middle", "small"} {
		if bytes := got[org]; bytes < 8*room || bytes > 12*room {
			t.Errorf("%s got %d of 30 blocks", org, bytes/room)
		}
	}
}

// TestReapPassesBy: transactions that are only kept do not stand in the way of others for ever.
func TestReapPassesBy(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	fill(p, random, "acme", 3*maxPassed, 200)
	fill(p, random, "acme", 5, 300)
	fill(p, random, "globex", 1, 5_000)
	asked := 0
	onlyLong := func(t *tx.Tx) (Use, error) {
		if asked++; len(t.Raw) == 300 {
			return Take, nil
		}
		return Keep, nil
	}
	taken, blocks := 0, 0
	for ; taken == 0 && blocks < 10; blocks++ {
		asked = 0
		taken = len(p.Reap(4_000, time.Now(), onlyLong))
		if asked > maxPassed+10 {
			t.Errorf("%d candidates were judged for one block", asked)
		}
	}
	if taken != 5 || blocks != 4 {
		t.Errorf("%d taken after %d blocks", taken, blocks)
	}
}

func TestSizeInBlock(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]int64{0: 2, 1: 3, 127: 129, 128: 131, 16383: 16386, 16384: 16388, MaxTxBytes: MaxTxBytes + 5} {
		if got := SizeInBlock(n); got != want {
			t.Errorf("%d bytes take %d, want %d", n, got, want)
		}
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	var m meter
	if m.in(time.Second) != 0 || m.until(5) != time.Second {
		t.Errorf("without a measurement: %d, %v", m.in(time.Second), m.until(5))
	}
	m.add(100, time.Second)
	if n := m.in(2 * time.Second); n != 200 {
		t.Errorf("in 2s: %d", n)
	}
	for n, want := range map[int]time.Duration{1: minRetry, 200: 2 * time.Second, 10_000: maxRetry} {
		if got := m.until(n); got != want {
			t.Errorf("until %d: %v, want %v", n, got, want)
		}
	}
}
