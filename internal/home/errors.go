package home

import "fmt"

// ErrorKind says why a home cannot be used. Every kind is something its owner has to set right before trying again; an
// error of this package without a kind is one of the file system. Kinds work with errors.Is, and errors.As finds the
// kind of any error.
type ErrorKind string

// Error makes a kind usable as an error by itself.
func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrNotHome is returned by Load for a directory that is not the home of a node, or lacks a part of one.
	ErrNotHome = ErrorKind("not the home of a node")
	// ErrNewer is returned by Load for a home that a newer version of this program made.
	ErrNewer = ErrorKind("the home was made by a newer version")
	// ErrConfig is returned for a configuration with unknown keys or values that cannot be.
	ErrConfig = ErrorKind("invalid configuration")
	// ErrKey is returned for a key file that is damaged, of another scheme, or accessible by others.
	ErrKey = ErrorKind("unusable key file")
	// ErrExists is returned by Init when there is something in the place of the new home.
	ErrExists = ErrorKind("the directory exists and is not empty")
	// ErrInUse is the kind of an [InUseError].
	ErrInUse = ErrorKind("in use by another process")
)

// InUseError is returned when another process holds a lock. It is [ErrInUse].
type InUseError struct {
	Path string // of the locked file
	PID  int    // of the process that holds it; 0 if it has not said yet
}

// Error names the file and the process.
func (e *InUseError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("%s is locked by another process", e.Path)
	}
	return fmt.Sprintf("%s is locked by process %d", e.Path, e.PID)
}

// Is makes the error match [ErrInUse].
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// As makes the kind findable.
func (e *InUseError) As(target any) bool {
	kind, ok := target.(*ErrorKind)
	if ok {
		*kind = ErrInUse
	}
	return ok
}
