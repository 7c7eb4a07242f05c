//go:build unix

package signer

import (
	"errors"
	"os"
	"syscall"
)

// canLock says whether lock keeps others out.
const canLock = true

// lock takes the file for this process, until unlock.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return ErrRecordInUse
	}
	return err
}

// unlock lets go of the file. Closing it is not enough: a program that is being started at this moment holds a copy of every
// open file, and with it the lock, until it executes.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
