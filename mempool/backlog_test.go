package mempool

import (
	"errors"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

// TestBacklog: what may be pending follows what blocks take, in time or in blocks, between its bounds.
func TestBacklog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		each     int
		interval time.Duration
		most     int // Config.MaxTxs
		want     int
	}{
		"nothing measured":      {want: minBacklog},
		"slow":                  {each: 10, interval: time.Second, want: minBacklog},
		"fast":                  {each: 2000, interval: 250 * time.Millisecond, want: 12_000},
		"rare blocks":           {each: 20_000, interval: 5 * time.Second, want: 40_000},
		"more than is possible": {each: 20_000, interval: time.Second, most: 30_000, want: 30_000},
		"a small pool":          {each: 10, interval: time.Second, most: 100, want: 100},
	} {
		p, err := NewPool(newLedger().config(t, Config{MaxTxs: c.most}))
		if err != nil {
			t.Fatal(err)
		}
		if c.each > 0 {
			for range 50 {
				p.drain.add(c.each, c.interval)
			}
		}
		if got := p.backlogLocked(); got < c.want-1 || got > c.want {
			t.Errorf("%s: %d may be pending, want %d", name, got, c.want)
		}
	}
}

// TestTurnedAway: clients are told to come back before anything is verified, an organisation when it has as much as is free, and
// have room again when a block has made some. Peers are not turned away.
func TestTurnedAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPool(newLedger().config(t, Config{}))
		if err != nil {
			t.Fatal(err)
		}
		stop := run(t, p.Run)
		defer stop()
		key := newKey(t, keys.SchemeEd25519, "k")
		submit := func(org, name string) error {
			_, err := p.Submit(t.Context(), transfer(t, org, name, time.Now().Add(time.Hour), key))
			return err
		}
		refused := func(org, name string) {
			t.Helper()
			verified := p.Stats().Verifier.Signatures
			var full *FullError
			if err := submit(org, name); !errors.As(err, &full) || full.What != "the share of "+org {
				t.Errorf("%s: %v, want that its share is full", org, err)
			}
			if p.Stats().Verifier.Signatures != verified {
				t.Error("it was verified all the same")
			}
		}
		random := rand.New(rand.NewPCG(1, 1))
		more := func(org string, n int) {
			p.mu.Lock()
			defer p.mu.Unlock()
			fill(p, random, org, n, 200)
		}
		more("acme", minBacklog/2)
		refused("acme", "a")
		if err := submit("globex", "a"); err != nil {
			t.Errorf("another organisation: %v", err)
		}
		more("globex", minBacklog/2-1)
		refused("globex", "b")
		if err := submit("initech", "a"); err != nil {
			t.Errorf("one that has nothing, beyond the backlog: %v", err)
		}
		more("initech", minBacklog/4-1)
		refused("initech", "b")

		from := &source{name: "n2"}
		p.queue.offer(from, [][]byte{transfer(t, "initech", "of a peer", time.Now().Add(time.Hour), key)}, time.Now())
		time.Sleep(time.Second) // virtual: longer than the pace of batches
		synctest.Wait()
		if got := from.accepted.Load(); got != 1 {
			t.Errorf("%d of a peer's transactions were accepted", got)
		}

		var ids []tx.ID
		p.mu.Lock()
		for _, e := range p.pending.lines["acme"].entries {
			ids = append(ids, e.tx.ID)
		}
		p.mu.Unlock()
		p.Commit(1, time.Now(), ids, false)
		if err := submit("acme", "a"); err != nil {
			t.Errorf("after a block: %v", err)
		}
	})
}

// TestReturnsAreSpread: those who are turned away come back one after another, no faster than blocks take what they hand in, and none
// later than the bound.
func TestReturnsAreSpread(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p, err := NewPool(newLedger().config(t, Config{}))
		if err != nil {
			t.Fatal(err)
		}
		if first := p.returnLocked(); first != time.Second {
			t.Errorf("when nothing was measured, after %v", first)
		}
		time.Sleep(time.Minute) // virtual
		p.drain.add(4000, time.Second)
		p.ownDrain.add(1000, time.Second)
		for i := range 40_000 {
			want := min(minRetry+time.Duration(i)*time.Millisecond, longestReturn)
			if got := p.returnLocked(); got != want {
				t.Fatalf("number %d comes back after %v, want %v", i, got, want)
			}
		}
		time.Sleep(2 * longestReturn)
		if got := p.returnLocked(); got != minRetry {
			t.Errorf("after a pause it is %v", got)
		}
	})
}

// TestNobodyIsShutOut: what peers pass on is bounded by the pool alone, far above what clients may have pending. Who fills it that way
// keeps out himself, and no client of another organisation.
func TestNobodyIsShutOut(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	fill(p, random, "acme", 5*minBacklog, 200)
	for _, org := range []string{"globex", "initech"} {
		for n := 0; ; n++ {
			if _, err := p.freeLocked(org); err != nil {
				equal := minBacklog / (len(p.pending.lines) + 1)
				if n != equal {
					t.Errorf("%s had room for %d, want %d", org, n, equal)
				}
				break
			}
			fill(p, random, org, 1, 200)
		}
	}
	var full *FullError
	if _, err := p.freeLocked("acme"); !errors.As(err, &full) {
		t.Errorf("acme: %v", err)
	}
}

// TestBurst: a network that had little to do is offered more at once than may be pending. The clients come back as they are told, and
// find it neither idle nor full for long: blocks could take all within seconds.
func TestBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const clients, each, interval, tick = 10_000, 2000, 250 * time.Millisecond, 10 * time.Millisecond
		p, err := NewPool(newLedger().config(t, Config{}))
		if err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(1, 1))
		height := uint64(0)
		insert := func(org string) {
			tr := &tx.Tx{Raw: make([]byte, 200), PayerOrg: org, ExpiresAt: time.Now().Add(time.Hour).UnixNano()}
			for i := range 32 {
				tr.ID[i], tr.Hash[i] = byte(random.Uint32()), byte(random.Uint32())
			}
			if p.insert([]*candidate{{arrival: arrival{at: time.Now()}, tx: tr}}) == nil {
				t.Fatal("not inserted")
			}
		}
		block := func() (n int) {
			var ids []tx.ID
			p.Reap(each*203, time.Now(), func(t *tx.Tx) (Use, error) {
				ids = append(ids, t.ID)
				return Take, nil
			})
			height++
			p.Commit(height, time.Now(), ids, false)
			return len(ids)
		}
		for range 30 {
			time.Sleep(10 * time.Second) // virtual, as all time here
			insert("acme")
			time.Sleep(interval)
			block()
		}
		time.Sleep(10 * time.Second)
		began, lastBlock := time.Now(), time.Now()
		due := make([]time.Time, clients) // zero: it has come in
		for i := range due {
			due[i] = began
		}
		orgs, refusals := []string{"acme", "globex", "initech", "umbrella"}, 0
		for left := clients; left > 0; {
			now := time.Now()
			for i := range due {
				if due[i].IsZero() || due[i].After(now) {
					continue
				}
				org := orgs[i%len(orgs)]
				var full *FullError
				if _, err := p.freeLocked(org); errors.As(err, &full) {
					due[i], refusals = now.Add(full.RetryAfter), refusals+1
					continue
				}
				insert(org)
				due[i] = time.Time{}
			}
			if now.Sub(lastBlock) >= interval {
				left -= block()
				lastBlock = now
			}
			if now.Sub(began) > 10*time.Second {
				t.Fatalf("after %v %d have not been committed", now.Sub(began), left)
			}
			time.Sleep(tick)
		}
		t.Logf("%d were committed in %v, after %d refusals", clients, time.Since(began), refusals)
	})
}
