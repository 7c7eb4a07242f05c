package keys

import "math/bits"

// fe is an element of the field of secp256k1, the integers modulo p = 2^256 - 2^32 - 977, as four limbs of
// 64 bits, least significant first. Any 256-bit value is allowed: the 2^32 + 977 values from p upwards stand for
// the same elements as 0 upwards, and only comparing and encoding reduce them.
//
// It exists because batch verification is nothing but field arithmetic, and four full limbs need less than a
// third of the time of btcec's ten. Everything here is public data, so nothing is constant-time, and nothing here
// ever touches a secret. The tests hold every operation against btcec's FieldVal.
type fe [4]uint64

// foldC is 2^256 mod p: what a carry out of the top limb is worth.
const foldC = 1<<32 + 977

var (
	feOne = fe{1}

	// feBeta is a cube root of one: (x, y) ↦ (βx, y) multiplies a point by λ (see glv.go).
	feBeta = fe{0xc1396c28719501ee, 0x9cf0497512f58995, 0x6e64479eac3434e9, 0x7ae96a2b657c0710}
)

// setBytes decodes 32 big-endian bytes and reports whether they were below p, that is, canonical.
func (z *fe) setBytes(b []byte) bool {
	_ = b[31]
	for i := range z {
		o := 24 - 8*i
		z[i] = uint64(b[o])<<56 | uint64(b[o+1])<<48 | uint64(b[o+2])<<40 | uint64(b[o+3])<<32 |
			uint64(b[o+4])<<24 | uint64(b[o+5])<<16 | uint64(b[o+6])<<8 | uint64(b[o+7])
	}
	before := *z
	z.reduce()
	return *z == before
}

// bytes returns the canonical big-endian encoding.
func (z *fe) bytes() (b [32]byte) {
	r := *z
	r.reduce()
	for i, limb := range r {
		for j := range 8 {
			b[31-8*i-j] = byte(limb >> (8 * j))
		}
	}
	return b
}

// reduce brings z below p.
func (z *fe) reduce() {
	t0, c := bits.Add64(z[0], foldC, 0)
	t1, c := bits.Add64(z[1], 0, c)
	t2, c := bits.Add64(z[2], 0, c)
	t3, c := bits.Add64(z[3], 0, c)
	if c != 0 {
		*z = fe{t0, t1, t2, t3}
	}
}

func (z *fe) isZero() bool {
	return z[0]|z[1]|z[2]|z[3] == 0 || z[0] == 1<<64-foldC && z[1]&z[2]&z[3] == ^uint64(0)
}

func (z *fe) equal(x *fe) bool {
	a, b := *z, *x
	a.reduce()
	b.reduce()
	return a == b
}

func (z *fe) isOdd() bool {
	r := *z
	r.reduce()
	return r[0]&1 == 1
}

// add sets z = x + y.
func (z *fe) add(x, y *fe) {
	t0, c := bits.Add64(x[0], y[0], 0)
	t1, c := bits.Add64(x[1], y[1], c)
	t2, c := bits.Add64(x[2], y[2], c)
	t3, c := bits.Add64(x[3], y[3], c)
	t0, c = bits.Add64(t0, -c&foldC, 0)
	t1, c = bits.Add64(t1, 0, c)
	t2, c = bits.Add64(t2, 0, c)
	t3, c = bits.Add64(t3, 0, c)
	// A second carry leaves less than foldC in the limbs, so this one cannot carry.
	z[0], z[1], z[2], z[3] = t0+(-c&foldC), t1, t2, t3
}

// sub sets z = x - y.
func (z *fe) sub(x, y *fe) {
	t0, b := bits.Sub64(x[0], y[0], 0)
	t1, b := bits.Sub64(x[1], y[1], b)
	t2, b := bits.Sub64(x[2], y[2], b)
	t3, b := bits.Sub64(x[3], y[3], b)
	t0, b = bits.Sub64(t0, -b&foldC, 0)
	t1, b = bits.Sub64(t1, 0, b)
	t2, b = bits.Sub64(t2, 0, b)
	t3, b = bits.Sub64(t3, 0, b)
	// A second borrow leaves at least 2^256 - foldC in the limbs, so this one cannot borrow.
	z[0], z[1], z[2], z[3] = t0-(-b&foldC), t1, t2, t3
}

// neg sets z = -x.
func (z *fe) neg(x *fe) { z.sub(&fe{}, x) }

// double sets z = 2x.
func (z *fe) double(x *fe) { z.add(x, x) }

// halve sets z = z/2.
func (z *fe) halve() {
	// An odd value becomes even by adding p = 2^256 - foldC.
	m := -(z[0] & 1)
	t0, b := bits.Sub64(z[0], foldC&m, 0)
	t1, b := bits.Sub64(z[1], 0, b)
	t2, b := bits.Sub64(z[2], 0, b)
	t3, b := bits.Sub64(z[3], 0, b)
	top := (m & 1) - b
	z[0], z[1], z[2], z[3] = t0>>1|t1<<63, t1>>1|t2<<63, t2>>1|t3<<63, t3>>1|top<<63
}

// fold sets z to the 512-bit value t modulo p.
func (z *fe) fold(t0, t1, t2, t3, t4, t5, t6, t7 uint64) {
	// First fold: the upper half times foldC, 2^290 at most, added to the lower half.
	h0, l0 := bits.Mul64(t4, foldC)
	h1, l1 := bits.Mul64(t5, foldC)
	h2, l2 := bits.Mul64(t6, foldC)
	h3, l3 := bits.Mul64(t7, foldC)
	t0, c := bits.Add64(t0, l0, 0)
	t1, c = bits.Add64(t1, l1, c)
	t2, c = bits.Add64(t2, l2, c)
	t3, c = bits.Add64(t3, l3, c)
	top := h3 + c
	t1, c = bits.Add64(t1, h0, 0)
	t2, c = bits.Add64(t2, h1, c)
	t3, c = bits.Add64(t3, h2, c)
	top += c

	// Second fold: what is above 2^256 is below 2^34.
	h, l := bits.Mul64(top, foldC)
	t0, c = bits.Add64(t0, l, 0)
	t1, c = bits.Add64(t1, h, c)
	t2, c = bits.Add64(t2, 0, c)
	t3, c = bits.Add64(t3, 0, c)
	// After a last carry the limbs hold less than 2^67, so limb 0 may still carry into limb 1, and no further.
	t0, c = bits.Add64(t0, -c&foldC, 0)
	z[0], z[1], z[2], z[3] = t0, t1+c, t2, t3
}

// mul sets z = x·y.
func (z *fe) mul(x, y *fe) {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	y0, y1, y2, y3 := y[0], y[1], y[2], y[3]
	var c, t0, t1, t2, t3, t4, t5, t6, t7 uint64

	h0, l0 := bits.Mul64(x0, y0)
	h1, l1 := bits.Mul64(x0, y1)
	h2, l2 := bits.Mul64(x0, y2)
	h3, l3 := bits.Mul64(x0, y3)
	t0 = l0
	t1, c = bits.Add64(l1, h0, 0)
	t2, c = bits.Add64(l2, h1, c)
	t3, c = bits.Add64(l3, h2, c)
	t4 = h3 + c

	h0, l0 = bits.Mul64(x1, y0)
	h1, l1 = bits.Mul64(x1, y1)
	h2, l2 = bits.Mul64(x1, y2)
	h3, l3 = bits.Mul64(x1, y3)
	t1, c = bits.Add64(t1, l0, 0)
	t2, c = bits.Add64(t2, l1, c)
	t3, c = bits.Add64(t3, l2, c)
	t4, c = bits.Add64(t4, l3, c)
	t5 = c
	t2, c = bits.Add64(t2, h0, 0)
	t3, c = bits.Add64(t3, h1, c)
	t4, c = bits.Add64(t4, h2, c)
	t5, _ = bits.Add64(t5, h3, c)

	h0, l0 = bits.Mul64(x2, y0)
	h1, l1 = bits.Mul64(x2, y1)
	h2, l2 = bits.Mul64(x2, y2)
	h3, l3 = bits.Mul64(x2, y3)
	t2, c = bits.Add64(t2, l0, 0)
	t3, c = bits.Add64(t3, l1, c)
	t4, c = bits.Add64(t4, l2, c)
	t5, c = bits.Add64(t5, l3, c)
	t6 = c
	t3, c = bits.Add64(t3, h0, 0)
	t4, c = bits.Add64(t4, h1, c)
	t5, c = bits.Add64(t5, h2, c)
	t6, _ = bits.Add64(t6, h3, c)

	h0, l0 = bits.Mul64(x3, y0)
	h1, l1 = bits.Mul64(x3, y1)
	h2, l2 = bits.Mul64(x3, y2)
	h3, l3 = bits.Mul64(x3, y3)
	t3, c = bits.Add64(t3, l0, 0)
	t4, c = bits.Add64(t4, l1, c)
	t5, c = bits.Add64(t5, l2, c)
	t6, c = bits.Add64(t6, l3, c)
	t7 = c
	t4, c = bits.Add64(t4, h0, 0)
	t5, c = bits.Add64(t5, h1, c)
	t6, c = bits.Add64(t6, h2, c)
	t7, _ = bits.Add64(t7, h3, c)

	z.fold(t0, t1, t2, t3, t4, t5, t6, t7)
}

// square sets z = x².
func (z *fe) square(x *fe) {
	x0, x1, x2, x3 := x[0], x[1], x[2], x[3]
	var c, t1, t2, t3, t4, t5, t6, t7 uint64

	// The products of different limbs, each of which occurs twice.
	h01, l01 := bits.Mul64(x0, x1)
	h02, l02 := bits.Mul64(x0, x2)
	h03, l03 := bits.Mul64(x0, x3)
	h12, l12 := bits.Mul64(x1, x2)
	h13, l13 := bits.Mul64(x1, x3)
	h23, l23 := bits.Mul64(x2, x3)
	t1 = l01
	t2, c = bits.Add64(l02, h01, 0)
	t3, c = bits.Add64(l03, h02, c)
	t4, c = bits.Add64(l13, h03, c)
	t5, c = bits.Add64(l23, h13, c)
	t6 = h23 + c
	t3, c = bits.Add64(t3, l12, 0)
	t4, c = bits.Add64(t4, h12, c)
	t5, c = bits.Add64(t5, 0, c)
	t6 += c

	t7 = t6 >> 63
	t6 = t6<<1 | t5>>63
	t5 = t5<<1 | t4>>63
	t4 = t4<<1 | t3>>63
	t3 = t3<<1 | t2>>63
	t2 = t2<<1 | t1>>63
	t1 <<= 1

	h0, t0 := bits.Mul64(x0, x0)
	h1, l1 := bits.Mul64(x1, x1)
	h2, l2 := bits.Mul64(x2, x2)
	h3, l3 := bits.Mul64(x3, x3)
	t1, c = bits.Add64(t1, h0, 0)
	t2, c = bits.Add64(t2, l1, c)
	t3, c = bits.Add64(t3, h1, c)
	t4, c = bits.Add64(t4, l2, c)
	t5, c = bits.Add64(t5, h2, c)
	t6, c = bits.Add64(t6, l3, c)
	t7, _ = bits.Add64(t7, h3, c)

	z.fold(t0, t1, t2, t3, t4, t5, t6, t7)
}

// squareN sets z = x^(2^n), n > 0.
func (z *fe) squareN(x *fe, n int) {
	z.square(x)
	for range n - 1 {
		z.square(z)
	}
}

// chain returns x³ and x^e for the e whose binary digits are 223 ones, a zero and
// 22 ones: the common beginning of the exponents of the inverse, p - 2, and of the square root, (p + 1)/4.
func (x *fe) chain() (x2, common fe) {
	var x3, x6, x9, x11, x22, x44, x88, t fe
	x2.square(x)
	x2.mul(&x2, x)
	x3.square(&x2)
	x3.mul(&x3, x)
	x6.squareN(&x3, 3)
	x6.mul(&x6, &x3)
	x9.squareN(&x6, 3)
	x9.mul(&x9, &x3)
	x11.squareN(&x9, 2)
	x11.mul(&x11, &x2)
	x22.squareN(&x11, 11)
	x22.mul(&x22, &x11)
	x44.squareN(&x22, 22)
	x44.mul(&x44, &x22)
	x88.squareN(&x44, 44)
	x88.mul(&x88, &x44)
	t.squareN(&x88, 88) // 176 ones
	t.mul(&t, &x88)
	t.squareN(&t, 44) // 220 ones
	t.mul(&t, &x44)
	t.squareN(&t, 3) // 223 ones
	t.mul(&t, &x3)
	t.squareN(&t, 23)
	common.mul(&t, &x22)
	return x2, common
}

// invert sets z = 1/x, or 0 if x is 0.
func (z *fe) invert(x *fe) {
	a := *x
	x2, t := a.chain()
	t.squareN(&t, 5)
	t.mul(&t, &a)
	t.squareN(&t, 3)
	t.mul(&t, &x2)
	t.squareN(&t, 2)
	z.mul(&t, &a)
}

// sqrt sets z to a square root of x and reports whether x has one.
func (z *fe) sqrt(x *fe) bool {
	a := *x
	z.root(&a)
	return z.squareIs(&a)
}

// root sets z = x^((p+1)/4), which is a square root of x if x has one.
func (z *fe) root(x *fe) {
	x2, t := x.chain()
	t.squareN(&t, 6)
	t.mul(&t, &x2)
	z.squareN(&t, 2)
}

// squareIs reports whether z² = x.
func (z *fe) squareIs(x *fe) bool {
	var t fe
	t.square(z)
	return t.equal(x)
}

// roots does to each element what root does, sixteen side by side where the processor can, unless plain is set.
func roots(all []fe, plain bool) {
	if !plain {
		all = all[rootsInLanes(all):]
	}
	for i := range all {
		all[i].root(&all[i])
	}
}
