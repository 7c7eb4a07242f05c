package state

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// reclaimTables and reclaimBytes bound one pass: how many files, and how
	// much data may lie in the key range of one of them.
	reclaimTables = 32
	reclaimBytes  = 256 << 20
	// A file is worth compacting when one entry in reclaimShare deletes.
	reclaimShare = 10
)

// Run gives disk space back after pruning, until ctx ends; then it returns
// nil. It returns ErrStoreFailed as soon as the store has failed for whatever
// reason, also when nobody happens to write: the process should exit.
func (s *Store) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.failed:
			return s.failure
		case <-s.reclaim:
			if err := s.compactDeleted(ctx); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return s.fail(fmt.Errorf("reclaim disk space: %w", err))
			}
		}
	}
}

// compactDeleted compacts the files that consist of deletions to a good part.
// Pebble does so by itself when it finds them dense enough; deletions of tree
// nodes lie scattered between nodes that stay, and may wait for long.
func (s *Store) compactDeleted(ctx context.Context) error {
	// Deletions that are still in memory are in no file.
	if err := s.db.Flush(); err != nil {
		return err
	}
	levels, err := s.db.SSTables(pebble.WithProperties())
	if err != nil {
		return err
	}
	var dense []pebble.SSTableInfo
	for _, tables := range levels {
		for _, t := range tables {
			if t.Properties != nil && t.Properties.NumDeletions*reclaimShare >= t.Properties.NumEntries && t.Properties.NumDeletions > 0 {
				dense = append(dense, t)
			}
		}
	}
	slices.SortFunc(dense, func(a, b pebble.SSTableInfo) int {
		return cmp.Compare(b.Properties.NumDeletions, a.Properties.NumDeletions)
	})
	for _, t := range dense[:min(len(dense), reclaimTables)] {
		start, end := t.Smallest.UserKey, append(slices.Clone(t.Largest.UserKey), 0)
		size, err := s.db.EstimateDiskUsage(start, end)
		if err != nil {
			return err
		}
		if size > reclaimBytes {
			continue
		}
		if err := s.db.Compact(ctx, start, end, false); err != nil {
			return err
		}
		s.counts.compacted.Add(1)
	}
	return nil
}
