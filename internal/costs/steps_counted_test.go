//go:build linux && amd64 && !race

package costs

import (
	"crypto/sha256"
	"testing"
)

// TestCounts counts what is known: twice the work has twice the steps, wherever it is done, and each allocation is one.
func TestCounts(t *testing.T) {
	t.Parallel()
	hash := func(n int) {
		sum := [32]byte{}
		for range n {
			sum = sha256.Sum256(sum[:])
		}
		sunk = sum[:]
	}
	costs := measure(t, func(*testing.T) func() []func() {
		return func() []func() {
			return []func(){
				func() { hash(0) },
				func() { hash(50) },
				func() { hash(100) },
				func() {
					done := make(chan struct{})
					go func() { hash(100); close(done) }()
					<-done
				},
				func() {
					for range 10 {
						sunk = make([]byte, 100)
					}
				},
			}
		}
	}, 1)
	if costs == nil {
		return
	}
	if n := costs[4].Allocations; n != 10 {
		t.Errorf("ten allocations are %d", n)
	}
	if costs[4].Instructions == 0 {
		return // The log says why.
	}
	none, once, twice, elsewhere := costs[0].Instructions, costs[1].Instructions, costs[2].Instructions, costs[3].Instructions
	if first, second := once-none, twice-once; first/50 < 100 || max(first, second)-min(first, second) > first/20 {
		t.Errorf("no hashes take %d instructions, 50 take %d, 100 take %d", none, once, twice)
	}
	if elsewhere < twice || elsewhere > twice+10_000 {
		t.Errorf("100 hashes take %d instructions, %d in another goroutine", twice, elsewhere)
	}
}

var sunk []byte
