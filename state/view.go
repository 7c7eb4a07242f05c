package state

import (
	"bytes"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cosmos/iavl"
)

// View is the state at one height, unchanging. It may be used by several
// goroutines; none may use it during or after Release.
type View struct {
	store  *Store
	height uint64
	record record

	// Exactly one of latest and past is set, none in a view of a closed
	// store.
	latest   *snapshot
	past     *pastState
	released atomic.Bool
}

var _ Reader = (*View)(nil)

// snapshot is the newest height as the database held it. Views of that height
// share it; the store holds one reference until the next commit.
type snapshot struct {
	head
	snap *pebble.Snapshot
	refs int // guarded by Store.mu
}

func (s *snapshot) unref() error {
	s.refs--
	if s.refs > 0 {
		return nil
	}
	return s.snap.Close()
}

// pastState is a past height. It has a tree and a snapshot of its own: it
// shares nothing with the writer, and pruning does not reach it.
type pastState struct {
	height uint64
	record record
	snap   *pebble.Snapshot
	db     *treeDB
	tree   *iavl.ImmutableTree
	refs   int // guarded by Store.mu
}

// pastCacheNodes is the size of the node cache of a past height, in nodes: the
// upper levels of the tree.
const pastCacheNodes = 4096

// publish makes a height the newest one that views show.
func (s *Store) publish(height uint64, rec record) {
	next := &snapshot{head: head{height, rec}, snap: s.db.NewSnapshot(), refs: 1}
	s.mu.Lock()
	defer s.mu.Unlock()
	if previous := s.latest; previous != nil {
		// Closing a snapshot only fails when it is closed already.
		_ = previous.unref()
	}
	s.latest = next
	if s.oldest == 0 {
		s.oldest = height
	}
}

// Latest returns a view of the newest committed height; before the first
// commit, of the empty state at height 0. After Close every read of the view
// returns ErrClosed. The caller releases it.
func (s *Store) Latest() *View {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return &View{store: s}
	}
	return s.latestLocked()
}

func (s *Store) latestLocked() *View {
	s.latest.refs++
	s.views++
	return &View{store: s, height: s.latest.height, record: s.latest.record, latest: s.latest}
}

// At returns a view of a height: PrunedError below Oldest, FutureError above
// Height. The caller releases it; until then the height stays readable, and
// the database keeps what was overwritten or pruned since. Views of past
// heights read from the tree, some twenty nodes per key.
func (s *Store) At(height uint64) (*View, error) {
	if view, err := s.openAt(height); view != nil || err != nil {
		return view, err
	}
	defer s.using.Done()
	past, err := s.loadPast(height)
	if err != nil {
		return nil, fmt.Errorf("open state at height %d: %w", height, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.history[height]; other != nil {
		// Somebody else opened the same height meanwhile.
		if err := past.snap.Close(); err != nil {
			return nil, err
		}
		past = other
	} else {
		s.history[height] = past
	}
	return s.pastLocked(past), nil
}

// openAt returns a view if one can be had without I/O. If it returns neither
// view nor error, the caller loads the height and calls s.using.Done.
func (s *Store) openAt(height uint64) (*View, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case height > s.latest.height:
		return nil, &FutureError{Height: height, Latest: s.latest.height}
	case height == s.latest.height:
		return s.latestLocked(), nil
	case height < s.oldest:
		return nil, &PrunedError{Height: height, Oldest: s.oldest}
	case s.history[height] != nil:
		return s.pastLocked(s.history[height]), nil
	}
	s.using.Add(1)
	return nil, nil
}

func (s *Store) pastLocked(past *pastState) *View {
	past.refs++
	s.views++
	return &View{store: s, height: past.height, record: past.record, past: past}
}

// loadPast opens a past height. What the snapshot says about the oldest height
// decides: pruning may have gone on since the caller looked.
func (s *Store) loadPast(height uint64) (_ *pastState, err error) {
	snap := s.db.NewSnapshot()
	defer func() {
		if err != nil {
			err = errors.Join(err, snap.Close())
		}
	}()
	_, oldest, err := readHeights(snap)
	if err != nil {
		return nil, err
	}
	if height < oldest {
		return nil, &PrunedError{Height: height, Oldest: oldest}
	}
	rec, err := readRecord(snap, height)
	if err != nil {
		return nil, err
	}
	db := &treeDB{r: snap}
	tree, err := pastTree(db, height, s.log)
	if err != nil {
		return nil, wrapf(ErrCorrupt, err, "load tree")
	}
	if root := tree.Hash(); !bytes.Equal(root, rec.root) {
		return nil, errorf(ErrCorrupt, "root of the tree is %X, recorded is %X", root, rec.root)
	}
	return &pastState{height: height, record: rec, snap: snap, db: db, tree: tree}, nil
}

// Release gives up the view. It may be called more than once.
func (v *View) Release() {
	if v.released.Swap(true) || (v.latest == nil && v.past == nil) {
		return
	}
	s := v.store
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return // Close has closed the snapshots.
	}
	s.views--
	var err error
	if v.latest != nil {
		err = v.latest.unref()
	} else if v.past.refs--; v.past.refs == 0 {
		delete(s.history, v.height)
		err = v.past.snap.Close()
	}
	if err != nil {
		s.log.Error("release view", "height", v.height, "error", err)
	}
}

// Height returns the height of the view, 0 before the first commit.
func (v *View) Height() uint64 { return v.height }

// AppHash returns the root of the tree at this height: 32 bytes, nil at height
// 0. It must not be modified.
func (v *View) AppHash() []byte { return v.record.root }

// BlockTime returns the time of the block of this height, in UTC.
func (v *View) BlockTime() time.Time { return v.record.time }

func (v *View) usable() error {
	switch {
	case v.released.Load():
		return ErrReleased
	case v.latest == nil && v.past == nil:
		return ErrClosed
	}
	return nil
}

// Get returns the value of key, nil if there is none.
func (v *View) Get(key []byte) ([]byte, error) {
	if err := v.usable(); err != nil {
		return nil, err
	}
	var value []byte
	var err error
	if v.latest != nil {
		value, err = v.store.values.get(v.height, key, func() ([]byte, error) {
			return get(v.latest.snap, spaceFlat, key)
		})
	} else {
		value, err = v.past.tree.Get(key)
	}
	if err != nil {
		return nil, fmt.Errorf("read key %x at height %d: %w", key, v.height, err)
	}
	return value, nil
}

// Scan calls fn for the keys from start (inclusive) to end (exclusive) in
// ascending order until it returns false or an error, which Scan returns. nil
// means no bound on that side. Key and value are valid during the call only.
func (v *View) Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	return v.scan(start, end, false, fn)
}

// ScanReverse is Scan in descending order. start stays the inclusive lower
// bound and end the exclusive upper bound.
func (v *View) ScanReverse(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	return v.scan(start, end, true, fn)
}

func (v *View) scan(start, end []byte, reverse bool, fn func(key, value []byte) (bool, error)) error {
	if err := v.usable(); err != nil {
		return err
	}
	if v.latest != nil {
		return scan(v.latest.snap, spaceFlat, start, end, reverse, fn)
	}
	return v.past.scan(start, end, reverse, fn)
}

// scan scans the tree. iavl's iterator ends without an error when a node
// cannot be read, so the adapter is asked whether all reads succeeded.
func (p *pastState) scan(start, end []byte, reverse bool, fn func(key, value []byte) (bool, error)) error {
	if p.tree.Size() == 0 || (start != nil && end != nil && bytes.Compare(start, end) >= 0) {
		return nil
	}
	it, err := p.tree.Iterator(start, end, !reverse)
	if err != nil {
		return err
	}
	for ; it.Valid(); it.Next() {
		more, err := fn(it.Key(), it.Value())
		if err != nil || !more {
			return errors.Join(err, it.Close())
		}
	}
	return errors.Join(p.db.err(), it.Error(), it.Close())
}

// Local returns the value of a key of the local data as of the newest height,
// nil if there is none. Views of past heights return ErrNoLocal.
func (v *View) Local(key []byte) ([]byte, error) {
	if err := v.localUsable(); err != nil {
		return nil, err
	}
	return get(v.latest.snap, spaceLocal, key)
}

// ScanLocal is Scan over the local data, in descending order if reverse.
func (v *View) ScanLocal(start, end []byte, reverse bool, fn func(key, value []byte) (more bool, err error)) error {
	if err := v.localUsable(); err != nil {
		return err
	}
	return scan(v.latest.snap, spaceLocal, start, end, reverse, fn)
}

func (v *View) localUsable() error {
	if err := v.usable(); err != nil {
		return err
	}
	if v.latest == nil {
		return ErrNoLocal
	}
	return nil
}
