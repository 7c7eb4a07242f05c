package signer

import (
	"os"
	"syscall"
)

// datasync flushes content, but not the times of a file whose size does not change.
func datasync(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if err != syscall.EINTR {
			return err
		}
	}
}
