package state

import (
	"errors"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// expand reads the children of a node that are not in memory. What is read
// must have the hash, size and height that the node says: what a hash covers is
// never built upon when it is damaged, and no node is below itself. The key of
// an inner node is in no hash; check compares it with the leaves.
func (e *editor) expand(r ref) error {
	n := r.node
	if n.child[left] != nil && n.child[right] != nil {
		return nil
	}
	for side := range n.child {
		if n.child[side] != nil {
			continue
		}
		child, err := e.load(n.ref(side).nodeKey, n.key)
		if err != nil {
			return err
		}
		n.child[side] = child
		e.read++
	}
	l, r2 := n.child[left], n.child[right]
	if max(l.height, r2.height) != n.height-1 || uint64(l.size)+uint64(r2.size) != uint64(n.size) || n.innerHash(r.nodeKey.version) != n.hash {
		return errorf(ErrCorrupt, "tree node %v does not fit its children", r.nodeKey)
	}
	return nil
}

// load reads a node. hint is what its key may be: equal keys share memory.
func (e *editor) load(k nodeKey, hint string) (*node, error) {
	var buf [1 + nodeKeySize]byte
	k.put(buf[:])
	value, closer, err := e.tree.db.Get(buf[:])
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, errorf(ErrCorrupt, "tree node %v is missing", k)
	}
	if err != nil {
		return nil, fmt.Errorf("read tree node %v: %w", k, err)
	}
	n, err := e.decode(k, value, hint)
	return n, errors.Join(err, closer.Close())
}

func (e *editor) decode(k nodeKey, value []byte, hint string) (*node, error) {
	stored, err := decodeNode(value)
	if err == nil && stored.size > math.MaxUint32 {
		err = fmt.Errorf("node of size %d", stored.size)
	}
	if err != nil {
		return nil, wrapf(ErrCorrupt, err, "tree node %v", k)
	}
	n := &node{size: uint32(stored.size), height: stored.height, used: e.tree.clock}
	if string(stored.key) == hint {
		n.key = hint
	} else {
		n.key = string(stored.key)
	}
	if stored.leaf() {
		n.hash = leafHash(k.version, n.key, stored.value)
		return n, nil
	}
	n.hash = [32]byte(stored.hash)
	n.set(left, ref{nodeKey: stored.left})
	n.set(right, ref{nodeKey: stored.right})
	return n, nil
}

// Nodes are forgotten by age, in staged versions, and among those of one age
// by their depth. A parent is never older than its children, so what is kept
// hangs together. Ages and depths from the last on count as one.
const (
	ages   = 64
	depths = 64
)

type usage [ages][depths]int

// evict forgets the nodes least recently needed when there are more than the
// limit, and some more, so that it need not walk over all of them every time.
func (t *tree) evict() {
	if t.resident <= t.limit || t.root.node == nil {
		return
	}
	var counts usage
	t.count(t.root.node, 0, &counts)
	age, depth := counts.cut(t.limit - t.limit/8)
	t.resident = 1 + t.keep(t.root.node, 1, age, depth)
}

// age halves with each level of height: where keys are used at random, a node
// is needed twice as often as its children.
func (t *tree) age(n *node) int { return min(int(t.clock-n.used)>>n.height, ages-1) }

func (t *tree) count(n *node, depth int, counts *usage) {
	counts[t.age(n)][min(depth, depths-1)]++
	for _, child := range n.child {
		if child != nil {
			t.count(child, depth+1, counts)
		}
	}
}

// cut returns the age and the depth from which on nodes are forgotten, so that
// at most limit stay.
func (c *usage) cut(limit int) (age, depth int) {
	for age := range c {
		for depth, n := range c[age] {
			if limit -= n; limit < 0 {
				return age, depth
			}
		}
	}
	return ages, 0
}

// keep forgets the children of n that are past the cut and returns how many
// nodes stay below n, whose children are at depth.
func (t *tree) keep(n *node, depth, cutAge, cutDepth int) (kept int) {
	for side, child := range n.child {
		if child == nil {
			continue
		}
		if age := t.age(child); age > cutAge || age == cutAge && min(depth, depths-1) >= cutDepth {
			n.child[side] = nil
			continue
		}
		kept += 1 + t.keep(child, depth+1, cutAge, cutDepth)
	}
	return kept
}
