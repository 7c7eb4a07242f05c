package mempool

import (
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
)

// inChunks cuts the numbers below n into consecutive ranges of smallest to largest numbers (the last may be shorter), has
// up to workers goroutines call work for each range, and returns when all are done. One range is worked on by the
// caller itself. If work panics, so does inChunks, on the caller's goroutine, where the caller may have a say.
func inChunks(n, workers, smallest, largest int, work func(from, to int)) {
	size := min(max((n+workers-1)/workers, smallest), largest)
	chunks := (n + size - 1) / size
	if chunks <= 1 {
		if n > 0 {
			work(0, n)
		}
		return
	}
	var (
		next   atomic.Int64
		failed atomic.Pointer[string]
		group  sync.WaitGroup
	)
	for range min(workers, chunks) {
		group.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					text := fmt.Sprintf("%v\n%s", p, debug.Stack())
					failed.Store(&text)
				}
			}()
			for {
				from := int(next.Add(1)-1) * size
				if from >= n {
					return
				}
				work(from, min(from+size, n))
			}
		})
	}
	group.Wait()
	if text := failed.Load(); text != nil {
		panic(*text)
	}
}
