package consensus

import "fmt"

// ErrorKind names what went wrong. Kinds work with [errors.Is]; the text around them
// is for people.
type ErrorKind string

// Error makes a kind usable as an error by itself.
func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrInvalidConfig is returned by New and Validate for an unusable [Config].
	ErrInvalidConfig = ErrorKind("invalid consensus configuration")
	// ErrForeignData is returned by New when the databases belong to another network.
	ErrForeignData = ErrorKind("the data directory belongs to another network")
	// ErrAlreadyRun is returned by a second call of Run.
	ErrAlreadyRun = ErrorKind("the node has been run before")
	// ErrListen is returned by Run when the listening address cannot be bound.
	ErrListen = ErrorKind("cannot listen")
	// ErrReplay is returned by Run when the application could not be brought to the
	// height of the stored blocks.
	ErrReplay = ErrorKind("replay failed")
	// ErrConsensusStopped is returned by Run when consensus ended by itself. The node's
	// state is as of the last committed block; restarting it will usually fail in the same
	// way until the cause is repaired.
	ErrConsensusStopped = ErrorKind("consensus stopped")

	// ErrPruned is the kind of [PrunedError].
	ErrPruned = ErrorKind("block is pruned")
	// ErrFuture is returned for a height that is not decided yet.
	ErrFuture = ErrorKind("block is not decided yet")
	// ErrNotReady is returned when the node cannot answer because it has stopped.
	ErrNotReady = ErrorKind("the node has stopped")
)

// PrunedError is returned for a block that has been pruned. It is [ErrPruned].
type PrunedError struct {
	Height int64 // what was asked for
	Base   int64 // the oldest height that is kept
}

// Error names both heights.
func (e *PrunedError) Error() string {
	return fmt.Sprintf("block %d is pruned: the oldest one kept is %d", e.Height, e.Base)
}

// Is makes the error match [ErrPruned].
func (e *PrunedError) Is(target error) bool { return target == ErrPruned }
