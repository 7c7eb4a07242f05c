package consensus

import (
	"errors"
	"sync"
	"sync/atomic"

	dbm "github.com/cometbft/cometbft-db"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
)

// stateStore is the engine's state store with the validator set of the last block at hand.
// The engine asks for that set for every block, and its own store answers by replaying
// the proposer rotation from a checkpoint up to 100,000 heights ago.
type stateStore struct {
	sm.Store
	signer    Signer       // nil for an observer
	validator *atomic.Bool // whether it has a key in the set of the next block
	last      atomic.Pointer[validatorsAt]
	upcoming  atomic.Pointer[validatorsAt] // those of the next block
	// saved is called after every block, on the goroutine that executes, with the address of who proposes next. Set before
	// the first call.
	saved func(proposer []byte)
}

type validatorsAt struct {
	height int64
	set    *types.ValidatorSet // never modified
}

// Save implements the engine's store.
func (s *stateStore) Save(state sm.State) error {
	if err := s.Store.Save(state); err != nil {
		return err
	}
	s.remember(state)
	s.saved(state.Validators.GetProposer().Address)
	return nil
}

func (s *stateStore) remember(state sm.State) {
	s.upcoming.Store(&validatorsAt{max(state.LastBlockHeight+1, state.InitialHeight), state.Validators.Copy()})
	s.validator.Store(votes(s.signer, state.Validators))
	if state.LastBlockHeight > 0 {
		s.last.Store(&validatorsAt{state.LastBlockHeight, state.LastValidators.Copy()})
	}
}

// next returns who votes at the height after the newest block. The caller must not modify the set.
func (s *stateStore) next() (height int64, set *types.ValidatorSet) {
	upcoming := s.upcoming.Load()
	return upcoming.height, upcoming.set
}

// LoadValidators implements the engine's store. The caller must not modify the set.
func (s *stateStore) LoadValidators(height int64) (*types.ValidatorSet, error) {
	if last := s.last.Load(); last != nil && last.height == height {
		return last.set, nil
	}
	return s.Store.LoadValidators(height)
}

// errStopped is what a write meets after Run has returned.
var errStopped = errors.New("the node has stopped")

// gate stands between the engine and a database that the caller will close after Run has
// returned. Some goroutines of the engine, those that look for something to send to
// a peer, notice the end a little later: for them the database is empty then.
type gate struct {
	db     dbm.DB
	mu     sync.RWMutex // held for reading during every call
	closed bool
}

var _ dbm.DB = (*gate)(nil)

// shut waits for the calls under way and keeps further ones from the database.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *gate) write(f func() error) error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return errStopped
	}
	return f()
}

// Get implements [dbm.DB].
func (g *gate) Get(key []byte) ([]byte, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return nil, nil
	}
	return g.db.Get(key)
}

// Has implements [dbm.DB].
func (g *gate) Has(key []byte) (bool, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return false, nil
	}
	return g.db.Has(key)
}

// Set implements [dbm.DB].
func (g *gate) Set(key, value []byte) error {
	return g.write(func() error { return g.db.Set(key, value) })
}

// SetSync implements [dbm.DB].
func (g *gate) SetSync(key, value []byte) error {
	return g.write(func() error { return g.db.SetSync(key, value) })
}

// Delete implements [dbm.DB].
func (g *gate) Delete(key []byte) error {
	return g.write(func() error { return g.db.Delete(key) })
}

// DeleteSync implements [dbm.DB].
func (g *gate) DeleteSync(key []byte) error {
	return g.write(func() error { return g.db.DeleteSync(key) })
}

// Iterator implements [dbm.DB]. The engine iterates over evidence and while pruning, on
// goroutines that Run waits for.
func (g *gate) Iterator(start, end []byte) (it dbm.Iterator, err error) {
	err = g.write(func() error { it, err = g.db.Iterator(start, end); return err })
	return it, err
}

// ReverseIterator implements [dbm.DB].
func (g *gate) ReverseIterator(start, end []byte) (it dbm.Iterator, err error) {
	err = g.write(func() error { it, err = g.db.ReverseIterator(start, end); return err })
	return it, err
}

// Close implements [dbm.DB]. The database is the caller's to close.
func (g *gate) Close() error { return nil }

// NewBatch implements [dbm.DB].
func (g *gate) NewBatch() dbm.Batch {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return gatedBatch{dbm.NewMemDB().NewBatch(), g} // collects what will not be written
	}
	return gatedBatch{g.db.NewBatch(), g}
}

// Print implements [dbm.DB].
func (g *gate) Print() error { return g.write(g.db.Print) }

// Stats implements [dbm.DB].
func (g *gate) Stats() map[string]string { return nil }

// Compact implements [dbm.DB].
func (g *gate) Compact(start, end []byte) error {
	return g.write(func() error { return g.db.Compact(start, end) })
}

// gatedBatch is a batch that is only written while the gate is open.
type gatedBatch struct {
	dbm.Batch
	gate *gate
}

// Write implements [dbm.Batch].
func (b gatedBatch) Write() error { return b.gate.write(b.Batch.Write) }

// WriteSync implements [dbm.Batch].
func (b gatedBatch) WriteSync() error { return b.gate.write(b.Batch.WriteSync) }
