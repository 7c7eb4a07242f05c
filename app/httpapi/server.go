package httpapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/proto"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// Bounds of a connection.
const (
	maxHeader = 16 << 10 // bytes, as over gRPC
	// maxPath bounds the path and the query, in bytes: 64 values of a filter, and a page's token.
	maxPath           = 14 << 10
	maxStreams        = 100 // requests under way on a connection of HTTP/2
	readHeaderTimeout = 10 * time.Second
	// smallBody is the size of a body, in bytes, of which as many may be in memory as requests are under way: a transaction of the
	// size that charters allow unless they say otherwise, in base64.
	smallBody = 384 << 10
	// bodyTimeout is how long a body may take to come.
	bodyTimeout = time.Minute
	idleTimeout = 2 * time.Minute
	// callTimeout bounds every call but a watch: nothing waits longer over gRPC either.
	callTimeout = 5 * time.Minute
	// stopGrace is how long requests under way may take when the node stops.
	stopGrace = time.Second
)

// Kinds of bodies.
const (
	contentJSON   = "application/json"
	contentOctets = "application/octet-stream"
)

// Config is everything a [Server] needs.
type Config struct {
	// API answers. It has to run while the server does.
	API *grpcapi.Server
	// ChainID names the network.
	ChainID string
	// Listener takes the connections. Run closes it.
	Listener net.Listener
	// TLS secures them; nil for plain text, which is for loopback only.
	TLS *tls.Config
	// Hosts are names, besides localhost and IP addresses, under which clients may ask for the node in plain text. With TLS
	// the certificate says that.
	Hosts []string
	// Origins are the web pages that may read answers, SCHEME://HOST[:PORT] each, or `*` for all. Default none.
	Origins []string
	// MaxConnections bounds the connections; one client has at most a quarter of them. Default 1,024.
	MaxConnections int
	// Logger receives what the server of HTTP has to complain about. Default: none.
	Logger *slog.Logger
}

// Server serves one node's API over HTTP.
type Server struct {
	cfg    Config
	http   *http.Server
	conn   *grpc.ClientConn
	ledger ledgerv1.LedgerServiceClient
	mux    *runtime.ServeMux
	routes map[string]route // by the pattern of their path
	json   *runtime.JSONPb
	// network marks the ETags of this network: the digits of its genesis hash.
	network string
	// stopping ends when the node stops. Watches end with it, the rest may take a moment longer.
	stopping context.Context
	stop     context.CancelFunc
}

// New returns a server that does not serve yet. Who calls it closes the server in the end.
func New(cfg Config) (*Server, error) {
	if cfg.MaxConnections == 0 {
		cfg.MaxConnections = 1024
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	conn, err := cfg.API.Local()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, conn: conn, ledger: ledgerv1.NewLedgerServiceClient(conn), json: newJSON(),
		network: cfg.ChainID[max(0, len(cfg.ChainID)-8):],
	}
	if s.routes, err = readRoutes(proto.OpenAPI); err == nil {
		err = s.routeAll()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the routes: %w", err), conn.Close())
	}
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.http = &http.Server{
		Handler: s, ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		HTTP2:     &http.HTTP2Config{MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: 8 << 20, MaxReceiveBufferPerStream: 1 << 20},
		TLSConfig: cfg.TLS.Clone(),
		ErrorLog:  slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// Run serves until the context ends, then lets requests under way finish for a moment. It returns nil then, or the error that
// ended it.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		listener, serve := grpcapi.BoundConnections(s.cfg.Listener, s.cfg.MaxConnections), s.http.Serve
		if s.cfg.TLS != nil {
			serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
		}
		if err := serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP on %s: %w", s.cfg.Listener.Addr(), err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		s.stop()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
		defer cancel()
		if err := s.http.Shutdown(grace); err != nil {
			return s.http.Close()
		}
		return nil
	})
	return group.Wait()
}

// Close frees what New opened. Run must have returned, or never begun.
func (s *Server) Close() error {
	s.stop()
	return errors.Join(s.http.Close(), s.conn.Close())
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a := newAnswer(w, r)
	if !s.meet(a, r) {
		return
	}
	if len(r.RequestURI) > maxPath {
		s.fail(a, refuse(http.StatusRequestURITooLong, "TOO_LARGE", "the path and query have %d bytes, at most %d", len(r.RequestURI), maxPath))
		return
	}
	client := clientAddress(r.RemoteAddr)
	leave, err := s.cfg.API.Enter(client)
	if err != nil {
		s.fail(a, err)
		return
	}
	defer leave()
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		leave, err := s.cfg.API.EnterLarge(client)
		if err != nil {
			s.fail(a, err)
			return
		}
		defer leave()
	}
	if r, err = s.takeBody(a, r); err != nil {
		s.fail(a, err)
		return
	}
	r = r.WithContext(grpcapi.ForClient(r.Context(), client)) // a copy: net/http leaves the body out of what answers its own HEAD
	if a.head = r.Method == http.MethodHead; a.head {
		r.Method = http.MethodGet
	}
	if r.Method == http.MethodGet && r.URL.Path == documentPath {
		s.serveDocument(a)
		return
	}
	s.mux.ServeHTTP(a, r)
}

// takeBody reads the body of a request, which only a submission has, within its time. The connection is then watched for its
// end and nothing else.
func (s *Server) takeBody(a *answer, r *http.Request) (*http.Request, error) {
	most := 0
	if r.Method == http.MethodPost {
		switch most = s.cfg.API.MaxMessage(); {
		case isContent(r, contentOctets):
		case isContent(r, contentJSON):
			most = most/3*4 + 4096 // base64, and what stands around it
		default:
			return nil, refuse(http.StatusUnsupportedMediaType, "CONTENT_TYPE", "send the transaction as %s or %s", contentJSON, contentOctets)
		}
	}
	if r.ContentLength == 0 || r.Body == http.NoBody {
		return r, nil
	}
	if r.ContentLength > int64(most) {
		return nil, tooLarge(most)
	}
	if err := a.control.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return nil, err
	}
	content, err := io.ReadAll(http.MaxBytesReader(a.ResponseWriter, r.Body, int64(most)))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(most)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "BODY", "the body did not come: %v", err)
	}
	if err := a.control.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	return r, nil
}

func tooLarge(most int) error {
	if most == 0 {
		return refuse(http.StatusRequestEntityTooLarge, "TOO_LARGE", "this method takes no body")
	}
	return refuse(http.StatusRequestEntityTooLarge, "TOO_LARGE", "the body has more than %d bytes", most)
}

// isContent says whether a request's body is of a kind.
func isContent(r *http.Request, kind string) bool {
	named, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && named == kind
}

// clientAddress is the address of a client as net/http tells it, IP:PORT.
type clientAddress string

// Network is that of all clients.
func (clientAddress) Network() string { return "tcp" }

func (a clientAddress) String() string { return string(a) }
