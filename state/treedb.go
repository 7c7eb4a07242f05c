package state

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	corestore "cosmossdk.io/core/store"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"
)

// treeDB is the database of one instance of the IAVL tree, which shows a past
// height and only reads. The writer does without iavl; see tree.
//
// iavl drops read errors in places: an iterator that fails just ends. So the
// adapter remembers the first failure, a node that is missing or cannot be
// decoded included, and whoever used the tree asks for it before trusting the
// outcome.
type treeDB struct {
	r       pebble.Reader
	failure atomic.Pointer[error]
}

var _ iavldb.DB = (*treeDB)(nil)

// pastTree returns the tree at a height. Fast nodes would be a second flat
// view.
func pastTree(db *treeDB, height uint64, log *slog.Logger) (*iavl.ImmutableTree, error) {
	const skipFastNodes = true
	tree, err := iavl.NewMutableTree(db, pastCacheNodes, skipFastNodes, treeLogger{log}).GetImmutable(int64(height))
	return tree, errors.Join(err, db.err())
}

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
	if err := checkNode(key, value); err != nil {
		return nil, d.failed(err)
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
func (d *treeDB) NewBatch() corestore.Batch { return treeBatch{} }

// NewBatchWithSize implements iavl's DB.
func (d *treeDB) NewBatchWithSize(int) corestore.Batch { return treeBatch{} }

// treeBatch refuses writes: a past height has none.
type treeBatch struct{}

var errPastWrite = errors.New("write to the tree of a past height")

func (treeBatch) Set(_, _ []byte) error     { return errPastWrite }
func (treeBatch) Delete([]byte) error       { return errPastWrite }
func (treeBatch) Write() error              { return errPastWrite }
func (treeBatch) WriteSync() error          { return errPastWrite }
func (treeBatch) Close() error              { return nil }
func (treeBatch) GetByteSize() (int, error) { return 0, nil }

// treeLogger passes on what iavl complains about. Its debug lines format whole
// nodes for each step of a removal.
type treeLogger struct{ log *slog.Logger }

func (l treeLogger) Info(string, ...any)           {}
func (l treeLogger) Debug(string, ...any)          {}
func (l treeLogger) Warn(msg string, args ...any)  { l.log.Warn("tree: "+msg, args...) }
func (l treeLogger) Error(msg string, args ...any) { l.log.Error("tree: "+msg, args...) }
