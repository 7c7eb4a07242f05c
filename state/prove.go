package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	ics23 "github.com/cosmos/ics23/go"
)

// Bounds of a proof.
const (
	// MaxProofKeys is how many keys one proof may be asked for: what the
	// longest page of a listing reads, 5,000 entries and another key for
	// each.
	MaxProofKeys = 10_240
	// maxProofKey is the longest key that can be proven, in bytes. The ledger
	// has none that is as long.
	maxProofKey = 4096
)

// Prove returns an encoded cosmos.ics23.v1.CommitmentProof of the kind
// `compressed` for the specification IavlSpec and the root AppHash: an entry
// for each distinct key, in ascending order, that proves its value or, with
// its neighbours, that there is none. Equal views give equal bytes.
//
// It takes no lock and shares nothing with the writer. Every hash on the way
// is computed again; ErrCorrupt is returned where one is wrong. No key, an
// empty or overlong one, and a state without keys are ErrMisuse; more than
// MaxProofKeys distinct keys are ErrTooManyKeys.
func (v *View) Prove(keys [][]byte) ([]byte, error) {
	if err := v.usable(); err != nil {
		return nil, err
	}
	keys, err := provableKeys(keys)
	if err != nil {
		return nil, err
	}
	proof, err := v.prove(keys)
	if err != nil {
		return nil, fmt.Errorf("prove %d keys at height %d: %w", len(keys), v.height, err)
	}
	return proof.Marshal()
}

// provableKeys returns the distinct keys in ascending order.
func provableKeys(keys [][]byte) ([][]byte, error) {
	if len(keys) == 0 {
		return nil, errorf(ErrMisuse, "prove no keys")
	}
	for _, key := range keys {
		if len(key) == 0 || len(key) > maxProofKey {
			return nil, errorf(ErrMisuse, "prove a key of %d bytes: only 1 to %d can be proven", len(key), maxProofKey)
		}
	}
	keys = slices.Clone(keys)
	slices.SortFunc(keys, bytes.Compare)
	keys = slices.CompactFunc(keys, bytes.Equal)
	if len(keys) > MaxProofKeys {
		return nil, errorf(ErrTooManyKeys, "%d keys are to be proven at once, at most %d can be", len(keys), MaxProofKeys)
	}
	return keys, nil
}

func (v *View) prove(keys [][]byte) (*ics23.CommitmentProof, error) {
	p := &prover{}
	if v.latest != nil {
		p.r = v.latest.snap
	} else {
		p.r = v.past.snap
	}
	if v.height == 0 {
		return nil, errorf(ErrMisuse, "there is no state before the first block")
	}
	at, err := readRoot(p.r, int64(v.height))
	if err != nil {
		return nil, err
	}
	if at.empty {
		return nil, errorf(ErrMisuse, "the state has no keys: nothing can be proven of it")
	}
	root, err := p.read(at.key)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(root.hash, v.record.root) {
		return nil, errorf(ErrCorrupt, "root of the tree is %X, recorded is %X", root.hash, v.record.root)
	}
	entries := make([]*ics23.CompressedBatchEntry, len(keys))
	for i, key := range keys {
		if entries[i], err = p.entry(root, key); err != nil {
			return nil, err
		}
	}
	return &ics23.CommitmentProof{Proof: &ics23.CommitmentProof_Compressed{
		Compressed: &ics23.CompressedBatchProof{Entries: entries, LookupInners: p.inners},
	}}, nil
}

// prover makes one proof. It walks down from the root for each key and keeps
// the nodes that it has met, so that each is read and hashed once.
type prover struct {
	r      pebble.Reader
	inners []*ics23.InnerOp // of the proof so far, in the order in which paths first name them
}

// provenNode is a node whose hash is known to be right. Its children are read
// when a path first goes through it.
type provenNode struct {
	treeNode
	version     int64
	hash        []byte
	left, right *provenNode
	// ops are the places in prover.inners of the steps up from the left and
	// from the right child, and one more; 0 where no path has them yet.
	ops [2]int32
}

// step is one node on the way down, and the child by which it was left.
type step struct {
	node *provenNode
	side int
}

const (
	leftSide  = 0
	rightSide = 1
)

// read reads a node. The hash of an inner node is what is stored; expand
// checks it.
func (p *prover) read(k nodeKey) (*provenNode, error) {
	n, err := readNode(p.r, k)
	if err != nil {
		return nil, err
	}
	hash := n.hash
	if n.leaf() {
		hash = n.leafHash(k.version)
	}
	return &provenNode{treeNode: n, version: k.version, hash: hash}, nil
}

// expand reads the children of an inner node and checks that its hash is
// theirs. As no node can be below itself then, walks end.
func (p *prover) expand(n *provenNode) error {
	if n.left != nil {
		return nil
	}
	left, err := p.read(n.treeNode.left)
	if err != nil {
		return err
	}
	right, err := p.read(n.treeNode.right)
	if err != nil {
		return err
	}
	if hash := n.innerHash(n.version, left.hash, right.hash); !bytes.Equal(hash, n.hash) {
		return errorf(ErrCorrupt, "a tree node above %v has the hash %X, its children make it %X", n.treeNode.left, n.hash, hash)
	}
	n.left, n.right = left, right
	return nil
}

// entry proves one key, or that there is none.
func (p *prover) entry(root *provenNode, key []byte) (*ics23.CompressedBatchEntry, error) {
	path, leaf, err := p.descend(nil, root, func(n *provenNode) int {
		if bytes.Compare(key, n.key) < 0 {
			return leftSide
		}
		return rightSide
	})
	if err != nil {
		return nil, err
	}
	order := bytes.Compare(leaf.key, key)
	if order == 0 {
		return &ics23.CompressedBatchEntry{Proof: &ics23.CompressedBatchEntry_Exist{Exist: p.existence(path, leaf)}}, nil
	}
	absent := &ics23.CompressedNonExistenceProof{Key: key}
	if order > 0 {
		// The way down ends at the last leaf that is not above the key, or at
		// the first of all.
		absent.Right = p.existence(path, leaf)
	} else {
		absent.Left = p.existence(path, leaf)
		if path, leaf, err = p.following(path); err != nil {
			return nil, err
		}
		if leaf != nil {
			absent.Right = p.existence(path, leaf)
		}
	}
	return &ics23.CompressedBatchEntry{Proof: &ics23.CompressedBatchEntry_Nonexist{Nonexist: absent}}, nil
}

// descend walks from a node, which path leads to, down to a leaf.
func (p *prover) descend(path []step, n *provenNode, side func(*provenNode) int) ([]step, *provenNode, error) {
	for !n.leaf() {
		if err := p.expand(n); err != nil {
			return nil, nil, err
		}
		s := step{n, side(n)}
		path = append(path, s)
		n = s.child()
	}
	return path, n, nil
}

func (s step) child() *provenNode {
	if s.side == leftSide {
		return s.node.left
	}
	return s.node.right
}

// following returns the leaf after the one that a path leads to, and the path
// to it; nil after the last one.
func (p *prover) following(path []step) ([]step, *provenNode, error) {
	for len(path) > 0 {
		last := path[len(path)-1]
		path = path[:len(path)-1]
		if last.side == leftSide {
			turn := step{last.node, rightSide}
			return p.descend(append(path, turn), turn.child(), func(*provenNode) int { return leftSide })
		}
	}
	return nil, nil, nil
}

// existence proves a leaf that a path leads to.
func (p *prover) existence(path []step, leaf *provenNode) *ics23.CompressedExistenceProof {
	proof := &ics23.CompressedExistenceProof{
		Key: leaf.key, Value: leaf.value, Leaf: leafOp(leaf.version), Path: make([]int32, 0, len(path)),
	}
	for _, s := range slices.Backward(path) {
		op := &s.node.ops[s.side]
		if *op == 0 {
			p.inners = append(p.inners, innerOp(s))
			*op = int32(len(p.inners))
		}
		proof.Path = append(proof.Path, *op-1)
	}
	return proof
}

// leafOp says how a leaf made at version is hashed.
func leafOp(version int64) *ics23.LeafOp {
	prefix := binary.AppendVarint([]byte{0, 2}, version) // height 0 and size 1, as varints
	return &ics23.LeafOp{
		Hash: ics23.HashOp_SHA256, PrehashValue: ics23.HashOp_SHA256, Length: ics23.LengthOp_VAR_PROTO, Prefix: prefix,
	}
}

// innerOp says how a node is hashed around the child by which it was left.
func innerOp(s step) *ics23.InnerOp {
	n := s.node
	op := &ics23.InnerOp{Hash: ics23.HashOp_SHA256, Prefix: n.hashPrefix(n.version)}
	if s.side == rightSide {
		op.Prefix = append(op.Prefix, sha256.Size)
		op.Prefix = append(op.Prefix, n.left.hash...)
	}
	op.Prefix = append(op.Prefix, sha256.Size)
	if s.side == leftSide {
		op.Suffix = append([]byte{sha256.Size}, n.right.hash...)
	}
	return op
}
