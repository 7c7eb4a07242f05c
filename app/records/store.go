package records

import (
	"encoding/binary"
	"fmt"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// headFormat opens the value of a head; the newest version follows, eight bytes, big endian.
const headFormat = 1

// Reader reads collections and records. Its errors are I/O failures or corruption.
type Reader struct{ kv exec.Reader }

// Read returns a reader over kv.
func Read(kv exec.Reader) Reader { return Reader{kv} }

// Collection returns the policy of a collection, nil if none was set.
func (r Reader) Collection(name string) (*recordsv1.Collection, error) {
	collection := new(recordsv1.Collection)
	if found, err := exec.Get(r.kv, collectionKey(name), collection); err != nil || !found {
		return nil, err
	}
	return collection, nil
}

// Head returns the newest version of a record, 0 if there is no such record.
func (r Reader) Head(record string) (uint64, error) {
	value, err := r.kv.Get(headKey(record))
	if err != nil || value == nil {
		return 0, err
	}
	version, err := decodeHead(value)
	if err != nil {
		return 0, fmt.Errorf("head of %s: %w", record, err)
	}
	return version, nil
}

// Version returns one version of a record, nil if there is no such version.
func (r Reader) Version(record string, version uint64) (*recordsv1.Record, error) {
	found := new(recordsv1.Record)
	if ok, err := exec.Get(r.kv, versionKey(record, version), found); err != nil || !ok {
		return nil, err
	}
	return found, nil
}

// Store reads and writes collections and records. It is the only code that writes them.
type Store struct {
	Reader
	out exec.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

func (s Store) setCollection(c *recordsv1.Collection) error {
	return exec.Put(s.out, collectionKey(c.Name), c)
}

// addVersion writes the newest version of a record.
func (s Store) addVersion(r *recordsv1.Record) error {
	s.out.Set(headKey(r.Name), encodeHead(r.Version))
	return exec.Put(s.out, versionKey(r.Name, r.Version), r)
}

func encodeHead(version uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{headFormat}, version)
}

// decodeHead reads what encodeHead wrote, and nothing else.
func decodeHead(value []byte) (uint64, error) {
	if len(value) != 9 || value[0] != headFormat {
		return 0, fmt.Errorf("records: %d bytes are no head of a format this program knows", len(value))
	}
	version := binary.BigEndian.Uint64(value[1:])
	if version == 0 {
		return 0, fmt.Errorf("records: a record without a version has a head")
	}
	return version, nil
}

// defaultPolicy is the policy of a collection for which none was set: accounts of its own org with the role `writer`.
func defaultPolicy(org, collection string) *recordsv1.Collection {
	return &recordsv1.Collection{Name: collection, Writers: []*recordsv1.Grant{{Org: org, Role: accounts.RoleWriter}}}
}
