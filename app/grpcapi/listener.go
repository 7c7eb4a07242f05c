package grpcapi

import (
	"net"
	"sync"
)

// limitedListener closes connections beyond the places there are at once: a client that hears so tries another node,
// one that is left waiting does not.
type limitedListener struct {
	net.Listener
	places *shares
}

// Accept returns the next connection that has a place.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		free, ok := l.places.take(clientAt(conn.RemoteAddr()))
		if ok {
			return &placedConn{Conn: conn, free: sync.OnceFunc(free)}, nil
		}
		// It was never used: there is nothing that its failure to close could tell.
		_ = conn.Close()
	}
}

// placedConn gives its place back when it is closed.
type placedConn struct {
	net.Conn
	free func()
}

// Close closes the connection.
func (c *placedConn) Close() error {
	defer c.free()
	return c.Conn.Close()
}
