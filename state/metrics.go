package state

import (
	"sync/atomic"
	"time"
)

// counts are totals since Open.
type counts struct {
	pruned    atomic.Uint64
	compacted atomic.Uint64
}

// timing is how long the last block took.
type timing struct{ stage, commit, prune atomic.Int64 } // nanoseconds

// Metrics is what an operator watches. Sizes are bytes; totals count from
// Open.
type Metrics struct {
	Height uint64
	Oldest uint64

	StageDuration  time.Duration // of the last block
	CommitDuration time.Duration // of the last block, without pruning
	PruneDuration  time.Duration // after the last block

	OpenViews       int    // views not yet released
	PastHeightsOpen int    // past heights with open views; each holds back compaction
	PrunedHeights   uint64 // total
	CompactedTables uint64 // total, by reclaiming space after pruning

	DiskBytes           uint64 // all files
	TableBytes          uint64 // sorted tables, without those about to be deleted
	LogBytes            uint64 // write-ahead log, without files kept for reuse
	MemTableBytes       uint64
	CacheBytes          uint64
	CacheHits           int64 // total
	CacheMisses         int64 // total
	ValueCacheBytes     uint64
	ValueCacheHits      int64 // total
	ValueCacheMisses    int64 // total
	CompactionDebtBytes uint64
	CompactionsTotal    int64
	CompactionsRunning  int64
	FlushesTotal        int64
	ReadAmplification   int    // files a read may have to look at
	WrittenBytes        uint64 // total, by flushes and compactions
	Tombstones          uint64 // deletions not yet compacted away
}

// Metrics returns the current figures. It costs some microseconds; it is zero
// after Close.
func (s *Store) Metrics() Metrics {
	done, err := s.use()
	if err != nil {
		return Metrics{}
	}
	defer done()
	s.mu.Lock()
	m := Metrics{
		Height:          s.latest.height,
		Oldest:          s.oldest,
		StageDuration:   time.Duration(s.timing.stage.Load()),
		CommitDuration:  time.Duration(s.timing.commit.Load()),
		PruneDuration:   time.Duration(s.timing.prune.Load()),
		OpenViews:       s.views,
		PastHeightsOpen: len(s.history),
		PrunedHeights:   s.counts.pruned.Load(),
		CompactedTables: s.counts.compacted.Load(),
	}
	s.mu.Unlock()
	db := s.db.Metrics()
	total := db.Total()
	m.DiskBytes = db.DiskSpaceUsage()
	m.TableBytes = db.Table.Local.LiveSize
	m.LogBytes = db.WAL.PhysicalSize
	m.MemTableBytes = db.MemTable.Size
	m.CacheBytes = uint64(db.BlockCache.Size)
	m.CacheHits = db.BlockCache.Hits
	m.CacheMisses = db.BlockCache.Misses
	bytes, hits, misses := s.values.stats()
	m.ValueCacheBytes, m.ValueCacheHits, m.ValueCacheMisses = bytes, int64(hits), int64(misses)
	m.CompactionDebtBytes = db.Compact.EstimatedDebt
	m.CompactionsTotal = db.Compact.Count
	m.CompactionsRunning = db.Compact.NumInProgress
	m.FlushesTotal = db.Flush.Count
	m.ReadAmplification = db.ReadAmp()
	m.WrittenBytes = total.TableBytesFlushed + total.TableBytesCompacted
	m.Tombstones = db.Keys.TombstoneCount
	return m
}
