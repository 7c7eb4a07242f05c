package grpcapi

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/althing-ledger/althing/mempool"
)

// TestClientAt tells addresses apart.
func TestClientAt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ip, zone, want string }{
		{"10.1.2.3", "", "10.1.2.3"},
		{"::ffff:10.1.2.3", "", "10.1.2.3"},
		{"2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"},
		{"2001:db8:1:2::1", "", "2001:db8:1:2::/64"},
		{"2001:db8:1:3::1", "", "2001:db8:1:3::/64"},
		{"fe80::1", "eth0", "fe80::/64"},
	} {
		if got := clientAt(&net.TCPAddr{IP: net.ParseIP(c.ip), Port: 9, Zone: c.zone}); got != c.want {
			t.Errorf("%s is %s, want %s", c.ip, got, c.want)
		}
	}
	if got := clientAt(&net.UnixAddr{Name: "/x", Net: "unix"}); got != "/x" {
		t.Errorf("a socket is %s", got)
	}
}

// TestShares fills places: one client gets a quarter, all together no more than there are.
func TestShares(t *testing.T) {
	t.Parallel()
	s := newShares(8)
	var free []func()
	for _, client := range []string{"a", "b", "c", "d"} {
		for i := range 3 {
			f, ok := s.take(client)
			if ok != (i < 2) {
				t.Fatalf("place %d of %s: %v", i, client, ok)
			}
			if ok {
				free = append(free, f)
			}
		}
	}
	if _, ok := s.take("e"); ok {
		t.Error("a ninth place")
	}
	for _, f := range free {
		f()
	}
	if s.taken != 0 || len(s.by) != 0 {
		t.Errorf("all are free, and %d are taken by %v", s.taken, s.by)
	}
	if _, ok := newShares(1).take("a"); !ok {
		t.Error("a quarter of one place is none")
	}
}

// TestConnections opens more connections than a client may have: they are closed at once, the others live.
func TestConnections(t *testing.T) {
	t.Parallel()
	address := newWorld(t, mempool.Config{}).serve(func(c *Config) { c.MaxConnections = 4 })
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	health := grpc_health_v1.NewHealthClient(conn)
	if _, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Fatal(err)
	}
	refused := func() bool {
		second, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		defer second.Close()
		if err := second.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		// A server that takes a connection says its settings first.
		n, err := second.Read(make([]byte, 1))
		if n == 0 && !errors.Is(err, io.EOF) {
			var reset *net.OpError
			if !errors.As(err, &reset) || reset.Timeout() {
				t.Fatalf("neither served nor closed: %v", err)
			}
		}
		return n == 0
	}
	if !refused() {
		t.Error("a second connection was taken")
	}
	if _, err := health.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{}); err != nil {
		t.Errorf("the first connection: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for refused() && t.Context().Err() == nil {
	}
}
