package state

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/cockroachdb/pebble/v2"
)

// Write describes one write to the database: a batch that is applied as a
// whole or not at all.
type Write struct {
	// Writer names who writes: "format" (the marker of a new directory),
	// "app" (a block), "prune", "local" (SetLocal), or "comet/" and the name
	// of a database of the consensus engine.
	Writer string
	// Sync says that the writer waits until the write is on disk. A write
	// that does not is made durable by the next one that does.
	Sync bool
	// Ops and Bytes are the number of operations and the size of the batch.
	Ops   int
	Bytes int
}

// WriteHook decides about a write before it happens. With apply and a nil
// error the write goes ahead. With apply and an error it happens and is
// reported as failed; without apply it is lost and reported as failed. Either
// failure kills the store.
type WriteHook func(Write) (apply bool, err error)

// fatalLog is what the database's logger panics with when the database gives
// up: it expects that call not to return.
type fatalLog struct{ message string }

// write is the only place that writes to the database. It takes over the
// batch. After a failure every later call fails: what the writers hold in
// memory no longer agrees with the disk.
func (s *Store) write(writer string, batch *pebble.Batch, sync bool) (err error) {
	if err := s.usable(); err != nil {
		return errors.Join(err, batch.Close())
	}
	defer func() {
		if err == nil {
			err = batch.Close()
		}
		if err != nil {
			err = s.fail(fmt.Errorf("write (%s): %w", writer, err))
		}
	}()
	var after error
	if hook := s.cfg.WriteHook; hook != nil {
		apply, err := hook(Write{Writer: writer, Sync: sync, Ops: int(batch.Count()), Bytes: batch.Len()})
		if !apply {
			if err == nil {
				err = fmt.Errorf("dropped by the write hook")
			}
			return err
		}
		after = err
	}
	if err := s.apply(batch, sync); err != nil {
		return err
	}
	return after
}

// apply hands the batch to Pebble. When Pebble cannot write its log it panics
// or calls its logger's Fatalf in this very goroutine, and its commit pipeline
// stays locked: the error is reported, and Close leaves the database alone.
func (s *Store) apply(batch *pebble.Batch, sync bool) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case fatalLog:
			s.abandoned.Store(true)
			err = fmt.Errorf("database gave up: %s", p.message)
		case runtime.Error:
			panic(p)
		case error:
			s.abandoned.Store(true)
			err = fmt.Errorf("database gave up: %w", p)
		default:
			panic(p)
		}
	}()
	if sync {
		return batch.Commit(pebble.Sync)
	}
	return batch.Commit(pebble.NoSync)
}

// fail makes the store unusable and returns the error to report.
func (s *Store) fail(err error) error {
	err = wrapf(ErrStoreFailed, err, "state store has failed, restart the node")
	s.failOnce.Do(func() {
		s.failure = err
		close(s.failed)
	})
	return err
}

// usable returns why the store cannot be written, or nil.
func (s *Store) usable() error {
	if s.cfg.ReadOnly {
		return ErrReadOnly
	}
	select {
	case <-s.failed:
		return s.failure
	default:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	return nil
}
