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

// verdictCache holds the verdicts used most recently, bounded by their number and by the bytes of their transactions. It
// is not safe for concurrent use.
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

// size is the number of bytes that a verdict counts in a cache.
func (v Verdict) size() int64 {
	if v.Tx == nil {
		return 0
	}
	return int64(len(v.Tx.Raw))
}
