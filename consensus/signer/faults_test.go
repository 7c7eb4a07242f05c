package signer

import "errors"

var errDisk = errors.New("the disk is on fire")

// faultyFile is a disk that fails at the n-th operation, counting writes and syncs from
// one, and at every later one.
type faultyFile struct {
	recordFile
	failAt int
	lose   bool // the failing write leaves nothing; otherwise half of it is on the disk
	count  int
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	if f.count++; f.count < f.failAt {
		return f.recordFile.WriteAt(p, off)
	}
	n := 0
	if !f.lose && f.count == f.failAt {
		n, _ = f.recordFile.WriteAt(p[:len(p)/2], off)
	}
	return n, errDisk
}

func (f *faultyFile) Datasync() error {
	if f.count++; f.count < f.failAt {
		return f.recordFile.Datasync()
	}
	return errDisk
}
