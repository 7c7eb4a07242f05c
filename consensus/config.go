package consensus

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/althing-ledger/althing/p2p"
)

// Pool is what consensus asks the pool of pending transactions. Both methods must be
// safe for concurrent use and must not block.
type Pool interface {
	// WantsBlock says whether a block made now would contain or settle something.
	WantsBlock() bool
	// Wake returns a channel that can be received from after WantsBlock may have become
	// true. One token for many events is enough. The channel is never closed.
	Wake() <-chan struct{}
}

// Gossip carries transaction messages between nodes. Consensus gives it peers and raw
// bytes and knows nothing of their content.
type Gossip interface {
	// Run works until the context ends. It is started before the first peer is announced and
	// ended after the last one has gone; a Receive that was under way may end after it.
	// Returning an error earlier ends the node.
	Run(ctx context.Context) error
	// AddPeer announces a connected peer. send hands one message of at most
	// MaxMessageBytes to the connection: it waits while the connection is congested, at most ten
	// seconds, and returns false when the peer is gone or still congested. The
	// message must not be modified afterwards. Every peer is announced once and
	// removed once before it is announced again. Must not block.
	AddPeer(id string, send func(msg []byte) bool)
	// RemovePeer announces that a peer has gone. Its send function fails from now on. Must not
	// block.
	RemovePeer(id string)
	// Receive takes a message from a peer. It runs on the goroutine that also receives this
	// peer's votes: it must only queue, never block. The slice is the callee's. An error
	// means that the peer misbehaved; its connection is closed.
	Receive(id string, msg []byte) error
	// MaxMessageBytes is the size of the largest message, in bytes, the same on every
	// node. A peer that sends a larger one is disconnected.
	MaxMessageBytes() int
}

// Config is everything a [Node] needs. All fields are required unless they say otherwise.
type Config struct {
	// Home is the directory for the consensus write-ahead log, in Home/wal. Created if missing.
	Home string
	// Genesis is the network's beginning; it must be what the databases began with.
	Genesis Genesis
	// App executes blocks. It does its own locking: consensus calls come one at a time, and
	// no other methods are called but Info.
	App abci.Application
	// Pool says when a block is worth making.
	Pool Pool
	// Gossip carries transactions. Run runs it.
	Gossip Gossip
	// DB returns the database for one of the names "blockstore", "state" and "evidence". The
	// caller closes them, after Run has returned.
	DB func(name string) dbm.DB
	// NodeKey is the Ed25519 private key (64 bytes) that identifies this node to its peers.
	NodeKey ed25519.PrivateKey
	// Signer signs votes. Nil makes the node an observer. The caller closes it, after
	// Run has returned.
	Signer Signer
	// Now, when set, stamps votes with another clock than the engine's. Tests use it to make a chain whose blocks are old.
	Now func() time.Time
	// Registry says who may connect. This node itself should be listed too.
	Registry *p2p.Registry
	// Listen is the address to accept peers on, host:port.
	Listen string
	// Name is what this node calls itself in the handshake; for people only. Default: its id.
	Name string
	// Version is the program's version that peers are told, printable ASCII. Default: the engine's.
	Version string
	// BlockInterval returns the pause between blocks that the network has agreed on. It is read
	// after every commit, on the goroutine that executes, and acts from the next block on;
	// values outside 1 ms to 1 min are brought inside. Nil means Profile.TimeoutCommit.
	BlockInterval func() time.Duration
	// Profile tunes the engine. The zero value of any field means its default.
	Profile Profile
	// Logger receives the node's log. Default: none.
	Logger *slog.Logger
}

// Profile holds the engine's knobs. Except for PeerGossipSleep they shape the whole network
// and should be the same on all its nodes. DESIGN.md has the reasons for the defaults.
type Profile struct {
	// TimeoutPropose is how long to wait for a proposal in round 0, a fifth of it when the proposer has
	// signed neither of the last two blocks; each further round adds TimeoutProposeDelta. Defaults 1 s and 500 ms.
	TimeoutPropose, TimeoutProposeDelta time.Duration
	// TimeoutVote is how long to wait for stragglers once two thirds have voted, but not for
	// the same block, a fifth of it for the last votes of a height whose first proposer is gone; each further
	// round adds TimeoutVoteDelta. Defaults 500 ms and 250 ms.
	TimeoutVote, TimeoutVoteDelta time.Duration
	// TimeoutCommit is the pause between blocks, counted from the decision. It overlaps with
	// execution. Default 200 ms. Config.BlockInterval overrides it.
	TimeoutCommit time.Duration
	// PeerGossipSleep is how often each peer is looked at for something to send. It adds half
	// of itself to every hop and costs CPU when idle. Default 5 ms.
	PeerGossipSleep time.Duration
	// FlushThrottle is how long a connection collects small packets. Default 1 ms.
	FlushThrottle time.Duration
	// BandwidthBytes caps what one connection sends and receives per second. Default 512 MiB.
	BandwidthBytes int64
	// PacketBytes is the largest packet payload. Default 32 KiB.
	PacketBytes int
	// PingInterval is how often an idle connection is checked, PongTimeout how long an
	// answer may take. PongTimeout must be the smaller one. Defaults 10 s and 5 s.
	PingInterval, PongTimeout time.Duration
	// BlockTimeTolerance is how far a block's time may be ahead of this node's clock.
	// Default 60 s.
	BlockTimeTolerance time.Duration
}

// Limits on the profile that keep a typing error from halting a network.
const (
	maxTimeout     = time.Minute
	minGossipSleep = time.Millisecond
	maxGossipSleep = time.Second
)

// DefaultProfile returns the profile in which every field has its default.
func DefaultProfile() Profile { return Profile{}.withDefaults() }

func (p Profile) withDefaults() Profile {
	d := func(v *time.Duration, def time.Duration) {
		if *v == 0 {
			*v = def
		}
	}
	d(&p.TimeoutPropose, time.Second)
	d(&p.TimeoutProposeDelta, 500*time.Millisecond)
	d(&p.TimeoutVote, 500*time.Millisecond)
	d(&p.TimeoutVoteDelta, 250*time.Millisecond)
	d(&p.TimeoutCommit, 200*time.Millisecond)
	d(&p.PeerGossipSleep, 5*time.Millisecond)
	d(&p.FlushThrottle, time.Millisecond)
	d(&p.PingInterval, 10*time.Second)
	d(&p.PongTimeout, 5*time.Second)
	d(&p.BlockTimeTolerance, time.Minute)
	if p.BandwidthBytes == 0 {
		p.BandwidthBytes = 512 << 20
	}
	if p.PacketBytes == 0 {
		p.PacketBytes = 32 << 10
	}
	return p
}

func (p Profile) validate() error {
	var errs []error
	timeout := func(name string, d time.Duration) {
		if d < time.Millisecond || d > maxTimeout {
			errs = append(errs, fmt.Errorf("profile: %s is %v, want 1ms to %v", name, d, maxTimeout))
		}
	}
	timeout("TimeoutPropose", p.TimeoutPropose)
	timeout("TimeoutProposeDelta", p.TimeoutProposeDelta)
	timeout("TimeoutVote", p.TimeoutVote)
	timeout("TimeoutVoteDelta", p.TimeoutVoteDelta)
	timeout("TimeoutCommit", p.TimeoutCommit)
	timeout("PingInterval", p.PingInterval)
	timeout("PongTimeout", p.PongTimeout)
	if p.PongTimeout >= p.PingInterval {
		errs = append(errs, fmt.Errorf("profile: PongTimeout %v is not below PingInterval %v", p.PongTimeout, p.PingInterval))
	}
	if p.PeerGossipSleep < minGossipSleep || p.PeerGossipSleep > maxGossipSleep {
		errs = append(errs, fmt.Errorf("profile: PeerGossipSleep is %v, want %v to %v", p.PeerGossipSleep, minGossipSleep, maxGossipSleep))
	}
	if p.FlushThrottle < 0 || p.FlushThrottle > maxGossipSleep {
		errs = append(errs, fmt.Errorf("profile: FlushThrottle is %v, want 0 to %v", p.FlushThrottle, maxGossipSleep))
	}
	if p.BandwidthBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("profile: BandwidthBytes is %d, want at least 1 MiB", p.BandwidthBytes))
	}
	if p.PacketBytes < 1024 || p.PacketBytes > 1<<20 {
		errs = append(errs, fmt.Errorf("profile: PacketBytes is %d, want 1 KiB to 1 MiB", p.PacketBytes))
	}
	if p.BlockTimeTolerance < time.Second {
		errs = append(errs, fmt.Errorf("profile: BlockTimeTolerance is %v, want at least 1s", p.BlockTimeTolerance))
	}
	return errors.Join(errs...)
}

// maxGossipMessage bounds what a [Gossip] may announce: a peer can make this node
// allocate that much per connection.
const maxGossipMessage = 16 << 20

// Validate reports all problems at once, as an error that is [ErrInvalidConfig].
func (c Config) Validate() error {
	var errs []error
	missing := func(name string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("%s is missing", name))
		}
	}
	missing("Home", c.Home == "")
	missing("App", c.App == nil)
	missing("Pool", c.Pool == nil)
	missing("Gossip", c.Gossip == nil)
	missing("DB", c.DB == nil)
	missing("Registry", c.Registry == nil)
	if len(c.NodeKey) != ed25519.PrivateKeySize {
		errs = append(errs, fmt.Errorf("NodeKey has %d bytes, want %d", len(c.NodeKey), ed25519.PrivateKeySize))
	} else if !bytes.Equal(ed25519.NewKeyFromSeed(c.NodeKey.Seed()), c.NodeKey) {
		errs = append(errs, errors.New("NodeKey is not an Ed25519 key: its halves do not match"))
	}
	if host, _, err := net.SplitHostPort(c.Listen); err != nil || host == "" {
		errs = append(errs, fmt.Errorf("field Listen: %q is not host:port", c.Listen))
	}
	if c.Gossip != nil {
		if n := c.Gossip.MaxMessageBytes(); n < 1 || n > maxGossipMessage {
			errs = append(errs, fmt.Errorf("the Gossip has messages of %d bytes, want 1 to %d", n, maxGossipMessage))
		}
	}
	errs = append(errs, c.Genesis.validate(), c.Profile.withDefaults().validate())
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return nil
}
