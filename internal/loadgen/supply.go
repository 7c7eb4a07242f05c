package loadgen

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// validFor is how long a transaction that is signed while the load runs is good for.
	validFor = 2 * time.Minute
	// longestValid bounds how far ahead the expiry of one that is signed before lies: ledgers allow few to be good for longer.
	longestValid = 9 * time.Minute
	// signedWaiting is how many transactions that were signed while the load runs wait for being sent, in each lane.
	signedWaiting = 256
	// chunk is the size of the pieces of memory in which signed transactions lie.
	chunk = 1 << 20
)

// supply makes the transactions of a lane: those that were signed ahead first, then as they are needed.
type supply struct {
	workload Workload
	senders  []int

	made atomic.Uint64 // how many were asked of the workload, which says whose turn it is

	mu      sync.Mutex
	ahead   []Tx // whose bytes lie in chunks
	next    int  // of ahead
	chunk   []byte
	expires time.Time // of all of ahead

	fresh chan Tx // signed while the load runs
	dry   chan struct{}
	once  sync.Once

	used, signed atomic.Uint64 // taken out, and those of them that were signed while the load ran
}

func newSupply(w Workload, senders []int) *supply {
	return &supply{workload: w, senders: senders, fresh: make(chan Tx, signedWaiting), dry: make(chan struct{})}
}

// make returns the next transaction. It may be called from several goroutines at once.
func (s *supply) make(expires time.Time) (Tx, error) {
	turn := s.made.Add(1) - 1
	return s.workload.Make(s.senders[turn%uint64(len(s.senders))], expires)
}

// store keeps a transaction that was signed ahead. Its bytes are copied, so that millions of them are few objects.
func (s *supply) store(t Tx) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cap(s.chunk)-len(s.chunk) < len(t.Raw) {
		s.chunk = make([]byte, 0, max(chunk, len(t.Raw)))
	}
	begin := len(s.chunk)
	s.chunk = append(s.chunk, t.Raw...)
	s.ahead = append(s.ahead, Tx{ID: t.ID, Raw: s.chunk[begin:len(s.chunk):len(s.chunk)]})
}

// take returns the next transaction to send. The error is that of ctx.
func (s *supply) take(ctx context.Context) (Tx, error) {
	s.mu.Lock()
	if s.next < len(s.ahead) && time.Until(s.expires) > validFor/2 {
		t := s.ahead[s.next]
		s.ahead[s.next].Raw = nil
		s.next++
		s.mu.Unlock()
		s.used.Add(1)
		return t, nil
	}
	s.mu.Unlock()
	s.once.Do(func() { close(s.dry) })
	select {
	case t := <-s.fresh:
		s.used.Add(1)
		s.signed.Add(1)
		return t, nil
	case <-ctx.Done():
		return Tx{}, ctx.Err()
	}
}

// refill signs, once what was signed ahead is used up, until ctx ends.
func (s *supply) refill(ctx context.Context) error {
	select {
	case <-s.dry:
	case <-ctx.Done():
		return nil
	}
	for {
		t, err := s.make(time.Now().Add(validFor))
		if err != nil {
			return err
		}
		select {
		case s.fresh <- t:
		case <-ctx.Done():
			return nil
		}
	}
}
