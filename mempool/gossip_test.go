package mempool

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

// node is a pool and its gossip in a mesh of memory.
type node struct {
	t      *testing.T
	name   string
	pool   *Pool
	gossip *Gossip
	stop   []func() error
}

func newNode(t *testing.T, name string, cfg Config) *node {
	return newNodeWith(t, name, cfg, GossipConfig{})
}

func newNodeWith(t *testing.T, name string, cfg Config, gossip GossipConfig) *node {
	p, stop := startPool(t, newLedger().config(t, cfg))
	gossip.Pool = p
	g, err := NewGossip(gossip)
	if err != nil {
		t.Fatal(err)
	}
	return &node{t: t, name: name, pool: p, gossip: g, stop: []func() error{run(t, g.Run), stop}}
}

// deaf returns a way to send to somebody who does not care for pulses.
func deaf(send func(msg []byte) bool) func(msg []byte) bool {
	return func(msg []byte) bool { return msg[0] == kindPulse || send(msg) }
}

// link connects two nodes.
func link(a, b *node) {
	a.gossip.AddPeer(b.name, func(msg []byte) bool { return b.receive(a.name, msg) })
	b.gossip.AddPeer(a.name, func(msg []byte) bool { return a.receive(b.name, msg) })
}

func (n *node) receive(from string, msg []byte) bool {
	if len(msg) > MaxMessageBytes {
		n.t.Errorf("a message of %d bytes", len(msg))
	}
	if err := n.gossip.Receive(from, msg); err != nil {
		n.t.Errorf("%s from %s: %v", n.name, from, err)
	}
	return true
}

// end stops nodes: goroutines must not outlive a bubble.
func end(nodes ...*node) {
	for _, n := range nodes {
		for _, stop := range n.stop {
			if err := stop(); err != nil {
				n.t.Errorf("%s: %v", n.name, err)
			}
		}
	}
}

// submit hands in n transactions at once and returns their ids.
func (n *node) submit(count int, prefix string) (ids []tx.ID) {
	key := newKey(n.t, keys.SchemeEd25519, "acme")
	var group sync.WaitGroup
	for i := range count {
		raw := transfer(n.t, "acme", prefix+strconv.Itoa(i), time.Now().Add(time.Hour), key)
		ids = append(ids, decode(n.t, raw).ID)
		group.Go(func() {
			if _, err := n.pool.Submit(context.Background(), raw); err != nil {
				n.t.Error(err)
			}
		})
	}
	group.Wait()
	return ids
}

func (n *node) wantAll(ids []tx.ID) {
	n.t.Helper()
	missing := 0
	for _, id := range ids {
		if !n.pool.Pending(id) {
			missing++
		}
	}
	if missing > 0 {
		n.t.Errorf("%s misses %d of %d", n.name, missing, len(ids))
	}
}

func TestGossipFullMesh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newNode(t, "a", Config{}), newNode(t, "b", Config{}), newNode(t, "c", Config{})
		link(a, b)
		link(b, c)
		link(a, c)
		began := time.Now()
		one := a.submit(1, "one")
		synctest.Wait()
		b.wantAll(one)
		c.wantAll(one)
		if took := time.Since(began); took != 0 {
			t.Errorf("on an idle mesh a transaction took %v", took)
		}
		many := a.submit(200, "many")
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		b.wantAll(many)
		c.wantAll(many)
		if s := b.gossip.Peers()["c"]; s.Sent != 0 {
			t.Errorf("b passed on %d transactions of others", s.Sent)
		}
		if s := b.gossip.Peers()["a"]; s.Received != 201 || s.Accepted != 201 || s.Known+s.Refused+s.Dropped != 0 {
			t.Errorf("b from a: %+v", s)
		}
		end(a, b, c)
	})
}

func TestGossipLateJoiner(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, "a", Config{}), newNode(t, "b", Config{})
		ids := a.submit(30, "x")
		time.Sleep(time.Hour / 2) // nobody there to be offered anything
		link(a, b)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		b.wantAll(ids)
		// It goes, misses some, and comes back.
		a.gossip.RemovePeer("b")
		b.gossip.RemovePeer("a")
		more := a.submit(5, "y")
		synctest.Wait()
		if b.pool.Pending(more[0]) {
			t.Error("sent to a peer that has gone")
		}
		link(a, b)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		b.wantAll(more)
		end(a, b)
	})
}

// TestGossipOverflow: what finds no room is offered again until it does.
func TestGossipOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, "a", Config{}), newNode(t, "b", Config{QueueTxs: 64})
		link(a, b)
		ids := a.submit(100, "x")
		time.Sleep(time.Second)
		synctest.Wait()
		if s := b.gossip.Peers()["a"]; s.Dropped == 0 {
			t.Fatalf("nothing was dropped: %+v", s)
		}
		time.Sleep(40 * time.Minute)
		synctest.Wait()
		b.wantAll(ids)
		sent := a.gossip.Peers()["b"].Sent
		time.Sleep(10 * time.Minute) // it goes on, but seldom: 100 transactions once a minute
		synctest.Wait()
		if again := a.gossip.Peers()["b"].Sent - sent; again > 1100 {
			t.Errorf("offered %d again in ten minutes", again)
		}
		end(a, b)
	})
}

// TestGossipPartialMesh: a and c are not connected. What a's clients hand in reaches c through b.
func TestGossipPartialMesh(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newNode(t, "a", Config{}), newNode(t, "b", Config{}), newNode(t, "c", Config{})
		link(a, b)
		link(b, c)
		ids := a.submit(10, "x")
		synctest.Wait()
		b.wantAll(ids)
		time.Sleep(4 * time.Second)
		synctest.Wait()
		c.wantAll(ids)
		if s := a.gossip.Peers()["b"]; s.Received != 0 {
			t.Errorf("b offered a its own transactions: %+v", s)
		}
		end(a, b, c)
	})
}

// TestGossipSlowPeer: a connection that is congested holds up nobody else, and what gathers goes in few messages.
func TestGossipSlowPeer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b := newNode(t, "a", Config{}), newNode(t, "b", Config{})
		link(a, b)
		gate := make(chan struct{})
		var messages, txs atomic.Int64
		failures := atomic.Int64{}
		failures.Store(2)
		a.gossip.AddPeer("slow", deaf(func(msg []byte) bool {
			<-gate
			if failures.Add(-1) >= 0 {
				return false // congested for too long: it must be tried again
			}
			raws, err := decodeMessage(msg)
			if err != nil {
				t.Error(err)
			}
			messages.Add(1)
			txs.Add(int64(len(raws)))
			return true
		}))
		for i := range 10 {
			a.submit(3, strconv.Itoa(i)+"-")
			time.Sleep(50 * time.Millisecond)
		}
		synctest.Wait()
		if n := b.pool.Stats().Txs; n != 30 {
			t.Errorf("b has %d of 30", n)
		}
		close(gate)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if m := messages.Load(); txs.Load() < 30 || m > 6 {
			t.Errorf("the slow peer got %d transactions in %d messages", txs.Load(), m)
		}
		if s := a.gossip.Peers()["slow"]; s.Failed != 2 {
			t.Errorf("%+v", s)
		}
		end(a, b)
	})
}

func TestGossipReceive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, "a", Config{})
		a.gossip.AddPeer("b", func([]byte) bool { return true })
		key := newKey(t, keys.SchemeEd25519, "acme")
		good := transfer(t, "acme", "good", time.Now().Add(time.Hour), key)
		spoilt := append([]byte{}, good...)
		spoilt[len(spoilt)-1] ^= 1
		if err := a.gossip.Receive("b", encodeMessage([][]byte{spoilt, randomBytes(t, 50), good, good})); err != nil {
			t.Errorf("bad transactions are no misbehaviour: %v", err)
		}
		all := maps.Clone(malformed)
		maps.Copy(all, malformedPulses)
		for name, msg := range all {
			if err := a.gossip.Receive("b", msg); !errors.Is(err, ErrMalformedMessage) {
				t.Errorf("%s: %v", name, err)
			}
		}
		early := transfer(t, "acme", "early", time.Now().Add(time.Hour), key)
		if err := a.gossip.Receive("unknown", encodeMessage([][]byte{early})); err != nil {
			t.Errorf("a peer that is not announced yet: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := a.gossip.Peers()["b"]; s.Received != 4 || s.Accepted != 1 || s.Refused != 2 || s.Known != 1 {
			t.Errorf("%+v", s)
		}
		a.wantAll([]tx.ID{decode(t, good).ID, decode(t, early).ID})
		end(a)
	})
}

// TestGossipKeepsNoMoreThanItCounts: what is kept of a message must not hold the rest of it in memory.
func TestGossipKeepsNoMoreThanItCounts(t *testing.T) {
	t.Parallel()
	q := newQueue(Config{QueueTxs: 10, QueueBytes: 1000, BatchTxs: 10})
	msg := encodeMessage([][]byte{{1}, make([]byte, 5000)})
	raws, err := decodeMessage(msg)
	if err != nil {
		t.Fatal(err)
	}
	if dropped := q.offer(&source{}, raws, time.Now()); dropped != 1 {
		t.Fatalf("%d dropped", dropped)
	}
	msg[2] = 99
	if kept := q.take(); kept[0].raw[0] != 1 {
		t.Error("what was kept shares the memory of a message that was mostly dropped")
	}
}

// TestGossipWishes: while something is to be settled, peers are told again and again, ever more seldom, and newcomers at
// once. Then it ends.
func TestGossipWishes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newNode(t, "a", Config{BlockTime: time.Now(), Height: 1})
		began := time.Now()
		var early, late []time.Duration // when they were asked; guarded by mu
		var mu sync.Mutex
		listen := func(name string, heard *[]time.Duration, takes bool) {
			a.gossip.AddPeer(name, deaf(func(msg []byte) bool {
				if at, is, err := decodeSettle(msg); !is || err != nil || at != began.Add(slot).UnixNano() {
					t.Errorf("%s got %x", name, msg)
				}
				mu.Lock()
				defer mu.Unlock()
				*heard = append(*heard, time.Since(began))
				return takes
			}))
		}
		listen("early", &early, false)
		a.pool.Settle(began.Add(time.Second))
		time.Sleep(19 * time.Second)
		listen("late", &late, true)
		time.Sleep(3 * time.Minute)
		synctest.Wait()
		// Asked for at 10 s, after a second's grace.
		want := []time.Duration{11, 13, 17, 25, 41, 73, 133, 193}
		check := func(name string, heard, want []time.Duration) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			for i := range want {
				if len(heard) != len(want) || heard[i] != want[i]*time.Second {
					t.Fatalf("%s was asked after %v, want %d s", name, heard, want)
				}
			}
		}
		check("early", early, want)
		check("late", late, append([]time.Duration{19}, want[3:]...))
		// Two blocks settle it, and nobody is asked any more.
		a.pool.Commit(2, began, nil, true)
		a.pool.Commit(3, time.Now(), nil, true)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		check("early", early, want)
		if a.pool.WantsBlock() {
			t.Error("a block is wanted though everything is settled")
		}
		end(a)
	})
}

// TestGossipRunsAgain: a node makes its mesh anew and runs its gossip again. Nobody of the first mesh is heard of any more,
// and what is pending is offered to the second.
func TestGossipRunsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, b, c := newNode(t, "a", Config{}), newNode(t, "b", Config{}), newNode(t, "c", Config{})
		link(a, b)
		var first atomic.Int64 // messages to the first mesh
		a.gossip.AddPeer("old", func([]byte) bool { first.Add(1); return true })
		ids := a.submit(20, "x")
		time.Sleep(time.Second)
		synctest.Wait()
		b.wantAll(ids)
		if err := a.stop[0](); err != nil {
			t.Fatal(err)
		}
		if n := len(a.gossip.Peers()); n != 0 {
			t.Errorf("%d peers are left", n)
		}
		sent := first.Load()
		a.gossip.RemovePeer("b") // the first mesh says goodbye late
		ids = append(ids, a.submit(5, "between")...)
		time.Sleep(time.Hour / 2)
		synctest.Wait()
		c.gossip.AddPeer("a", func(msg []byte) bool { return a.receive("c", msg) })
		a.gossip.AddPeer("c", func(msg []byte) bool { return c.receive("a", msg) })
		a.stop = append(a.stop, run(t, a.gossip.Run))
		ids = append(ids, a.submit(5, "after")...)
		time.Sleep(20 * time.Second)
		synctest.Wait()
		c.wantAll(ids)
		if s := a.gossip.Peers(); len(s) != 1 || s["c"].RoundTrip == 0 {
			t.Errorf("the peers of the second run: %+v", s)
		}
		if n := first.Load() - sent; n != 0 {
			t.Errorf("%d messages to the first mesh", n)
		}
		a.gossip.RemovePeer("c")
		a.gossip.RemovePeer("c")
		end(a, b, c)
	})
}
