package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/cockroachdb/pebble/v2"
)

// formatVersion is the version of everything this package lays out in the
// database: namespaces, meta records, the flat view (values as they are) and
// local data (keys and values as given). It is raised whenever an older
// program would misread the result.
const formatVersion = 1

// formatMagic opens the marker, so that a Pebble database of another program
// is not taken for ours.
const formatMagic = "althing/state"

// The marker is the only key of its namespace: magic, then the version as four
// bytes, big endian.
func encodeFormat(version uint32) []byte {
	return binary.BigEndian.AppendUint32([]byte(formatMagic), version)
}

// writeFormat marks a new, empty database as ours.
func (s *Store) writeFormat() error {
	batch := s.db.NewBatch()
	if err := set(batch, spaceFormat, nil, encodeFormat(formatVersion)); err != nil {
		return err
	}
	return s.write("format", batch, true)
}

// checkFormat reads the marker. It returns fresh when the database is empty.
func checkFormat(db pebble.Reader, dir string) (fresh bool, err error) {
	value, err := get(db, spaceFormat, nil)
	if err != nil {
		return false, fmt.Errorf("read format marker: %w", err)
	}
	if value == nil {
		it, err := db.NewIter(nil)
		if err != nil {
			return false, fmt.Errorf("read format marker: %w", err)
		}
		empty := !it.First()
		if err := errors.Join(it.Error(), it.Close()); err != nil {
			return false, fmt.Errorf("read format marker: %w", err)
		}
		if empty {
			return true, nil
		}
		return false, errorf(ErrForeign, "%s holds a database of another program: choose another directory", dir)
	}
	version, ok := strings.CutPrefix(string(value), formatMagic)
	if !ok || len(version) != 4 {
		return false, errorf(ErrForeign, "%s has an unreadable format marker %q: choose another directory", dir, value)
	}
	if found := binary.BigEndian.Uint32([]byte(version)); found > formatVersion {
		return false, &NewerError{Dir: dir, Found: found, Supported: formatVersion}
	}
	return false, nil
}

// checkDir refuses a directory with files that neither we nor Pebble put
// there. A crash while the database was created may leave some of Pebble's.
func checkDir(cfg Config) error {
	names, err := cfg.fs.List(cfg.Dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("list %s: %w", cfg.Dir, err)
	}
	for _, name := range names {
		if !isDatabaseFile(name) {
			return errorf(ErrForeign, "%s holds %s, which is no part of ledger state: choose another directory or move it away",
				cfg.Dir, name)
		}
	}
	return nil
}

func isDatabaseFile(name string) bool {
	for _, pattern := range []string{"LOCK", "MANIFEST-*", "OPTIONS-*", "CURRENT*", "marker.*", "*.sst", "*.log", "*.blob", "*.dbtmp", "temporary.*"} {
		if ok, _ := filepath.Match(pattern, name); ok {
			return true
		}
	}
	return false
}

// Keys of the meta namespace.
const (
	metaHead   = "\x01" // newest height
	metaOldest = "\x02" // oldest readable height
	metaHeight = "\x10" // followed by a height: its time and root
)

const recordVersion = 1

func heightKey(height uint64) []byte { return keyspace.Uint64([]byte(metaHeight), height) }

// encodeUint is version, then eight bytes.
func encodeUint(n uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{recordVersion}, n)
}

func decodeUint(b []byte) (uint64, error) {
	if len(b) != 9 || b[0] != recordVersion {
		return 0, errorf(ErrCorrupt, "meta number %x", b)
	}
	return binary.BigEndian.Uint64(b[1:]), nil
}

// record is what is kept about each readable height.
type record struct {
	time time.Time
	root []byte // 32 bytes
}

// encode is version, seconds, nanoseconds, root.
func (r record) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{recordVersion}, uint64(r.time.Unix()))
	b = binary.BigEndian.AppendUint32(b, uint32(r.time.Nanosecond()))
	return append(b, r.root...)
}

func decodeRecord(b []byte) (record, error) {
	if len(b) != 1+8+4+32 || b[0] != recordVersion {
		return record{}, errorf(ErrCorrupt, "height record %x", b)
	}
	sec, nsec := binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint32(b[9:])
	return record{
		time: time.Unix(int64(sec), int64(nsec)).UTC(),
		root: append([]byte(nil), b[13:]...),
	}, nil
}

// readHeights returns the newest and the oldest height, zero in a new store.
func readHeights(r pebble.Reader) (head, oldest uint64, err error) {
	for key, out := range map[string]*uint64{metaHead: &head, metaOldest: &oldest} {
		value, err := get(r, spaceMeta, []byte(key))
		if err != nil {
			return 0, 0, fmt.Errorf("read heights: %w", err)
		}
		if value == nil {
			continue
		}
		if *out, err = decodeUint(value); err != nil {
			return 0, 0, err
		}
	}
	if head < oldest || (head == 0) != (oldest == 0) {
		return 0, 0, errorf(ErrCorrupt, "newest height %d, oldest %d", head, oldest)
	}
	return head, oldest, nil
}

func readRecord(r pebble.Reader, height uint64) (record, error) {
	value, err := get(r, spaceMeta, heightKey(height))
	if err != nil {
		return record{}, fmt.Errorf("read record of height %d: %w", height, err)
	}
	if value == nil {
		return record{}, errorf(ErrCorrupt, "record of height %d is missing", height)
	}
	return decodeRecord(value)
}
