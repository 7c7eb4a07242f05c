package loadgen

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestHistogramErrorIsBounded(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	var all []time.Duration
	for range 100_000 {
		// From a microsecond to an hour, as many of each order of magnitude.
		d := time.Duration(math.Exp(random.Float64()*math.Log(3.6e9))) * time.Microsecond
		h.Record(d)
		all = append(all, d)
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[max(int(math.Ceil(q*float64(len(all)))), 1)-1]
		got := h.Quantile(q)
		if off := (got - want).Abs(); off > want/128+time.Microsecond {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if h.Count() != uint64(len(all)) || h.Max() != all[len(all)-1] {
		t.Errorf("%d recorded, the longest %v; want %d, %v", h.Count(), h.Max(), len(all), all[len(all)-1])
	}
}

func TestHistogramBuckets(t *testing.T) {
	t.Parallel()
	last := -1
	for _, micros := range []uint64{0, 1, 255, 256, 257, 258, 511, 512, 1 << 20, longest - 1, longest, math.MaxUint64} {
		b := bucketOf(micros)
		if b < last || b >= buckets {
			t.Errorf("%d is in bucket %d of %d, after %d", micros, b, buckets, last)
		}
		last = b
		if middle := middleOf(b); micros <= longest && math.Abs(middle-float64(micros)) > float64(micros)/128+1 {
			t.Errorf("the bucket of %d has its middle at %v", micros, middle)
		}
	}
	var empty, negative Histogram
	if empty.Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
	negative.Record(-time.Second)
	empty.Add(&negative)
	if empty.Count() != 1 || empty.Quantile(1) != 0 {
		t.Error("a negative duration is not counted as none")
	}
}
