package keys

import (
	"crypto/sha512"
	"encoding/binary"
	"math/bits"
	"slices"

	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// maxEdBatch bounds how many Ed25519 signatures are verified at once, and so the memory of their points and of the library's tables.
const maxEdBatch = 1024

// minEdBatch is the number of Ed25519 signatures below which verifying singly is not slower.
const minEdBatch = 3

// edBatchTag is the tag of the hash from which the coefficients of an Ed25519 batch are derived.
var edBatchTag = NewTag("althing/keys/batch/ed25519/v1")

// edBatch is the scratch of verifying Ed25519 signatures together in lanes. Its slices are kept between uses.
type edBatch struct {
	plain bool // never compute in lanes; only tests set it

	terms   []edTerm
	numbers map[[32]byte]int // encoding of a key → its number in keys
	keys    []edKeySum
	encoded [][32]byte // points to decompress
	onCurve []bool
	lanes   edSummer
	budget  int // how many signatures may still be verified together
}

// edTerm is what one signature contributes to the equation of a batch.
type edTerm struct {
	index int // of the entry
	key   int // its number in keys
	r     int // the number of R among the points
	a     half
	s, k  [4]uint64
}

// edKeySum is what all signatures under one key contribute together.
type edKeySum struct {
	key   *edKey
	point int // its number among the points
	sum   wide
}

// verifyEd25519 verifies the Ed25519 signatures with the given indices: in lanes, where the processor has them, else the library does it.
func (b *Batch) verifyEd25519(indices []int, verdicts []error) {
	if len(indices) < minEdBatch {
		for _, i := range indices {
			verdicts[i] = b.entries[i].verify()
		}
		return
	}
	inLanes := haveLanes && !b.ed.plain && len(indices) >= minTogether
	coefficients := newStream(b.seed(&edBatchTag, indices))
	for chunk := range slices.Chunk(indices, maxEdBatch) {
		if inLanes {
			b.ed.gather(b.entries, chunk, coefficients, verdicts)
			b.ed.budget = maxShare * len(b.ed.terms)
			b.settle(&b.ed, &b.ed.budget, 0, len(b.ed.terms), false, verdicts)
			clear(b.ed.keys) // let go of the keys
			continue
		}
		v := ed25519.NewBatchVerifierWithCapacity(len(chunk))
		for _, i := range chunk {
			e := &b.entries[i]
			v.AddExpandedWithOptions(e.pub.ed.expanded, e.digest[:], e.sig[:], zip215)
		}
		// When they do not all hold, the library verifies each by itself, from what it has already decompressed.
		_, valid := v.Verify(coefficients)
		for k, i := range chunk {
			if !valid[k] {
				verdicts[i] = ErrSignature
			}
		}
	}
}

// gather makes the terms of the entries with the given indices. Where R is no point the library says the verdict.
//
// A signature (R, s) is valid under the key A, with the challenge k, if 8·(R + k·A - s·B) is the identity. That is summed over the
// batch, as for Schnorr signatures, each times a coefficient a of 128 bits:
//
//	8·(Σ aᵢ·Rᵢ + Σ (aᵢ·kᵢ)·Aᵢ - (Σ aᵢ·sᵢ)·B) = identity
//
// The scalars of the A and of B count modulo the order of B. What that changes at points of small order, of which A may have a part, eight times is nothing.
func (q *edBatch) gather(entries []entry, indices []int, coefficients *stream, verdicts []error) {
	if q.numbers == nil {
		q.numbers = make(map[[32]byte]int)
	}
	clear(q.numbers)
	clear(q.keys) // let go of those of before
	q.terms, q.keys, q.encoded = q.terms[:0], q.keys[:0], q.encoded[:0]
	for _, i := range indices {
		e := &entries[i]
		var a [16]byte
		_, _ = coefficients.Read(a[:])
		t := edTerm{
			index: i, r: len(q.encoded), s: words(e.sig[32:]), k: edChallenge(e),
			a: half{hi: binary.BigEndian.Uint64(a[:]), lo: binary.BigEndian.Uint64(a[8:])},
		}
		q.encoded = append(q.encoded, [32]byte(e.sig[:32]))
		raw := [32]byte(e.pub.raw[:32])
		number, seen := q.numbers[raw]
		if !seen {
			number = len(q.keys)
			q.numbers[raw] = number
			q.keys = append(q.keys, edKeySum{key: e.pub.ed, point: len(q.encoded)})
			if e.pub.ed.point.Load() == nil {
				q.encoded = append(q.encoded, raw)
			}
		}
		t.key = number
		q.terms = append(q.terms, t)
	}
	q.onCurve = slices.Grow(q.onCurve[:0], len(q.encoded))[:len(q.encoded)]
	q.lanes.decompress(q.encoded, q.onCurve)
	for i := range q.keys {
		k := &q.keys[i]
		if p := k.key.point.Load(); p != nil {
			k.point = q.lanes.addPoint(p)
		} else if q.onCurve[k.point] {
			p := q.lanes.point(k.point)
			k.key.point.Store(&p)
		} else {
			k.point = -1
		}
	}
	kept := q.terms[:0]
	for _, t := range q.terms {
		if !q.onCurve[t.r] || q.keys[t.key].point < 0 {
			verdicts[t.index] = entries[t.index].verify()
			continue
		}
		kept = append(kept, t)
	}
	q.terms = kept
}

// entry implements equation.
func (q *edBatch) entry(i int) int { return q.terms[i].index }

// holds implements equation.
func (q *edBatch) holds(from, to int) bool {
	terms := q.terms[from:to]
	q.lanes.reset()
	var base wide
	for i := range terms {
		t := &terms[i]
		q.lanes.add(t.r, [4]uint64{t.a.lo, t.a.hi})
		base.addProduct(t.a, &t.s)
		q.keys[t.key].sum.addProduct(t.a, &t.k)
	}
	q.lanes.addMinusBase(base.modL())
	// Many signatures under one key, as when one account pays many, cost one point.
	for i := range terms {
		if k := &q.keys[terms[i].key]; k.sum != (wide{}) {
			q.lanes.add(k.point, k.sum.modL())
			k.sum = wide{}
		}
	}
	return q.lanes.smallOrder()
}

// edChallenge returns the challenge of a signature: SHA-512 of R, key and message, modulo the order of the base point.
func edChallenge(e *entry) [4]uint64 {
	var in [96]byte
	copy(in[:], e.sig[:32])
	copy(in[32:], e.pub.raw[:32])
	copy(in[64:], e.digest[:])
	out := sha512.Sum512(in[:])
	return reduceL(&out)
}

// reduceL returns a number, 64 little-endian bytes, modulo the order of the base point.
func reduceL(b *[64]byte) [4]uint64 {
	var k scalar.Scalar
	_, _ = k.SetBytesModOrderWide(b[:]) // fails on other lengths only
	var out [32]byte
	_ = k.ToBytes(out[:])
	return words(out[:])
}

// words returns 32 little-endian bytes as four words.
func words(b []byte) [4]uint64 {
	return [4]uint64{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]), binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:32])}
}

// wide is an integer below 2^512, least significant word first: sums of products that are reduced once.
type wide [8]uint64

// addProduct adds a·k. 2^128 products of 384 bits fit.
func (w *wide) addProduct(a half, k *[4]uint64) {
	w.addProductAt(0, a.lo, k)
	w.addProductAt(1, a.hi, k)
}

// addProductAt adds 2^(64·at)·a·k, for at below 2.
func (w *wide) addProductAt(at int, a uint64, k *[4]uint64) {
	h0, l0 := bits.Mul64(a, k[0])
	h1, l1 := bits.Mul64(a, k[1])
	h2, l2 := bits.Mul64(a, k[2])
	h3, l3 := bits.Mul64(a, k[3])
	var c uint64
	l1, c = bits.Add64(l1, h0, 0)
	l2, c = bits.Add64(l2, h1, c)
	l3, c = bits.Add64(l3, h2, c)
	h3 += c
	t := w[at:]
	t[0], c = bits.Add64(t[0], l0, 0)
	t[1], c = bits.Add64(t[1], l1, c)
	t[2], c = bits.Add64(t[2], l2, c)
	t[3], c = bits.Add64(t[3], l3, c)
	t[4], c = bits.Add64(t[4], h3, c)
	for i := 5; i < len(t); i++ {
		t[i], c = bits.Add64(t[i], 0, c)
	}
}

// modL returns w modulo the order of the base point.
func (w *wide) modL() [4]uint64 {
	var b [64]byte
	for i, word := range w {
		binary.LittleEndian.PutUint64(b[8*i:], word)
	}
	return reduceL(&b)
}
