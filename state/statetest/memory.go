package statetest

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/althing-ledger/althing/state"
)

// Memory is a map that reads, scans and writes like state, for tests of
// modules. It belongs to one goroutine. The zero value is empty and ready.
type Memory struct {
	// Fail, if not nil, is what every read returns.
	Fail error

	values map[string][]byte
}

var _ state.Reader = (*Memory)(nil)

// Get returns the value of key, nil if there is none.
func (m *Memory) Get(key []byte) ([]byte, error) {
	if m.Fail != nil {
		return nil, m.Fail
	}
	return m.values[string(key)], nil
}

// Set stores a copy of value. It panics on an empty key or value, which a
// store would refuse.
func (m *Memory) Set(key, value []byte) {
	if len(key) == 0 || len(value) == 0 {
		panic(fmt.Sprintf("statetest: set key %x to value %x: neither may be empty", key, value))
	}
	if m.values == nil {
		m.values = make(map[string][]byte)
	}
	m.values[string(key)] = bytes.Clone(value)
}

// Delete removes key.
func (m *Memory) Delete(key []byte) { delete(m.values, string(key)) }

// Len returns the number of keys.
func (m *Memory) Len() int { return len(m.values) }

// Scan calls fn in ascending order of keys, as View.Scan does.
func (m *Memory) Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	return m.scan(start, end, false, fn)
}

// ScanReverse calls fn in descending order of keys, as View.ScanReverse does.
func (m *Memory) ScanReverse(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	return m.scan(start, end, true, fn)
}

func (m *Memory) scan(start, end []byte, reverse bool, fn func(key, value []byte) (bool, error)) error {
	if m.Fail != nil {
		return m.Fail
	}
	var keys []string
	for key := range m.values {
		if key >= string(start) && (end == nil || key < string(end)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if reverse {
		slices.Reverse(keys)
	}
	for _, key := range keys {
		if more, err := fn([]byte(key), m.values[key]); err != nil || !more {
			return err
		}
	}
	return nil
}
