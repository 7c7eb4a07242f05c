package mempool

import (
	"errors"
	"fmt"
	"time"
)

var (
	// ErrClosed is returned when the pool does not work any more: its Run has ended.
	ErrClosed = errors.New("the pool of pending transactions is closed")

	// ErrCommitted is returned by Submit when the transaction stands in a block already. Its outcome is in the index.
	ErrCommitted = errors.New("the transaction is committed already")

	// ErrMalformedMessage is returned by Receive for bytes that no node of this version sends.
	ErrMalformedMessage = errors.New("malformed gossip message")

	// ErrTooManyPulses is returned by Receive when a peer pulses far more often than any node of this version does.
	ErrTooManyPulses = errors.New("too many pulses")

	// ErrInvalidConfig is returned by constructors, joined with everything that is wrong.
	ErrInvalidConfig = errors.New("invalid configuration of the pool")
)

// FullError is returned when a bound is reached. Nothing was kept; the same bytes may be sent again later.
type FullError struct {
	// What is full, for people: "the queue of arrivals", "the pool", "the share of acme".
	What string
	// RetryAfter is an estimate of when there will be room for it, 100 ms to 30 s.
	RetryAfter time.Duration
}

func (e *FullError) Error() string {
	return fmt.Sprintf("%s is full: send the transaction again in %v", e.What, e.RetryAfter)
}
