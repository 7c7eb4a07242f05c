package state

import (
	"bytes"
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// TestValueCache reads and commits in random order through a cache, and compares with a map of each height.
func TestValueCache(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := newValueCache(minValueCacheBytes)
		defer c.close()
		states := []map[string][]byte{{}}
		c.advance(0, nil)
		key := rapid.Custom(func(rt *rapid.T) []byte { return fmt.Appendf(nil, "key%d", rapid.IntRange(0, 40).Draw(rt, "key")) })
		value := rapid.OneOf(rapid.SliceOfN(rapid.Byte(), 0, 300), rapid.Custom(func(rt *rapid.T) []byte {
			return bytes.Repeat([]byte{rapid.Byte().Draw(rt, "content")}, rapid.IntRange(maxCachedPair-10, maxCachedPair+100).Draw(rt, "size"))
		}))
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
					if value := value.Draw(rt, "value"); len(value) > 0 {
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
		})
	})
}

// TestValueCacheBound: more than fits pushes out what was written first, and the memory stays within what was asked for.
func TestValueCacheBound(t *testing.T) {
	t.Parallel()
	c := newValueCache(minValueCacheBytes)
	defer c.close()
	c.advance(1, nil)
	value := make([]byte, 1000)
	const keys = 3 * minValueCacheBytes / 1000
	for i := range keys {
		c.learn(1, fmt.Appendf(nil, "key%d", i), value)
	}
	if bytes, _, _ := c.stats(); bytes > minValueCacheBytes {
		t.Errorf("%d bytes, more than %d", bytes, minValueCacheBytes)
	}
	if _, known := c.find(1, fmt.Appendf(nil, "key%d", keys-1)); !known {
		t.Error("what was learned last is not known")
	}
	if _, known := c.find(1, []byte("key0")); known {
		t.Error("what was learned first is still known")
	}
	c.close()
	c.learn(1, []byte("key0"), value)
	if _, known := c.find(1, []byte("key0")); known {
		t.Error("a closed cache learns")
	}
}
