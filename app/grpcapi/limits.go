package grpcapi

import (
	"context"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/types/known/durationpb"

	lru "github.com/hashicorp/golang-lru/v2"
)

// maxClients bounds how many clients are told apart; the ones that called longest ago are forgotten.
const maxClients = 10_000

// limiter bounds the calls and stream messages of each client, told apart by its address without the port.
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
	client := "unknown"
	if p, ok := peer.FromContext(ctx); ok {
		client = p.Addr.String()
		if host, _, err := net.SplitHostPort(client); err == nil {
			client = host
		}
	}
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

func (l *limiter) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := l.allow(ctx); err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (l *limiter) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := l.allow(stream.Context()); err != nil {
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
