//go:build unix

package testnet

import "syscall"

// ownSession detaches a process from the terminal.
func ownSession() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
