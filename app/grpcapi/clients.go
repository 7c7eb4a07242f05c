package grpcapi

import (
	"context"
	"net"
	"net/netip"
	"sync"

	"google.golang.org/grpc/peer"
)

// clientOf returns what tells the client of a call from others.
func clientOf(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		return clientAt(p.Addr)
	}
	return "unknown"
}

// clientAt returns what tells the client at an address from others: an IPv4 address, or the first 64 bits of an IPv6
// address, because whoever has one of those has all that begin like it.
func clientAt(address net.Addr) string {
	text := address.String()
	at, err := netip.ParseAddrPort(text)
	if err != nil {
		return text
	}
	ip := at.Addr().Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	return netip.PrefixFrom(ip, 64).Masked().String()
}

// shares divides places among clients: no client has more than a quarter of them at a time, and at least one.
type shares struct {
	total, each int

	mu    sync.Mutex
	taken int
	by    map[string]int // no zeros
}

func newShares(total int) *shares {
	return &shares{total: total, each: max(1, total/4), by: make(map[string]int)}
}

// take takes a place if there is one for the client. Who gets true calls free once.
func (s *shares) take(client string) (free func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken >= s.total || s.by[client] >= s.each {
		return nil, false
	}
	s.taken++
	s.by[client]++
	return func() { s.free(client) }, true
}

func (s *shares) free(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.taken--
	if s.by[client]--; s.by[client] == 0 {
		delete(s.by, client)
	}
}
