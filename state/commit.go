package state

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// LocalWrite is a write of local data: not part of the app hash. Key is the
// whole key, prefix included, and must not be empty. A nil value removes.
type LocalWrite struct {
	Key   []byte
	Value []byte
}

// staged is a block that has been applied to the tree in memory.
type staged struct {
	height  uint64
	record  record
	changes []change
	local   []LocalWrite
}

// Stage applies the net changes of a block to the tree in memory and returns
// the root: the app hash. Nothing is written. Height must follow the newest
// committed one; the first may be any height above zero. o must be an
// outermost overlay over a view of the newest height. local is written with
// the block and must not be modified until Commit returns.
//
// Stage may be called again before Commit, with the same or another block: it
// starts over. An error is fatal to the caller; ErrMisuse leaves the store
// intact, other kinds do not.
func (s *Store) Stage(height uint64, blockTime time.Time, o *Overlay, local []LocalWrite) (root []byte, err error) {
	s.writer.Lock()
	defer s.writer.Unlock()
	start := time.Now()
	if err := s.usable(); err != nil {
		return nil, err
	}
	if err := s.stageable(height, o, local); err != nil {
		return nil, err
	}
	s.staged = nil
	changes, err := o.net()
	if err != nil {
		return nil, s.fail(fmt.Errorf("stage height %d: %w", height, err))
	}
	// That the tree and the flat view agree about which keys exist is checked
	// on the way.
	if err := s.tree.stage(int64(height), changes); err != nil {
		return nil, s.fail(fmt.Errorf("stage height %d: apply to the tree: %w", height, err))
	}
	root = s.tree.hash()
	s.staged = &staged{
		height:  height,
		record:  record{time: blockTime.UTC(), root: root},
		changes: changes,
		local:   local,
	}
	s.timing.stage.Store(int64(time.Since(start)))
	return bytes.Clone(root), nil
}

// stageable checks the arguments of Stage.
func (s *Store) stageable(height uint64, o *Overlay, local []LocalWrite) error {
	head := s.head()
	switch {
	case height == 0 || height > math.MaxInt64:
		return errorf(ErrMisuse, "stage height %d", height)
	case head.height > 0 && height != head.height+1:
		return errorf(ErrMisuse, "stage height %d after height %d", height, head.height)
	case o.parent != nil:
		return errorf(ErrMisuse, "stage height %d: the overlay is nested", height)
	case o.err != nil:
		return fmt.Errorf("stage height %d: %w", height, o.err)
	}
	view, ok := o.base.(*View)
	if !ok || view.store != s || view.height != head.height {
		return errorf(ErrMisuse, "stage height %d: the overlay is not over a view of height %d of this store", height, head.height)
	}
	return checkLocal(local)
}

func checkLocal(local []LocalWrite) error {
	for _, w := range local {
		if len(w.Key) == 0 {
			return errorf(ErrMisuse, "local write with an empty key")
		}
	}
	return nil
}

// Commit writes the staged block: tree nodes, flat view, local data, height,
// time and root in one atomic batch. Then new views show the block, and old
// heights are pruned as far as the configuration lets go of them.
//
// The batch is not synced: it is durable once a later synced write is (all
// share one log), and until then consensus replays the block.
func (s *Store) Commit() error {
	s.writer.Lock()
	defer s.writer.Unlock()
	start := time.Now()
	if err := s.usable(); err != nil {
		return err
	}
	if s.staged == nil {
		return errorf(ErrMisuse, "commit without a staged block")
	}
	block := s.staged
	s.staged = nil
	batch := s.db.NewBatchWithSize(s.tree.number() + sizeOf(block))
	if err := s.fill(batch, block); err != nil {
		return s.fail(fmt.Errorf("commit height %d: %w", block.height, err))
	}
	if err := s.write("app", batch, false); err != nil {
		return fmt.Errorf("commit height %d: %w", block.height, err)
	}
	s.tree.settle()
	s.values.advance(block.height, block.changes)
	s.publish(block.height, block.record)
	s.timing.commit.Store(int64(time.Since(start)))

	start = time.Now()
	if err := s.prune(); err != nil {
		return s.fail(fmt.Errorf("prune after height %d: %w", block.height, err))
	}
	s.timing.prune.Store(int64(time.Since(start)))
	return nil
}

// fill puts everything that belongs to a block into one batch.
func (s *Store) fill(batch *pebble.Batch, block *staged) error {
	if root := s.tree.hash(); s.tree.version != int64(block.height) || !bytes.Equal(root, block.record.root) {
		return errorf(ErrCorrupt, "tree is at version %d with root %X, staged was height %d with root %X",
			s.tree.version, root, block.height, block.record.root)
	}
	if err := s.tree.save(batch, block.changes); err != nil {
		return fmt.Errorf("save tree: %w", err)
	}
	for _, c := range block.changes {
		if err := fillFlat(batch, c); err != nil {
			return err
		}
	}
	errs := []error{fillLocal(batch, block.local),
		set(batch, spaceMeta, heightKey(block.height), block.record.encode()),
		set(batch, spaceMeta, []byte(metaHead), encodeUint(block.height))}
	if s.head().height == 0 {
		errs = append(errs, set(batch, spaceMeta, []byte(metaOldest), encodeUint(block.height)))
	}
	return errors.Join(errs...)
}

// sizeOf is about how many bytes a block takes in a batch, without the inner
// nodes of the tree: values are in the flat view and in the leaves.
func sizeOf(block *staged) (size int) {
	const overhead = 16
	for _, c := range block.changes {
		size += overhead + len(c.key) + 2*len(c.value)
	}
	for _, w := range block.local {
		size += overhead + len(w.Key) + len(w.Value)
	}
	return size + 16*overhead
}

func fillFlat(batch *pebble.Batch, c change) error {
	if c.value == nil {
		return remove(batch, spaceFlat, []byte(c.key))
	}
	op := batch.SetDeferred(1+len(c.key), len(c.value))
	op.Key[0] = spaceFlat
	copy(op.Key[1:], c.key)
	copy(op.Value, c.value)
	return op.Finish()
}

func fillLocal(batch *pebble.Batch, local []LocalWrite) error {
	for _, w := range local {
		var err error
		if w.Value != nil {
			err = set(batch, spaceLocal, w.Key, w.Value)
		} else {
			err = remove(batch, spaceLocal, w.Key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// SetLocal writes local data outside of a block, atomically; with sync it
// returns when the data is on disk. Views opened after it has returned show
// it. It may be called from any goroutine, beside Stage and Commit.
func (s *Store) SetLocal(local []LocalWrite, sync bool) error {
	if err := s.setLocal(local, sync); err != nil {
		return err
	}
	s.refresh()
	return nil
}

func (s *Store) setLocal(local []LocalWrite, sync bool) error {
	done, err := s.use()
	if err != nil {
		return err
	}
	defer done()
	if err := checkLocal(local); err != nil {
		return err
	}
	batch := s.db.NewBatch()
	if err := fillLocal(batch, local); err != nil {
		return s.fail(err)
	}
	return s.write("local", batch, sync)
}

// refresh makes new views show the local data as it is now, at the height that
// they show anyway. It waits for the writer: between the write of a block and
// its publication a snapshot would hold what the head does not say yet.
func (s *Store) refresh() {
	s.writer.Lock()
	defer s.writer.Unlock()
	if s.usable() != nil {
		return // No view can be opened any more, or what is on disk is in doubt.
	}
	head := s.head()
	s.publish(head.height, head.record)
}
