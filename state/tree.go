package state

import (
	"crypto/sha256"
	"math"

	"github.com/cockroachdb/pebble/v2"
)

// tree is the newest version of the tree as the writer holds it: it makes the
// nodes of the next version, byte for byte those that iavl v1 would make.
//
// A version comes to be in two passes. Keys that come and go change the
// structure, which depends on their order: they are applied one after another
// with iavl's rotations. Values that change do not, so they follow in one walk
// over all of them, which hashes on the way back and may use all cores.
// Nodes are changed in place; what they were is kept until the version is
// saved, so that another block can be staged instead.
//
// Only part of the tree is in memory. What is missing is read when it is
// needed, and forgotten again when it was not used for long.
type tree struct {
	db    pebble.Reader
	limit int // nodes to keep in memory between blocks

	root     ref
	version  int64
	previous ref // the root of the saved version, while the next is being made
	staged   bool
	resident int // nodes in memory
	size     uint32

	clock   uint16    // counts staged versions, and wraps
	editors []*editor // the first belongs to the caller, the others to goroutines of one call
	order   []*node   // scratch of save
}

// node is a node in memory. The key of a node is kept with its parent, because
// a parent outlives children that are not needed.
type node struct {
	hash    [sha256.Size]byte
	child   [2]*node // nil when not in memory, and in leaves
	version [2]int64 // with nonce: the keys of the children; of no meaning while a child is dirty
	nonce   [2]uint32
	key     string // leaf: the key; inner: smallest key of the right subtree
	size    uint32 // leaves
	used    uint16 // clock when it was last needed
	height  int8   // 0 for leaves
	dirty   bool   // made or changed since the saved version; both children are in memory then
}

const (
	left  = 0
	right = 1
)

// maxTreeSize is the most leaves a tree may have in memory.
const maxTreeSize = math.MaxUint32

// ref is a node and its key. The node is nil when it is not in memory; the key
// means nothing while the node is dirty. The zero ref is no node.
type ref struct {
	node *node
	nodeKey
}

func (n *node) ref(side int) ref {
	return ref{n.child[side], nodeKey{n.version[side], n.nonce[side]}}
}

func (n *node) set(side int, r ref) {
	n.child[side], n.version[side], n.nonce[side] = r.node, r.nodeKey.version, r.nonce
}

// measure recomputes height and size from the children.
func (n *node) measure() {
	l, r := n.child[left], n.child[right]
	n.height = max(l.height, r.height) + 1
	n.size = l.size + r.size
}

// lean is how much higher the left subtree is than the right one.
func (n *node) lean() int { return int(n.child[left].height) - int(n.child[right].height) }

// openTree opens the tree of a version, which must exist; of version 0, the
// empty tree.
func openTree(db pebble.Reader, version int64, limit int) (*tree, error) {
	t := &tree{db: db, limit: limit, version: version}
	t.editors = []*editor{{tree: t}}
	if version == 0 {
		return t, nil
	}
	root, err := readRoot(db, version)
	if err != nil || root.empty {
		return t, err
	}
	n, err := t.editors[0].load(root.key, "")
	if err != nil {
		return nil, err
	}
	t.root = ref{n, root.key}
	t.resident, t.size = 1, n.size
	return t, nil
}

// hash returns the root of what has been staged, or else of what is saved.
func (t *tree) hash() []byte {
	if t.root.node == nil {
		sum := sha256.Sum256(nil)
		return sum[:]
	}
	sum := t.root.node.hash
	return sum[:]
}

// stage applies the changes, in ascending order of keys, to the saved version.
// After an error the tree must not be used any more.
func (t *tree) stage(version int64, changes []change) error {
	t.rollback()
	if uint64(t.size)+uint64(len(changes)) > maxTreeSize {
		return errorf(ErrMisuse, "a tree of %d keys is full", t.size)
	}
	t.staged, t.previous = true, t.root
	t.version = version
	t.clock++
	e := t.editors[0]
	sets := make([]change, 0, len(changes))
	for _, c := range changes {
		var err error
		switch {
		case c.value == nil && t.root == ref{}:
			err = errDisagree(c.key)
		case c.value == nil:
			t.root, _, err = e.remove(t.root, c.key)
		case c.added:
			t.root, err = e.insert(t.root, c.key)
		}
		if err != nil {
			return err
		}
		if c.value != nil {
			sets = append(sets, c)
		}
	}
	return t.finish(sets)
}

// rollback returns to the saved version. Nodes read since then stay.
func (t *tree) rollback() {
	if !t.staged {
		return
	}
	t.staged = false
	t.root, t.previous = t.previous, ref{}
	for _, e := range t.editors {
		for _, u := range e.undo {
			*u.node = u.was
		}
		e.forget()
	}
	t.evict()
}

// settle makes the staged version, whose new nodes are those in t.order, the
// saved one.
func (t *tree) settle() {
	t.staged, t.previous = false, ref{}
	for _, n := range t.order {
		n.dirty = false
	}
	clear(t.order)
	t.order = t.order[:0]
	if cap(t.order) > maxScratch {
		t.order = nil
	}
	for _, e := range t.editors {
		e.forget()
	}
	was := t.size
	t.size = 0
	if t.root.node != nil {
		t.size = t.root.node.size
	}
	// What came and went was in memory.
	t.resident += nodesOf(t.size) - nodesOf(was)
	t.evict()
}

// nodesOf counts the nodes of a tree: leaves, and inner nodes with two
// children each.
func nodesOf(leaves uint32) int { return max(0, 2*int(leaves)-1) }

func errDisagree(key string) error {
	return errorf(ErrCorrupt, "tree and flat view disagree whether key %x exists", key)
}
