//go:build unix

package testnet

import "syscall"

// reuse says whether a socket may take a port on which connections have ended less than a minute or so ago.
func reuse(socket syscall.RawConn, allowed bool) error {
	value := 0
	if allowed {
		value = 1
	}
	var err error
	refused := socket.Control(func(fd uintptr) {
		err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, value)
	})
	if refused != nil {
		return refused
	}
	return err
}
