package mempool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// reofferAfter is how long a transaction has been pending when it is offered again; each further time twice as long
	// passes, up to reofferMost.
	reofferAfter = 2 * time.Second
	reofferMost  = time.Minute
	// reofferPeriod is how often this is looked at, while anything is pending.
	reofferPeriod = time.Second
	// reofferBytes and reofferTxs bound what is offered again per period.
	reofferBytes = 1 << 20
	reofferTxs   = 4096
	// relayTo is how many peers a transaction of another node is offered to, at random.
	relayTo = 2
	// wishPeriod is when a wish to settle is told again; each further time twice as long passes, up to wishMost.
	wishPeriod = 2 * time.Second
	wishMost   = time.Minute
	// patience is how long a sender waits after its peer could not be sent to.
	patience = time.Second
)

// GossipConfig is what a [Gossip] needs.
type GossipConfig struct {
	// Pool is what transactions are taken from and given to. Required.
	Pool *Pool
	// Version is what this node says its program's version is: at most [MaxVersion] bytes of printable ASCII.
	Version string
	// Height returns the height of the newest block, for peers to know. Default: what the pool has seen committed.
	Height func() uint64
	// Pulse is how often every peer is told clock, height and version, give or take a tenth; at least 2 s. Default 5 s.
	Pulse time.Duration
	// Now is the wall clock. Default: the pool's.
	Now func() time.Time
	// Logger receives what peers do wrong. Default: none.
	Logger *slog.Logger
}

func (c GossipConfig) withDefaults() GossipConfig {
	if c.Height == nil {
		c.Height = c.Pool.newest
	}
	if c.Pulse == 0 {
		c.Pulse = defaultPulse
	}
	if c.Now == nil {
		c.Now = c.Pool.cfg.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all problems at once, as an error that is [ErrInvalidConfig].
func (c GossipConfig) Validate() error {
	var errs []error
	if c.Pool == nil {
		errs = append(errs, errors.New("Pool is missing"))
	}
	if !validVersion(c.Version) {
		errs = append(errs, fmt.Errorf("field Version is %.40q, want at most %d bytes of printable ASCII", c.Version, MaxVersion))
	}
	if c.Pulse != 0 && c.Pulse < leastPulse {
		errs = append(errs, fmt.Errorf("field Pulse is %v, want at least %v or 0 for the default", c.Pulse, leastPulse))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return nil
}

// Gossip offers transactions to peers and takes theirs. It is safe for concurrent use.
type Gossip struct {
	cfg     GossipConfig
	pool    *Pool
	log     *slog.Logger
	changed chan struct{} // capacity 1: a peer has come
	// early stands for peers that send before they are announced or after they have gone.
	early *source

	mu    sync.Mutex
	peers map[string]*peer
}

// peer is a connected node.
type peer struct {
	id     string
	send   func([]byte) bool
	source *source
	gone   chan struct{} // closed by RemovePeer
	more   chan struct{} // capacity 1: again or settle is set

	mu     sync.Mutex
	again  []*entry // to be offered again, not more than reofferTxs
	settle int64    // the peer is to be asked to settle what expires at this time; 0: nothing
	pulses pulses

	started bool // guarded by the Gossip's mutex: it has its sender

	sent, sentBytes, received, receivedBytes, failed atomic.Uint64
}

// PeerStats is what passed between this node and a peer since it connected.
type PeerStats struct {
	// Sent and SentBytes count transactions handed to the connection and their bytes, Failed the messages it did not take.
	Sent, SentBytes, Failed uint64
	// Received and ReceivedBytes count transactions that the peer offered. Of these, Dropped found no room, Known were
	// here already, Refused were bad, and Accepted became pending; the rest waits.
	Received, ReceivedBytes           uint64
	Dropped, Known, Refused, Accepted uint64

	// RoundTrip is how long a message to the peer and one back took lately, waiting in the connection included; 0 if it is
	// not known yet.
	RoundTrip time.Duration
	// ClockOffset is by how much the peer's clock is ahead of ours, give or take half of RoundTrip; 0 if that is not known.
	ClockOffset time.Duration
	// Height and Version are what the peer said last, when LastPulse was, by our clock. Zero if it has not.
	Height    uint64
	Version   string
	LastPulse time.Time
	// Pulses counts how often it did.
	Pulses uint64
}

// NewGossip returns a Gossip without peers, or [ErrInvalidConfig].
func NewGossip(cfg GossipConfig) (*Gossip, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	return &Gossip{
		cfg: cfg, pool: cfg.Pool, log: cfg.Logger, changed: make(chan struct{}, 1),
		early: &source{name: "unannounced"}, peers: map[string]*peer{},
	}, nil
}

// MaxMessageBytes returns the constant of that name.
func (g *Gossip) MaxMessageBytes() int { return MaxMessageBytes }

// AddPeer announces a connected peer. It is offered this node's own pending transactions and from then on every new one.
// send hands a message to the connection; it may wait, and returns false if the peer did not get the message.
func (g *Gossip) AddPeer(id string, send func(msg []byte) bool) {
	p := &peer{id: id, send: send, source: &source{name: id}, gone: make(chan struct{}), more: make(chan struct{}, 1)}
	g.mu.Lock()
	old := g.peers[id]
	g.peers[id] = p
	g.mu.Unlock()
	if old != nil {
		close(old.gone)
	}
	notify(g.changed)
}

// RemovePeer announces that a peer has gone. What it offered stays.
func (g *Gossip) RemovePeer(id string) {
	g.mu.Lock()
	p := g.peers[id]
	delete(g.peers, id)
	g.mu.Unlock()
	if p != nil {
		close(p.gone)
	}
}

// Receive queues the transactions in a message from a peer, as far as there is room. The message must not be modified
// afterwards. It returns [ErrMalformedMessage] or [ErrTooManyPulses] for what no correct node sends; a bad transaction is no
// error, because it may have been good where it comes from.
func (g *Gossip) Receive(id string, msg []byte) error {
	g.mu.Lock()
	p := g.peers[id]
	g.mu.Unlock()
	if len(msg) > 0 && msg[0] == kindPulse {
		return g.receivePulse(p, msg)
	}
	if expiresAt, is, err := decodeSettle(msg); is {
		if err == nil {
			g.pool.Settle(time.Unix(0, expiresAt))
		}
		return err
	}
	raws, err := decodeMessage(msg)
	if err != nil {
		return err
	}
	from := g.early
	if p != nil {
		from = p.source
		p.received.Add(uint64(len(raws)))
		p.receivedBytes.Add(uint64(len(msg)))
	}
	if dropped := g.pool.queue.offer(from, raws, g.pool.cfg.Now()); dropped > 0 {
		from.dropped.Add(uint64(dropped))
	}
	return nil
}

// Peers returns what passed between this node and each connected peer.
func (g *Gossip) Peers() map[string]PeerStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make(map[string]PeerStats, len(g.peers))
	for id, p := range g.peers {
		p.mu.Lock()
		pulses := p.pulses
		p.mu.Unlock()
		all[id] = PeerStats{
			Sent: p.sent.Load(), SentBytes: p.sentBytes.Load(), Failed: p.failed.Load(),
			Received: p.received.Load(), ReceivedBytes: p.receivedBytes.Load(),
			Dropped: p.source.dropped.Load(), Known: p.source.known.Load(),
			Refused: p.source.refused.Load(), Accepted: p.source.accepted.Load(),
			RoundTrip: pulses.roundTrip, ClockOffset: pulses.offset, Pulses: pulses.count,
			Height: pulses.received.height, Version: pulses.received.version, LastPulse: pulses.at,
		}
	}
	return all
}

// Run sends until the context ends; then it returns nil, once every sender's last message was taken or given up. All peers
// are forgotten then, and it may run again, for a mesh that is made anew: who is announced after Run has returned belongs to
// the next one, and is offered everything that is pending then.
func (g *Gossip) Run(ctx context.Context) error {
	var senders sync.WaitGroup
	defer g.removeAll()
	defer senders.Wait()
	timer := time.NewTimer(reofferPeriod)
	defer timer.Stop()
	var asked wish
	defer asked.end()
	for {
		if newcomers := g.newcomers(); len(newcomers) > 0 {
			askToSettle(newcomers, g.pool.unsettled())
			for _, p := range newcomers {
				senders.Go(func() { g.serve(ctx, p) })
			}
		}
		// Without anything pending there is no timer: an idle node sleeps.
		empty, news := g.pool.idle()
		var tick <-chan time.Time
		if !empty {
			tick, news = timer.C, nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-g.changed:
		case <-g.pool.unrest:
			if asked.grows(g.pool.unsettled()) {
				askToSettle(g.connected(), asked.expiresAt)
			}
		case <-asked.again():
			if asked.repeats(g.pool.unsettled()) {
				askToSettle(g.connected(), asked.expiresAt)
			}
		case <-news:
			timer.Reset(reofferPeriod)
		case <-tick:
			g.offerAgain()
			timer.Reset(reofferPeriod)
		}
	}
}

// removeAll forgets all peers.
func (g *Gossip) removeAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.peers {
		close(p.gone)
	}
	clear(g.peers)
}

// newcomers returns the peers that have no sender yet, and counts on them getting one.
func (g *Gossip) newcomers() (peers []*peer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.peers {
		if !p.started {
			p.started = true
			peers = append(peers, p)
		}
	}
	return peers
}

// connected returns all peers.
func (g *Gossip) connected() []*peer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Collect(maps.Values(g.peers))
}

// offerAgain hands what has been pending for long to the senders: this node's own transactions to all, others' to some,
// but not to where they come from.
func (g *Gossip) offerAgain() {
	peers := g.connected()
	if len(peers) == 0 {
		return
	}
	own, foreign := g.pool.overstayed()
	// In another order every time: a peer that has room for a part only would take the same part again.
	rand.Shuffle(len(own), func(i, k int) { own[i], own[k] = own[k], own[i] })
	again := make(map[*peer][]*entry, len(peers))
	for _, p := range peers {
		again[p] = append(again[p], own...)
	}
	for _, e := range foreign {
		rand.Shuffle(len(peers), func(i, k int) { peers[i], peers[k] = peers[k], peers[i] })
		left := relayTo
		for _, p := range peers {
			if left > 0 && p.source != e.from {
				again[p] = append(again[p], e)
				left--
			}
		}
	}
	for p, entries := range again {
		p.offerAgain(entries)
	}
}

// offerAgain queues entries for a peer that is not busy with earlier ones.
func (p *peer) offerAgain(entries []*entry) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if room := reofferTxs - len(p.again); len(entries) > room {
		entries = entries[:max(room, 0)]
	}
	p.again = append(p.again, entries...)
	if len(p.again) > 0 {
		notify(p.more)
	}
}

// takeAgain returns what is to be offered again.
func (p *peer) takeAgain() []*entry {
	p.mu.Lock()
	defer p.mu.Unlock()
	entries := p.again
	p.again = nil
	return entries
}
