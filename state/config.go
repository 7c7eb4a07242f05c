package state

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	defaultCacheBytes      = 128 << 20
	defaultValueCacheBytes = 64 << 20
	defaultTreeCacheNodes  = 1_000_000
	defaultPrunePerCommit  = 2
	minCacheBytes          = 1 << 20
	minValueCacheBytes     = 32 << 20
	maxPrunePerCommit      = 1000
)

// Config says where the state is and how much of it is kept.
type Config struct {
	// Dir is the directory of the database. It is created when missing and
	// belongs to the store alone.
	Dir string

	// CacheBytes is the size of the cache of uncompressed blocks, in bytes.
	// Default 128 MiB; at least 1 MiB. It serves reads of the flat view and
	// of past heights.
	CacheBytes int64

	// ValueCacheBytes is about how much memory values of the newest height may take,
	// those that were written or read last. Default 64 MiB; at least 32 MiB. It
	// serves execution and reads at the tip.
	ValueCacheBytes int64

	// TreeCacheNodes is how many tree nodes the writer keeps in memory
	// between blocks, at roughly 130 bytes each: two per key, if there are
	// that many. Default 1,000,000. While a block is executed, the nodes it
	// touches come on top, some twenty per changed key at most.
	TreeCacheNodes int

	// KeepHeights is how many heights of state stay readable, the newest
	// included. Zero does not limit by count. At least 2: the proof of a
	// height hangs on the next one.
	KeepHeights uint64

	// KeepFor is how long a height stays readable, measured in block time
	// from the newest block. Zero does not limit by age.
	//
	// A height is pruned when KeepHeights and KeepFor both allow it; when
	// both are zero everything is kept.
	KeepFor time.Duration

	// PrunePerCommit is the most heights one commit prunes. Default 2. One
	// per block is needed to keep pace; the rest catches up after the
	// settings became stricter. More makes single commits slower.
	PrunePerCommit int

	// Logger receives what the database reports. Default: discard.
	Logger *slog.Logger

	// WriteHook, if not nil, decides about every write to the database. Tests
	// use it to make writes fail. It must not call the store.
	WriteHook WriteHook

	// ReadOnly opens an existing directory without changing it.
	ReadOnly bool

	// fs is the file system, the real one by default. Only the tests of this
	// package replace it, to simulate the loss of power.
	fs vfs.FS
}

// Validate reports all problems of the configuration at once.
func (c Config) Validate() error {
	var problems []error
	complain := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf(format, args...))
	}
	if c.Dir == "" {
		complain("state: Dir is empty")
	}
	if c.CacheBytes != 0 && c.CacheBytes < minCacheBytes {
		complain("state: CacheBytes is %d, must be at least %d", c.CacheBytes, minCacheBytes)
	}
	if c.ValueCacheBytes != 0 && c.ValueCacheBytes < minValueCacheBytes {
		complain("state: ValueCacheBytes is %d, must be at least %d", c.ValueCacheBytes, minValueCacheBytes)
	}
	if c.TreeCacheNodes < 0 {
		complain("state: TreeCacheNodes is %d, must not be negative", c.TreeCacheNodes)
	}
	if c.KeepHeights == 1 {
		complain("state: KeepHeights is 1, must be 0 (no limit) or at least 2: the proof of a height hangs on the next one")
	}
	if c.KeepFor < 0 {
		complain("state: KeepFor is %v, must not be negative", c.KeepFor)
	}
	if c.PrunePerCommit < 0 || c.PrunePerCommit > maxPrunePerCommit {
		complain("state: PrunePerCommit is %d, must be between 0 (default) and %d", c.PrunePerCommit, maxPrunePerCommit)
	}
	return errors.Join(problems...)
}

func (c Config) withDefaults() Config {
	if c.CacheBytes == 0 {
		c.CacheBytes = defaultCacheBytes
	}
	if c.ValueCacheBytes == 0 {
		c.ValueCacheBytes = defaultValueCacheBytes
	}
	if c.TreeCacheNodes == 0 {
		c.TreeCacheNodes = defaultTreeCacheNodes
	}
	if c.PrunePerCommit == 0 {
		c.PrunePerCommit = defaultPrunePerCommit
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.fs == nil {
		c.fs = vfs.Default
	}
	return c
}

// prunes reports whether anything is ever pruned.
func (c Config) prunes() bool { return c.KeepHeights > 0 || c.KeepFor > 0 }

// prunable reports whether the policy lets go of a height that was committed
// at blockTime, when the newest is latest at latestTime.
func (c Config) prunable(height uint64, blockTime time.Time, latest uint64, latestTime time.Time) bool {
	if !c.prunes() || height+1 >= latest {
		return false
	}
	if c.KeepHeights > 0 && height+c.KeepHeights > latest {
		return false
	}
	if c.KeepFor > 0 && !blockTime.Before(latestTime.Add(-c.KeepFor)) {
		return false
	}
	return true
}
