package state

import (
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// reclaimEvery is how many pruned heights lead to one compaction.
const reclaimEvery = 1000

// prune lets go of at most PrunePerCommit heights in one write. A height that
// a view is open for can go: the view reads from a snapshot.
func (s *Store) prune() error {
	from, head := s.Oldest(), s.head()
	to := from // exclusive
	batch := s.db.NewBatch()
	for n := 0; n < s.cfg.PrunePerCommit; n++ {
		ok, err := s.mayPrune(to, head)
		if err != nil {
			return errors.Join(err, batch.Close())
		}
		if !ok {
			break
		}
		if err := pruneHeight(s.db, batch, int64(to)); err != nil {
			return errors.Join(fmt.Errorf("height %d: %w", to, err), batch.Close())
		}
		to++
	}
	if to == from {
		return batch.Close()
	}
	if err := set(batch, spaceMeta, []byte(metaOldest), encodeUint(to)); err != nil {
		return err
	}
	if err := s.write("prune", batch, false); err != nil {
		return err
	}
	s.mu.Lock()
	s.oldest = to
	s.mu.Unlock()
	// The snapshot that new views share must not hold on to what is gone.
	s.publish(head.height, head.record)
	s.prunedHeights(to - from)
	return nil
}

// KeepAtLeast puts a floor under the policy of the configuration: the newest heights, and all that are not older than d in
// block time, are kept whatever it says.
func (s *Store) KeepAtLeast(heights uint64, d time.Duration) {
	s.writer.Lock()
	defer s.writer.Unlock()
	s.floor = Config{KeepHeights: heights, KeepFor: d}
}

// mayPrune reports whether the policy and its floor let go of a height.
func (s *Store) mayPrune(height uint64, head head) (bool, error) {
	if !s.cfg.prunes() || height+1 >= head.height {
		return false, nil
	}
	if max(s.cfg.KeepHeights, s.floor.KeepHeights)+height > head.height {
		return false, nil // before anything is read: so it is in most commits
	}
	rec, err := readRecord(s.db, height)
	if err != nil {
		return false, err
	}
	return s.cfg.prunable(height, rec.time, head.height, head.time) &&
		(!s.floor.prunes() || s.floor.prunable(height, rec.time, head.height, head.time)), nil
}

// pruneHeight adds the removal of the oldest version to batch: of every node
// that the next version does not use. Versions are pruned in order, so nothing
// older uses them either.
//
// It takes the place of iavl's DeleteVersionsTo; DESIGN.md says why. The nodes
// made by the next version lie side by side, and the old nodes they refer to
// are the roots of all that is kept; a walk from the old root that stops at
// those meets exactly the nodes to remove.
func pruneHeight(r pebble.Reader, batch *pebble.Batch, version int64) error {
	root, err := readRoot(r, version)
	if err != nil {
		return err
	}
	kept, err := keptSubtrees(r, version)
	if err != nil {
		return err
	}
	if !root.own {
		// The record of the version is no node.
		if err := remove(batch, spaceTree, nodeKey{version, 1}.bytes()); err != nil {
			return err
		}
	}
	if !root.empty {
		if err := removeSubtree(r, batch, root.key, kept); err != nil {
			return err
		}
	}
	return remove(batch, spaceMeta, heightKey(uint64(version)))
}

// keptSubtrees returns the roots of the subtrees that the version after the
// given one took over from it.
func keptSubtrees(r pebble.Reader, version int64) (map[nodeKey]struct{}, error) {
	kept := make(map[nodeKey]struct{})
	next, err := readRoot(r, version+1)
	if err != nil {
		return nil, err
	}
	if next.empty {
		return kept, nil
	}
	if !next.own {
		kept[next.key] = struct{}{}
		return kept, nil
	}
	start, end := nodeKey{version + 1, 0}.bytes(), nodeKey{version + 2, 0}.bytes()
	err = scan(r, spaceTree, start, end, false, func(key, value []byte) (bool, error) {
		n, err := decodeNode(value)
		if err != nil {
			return false, wrapf(ErrCorrupt, err, "tree node %x", key)
		}
		if !n.leaf() {
			for _, child := range []nodeKey{n.left, n.right} {
				if child.version <= version {
					kept[child] = struct{}{}
				}
			}
		}
		return true, nil
	})
	return kept, err
}

// removeSubtree adds the removal of the nodes below and including root to
// batch, without the subtrees in kept.
func removeSubtree(r pebble.Reader, batch *pebble.Batch, root nodeKey, kept map[nodeKey]struct{}) error {
	type visit struct {
		key  nodeKey
		leaf bool // known to be one
	}
	todo := []visit{{key: root}}
	for len(todo) > 0 {
		v := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if _, ok := kept[v.key]; ok {
			continue
		}
		if err := remove(batch, spaceTree, v.key.bytes()); err != nil {
			return err
		}
		if v.leaf {
			continue
		}
		n, err := readNode(r, v.key)
		if err != nil {
			return err
		}
		if !n.leaf() {
			// Half of the nodes are leaves; most need not be read.
			leaves := n.height == 1
			todo = append(todo, visit{n.right, leaves}, visit{n.left, leaves})
		}
	}
	return nil
}

// prunedHeights counts, and asks Run for a compaction now and then.
func (s *Store) prunedHeights(n uint64) {
	before := s.counts.pruned.Add(n) - n
	if before/reclaimEvery == (before+n)/reclaimEvery {
		return
	}
	select {
	case s.reclaim <- struct{}{}:
	default: // one is due already
	}
}
