package mempool

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// flooded is a pool whose blocks come at a steady pace.
type flooded struct {
	*testing.T
	pool   *Pool
	random *rand.Rand
	now    time.Time
	height uint64
}

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	f := &flooded{T: t, random: rand.New(rand.NewPCG(5, 6)), now: time.Now()}
	cfg := newLedger().config(t, Config{Now: func() time.Time { return f.now }, BlockInterval: func() time.Duration { return 200 * time.Millisecond }})
	var err error
	if f.pool, err = NewPool(cfg); err != nil {
		t.Fatal(err)
	}
	return f
}

// waits makes n transactions wait for each organisation named.
func (f *flooded) waits(orgs map[string]int) {
	for org, n := range orgs {
		if l := f.pool.pending.lines[org]; l != nil {
			n -= l.txs
		}
		fill(f.pool, f.random, org, max(n, 0), 200)
	}
}

// block fills one, commits it after a time, and returns how many each organisation has in it.
func (f *flooded) block(after time.Duration) map[string]int {
	b := newBlock(1 << 40)
	f.pool.Reap(1<<40, f.now, b.usable)
	f.now = f.now.Add(after)
	f.height++
	f.pool.Commit(f.height, f.now, b.ids, false)
	got := map[string]int{}
	for org, bytes := range b.used {
		got[org] = int(bytes / SizeInBlock(200))
	}
	return got
}

// TestFloodKeepsBlocksShort: while one organisation sends all it can and others little, a block has all of the others', and of the
// first as much as fits in one and a quarter intervals.
func TestFloodKeepsBlocksShort(t *testing.T) {
	t.Parallel()
	f := newFlooded(t)
	for range 10 {
		f.waits(map[string]int{"globex": 10, "initech": 15})
		f.block(250 * time.Millisecond)
	}
	for i := range 40 {
		// A network that takes 100 ms and 0.1 ms for each transaction: 1,500 of them in 250 ms.
		f.waits(map[string]int{"acme": 10_000, "globex": 10, "initech": 15})
		n := min(max(f.pool.drain.in(250*time.Millisecond), leastShort), 1_600)
		got := f.block(100*time.Millisecond + time.Duration(n)*100*time.Microsecond)
		if got["globex"] != 10 || got["initech"] != 15 || got["acme"] != n-25 {
			t.Fatalf("block %d has %v, want %d", i, got, n)
		}
		if i == 0 && n != leastShort || i == 39 && n < 1_300 {
			t.Errorf("block %d has %d transactions", i, n)
		}
	}
	// One that sent lately is protected where it has nothing at the moment, but not for ever.
	if got := f.block(time.Second); got["acme"] > 1_600 {
		t.Errorf("the block just after the others' has %v", got)
	}
	for range 80 {
		f.waits(map[string]int{"acme": 10_000})
		f.block(300 * time.Millisecond)
	}
	f.waits(map[string]int{"acme": 10_000})
	if got := f.block(time.Second); !maps.Equal(got, map[string]int{"acme": 10_000}) {
		t.Errorf("long after the others' there is %v", got)
	}
	if len(f.pool.takings) != 1 {
		t.Errorf("remembered are %v", f.pool.takings)
	}
}

// TestEqualsFillBlocks: where several send much, or one is alone, blocks are as large as they can be, even when now and then
// somebody has nothing for one, or always sends little.
func TestEqualsFillBlocks(t *testing.T) {
	t.Parallel()
	for _, orgs := range [][]string{{"acme"}, {"acme", "globex"}, {"acme", "globex", "initech", "hooli"}, {"acme", "globex", "initech", "quiet"}} {
		f := newFlooded(t)
		for i := range 40 {
			waiting, want := map[string]int{}, map[string]int{}
			for j, org := range orgs {
				n := 700 + 300*j
				if org == "quiet" {
					n = 3
				}
				if i == 0 || len(orgs) == 1 || (i+j)%len(orgs) > 0 {
					waiting[org], want[org] = n, n
				}
			}
			f.waits(waiting)
			if got := f.block(400 * time.Millisecond); !maps.Equal(got, want) {
				t.Fatalf("block %d of %d organisations has %v, want %v", i, len(orgs), got, want)
			}
		}
	}
}
