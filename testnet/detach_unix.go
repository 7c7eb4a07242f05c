//go:build unix

package testnet

import "syscall"

// detached detaches a process from the terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
