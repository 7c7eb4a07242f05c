package mempool

import (
	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/althing-ledger/althing/proto/tx"
)

// verdictKey is what a verdict depends on: all bytes, and the limits in force.
type verdictKey struct {
	hash   [32]byte
	limits tx.Limits
}

// What a verdict takes in memory, in bytes, measured: TestVerdictsAreCharged compares. A decoded transaction keeps its
// bytes, has copies of most of them in its fields, and a struct or a slot for each part.
const (
	verdictCost = 900 // the entry in the cache, the transaction, its body, and what rounding up adds
	partCost    = 100
	refusalCost = 400 // the entry in the cache and the error
)

// verdictCache holds the verdicts used most recently, bounded by their number and by about what they take in memory. It is
// not safe for concurrent use.
type verdictCache struct {
	lru      *simplelru.LRU[verdictKey, Verdict]
	bytes    int64
	maxBytes int64
}

func newVerdictCache(entries int, maxBytes int64) (*verdictCache, error) {
	c := &verdictCache{maxBytes: maxBytes}
	lru, err := simplelru.NewLRU(entries, func(_ verdictKey, v Verdict) { c.bytes -= v.size() })
	c.lru = lru
	return c, err
}

func (c *verdictCache) get(key verdictKey) (Verdict, bool) { return c.lru.Get(key) }

func (c *verdictCache) remove(key verdictKey) { c.lru.Remove(key) }

func (c *verdictCache) add(key verdictKey, v Verdict) {
	if c.lru.Contains(key) || v.size() > c.maxBytes {
		return
	}
	c.lru.Add(key, v)
	c.bytes += v.size()
	for c.bytes > c.maxBytes {
		c.lru.RemoveOldest()
	}
}

// size is about the number of bytes that a verdict takes in memory.
func (v Verdict) size() int64 {
	if v.Err != nil {
		return refusalCost + int64(len(v.Err.Error()))
	}
	return verdictCost + 2*int64(len(v.Tx.Raw)) + partCost*int64(v.Tx.Parts)
}
