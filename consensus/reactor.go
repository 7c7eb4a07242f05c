package consensus

import (
	"fmt"
	"sync"
	"time"

	"github.com/cometbft/cometbft/mempool"
	cmtp2p "github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/p2p/conn"
	protomem "github.com/cometbft/cometbft/proto/tendermint/mempool"
)

// gossipReactor carries the messages of a [Gossip] on the engine's mempool channel. One
// gossip message is one engine message with one "transaction" in it, so that what other tools
// know about the channel stays true. It must be registered as "MEMPOOL": block sync looks for
// that name when it hands over to consensus.
type gossipReactor struct {
	cmtp2p.BaseReactor
	guard
	gossip Gossip
	roster *roster
	// changed is called after a peer has come or gone.
	changed func()
	// following is called once, when block sync is about to start consensus.
	following func()
	once      sync.Once

	mu sync.Mutex // held while a peer is added or removed
}

var _ cmtp2p.Reactor = (*gossipReactor)(nil)

const (
	gossipPriority  = 5  // as the engine's own mempool: below votes and blocks
	gossipQueue     = 16 // messages waiting per peer
	gossipFraming   = 32 // the two protobuf headers around a message, generously
	sendPatience    = 10 * time.Second
	sendRetryPeriod = 5 * time.Millisecond
)

func newGossipReactor(gossip Gossip, roster *roster, changed, following func()) *gossipReactor {
	r := &gossipReactor{guard: guard{roster.door}, gossip: gossip, roster: roster, changed: changed, following: following}
	r.BaseReactor = *cmtp2p.NewBaseReactor("Gossip", r)
	return r
}

// GetChannels implements the engine's Reactor.
func (r *gossipReactor) GetChannels() []*conn.ChannelDescriptor {
	return []*conn.ChannelDescriptor{{
		ID:                  mempool.MempoolChannel,
		Priority:            gossipPriority,
		SendQueueCapacity:   gossipQueue,
		RecvMessageCapacity: r.gossip.MaxMessageBytes() + gossipFraming,
		MessageType:         &protomem.Message{},
	}}
}

// EnableInOutTxs is called by block sync when it has caught up.
func (r *gossipReactor) EnableInOutTxs() { r.once.Do(r.following) }

// AddPeer implements the engine's Reactor. The engine may call it after RemovePeer, for a
// peer that failed as soon as it was started; that one is not announced at all.
func (r *gossipReactor) AddPeer(peer cmtp2p.Peer) {
	r.mu.Lock()
	if r.lets(peer) {
		r.roster.add(peer)
		r.gossip.AddPeer(string(peer.ID()), func(msg []byte) bool { return r.send(peer, msg) })
	}
	r.mu.Unlock()
	r.changed()
}

// RemovePeer implements the engine's Reactor. The peer does not run any more.
func (r *gossipReactor) RemovePeer(peer cmtp2p.Peer, reason any) {
	if why := misconduct(reason); why != "" {
		r.door.Misbehaved(string(peer.ID()), r.roster.member(peer), peer.RemoteAddr().String(), why)
	}
	r.mu.Lock()
	if r.roster.remove(peer) {
		r.gossip.RemovePeer(string(peer.ID()))
	}
	r.mu.Unlock()
	r.changed()
}

// Receive implements the engine's Reactor. It runs on the connection's goroutine, which
// also receives this peer's votes and blocks.
func (r *gossipReactor) Receive(e cmtp2p.Envelope) {
	if !r.lets(e.Src) {
		return
	}
	txs, ok := e.Message.(*protomem.Txs)
	if !ok || len(txs.Txs) != 1 || len(txs.Txs[0]) > r.gossip.MaxMessageBytes() {
		r.Switch.StopPeerForError(e.Src, fmt.Errorf("malformed gossip message of type %T", e.Message))
		return
	}
	if err := r.gossip.Receive(string(e.Src.ID()), txs.Txs[0]); err != nil {
		r.Switch.StopPeerForError(e.Src, fmt.Errorf("gossip: %w", err))
	}
}

// send waits for room in the peer's queue, but no longer than the peer lives. The
// engine's own blocking send would wait its ten seconds even for a peer that has gone.
func (r *gossipReactor) send(peer cmtp2p.Peer, msg []byte) bool {
	e := cmtp2p.Envelope{ChannelID: mempool.MempoolChannel, Message: &protomem.Txs{Txs: [][]byte{msg}}}
	if peer.TrySend(e) {
		return true
	}
	patience := time.NewTimer(sendPatience)
	defer patience.Stop()
	retry := time.NewTicker(sendRetryPeriod)
	defer retry.Stop()
	for {
		select {
		case <-peer.Quit():
			return false
		case <-patience.C:
			return false
		case <-retry.C:
			if peer.TrySend(e) {
				return true
			}
		}
	}
}
