//go:build !unix

package testnet

import "syscall"

// reuse does nothing: here sockets are exclusive, and what has ended holds no port.
func reuse(syscall.RawConn, bool) error { return nil }
