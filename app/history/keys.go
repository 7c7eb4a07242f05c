package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/state/keyspace"
)

// format is the version of everything this package writes.
const format = 1

// kindRows stands where a [Kind] stands in other keys. These numbers are append-only.
const kindRows byte = 0x01

// A Kind says what a subject is.
type Kind byte

// Kinds of subjects. Their numbers stand in keys.
const (
	Org     Kind = 0x02
	Account Kind = 0x03
	Asset   Kind = 0x04
	// Record is one record: org/collection/id.
	Record Kind = 0x05
)

// check returns an error for what is no name of this kind.
func (k Kind) check(name string) error {
	var err error
	switch k {
	case Org:
		err = names.Org(name)
	case Account:
		_, err = names.Account(name)
	case Asset:
		_, err = names.Asset(name)
	case Record:
		_, _, err = names.Record(name)
	default:
		err = fmt.Errorf("%d is no kind of a subject", k)
	}
	return err
}

const (
	// rowsPerPage is how many transactions share a page of rows: asking for one reads the page.
	rowsPerPage = 64
	// postingsPerPage is how far apart the transactions on a page of postings are at most.
	postingsPerPage = 1024
	// maxTransactions is how many transactions of a block can be told apart.
	maxTransactions = postingsPerPage << 16

	idSize        = 32
	rowsHead      = 1 + 8
	rowSize       = idSize + 2
	positionBytes = 8 + 2
)

func rowsKey(height uint64, page uint32) []byte {
	key := keyspace.Uint64([]byte{keyspace.LocalHistory, kindRows}, height)
	return binary.BigEndian.AppendUint32(key, page)
}

// subjectPrefix begins all keys of a subject, and of no other: a name has no zero byte.
func subjectPrefix(kind Kind, name string) []byte {
	key := make([]byte, 0, 3+len(name)+positionBytes)
	key = append(key, keyspace.LocalHistory, byte(kind))
	key = append(key, name...)
	return append(key, 0)
}

func postingKey(kind Kind, name string, height uint64, page uint16) []byte {
	return appendPosition(subjectPrefix(kind, name), height, page)
}

func appendPosition(key []byte, height uint64, page uint16) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(key, ^height), ^page)
}

var errDamaged = errors.New("the index of history is damaged: stop the node and run `althing index rebuild`")

// splitPosition reads the end of a posting's key.
func splitPosition(key []byte) (height uint64, page uint16, err error) {
	if len(key) < positionBytes {
		return 0, 0, errDamaged
	}
	end := key[len(key)-positionBytes:]
	return ^binary.BigEndian.Uint64(end), ^binary.BigEndian.Uint16(end[8:]), nil
}

// A page of rows is its format, the block's time, eight bytes, and of each transaction its id and its code, two bytes. One
// whose bytes were refused by themselves has no id, and no subject leads to it.

func beginRows(at time.Time, transactions int) []byte {
	page := append(make([]byte, 0, rowsHead+transactions*rowSize), format)
	return binary.BigEndian.AppendUint64(page, uint64(at.UnixNano()))
}

// appendRow adds a transaction.
func appendRow(page []byte, id []byte, code int32) ([]byte, error) {
	if code < 0 || code > math.MaxUint16 {
		return nil, fmt.Errorf("code %d does not fit into the index", code)
	}
	var padded [idSize]byte
	copy(padded[:], id)
	return binary.BigEndian.AppendUint16(append(page, padded[:]...), uint16(code)), nil
}

// row reads a transaction of a page.
func row(page []byte, index uint32) (id [idSize]byte, code int32, at time.Time, err error) {
	if len(page) > 0 && page[0] > format {
		return id, 0, at, fmt.Errorf("the index of history has format %d, this program knows %d: use a newer one, "+
			"or stop the node and run `althing index rebuild`", page[0], format)
	}
	offset := rowsHead + int(index%rowsPerPage)*rowSize
	if len(page) < offset+rowSize || page[0] != format {
		return id, 0, at, errDamaged
	}
	copy(id[:], page[offset:])
	code = int32(binary.BigEndian.Uint16(page[offset+idSize:]))
	return id, code, time.Unix(0, int64(binary.BigEndian.Uint64(page[1:]))).UTC(), nil
}

// A page of postings is the numbers of the transactions, ascending, counted from the first of the page: each as a uvarint of
// its distance from the one before.

// appendPosting adds a transaction that follows another, -1 for none.
func appendPosting(page []byte, index, before int) []byte {
	return binary.AppendUvarint(page, uint64(index-before-1))
}

// decodePostings appends the numbers of the transactions on a page to those given.
func decodePostings(numbers []uint32, value []byte, page uint16) ([]uint32, error) {
	next := uint64(0)
	for len(value) > 0 {
		gap, n := binary.Uvarint(value)
		if n <= 0 || gap >= postingsPerPage || next+gap >= postingsPerPage {
			return nil, errDamaged
		}
		numbers = append(numbers, uint32(page)*postingsPerPage+uint32(next+gap))
		next += gap + 1
		value = value[n:]
	}
	return numbers, nil
}
