package loadgen

import (
	"math"
	"math/bits"
	"time"
)

// subBits says how finely [Histogram] divides each power of two: into 128 parts.
const subBits = 7

const (
	// exact is below what values have a bucket each.
	exact = 2 << subBits
	// longest is the largest value that is told apart from larger ones, in microseconds: more than an hour.
	longest = 1<<32 - 1
	buckets = exact + (32-subBits-1)<<subBits
)

// Histogram counts durations in buckets whose width grows with the value. A percentile that it tells is off by less than 0.8 %,
// and by half a microsecond at least. Durations above 71 minutes count as that long. It takes 27 KB whatever it counts. The zero
// value is empty; it is not safe for concurrent use.
type Histogram struct {
	counts [buckets]uint64
	total  uint64
	max    time.Duration
}

func bucketOf(micros uint64) int {
	if micros < exact {
		return int(micros)
	}
	micros = min(micros, longest)
	shift := bits.Len64(micros) - subBits - 1
	return exact + (shift-1)<<subBits + int(micros>>shift) - 1<<subBits
}

// middleOf returns the middle of a bucket, in microseconds.
func middleOf(bucket int) float64 {
	if bucket < exact {
		return float64(bucket)
	}
	shift := (bucket-exact)>>subBits + 1
	low := float64((bucket-exact)&(1<<subBits-1) + 1<<subBits)
	return (low + 0.5) * math.Exp2(float64(shift))
}

// Record counts a duration; a negative one counts as zero.
func (h *Histogram) Record(d time.Duration) {
	h.counts[bucketOf(uint64(max(d, 0)/time.Microsecond))]++
	h.total++
	h.max = max(h.max, d)
}

// Add counts everything that another one has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count returns how many durations were recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max returns the longest duration that was recorded, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile returns the duration that a share q of those recorded do not exceed, 0 if there are none.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(math.Ceil(q*float64(h.total))), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(time.Duration(middleOf(i)*float64(time.Microsecond)), h.max)
		}
	}
	return h.max
}
