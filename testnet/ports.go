package testnet

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
)

// Ports are taken from below the range from which systems give ports to outgoing connections (from 32768 on Linux, from
// 49152 elsewhere), so that a port is still free when its node comes back.
const (
	firstPort = 20_000
	lastPort  = 31_999

	// portsPerNode is how many a process takes: for nodes, clients, metrics and HTTP.
	portsPerNode = 4
)

// loopback is the only host on which anything here listens or is published.
const loopback = "127.0.0.1"

// ports is a set of free ports, kept free for us as long as it is open.
type ports struct {
	numbers   []int
	listeners []net.Listener
}

// reserve finds count free ports, beginning anywhere. The error is [ErrPortInUse] when there are not that many.
func reserve(count int) (*ports, error) {
	p := &ports{}
	const span = lastPort - firstPort + 1
	start := rand.IntN(span)
	for i := 0; i < span && len(p.numbers) < count; i++ {
		number := firstPort + (start+i)%span
		listener, err := net.Listen("tcp", at(number))
		if err != nil {
			continue // somebody uses it
		}
		p.numbers = append(p.numbers, number)
		p.listeners = append(p.listeners, listener)
	}
	if len(p.numbers) < count {
		return nil, errors.Join(
			fmt.Errorf("%w: %d of %d ports are free between %d and %d", ErrPortInUse, len(p.numbers), count, firstPort, lastPort),
			p.Close())
	}
	return p, nil
}

// next returns the ports one after the other.
func (p *ports) next() int {
	number := p.numbers[0]
	p.numbers = p.numbers[1:]
	return number
}

// Close gives the ports to whoever takes them first.
func (p *ports) Close() error {
	var errs []error
	for _, listener := range p.listeners {
		errs = append(errs, listener.Close())
	}
	return errors.Join(errs...)
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
