package exec

import (
	"encoding/hex"
	"fmt"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// messageFormat opens every value of the state that is an encoded message. It also keeps values from being empty, which
// the tree could not prove.
const messageFormat = 1

// A Message is a generated protobuf message with the fixed field order that consensus needs.
type Message interface {
	MarshalVTStrict() ([]byte, error)
	UnmarshalVT([]byte) error
}

// Put writes m under key: a format byte, then the fields in ascending order.
func Put(kv state.Writer, key []byte, m Message) error {
	b, err := m.MarshalVTStrict()
	if err != nil {
		return fmt.Errorf("encode the value of key %x: %w", key, err)
	}
	kv.Set(key, append([]byte{messageFormat}, b...))
	return nil
}

// Get reads the message under key into m and reports whether there is one.
func Get(kv state.Reader, key []byte, m Message) (bool, error) {
	b, err := kv.Get(key)
	if err != nil || b == nil {
		return false, err
	}
	return true, Decode(b, m)
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

// Bounds of a page of a listing.
const (
	defaultPage = 100
	maxPage     = 1000
	maxToken    = 1024
)

// List calls each with the keys and values under prefix, in key order, for one page of a listing. size 0 means 100; page
// is empty or what the page before returned as next. next is empty on the last page.
func List(view *state.View, prefix []byte, page string, size uint32, each func(key, value []byte) error) (next string, err error) {
	if size > maxPage || len(page) > maxToken {
		return "", tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "page_size is at most %d, and page is what the page before returned", maxPage)
	}
	if size == 0 {
		size = defaultPage
	}
	after, err := hex.DecodeString(page)
	if err != nil {
		return "", tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "page is not what a page before returned")
	}
	start := append(append([]byte(nil), prefix...), after...)
	var count uint32
	err = view.Scan(start, state.PrefixEnd(prefix), func(key, value []byte) (bool, error) {
		if count == size {
			next = hex.EncodeToString(key[len(prefix):])
			return false, nil
		}
		count++
		return true, each(key, value)
	})
	return next, err
}
