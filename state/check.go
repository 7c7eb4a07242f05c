package state

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/cockroachdb/pebble/v2"
)

const (
	// maxProblems is how many discrepancies a report describes.
	maxProblems = 20
	// progressEvery is how many leaves pass between two calls of progress.
	progressEvery = 10_000
)

// Report is the outcome of Check.
type Report struct {
	Height   uint64
	Oldest   uint64
	AppHash  []byte // as recorded
	Nodes    uint64 // tree nodes whose hash was recomputed
	Leaves   uint64
	FlatKeys uint64

	Problems      []Problem // the first 20
	ProblemsTotal uint64
}

// OK reports whether everything fits together.
func (r Report) OK() bool { return r.ProblemsTotal == 0 }

// Problem is one discrepancy. Key is the state key concerned, nil if the
// problem is not about one.
type Problem struct {
	Key    []byte
	Detail string
}

func (p Problem) String() string {
	if p.Key == nil {
		return p.Detail
	}
	return fmt.Sprintf("key %x: %s", p.Key, p.Detail)
}

// Progress tells how far Check is, in leaves of the tree.
type Progress struct{ Done, Total uint64 }

// Check examines the directory of a stopped node without changing it. It
// recomputes the hash of every node of the newest tree from the leaves to the
// root, compares them with what is stored and the root with what was
// committed, compares the flat view with the leaves in both directions, and
// reads everything else in the database, whose blocks carry checksums.
// Discrepancies and damage are in the report; an error means that the check could not be
// made (ErrLocked, ErrForeign, ErrNewer, ErrAbsent, I/O, ctx). Memory is
// bounded by the depth of the tree. progress may be nil.
func Check(ctx context.Context, cfg Config, progress func(Progress)) (report Report, err error) {
	cfg.ReadOnly = true
	if err := cfg.Validate(); err != nil {
		return Report{}, err
	}
	s := newStore(cfg)
	defer func() {
		if cerr := s.closeDatabase(); cerr != nil {
			err = errors.Join(err, cerr)
		}
	}()
	if progress == nil {
		progress = func(Progress) {}
	}
	c := &checker{ctx: ctx.Err, progress: progress}
	if err = s.openDatabase(); err == nil {
		c.db = s.db
		err = c.run()
	}
	if c.damaged(err) {
		err = nil
	}
	if err != nil {
		return c.report, fmt.Errorf("check state: %w", err)
	}
	return c.report, nil
}

type checker struct {
	ctx      func() error // the context's Err
	db       *pebble.DB
	report   Report
	progress func(Progress)
	total    uint64

	flat *iterator
	last []byte // previous leaf
	gap  bool   // leaves may be missing since then, so flat keys prove nothing
}

func (c *checker) problem(key []byte, format string, args ...any) {
	c.report.ProblemsTotal++
	if len(c.report.Problems) < maxProblems {
		c.report.Problems = append(c.report.Problems, Problem{bytes.Clone(key), fmt.Sprintf(format, args...)})
	}
}

// damaged reports damage of the files as the discrepancy that it is.
func (c *checker) damaged(err error) bool {
	if err == nil || !pebble.IsCorruptionError(err) {
		return false
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	c.problem(nil, "the files are damaged: %s", first)
	return true
}

func (c *checker) run() error {
	if err := c.everything(); err != nil && !c.damaged(err) {
		return err
	}
	head, oldest, err := readHeights(c.db)
	if errors.Is(err, ErrCorrupt) {
		c.problem(nil, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	c.report.Height, c.report.Oldest = head, oldest
	if err := c.records(oldest, head); err != nil {
		return err
	}
	if c.flat, err = newIterator(c.db, spaceFlat, nil, nil, false); err != nil {
		return err
	}
	if err := c.tree(head); err != nil {
		return errors.Join(err, c.flat.Close())
	}
	if err := c.flatBefore(nil); err != nil {
		return errors.Join(err, c.flat.Close())
	}
	return errors.Join(c.flat.Error(), c.flat.Close())
}

// everything reads each key and value once, whatever they mean: a block with
// another checksum than when it was written is found, also where only the
// engine's stores or past heights would stumble over it.
func (c *checker) everything() error {
	iter, err := c.db.NewIter(nil)
	if err != nil {
		return err
	}
	n := 0
	for valid := iter.First(); valid; valid = iter.Next() {
		if _, err := iter.ValueAndErr(); err != nil {
			return errors.Join(err, iter.Close())
		}
		if n++; n%progressEvery == 0 {
			if err := c.ctx(); err != nil {
				return errors.Join(err, iter.Close())
			}
		}
	}
	return errors.Join(iter.Error(), iter.Close())
}

// records checks that there is one for each height that can be read.
func (c *checker) records(oldest, head uint64) error {
	next := oldest
	start, end := keyspace.PrefixRange([]byte(metaHeight))
	err := scan(c.db, spaceMeta, start, end, false, func(key, value []byte) (bool, error) {
		rec, err := decodeRecord(value)
		switch {
		case err != nil:
			c.problem(nil, "record %x: %v", key, err)
		case !bytes.Equal(key, heightKey(next)):
			c.problem(nil, "record %x where height %d is expected", key, next)
			return false, nil
		case next == head:
			c.report.AppHash = rec.root
		}
		next++
		return true, c.ctx()
	})
	if err == nil && head > 0 && next != head+1 {
		c.problem(nil, "records of heights %d to %d are missing", next, head)
	}
	return err
}

// tree checks the newest version.
func (c *checker) tree(head uint64) error {
	if head == 0 {
		return nil
	}
	root, err := readRoot(c.db, int64(head))
	if errors.Is(err, ErrCorrupt) || errors.Is(err, pebble.ErrCorruption) {
		c.gap = true
		c.problem(nil, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	empties := sha256.Sum256(nil)
	hash := empties[:]
	if !root.empty {
		top, err := c.node(root.key)
		if err != nil {
			return err
		}
		if top == nil {
			return nil // reported
		}
		hash = top.hash
	}
	if c.report.AppHash != nil && !bytes.Equal(hash, c.report.AppHash) {
		c.problem(nil, "root of the tree is %X, committed was %X", hash, c.report.AppHash)
	}
	c.progress(Progress{Done: c.report.Leaves, Total: c.report.Leaves})
	return nil
}

// checked is what a parent needs to know of a subtree.
type checked struct {
	hash     []byte
	height   int8
	size     int64
	min, max []byte
}

// node checks a subtree, depth first. It returns nil when the subtree could
// not be followed to the leaves; that has been reported.
func (c *checker) node(k nodeKey) (*checked, error) {
	n, err := readNode(c.db, k)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, pebble.ErrCorruption) {
		c.gap = true
		c.problem(nil, "%v", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	c.report.Nodes++
	if c.total == 0 {
		c.total = uint64(n.size)
	}
	if n.leaf() {
		return c.leaf(k, n)
	}
	left, err := c.node(n.left)
	if err != nil {
		return nil, err
	}
	right, err := c.node(n.right)
	if err != nil || left == nil || right == nil {
		return nil, err
	}
	if hash := n.innerHash(k.version, left.hash, right.hash); !bytes.Equal(hash, n.hash) {
		c.problem(n.key, "tree node %v has hash %X, its contents %X", k, n.hash, hash)
	}
	if n.size != left.size+right.size || n.height != max(left.height, right.height)+1 {
		c.problem(n.key, "tree node %v has size %d and height %d, its children %d and %d, %d and %d",
			k, n.size, n.height, left.size, right.size, left.height, right.height)
	}
	if bytes.Compare(left.max, n.key) >= 0 || bytes.Compare(n.key, right.min) > 0 {
		c.problem(n.key, "tree node %v does not separate its children", k)
	}
	// The parent is checked against what is stored here, so that a bad leaf
	// does not make all its ancestors bad.
	return &checked{hash: n.hash, height: n.height, size: n.size, min: left.min, max: right.max}, nil
}

// leaf compares a leaf with the flat view.
func (c *checker) leaf(k nodeKey, n treeNode) (*checked, error) {
	c.report.Leaves++
	if c.report.Leaves%progressEvery == 0 {
		if err := c.ctx(); err != nil {
			return nil, err
		}
		c.progress(Progress{Done: c.report.Leaves, Total: c.total})
	}
	if c.last != nil && bytes.Compare(c.last, n.key) >= 0 {
		c.problem(n.key, "tree leaf %v is out of order", k)
	}
	c.last = n.key
	if err := c.flatBefore(n.key); err != nil {
		return nil, err
	}
	c.gap = false
	if !c.flat.Valid() || !bytes.Equal(c.flat.Key(), n.key) {
		c.problem(n.key, "in the tree but not in the flat view")
	} else {
		c.report.FlatKeys++
		if !bytes.Equal(c.flat.Value(), n.value) {
			c.problem(n.key, "value in the flat view differs from the tree")
		}
		c.flat.Next()
	}
	return &checked{hash: n.leafHash(k.version), size: 1, min: n.key, max: n.key}, c.flat.Error()
}

// flatBefore passes over the flat keys before key, all of the rest if nil:
// they have no leaf.
func (c *checker) flatBefore(key []byte) error {
	for n := 1; c.flat.Valid() && (key == nil || bytes.Compare(c.flat.Key(), key) < 0); n++ {
		c.report.FlatKeys++
		if !c.gap {
			c.problem(c.flat.Key(), "in the flat view but not in the tree")
		}
		c.flat.Next()
		if n%progressEvery == 0 {
			if err := c.ctx(); err != nil {
				return err
			}
		}
	}
	return c.flat.Error()
}
