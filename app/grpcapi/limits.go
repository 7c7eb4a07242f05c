package grpcapi

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/types/known/durationpb"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxClients bounds how many clients are told apart; the ones that called longest ago are forgotten.
const maxClients = 10_000

// leakFor is the longest deadline of a call that is refused at its header. gRPC keeps the timer of such a call until it
// fires; what has more time is refused after its request has come.
const leakFor = 10 * time.Second

// limiter bounds the calls and stream messages of each client.
type limiter struct {
	perSecond rate.Limit
	burst     int

	mu      sync.Mutex
	clients *lru.Cache[string, *rate.Limiter]
}

func newLimiter(perSecond float64, burst int) (*limiter, error) {
	clients, err := lru.New[string, *rate.Limiter](maxClients)
	if err != nil {
		return nil, err
	}
	return &limiter{perSecond: rate.Limit(perSecond), burst: burst, clients: clients}, nil
}

func (l *limiter) of(ctx context.Context) *rate.Limiter {
	client := clientOf(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	limit, known := l.clients.Get(client)
	if !known {
		limit = rate.NewLimiter(l.perSecond, l.burst)
		l.clients.Add(client, limit)
	}
	return limit
}

func (l *limiter) allow(ctx context.Context) error {
	reservation := l.of(ctx).Reserve()
	delay := reservation.Delay()
	if delay == 0 {
		return nil
	}
	reservation.Cancel()
	return detailed(codes.ResourceExhausted, "this client calls more often than the node allows: slow down", "RATE",
		nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay + time.Millisecond)})
}

// refusalKey is where a call's context has the error with which it is refused after its request has come.
type refusalKey struct{}

// header counts a call when its header has come. It must not block.
func (l *limiter) header(ctx context.Context, _ *tap.Info) (context.Context, error) {
	err := l.allow(ctx)
	if err == nil {
		return ctx, nil
	}
	if deadline, has := ctx.Deadline(); has && time.Until(deadline) > leakFor {
		return context.WithValue(ctx, refusalKey{}, err), nil
	}
	return ctx, err
}

func refusal(ctx context.Context) error {
	err, _ := ctx.Value(refusalKey{}).(error)
	return err
}

func (l *limiter) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := refusal(ctx); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (l *limiter) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := refusal(stream.Context()); err != nil {
		return err
	}
	return handler(srv, &pacedStream{stream, l.of(stream.Context())})
}

// pacedStream takes the messages of a stream no faster than the client's rate: the sender feels it as back-pressure.
type pacedStream struct {
	grpc.ServerStream
	limit *rate.Limiter
}

func (s *pacedStream) RecvMsg(m any) error {
	if err := s.limit.Wait(s.Context()); err != nil {
		return err
	}
	return s.ServerStream.RecvMsg(m)
}
