package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"

	ics23 "github.com/cosmos/ics23/go"
	"google.golang.org/protobuf/encoding/protowire"
)

// Bounds of a proof of keys.
const (
	// maxKeysBytes bounds its encoding.
	maxKeysBytes = 32 << 20
	// maxKeys is how many keys one proof has at most, as nodes make them.
	maxKeys = 10_240
	// maxKey is the length of the longest key in bytes.
	maxKey = 4096
	// maxDepth is how deep a tree can be: balanced as it is, it would take 2^43 leaves.
	maxDepth = 64
	// maxNumbers is how many bytes the height, size and version of a node may take, by IavlSpec.
	maxNumbers = 11
	// minInner is less than what any inner node takes in an encoding, in bytes. With it, the length of a proof bounds what
	// decoding it takes.
	minInner = 32
)

// entry is one key of a proof.
type entry struct {
	key   []byte
	exist *ics23.ExistenceProof // nil where there is no such key
	right []byte                // of what is absent: the key after it, nil where it would be the last
}

// checkKeys reads the one encoding of a proof of keys, and checks each entry against the root. What it returns is in ascending
// order.
func checkKeys(raw, root []byte) ([]entry, error) {
	proof, err := decodeKeys(raw)
	if err != nil {
		return nil, err
	}
	d := &decompressor{lookup: proof.LookupInners}
	if err := d.checkInners(); err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(proof.Entries))
	for _, compressed := range proof.Entries {
		e, err := d.entry(compressed, root)
		if err != nil {
			return nil, err
		}
		if n := len(entries); n > 0 && bytes.Compare(entries[n-1].key, e.key) >= 0 {
			return nil, errorf(ErrNotCanonical, "the key %x does not stand after %x", e.key, entries[n-1].key)
		}
		entries = append(entries, e)
	}
	if d.named < len(d.lookup) {
		return nil, errorf(ErrSurplus, "%d inner nodes are on no path", len(d.lookup)-d.named)
	}
	return entries, nil
}

// decodeKeys decodes without following anything.
func decodeKeys(raw []byte) (*ics23.CompressedBatchProof, error) {
	if len(raw) == 0 {
		return nil, errorf(ErrMalformed, "the proof has no keys")
	}
	if len(raw) > maxKeysBytes {
		return nil, errorf(ErrTooLarge, "a proof of keys has %d bytes, at most %d are taken", len(raw), maxKeysBytes)
	}
	if err := measureKeys(raw); err != nil {
		return nil, err
	}
	proof := new(ics23.CommitmentProof)
	if err := proof.Unmarshal(raw); err != nil {
		return nil, errorf(ErrMalformed, "decode a proof of keys: %v", err)
	}
	compressed := proof.GetCompressed()
	if compressed == nil || len(compressed.Entries) == 0 {
		return nil, errorf(ErrMalformed, "a proof of keys is no compressed batch with an entry")
	}
	again, err := proof.Marshal()
	if err != nil {
		return nil, errorf(ErrMalformed, "encode a proof of keys again: %v", err)
	}
	if !bytes.Equal(again, raw) {
		return nil, errorf(ErrNotCanonical, "a proof of keys")
	}
	return compressed, nil
}

// Fields of cosmos.ics23.v1.
const (
	proofCompressed = 4 // of CommitmentProof
	batchEntries    = 1 // of CompressedBatchProof
	batchInners     = 2
)

// measureKeys refuses, before anything is decoded, what would become much larger in memory than it is.
func measureKeys(raw []byte) error {
	return eachField(raw, func(number protowire.Number, batch []byte) error {
		if number != proofCompressed {
			return errorf(ErrMalformed, "a proof of keys is no compressed batch")
		}
		entries := 0
		return eachField(batch, func(number protowire.Number, value []byte) error {
			switch {
			case number == batchEntries:
				if entries++; entries > maxKeys {
					return errorf(ErrTooLarge, "a proof has more than %d keys", maxKeys)
				}
			case number == batchInners && len(value) < minInner:
				return errorf(ErrMalformed, "an inner node of %d bytes", len(value))
			case number != batchInners:
				return errorf(ErrNotCanonical, "a proof of keys has the field %d", number)
			}
			return nil
		})
	})
}

// eachField calls fn for each field of a message, all of which have lengths.
func eachField(raw []byte, fn func(number protowire.Number, value []byte) error) error {
	for len(raw) > 0 {
		number, kind, n := protowire.ConsumeTag(raw)
		if n < 0 || kind != protowire.BytesType {
			return errorf(ErrMalformed, "a proof of keys is cut off or no protobuf")
		}
		value, size := protowire.ConsumeBytes(raw[n:])
		if size < 0 {
			return errorf(ErrMalformed, "a proof of keys is cut off")
		}
		raw = raw[n+size:]
		if err := fn(number, value); err != nil {
			return err
		}
	}
	return nil
}

// decompressor follows paths.
type decompressor struct {
	lookup []*ics23.InnerOp
	named  int // how many of them paths have named so far: a path names them in their order the first time
}

// checkInners checks what inner nodes look like, and that none is there twice. The library checks lengths; here every byte is
// accounted for, so that its search for neighbours meets nothing unexpected.
func (d *decompressor) checkInners() error {
	seen := make(map[string]struct{}, len(d.lookup))
	for _, op := range d.lookup {
		if op == nil || op.Hash != ics23.HashOp_SHA256 {
			return errorf(ErrProof, "an inner node is not hashed with SHA-256")
		}
		rest, ok := varints(op.Prefix)
		ok = ok && len(op.Prefix)-len(rest) <= maxNumbers
		// The lengths of hashes stand before them: a left child's in the prefix, a right child's in the suffix.
		left := ok && len(rest) == 1 && rest[0] == sha256.Size && len(op.Suffix) == 1+sha256.Size && op.Suffix[0] == sha256.Size
		right := ok && len(rest) == 2+sha256.Size && rest[0] == sha256.Size && rest[1+sha256.Size] == sha256.Size && len(op.Suffix) == 0
		if !left && !right {
			return errorf(ErrProof, "an inner node is none of an IAVL tree")
		}
		key := string(binary.AppendUvarint(nil, uint64(len(op.Prefix)))) + string(op.Prefix) + string(op.Suffix)
		if _, twice := seen[key]; twice {
			return errorf(ErrNotCanonical, "an inner node stands twice in a proof of keys")
		}
		seen[key] = struct{}{}
	}
	return nil
}

// varints skips the three numbers that a node's hash begins with: height, size, version.
func varints(prefix []byte) (rest []byte, ok bool) {
	rest = prefix
	for range 3 {
		n, size := binary.Varint(rest)
		if size <= 0 || n < 0 || len(binary.AppendVarint(nil, n)) != size {
			return nil, false
		}
		rest = rest[size:]
	}
	return rest, true
}

func (d *decompressor) entry(compressed *ics23.CompressedBatchEntry, root []byte) (entry, error) {
	if exist := compressed.GetExist(); exist != nil {
		proof, err := d.existence(exist, root)
		if err != nil {
			return entry{}, err
		}
		return entry{key: proof.Key, exist: proof}, nil
	}
	absent := compressed.GetNonexist()
	if absent == nil || len(absent.Key) == 0 || len(absent.Key) > maxKey {
		return entry{}, errorf(ErrMalformed, "an entry of a proof of keys has no key, or too long a one")
	}
	e := entry{key: absent.Key}
	proof := &ics23.NonExistenceProof{Key: absent.Key}
	var err error
	if absent.Left != nil {
		if proof.Left, err = d.existence(absent.Left, root); err != nil {
			return entry{}, err
		}
	}
	if absent.Right != nil {
		if proof.Right, err = d.existence(absent.Right, root); err != nil {
			return entry{}, err
		}
		e.right = proof.Right.Key
	}
	if err := checkGap(proof); err != nil {
		return entry{}, err
	}
	return e, nil
}

// existence follows a path and checks that it leads to the root.
func (d *decompressor) existence(compressed *ics23.CompressedExistenceProof, root []byte) (*ics23.ExistenceProof, error) {
	key := compressed.Key
	if len(key) == 0 || len(key) > maxKey || len(compressed.Value) == 0 || compressed.Leaf == nil {
		return nil, errorf(ErrMalformed, "a key in a proof is empty or too long, or has no value")
	}
	if len(compressed.Path) > maxDepth {
		return nil, errorf(ErrTooLarge, "the path of key %x has %d steps, at most %d are possible", key, len(compressed.Path), maxDepth)
	}
	if rest, ok := varints(compressed.Leaf.Prefix); !ok || len(rest) > 0 {
		return nil, errorf(ErrProof, "the leaf of key %x is none of an IAVL tree", key)
	}
	proof := &ics23.ExistenceProof{Key: key, Value: compressed.Value, Leaf: compressed.Leaf, Path: make([]*ics23.InnerOp, len(compressed.Path))}
	for i, step := range compressed.Path {
		switch {
		case step < 0 || int(step) >= len(d.lookup):
			return nil, errorf(ErrMalformed, "the path of key %x names an inner node that is not there", key)
		case int(step) > d.named:
			return nil, errorf(ErrNotCanonical, "inner nodes do not stand in the order in which paths name them")
		case int(step) == d.named:
			d.named++
		}
		proof.Path[i] = d.lookup[step]
	}
	if err := proof.Verify(ics23.IavlSpec, root, key, compressed.Value); err != nil {
		return nil, errorf(ErrProof, "key %x: %v", key, err)
	}
	return proof, nil
}

// checkGap checks that nothing is between two neighbours, or beyond one, but that the absent key would be. Both lead to the
// root already, so there is no need to compute their hashes again.
func checkGap(p *ics23.NonExistenceProof) error {
	inner := ics23.IavlSpec.InnerSpec
	holds := false
	switch {
	case p.Left == nil && p.Right == nil:
	case p.Left == nil:
		holds = bytes.Compare(p.Key, p.Right.Key) < 0 && ics23.IsLeftMost(inner, p.Right.Path)
	case p.Right == nil:
		holds = bytes.Compare(p.Left.Key, p.Key) < 0 && ics23.IsRightMost(inner, p.Left.Path)
	default:
		holds = bytes.Compare(p.Left.Key, p.Key) < 0 && bytes.Compare(p.Key, p.Right.Key) < 0 && neighbours(p.Left, p.Right)
	}
	if !holds {
		return errorf(ErrProof, "that there is no key %x does not follow from its neighbours", p.Key)
	}
	return nil
}

// neighbours reports whether there is nothing between two different keys that lead to the same root.
func neighbours(left, right *ics23.ExistenceProof) bool {
	// Paths from different leaves to one root part somewhere, or SHA-256 is broken; the library counts on it.
	if len(left.Path) == 0 || len(right.Path) == 0 {
		return false
	}
	return ics23.IsLeftNeighbor(ics23.IavlSpec.InnerSpec, left.Path, right.Path)
}
