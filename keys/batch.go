package keys

import (
	"crypto/sha256"
	"encoding/binary"
)

// Batch verifies many signatures together, in less time than one after the other, and gives each the verdict that
// [PublicKey.Verify] gives it. Schemes may be mixed: Schnorr and Ed25519 signatures are verified together, ECDSA ones
// share inversions. A Batch is not for concurrent use; it may be used again after Reset, which keeps its memory: up to 6 MiB and
// 1.5 KB for each signature of the largest batch it has seen.
type Batch struct {
	entries []entry
	schnorr schnorrBatch
	ecdsa   ecdsaBatch
	ed      edBatch
}

// entry is one signature to verify.
type entry struct {
	pub    PublicKey
	digest [DigestSize]byte
	sig    [SignatureSize]byte
	err    error // what checkEncoding said
}

// NewBatch returns an empty batch with room for capacity signatures. It grows when more are added.
func NewBatch(capacity int) *Batch {
	return &Batch{entries: make([]entry, 0, max(0, capacity))}
}

// Add adds a signature of a digest by a key. The arguments are copied.
func (b *Batch) Add(pub PublicKey, digest [DigestSize]byte, sig []byte) {
	e := entry{pub: pub, digest: digest, err: checkEncoding(pub.scheme, sig)}
	if e.err == nil {
		e.sig = [SignatureSize]byte(sig)
	}
	b.entries = append(b.entries, e)
}

// Len returns the number of signatures added since the last Reset.
func (b *Batch) Len() int { return len(b.entries) }

// Reset removes all signatures and keeps the memory.
func (b *Batch) Reset() {
	clear(b.entries) // let go of the keys
	b.entries = b.entries[:0]
}

// Verify verifies everything added since the last Reset and returns one verdict for each, in the order of the Adds:
// nil for a valid signature, else the error that [PublicKey.Verify] returns for it.
func (b *Batch) Verify() []error {
	verdicts := make([]error, len(b.entries))
	var schnorr, ecdsa, ed []int
	for i := range b.entries {
		e := &b.entries[i]
		switch {
		case e.err != nil:
			verdicts[i] = e.err
		case e.pub.scheme == SchemeSchnorr:
			schnorr = append(schnorr, i)
		case e.pub.scheme == SchemeEd25519:
			ed = append(ed, i)
		default:
			ecdsa = append(ecdsa, i)
		}
	}
	b.verifySchnorr(schnorr, verdicts)
	b.verifyECDSA(ecdsa, verdicts)
	b.verifyEd25519(ed, verdicts)
	return verdicts
}

// verify verifies one well-formed signature by itself.
func (e *entry) verify() error { return e.pub.verifyWellFormed(&e.digest, &e.sig) }

// seed returns a hash of the given entries: everything that their verdicts depend on.
func (b *Batch) seed(tag *Tag, indices []int) (seed [32]byte) {
	h := sha256.New()
	h.Write(tag[:])
	for _, i := range indices {
		e := &b.entries[i]
		h.Write(e.pub.encoded())
		h.Write(e.digest[:])
		h.Write(e.sig[:])
	}
	h.Sum(seed[:0])
	return seed
}

// stream is an endless sequence of pseudo-random bytes: SHA-256 of a seed and a counter. It implements io.Reader
// and never fails.
type stream struct {
	input [32 + 8]byte
	block [32]byte
	used  int // bytes of block given out
	next  uint64
}

func newStream(seed [32]byte) *stream {
	s := &stream{used: 32}
	copy(s.input[:], seed[:])
	return s
}

// Read fills p.
func (s *stream) Read(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		if s.used == len(s.block) {
			binary.BigEndian.PutUint64(s.input[32:], s.next)
			s.block = sha256.Sum256(s.input[:])
			s.next++
			s.used = 0
		}
		k := copy(p, s.block[s.used:])
		s.used += k
		p = p[k:]
	}
	return n, nil
}
