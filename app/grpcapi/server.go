package grpcapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// Bounds that all clients share; none takes more than a quarter of one.
const (
	maxWaiters  = 100_000
	maxWatchers = 1000
	// A page of a listing reads some megabytes at most; a check of the supply reads every holding.
	listingsAtOnce, listingsInLine = 4, 1024
	checksAtOnce, checksInLine     = 1, 8
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
}

// EngineStatus is where the engine stands.
type EngineStatus struct {
	Phase       string
	Following   bool // caught up, and connected to enough of the network to follow it
	Validator   bool
	OldestBlock uint64
	Members     uint32 // listed nodes besides this one
	Peers       []Peer
}

// Peer is a live connection to another node.
type Peer struct {
	Name, Org, Address string
	Since              time.Time
}

// Block is a decided block.
type Block struct {
	Time          time.Time
	Hash          []byte
	AppHashBefore []byte // the state before this block
	Proposer      string // the node's name
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
}

// Server serves one node's API.
type Server struct {
	cfg    Config
	grpc   *grpc.Server
	health *health.Server
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
	s := &Server{cfg: cfg, health: health.NewServer()}
	options := []grpc.ServerOption{
		grpc.MaxRecvMsgSize(cfg.MaxMessage), grpc.MaxSendMsgSize(maxAnswer), grpc.MaxConcurrentStreams(cfg.MaxStreams),
		grpc.StaticStreamWindowSize(streamFlow), grpc.StaticConnWindowSize(connectionFlow),
		grpc.InTapHandle(limit.header),
		// A handler reads the state, which is closed once Run has returned.
		grpc.WaitForHandlers(true),
		grpc.ConnectionTimeout(10 * time.Second), grpc.MaxHeaderListSize(16 << 10),
		grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionIdle: 15 * time.Minute, Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.ChainUnaryInterceptor(limit.unary, s.reportUnary), grpc.ChainStreamInterceptor(limit.stream, s.reportStream),
	}
	if cfg.TLS != nil {
		options = append(options, grpc.Creds(credentials.NewTLS(cfg.TLS)))
	}
	s.grpc = grpc.NewServer(options...)
	s.register()
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

func (s *Server) register() {
	a := s.cfg.App
	listings, checks := newGate(listingsAtOnce, listingsInLine), newGate(checksAtOnce, checksInLine)
	ledgerv1.RegisterLedgerServiceServer(s.grpc, &ledgerServer{
		app: a, engine: s.cfg.Engine, self: s.cfg.Self, now: s.cfg.Now, ready: s.Ready, committed: s.cfg.Committed,
		waiters: newShares(maxWaiters), watchers: newShares(maxWatchers),
	})
	accountsv1.RegisterAccountsServiceServer(s.grpc, &accountsServer{app: a, listings: listings})
	assetsv1.RegisterAssetsServiceServer(s.grpc, &assetsServer{app: a, listings: listings, checks: checks})
	recordsv1.RegisterRecordsServiceServer(s.grpc, &recordsServer{app: a, listings: listings})
	membershipv1.RegisterMembershipServiceServer(s.grpc, &membershipServer{app: a, listings: listings})
	governancev1.RegisterGovernanceServiceServer(s.grpc, &governanceServer{app: a})
	healthv1.RegisterHealthServer(s.grpc, s.health)
	reflection.Register(s.grpc)
	s.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
}

// Ready says whether the node can be relied on: it has a state, and follows the network.
func (s *Server) Ready() bool { return s.cfg.App.Height() > 0 && s.cfg.Engine.Status().Following }

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
		s.tellHealth(ctx)
		s.health.Shutdown()
		hard := time.AfterFunc(stopGrace, s.grpc.Stop)
		defer hard.Stop()
		s.grpc.GracefulStop()
		return nil
	})
	return group.Wait()
}

func (s *Server) tellHealth(ctx context.Context) {
	tick := time.NewTicker(healthInterval)
	defer tick.Stop()
	for {
		verdict := healthv1.HealthCheckResponse_NOT_SERVING
		if s.Ready() {
			verdict = healthv1.HealthCheckResponse_SERVING
		}
		s.health.SetServingStatus("", verdict)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
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
