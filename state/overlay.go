package state

import (
	"bytes"
	"sort"
)

// Reader reads state. [View] and [Overlay] implement it.
type Reader interface {
	// Get returns the value of key, or nil and no error if there is none. An
	// error is an I/O failure or corruption and always fatal to the caller.
	// The slice must not be modified and is valid until the view at the base
	// is released.
	Get(key []byte) ([]byte, error)
}

// Overlay is a write buffer over a reader. Overlays nest: one for the block,
// over it one for each transaction, which is merged into its parent by Commit
// or emptied by Discard. After either it is empty and can be used again.
//
// An overlay and everything nested in it belong to one goroutine. While a
// nested overlay holds changes its parent must not be written.
type Overlay struct {
	parent  *Overlay
	base    Reader            // of the outermost overlay only
	reads   map[string][]byte // what base answered, nil for absent; outermost only
	changes map[string][]byte // nil for deleted
	err     error             // first misuse
}

// NewOverlay returns an empty overlay over base, nested when base is an
// overlay itself.
func NewOverlay(base Reader) *Overlay {
	if parent, ok := base.(*Overlay); ok {
		return &Overlay{parent: parent}
	}
	return &Overlay{base: base, reads: make(map[string][]byte)}
}

// Get returns the buffered value of key, or what lies below.
func (o *Overlay) Get(key []byte) ([]byte, error) {
	for o.parent != nil {
		if value, ok := o.changes[string(key)]; ok {
			return value, nil
		}
		o = o.parent
	}
	if value, ok := o.changes[string(key)]; ok {
		return value, nil
	}
	return o.baseValue(key)
}

// baseValue reads below the outermost overlay, each key once.
func (o *Overlay) baseValue(key []byte) ([]byte, error) {
	if value, ok := o.reads[string(key)]; ok {
		return value, nil
	}
	value, err := o.base.Get(key)
	if err != nil {
		return nil, err
	}
	o.reads[string(key)] = value
	return value, nil
}

// Set buffers a write.
func (o *Overlay) Set(key, value []byte) {
	if len(key) == 0 || len(value) == 0 {
		o.misuse(errorf(ErrMisuse, "set key %x to a value of %d bytes: keys and values must not be empty", key, len(value)))
		return
	}
	o.put(string(key), bytes.Clone(value))
}

// Delete buffers a removal.
func (o *Overlay) Delete(key []byte) {
	if len(key) == 0 {
		o.misuse(errorf(ErrMisuse, "delete an empty key"))
		return
	}
	o.put(string(key), nil)
}

func (o *Overlay) put(key string, value []byte) {
	if o.changes == nil {
		o.changes = make(map[string][]byte)
	}
	o.changes[key] = value
}

func (o *Overlay) misuse(err error) {
	if o.err == nil {
		o.err = err
	}
}

// Commit merges a nested overlay into its parent and empties it. On an
// outermost overlay it does nothing: Stage takes that one.
func (o *Overlay) Commit() {
	if o.parent == nil {
		return
	}
	if o.err != nil {
		o.parent.misuse(o.err)
	}
	if o.parent.changes == nil {
		// The parent has nothing of its own: it takes the map over.
		o.parent.changes, o.changes, o.err = o.changes, nil, nil
		return
	}
	for key, value := range o.changes {
		o.parent.changes[key] = value
	}
	o.Discard()
}

// Discard forgets what the overlay holds. What was read below stays known.
func (o *Overlay) Discard() {
	clear(o.changes)
	o.err = nil
}

// Len returns the number of keys the overlay itself writes, before equal
// values are dropped.
func (o *Overlay) Len() int { return len(o.changes) }

// Err returns the first misuse, nil if there was none. Stage checks it.
func (o *Overlay) Err() error { return o.err }

// A change is a net difference between an overlay and its base.
type change struct {
	key   string
	value []byte // nil removes
	added bool   // the key was absent
}

// net returns the differences to the base in ascending order of keys. Keys
// whose value is what it was are left out, whatever happened in between.
func (o *Overlay) net() ([]change, error) {
	keys := make([]string, 0, len(o.changes))
	for key := range o.changes {
		keys = append(keys, key)
	}
	sort.Strings(keys)

	changes := make([]change, 0, len(keys))
	for _, key := range keys {
		value := o.changes[key]
		old, err := o.baseValue([]byte(key))
		if err != nil {
			return nil, err
		}
		if (old == nil) == (value == nil) && bytes.Equal(old, value) {
			continue
		}
		changes = append(changes, change{key: key, value: value, added: old == nil})
	}
	return changes, nil
}
