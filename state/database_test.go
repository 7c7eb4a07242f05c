package state

import (
	"bytes"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// TestNoTableSpansABound writes keys on both sides of every bound and between them, and looks at the tables of a flush, and of a
// compaction of everything.
func TestNoTableSpansABound(t *testing.T) {
	t.Parallel()
	if !slices.IsSortedFunc(tableBounds, bytes.Compare) {
		t.Fatal("the bounds are not in ascending order")
	}
	s := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, s)
	for range 2 {
		for _, bound := range tableBounds {
			before := slices.Clone(bound)
			before[len(before)-1]--
			for _, key := range [][]byte{append(before, 0xff, 0xff), bound, append(slices.Clone(bound), 0x01)} {
				if err := s.db.Set(key, []byte("v"), pebble.NoSync); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.db.Flush(); err != nil {
			t.Fatal(err)
		}
		s.expectApart(t)
	}
	if err := s.db.Compact(t.Context(), []byte{0}, []byte{0xff}, false); err != nil {
		t.Fatal(err)
	}
	s.expectApart(t)
}

func (s *Store) expectApart(t *testing.T) {
	t.Helper()
	levels, err := s.db.SSTables()
	if err != nil {
		t.Fatal(err)
	}
	tables := 0
	for _, level := range levels {
		for _, table := range level {
			tables++
			if _, end, err := tableSpan(table.Smallest.UserKey); err != nil || len(end) > 0 && bytes.Compare(table.Largest.UserKey, end) >= 0 {
				t.Errorf("a table holds %x to %x, and %x is between: %v", table.Smallest.UserKey, table.Largest.UserKey, end, err)
			}
		}
	}
	if tables <= len(tableBounds) {
		t.Errorf("%d tables for %d bounds", tables, len(tableBounds))
	}
}
