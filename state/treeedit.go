package state

// maxScratch is how many entries the lists of a version keep room for: those
// of a block that changes some ten thousand keys.
const maxScratch = 1 << 16

// editor changes nodes of a tree for one goroutine. Editors that work at the
// same time have subtrees of their own.
type editor struct {
	tree *tree
	undo []undo
	read int // nodes read since the tree was told
}

// undo is what a node was in the saved version.
type undo struct {
	node *node
	was  node
}

// forget drops the undo list: after a rollback, and when a version is saved.
func (e *editor) forget() {
	e.tree.resident += e.read
	e.read = 0
	clear(e.undo)
	e.undo = e.undo[:0]
	if cap(e.undo) > maxScratch {
		e.undo = nil
	}
}

// own makes a node one of the version that is being made. Its children are
// read first: their hashes are needed in any case, and what has been read is
// then part of what a rollback restores.
func (e *editor) own(r ref) error {
	n := r.node
	if n.dirty {
		return nil
	}
	n.used = e.tree.clock
	if n.height > 0 {
		if err := e.expand(r); err != nil {
			return err
		}
		n.child[left].used, n.child[right].used = n.used, n.used
	}
	e.undo = append(e.undo, undo{n, *n})
	n.dirty = true
	return nil
}

// insert adds a leaf for a key that the tree does not have, with iavl's
// structure, and returns the new root of the subtree. The leaf's hash is left
// to finish.
func (e *editor) insert(r ref, key string) (ref, error) {
	leaf := &node{key: key, size: 1, used: e.tree.clock, dirty: true}
	if r == (ref{}) {
		return ref{node: leaf}, nil
	}
	return e.insertLeaf(r, leaf)
}

func (e *editor) insertLeaf(r ref, leaf *node) (ref, error) {
	n := r.node
	if n.height == 0 {
		if n.key == leaf.key {
			return ref{}, errDisagree(leaf.key)
		}
		inner := &node{key: leaf.key, used: e.tree.clock, dirty: true}
		side := right
		if leaf.key < n.key {
			inner.key, side = n.key, left
		}
		inner.set(side, ref{node: leaf})
		inner.set(1-side, r)
		inner.measure()
		return ref{node: inner}, nil
	}
	if err := e.own(r); err != nil {
		return ref{}, err
	}
	side := n.side(leaf.key)
	child, err := e.insertLeaf(n.ref(side), leaf)
	if err != nil {
		return ref{}, err
	}
	n.set(side, child)
	n.measure()
	return e.balance(n)
}

// side says in which subtree a key belongs.
func (n *node) side(key string) int {
	if key < n.key {
		return left
	}
	return right
}

// remove removes a key that the subtree has. It returns the new root of the
// subtree, the zero ref if nothing is left, and the smallest key of the
// subtree if that has changed. Keys are never empty.
func (e *editor) remove(r ref, key string) (rest ref, smallest string, err error) {
	n := r.node
	if n.height == 0 {
		if n.key != key {
			return ref{}, "", errDisagree(key)
		}
		return ref{}, "", nil
	}
	if err := e.own(r); err != nil {
		return ref{}, "", err
	}
	side := n.side(key)
	child, smallest, err := e.remove(n.ref(side), key)
	if err != nil {
		return ref{}, "", err
	}
	if child == (ref{}) {
		// The other child takes the place of the node, as it is.
		if side == left {
			smallest = n.key
		}
		return n.ref(1 - side), smallest, nil
	}
	n.set(side, child)
	if side == right && smallest != "" {
		n.key, smallest = smallest, ""
	}
	n.measure()
	rest, err = e.balance(n)
	return rest, smallest, err
}

// balance rotates a dirty node whose subtrees differ in height by two, and
// returns the root of the subtree.
func (e *editor) balance(n *node) (ref, error) {
	lean := n.lean()
	if lean >= -1 && lean <= 1 {
		return ref{node: n}, nil
	}
	high, sign := left, 1
	if lean < 0 {
		high, sign = right, -1
	}
	child := n.ref(high)
	if err := e.own(child); err != nil {
		return ref{}, err
	}
	if child.node.lean()*sign < 0 {
		inner, err := e.rotate(child.node, 1-high)
		if err != nil {
			return ref{}, err
		}
		n.set(high, inner)
	}
	return e.rotate(n, high)
}

// rotate lifts a child of a dirty node above it.
func (e *editor) rotate(n *node, side int) (ref, error) {
	top := n.ref(side)
	if err := e.own(top); err != nil {
		return ref{}, err
	}
	n.set(side, top.node.ref(1-side))
	top.node.set(1-side, ref{node: n})
	n.measure()
	top.node.measure()
	return ref{node: top.node}, nil
}
