//go:build !linux

package signer

import "os"

// datasync flushes the file.
func datasync(f *os.File) error { return f.Sync() }
