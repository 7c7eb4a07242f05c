package state

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// treeNode is a node of the tree as iavl v1 stores it, decoded. Views of past
// heights leave the decoding to iavl; this is for what iavl does not do, or
// not well: to write, prune and prove, to notice a bad node where iavl would
// drop the error, and to recompute hashes.
type treeNode struct {
	height int8
	size   int64
	key    []byte // leaf: the key; inner: smallest key of the right subtree
	value  []byte // leaf only
	hash   []byte // inner only, as stored
	left   nodeKey
	right  nodeKey
}

// nodeKey is the key of a node: the version that made it and its number within
// that version. Number 1 is the root, and the record of the version: in a
// version that made no node it holds a reference to its root, or is empty.
type nodeKey struct {
	version int64
	nonce   uint32
}

const (
	nodeKeyPrefix = 's'
	nodeKeySize   = 13 // prefix, version, nonce
)

func (k nodeKey) String() string { return fmt.Sprintf("%d/%d", k.version, k.nonce) }

// bytes returns the database key, without the namespace.
func (k nodeKey) bytes() []byte {
	b := make([]byte, 0, nodeKeySize)
	b = append(b, nodeKeyPrefix)
	b = binary.BigEndian.AppendUint64(b, uint64(k.version))
	return binary.BigEndian.AppendUint32(b, k.nonce)
}

// put writes the database key, with the namespace, to b, which has its size.
func (k nodeKey) put(b []byte) {
	b[0], b[1] = spaceTree, nodeKeyPrefix
	binary.BigEndian.PutUint64(b[2:], uint64(k.version))
	binary.BigEndian.PutUint32(b[10:], k.nonce)
}

func parseNodeKey(b []byte) (nodeKey, bool) {
	if len(b) != nodeKeySize || b[0] != nodeKeyPrefix {
		return nodeKey{}, false
	}
	return nodeKey{int64(binary.BigEndian.Uint64(b[1:])), binary.BigEndian.Uint32(b[9:])}, true
}

func (n treeNode) leaf() bool { return n.height == 0 }

var errTruncated = errors.New("truncated")

// decodeNode decodes a node. The slices of the result point into buf.
func decodeNode(buf []byte) (treeNode, error) {
	d := nodeDecoder{buf: buf}
	n := treeNode{}
	height := d.varint()
	n.height = int8(height)
	n.size = d.varint()
	n.key = d.bytes()
	if d.err == nil && (height != int64(n.height) || height < 0 || n.size < 1) {
		return treeNode{}, fmt.Errorf("node of height %d and size %d", height, n.size)
	}
	if n.leaf() {
		n.value = d.bytes()
	} else {
		n.hash = d.bytes()
		if mode := d.varint(); d.err == nil && mode != 0 {
			return treeNode{}, fmt.Errorf("node of unknown mode %d", mode)
		}
		n.left = d.nodeKey()
		n.right = d.nodeKey()
	}
	if d.err != nil {
		return treeNode{}, fmt.Errorf("decode tree node of %d bytes: %w", len(buf), d.err)
	}
	if !n.leaf() && len(n.hash) != sha256.Size {
		return treeNode{}, fmt.Errorf("node with a hash of %d bytes", len(n.hash))
	}
	return n, nil
}

// readNode reads a node that must exist.
func readNode(r pebble.Reader, k nodeKey) (treeNode, error) {
	value, err := get(r, spaceTree, k.bytes())
	if err != nil {
		return treeNode{}, fmt.Errorf("read tree node %v: %w", k, err)
	}
	if value == nil {
		return treeNode{}, errorf(ErrCorrupt, "tree node %v is missing", k)
	}
	n, err := decodeNode(value)
	if err != nil {
		return treeNode{}, wrapf(ErrCorrupt, err, "tree node %v", k)
	}
	return n, nil
}

// treeRoot says where the root of a version is.
type treeRoot struct {
	key   nodeKey // unless empty
	own   bool    // the version made the root itself
	empty bool
}

// readRoot reads the record of a version, which must exist.
func readRoot(r pebble.Reader, version int64) (treeRoot, error) {
	own := nodeKey{version, 1}
	value, err := get(r, spaceTree, own.bytes())
	switch {
	case err != nil:
		return treeRoot{}, fmt.Errorf("read root of the tree at height %d: %w", version, err)
	case value == nil:
		return treeRoot{}, errorf(ErrCorrupt, "root of the tree at height %d is missing", version)
	case len(value) == 0:
		return treeRoot{empty: true}, nil
	}
	if reference, ok := parseNodeKey(value); ok {
		return treeRoot{key: reference}, nil
	}
	return treeRoot{key: own, own: true}, nil
}

// newestVersion returns the newest version of the tree, 0 if there is none.
func newestVersion(r pebble.Reader) (version int64, err error) {
	err = scan(r, spaceTree, []byte{nodeKeyPrefix}, []byte{nodeKeyPrefix + 1}, true, func(key, _ []byte) (bool, error) {
		k, ok := parseNodeKey(key)
		if !ok {
			return false, errorf(ErrCorrupt, "tree node %x", key)
		}
		version = k.version
		return false, nil
	})
	return version, err
}

type nodeDecoder struct {
	buf []byte
	err error
}

func (d *nodeDecoder) varint() int64 {
	v, n := binary.Varint(d.buf)
	if n <= 0 {
		d.err, d.buf = errTruncated, nil
		return 0
	}
	d.buf = d.buf[n:]
	return v
}

func (d *nodeDecoder) bytes() []byte {
	size, n := binary.Uvarint(d.buf)
	if n <= 0 || size > uint64(len(d.buf)-n) {
		d.err, d.buf = errTruncated, nil
		return nil
	}
	b := d.buf[n : n+int(size)]
	d.buf = d.buf[n+int(size):]
	return b
}

func (d *nodeDecoder) nodeKey() nodeKey {
	version, nonce := d.varint(), d.varint()
	if d.err == nil && nonce != int64(uint32(nonce)) {
		d.err = fmt.Errorf("node number %d", nonce)
	}
	return nodeKey{version, uint32(nonce)}
}

// leafHash returns the hash of a leaf made at version.
func (n treeNode) leafHash(version int64) []byte {
	value := sha256.Sum256(n.value)
	b := n.hashPrefix(version)
	b = binary.AppendUvarint(b, uint64(len(n.key)))
	b = append(b, n.key...)
	b = append(b, sha256.Size)
	b = append(b, value[:]...)
	sum := sha256.Sum256(b)
	return sum[:]
}

// innerHash returns the hash of an inner node made at version over the hashes
// of its children.
func (n treeNode) innerHash(version int64, left, right []byte) []byte {
	b := n.hashPrefix(version)
	b = append(b, sha256.Size)
	b = append(b, left...)
	b = append(b, sha256.Size)
	b = append(b, right...)
	sum := sha256.Sum256(b)
	return sum[:]
}

func (n treeNode) hashPrefix(version int64) []byte {
	b := make([]byte, 0, 3*binary.MaxVarintLen64+len(n.key)+2*(1+sha256.Size))
	return appendHashPrefix(b, n.height, n.size, version)
}

// appendHashPrefix appends what is hashed of leaves and inner nodes alike.
func appendHashPrefix(b []byte, height int8, size, version int64) []byte {
	b = binary.AppendVarint(b, int64(height))
	b = binary.AppendVarint(b, size)
	return binary.AppendVarint(b, version)
}
