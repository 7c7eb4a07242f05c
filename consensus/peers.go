package consensus

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	cs "github.com/cometbft/cometbft/consensus"
	cmtp2p "github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/types"

	"github.com/althing-ledger/althing/p2p"
)

// roster is the set of live peers as people see it. The gossip reactor keeps it, because the
// engine tells reactors when a peer comes and goes.
type roster struct {
	registry *p2p.Registry
	door     *p2p.Door

	mu    sync.Mutex
	peers map[cmtp2p.ID]entry
}

type entry struct {
	peer   cmtp2p.Peer
	member p2p.Member // as listed when it connected
	since  time.Time
}

func newRoster(registry *p2p.Registry, door *p2p.Door) *roster {
	return &roster{registry: registry, door: door, peers: make(map[cmtp2p.ID]entry)}
}

func (r *roster) add(peer cmtp2p.Peer) {
	member, _ := r.registry.Admitted(string(peer.ID()))
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peers[peer.ID()] = entry{peer: peer, member: member, since: time.Now()}
}

// remove forgets this connection, but not a newer one of the same peer. It returns
// whether it knew the connection.
func (r *roster) remove(peer cmtp2p.Peer) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers[peer.ID()].peer != peer {
		return false
	}
	delete(r.peers, peer.ID())
	return true
}

func (r *roster) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.peers)
}

// member returns how a peer is listed, or was when it connected.
func (r *roster) member(peer cmtp2p.Peer) p2p.Member {
	if m, ok := r.registry.Admitted(string(peer.ID())); ok {
		return m
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[peer.ID()].member
}

// list returns the live connections, in any order.
func (r *roster) list() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]entry, 0, len(r.peers))
	for _, e := range r.peers {
		out = append(out, e)
	}
	return out
}

// status lists the peers by name, and the heights that those work on which have told.
func (r *roster) status() (peers []PeerStatus, next []int64) {
	for _, e := range r.list() {
		id := string(e.peer.ID())
		m, ok := r.registry.Admitted(id)
		if !ok {
			m = e.member
		}
		s := PeerStatus{
			ID: id, Name: m.Name, Org: m.Org, Address: e.peer.RemoteAddr().String(),
			Since: e.since, Outbound: e.peer.IsOutbound(),
		}
		if info, ok := e.peer.NodeInfo().(cmtp2p.DefaultNodeInfo); ok {
			s.Version = info.Version
		}
		if state, ok := e.peer.Get(types.PeerStateKey).(*cs.PeerState); ok {
			if h := state.GetHeight(); h > 0 {
				s.Height = h - 1
				next = append(next, h)
			}
		}
		peers = append(peers, s)
	}
	slices.SortFunc(peers, func(a, b PeerStatus) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	return peers, next
}

// admit is the engine's peer filter: it is asked about every connection, inbound and
// outbound, after the handshake has proven the peer's key and before anything else is sent.
func (r *roster) admit(_ cmtp2p.IPeerSet, peer cmtp2p.Peer) error {
	return r.door.Admit(string(peer.ID()), peer.RemoteAddr().String())
}

// mesh is the engine's switch as the reconciler sees it.
type mesh struct {
	sw *cmtp2p.Switch
	// silence is after how long a connection over which nothing comes is given up.
	silence time.Duration
}

var _ p2p.Mesh = mesh{}

// Connected implements [p2p.Mesh]. It gives up connections that have fallen silent. The engine asks its peers whether they are
// there, but the goroutine that would miss the answer is the one that writes; when a peer has gone without a trace and the
// system's buffer is full, that one hangs in a write until the system gives up, after a quarter of an hour.
func (m mesh) Connected() []p2p.Peer {
	peers := m.sw.Peers().Copy()
	out := make([]p2p.Peer, 0, len(peers))
	for _, p := range peers {
		if p.Status().RecvMonitor.Idle > m.silence {
			m.sw.StopPeerGracefully(p)
			continue
		}
		out = append(out, p2p.Peer{ID: string(p.ID()), Address: p.RemoteAddr().String()})
	}
	return out
}

// Dial implements [p2p.Mesh]. The engine dials with fixed timeouts (1 s for the connection, 3 s
// for each half of the handshake) and cannot be interrupted.
func (m mesh) Dial(_ context.Context, id string, address netip.AddrPort) error {
	to := cmtp2p.NewNetAddressIPPort(address.Addr().AsSlice(), address.Port())
	to.ID = cmtp2p.ID(id)
	err := m.sw.DialPeerWithAddress(to)
	var connected cmtp2p.ErrCurrentlyDialingOrExistingAddress
	if errors.As(err, &connected) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("dial %s: %w", address, err)
	}
	return nil
}

// Disconnect implements [p2p.Mesh].
func (m mesh) Disconnect(id string) {
	if peer := m.sw.Peers().Get(cmtp2p.ID(id)); peer != nil {
		m.sw.StopPeerGracefully(peer)
	}
}

// noAddrBook is an address book that remembers nothing. The engine keeps one for peer
// exchange, which is off, but uses it without looking when a node meets itself.
type noAddrBook struct{}

var _ cmtp2p.AddrBook = noAddrBook{}

func (noAddrBook) AddAddress(*cmtp2p.NetAddress, *cmtp2p.NetAddress) error { return nil }
func (noAddrBook) AddPrivateIDs([]string)                                  {}
func (noAddrBook) AddOurAddress(*cmtp2p.NetAddress)                        {}
func (noAddrBook) OurAddress(*cmtp2p.NetAddress) bool                      { return false }
func (noAddrBook) MarkGood(cmtp2p.ID)                                      {}
func (noAddrBook) RemoveAddress(*cmtp2p.NetAddress)                        {}
func (noAddrBook) HasAddress(*cmtp2p.NetAddress) bool                      { return false }
func (noAddrBook) Save()                                                   {}
