package state

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync/atomic"

	corestore "cosmossdk.io/core/store"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"
)

// treeDB is the database of one instance of the IAVL tree. Reads go to r.
// Writes only ever happen between collect and the end of an operation of the
// tree, and are collected in a batch that the store applies itself, together
// with everything else: iavl never writes to the database.
//
// iavl drops read errors in places: an iterator that fails just ends. So the
// adapter remembers the first failure, and whoever used the tree asks for it
// before trusting the outcome.
type treeDB struct {
	r pebble.Reader

	// checked makes a node that is missing or cannot be decoded a failure.
	checked bool

	failure atomic.Pointer[error]
	out     *pebble.Batch // owned by the goroutine that uses the tree
}

var _ iavldb.DB = (*treeDB)(nil)

var errNotCollecting = errors.New("tree writes outside of a commit")

// newTree returns a tree over db. The threshold keeps iavl from flushing parts
// of a commit (with its default a commit is not atomic); fast nodes would be a
// second flat view, with a window in which readers miss keys.
func newTree(db *treeDB, cacheNodes int, log *slog.Logger) *iavl.MutableTree {
	const skipFastNodes = true
	return iavl.NewMutableTree(db, cacheNodes, skipFastNodes, treeLogger{log},
		iavl.FlushThresholdOption(math.MaxInt32),
		iavl.SyncOption(false),
		iavl.AsyncPruningOption(false))
}

// collect directs the writes of the tree into batch until it is called with
// nil.
func (d *treeDB) collect(batch *pebble.Batch) { d.out = batch }

// err returns the first failed read.
func (d *treeDB) err() error {
	if err := d.failure.Load(); err != nil {
		return *err
	}
	return nil
}

func (d *treeDB) failed(err error) error {
	if err != nil {
		d.failure.CompareAndSwap(nil, &err)
	}
	return err
}

// Get implements iavl's DB.
func (d *treeDB) Get(key []byte) ([]byte, error) {
	value, err := get(d.r, spaceTree, key)
	if err != nil {
		return nil, d.failed(fmt.Errorf("read tree node %x: %w", key, err))
	}
	if d.checked {
		if err := checkNode(key, value); err != nil {
			return nil, d.failed(err)
		}
	}
	return value, nil
}

// checkNode reports a node that must be there and is not, or cannot be
// decoded. A node with number 1 may be absent: iavl asks for it to find out
// whether a version exists, and else for number 0, which we never write.
func checkNode(key, value []byte) error {
	k, ok := parseNodeKey(key)
	if !ok {
		return nil
	}
	switch {
	case value == nil && k.nonce == 1, value != nil && len(value) == 0:
		return nil
	case value == nil:
		return errorf(ErrCorrupt, "tree node %v is missing", k)
	}
	if _, isReference := parseNodeKey(value); isReference {
		return nil
	}
	if _, err := decodeNode(value); err != nil {
		return wrapf(ErrCorrupt, err, "tree node %v", k)
	}
	return nil
}

// Has implements iavl's DB.
func (d *treeDB) Has(key []byte) (bool, error) {
	value, err := d.Get(key)
	return value != nil, err
}

// Iterator implements iavl's DB.
func (d *treeDB) Iterator(start, end []byte) (corestore.Iterator, error) {
	return d.iterator(start, end, false)
}

// ReverseIterator implements iavl's DB.
func (d *treeDB) ReverseIterator(start, end []byte) (corestore.Iterator, error) {
	return d.iterator(start, end, true)
}

func (d *treeDB) iterator(start, end []byte, reverse bool) (corestore.Iterator, error) {
	it, err := newIterator(d.r, spaceTree, start, end, reverse)
	if err != nil {
		return nil, d.failed(fmt.Errorf("scan tree nodes: %w", err))
	}
	d.failed(it.Error())
	return it, nil
}

// Close implements iavl's DB. The store owns the database.
func (d *treeDB) Close() error { return nil }

// NewBatch implements iavl's DB.
func (d *treeDB) NewBatch() corestore.Batch { return &treeBatch{db: d} }

// NewBatchWithSize implements iavl's DB. The size is iavl's flush threshold,
// not an amount to allocate.
func (d *treeDB) NewBatchWithSize(int) corestore.Batch { return &treeBatch{db: d} }

// treeBatch passes writes on to the batch that is being collected. Writing it
// is left to the store.
type treeBatch struct {
	db   *treeDB
	size int
}

func (b *treeBatch) Set(key, value []byte) error {
	if b.db.out == nil {
		return errNotCollecting
	}
	b.size += len(key) + len(value)
	return set(b.db.out, spaceTree, key, value)
}

func (b *treeBatch) Delete(key []byte) error {
	if b.db.out == nil {
		return errNotCollecting
	}
	b.size += len(key)
	return remove(b.db.out, spaceTree, key)
}

func (b *treeBatch) Write() error              { return nil }
func (b *treeBatch) WriteSync() error          { return nil }
func (b *treeBatch) Close() error              { return nil }
func (b *treeBatch) GetByteSize() (int, error) { return b.size, nil }

// treeLogger passes on what iavl complains about. Its debug lines format whole
// nodes for each step of a removal.
type treeLogger struct{ log *slog.Logger }

func (l treeLogger) Info(string, ...any)           {}
func (l treeLogger) Debug(string, ...any)          {}
func (l treeLogger) Warn(msg string, args ...any)  { l.log.Warn("tree: "+msg, args...) }
func (l treeLogger) Error(msg string, args ...any) { l.log.Error("tree: "+msg, args...) }
