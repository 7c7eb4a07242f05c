package state

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestValueCache reads and commits in random order through a cache that is too small, and compares with a map of each height.
func TestValueCache(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		most := rapid.Int64Range(0, 100*valueOverhead).Draw(rt, "bytes")
		c := newValueCache(most)
		states := []map[string][]byte{{}}
		c.advance(0, nil)
		key := rapid.Custom(func(rt *rapid.T) []byte { return fmt.Appendf(nil, "key%d", rapid.IntRange(0, 40).Draw(rt, "key")) })
		rt.Repeat(map[string]func(*rapid.T){
			"read": func(rt *rapid.T) {
				height, key := rapid.IntRange(0, len(states)-1).Draw(rt, "height"), key.Draw(rt, "key")
				want := states[height][string(key)]
				got, err := c.get(uint64(height), key, func() ([]byte, error) { return want, nil })
				if err != nil || !bytes.Equal(got, want) || (got == nil) != (want == nil) {
					rt.Fatalf("%s at %d is %q, %v, want %q", key, height, got, err, want)
				}
			},
			"late read": func(rt *rapid.T) { // a block is committed between the look into the database and what is learned from it
				key := key.Draw(rt, "key")
				height := len(states) - 1
				want := states[height][string(key)]
				if _, err := c.get(uint64(height), key, func() ([]byte, error) {
					states = append(states, map[string][]byte{string(key): []byte("late")})
					for k, v := range states[height] {
						if k != string(key) {
							states[height+1][k] = v
						}
					}
					c.advance(uint64(height+1), []change{{key: string(key), value: []byte("late")}})
					return want, nil
				}); err != nil {
					rt.Fatal(err)
				}
			},
			"commit": func(rt *rapid.T) {
				next := map[string][]byte{}
				for k, v := range states[len(states)-1] {
					next[k] = v
				}
				var changes []change
				for _, k := range rapid.SliceOfNDistinct(key, 0, 10, func(k []byte) string { return string(k) }).Draw(rt, "keys") {
					if value := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(rt, "value"); len(value) > 0 {
						next[string(k)] = value
						changes = append(changes, change{key: string(k), value: value})
					} else {
						delete(next, string(k))
						changes = append(changes, change{key: string(k)})
					}
				}
				c.advance(uint64(len(states)), changes)
				states = append(states, next)
			},
			"": func(rt *rapid.T) {
				var counted int64
				for i := range c.shards {
					shard := &c.shards[i]
					for _, k := range shard.values.Keys() {
						v, _ := shard.values.Peek(k)
						counted += valueBytes(k, v)
					}
				}
				if size := c.size(); size != counted || size > max(most, 0) {
					rt.Fatalf("it says %d bytes and holds %d, at most %d are allowed", size, counted, most)
				}
			},
		})
	})
}
