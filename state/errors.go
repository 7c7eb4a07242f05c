package state

import (
	"errors"
	"fmt"
)

// ErrorKind identifies a kind of error. Kinds are for errors.Is; the message
// of the error that wraps one says what happened and what to do.
type ErrorKind string

// Error returns the name of the kind.
func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrLocked is returned by Open and Check when another process has the
	// directory open.
	ErrLocked = ErrorKind("state directory is in use")
	// ErrForeign is returned by Open and Check when the directory holds
	// something that this package did not write.
	ErrForeign = ErrorKind("directory does not hold ledger state")
	// ErrNewer is returned by Open and Check when the directory was written
	// by a newer format; see [NewerError].
	ErrNewer = ErrorKind("state was written by a newer version")
	// ErrAbsent is returned by Check, and by Open with Config.ReadOnly, when
	// the directory holds no state yet.
	ErrAbsent = ErrorKind("state does not exist")
	// ErrCorrupt is returned when what is on disk contradicts itself.
	ErrCorrupt = ErrorKind("state is corrupt")
	// ErrPruned is returned for a height that is no longer kept; see
	// [PrunedError].
	ErrPruned = ErrorKind("height has been pruned")
	// ErrFuture is returned for a height that has not been committed; see
	// [FutureError].
	ErrFuture = ErrorKind("height is in the future")
	// ErrStoreFailed is returned by every write after one has failed. The
	// process has to exit; reopening the directory recovers.
	ErrStoreFailed = ErrorKind("state store has failed")
	// ErrClosed is returned after Close.
	ErrClosed = ErrorKind("state store is closed")
	// ErrReleased is returned by a view after Release.
	ErrReleased = ErrorKind("view has been released")
	// ErrReadOnly is returned by writes to a store opened read-only.
	ErrReadOnly = ErrorKind("state store is read-only")
	// ErrMisuse is returned when a call breaks the contract of the package:
	// a height out of order, an overlay over another state, an empty value.
	ErrMisuse = ErrorKind("misuse of the state store")
	// ErrNoLocal is returned when local data is asked of a view of a past
	// height; only the newest is kept.
	ErrNoLocal = ErrorKind("local data exists only in the latest view")
	// ErrTooManyKeys is returned by [View.Prove] for more than MaxProofKeys
	// keys: ask for fewer, in several proofs.
	ErrTooManyKeys = ErrorKind("more keys than one proof may have")
)

// PrunedError says that a height is no longer kept. errors.Is(err, ErrPruned).
type PrunedError struct {
	Height uint64 // asked for
	Oldest uint64 // the oldest height that can be read
}

func (e *PrunedError) Error() string {
	return fmt.Sprintf("height %d has been pruned, the oldest kept is %d", e.Height, e.Oldest)
}

// Is reports whether target is ErrPruned.
func (e *PrunedError) Is(target error) bool { return target == ErrPruned }

// FutureError says that a height has not been committed here.
// errors.Is(err, ErrFuture).
type FutureError struct {
	Height uint64 // asked for
	Latest uint64 // the newest height that can be read
}

func (e *FutureError) Error() string {
	return fmt.Sprintf("height %d is in the future, the latest is %d", e.Height, e.Latest)
}

// Is reports whether target is ErrFuture.
func (e *FutureError) Is(target error) bool { return target == ErrFuture }

// NewerError says that a directory was written by a newer format.
// errors.Is(err, ErrNewer).
type NewerError struct {
	Dir       string
	Found     uint32 // format of the directory
	Supported uint32 // newest format this program reads
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("state in %s has format %d and this program reads formats up to %d: run the newer program, or restore a directory of the older one",
		e.Dir, e.Found, e.Supported)
}

// Is reports whether target is ErrNewer.
func (e *NewerError) Is(target error) bool { return target == ErrNewer }

// kindError gives a message of its own to a kind.
type kindError struct {
	kind ErrorKind
	msg  string
	err  error // what it was caused by, or nil
}

func (e *kindError) Error() string {
	if e.err != nil {
		return e.msg + ": " + e.err.Error()
	}
	return e.msg
}

func (e *kindError) Is(target error) bool { return target == e.kind }
func (e *kindError) Unwrap() error        { return e.err }

func errorf(kind ErrorKind, format string, args ...any) error {
	return &kindError{kind: kind, msg: fmt.Sprintf(format, args...)}
}

func wrapf(kind ErrorKind, err error, format string, args ...any) error {
	if errors.Is(err, kind) {
		return fmt.Errorf(format+": %w", append(args, err)...)
	}
	return &kindError{kind: kind, msg: fmt.Sprintf(format, args...), err: err}
}
