package state

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"

	"github.com/cockroachdb/pebble/v2"
)

// number gives the dirty nodes of the staged version their numbers, a parent
// before its children and left before right as iavl does, and lists them in
// t.order. It returns about how many bytes save will write.
func (t *tree) number() (size int) {
	if n := t.root.node; n != nil && n.dirty {
		t.numberNode(n)
		t.root.nodeKey = nodeKey{t.version, 1}
	}
	for _, n := range t.order {
		size += nodeOverhead + len(n.key)
	}
	return size
}

func (t *tree) numberNode(n *node) {
	t.order = append(t.order, n)
	for side, child := range n.child {
		if child != nil && child.dirty {
			n.version[side], n.nonce[side] = t.version, uint32(len(t.order)+1)
			t.numberNode(child)
		}
	}
}

// nodeOverhead is about what an inner node takes in a batch beside its key:
// kind, lengths and database key, hash, and two keys of children.
const nodeOverhead = 80

// save adds the staged version, which has been numbered, to batch. changes are
// those it was staged with: each new leaf is the next one with a value. Nodes
// are added in the order of their keys, which is cheapest for the database.
func (t *tree) save(batch *pebble.Batch, changes []change) error {
	for i, n := range t.order {
		key := nodeKey{t.version, uint32(i + 1)}
		if n.height > 0 {
			if err := n.saveInner(batch, key); err != nil {
				return err
			}
			continue
		}
		changes = nextSet(changes)
		if len(changes) == 0 || changes[0].key != n.key {
			return errDisagree(n.key)
		}
		if err := saveLeaf(batch, key, changes[0]); err != nil {
			return err
		}
		changes = changes[1:]
	}
	if changes = nextSet(changes); len(changes) > 0 {
		return errDisagree(changes[0].key)
	}
	if len(t.order) > 0 {
		return nil // The first is the root.
	}
	var root []byte
	if t.root != (ref{}) {
		root = t.root.bytes()
	}
	return set(batch, spaceTree, nodeKey{t.version, 1}.bytes(), root)
}

// nextSet skips removals.
func nextSet(changes []change) []change {
	for len(changes) > 0 && changes[0].value == nil {
		changes = changes[1:]
	}
	return changes
}

func (n *node) saveInner(batch *pebble.Batch, key nodeKey) error {
	size := 1 + varintSize(int64(n.size)) + bytesSize(len(n.key)) + 1 + sha256.Size + 1
	for side := range n.child {
		size += varintSize(n.version[side]) + varintSize(int64(n.nonce[side]))
	}
	op := batch.SetDeferred(1+nodeKeySize, size)
	key.put(op.Key)
	b := appendNodePrefix(op.Value[:0], n.height, int64(n.size), n.key)
	b = append(b, sha256.Size)
	b = append(b, n.hash[:]...)
	b = append(b, 0) // mode: children are referred to by key
	for side := range n.child {
		b = binary.AppendVarint(b, n.version[side])
		b = binary.AppendVarint(b, int64(n.nonce[side]))
	}
	return op.Finish()
}

func saveLeaf(batch *pebble.Batch, key nodeKey, c change) error {
	op := batch.SetDeferred(1+nodeKeySize, 2+bytesSize(len(c.key))+bytesSize(len(c.value)))
	key.put(op.Key)
	b := appendNodePrefix(op.Value[:0], 0, 1, c.key)
	b = binary.AppendUvarint(b, uint64(len(c.value)))
	copy(b[len(b):cap(b)], c.value)
	return op.Finish()
}

// appendNodePrefix appends what leaves and inner nodes have in common.
func appendNodePrefix(b []byte, height int8, size int64, key string) []byte {
	b = binary.AppendVarint(b, int64(height))
	b = binary.AppendVarint(b, size)
	b = binary.AppendUvarint(b, uint64(len(key)))
	return append(b, key...)
}

// varintSize is the length of a signed varint.
func varintSize(v int64) int { return uvarintSize(uint64(v<<1) ^ uint64(v>>63)) }

func uvarintSize(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// bytesSize is the length of n bytes behind their length.
func bytesSize(n int) int { return uvarintSize(uint64(n)) + n }
