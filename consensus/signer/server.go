package signer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"path/filepath"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	signerv1 "github.com/althing-ledger/althing/proto/gen/althing/signer/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// Bounds of what a caller can cost the process, known or not.
const (
	maxRequest     = 8 << 10 // bytes
	maxStreams     = 16      // calls under way on one connection
	maxConnections = 256     // strangers in the middle of their handshake included
	handshakeTime  = 5 * time.Second
	stopGrace      = 2 * time.Second
)

// ServerConfig is what a signer process is made of.
type ServerConfig struct {
	// Dir is what [Fill] filled.
	Dir string
	// Passphrase opens the keys, where they are encrypted.
	Passphrase []byte
	// Listener takes the connections. Run closes it.
	Listener net.Listener
	// Logger receives the log. Default: none.
	Logger *slog.Logger
}

// Server signs for the nodes that its settings list.
type Server struct {
	signerv1.UnimplementedSignerServiceServer
	cfg  ServerConfig
	keys *Local
	tls  *tls.Config
	log  *slog.Logger

	failure chan error // capacity 1: the first reason to end; never closed
}

// NewServer opens the keys and their record. Run closes them.
func NewServer(cfg ServerConfig) (*Server, error) {
	if !canLock {
		return nil, fmt.Errorf("open signer: %w", ErrNoLock)
	}
	settings, err := ReadSettings(cfg.Dir)
	if err != nil {
		return nil, err
	}
	identity, err := (KeyFiles{Dir: cfg.Dir, Name: identityKeyName, Passphrase: cfg.Passphrase}).Load()
	if err != nil {
		return nil, fmt.Errorf("open signer: %w", err)
	}
	s := &Server{cfg: cfg, log: cfg.Logger, failure: make(chan error, 1)}
	if s.log == nil {
		s.log = discard()
	}
	secret := ed25519Key(identity)
	defer clear(secret)
	if s.tls, err = tlsConfig(secret, s.nodes); err != nil {
		return nil, err
	}
	if s.keys, err = OpenLocal(cfg.Dir, settings.ChainID, cfg.Passphrase); err != nil {
		return nil, err
	}
	s.log.Info("signing", "chain_id", settings.ChainID, "address", cfg.Listener.Addr().String(), "identity", identity.Public().String(),
		"last_height", s.keys.LastSigned())
	return s, nil
}

// nodes returns the keys of who may ask, as the file says at this moment.
func (s *Server) nodes() ([][]byte, error) {
	settings, err := readSettings(filepath.Join(s.cfg.Dir, settingsName))
	return settings.Nodes, err
}

// Run serves until the context ends, and then returns nil, or until the record cannot be written, and then says so: what the
// disk holds is unknown, and only a new process finds out. It closes listener and record.
func (s *Server) Run(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, s.keys.Close()) }()
	server := grpc.NewServer(
		grpc.Creds(credentials.NewTLS(s.tls)),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxHeaderListSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 5 * time.Second}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: time.Second, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.admit),
	)
	signerv1.RegisterSignerServiceServer(server, s)
	served := make(chan error, 1)
	go func() {
		served <- server.Serve(&boundedListener{Listener: s.cfg.Listener, free: make(chan struct{}, maxConnections)})
	}()
	select {
	case <-ctx.Done():
		stopped := time.AfterFunc(stopGrace, server.Stop)
		server.GracefulStop()
		stopped.Stop()
		<-served
		return nil
	case err := <-s.failure:
		server.Stop()
		<-served
		return err
	case err := <-served:
		return fmt.Errorf("serve: %w", err)
	}
}

// admit looks again whether the caller is listed: its connection may be older than the list.
func (s *Server) admit(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "no connection")
	}
	info, ok := caller.AuthInfo.(credentials.TLSInfo)
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "no TLS")
	}
	if err := s.tls.VerifyConnection(info.State); err != nil {
		s.log.Warn("refused", "address", caller.Addr.String(), "err", err)
		return nil, status.Error(codes.PermissionDenied, "this node may not ask any more")
	}
	return handle(ctx, request)
}

// ListKeys implements the service.
func (s *Server) ListKeys(_ context.Context, in *signerv1.ListKeysRequest) (*signerv1.ListKeysResponse, error) {
	wanted := in.Node != "" || in.Org != ""
	if wanted {
		if err := checkNames(in.Node, in.Org); err != nil {
			return nil, err
		}
	}
	out := &signerv1.ListKeysResponse{}
	for _, public := range s.keys.PublicKeys() {
		key := &signerv1.Key{PublicKey: public}
		if wanted {
			var err error
			if key.Proof, err = s.keys.Prove(public, in.Node, in.Org); err != nil {
				return nil, s.refuse(err)
			}
		}
		out.Keys = append(out.Keys, key)
	}
	return out, nil
}

// Sign implements the service.
func (s *Server) Sign(_ context.Context, in *signerv1.SignRequest) (*signerv1.SignResponse, error) {
	signature, at, err := s.keys.Sign(in.PublicKey, in.Message)
	if err != nil {
		return nil, s.refuse(err)
	}
	out := &signerv1.SignResponse{Signature: signature}
	if !at.IsZero() {
		out.SignedAtUnixNano = at.UnixNano()
	}
	return out, nil
}

// PrepareKey implements the service.
func (s *Server) PrepareKey(ctx context.Context, in *signerv1.PrepareKeyRequest) (*signerv1.PrepareKeyResponse, error) {
	if err := checkNames(in.Node, in.Org); err != nil {
		return nil, err
	}
	public, proof, err := s.keys.Prepare(ctx, in.Node, in.Org)
	if err != nil {
		return nil, s.refuse(err)
	}
	s.log.Info("a key is prepared", "public_key", fmt.Sprintf("%x", public), "node", in.Node, "org", in.Org)
	return &signerv1.PrepareKeyResponse{Key: &signerv1.Key{PublicKey: public, Proof: proof}}, nil
}

// KeepKey implements the service.
func (s *Server) KeepKey(ctx context.Context, in *signerv1.KeepKeyRequest) (*signerv1.KeepKeyResponse, error) {
	if in.FromHeight > math.MaxInt64 {
		return nil, status.Error(codes.InvalidArgument, "from_height is out of range")
	}
	before := len(s.keys.PublicKeys())
	if err := s.keys.Keep(ctx, in.PublicKey, int64(in.FromHeight)); err != nil {
		return nil, s.refuse(err)
	}
	if len(s.keys.PublicKeys()) < before {
		s.log.Info("the former key is destroyed", "public_key", fmt.Sprintf("%x", in.PublicKey), "from_height", in.FromHeight)
	}
	return &signerv1.KeepKeyResponse{}, nil
}

func checkNames(node, org string) error {
	if err := errors.Join(names.Node(node), names.Org(org)); err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	return nil
}

// refuse logs an error and turns it into one of a call; one after which nothing will be signed ends the process.
func (s *Server) refuse(err error) error {
	s.log.Warn("refused", "err", err)
	var kind ErrorKind
	if !errors.As(err, &kind) {
		return status.Error(codes.Internal, "the signer's files cannot be used; its log says why")
	}
	if kind.Fatal() {
		select {
		case s.failure <- err:
		default:
		}
		return status.Error(codes.Unavailable, "the signer is stopping; its log says why")
	}
	for _, k := range kindCodes {
		if kind == k.kind {
			return status.Error(k.code, err.Error())
		}
	}
	return status.Error(codes.Internal, err.Error())
}

// kindCodes is how refusals travel.
var kindCodes = []struct {
	kind ErrorKind
	code codes.Code
}{
	{ErrMessage, codes.InvalidArgument},
	{ErrRegression, codes.OutOfRange},
	{ErrConflict, codes.Aborted},
	{ErrUnknownKey, codes.NotFound},
	{ErrKeyInUse, codes.FailedPrecondition},
}

// boundedListener accepts while there are fewer connections than free has room for.
type boundedListener struct {
	net.Listener
	free chan struct{}
}

func (l *boundedListener) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &boundedConn{Conn: conn, free: l.free}, nil
}

type boundedConn struct {
	net.Conn
	free chan struct{}
	once sync.Once
}

func (c *boundedConn) Close() error {
	c.once.Do(func() { <-c.free })
	return c.Conn.Close()
}

// discard is the logger of who has none.
func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
