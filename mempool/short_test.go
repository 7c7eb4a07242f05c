package mempool

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"
)

// flooded is a pool whose blocks take a time and a little more for each transaction.
type flooded struct {
	*testing.T
	pool       *Pool
	random     *rand.Rand
	now        time.Time
	height     uint64
	fixed, per time.Duration
}

func newFlooded(t *testing.T, fixed, per time.Duration) *flooded {
	t.Helper()
	f := &flooded{T: t, random: rand.New(rand.NewPCG(5, 6)), now: time.Now(), fixed: fixed, per: per}
	var err error
	if f.pool, err = NewPool(newLedger().config(t, Config{Now: func() time.Time { return f.now }})); err != nil {
		t.Fatal(err)
	}
	return f
}

// block fills a block while n transactions wait for each organisation named, commits it, and returns how many each has in it.
func (f *flooded) block(waiting map[string]int) map[string]int {
	for org, n := range waiting {
		if l := f.pool.pending.lines[org]; l != nil {
			n -= l.txs
		}
		fill(f.pool, f.random, org, max(n, 0), 200)
	}
	b := newBlock(1 << 40)
	f.pool.Reap(1<<40, f.now, b.usable)
	f.now = f.now.Add(f.fixed + time.Duration(len(b.ids))*f.per)
	f.height++
	f.pool.Commit(f.height, f.now, b.ids, false)
	got := map[string]int{}
	for org, bytes := range b.used {
		got[org] = int(bytes / SizeInBlock(200))
	}
	return got
}

// TestFloodKeepsBlocksShort: while one organisation sends all it can and another little, a block has all of the others', and of the
// first as much as makes it a tenth longer, however long blocks take by themselves.
func TestFloodKeepsBlocksShort(t *testing.T) {
	t.Parallel()
	for _, fixed := range []time.Duration{220 * time.Millisecond, 800 * time.Millisecond, 10 * time.Second} {
		f := newFlooded(t, fixed, 10*time.Microsecond)
		quiet := map[string]int{"globex": 10, "initech": 500}
		for range 20 {
			f.block(quiet)
		}
		waiting := map[string]int{"acme": 10_000}
		maps.Copy(waiting, quiet)
		want := min(int(shortExtra*float64(fixed)/float64(f.per)), 10_000)
		for i := range 40 {
			got := f.block(waiting)
			if got["globex"] != 10 || got["initech"] != 500 {
				t.Fatalf("%v, block %d is without some of the others': %v", fixed, i, got)
			}
			// Initech sends so much that a block has to have the flood for it to be seen, and what it costs.
			if i >= 20 && got["acme"] > want*5/4 {
				t.Fatalf("%v, block %d has %v, want %d", fixed, i, got, want)
			}
			if i >= 20 && got["acme"] < want*2/3 {
				t.Errorf("%v, block %d has %v, want %d", fixed, i, got, want)
			}
		}
		// One that sent lately is protected where it has nothing at the moment, but not for ever.
		if got := f.block(nil); got["acme"] > want*5/4 {
			t.Errorf("%v, the block just after the others' has %v", fixed, got)
		}
		for range 130 {
			f.block(map[string]int{"acme": 10_000})
		}
		if got := f.block(map[string]int{"acme": 12_000}); got["acme"] != 12_000 {
			t.Errorf("%v, long after the others' there is %v", fixed, got)
		}
		if len(f.pool.takings) != 1 {
			t.Errorf("remembered are %v", f.pool.takings)
		}
	}
}

// TestStallIsNoReason: a network that stood still does not take it for the price of transactions.
func TestStallIsNoReason(t *testing.T) {
	t.Parallel()
	f := newFlooded(t, 250*time.Millisecond, 10*time.Microsecond)
	waiting := map[string]int{"acme": 10_000, "globex": 10}
	for range 40 {
		f.block(waiting)
	}
	before := f.block(waiting)["acme"]
	f.now = f.now.Add(3 * time.Second)
	for range 40 {
		f.block(waiting)
	}
	if after := f.block(waiting)["acme"]; after < before*2/3 {
		t.Errorf("%d transactions before it, %d after it", before, after)
	}
}

// TestEqualsFillBlocks: where several send much, or one is alone, blocks are as large as they can be, even when now and then
// somebody has nothing for one, or always sends little. What no block takes is no flood.
func TestEqualsFillBlocks(t *testing.T) {
	t.Parallel()
	for _, orgs := range [][]string{
		{"acme"}, {"acme", "globex"}, {"acme", "globex", "initech", "hooli"},
		{"acme", "globex", "quiet"}, {"acme", "globex", "initech", "quiet"},
	} {
		f := newFlooded(t, 250*time.Millisecond, 100*time.Microsecond)
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
			if got := f.block(waiting); !maps.Equal(got, want) {
				t.Fatalf("block %d of %v has %v, want %v", i, orgs, got, want)
			}
		}
	}
	all := takings{"acme": 3000, "globex": 2000, "quiet": 3}
	stuck := &turn{line: &line{org: "hooli"}, waiting: make([]*entry, 20_000)}
	if org := all.flooder([]*turn{stuck}); org != "" {
		t.Errorf("%s floods", org)
	}
}
