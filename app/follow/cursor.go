package follow

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// What stands at a cursor: its format, then either the two heights of a [Reach], or the ranges that a [Drop] has not emptied
// yet.
const (
	formatReach = 1
	formatDrop  = 2
	reachSize   = 17
)

// dropKeys is how many keys a [Drop] removes with one write.
const dropKeys = 4096

// Reach is which blocks a follower has seen: all from First to Last. Both are 0 before it began.
type Reach struct {
	First, Last uint64
}

func cursorKey(name string) []byte { return keyspace.Key(keyspace.LocalCursors, name) }

func (r Reach) encode() []byte {
	b := append(make([]byte, 0, reachSize), formatReach)
	b = binary.BigEndian.AppendUint64(b, r.First)
	return binary.BigEndian.AppendUint64(b, r.Last)
}

// ReachOf returns which blocks a follower had seen when it wrote what a view of the newest height shows.
func ReachOf(v *state.View, name string) (Reach, error) {
	b, err := v.Local(cursorKey(name))
	switch {
	case err != nil:
		return Reach{}, fmt.Errorf("read the cursor of %s: %w", name, err)
	case len(b) == 0 || b[0] == formatDrop:
		return Reach{}, nil
	case len(b) != reachSize || b[0] != formatReach:
		return Reach{}, fmt.Errorf("read the cursor of %s: unknown format", name)
	}
	return Reach{First: binary.BigEndian.Uint64(b[1:]), Last: binary.BigEndian.Uint64(b[9:])}, nil
}

// Cursor returns the height up to which a follower has got, 0 before it began.
func Cursor(v *state.View, name string) (uint64, error) {
	reach, err := ReachOf(v, name)
	return reach.Last, err
}

// Drop removes what a follower has written, all below the prefixes of its keys, and its cursor: it begins again, with the oldest
// block that is still kept. A crash in between is made up for by [New]. The follower must not run. What is to be kept for ever
// must not be dropped on a node whose first blocks are gone: nobody could write it again.
func Drop(store *state.Store, name string, prefixes ...[]byte) error {
	mark := []byte{formatDrop}
	for _, prefix := range prefixes {
		if len(prefix) == 0 {
			return fmt.Errorf("drop what %s has written: a prefix is empty", name)
		}
		mark = binary.AppendUvarint(mark, uint64(len(prefix)))
		mark = append(mark, prefix...)
	}
	if err := store.SetLocal([]state.LocalWrite{{Key: cursorKey(name), Value: mark}}, true); err != nil {
		return fmt.Errorf("drop what %s has written: %w", name, err)
	}
	return finishDrop(store, name)
}

// finishDrop removes what a drop has marked, if one has.
func finishDrop(store *state.Store, name string) error {
	mark, err := readLocal(store, cursorKey(name))
	if err != nil || len(mark) == 0 || mark[0] != formatDrop {
		return err
	}
	for rest := mark[1:]; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size == 0 || size > uint64(len(rest)-n) {
			return fmt.Errorf("drop what %s has written: its mark is damaged", name)
		}
		if err := dropRange(store, rest[n:n+int(size)]); err != nil {
			return fmt.Errorf("drop what %s has written: %w", name, err)
		}
		rest = rest[n+int(size):]
	}
	return store.SetLocal([]state.LocalWrite{{Key: cursorKey(name)}}, true)
}

func dropRange(store *state.Store, prefix []byte) error {
	for {
		removals, err := firstKeys(store, prefix)
		if err != nil || len(removals) == 0 {
			return err
		}
		if err := store.SetLocal(removals, false); err != nil {
			return err
		}
	}
}

// firstKeys returns the removals of the first keys that have a prefix.
func firstKeys(store *state.Store, prefix []byte) (removals []state.LocalWrite, err error) {
	view := store.Latest()
	defer view.Release()
	start, end := keyspace.PrefixRange(prefix)
	err = view.ScanLocal(start, end, false, func(key, _ []byte) (bool, error) {
		removals = append(removals, state.LocalWrite{Key: bytes.Clone(key)})
		return len(removals) < dropKeys, nil
	})
	return removals, err
}

func readLocal(store *state.Store, key []byte) ([]byte, error) {
	view := store.Latest()
	defer view.Release()
	value, err := view.Local(key)
	return bytes.Clone(value), err
}
