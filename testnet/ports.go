package testnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"syscall"
	"time"
)

// Ports are taken from below the range from which systems give ports to outgoing connections (from 32768 on Linux, from
// 49152 elsewhere), so that a port is still free when its node comes back.
const (
	firstPort = 20_000
	lastPort  = 31_999

	// portsPerNode is how many a process takes: for nodes, clients, metrics and HTTP.
	portsPerNode = 4

	// leaveTimeout bounds what takes a fraction of a millisecond.
	leaveTimeout = 5 * time.Second
)

// loopback is the only host on which anything here listens or is published.
const loopback = "127.0.0.1"

// ports is a set of free ports, kept free for us as long as it is open.
//
// Between Close and the start of the nodes somebody else could find them free. So each is left, where that works, with a connection that
// has just ended: for a minute such a port can be listened on, as all servers do, and is not found free by anybody who reserves ports.
type ports struct {
	numbers   []int
	listeners []*net.TCPListener
}

// reserve finds count free ports. The error is [ErrPortInUse] when there are not that many.
func reserve(count int) (*ports, error) { return reserveBetween(firstPort, lastPort, count) }

// reserveBetween is reserve in a range, beginning anywhere.
func reserveBetween(lowest, highest, count int) (*ports, error) {
	p := &ports{}
	span := highest - lowest + 1
	start := rand.IntN(span)
	exclusive := net.ListenConfig{Control: func(_, _ string, socket syscall.RawConn) error { return reuse(socket, false) }}
	for i := 0; i < span && len(p.numbers) < count; i++ {
		number := lowest + (start+i)%span
		listener, err := exclusive.Listen(context.Background(), "tcp", at(number))
		if err != nil {
			continue // somebody uses it
		}
		p.numbers = append(p.numbers, number)
		p.listeners = append(p.listeners, listener.(*net.TCPListener))
	}
	if len(p.numbers) < count {
		errs := []error{fmt.Errorf("%w: %d of %d ports are free between %d and %d", ErrPortInUse, len(p.numbers), count, lowest, highest)}
		for _, listener := range p.listeners {
			errs = append(errs, listener.Close())
		}
		return nil, errors.Join(errs...)
	}
	return p, nil
}

// next returns the ports one after the other.
func (p *ports) next() int {
	number := p.numbers[0]
	p.numbers = p.numbers[1:]
	return number
}

// Close gives the ports to whoever listens on them first.
func (p *ports) Close() error {
	var errs []error
	works := true
	for _, listener := range p.listeners {
		works = works && leave(listener) == nil // nothing fails without it
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
}

// leave makes a connection to a listener and ends it from the listener's side, where the system remembers it.
func leave(listener *net.TCPListener) error {
	socket, err := listener.SyscallConn()
	if err != nil {
		return err
	}
	if err := reuse(socket, true); err != nil { // the connection inherits it
		return err
	}
	client, err := net.DialTimeout("tcp", listener.Addr().String(), leaveTimeout)
	if err != nil {
		return err
	}
	defer client.Close()
	deadline := time.Now().Add(leaveTimeout)
	if err := errors.Join(listener.SetDeadline(deadline), client.SetDeadline(deadline)); err != nil {
		return err
	}
	for {
		server, err := listener.Accept()
		if err != nil {
			return err
		}
		if err := server.Close(); err != nil {
			return err
		}
		if server.RemoteAddr().String() == client.LocalAddr().String() {
			break // and not a node that looks for one that had this port
		}
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("the end of a connection to %s: %w", listener.Addr(), err)
	}
	return nil
}

// at is the address of a port on loopback.
func at(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }

// checkFree tries to listen on an address. The error is [ErrPortInUse] if somebody else does.
func checkFree(who, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w: %s cannot listen on %s: %w", ErrPortInUse, who, address, err)
	}
	return listener.Close()
}
