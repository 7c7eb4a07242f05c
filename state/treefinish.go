package state

import (
	"crypto/sha256"
	"encoding/binary"
	"runtime"
	"sort"
	"sync"
	"sync/atomic"
)

// A block that sets fewer keys than minParallel is finished by one goroutine:
// others would take longer to start. Each part is at least minPart keys.
const (
	minParallel = 512
	minPart     = 64
)

// finish gives the leaves their values and hashes all dirty nodes. sets are
// all keys that have a new value, in ascending order, also those whose leaf
// was just inserted. The outcome does not depend on who does which part.
func (t *tree) finish(sets []change) error {
	if t.root == (ref{}) {
		if len(sets) > 0 {
			return errDisagree(sets[0].key)
		}
		return nil
	}
	workers := runtime.GOMAXPROCS(0)
	if workers == 1 || len(sets) < minParallel {
		return t.editors[0].finish(t.root, sets)
	}
	for len(t.editors) < workers {
		t.editors = append(t.editors, &editor{tree: t})
	}
	p := parts{most: max(minPart, len(sets)/(8*workers))}
	if err := p.split(t.editors[0], t.root, sets); err != nil {
		return err
	}
	var next atomic.Int64
	var group sync.WaitGroup
	for _, e := range t.editors[:workers] {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(p.list)); i = next.Add(1) - 1 {
				part := &p.list[i]
				part.err = e.finish(part.root, part.sets)
			}
		})
	}
	group.Wait()
	for _, part := range p.list {
		if part.err != nil {
			return part.err
		}
	}
	for _, n := range p.above {
		n.hash = n.innerHash(t.version)
	}
	return nil
}

// parts are subtrees that do not overlap, and the nodes above them, children
// before parents.
type parts struct {
	most  int // keys per part
	list  []part
	above []*node
}

type part struct {
	root ref
	sets []change
	err  error
}

func (p *parts) split(e *editor, r ref, sets []change) error {
	if len(sets) == 0 && !r.node.dirty {
		return nil
	}
	if len(sets) <= p.most || r.node.height == 0 {
		p.list = append(p.list, part{root: r, sets: sets})
		return nil
	}
	if err := e.own(r); err != nil {
		return err
	}
	before := r.node.before(sets)
	if err := p.split(e, r.node.ref(left), sets[:before]); err != nil {
		return err
	}
	if err := p.split(e, r.node.ref(right), sets[before:]); err != nil {
		return err
	}
	p.above = append(p.above, r.node)
	return nil
}

// finish does so for a subtree.
func (e *editor) finish(r ref, sets []change) error {
	n := r.node
	if len(sets) == 0 && !n.dirty {
		return nil
	}
	if n.height == 0 {
		return e.finishLeaf(r, sets)
	}
	if err := e.own(r); err != nil {
		return err
	}
	before := n.before(sets)
	if err := e.finish(n.ref(left), sets[:before]); err != nil {
		return err
	}
	if err := e.finish(n.ref(right), sets[before:]); err != nil {
		return err
	}
	n.hash = n.innerHash(e.tree.version)
	return nil
}

func (e *editor) finishLeaf(r ref, sets []change) error {
	n := r.node
	for _, c := range sets {
		if c.key != n.key {
			return errDisagree(c.key)
		}
	}
	if len(sets) == 0 {
		return errDisagree(n.key) // inserted without a value
	}
	if err := e.own(r); err != nil {
		return err
	}
	n.hash = leafHash(e.tree.version, n.key, sets[0].value)
	return nil
}

// before counts the keys that belong in the left subtree.
func (n *node) before(sets []change) int {
	if len(sets) == 1 {
		return 1 - n.side(sets[0].key)
	}
	return sort.Search(len(sets), func(i int) bool { return sets[i].key >= n.key })
}

// leafHash is the hash of a leaf made at version.
func leafHash(version int64, key string, value []byte) [sha256.Size]byte {
	var buf [256]byte
	sum := sha256.Sum256(value)
	b := appendHashPrefix(buf[:0], 0, 1, version)
	b = binary.AppendUvarint(b, uint64(len(key)))
	b = append(b, key...)
	b = append(b, sha256.Size)
	b = append(b, sum[:]...)
	return sha256.Sum256(b)
}

// innerHash is the hash of an inner node made at version, from those of its
// children, which must be in memory.
func (n *node) innerHash(version int64) [sha256.Size]byte {
	var buf [128]byte
	b := appendHashPrefix(buf[:0], n.height, int64(n.size), version)
	for _, child := range n.child {
		b = append(b, sha256.Size)
		b = append(b, child.hash[:]...)
	}
	return sha256.Sum256(b)
}
