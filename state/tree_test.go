package state

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cosmos/iavl"
	iavldb "github.com/cosmos/iavl/db"
	"pgregory.net/rapid"
)

// treePair is a tree of ours in a database, and iavl's over one of its own.
// Both get the same blocks.
type treePair struct {
	t      rapid.TB
	limit  int
	db     *pebble.DB
	ours   *tree
	mem    *iavldb.MemDB
	theirs *iavl.MutableTree
	state  model
	height int64
}

func newTreePair(t rapid.TB, limit int, first int64) *treePair {
	t.Helper()
	db, err := pebble.Open("", &pebble.Options{FS: vfs.NewMem(), Logger: &databaseLogger{log: discard}})
	if err != nil {
		t.Fatal(err)
	}
	p := &treePair{t: t, limit: limit, db: db, mem: iavldb.NewMemDB(), state: model{}, height: first - 1}
	p.theirs = iavl.NewMutableTree(p.mem, 1000, true, iavl.NewNopLogger(), iavl.InitialVersionOption(uint64(first)))
	if p.ours, err = openTree(db, 0, limit); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *treePair) close() {
	p.t.Helper()
	if err := p.db.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// net returns the net changes that writes make to the state, and the state
// after them.
func (p *treePair) net(writes []write) ([]change, model) {
	next := p.state.apply(writes)
	var changes []change
	for key, value := range next {
		if old, ok := p.state[key]; !ok || old != value {
			changes = append(changes, change{key: key, value: []byte(value), added: !ok})
		}
	}
	for key := range p.state {
		if _, ok := next[key]; !ok {
			changes = append(changes, change{key: key})
		}
	}
	slices.SortFunc(changes, func(a, b change) int { return bytes.Compare([]byte(a.key), []byte(b.key)) })
	return changes, next
}

// stage stages a block in our tree only.
func (p *treePair) stage(writes []write) []change {
	p.t.Helper()
	changes, _ := p.net(writes)
	if err := p.ours.stage(p.height+1, changes); err != nil {
		p.t.Fatalf("height %d: %v", p.height+1, err)
	}
	return changes
}

// commit commits a block in both trees and compares roots and new nodes.
func (p *treePair) commit(writes []write) {
	p.t.Helper()
	changes := p.stage(writes)
	_, p.state = p.net(writes)
	p.height++
	for _, c := range changes {
		var err error
		if c.value != nil {
			_, err = p.theirs.Set([]byte(c.key), c.value)
		} else {
			_, _, err = p.theirs.Remove([]byte(c.key))
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
	if got, want := p.ours.hash(), p.theirs.WorkingHash(); !bytes.Equal(got, want) {
		p.t.Fatalf("height %d: root is %X, iavl's %X", p.height, got, want)
	}
	if _, version, err := p.theirs.SaveVersion(); err != nil || version != p.height {
		p.t.Fatalf("iavl saved version %d, %v; want %d", version, err, p.height)
	}
	p.ours.number()
	batch := p.db.NewBatch()
	if err := p.ours.save(batch, changes); err != nil {
		p.t.Fatal(err)
	}
	if err := batch.Commit(pebble.NoSync); err != nil {
		p.t.Fatal(err)
	}
	p.ours.settle()
	p.sameNodes(nodeKey{p.height, 0}.bytes(), nodeKey{p.height + 1, 0}.bytes())
	p.memory()
}

func (p *treePair) reopen() {
	p.t.Helper()
	var err error
	if p.ours, err = openTree(p.db, p.height, p.limit); err != nil {
		p.t.Fatal(err)
	}
	if newest, err := newestVersion(p.db); err != nil || newest != p.height {
		p.t.Fatalf("newest version is %d, %v; want %d", newest, err, p.height)
	}
}

// sameNodes compares what both store in a range of keys, byte by byte.
func (p *treePair) sameNodes(start, end []byte) {
	p.t.Helper()
	theirs, err := p.mem.Iterator(start, end)
	if err != nil {
		p.t.Fatal(err)
	}
	ours, err := newIterator(p.db, spaceTree, start, end, false)
	if err != nil {
		p.t.Fatal(err)
	}
	for ; ours.Valid() && theirs.Valid(); ours.Next() {
		if !bytes.Equal(ours.Key(), theirs.Key()) || !bytes.Equal(ours.Value(), theirs.Value()) {
			p.t.Fatalf("stored is %x = %x, by iavl %x = %x", ours.Key(), ours.Value(), theirs.Key(), theirs.Value())
		}
		theirs.Next()
	}
	if ours.Valid() || theirs.Valid() {
		p.t.Fatalf("one of both stores more: ours %v, iavl's %v", ours.Valid(), theirs.Valid())
	}
	if err := errors.Join(ours.Error(), theirs.Error(), ours.Close(), theirs.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// memory checks what is in memory against the count and the limit, and that
// nothing is left of the version that has been saved.
func (p *treePair) memory() {
	p.t.Helper()
	nodes := 0
	var walk func(n *node)
	walk = func(n *node) {
		nodes++
		if n.dirty {
			p.t.Fatalf("height %d: node of key %q is dirty", p.height, n.key)
		}
		for _, child := range n.child {
			if child != nil {
				walk(child)
			}
		}
	}
	if p.ours.root.node != nil {
		walk(p.ours.root.node)
	}
	if nodes != p.ours.resident || nodes > max(1, p.limit) {
		p.t.Fatalf("height %d: %d nodes in memory, counted %d, limit %d", p.height, nodes, p.ours.resident, p.limit)
	}
}

// everyVersion lets iavl open what we have stored, version by version.
func (p *treePair) everyVersion(first int64, roots map[int64][]byte) {
	p.t.Helper()
	for version := first; version <= p.height; version++ {
		tree, err := pastTree(&treeDB{r: p.db}, uint64(version), discard)
		if err != nil {
			p.t.Fatal(err)
		}
		if !bytes.Equal(tree.Hash(), roots[version]) {
			p.t.Fatalf("iavl opens version %d with root %X, want %X", version, tree.Hash(), roots[version])
		}
	}
}

// TestSimulationAgainstIAVL runs random histories through our tree and iavl's, with
// other blocks staged in between, restarts, and more or less in memory. Roots
// and stored bytes must be the same at every height.
func TestSimulationAgainstIAVL(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.SampledFrom([]int{1, 2, 7, 60, 1_000_000}).Draw(rt, "limit")
		keys := rapid.SampledFrom([]int{1, 2, 5, 40, 3000}).Draw(rt, "keys")
		first := rapid.SampledFrom([]int64{1, 1, 9}).Draw(rt, "first")
		blocks := rapid.IntRange(1, 40).Draw(rt, "blocks")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		p := newTreePair(rt, limit, first)
		defer p.close()
		roots := make(map[int64][]byte)
		for range blocks {
			for range r.IntN(3) {
				p.stage(treeBlock(r, keys))
			}
			p.commit(treeBlock(r, keys))
			roots[p.height] = p.ours.hash()
			if r.IntN(4) == 0 {
				p.reopen()
			}
		}
		p.sameNodes(nil, nil)
		p.everyVersion(first, roots)
	})
}

// treeBlock returns writes of one kind or mixed: new keys, changed ones,
// removals; a few, or as many as there are keys.
func treeBlock(r *rand.Rand, keys int) []write {
	sizes := []int{0, 1, 2, 5, 30, keys, 2 * keys}
	writes := make([]write, min(sizes[r.IntN(len(sizes))], 2500))
	removals := []float64{0, 0, 0.1, 0.5, 0.9, 1}[r.IntN(6)]
	for i := range writes {
		n := r.IntN(keys)
		if r.IntN(3) == 0 {
			n = i % keys // neighbours
		}
		// Keys of different lengths, some longer than buffers on the stack.
		writes[i].key = bytes.Repeat(fmt.Appendf(nil, "%05d", n), 1+n%3+60*(n%97/96))
		if r.Float64() >= removals {
			writes[i].value = bytes.Repeat([]byte{byte(r.IntN(4))}, 1+r.IntN(200))
		}
	}
	return writes
}

// TestTreeLargeBlocks takes all paths with several goroutines, and compares
// every height.
func TestTreeLargeBlocks(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 5000, 1_000_000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			t.Parallel()
			p := newTreePair(t, limit, 1)
			defer p.close()
			r := rand.New(rand.NewPCG(1, uint64(limit)))
			block := func(n int, value func(i int) []byte) (writes []write) {
				for i := range n {
					writes = append(writes, write{fmt.Appendf(nil, "key%06d", r.IntN(20_000)), value(i)})
				}
				return writes
			}
			some := func(i int) []byte { return fmt.Appendf(nil, "%d-%d", p.height, i) }
			p.commit(block(20_000, some)) // all new
			for range 3 {
				p.stage(block(3000, some))
				p.commit(block(3000, some))
				p.commit(block(3000, func(i int) []byte {
					if i%3 == 0 {
						return nil
					}
					return some(i)
				}))
				p.reopen()
				p.commit(block(10, some))
			}
			p.commit(block(100_000, func(int) []byte { return nil }))
			p.commit(block(2000, some))
			var rest []write
			for key := range p.state {
				rest = append(rest, write{key: []byte(key)})
			}
			p.commit(rest)
			p.commit(block(1000, some))
			p.sameNodes(nil, nil)
		})
	}
}

// FuzzTree reads a history from bytes: two bits of what to do, six
// of which key.
func FuzzTree(f *testing.F) {
	f.Add([]byte{1, 0x01, 0x02, 0x03, 0xc0, 0x41, 0x44, 0xc0, 0x81, 0x82, 0xc1, 0x05, 0xc2})
	f.Add([]byte{200, 0x01, 0xc0, 0xc0, 0x81, 0xc0, 0x02, 0xc3})
	f.Add([]byte{3, 0x09, 0x08, 0x07, 0x06, 0x05, 0x04, 0x03, 0x02, 0x01, 0xc0, 0x85, 0x86, 0x87, 0x88, 0xc0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) == 0 || len(data) > 2000 {
			return
		}
		p := newTreePair(t, 1+int(data[0]), 1)
		defer p.close()
		var writes []write
		for i, b := range data[1:] {
			w := write{key: []byte{'a' + b&0x3f}}
			switch b >> 6 {
			case 0, 1: // 1 sets the same value each time
				w.value = []byte{1, byte(i) * (1 - b>>6)}
				writes = append(writes, w)
			case 2:
				writes = append(writes, w)
			default:
				if b&1 > 0 {
					p.stage(writes[:len(writes)/2])
				}
				p.commit(writes)
				if b&2 > 0 {
					p.reopen()
				}
				writes = nil
			}
		}
		p.commit(writes)
		p.sameNodes(nil, nil)
	})
}

// failingReads fails one read of a node.
type failingReads struct {
	pebble.Reader
	before atomic.Int64 // reads that succeed first
}

func (r *failingReads) Get(key []byte) ([]byte, io.Closer, error) {
	if r.before.Add(-1) == -1 {
		return nil, nil, errInjected
	}
	return r.Reader.Get(key)
}

// TestTreeReadFails fails each read of a block in turn. The error must come
// out, whichever goroutine met it, and the next attempt succeed.
func TestTreeReadFails(t *testing.T) {
	t.Parallel()
	p := newTreePair(t, 1, 1)
	defer p.close()
	r := rand.New(rand.NewPCG(1, 2))
	block := func(n int) (writes []write) {
		for range n {
			w := write{key: fmt.Appendf(nil, "key%04d", r.IntN(3000)), value: fmt.Append(nil, r.IntN(1000))}
			if r.IntN(10) == 0 {
				w.value = nil
			}
			writes = append(writes, w)
		}
		return writes
	}
	p.commit(block(3000))
	p.commit(block(1000))
	for _, size := range []int{1, 20, 900} {
		writes := block(size)
		for n, failed := int64(0), true; failed; n += 1 + n/7 {
			reads := &failingReads{Reader: p.db}
			reads.before.Store(2 + n) // opening the tree takes two
			broken, err := openTree(reads, p.height, p.limit)
			if err != nil {
				t.Fatal(err)
			}
			changes, _ := p.net(writes)
			err = broken.stage(p.height+1, changes)
			failed = reads.before.Load() < 0
			if failed != errors.Is(err, errInjected) || errors.Is(err, ErrCorrupt) {
				t.Fatalf("block of %d, read %d failed: %v, reported: %v", size, n, failed, err)
			}
		}
		p.commit(writes)
	}
}

// TestStageStopsAtDamage removes or changes nodes behind the back of the
// store. A block that needs them must fail it, and nothing may be written.
func TestStageStopsAtDamage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		damage func(db *pebble.DB, find treeFinder) error
	}{
		{"leaf missing", func(db *pebble.DB, find treeFinder) error { return db.Delete(find["k050"], nil) }},
		{"inner node missing", func(db *pebble.DB, find treeFinder) error { return db.Delete(find["inner"], nil) }},
		{"leaf undecodable", func(db *pebble.DB, find treeFinder) error {
			return find.replace(db, "k050", func(v []byte) []byte { return v[:len(v)-3] })
		}},
		{"leaf with another value", func(db *pebble.DB, find treeFinder) error {
			return find.replace(db, "k050", func(v []byte) []byte { v[len(v)-1]++; return v })
		}},
		{"inner node with another hash", func(db *pebble.DB, find treeFinder) error {
			return find.replace(db, "inner", func(v []byte) []byte { v[10]++; return v })
		}},
		{"inner node in place of a leaf", func(db *pebble.DB, find treeFinder) error {
			inner, closer, err := db.Get(find["inner"])
			if err != nil {
				return err
			}
			return errors.Join(db.Set(find["k050"], inner, nil), closer.Close())
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			cfg := testConfig(t.TempDir())
			s := mustOpen(t, cfg)
			var writes, others []write
			for i := range 100 {
				writes = append(writes, write{fmt.Appendf(nil, "k%03d", i), []byte("value")})
				others = append(others, write{fmt.Appendf(nil, "k%03d", i), []byte("other")})
			}
			root := commit(t, s, writes)
			if err := test.damage(s.db, findNodes(t, s)); err != nil {
				t.Fatal(err)
			}
			mustClose(t, s)
			s = mustOpen(t, cfg)
			defer mustClose(t, s)
			if _, err := stage(s, 2, others, nil); !errors.Is(err, ErrStoreFailed) || !errors.Is(err, ErrCorrupt) {
				t.Fatalf("stage: %v", err)
			}
			for i, err := range []error{s.Commit(), s.SetLocal([]LocalWrite{{Key: []byte("k")}}, false)} {
				if !errors.Is(err, ErrStoreFailed) {
					t.Errorf("call %d afterwards: %v", i, err)
				}
			}
			if s.Height() != 1 || !bytes.Equal(s.AppHash(), root) {
				t.Errorf("height %d, root %X", s.Height(), s.AppHash())
			}
		})
	}
}

// TestTreeDisagreesWithFlatView stages changes that contradict the tree.
func TestTreeDisagreesWithFlatView(t *testing.T) {
	t.Parallel()
	for name, changes := range map[string][]change{
		"added and there":                 {{key: "b", value: []byte("x"), added: true}},
		"changed and not there":           {{key: "bb", value: []byte("x")}},
		"changed and below all":           {{key: "a", value: []byte("x")}},
		"changed, beside one that is":     {{key: "b", value: []byte("x")}, {key: "bb", value: []byte("x")}},
		"removed and not there":           {{key: "bb"}},
		"removed, and nothing is left":    {{key: "b"}, {key: "c"}, {key: "d"}, {key: "e"}},
		"changed, and nothing is left":    {{key: "b"}, {key: "c"}, {key: "d"}, {key: "e", value: []byte("x")}},
		"removed and changed in one tree": {{key: "b"}, {key: "bb", value: []byte("x")}},
	} {
		p := newTreePair(t, 100, 1)
		p.commit([]write{{[]byte("b"), []byte("1")}, {[]byte("c"), []byte("1")}, {[]byte("d"), []byte("1")}})
		if err := p.ours.stage(2, changes); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		p.close()
	}
}

// TestSimulationOfStoreAgainstIAVL compares a store that prunes, restarts and stages more
// than it commits with plain iavl that does not: every node that is stored,
// and every height that is kept, opened with iavl.
func TestSimulationOfStoreAgainstIAVL(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := testConfig(t.TempDir())
		cfg.TreeCacheNodes = rapid.SampledFrom([]int{1, 30, 10_000}).Draw(rt, "cache")
		cfg.KeepHeights = rapid.SampledFrom([]uint64{0, 2, 5}).Draw(rt, "keep")
		keys := rapid.SampledFrom([]int{1, 3, 50, 500}).Draw(rt, "keys")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		s := mustOpen(rt, cfg)
		defer func() { mustClose(rt, s) }()
		p := newTreePair(rt, 1000, 1)
		defer p.close()
		roots := make(map[uint64][]byte)
		for range 25 {
			writes := treeBlock(r, keys)
			if r.IntN(3) == 0 {
				if _, err := stage(s, s.Height()+1, treeBlock(r, keys), nil); err != nil {
					rt.Fatal(err)
				}
			}
			root := commit(rt, s, writes)
			p.commit(writes)
			if !bytes.Equal(root, p.theirs.Hash()) {
				rt.Fatalf("height %d: root is %X, iavl's %X", s.Height(), root, p.theirs.Hash())
			}
			roots[s.Height()] = root
			if r.IntN(6) == 0 {
				mustClose(rt, s)
				s = mustOpen(rt, cfg)
			}
		}
		err := scan(s.db, spaceTree, nil, nil, false, func(key, value []byte) (bool, error) {
			want, err := p.mem.Get(key)
			if err != nil || want == nil || !bytes.Equal(value, want) {
				return false, fmt.Errorf("stored is %x = %x, by iavl %x, %v", key, value, want, err)
			}
			return true, nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		for height := s.Oldest(); height <= s.Height(); height++ {
			tree, err := pastTree(&treeDB{r: s.db}, height, discard)
			if err != nil || !bytes.Equal(tree.Hash(), roots[height]) {
				rt.Fatalf("iavl opens height %d with root %X, %v; want %X", height, tree.Hash(), err, roots[height])
			}
		}
	})
}

// TestRestagingStaysWithinLimit stages blocks that touch different keys, as Stage may be called again before Commit: what is
// read for blocks that are not committed must be forgotten like the rest.
func TestRestagingStaysWithinLimit(t *testing.T) {
	t.Parallel()
	const keys, limit = 20_000, 500
	p := newTreePair(t, limit, 1)
	defer p.close()
	var all []write
	for i := range keys {
		all = append(all, write{fmt.Appendf(nil, "key%06d", i), []byte{1}})
	}
	p.commit(all)
	for from := 0; from < keys; from += 100 {
		var block []write
		for i := from; i < from+100; i++ {
			block = append(block, write{fmt.Appendf(nil, "key%06d", i), []byte{2}})
		}
		p.stage(block)
	}
	p.ours.rollback()
	if p.ours.resident > 2*limit {
		t.Errorf("%d nodes in memory after staging without committing, the limit is %d", p.ours.resident, limit)
	}
}

// TestClockWraps lets the clock of staged versions wrap, with nodes that were not needed for a whole turn of it.
func TestClockWraps(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 7, 60, 400, 1_000_000} {
		p := newTreePair(t, limit, 3)
		r := rand.New(rand.NewPCG(5, uint64(limit)))
		for i := range 300 {
			switch {
			case i%7 == 3:
				p.ours.clock += 1<<16 - 3 // nearly a whole turn in blocks that need nothing
			case i%11 == 5:
				p.ours.clock += 1<<15 + 7
			}
			if i%5 == 0 {
				p.stage(treeBlock(r, 300))
			}
			p.commit(treeBlock(r, 300))
		}
		p.sameNodes(nil, nil)
		p.close()
	}
}
