//go:build !unix

package testnet

import "syscall"

// detached does nothing where there are no terminals to detach from.
func detached() *syscall.SysProcAttr { return nil }
