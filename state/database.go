package state

import (
	"bytes"
	"fmt"
	"log/slog"
	"sort"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"

	"github.com/althing-ledger/althing/state/keyspace"
)

// databaseFormat is the format of Pebble's files. It is raised together with
// formatVersion, never by an upgrade of the dependency alone.
const databaseFormat = pebble.FormatTableFormatV6

// databaseOptions tunes Pebble for one writer of large batches, point reads of
// hashes, and few cores.
func databaseOptions(cfg Config, log *databaseLogger) *pebble.Options {
	opts := &pebble.Options{
		FS:        cfg.fs,
		CacheSize: cfg.CacheBytes,
		ReadOnly:  cfg.ReadOnly,

		// A block's batch is a few MiB; several of them share one flush.
		MemTableSize:                32 << 20,
		MemTableStopWritesThreshold: 4,

		// Compaction competes with execution for few cores: one at a time, a
		// second only when level 0 or the debt grows.
		CompactionConcurrencyRange: func() (lower, upper int) { return 1, 2 },
		L0CompactionThreshold:      6,
		// A stalled write stalls consensus: far above what compaction keeps.
		L0StopWritesThreshold: 1000,
		LBaseMaxBytes:         256 << 20,

		// Smooth out what the sync of a vote would otherwise wait for.
		BytesPerSync:    1 << 20,
		WALBytesPerSync: 1 << 20,

		MaxOpenFiles: 1000,
		Logger:       log,
	}
	opts.EventListener = &pebble.EventListener{
		BackgroundError: log.background,
		DataCorruption:  log.corruption,
		WriteStallBegin: log.stalled,
	}
	opts.Experimental.L0CompactionConcurrency = 4
	opts.Experimental.CompactionDebtConcurrency = 256 << 20
	for i := range opts.Levels {
		level := &opts.Levels[i]
		// Nearly every read of a tree node is for a key that exists in one
		// table only; the filters keep the others from being searched. Ten
		// bits a key give one false positive in a hundred.
		level.FilterPolicy = bloom.FilterPolicy(10)
		// Nodes are mostly hashes: a heavier compressor gains nothing.
		level.Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
		level.BlockSize = 8 << 10
		level.IndexBlockSize = 256 << 10
	}
	// A compaction out of level 0 takes in neighbours that need none as long as all is below 25 times the size of the tables it
	// writes. That size is kept small, so that it does not: what is in order anyway waits and is moved.
	opts.TargetFileSizes = [...]int64{8 << 20, 512 << 10, 8 << 20, 16 << 20, 32 << 20, 64 << 20, 128 << 20}
	opts.L0CompactionFileThreshold = 1000
	opts.Experimental.SpanPolicyFunc = tableSpan
	return opts
}

// tableBounds are keys that no table spans, in ascending order. What is written in the order of its keys (tree nodes, outcomes of
// blocks, the blocks themselves) thus has tables of its own, which overlap with nothing and are moved from level to level as they
// are, while random keys are merged again and again. Together they would all be merged: three quarters of the bytes in vain.
var tableBounds = [][]byte{
	{spaceTree},
	{spaceFlat},
	{spaceLocal},
	{spaceLocal, keyspace.LocalBlockResults},
	{spaceLocal, keyspace.LocalSummaries},
	{spaceLocal, keyspace.LocalHistory},
	{spaceCometBlocks},
	{spaceCometBlocks, 'P'}, // parts of blocks; CometBFT writes their heights in decimal, which is ascending most of the time
	{spaceCometBlocks, 'Q'},
	{spaceCometState},
}

// tableSpan returns the end of the span that a table with a key belongs to: the next of tableBounds, nil for none.
func tableSpan(key []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	i := sort.Search(len(tableBounds), func(i int) bool { return bytes.Compare(tableBounds[i], key) > 0 })
	if i < len(tableBounds) {
		end = tableBounds[i]
	}
	return pebble.SpanPolicy{}, end, nil
}

// databaseLogger carries what Pebble reports into our log, and its failures
// into the store.
type databaseLogger struct {
	log  *slog.Logger
	fail func(error) error
}

// Infof discards: Pebble tells of every flush.
func (l *databaseLogger) Infof(string, ...any) {}

// Errorf logs an error.
func (l *databaseLogger) Errorf(format string, args ...any) {
	l.log.Error("database", "message", fmt.Sprintf(format, args...))
}

// Fatalf must not return; see Store.apply. In a goroutine of Pebble's own (a
// manifest that cannot be written) nobody recovers and the process ends.
func (l *databaseLogger) Fatalf(format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	l.log.Error("database gave up", "message", message)
	panic(fatalLog{message})
}

// background is told that a flush or compaction failed, as on a full disk.
// Pebble would retry for ever while writes pile up behind it, and at last
// block; stopping with the reason is better.
func (l *databaseLogger) background(err error) {
	l.log.Error("database background work failed", "error", err)
	l.fail(fmt.Errorf("database background work: %w", err))
}

func (l *databaseLogger) corruption(info pebble.DataCorruptionInfo) {
	l.log.Error("database file is corrupt", "path", info.Path, "error", info.Details)
	l.fail(wrapf(ErrCorrupt, info.Details, "file %s", info.Path))
}

func (l *databaseLogger) stalled(info pebble.WriteStallBeginInfo) {
	l.log.Warn("database writes are stalled", "reason", info.Reason)
}
