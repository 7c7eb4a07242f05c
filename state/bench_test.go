package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/althing-ledger/althing/state/keyspace"
)

// BenchmarkCommit measures blocks that update keys at random, with values of
// 64 bytes: wall clock by phase, processor time with Pebble's background work,
// memory in use.
func BenchmarkCommit(b *testing.B) {
	for _, test := range []struct {
		keys, updates int
		keep          uint64
		cache         int
	}{
		{100_000, 500, 0, 300_000},
		{100_000, 500, 10, 300_000},
		{100_000, 10_000, 0, 300_000},
		{100_000, 10_000, 10, 300_000},
		{1_000_000, 10_000, 0, 100_000},
		{1_000_000, 10_000, 0, 0},
		{1_000_000, 10_000, 0, 2_500_000},
	} {
		cache := "default"
		if test.cache > 0 {
			cache = fmt.Sprint(test.cache)
		}
		b.Run(fmt.Sprintf("keys=%d/updates=%d/keep=%d/cache=%s", test.keys, test.updates, test.keep, cache), func(b *testing.B) {
			benchmarkCommit(b, test.keys, test.updates, Config{KeepHeights: test.keep, TreeCacheNodes: test.cache})
		})
	}
}

func benchmarkCommit(b *testing.B, keys, updates int, cfg Config) {
	cfg.Dir = b.TempDir()
	s := mustOpen(b, cfg)
	defer mustClose(b, s)
	r := rand.New(rand.NewPCG(1, 2))
	block := func(n int, key func(int) int) []write {
		writes := make([]write, n)
		for i := range writes {
			value, k := make([]byte, 64), key(i)
			binary.BigEndian.PutUint64(value, r.Uint64())
			writes[i] = write{fmt.Appendf(nil, "%c/org%02d/account%07d", keyspace.PrefixBalances, k%50, k), value}
		}
		return writes
	}
	for done := 0; done < keys; {
		n := min(keys-done, 100_000)
		commit(b, s, block(n, func(i int) int { return done + i }))
		done += n
	}
	for range 12 {
		commit(b, s, block(updates, func(int) int { return r.IntN(keys) }))
	}
	var total Metrics
	var processor time.Duration
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		writes := block(updates, func(int) int { return r.IntN(keys) })
		before := processorTime(b)
		b.StartTimer()
		commit(b, s, writes)
		b.StopTimer()
		processor += processorTime(b) - before
		m := s.Metrics()
		total.StageDuration += m.StageDuration
		total.CommitDuration += m.CommitDuration
		total.PruneDuration += m.PruneDuration
		b.StartTimer()
	}
	b.StopTimer()
	report := func(d time.Duration, unit string) {
		b.ReportMetric(float64(d.Microseconds())/1000/float64(b.N), unit)
	}
	report(total.StageDuration, "ms-stage/op")
	report(total.CommitDuration, "ms-commit/op")
	report(total.PruneDuration, "ms-prune/op")
	report(processor, "ms-cpu/op")
	var mem runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&mem)
	b.ReportMetric(float64(mem.HeapInuse)/1e6, "MB-heap")
}

// processorTime is what all threads of the process have used.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkEmptyBlock measures a block without changes.
func BenchmarkEmptyBlock(b *testing.B) {
	s := mustOpen(b, testConfig(b.TempDir()))
	defer mustClose(b, s)
	commit(b, s, []write{{[]byte("key"), []byte("value")}})
	for b.Loop() {
		commit(b, s, nil)
	}
}

// BenchmarkTree measures the tree alone: 10,000 updates of 100,000 keys, all
// in memory, to a batch that is applied outside of the measurement.
func BenchmarkTree(b *testing.B) {
	s := mustOpen(b, testConfig(b.TempDir()))
	defer mustClose(b, s)
	t, err := openTree(s.db, 0, 1_000_000)
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	block := func(step int, added bool) (changes []change) {
		for k := r.IntN(step); k < 100_000; k += step {
			changes = append(changes, change{key: fmt.Sprintf("org%02d/account%07d", k/2000, k), value: fmt.Appendf(nil, "%064d", r.Uint64()), added: added})
		}
		return changes
	}
	next := func(changes []change) {
		if err := t.stage(t.version+1, changes); err != nil {
			b.Fatal(err)
		}
		batch := s.db.NewBatchWithSize(t.number())
		if err := t.save(batch, changes); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := s.write("app", batch, false); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		t.settle()
	}
	next(block(1, true))
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		changes := block(10, false)
		b.StartTimer()
		next(changes)
	}
}
