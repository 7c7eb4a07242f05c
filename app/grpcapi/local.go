package grpcapi

import (
	"context"
	"fmt"
	"math"
	"net"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/grpc/test/bufconn"
)

const (
	// maxEntered bounds the requests of other doors that are under way; no client has more than a quarter of them.
	maxEntered = 4096

	// maxLarge bounds those of them whose bodies are large, in the same way.
	maxLarge = 64

	// clientKey is where a call within the process says for whom it is made. Only the server in memory looks at it: what a
	// stranger writes there is read by nobody.
	clientKey = "althing-client"

	// memoryFlow is the buffer of a connection in memory, in bytes.
	memoryFlow = 256 << 10
)

// doors are two servers of the same services: the one that strangers reach, and one in memory, for calls that this process
// makes in the name of a client who came by another door. What is registered is registered with both.
type doors struct {
	*grpc.Server
	inner  *grpc.Server
	memory *bufconn.Listener
}

// newDoors makes both servers of the options that they share.
func newDoors(limit *limiter, shared, outside []grpc.ServerOption) *doors {
	outside = append(slices.Clone(outside), grpc.InTapHandle(limit.header))
	// The door bounds the requests that it lets in.
	inside := []grpc.ServerOption{grpc.InTapHandle(limit.localHeader), grpc.MaxConcurrentStreams(math.MaxUint32)}
	return &doors{
		Server: grpc.NewServer(slices.Concat(shared, outside)...),
		inner:  grpc.NewServer(slices.Concat(shared, inside)...),
		memory: bufconn.Listen(memoryFlow),
	}
}

// RegisterService registers a service with both servers.
func (d *doors) RegisterService(service *grpc.ServiceDesc, impl any) {
	d.Server.RegisterService(service, impl)
	d.inner.RegisterService(service, impl)
}

func (d *doors) gracefulStop() {
	d.Server.GracefulStop()
	d.inner.GracefulStop()
}

func (d *doors) stop() {
	d.Server.Stop()
	d.inner.Stop()
}

// localHeader counts a call of this process as one of the client for whom it is made.
func (l *limiter) localHeader(ctx context.Context, info *tap.Info) (context.Context, error) {
	named := info.Header[clientKey]
	if len(named) != 1 {
		return ctx, status.Error(codes.Internal, "a call within the node does not say for which client it is made")
	}
	return l.header(peer.NewContext(ctx, &peer.Peer{Addr: clientAddress(named[0])}), info)
}

// clientAddress is the address of a client as text, IP:PORT.
type clientAddress string

// Network is that of all clients.
func (clientAddress) Network() string { return "tcp" }

func (a clientAddress) String() string { return string(a) }

// clientContextKey is where a context has the address of the client for whom a call over [Server.Local] is made.
type clientContextKey struct{}

// ForClient says for which client the calls of a context are made over [Server.Local]: they count as its calls.
func ForClient(ctx context.Context, at net.Addr) context.Context {
	return context.WithValue(ctx, clientContextKey{}, at.String())
}

// named puts the client into the metadata of a call, in place of whatever is there.
func named(ctx context.Context) (context.Context, error) {
	at, ok := ctx.Value(clientContextKey{}).(string)
	if !ok {
		return nil, status.Error(codes.Internal, "a call within the node does not say for which client it is made")
	}
	headers, _ := metadata.FromOutgoingContext(ctx)
	headers = headers.Copy()
	if headers == nil {
		headers = metadata.MD{}
	}
	headers.Set(clientKey, at)
	return metadata.NewOutgoingContext(ctx, headers), nil
}

// Local returns a connection to this server within the process, without TLS. Rates, tokens, shares and errors are those of
// any other connection, but for the bounds of connections. Calls are made for the client that [ForClient] names, and fail
// without one. They are answered while Run runs. Who calls Local closes the connection.
func (s *Server) Local() (*grpc.ClientConn, error) {
	conn, err := grpc.NewClient("passthrough:///memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return s.grpc.memory.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDisableServiceConfig(), grpc.WithDisableRetry(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithUnaryInterceptor(func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn,
			invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
			ctx, err := named(ctx)
			if err != nil {
				return err
			}
			return invoke(ctx, method, req, reply, cc, options...)
		}),
		grpc.WithStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string,
			open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
			ctx, err := named(ctx)
			if err != nil {
				return nil, err
			}
			return open(ctx, desc, cc, method, options...)
		}),
	)
	if err != nil {
		return nil, fmt.Errorf("connect within the node: %w", err)
	}
	return conn, nil
}

// Enter takes a place for a request that comes by another door and will make calls over [Server.Local]. Who gets one calls
// leave once. The error is a gRPC status: RESOURCE_EXHAUSTED, with a delay.
func (s *Server) Enter(client net.Addr) (leave func(), err error) {
	leave, ok := s.entered.take(clientAt(client))
	if !ok {
		return nil, toStatus(errTooManyRequests)
	}
	return leave, nil
}

// EnterLarge is Enter for what a request with a large body takes besides.
func (s *Server) EnterLarge(client net.Addr) (leave func(), err error) {
	leave, ok := s.large.take(clientAt(client))
	if !ok {
		return nil, toStatus(errTooManyRequests)
	}
	return leave, nil
}

// MaxMessage is the size of the largest request, in bytes.
func (s *Server) MaxMessage() int { return s.cfg.MaxMessage }

// BoundConnections returns a listener of which at most so many connections are open at a time, no more than a quarter of them
// of one client. Those beyond are closed at once.
func BoundConnections(listener net.Listener, most int) net.Listener {
	return &limitedListener{listener, newShares(most)}
}
