package keys

import "crypto/sha256"

// Tag is the prefix of a tagged hash: the SHA-256 of the tag's name, twice. It is exactly one block of
// SHA-256, so that hashes under different tags never see the same input. Make one with [NewTag] where the
// same tag is hashed under often; the zero Tag is not the tag of any name.
type Tag [2 * sha256.Size]byte

// stackInput is the longest input, tag included, that is hashed from one stack buffer instead of a stream.
const stackInput = 512

// NewTag returns the tag of a name.
func NewTag(name string) Tag {
	var t Tag
	h := sha256.Sum256([]byte(name))
	copy(t[:], h[:])
	copy(t[sha256.Size:], h[:])
	return t
}

// Hash returns SHA-256(SHA-256(name) ‖ SHA-256(name) ‖ parts…), the tagged hash of BIP-340. The parts are
// concatenated without framing: parts of variable length need lengths of their own, or must come last.
func (t *Tag) Hash(parts ...[]byte) [32]byte {
	n := len(t)
	for _, p := range parts {
		n += len(p)
	}
	if n <= stackInput {
		var buf [stackInput]byte
		n = copy(buf[:], t[:])
		for _, p := range parts {
			n += copy(buf[n:], p)
		}
		return sha256.Sum256(buf[:n])
	}
	h := sha256.New()
	h.Write(t[:])
	for _, p := range parts {
		h.Write(p)
	}
	var out [32]byte
	h.Sum(out[:0])
	return out
}

// TaggedHash returns the tagged hash of BIP-340 under the given tag; see [Tag.Hash].
func TaggedHash(tag string, parts ...[]byte) [32]byte {
	t := NewTag(tag)
	return t.Hash(parts...)
}
