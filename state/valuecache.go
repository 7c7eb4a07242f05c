package state

import (
	"math"
	"sync"

	"github.com/VictoriaMetrics/fastcache"
)

// valueCache remembers values of the flat view at the newest height: a block reads again what the blocks before it have written,
// and looking into the database takes longer than executing a transfer. It knows of which height it is, so a view of another
// height passes it by.
//
// Its entries lie outside of what the garbage collector sees: half a million of them would cost it more than they save.
type valueCache struct {
	// mu keeps a value that was read before a commit from being remembered after it.
	mu     sync.RWMutex
	height uint64
	values *fastcache.Cache // no bytes for a key that is absent: values are never empty
}

func newValueCache(most int64) *valueCache {
	return &valueCache{values: fastcache.New(int(most))}
}

// get returns the value of a key at a height, from read if it is not known.
func (c *valueCache) get(height uint64, key []byte, read func() ([]byte, error)) ([]byte, error) {
	if value, known := c.find(height, key); known {
		return value, nil
	}
	value, err := read()
	if err == nil {
		c.learn(height, key, value)
	}
	return value, err
}

func (c *valueCache) find(height uint64, key []byte) (value []byte, known bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.height != height {
		return nil, false
	}
	return c.values.HasGet(nil, key)
}

func (c *valueCache) learn(height uint64, key, value []byte) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.height == height {
		c.put(key, value)
	}
}

// maxCachedPair is the size of a key and its value above which the library keeps nothing, and what it kept before.
const maxCachedPair = 64<<10 - 16

func (c *valueCache) put(key, value []byte) {
	if len(key)+len(value) > maxCachedPair {
		c.values.Del(key)
		return
	}
	c.values.Set(key, value)
}

// advance takes over a block that is in the database. From now on the cache is of its height.
func (c *valueCache) advance(height uint64, changes []change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height = height
	for _, change := range changes {
		c.put([]byte(change.key), change.value)
	}
}

// close gives the memory back, to the caches of the process that are made later. Nothing is known any more.
func (c *valueCache) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.height = math.MaxUint64 // which no view has
	c.values.Reset()
}

// stats returns how many bytes the cache holds, and what it was asked since it was made.
func (c *valueCache) stats() (bytes, hits, misses uint64) {
	var s fastcache.Stats
	c.values.UpdateStats(&s)
	return s.BytesSize, s.GetCalls - s.Misses, s.Misses
}
