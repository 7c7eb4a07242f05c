package state

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	dbm "github.com/cometbft/cometbft-db"
)

// What CometBFT's database interface says about arguments. It does not export
// these errors.
var (
	errEmptyKey    = errors.New("key is empty")
	errNilValue    = errors.New("value is nil")
	errBatchClosed = errors.New("batch has been written or closed")
)

// CometDB returns the database CometBFT calls name: "blockstore", "state" or
// "evidence". It is a range of the one database, so that a synced write there
// makes every block durable that was committed before it. Closing it does
// nothing; the store owns the database. Any other name panics: it would need a
// namespace of its own.
func (s *Store) CometDB(name string) dbm.DB {
	space, ok := cometSpace(name)
	if !ok {
		panic(fmt.Sprintf("state: no namespace for the CometBFT database %q", name))
	}
	return &cometDB{store: s, space: space, writer: "comet/" + name}
}

type cometDB struct {
	store  *Store
	space  byte
	writer string
}

func (d *cometDB) Get(key []byte) ([]byte, error) {
	if len(key) == 0 {
		return nil, errEmptyKey
	}
	done, err := d.store.use()
	if err != nil {
		return nil, err
	}
	defer done()
	return get(d.store.db, d.space, key)
}

func (d *cometDB) Has(key []byte) (bool, error) {
	value, err := d.Get(key)
	return value != nil, err
}

func (d *cometDB) Set(key, value []byte) error     { return d.set(key, value, false) }
func (d *cometDB) SetSync(key, value []byte) error { return d.set(key, value, true) }
func (d *cometDB) Delete(key []byte) error         { return d.delete(key, false) }
func (d *cometDB) DeleteSync(key []byte) error     { return d.delete(key, true) }

func (d *cometDB) set(key, value []byte, sync bool) error {
	b := d.newBatch()
	if err := b.Set(key, value); err != nil {
		return errors.Join(err, b.Close())
	}
	return b.write(sync)
}

func (d *cometDB) delete(key []byte, sync bool) error {
	b := d.newBatch()
	if err := b.Delete(key); err != nil {
		return errors.Join(err, b.Close())
	}
	return b.write(sync)
}

func (d *cometDB) Iterator(start, end []byte) (dbm.Iterator, error) {
	return d.iterator(start, end, false)
}

func (d *cometDB) ReverseIterator(start, end []byte) (dbm.Iterator, error) {
	return d.iterator(start, end, true)
}

func (d *cometDB) iterator(start, end []byte, reverse bool) (dbm.Iterator, error) {
	if (start != nil && len(start) == 0) || (end != nil && len(end) == 0) {
		return nil, errEmptyKey
	}
	done, err := d.store.use()
	if err != nil {
		return nil, err
	}
	defer done()
	return newIterator(d.store.db, d.space, start, end, reverse)
}

// Close does nothing.
func (d *cometDB) Close() error { return nil }

func (d *cometDB) NewBatch() dbm.Batch { return d.newBatch() }

func (d *cometDB) newBatch() *cometBatch {
	return &cometBatch{db: d, batch: d.store.db.NewBatch()}
}

// Print writes all keys and values to standard output, for debugging.
func (d *cometDB) Print() error {
	done, err := d.store.use()
	if err != nil {
		return err
	}
	defer done()
	return scan(d.store.db, d.space, nil, nil, false, func(key, value []byte) (bool, error) {
		_, err := fmt.Printf("[%X]:\t[%X]\n", key, value)
		return true, err
	})
}

// Stats describes the whole database.
func (d *cometDB) Stats() map[string]string {
	done, err := d.store.use()
	if err != nil {
		return nil
	}
	defer done()
	return map[string]string{"pebble": d.store.db.Metrics().String()}
}

// Compact does nothing. CometBFT calls it after pruning, in the goroutine of
// consensus; Store.Run gives the space back instead.
func (d *cometDB) Compact(_, _ []byte) error { return nil }

// cometBatch is a batch over a namespace. The batch is nil once written or
// closed.
type cometBatch struct {
	db    *cometDB
	batch *pebble.Batch
}

func (b *cometBatch) Set(key, value []byte) error {
	switch {
	case len(key) == 0:
		return errEmptyKey
	case value == nil:
		return errNilValue
	case b.batch == nil:
		return errBatchClosed
	}
	return set(b.batch, b.db.space, key, value)
}

func (b *cometBatch) Delete(key []byte) error {
	switch {
	case len(key) == 0:
		return errEmptyKey
	case b.batch == nil:
		return errBatchClosed
	}
	return remove(b.batch, b.db.space, key)
}

func (b *cometBatch) Write() error     { return b.write(false) }
func (b *cometBatch) WriteSync() error { return b.write(true) }

func (b *cometBatch) write(sync bool) error {
	if b.batch == nil {
		return errBatchClosed
	}
	batch := b.batch
	b.batch = nil
	done, err := b.db.store.use()
	if err != nil {
		return err
	}
	defer done()
	return b.db.store.write(b.db.writer, batch, sync)
}

func (b *cometBatch) Close() error {
	if b.batch == nil {
		return nil
	}
	batch := b.batch
	b.batch = nil
	return batch.Close()
}
