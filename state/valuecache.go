package state

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// valueCache remembers values of the flat view at the newest height: a block reads again what the blocks before it have written,
// and looking into the database takes longer than executing a transfer. Each shard knows of which height it is, so a view of
// another height passes it by.
type valueCache struct {
	seed   maphash.Seed
	shards [valueShards]valueShard
	most   int64 // bytes per shard

	hits, misses atomic.Uint64
}

const (
	valueShards = 16
	// valueOverhead is about what an entry takes besides its key and value, in bytes.
	valueOverhead = 160
)

type valueShard struct {
	mu     sync.Mutex
	height uint64
	values *simplelru.LRU[string, []byte] // nil for a key that is absent
	bytes  int64
}

func newValueCache(most int64) *valueCache {
	c := &valueCache{seed: maphash.MakeSeed(), most: most / valueShards}
	for i := range c.shards {
		shard := &c.shards[i]
		// The number of entries is bounded by their bytes. An error means a size below one.
		shard.values, _ = simplelru.NewLRU(max(int(c.most/valueOverhead), 1), func(key string, value []byte) {
			shard.bytes -= valueBytes(key, value)
		})
	}
	return c
}

func valueBytes(key string, value []byte) int64 { return int64(len(key)+len(value)) + valueOverhead }

func (c *valueCache) shard(key []byte) *valueShard {
	return &c.shards[maphash.Bytes(c.seed, key)%valueShards]
}

// get returns the value of a key at a height, from read if it is not known.
func (c *valueCache) get(height uint64, key []byte, read func() ([]byte, error)) ([]byte, error) {
	shard := c.shard(key)
	if value, known := shard.get(height, key); known {
		c.hits.Add(1)
		return value, nil
	}
	c.misses.Add(1)
	value, err := read()
	if err == nil {
		shard.learn(height, key, value, c.most)
	}
	return value, err
}

func (s *valueShard) get(height uint64, key []byte) (value []byte, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.height != height {
		return nil, false
	}
	return s.values.Get(string(key))
}

func (s *valueShard) learn(height uint64, key, value []byte, most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.height == height {
		s.put(string(key), value, most)
	}
}

func (s *valueShard) put(key string, value []byte, most int64) {
	s.values.Remove(key)
	s.values.Add(key, value)
	s.bytes += valueBytes(key, value)
	for s.bytes > most && s.values.Len() > 0 {
		s.values.RemoveOldest()
	}
}

// advance takes over a block that is in the database. From now on the cache is of its height.
func (c *valueCache) advance(height uint64, changes []change) {
	byShard := [valueShards][]change{}
	for _, change := range changes {
		i := maphash.String(c.seed, change.key) % valueShards
		byShard[i] = append(byShard[i], change)
	}
	for i := range c.shards {
		c.shards[i].advance(height, byShard[i], c.most)
	}
}

func (s *valueShard) advance(height uint64, changes []change, most int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.height = height
	for _, change := range changes {
		s.put(change.key, change.value, most)
	}
}

// size returns about how many bytes the cache holds.
func (c *valueCache) size() (bytes int64) {
	for i := range c.shards {
		shard := &c.shards[i]
		shard.mu.Lock()
		bytes += shard.bytes
		shard.mu.Unlock()
	}
	return bytes
}
