package exec

import (
	"fmt"
)

// messageFormat opens every value of the state that is an encoded message. It also keeps values from being empty, which
// the tree could not prove.
const messageFormat = 1

// A Message is a generated protobuf message with the fixed field order that consensus needs.
type Message interface {
	MarshalVTStrict() ([]byte, error)
	UnmarshalVT([]byte) error
}

// Put writes m under key: a format byte, then the fields in ascending order. An error is a programming error.
func Put(kv Writer, key []byte, m Message) error {
	b, err := m.MarshalVTStrict()
	if err != nil {
		return fmt.Errorf("encode the value of key %x: %w", key, err)
	}
	kv.Set(key, append([]byte{messageFormat}, b...))
	return nil
}

// Get reads the message under key into m and reports whether there is one. An error is an I/O failure or corruption.
func Get(kv Reader, key []byte, m Message) (bool, error) {
	b, err := kv.Get(key)
	if err != nil || b == nil {
		return false, err
	}
	if err := Decode(b, m); err != nil {
		return false, fmt.Errorf("key %x: %w", key, err)
	}
	return true, nil
}

// Decode reads a value that [Put] wrote.
func Decode(b []byte, m Message) error {
	if len(b) == 0 || b[0] != messageFormat {
		return fmt.Errorf("decode a %T: unknown value format", m)
	}
	if err := m.UnmarshalVT(b[1:]); err != nil {
		return fmt.Errorf("decode a %T: %w", m, err)
	}
	return nil
}
