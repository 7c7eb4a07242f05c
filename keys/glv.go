package keys

import "math/bits"

// half is a scalar of at most 128 bits and a sign: what multi-scalar multiplication works with.
type half struct {
	lo, hi uint64
	neg    bool
}

// The endomorphism (x, y) ↦ (βx, y) multiplies every point by λ, a cube root of one modulo the group order.
// Any scalar is k1 + k2·λ with k1 and k2 below 2^128 in magnitude, which halves the doublings. The constants are
// those of algorithm 3.74 in the Guide to Elliptic Curve Cryptography: a short basis (a1, b1), (a2, b2) of the lattice of
// the (a, b) with a + b·λ = 0, and the quotients of b2 = a1 and -b1 by the order, in units of 2^-320.
var (
	glvA1     = [3]uint64{0xe86c90e49284eb15, 0x3086d221a7d46bcd}
	glvMinusB = [3]uint64{0x6f547fa90abfe4c3, 0xe4437ed6010e8828} // -b1
	glvA2     = [3]uint64{0x57c1108d9d44cfd8, 0x14ca50f7a8e2f3f6, 1}
	glvZ1     = [4]uint64{0x3daa8a1471e8ca7f, 0xe86c90e49284eb15, 0x3086d221a7d46bcd}
	glvZ2     = [4]uint64{0x221208ac9df506c6, 0x6f547fa90abfe4c4, 0xe4437ed6010e8828}
)

// splitScalar returns k1 and k2 with k = k1 + k2·λ modulo the group order. It reports false if they do not fit,
// which cannot happen: the caller treats it as "not proven valid".
func splitScalar(k *modN) (k1, k2 half, ok bool) {
	// The nearest lattice vector is close to c1·(a1, b1) + c2·(a2, b2). What is left of (k, 0) without it is short, so
	// that arithmetic modulo 2^192 gives it with its sign.
	c1, c2 := mulShift320(k, &glvZ1), mulShift320(k, &glvZ2)
	d := sub192([3]uint64{k[0], k[1], k[2]}, mul192(&c1, &glvA1))
	k1, ok1 := halfOf(sub192(d, mul192(&c2, &glvA2)))
	k2, ok2 := halfOf(sub192(mul192(&c1, &glvMinusB), mul192(&c2, &glvA1)))
	return k1, k2, ok1 && ok2
}

// halfOf returns the value of a two's complement of 192 bits and reports whether its magnitude fits 128.
func halfOf(x [3]uint64) (half, bool) {
	neg := x[2]>>63 == 1
	if neg {
		x = sub192([3]uint64{}, x)
	}
	return half{lo: x[0], hi: x[1], neg: neg}, x[2] == 0
}

// mulShift320 returns k·z / 2^320, rounded, computed over the integers.
func mulShift320(k *modN, z *[4]uint64) (r [3]uint64) {
	t := product((*[4]uint64)(k), z)
	var c uint64
	r[0], c = bits.Add64(t[5], t[4]>>63, 0)
	r[1], r[2] = bits.Add64(t[6], 0, c)
	return r
}

// mul192 returns x·y modulo 2^192.
func mul192(x, y *[3]uint64) (z [3]uint64) {
	var c uint64
	z[1], z[0] = bits.Mul64(x[0], y[0])
	h1, l1 := bits.Mul64(x[0], y[1])
	h2, l2 := bits.Mul64(x[1], y[0])
	z[1], c = bits.Add64(z[1], l1, 0)
	z[2] = h1 + c
	z[1], c = bits.Add64(z[1], l2, 0)
	z[2] += h2 + c + x[0]*y[2] + x[1]*y[1] + x[2]*y[0]
	return z
}

// sub192 returns x - y modulo 2^192.
func sub192(x, y [3]uint64) (z [3]uint64) {
	var b uint64
	z[0], b = bits.Sub64(x[0], y[0], 0)
	z[1], b = bits.Sub64(x[1], y[1], b)
	z[2], _ = bits.Sub64(x[2], y[2], b)
	return z
}
