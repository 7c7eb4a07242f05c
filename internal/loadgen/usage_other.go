//go:build !unix

package loadgen

import (
	"io/fs"
	"time"
)

// ownCPU returns the processor time of the generator itself, 0 where the system does not tell.
func ownCPU() time.Duration { return 0 }

// onDisk returns what a file takes on disk.
func onDisk(info fs.FileInfo) int64 { return info.Size() }
