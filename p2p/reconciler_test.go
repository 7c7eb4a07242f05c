package p2p

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// network is a world of nodes in memory. A dial succeeds when the address belongs to the
// wanted node, that node is up and the two admit each other.
type network struct {
	mu    sync.Mutex
	nodes map[string]*member // by id
}

type member struct {
	net      *network
	id       string
	address  netip.AddrPort
	registry *Registry
	rec      *Reconciler
	peers    map[string]bool
	down     bool
	onlyIn   bool // does not dial, as if it knew no address
	dialled  []netip.AddrPort
}

var errRefused = errors.New("connection refused")

func (m *member) Connected() []Peer {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	var out []Peer
	for id := range m.peers {
		out = append(out, Peer{ID: id})
	}
	return out
}

func (m *member) Dial(_ context.Context, id string, address netip.AddrPort) error {
	time.Sleep(10 * time.Millisecond) // a network has latency; time is the bubble's
	m.net.mu.Lock()
	m.dialled = append(m.dialled, address)
	other := m.net.nodes[id]
	ok := other != nil && !other.down && !m.down && !m.onlyIn && other.address == address
	if ok {
		if _, admitted := other.registry.Admitted(m.id); !admitted {
			ok = false
		}
	}
	if ok {
		m.peers[id], other.peers[m.id] = true, true
	}
	m.net.mu.Unlock()
	if !ok {
		return errRefused
	}
	m.rec.Wake()
	other.rec.Wake()
	return nil
}

func (m *member) Disconnect(id string) {
	m.net.mu.Lock()
	delete(m.peers, id)
	other := m.net.nodes[id]
	if other != nil {
		delete(other.peers, m.id)
	}
	m.net.mu.Unlock()
	m.rec.Wake()
	if other != nil {
		other.rec.Wake()
	}
}

func (m *member) isConnected(id string) bool {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return m.peers[id]
}

func (m *member) dials() []netip.AddrPort {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return append([]netip.AddrPort(nil), m.dialled...)
}

// world starts n nodes with ids 1..n that all list each other under names which the
// returned resolver answers.
type world struct {
	*network
	members []*member
	names   map[string]netip.Addr // guarded by network.mu
}

func (w *world) lookup(_ context.Context, _, host string) ([]netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a, ok := w.names[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	return []netip.Addr{a}, nil
}

func newWorld(t *testing.T, n int) *world {
	t.Helper()
	w := &world{network: &network{nodes: map[string]*member{}}, names: map[string]netip.Addr{}}
	var list []Member
	for i := 1; i <= n; i++ {
		m := testMember(i)
		list = append(list, m)
		ip := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
		w.names[m.Addresses[0][:len(m.Addresses[0])-len(":26656")]] = ip
		node := &member{net: w.network, id: m.ID, address: netip.AddrPortFrom(ip, 26656), peers: map[string]bool{}}
		w.members = append(w.members, node)
		w.nodes[m.ID] = node
	}
	for _, node := range w.members {
		var err error
		if node.registry, err = NewRegistry(list); err != nil {
			t.Fatal(err)
		}
		node.rec = NewReconciler(ReconcilerConfig{
			Self: node.id, Registry: node.registry, Mesh: node, LookupNetIP: w.lookup,
		})
	}
	return w
}

// run gives every reconciler a goroutine until the test ends.
func (w *world) run(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, node := range w.members {
		wg.Go(func() {
			if err := node.rec.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() { cancel(); wg.Wait() })
}

// after lets the bubble's clock run and everything settle.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestMembersFindEachOtherAndTheLowerIDDials(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.run(t)
		after(200 * time.Millisecond)
		for i, a := range w.members {
			for _, b := range w.members {
				if a != b && !a.isConnected(b.id) {
					t.Errorf("%s is not connected to %s", a.id, b.id)
				}
			}
			if got, want := len(a.dials()), 3-i; got != want {
				t.Errorf("node %d dialled %d times, want %d", i+1, got, want)
			}
		}
	})
}

func TestTheHigherIDDialsWhenTheLowerOneDoesNot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		low, high := w.members[0], w.members[1]
		// The lower one knows no address for the higher one.
		mute := testMember(2)
		mute.Addresses = nil
		if err := low.registry.Set([]Member{testMember(1), mute}); err != nil {
			t.Fatal(err)
		}
		w.run(t)
		after(time.Second)
		if low.isConnected(high.id) {
			t.Fatal("connected before the grace period was over")
		}
		after(time.Second)
		if !low.isConnected(high.id) {
			t.Fatal("not connected after the grace period")
		}
	})
}

func TestAMemberIsDialledForEverAndItsNameResolvedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		low, high := w.members[0], w.members[1]
		high.down = true
		w.run(t)
		after(48 * time.Hour)
		tries := len(low.dials())
		if least := int(48 * time.Hour / (5 * time.Second)); tries < least {
			t.Fatalf("dialled %d times in two days, want at least %d", tries, least)
		}
		// It comes back under another address, as a container does.
		w.mu.Lock()
		ip := netip.AddrFrom4([4]byte{10, 9, 9, 9})
		w.names["node2.example"], high.address, high.down = ip, netip.AddrPortFrom(ip, 26656), false
		w.mu.Unlock()
		after(5 * time.Second)
		if !low.isConnected(high.id) {
			t.Fatal("not connected within five seconds of the member's return")
		}
		if c := low.rec.Counters(); c.Dials < uint64(tries) || c.DialFailures != uint64(tries) || c.Evictions != 0 {
			t.Fatalf("counters = %+v after %d failures", c, tries)
		}
	})
}

func TestARemovedMemberIsDisconnectedAndNotDialledAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.run(t)
		after(time.Second)
		gone := w.members[2]
		for _, node := range w.members[:2] {
			if err := node.registry.Set([]Member{testMember(1), testMember(2)}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for _, node := range w.members[:2] {
			if node.isConnected(gone.id) {
				t.Errorf("%s is still connected to the removed member", node.id)
			}
			if c := node.rec.Counters(); c.Evictions > 1 {
				t.Errorf("counters = %+v", c)
			}
		}
		before := len(w.members[0].dials())
		after(time.Minute)
		if n := len(w.members[0].dials()); n != before {
			t.Errorf("dialled %d times after the removal", n-before)
		}
		if w.members[0].isConnected(gone.id) {
			t.Error("the removed member came back")
		}
		if !w.members[0].isConnected(w.members[1].id) {
			t.Error("the remaining members lost each other")
		}
	})
}

func TestAMemberThatRefusesUsIsNotDialledInATightLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		low, high := w.members[0], w.members[1]
		w.run(t)
		// The higher one hangs up on every connection at once.
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
					high.Disconnect(low.id)
				}
			}
		})
		after(time.Minute)
		close(stop)
		wg.Wait()
		if n := len(low.dials()); n > 50 {
			t.Fatalf("dialled %d times in a minute", n)
		}
	})
}

func TestALostMemberIsRedialledAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.run(t)
		after(time.Minute)
		w.members[1].Disconnect(w.members[0].id)
		after(200 * time.Millisecond)
		if !w.members[0].isConnected(w.members[1].id) {
			t.Fatal("not connected 200 ms after the loss")
		}
	})
}

func TestRunWaitsForTheDialsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.members[0].rec.Run(ctx) }()
		after(15 * time.Millisecond) // a dial takes 10 ms
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		// synctest fails the test if a goroutine of the reconciler is left.
	})
}

func TestAnEvictionNamesPeerOrgAndReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.run(t)
		after(time.Second)
		node, gone := w.members[0], testMember(3)
		begin := time.Now()
		if err := node.registry.Set([]Member{testMember(1), testMember(2)},
			Gone{Name: gone.Name, Reason: "org org3 suspended: fraud"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // no timer has to fire
		if node.isConnected(gone.ID) {
			t.Fatal("still connected after the next pass")
		}
		want := Eviction{ID: gone.ID, Name: gone.Name, Org: gone.Org, Reason: "org org3 suspended: fraud", At: begin}
		if got := node.rec.Evictions(); len(got) != 1 || got[0] != want {
			t.Errorf("Evictions = %+v, want %+v", got, want)
		}
	})
}

func TestTheNewestEvictionsAreRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		node := w.members[0]
		w.run(t)
		const strangers = maxEvictions + 20
		for i := range strangers {
			w.mu.Lock()
			node.peers[testID(100+i)] = true
			w.mu.Unlock()
			node.rec.Wake()
			synctest.Wait()
		}
		got := node.rec.Evictions()
		if len(got) != maxEvictions || got[len(got)-1].ID != testID(100+strangers-1) || got[0].Reason != "never listed" {
			t.Errorf("%d evictions, the newest %+v", len(got), got[len(got)-1])
		}
		if c := node.rec.Counters(); c.Evictions != strangers {
			t.Errorf("counted %d evictions, want %d", c.Evictions, strangers)
		}
	})
}

// rotating lists a member under a new id as well.
func rotating(i, next int) Member {
	m := testMember(i)
	m.ID, m.FormerID = testID(next), testID(i)
	return m
}

func TestANodeKeyRotationKeepsTheConnectionUntilTheNewOneStands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		stays, turns := w.members[0], w.members[1]
		w.run(t)
		after(time.Second)
		dials := len(stays.dials())
		list := []Member{testMember(1), rotating(2, 20)}
		for _, node := range w.members {
			if err := node.registry.Set(list); err != nil {
				t.Fatal(err)
			}
		}
		after(time.Minute)
		if !stays.isConnected(testID(2)) {
			t.Fatal("the connection under the former key was closed before there was another")
		}
		if n := len(stays.dials()) + len(turns.dials()); n != dials {
			t.Errorf("%d dials although everybody is connected, one of them to itself perhaps", n-dials)
		}
		// The member is now also there under its new key.
		w.mu.Lock()
		stays.peers[testID(20)] = true
		w.mu.Unlock()
		stays.rec.Wake()
		synctest.Wait()
		if stays.isConnected(testID(2)) || !stays.isConnected(testID(20)) {
			t.Error("want the connection under the new key only")
		}
		if c := stays.rec.Counters(); c.Evictions != 0 {
			t.Errorf("counted %d evictions", c.Evictions)
		}
	})
}

func TestBothIDsAreDialled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		stays, turns := w.members[0], w.members[1]
		for _, node := range w.members {
			if err := node.registry.Set([]Member{testMember(1), rotating(2, 20)}); err != nil {
				t.Fatal(err)
			}
		}
		// The world still knows the node by its former key only, and the node does not dial by itself.
		turns.onlyIn = true
		w.run(t)
		after(time.Minute)
		if !stays.isConnected(testID(2)) {
			t.Error("not connected under the former id")
		}
		stays.Disconnect(testID(2))
		w.mu.Lock()
		delete(w.nodes, testID(2))
		w.nodes[testID(20)], turns.id = turns, testID(20)
		w.mu.Unlock()
		after(15 * time.Second)
		if !stays.isConnected(testID(20)) {
			t.Error("not connected under the present id")
		}
	})
}

func TestAMemberThatMovesIsDialledAtOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"by the lower id", "by the higher id"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				seeker, moves := w.members[0], w.members[1]
				if name == "by the higher id" {
					seeker, moves = moves, seeker
				}
				moves.down, moves.onlyIn = true, true
				w.run(t)
				after(time.Hour) // the pauses have grown
				ip := netip.AddrFrom4([4]byte{10, 9, 9, 9})
				w.mu.Lock()
				w.names["elsewhere.example"], moves.address, moves.down = ip, netip.AddrPortFrom(ip, 26656), false
				w.mu.Unlock()
				var list []Member
				for _, m := range seeker.registry.Members() {
					if m.ID == moves.id {
						m.Addresses = []string{"elsewhere.example:26656"}
					}
					list = append(list, m)
				}
				if err := seeker.registry.Set(list); err != nil {
					t.Fatal(err)
				}
				after(50 * time.Millisecond) // two dials: one may have been under way to the old address
				if !seeker.isConnected(moves.id) {
					t.Error("not connected at once")
				}
			})
		})
	}
}
