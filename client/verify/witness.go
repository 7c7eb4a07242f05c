package verify

import (
	"bytes"
	"slices"
	"time"
)

// Witness is the proven part of a state. It implements exec.View: a query that is asked of it gives what it gives on a node
// that has the state, or fails with [ErrNotCovered] where it reads what the proof does not hold. It is immutable and safe for
// concurrent use.
//
// It answers for the very keys that the proof names, not for what else could be concluded from it: no entry can be changed into
// another without the question noticing.
type Witness struct {
	height  uint64
	time    time.Time
	entries []entry
}

func newWitness(height uint64, blockTime time.Time, keys, root []byte) (*Witness, error) {
	entries, err := checkKeys(keys, root)
	if err != nil {
		return nil, err
	}
	return &Witness{height: height, time: blockTime, entries: entries}, nil
}

// Height returns the height of the state.
func (w *Witness) Height() uint64 { return w.height }

// BlockTime returns the time of the block of that height.
func (w *Witness) BlockTime() time.Time { return w.time }

// Each calls fn for every key that is proven, in ascending order, with nil for one that is proven to be absent, until it returns
// false. Neither slice must be modified.
func (w *Witness) Each(fn func(key, value []byte) (more bool)) {
	for _, e := range w.entries {
		if !fn(e.key, e.value()) {
			return
		}
	}
}

func (e entry) value() []byte {
	if e.exist == nil {
		return nil
	}
	return e.exist.Value
}

// find returns the entry of a key.
func (w *Witness) find(key []byte) (int, bool) {
	return slices.BinarySearchFunc(w.entries, key, func(e entry, key []byte) int { return bytes.Compare(e.key, key) })
}

// Get returns the value of a key that is proven, nil for one that is proven to be absent, and [ErrNotCovered] for any other.
// The value must not be modified.
func (w *Witness) Get(key []byte) ([]byte, error) {
	i, found := w.find(key)
	if !found {
		return nil, notCovered(key)
	}
	return w.entries[i].value(), nil
}

func notCovered(key []byte) error {
	return errorf(ErrNotCovered, "the key %x", key)
}

// Scan calls fn for the keys from start (inclusive) to end (exclusive, nil for no end) in ascending order until it returns false
// or an error, which Scan returns. It fails with [ErrNotCovered] where the proof leaves a gap: the start, every key, and where
// fn asks for more than there is, the place after the last key, have to be proven. Neither slice must be modified.
func (w *Witness) Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	if end != nil && bytes.Compare(start, end) >= 0 {
		return nil
	}
	i, found := w.find(start)
	if !found {
		return notCovered(start)
	}
	for {
		if w.entries[i].exist == nil {
			next := w.entries[i].right
			if beyond(next, end) {
				return nil
			}
			if i, found = w.find(next); !found {
				return notCovered(next)
			}
		}
		e := w.entries[i]
		if more, err := fn(e.key, e.exist.Value); err != nil || !more {
			return err
		}
		var done bool
		var err error
		if i, done, err = w.after(i, end); done || err != nil {
			return err
		}
	}
}

// after returns the entry of the place right after a key, or of the next key, or that there is no other before end.
func (w *Witness) after(i int, end []byte) (next int, done bool, err error) {
	place := append(bytes.Clone(w.entries[i].key), 0)
	if beyond(place, end) {
		return 0, true, nil
	}
	if next, found := w.find(place); found {
		return next, false, nil
	}
	for next = i + 1; next < len(w.entries); next++ {
		if w.entries[next].exist == nil {
			continue
		}
		if !neighbours(w.entries[i].exist, w.entries[next].exist) {
			break
		}
		return next, beyond(w.entries[next].key, end), nil
	}
	return 0, false, notCovered(place)
}

// beyond reports whether a key, nil for none, is not in a range that ends at end, nil for no end.
func beyond(key, end []byte) bool {
	return key == nil || (end != nil && bytes.Compare(key, end) >= 0)
}
