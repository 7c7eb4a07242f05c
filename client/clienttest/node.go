package clienttest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Faults is how a node misbehaves. The zero value is a good node. Counters count down.
type Faults struct {
	// Unavailable answers every call with UNAVAILABLE.
	Unavailable bool
	// Starting answers this many calls, besides those for the status, as a node does that has no block yet.
	Starting int
	// Apart takes no transactions, and says so, as a node does that is suspended, cut off or behind.
	Apart bool
	// Silent answers no call until the caller gives up, and lets streams stand still.
	Silent bool
	// SilentSubmits applies this many submissions and then does not answer until the caller gives up.
	SilentSubmits int
	// LostAnswers applies this many submissions and answers them with UNAVAILABLE.
	LostAnswers int
	// Full refuses this many submissions with RESOURCE_EXHAUSTED and RetryAfter.
	Full       int
	RetryAfter time.Duration
	// RefuseExpired refuses this many submissions as expired.
	RefuseExpired int
	// LostSubmits takes this many submissions to nobody and answers with UNAVAILABLE, like a node that dies with them.
	LostSubmits int
	// RefuseBehind refuses this many submissions for what the ledger said long ago.
	RefuseBehind int
	// ChainID is what the node says instead of the ledger's.
	ChainID string
	// ClockOffset is added to the node's clock.
	ClockOffset time.Duration
	// BreakSubmitsAfter ends a stream of submissions after this many answers, with the next one in hand; 0 never does.
	BreakSubmitsAfter int
	// BreakWatchAfter ends a watch after this many blocks; 0 never does.
	BreakWatchAfter int
	// SkipInWatch leaves out the block of this height.
	SkipInWatch uint64
	// PrunedBelow is the oldest block that the node still has.
	PrunedBelow uint64
	// TokensExpired refuses this many reads as if their token had ended.
	TokensExpired int
	// ExpireWatchAfter ends a watch after this many blocks as if its token had ended; 0 never does.
	ExpireWatchAfter int
	// SayExpired takes transactions and says of each that it has expired.
	SayExpired bool
	// Behind is how many heights the node lags behind the ledger in its status.
	Behind uint64
}

// Node serves a [Ledger] over gRPC.
type Node struct {
	Name    string
	Org     string
	Address string // the same after a restart

	ledger      *Ledger
	credentials credentials.TransportCredentials // nil for plaintext

	mu      sync.Mutex
	faults  Faults
	calls   map[string]int // by full method
	least   uint64         // min_height of the last read
	tokens  int            // calls that came with a token
	server  *grpc.Server   // nil while stopped
	stopped chan struct{}  // closed when Serve has returned
}

// Set replaces the node's faults.
func (n *Node) Set(f Faults) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = f
}

// Calls returns how many calls of a method came in, such as "/althing.ledger.v1.LedgerService/Submit".
func (n *Node) Calls(method string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.calls[method]
}

// LastMinHeight returns the min_height that the last read asked for.
func (n *Node) LastMinHeight() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.least
}

// Tokens returns how many calls came with a token.
func (n *Node) Tokens() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tokens
}

func (n *Node) now() Faults {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.faults
}

// count takes one from a counter of the faults and reports whether there was one.
func (n *Node) count(counter func(*Faults) *int) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	left := counter(&n.faults)
	if *left == 0 {
		return false
	}
	*left--
	return true
}

// Stop closes the node's port and all connections. It may be called on a stopped node.
func (n *Node) Stop() {
	n.mu.Lock()
	server, stopped := n.server, n.stopped
	n.server = nil
	n.mu.Unlock()
	if server != nil {
		server.Stop()
		<-stopped
	}
}

// Start serves, on the address of the time before if there was one. The node must be stopped.
func (n *Node) Start(t testing.TB) {
	t.Helper()
	address := n.Address
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatalf("start %s: %v", n.Name, err)
	}
	n.Address = listener.Addr().String()
	options := []grpc.ServerOption{grpc.UnaryInterceptor(n.unary), grpc.StreamInterceptor(n.stream)}
	if n.credentials != nil {
		options = append(options, grpc.Creds(n.credentials))
	}
	server, stopped := grpc.NewServer(options...), make(chan struct{})
	ledgerv1.RegisterLedgerServiceServer(server, &ledgerService{node: n})
	accountsv1.RegisterAccountsServiceServer(server, &accountsService{node: n})
	assetsv1.RegisterAssetsServiceServer(server, &assetsService{node: n})
	recordsv1.RegisterRecordsServiceServer(server, &recordsService{node: n})
	membershipv1.RegisterMembershipServiceServer(server, &membershipService{node: n})
	governancev1.RegisterGovernanceServiceServer(server, &governanceService{node: n})
	proposalsv1.RegisterProposalsServiceServer(server, &proposalsService{node: n})
	historyv1.RegisterHistoryServiceServer(server, &historyService{node: n})
	n.mu.Lock()
	n.server, n.stopped = server, stopped
	n.mu.Unlock()
	go func() {
		defer close(stopped)
		_ = server.Serve(listener)
	}()
}

func (n *Node) arrive(ctx context.Context, method string) error {
	n.mu.Lock()
	n.calls[method]++
	if headers, _ := metadata.FromIncomingContext(ctx); len(headers.Get("authorization")) > 0 {
		n.tokens++
	}
	f := n.faults
	if f.Starting > 0 && method != ledgerv1.LedgerService_GetStatus_FullMethodName {
		n.faults.Starting--
	} else {
		f.Starting = 0
	}
	n.mu.Unlock()
	if readsLedger(method) {
		if err := n.mayRead(ctx); err != nil {
			return err
		}
		if n.count(func(f *Faults) *int { return &f.TokensExpired }) {
			return denied("TOKEN_EXPIRED", "the token expired", n.ledger.Charter())
		}
	}
	if f.Starting > 0 {
		return notReady()
	}
	if f.Silent {
		<-ctx.Done()
		return status.FromContextError(ctx.Err()).Err()
	}
	if f.Unavailable {
		return status.Error(codes.Unavailable, n.Name+" is not available")
	}
	return nil
}

func (n *Node) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := n.arrive(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	if read, ok := req.(interface{ GetMinHeight() uint64 }); ok {
		n.mu.Lock()
		n.least = read.GetMinHeight()
		n.mu.Unlock()
		if err := n.ledger.reach(ctx, read.GetMinHeight()); err != nil {
			return nil, err
		}
	}
	return handler(ctx, req)
}

func (n *Node) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := n.arrive(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}

// reach waits for a height.
func (l *Ledger) reach(ctx context.Context, height uint64) error {
	for {
		block, changed := l.block(height)
		if block != nil {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// refused turns a rejection into the error of a call.
func refused(err error) error {
	code, ok := tx.CodeOf(err)
	if !ok {
		return status.Error(codes.Internal, err.Error())
	}
	return detailed(codes.InvalidArgument, err.Error(), &errdetails.ErrorInfo{Reason: tx.Reason(code), Domain: "althing"})
}

// detailed returns the error of a call with a detail.
func detailed(code codes.Code, text string, detail protoadapt.MessageV1) error {
	s, err := status.New(code, text).WithDetails(detail)
	if err != nil {
		return status.Error(codes.Internal, err.Error())
	}
	return s.Err()
}

func full(after time.Duration) error {
	return detailed(codes.ResourceExhausted, "the mempool is full", &errdetails.RetryInfo{RetryDelay: durationpb.New(after)})
}

func notReady() error {
	st, err := status.New(codes.Unavailable, "the node is not ready").WithDetails(
		&errdetails.ErrorInfo{Domain: "althing", Reason: "NOT_READY"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Millisecond)})
	if err != nil {
		return err
	}
	return st.Err()
}
