//go:build !linux

package consensus

import "os"

// datasync flushes the file.
func datasync(f *os.File) error { return f.Sync() }
