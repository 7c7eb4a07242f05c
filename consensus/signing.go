package consensus

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"sync"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
)

// MaxSigningWindow is the most blocks that a signing record looks back.
const MaxSigningWindow = 1000

// Signed is one validator's part in the last commits.
type Signed struct {
	Address []byte // 20 bytes
	// Asked counts the blocks whose set it was in, Signed those whose commit has its vote for
	// the block. A commit is complete with two thirds: a vote that came late is not in it.
	Asked, Signed int
	// LastSigned is the newest height of these, 0 if there is none in the window.
	LastSigned int64
}

// signings remembers who signed which block.
type signings struct {
	mu      sync.Mutex
	heights map[int64]commitRecord // at most MaxSigningWindow
	sets    map[string][][]byte    // addresses by the set's hash, those that heights refer to
}

// commitRecord is who signed one block.
type commitRecord struct {
	set    string // the set's hash
	signed []bool // by the order of the set
}

// SigningRecord returns who signed the newest blocks, at most window and at most
// [MaxSigningWindow] of them, by address. Blocks that have been read before are not read again.
// The error is [ErrNotReady] when the node has stopped, or one of the database.
func (n *Node) SigningRecord(window int) (record []Signed, err error) {
	defer recovered(&err, "read commits")
	window = max(1, min(window, MaxSigningWindow))
	s := &n.signings
	s.mu.Lock()
	defer s.mu.Unlock()
	if n.phase.Load() == PhaseStopped {
		return nil, fmt.Errorf("signing record: %w", ErrNotReady)
	}
	base, newest := n.BlockRange()
	totals := make(map[string]*Signed)
	for height := max(base, newest-int64(window)+1, 1); height <= newest; height++ {
		c, err := n.commitRecord(height, newest)
		if err != nil {
			return nil, err
		}
		if c == nil {
			continue // pruned meanwhile
		}
		for i, address := range s.sets[c.set] {
			t, ok := totals[string(address)]
			if !ok {
				t = &Signed{Address: address}
				totals[string(address)] = t
			}
			t.Asked++
			if c.signed[i] {
				t.Signed++
				t.LastSigned = height
			}
		}
	}
	s.forget(newest - MaxSigningWindow)
	for _, t := range totals {
		record = append(record, *t)
	}
	slices.SortFunc(record, func(a, b Signed) int { return bytes.Compare(a.Address, b.Address) })
	return record, nil
}

// commitRecord returns who signed a block, nil if it is not kept. The newest block's
// commit is what this node has seen itself; it is replaced by the one in the next block and not
// remembered.
func (n *Node) commitRecord(height, newest int64) (*commitRecord, error) {
	s := &n.signings
	if c, ok := s.heights[height]; ok {
		return &c, nil
	}
	meta, commit := n.blocks.LoadBlockMeta(height), n.blocks.LoadBlockCommit(height)
	if height == newest {
		commit = n.blocks.LoadSeenCommit(height)
	}
	if meta == nil || commit == nil {
		return nil, nil
	}
	c := commitRecord{set: string(meta.Header.ValidatorsHash), signed: make([]bool, len(commit.Signatures))}
	addresses, ok := s.sets[c.set]
	if !ok {
		set, err := n.states.LoadValidators(height)
		var pruned sm.ErrNoValSetForHeight
		if errors.As(err, &pruned) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("load the validators of block %d: %w", height, err)
		}
		for _, v := range set.Validators {
			addresses = append(addresses, v.Address)
		}
		if s.sets == nil {
			s.heights, s.sets = make(map[int64]commitRecord), make(map[string][][]byte)
		}
		s.sets[c.set] = addresses
	}
	if len(addresses) != len(commit.Signatures) {
		return nil, fmt.Errorf("block %d: its commit has %d entries for %d validators", height, len(commit.Signatures), len(addresses))
	}
	for i, sig := range commit.Signatures {
		c.signed[i] = sig.BlockIDFlag == types.BlockIDFlagCommit
	}
	if height < newest {
		s.heights[height] = c
	}
	return &c, nil
}

// forget drops what is at or below a height, and the sets that nothing refers to any more.
func (s *signings) forget(below int64) {
	used := make(map[string]bool)
	for height, c := range s.heights {
		if height <= below {
			delete(s.heights, height)
		} else {
			used[c.set] = true
		}
	}
	for set := range s.sets {
		if !used[set] {
			delete(s.sets, set)
		}
	}
}
