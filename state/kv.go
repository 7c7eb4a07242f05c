package state

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// get returns a copy of the value of a key in a namespace: nil when absent,
// not nil but empty when the value is empty.
func get(r pebble.Reader, space byte, key []byte) ([]byte, error) {
	var buf [96]byte
	full := append(append(buf[:0], space), key...)
	value, closer, err := r.Get(full)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(value))
	copy(out, value)
	return out, closer.Close()
}

// set adds a write to a batch.
func set(b *pebble.Batch, space byte, key, value []byte) error {
	op := b.SetDeferred(1+len(key), len(value))
	op.Key[0] = space
	copy(op.Key[1:], key)
	copy(op.Value, value)
	return op.Finish()
}

// remove adds a removal to a batch.
func remove(b *pebble.Batch, space byte, key []byte) error {
	op := b.DeleteDeferred(1 + len(key))
	op.Key[0] = space
	copy(op.Key[1:], key)
	return op.Finish()
}

// bounds returns the range of database keys for start (inclusive) to end
// (exclusive) of a namespace; nil means the end of the namespace.
func bounds(space byte, start, end []byte) (lower, upper []byte) {
	lower = append([]byte{space}, start...)
	if end == nil {
		upper = []byte{space + 1}
	} else {
		upper = append([]byte{space}, end...)
	}
	if bytes.Compare(lower, upper) > 0 {
		upper = lower
	}
	return lower, upper
}

// scan calls fn for each key of a range, without the namespace. The slices are
// valid during the call.
func scan(r pebble.Reader, space byte, start, end []byte, reverse bool, fn func(key, value []byte) (bool, error)) (err error) {
	lower, upper := bounds(space, start, end)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return err
	}
	defer func() {
		if cerr := it.Close(); err == nil {
			err = cerr
		}
	}()
	first, next := it.First, it.Next
	if reverse {
		first, next = it.Last, it.Prev
	}
	for ok := first(); ok; ok = next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		more, err := fn(it.Key()[1:], value)
		if err != nil || !more {
			return err
		}
	}
	return it.Error()
}

// iterator is an iterator over a namespace with the methods that both CometBFT
// and IAVL ask for. It sees the database as it was when it was made. Keys and
// values are copies.
type iterator struct {
	it         *pebble.Iterator
	start, end []byte
	reverse    bool
	key, value []byte // of the current position; key is nil when invalid
	err        error
}

func newIterator(r pebble.Reader, space byte, start, end []byte, reverse bool) (*iterator, error) {
	lower, upper := bounds(space, start, end)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return nil, err
	}
	i := &iterator{it: it, start: start, end: end, reverse: reverse}
	if reverse {
		i.load(it.Last())
	} else {
		i.load(it.First())
	}
	return i, nil
}

func (i *iterator) load(valid bool) {
	i.key, i.value = nil, nil
	if !valid {
		i.err = i.it.Error()
		return
	}
	value, err := i.it.ValueAndErr()
	if err != nil {
		i.err = err
		return
	}
	i.key = append([]byte{}, i.it.Key()[1:]...)
	i.value = append([]byte{}, value...)
}

// Domain returns the bounds the iterator was made with.
func (i *iterator) Domain() (start, end []byte) { return i.start, i.end }

// Valid reports whether there is a current key. It stays false once false.
func (i *iterator) Valid() bool { return i.key != nil }

// Next moves on. It panics when the iterator is not valid.
func (i *iterator) Next() {
	i.mustBeValid()
	if i.reverse {
		i.load(i.it.Prev())
	} else {
		i.load(i.it.Next())
	}
}

// Key returns the current key. It panics when the iterator is not valid.
func (i *iterator) Key() []byte { i.mustBeValid(); return i.key }

// Value returns the current value. It panics when the iterator is not valid.
func (i *iterator) Value() []byte { i.mustBeValid(); return i.value }

// Error returns what ended the iteration early, or nil.
func (i *iterator) Error() error { return i.err }

// Close releases the iterator. It may be called twice.
func (i *iterator) Close() error {
	if i.it == nil {
		return nil
	}
	err := i.it.Close()
	i.it, i.key, i.value = nil, nil, nil
	return err
}

// mustBeValid panics as both interfaces demand.
func (i *iterator) mustBeValid() {
	if i.key == nil {
		panic("state: iterator is not valid")
	}
}
