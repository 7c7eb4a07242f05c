package consensus

import (
	"errors"
	"io"
	"net"
	"strings"

	"github.com/cometbft/cometbft/blocksync"
	cs "github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/evidence"
	cmtp2p "github.com/cometbft/cometbft/p2p"

	"github.com/althing-ledger/althing/p2p"
)

// guard stands in front of a reactor. The door is asked about every message again, because a
// connection may outlive its listing: by what the connection's goroutine is about to hand
// over, and by the moment until the reconciler has hung up.
type guard struct{ door *p2p.Door }

// lets says whether a peer is connected and listed. It takes no lock.
func (g guard) lets(peer cmtp2p.Peer) bool {
	return peer.IsRunning() && g.door.Lists(string(peer.ID()))
}

// The engine's reactors, guarded. Each keeps its type's other methods, which the engine
// finds by asserting interfaces. A peer that was removed while it connected is not
// introduced, so nobody begins to send to it.

type guardedConsensus struct {
	*cs.Reactor
	guard
}

// AddPeer implements the engine's Reactor.
func (r *guardedConsensus) AddPeer(peer cmtp2p.Peer) {
	if r.lets(peer) {
		r.Reactor.AddPeer(peer)
	}
}

// Receive implements the engine's Reactor.
func (r *guardedConsensus) Receive(e cmtp2p.Envelope) {
	if r.lets(e.Src) {
		r.Reactor.Receive(e)
	}
}

type guardedBlocksync struct {
	*blocksync.Reactor
	guard
}

// AddPeer implements the engine's Reactor.
func (r *guardedBlocksync) AddPeer(peer cmtp2p.Peer) {
	if r.lets(peer) {
		r.Reactor.AddPeer(peer)
	}
}

// Receive implements the engine's Reactor.
func (r *guardedBlocksync) Receive(e cmtp2p.Envelope) {
	if r.lets(e.Src) {
		r.Reactor.Receive(e)
	}
}

// GetChannels implements the engine's Reactor. The engine would collect a message of a
// hundred megabytes; no block that this network may make is that large.
func (r *guardedBlocksync) GetChannels() []*cmtp2p.ChannelDescriptor {
	channels := r.Reactor.GetChannels()
	for _, c := range channels {
		c.RecvMessageCapacity = min(c.RecvMessageCapacity, maxBlockBytes+maxBlockFraming)
	}
	return channels
}

// maxBlockFraming is room for what surrounds a block of the greatest size in a message.
const maxBlockFraming = 1 << 20

type guardedEvidence struct {
	*evidence.Reactor
	guard
	added func() // called after a message, which may have brought evidence
}

// AddPeer implements the engine's Reactor.
func (r *guardedEvidence) AddPeer(peer cmtp2p.Peer) {
	if r.lets(peer) {
		r.Reactor.AddPeer(peer)
	}
}

// Receive implements the engine's Reactor.
func (r *guardedEvidence) Receive(e cmtp2p.Envelope) {
	if r.lets(e.Src) {
		r.Reactor.Receive(e)
		r.added()
	}
}

// misconduct returns why a connection was closed when it is the peer's doing, and "" when it
// is the network's or ours. What arrives damaged counts as the network's: nobody can
// forge what is encrypted, but anybody on the way can spoil it.
func misconduct(reason any) string {
	if reason == nil {
		return ""
	}
	err, ok := reason.(error)
	if !ok {
		return "unknown reason"
	}
	var network net.Error
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.As(err, &network) {
		return ""
	}
	text := err.Error()
	for _, innocent := range []string{"pong timeout", "failed to decrypt", "closed pipe", "chunkLength"} {
		if strings.Contains(text, innocent) {
			return ""
		}
	}
	const most = 300 // the engine quotes whole messages
	return text[:min(len(text), most)]
}
