package mempool

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// block plays the state machine: it caps what an organisation may have in a block.
type block struct {
	share int64 // bytes
	used  map[string]int64
	asked map[string]int
	ids   []tx.ID
}

func newBlock(share int64) *block {
	return &block{share: share, used: map[string]int64{}, asked: map[string]int{}}
}

func (b *block) usable(t *tx.Tx) (Use, error) {
	org, size := t.PayerOrg, SizeInBlock(len(t.Raw))
	b.asked[org]++
	if b.used[org]+size > b.share {
		return KeepOrg, nil
	}
	b.used[org] += size
	b.ids = append(b.ids, t.ID)
	return Take, nil
}

// TestShareOfBlock: an organisation that has its share of a block is asked no more, keeps its order, and is owed nothing; the
// others get all the rest.
func TestShareOfBlock(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	const room, share = 100_000, 30_000
	fill(p, random, "acme", 5_000, 200)
	fill(p, random, "globex", 5_000, 200)
	fill(p, random, "initech", 20, 200)
	order := present(p.pending.lines["acme"].entries, 5_000)
	for height := range uint64(20) {
		b := newBlock(share)
		p.Reap(room, time.Now(), b.usable)
		for _, org := range []string{"acme", "globex"} {
			if taken := b.used[org]; taken > share || taken < share-1000 {
				t.Errorf("block %d: %s has %d bytes, its share is %d", height, org, taken, share)
			}
			if extra := b.asked[org] - int(b.used[org]/SizeInBlock(200)); extra != 1 {
				t.Errorf("block %d: %d of %s were judged in vain", height, extra, org)
			}
			if credit := p.pending.lines[org].credit; credit != 0 {
				t.Errorf("block %d: %s is owed %d", height, org, credit)
			}
		}
		n := int(b.used["acme"] / SizeInBlock(200))
		taken := map[tx.ID]bool{}
		for _, id := range b.ids {
			taken[id] = true
		}
		for i, e := range order[:n] {
			if !taken[e.tx.ID] {
				t.Fatalf("block %d: number %d of acme was passed by", height, i)
			}
		}
		order = order[n:]
		p.Commit(height, time.Now(), b.ids, true)
	}
	if n := p.Stats().OrgBlocksFull; n != 40 {
		t.Errorf("counted %d full shares", n)
	}
}

// TestShareTooSmall: what is larger than its organisation's share does not hold up what is behind it.
func TestShareTooSmall(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	fill(p, random, "acme", 1, 50_000)
	fill(p, random, "acme", 5, 200)
	for height := range uint64(3) {
		b := newBlock(30_000)
		if n := len(p.Reap(100_000, time.Now(), b.usable)); n != 5 {
			t.Errorf("block %d has %d", height, n)
		}
	}
}

// TestLargeOnesGetTheirShare: an organisation whose transactions take most of its share is not kept out by losing what it
// was owed.
func TestLargeOnesGetTheirShare(t *testing.T) {
	t.Parallel()
	p, err := NewPool(newLedger().config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(7, 8))
	const room, share = 100_000, 40_000
	fill(p, random, "large", 40, 25_000) // one fits in a share
	for _, org := range []string{"b", "c", "d", "e"} {
		fill(p, random, org, 10_000, 200)
	}
	got := map[string]int64{}
	for height := range uint64(40) {
		b := newBlock(share)
		p.Reap(room, time.Now(), b.usable)
		for org, n := range b.used {
			got[org] += n
		}
		p.Commit(height, time.Now(), b.ids, true)
	}
	for org, n := range got {
		if n < 7*room || n > 9*room {
			t.Errorf("%s got %d of 40 blocks", org, n/room)
		}
	}
}

// TestFloodOfBlocks: while one organisation offers a hundred times what a block holds, and others half of that, a
// transaction that another one offers at any moment is in the block that is filled next.
func TestFloodOfBlocks(t *testing.T) {
	t.Parallel()
	const room = 20_000
	for _, floods := range [][]string{{"acme"}, {"acme", "globex", "initech"}} {
		seed := rand.Uint64()
		random := rand.New(rand.NewPCG(seed, 1))
		p, err := NewPool(newLedger().config(t, Config{}))
		if err != nil {
			t.Fatal(err)
		}
		// Now and then the state machine refuses, drops, or caps.
		moody := func(b *block) func(*tx.Tx) (Use, error) {
			return func(t *tx.Tx) (Use, error) {
				if t.PayerOrg != "quiet" {
					switch random.IntN(50) {
					case 0:
						return Keep, nil
					case 1:
						return Drop, nil
					case 2:
						return KeepOrg, nil
					}
				}
				return b.usable(t)
			}
		}
		for height := range uint64(200) {
			for i, org := range floods {
				want := int64(100 * room / (i + 1))
				for p.pending.lines[org] == nil || p.pending.lines[org].bytes < want {
					fill(p, random, org, 1, 150+random.IntN(2000))
				}
			}
			for range random.IntN(3) { // blocks that are not decided, or without the quiet one
				b := newBlock(room)
				p.Reap(room, time.Now(), moody(b))
				if random.IntN(2) == 0 {
					p.Commit(height, time.Now(), b.ids, true)
				}
			}
			fill(p, random, "quiet", 1, 150+random.IntN(2000))
			b := newBlock(room)
			p.Reap(room, time.Now(), moody(b))
			if b.used["quiet"] == 0 {
				t.Fatalf("seed %d, block %d of %v: without the quiet one", seed, height, b.used)
			}
			p.Commit(height, time.Now(), b.ids, true)
		}
	}
}
