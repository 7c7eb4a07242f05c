package main

import (
	"io"
	"sync"
)

const (
	// maxUnsent is how many bytes may wait for a connection before whoever adds to them waits too.
	maxUnsent = 256 << 10
	// maxDue is how many transactions of one connection a node may owe an answer; it reads no more until it has answered.
	maxDue = 1 << 16
)

// outbox collects what goes out on a connection, so that one write takes what has come together since the last one. All its
// methods may be called from any goroutine; run is called once.
type outbox struct {
	mu      sync.Mutex
	changed *sync.Cond
	unsent  []byte
	due     int  // answers that are still to be put in
	closed  bool // nothing more will be put in but answers that are due
	err     error
}

func newOutbox() *outbox {
	o := &outbox{}
	o.changed = sync.NewCond(&o.mu)
	return o
}

// put adds a frame, and waits while there is no room.
func (o *outbox) put(header, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.unsent) >= maxUnsent && o.err == nil {
		o.changed.Wait()
	}
	if o.err != nil {
		return o.err
	}
	o.unsent = append(append(o.unsent, header...), payload...)
	o.changed.Broadcast()
	return nil
}

// owe notes that an answer is due, and waits while too many are.
func (o *outbox) owe() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for o.due >= maxDue && o.err == nil {
		o.changed.Wait()
	}
	o.due++
	return o.err
}

// answer adds an answer that was due. It never waits: what is due is bounded.
func (o *outbox) answer(a [answerBytes]byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.due--
	o.unsent = append(o.unsent, a[:]...)
	o.changed.Broadcast()
}

// close says that nothing will be put in but what is due.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Broadcast()
}

// fail ends run and everybody who waits.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
	}
	o.changed.Broadcast()
}

// run writes until everything is written after close, or until it fails.
func (o *outbox) run(w io.Writer) error {
	var sending []byte
	for {
		o.mu.Lock()
		for len(o.unsent) == 0 && o.err == nil && (!o.closed || o.due > 0) {
			o.changed.Wait()
		}
		err := o.err
		sending, o.unsent = o.unsent, sending[:0]
		o.changed.Broadcast()
		o.mu.Unlock()
		if err != nil || len(sending) == 0 {
			return err
		}
		if _, err := w.Write(sending); err != nil {
			o.fail(err)
			return err
		}
	}
}
