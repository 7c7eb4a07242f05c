package state

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/althing-ledger/althing/state/keyspace"
)

// BenchmarkCommit10k measures a block that updates 10,000 of 100,000 keys with
// values of 64 bytes, with and without pruning one height per block.
func BenchmarkCommit10k(b *testing.B) {
	for _, keep := range []uint64{0, 10} {
		b.Run(fmt.Sprintf("keep=%d", keep), func(b *testing.B) {
			cfg := Config{Dir: b.TempDir(), KeepHeights: keep, TreeCacheNodes: 300_000}
			s := mustOpen(b, cfg)
			defer mustClose(b, s)
			r := rand.New(rand.NewPCG(1, 2))
			block := func(n int, key func(int) int) []write {
				writes := make([]write, n)
				for i := range writes {
					value := make([]byte, 64)
					binary.BigEndian.PutUint64(value, r.Uint64())
					writes[i] = write{fmt.Appendf(nil, "%c/org%02d/account%05d", keyspace.PrefixBalances, key(i)%50, key(i)), value}
				}
				return writes
			}
			commit(b, s, block(100_000, func(i int) int { return i }))
			for range 12 {
				commit(b, s, block(10_000, func(int) int { return r.IntN(100_000) }))
			}
			var total Metrics
			for b.Loop() {
				b.StopTimer()
				writes := block(10_000, func(int) int { return r.IntN(100_000) })
				b.StartTimer()
				commit(b, s, writes)
				m := s.Metrics()
				total.StageDuration += m.StageDuration
				total.CommitDuration += m.CommitDuration
				total.PruneDuration += m.PruneDuration
			}
			b.ReportMetric(float64(total.StageDuration.Milliseconds())/float64(b.N), "ms-stage/op")
			b.ReportMetric(float64(total.CommitDuration.Milliseconds())/float64(b.N), "ms-commit/op")
			b.ReportMetric(float64(total.PruneDuration.Milliseconds())/float64(b.N), "ms-prune/op")
			b.ReportMetric(float64(s.Metrics().DiskBytes)/1e6, "MB-disk")
		})
	}
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
