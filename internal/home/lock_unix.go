//go:build unix

package home

import (
	"errors"
	"os"
	"syscall"
)

// errLocked is returned by lockExclusive and lockShared when somebody else has the file.
var errLocked = errors.New("locked")

func lockExclusive(f *os.File) error { return flock(f, syscall.LOCK_EX) }

func lockShared(f *os.File) error { return flock(f, syscall.LOCK_SH) }

// flock locks the open file and not the process: another open file of the same process is kept out too.
func flock(f *os.File, how int) error {
	err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
