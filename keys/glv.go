package keys

import (
	"encoding/binary"
	"math/bits"

	"github.com/btcsuite/btcd/btcec/v2"
)

// half is a scalar of at most 128 bits and a sign: what multi-scalar multiplication works with.
type half struct {
	lo, hi uint64
	neg    bool
}

// The endomorphism (x, y) ↦ (βx, y) multiplies every point by λ, a cube root of one modulo the group order.
// Any scalar is k1 + k2·λ with k1 and k2 below 2^128 in magnitude, which halves the doublings. The constants are
// those of algorithm 3.74 in the Guide to Elliptic Curve Cryptography, with the quotients of the lattice basis by
// the order precomputed to 320 bits; btcec uses the same but keeps its split to itself.
var (
	glvMinusLambda = scalarConstant("ac9c52b33fa3cf1f5ad9e3fd77ed9ba4a880b9fc8ec739c2e0cfc810b51283cf")
	glvMinusB1     = scalarConstant("00000000000000000000000000000000e4437ed6010e88286f547fa90abfe4c3")
	glvMinusB2     = scalarConstant("fffffffffffffffffffffffffffffffe8a280ac50774346dd765cda83db1562c")
	glvZ1          = [3]uint64{0x3daa8a1471e8ca7f, 0xe86c90e49284eb15, 0x3086d221a7d46bcd}
	glvZ2          = [3]uint64{0x221208ac9df506c6, 0x6f547fa90abfe4c4, 0xe4437ed6010e8828}
)

// splitScalar returns k1 and k2 with k = k1 + k2·λ modulo the group order. It reports false if they do not fit,
// which cannot happen: the caller treats it as "not proven valid".
func splitScalar(k *btcec.ModNScalar) (k1, k2 half, ok bool) {
	c1 := mulShift320(k, &glvZ1)
	c2 := mulShift320(k, &glvZ2)
	c1.Mul(&glvMinusB1)
	c2.Mul(&glvMinusB2)
	c2.Add(&c1)
	c1.Mul2(&c2, &glvMinusLambda).Add(k)
	k1, ok1 := halfOf(&c1)
	k2, ok2 := halfOf(&c2)
	return k1, k2, ok1 && ok2
}

// halfOf returns the scalar of smallest magnitude that is equal to k and reports whether it fits 128 bits.
func halfOf(k *btcec.ModNScalar) (half, bool) {
	s := *k
	h := half{neg: s.IsOverHalfOrder()}
	if h.neg {
		s.Negate()
	}
	l := limbs(&s)
	h.lo, h.hi = l[0], l[1]
	return h, l[2]|l[3] == 0
}

// mulShift320 returns k·z / 2^320, rounded, computed over the integers.
func mulShift320(k *btcec.ModNScalar, z *[3]uint64) (r btcec.ModNScalar) {
	l := limbs(k)
	var t [7]uint64
	for i, a := range l {
		var carry uint64
		for j, b := range z {
			hi, lo := bits.Mul64(a, b)
			lo, c := bits.Add64(lo, carry, 0)
			hi += c
			t[i+j], c = bits.Add64(t[i+j], lo, 0)
			carry = hi + c
		}
		t[i+3] = carry
	}
	lo, c := bits.Add64(t[5], t[4]>>63, 0)
	var b [32]byte
	binary.BigEndian.PutUint64(b[16:], t[6]+c)
	binary.BigEndian.PutUint64(b[24:], lo)
	r.SetBytes(&b)
	return r
}

// limbs returns the scalar as four limbs of 64 bits, least significant first.
func limbs(k *btcec.ModNScalar) (l [4]uint64) {
	b := k.Bytes()
	for i := range l {
		l[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return l
}
