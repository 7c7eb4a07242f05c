package grpcapi

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/follow"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// Bounds that all clients share; none takes more than a quarter of one.
const (
	maxWaiters  = 100_000
	maxWatchers = 1000
)

const (
	healthInterval = 200 * time.Millisecond
	// stopGrace is how long calls under way may take when the node stops.
	stopGrace = 2 * time.Second
)

// Engine is what the API asks the consensus engine. It is implemented where the node is put together. Methods are
// called from any goroutine and must not wait for consensus.
type Engine interface {
	Status() EngineStatus
	// Block returns a decided block. The error is [ErrBlockPruned], [ErrBlockFuture], [ErrNotReady], or a failure.
	Block(height uint64) (Block, error)
	// Header returns the encoded tendermint.types.Header of a block. The errors are those of Block.
	Header(height uint64) ([]byte, error)
	// SignedHeader returns a header and the commit that decided its block, in the canonical encodings. The errors are those
	// of Block.
	SignedHeader(height uint64) (*proofv1.SignedHeader, error)
	// Progress says how far consensus on the next block is, and what keeps the network from making it.
	Progress() Progress
	// Signing returns what each validator has signed of so many of the newest blocks, fewer where there are fewer. It is
	// called for every listing of validators and must not read the blocks each time.
	Signing(window int) []SigningRecord
}

// EngineStatus is where the engine stands.
type EngineStatus struct {
	Phase     string
	Following bool // caught up, and connected to enough of the network to follow it
	// Apart says that a node that does not follow the network may be passed by, or judges by an old state: it takes no
	// transactions.
	Apart       bool
	Validator   bool
	OldestBlock uint64
	Members     uint32 // listed nodes besides this one
	Peers       []Peer
	// Waiting is what the node waits for before it can follow the network, for people; empty when it follows.
	Waiting string
	// Behind is by how many blocks other members are ahead, 0 where it is not known.
	Behind uint64
	// ClockOffset is how far this node's clock is ahead of its peers' (their median), where ClockKnown says that enough of
	// them have told theirs.
	ClockOffset time.Duration
	ClockKnown  bool
}

// Peer is a live connection to another node.
type Peer struct {
	Name, Org, Address string
	Since              time.Time
	ID                 string        // hex of the first 20 bytes of the SHA-256 of its node key
	Height             uint64        // the newest block it claims to have
	RoundTrip          time.Duration // 0 if not known yet
	ClockOffset        time.Duration // how far its clock is ahead of this node's
	Version            string
	Outbound           bool
}

// Progress is how far this node sees consensus on the next block. Its fields are those of the message of the same name.
type Progress struct {
	Height     uint64
	Round      uint32
	Step       string
	Since      time.Time
	Wanted     bool
	Obstacle   string
	Validators []ValidatorProgress
	TotalPower uint64
	VotedPower uint64
}

// ValidatorProgress is what this node sees of one validator.
type ValidatorProgress struct {
	Name, Org    string
	Power        uint64
	State        string // `self`, `connected`, `behind`, `unconnected`
	Height       uint64
	Prevoted     bool
	Precommitted bool
	Proposer     bool
}

// SigningRecord is what a validator has signed of the newest blocks.
type SigningRecord struct {
	Address []byte // the first 20 bytes of the SHA-256 of its key
	Asked   uint32 // blocks of which it was a validator
	Signed  uint32 // those of them whose commit has its vote
	Last    uint64 // the newest of those, 0 for none
}

// Block is a decided block.
type Block struct {
	Time          time.Time
	Hash          []byte
	AppHashBefore []byte // the state before this block
	Proposer      string // the node's name
	Evidence      int    // how many proofs of misbehaviour are in it
	Txs           [][]byte
}

// Self says who answers.
type Self struct {
	Name, Org, Version string
}

// Config is everything a [Server] needs.
type Config struct {
	App    *app.App
	Engine Engine
	Self   Self
	// Listener takes the connections. Run closes it.
	Listener net.Listener
	// TLS secures them; nil for plain text, which is for loopback only.
	TLS *tls.Config
	// RatePerClient and Burst bound the calls and stream messages of one client, which is an IPv4 address or the first 64
	// bits of an IPv6 address. Defaults 20,000 a second and 40,000.
	RatePerClient float64
	Burst         int
	// MaxConnections bounds the connections; one client has at most a quarter of them. Default 1,024.
	MaxConnections int
	// MaxStreams bounds the calls under way on one connection. Default 256.
	MaxStreams uint32
	// MaxMessage bounds a request in bytes. Default: the largest transaction a charter may allow, and its envelope.
	MaxMessage int
	// Logger receives calls that failed by a fault of this node. Default: none.
	Logger *slog.Logger
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Called hears of every call that has ended: its full method, its code, how long it took. May be nil.
	Called func(method string, code codes.Code, took time.Duration)
	// Committed hears how long transactions took from their arrival here until their outcome was known. May be nil.
	Committed func(took time.Duration)
	// Lineage follows the changes of the validators. Without it GetLineage is not ready. Somebody else runs it.
	Lineage *follow.Followed
	// History follows the blocks for the index of history. Nil: this node keeps none. Somebody else runs it.
	History *follow.Followed
	// Attester returns the node's Ed25519 key, which a rotation may have changed. Without it Attest is not ready.
	Attester func() crypto.Signer
}

// Server serves one node's API.
type Server struct {
	cfg     Config
	grpc    *doors
	health  *health.Server
	readers *access
	feed    *feed
	entered *shares
	large   *shares
	// closed is the newest standing's verdict on transactions, for calls that come too often to judge it anew.
	closed atomic.Bool
}

// New returns a server that does not serve yet.
func New(cfg Config) (*Server, error) {
	if cfg.RatePerClient == 0 {
		cfg.RatePerClient, cfg.Burst = 20_000, 40_000
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = maxMessage
	}
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 1024
	}
	if cfg.MaxStreams == 0 {
		cfg.MaxStreams = 256
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Called == nil {
		cfg.Called = func(string, codes.Code, time.Duration) {}
	}
	if cfg.Committed == nil {
		cfg.Committed = func(time.Duration) {}
	}
	limit, err := newLimiter(cfg.RatePerClient, cfg.Burst)
	if err != nil {
		return nil, fmt.Errorf("make the rate limiter: %w", err)
	}
	readers, err := newAccess(cfg.App, cfg.Now)
	if err != nil {
		return nil, fmt.Errorf("make the memory of tokens: %w", err)
	}
	r, err := newReads(cfg.App, cfg.Engine)
	if err != nil {
		return nil, fmt.Errorf("make the memory of headers: %w", err)
	}
	s := &Server{cfg: cfg, health: health.NewServer(), readers: readers, feed: newFeed(), entered: newShares(maxEntered), large: newShares(maxLarge)}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(cfg.MaxMessage), grpc.MaxSendMsgSize(maxAnswer),
		grpc.StaticStreamWindowSize(streamFlow), grpc.StaticConnWindowSize(connectionFlow),
		// A handler reads the state, which is closed once Run has returned.
		grpc.WaitForHandlers(true),
		grpc.ConnectionTimeout(10 * time.Second), grpc.MaxHeaderListSize(16 << 10),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 15 * time.Minute, Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		// Nobody has anything looked at, their token neither, more often than the rate allows.
		grpc.ChainUnaryInterceptor(limit.unary, s.reportUnary, readers.unary),
		grpc.ChainStreamInterceptor(limit.stream, s.reportStream, readers.stream),
	}
	outside := []grpc.ServerOption{grpc.MaxConcurrentStreams(cfg.MaxStreams)}
	if cfg.TLS != nil {
		outside = append(outside, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	s.closed.Store(true) // so that calls judge for themselves until health has looked
	s.grpc = newDoors(limit, options, outside)
	s.register(r)
	return s, nil
}

const (
	// maxMessage bounds a request: the largest transaction a charter may allow, and its envelope.
	maxMessage = 4<<20 + 64<<10
	// maxAnswer bounds an answer: a block with its outcomes.
	maxAnswer = 64 << 20
	// streamFlow bounds what a stream may send before its handler reads. Once it reads, the rest of one message comes too.
	streamFlow = 1 << 20
	// connectionFlow bounds what is on its way on one connection, not what has come and waits to be read.
	connectionFlow = 8 << 20
)

func (s *Server) register(r *reads) {
	a := s.cfg.App
	ledgerv1.RegisterLedgerServiceServer(s.grpc, &ledgerServer{
		app: a, engine: s.cfg.Engine, access: s.readers, self: s.cfg.Self, now: s.cfg.Now, standing: s.standing, closed: &s.closed, committed: s.cfg.Committed,
		lineage: s.cfg.Lineage, attester: s.cfg.Attester,
		waiters: newShares(maxWaiters), watchers: newShares(maxWatchers), feed: s.feed, proofs: newGate(inclusionsAtOnce, inclusionsInLine),
	})
	accountsv1.RegisterAccountsServiceServer(s.grpc, &accountsServer{reads: r})
	assetsv1.RegisterAssetsServiceServer(s.grpc, &assetsServer{reads: r})
	recordsv1.RegisterRecordsServiceServer(s.grpc, &recordsServer{reads: r})
	membershipv1.RegisterMembershipServiceServer(s.grpc, &membershipServer{reads: r})
	governancev1.RegisterGovernanceServiceServer(s.grpc, &governanceServer{reads: r})
	proposalsv1.RegisterProposalsServiceServer(s.grpc, &proposalsServer{reads: r})
	historyv1.RegisterHistoryServiceServer(s.grpc, &historyServer{reads: r, index: s.cfg.History})
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
}

// Run serves until the context ends, then lets calls under way finish for a moment. It returns nil then, or the error that
// ended it.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		listener := &limitedListener{s.cfg.Listener, newShares(s.cfg.MaxConnections)}
		if err := s.grpc.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("serve gRPC on %s: %w", s.cfg.Listener.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		if err := s.grpc.inner.Serve(s.grpc.memory); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			return fmt.Errorf("serve gRPC in memory: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		s.tellHealth(ctx)
		s.health.Shutdown()
		s.feed.stop()
		hard := time.AfterFunc(stopGrace, s.grpc.stop)
		defer hard.Stop()
		s.grpc.gracefulStop()
		return nil
	})
	return group.Wait()
}

// reportUnary measures calls, and logs the failures that the node is to blame for.
func (s *Server) reportUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	begin := time.Now()
	answer, err := handler(ctx, req)
	s.report(info.FullMethod, err, time.Since(begin))
	return answer, err
}

func (s *Server) reportStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	begin := time.Now()
	err := handler(srv, stream)
	s.report(info.FullMethod, err, time.Since(begin))
	return err
}

func (s *Server) report(method string, err error, took time.Duration) {
	s.cfg.Called(method, status.Code(err), took)
	if status.Code(err) == codes.Internal {
		s.cfg.Logger.Error("a call failed", "method", method, "error", err)
	}
}
