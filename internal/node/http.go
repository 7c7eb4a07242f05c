package node

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/app/httpapi"
	"github.com/althing-ledger/althing/internal/home"
)

// httpServer serves the API over HTTP. The zero one serves nothing.
type httpServer struct {
	listener net.Listener
	server   *httpapi.Server
}

func newHTTPServer(h *home.Home, chainID string, api *grpcapi.Server, log *slog.Logger) (*httpServer, error) {
	if h.Config.HTTP.Listen == "" {
		return &httpServer{}, nil
	}
	tls, err := h.HTTPTLS()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", h.Config.HTTP.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for clients over HTTP: %w", err)
	}
	server, err := httpapi.New(httpapi.Config{
		API: api, ChainID: chainID, Listener: listener, TLS: tls,
		Hosts: h.Config.HTTP.Hosts, Origins: h.Config.HTTP.Origins, Logger: log,
	})
	if err != nil {
		listener.Close()
		return nil, err
	}
	return &httpServer{listener, server}, nil
}

func (s *httpServer) address() string {
	if s.listener == nil {
		return "off"
	}
	return s.listener.Addr().String()
}

// run serves until the context ends.
func (s *httpServer) run(ctx context.Context) error {
	if s.server == nil {
		return nil
	}
	return s.server.Run(ctx)
}

func (s *httpServer) close() {
	if s.server != nil {
		s.server.Close()
		s.listener.Close()
	}
}
