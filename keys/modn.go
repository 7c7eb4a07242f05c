package keys

import (
	"encoding/binary"
	"math/bits"

	"github.com/btcsuite/btcd/btcec/v2"
)

// modN is an integer modulo the group's order n = 2^256 - orderC, as four limbs of 64 bits, least significant first,
// always below n. Like fe it holds public data only, nothing is constant-time, and the tests hold every operation
// against btcec's ModNScalar, which needs three times as long.
type modN [4]uint64

// order is n, and orderC0 to orderC2 are the limbs of 2^256 - n: what a carry out of the top limb is worth.
var order = modN{0xbfd25e8cd0364141, 0xbaaedce6af48a03b, 0xfffffffffffffffe, 0xffffffffffffffff}

const (
	orderC0 = 0x402da1732fc9bebf
	orderC1 = 0x4551231950b75fc4
	orderC2 = 1
)

// setBytes decodes 32 big-endian bytes modulo n and reports whether they were below n, that is, canonical.
func (z *modN) setBytes(b []byte) bool {
	_ = b[31]
	*z = modN{binary.BigEndian.Uint64(b[24:]), binary.BigEndian.Uint64(b[16:]), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b)}
	return !z.reduce(0)
}

// bytes returns the big-endian encoding.
func (z *modN) bytes() (b [32]byte) {
	for i, limb := range z {
		binary.BigEndian.PutUint64(b[24-8*i:], limb)
	}
	return b
}

// reduce brings the 257-bit value top·2^256 + z, which is below 2n, below n and reports whether it was not.
func (z *modN) reduce(top uint64) bool {
	t0, c := bits.Add64(z[0], orderC0, 0)
	t1, c := bits.Add64(z[1], orderC1, c)
	t2, c := bits.Add64(z[2], orderC2, c)
	t3, c := bits.Add64(z[3], 0, c)
	if top|c == 0 {
		return false
	}
	*z = modN{t0, t1, t2, t3}
	return true
}

func (z *modN) isZero() bool { return *z == modN{} }

// isHigh reports whether z is above n/2.
func (z *modN) isHigh() bool {
	// 2z ≥ n is 2z > n, because n is odd.
	d := modN{z[0] << 1, z[1]<<1 | z[0]>>63, z[2]<<1 | z[1]>>63, z[3]<<1 | z[2]>>63}
	return d.reduce(z[3] >> 63)
}

// add sets z = x + y.
func (z *modN) add(x, y *modN) {
	var c uint64
	z[0], c = bits.Add64(x[0], y[0], 0)
	z[1], c = bits.Add64(x[1], y[1], c)
	z[2], c = bits.Add64(x[2], y[2], c)
	z[3], c = bits.Add64(x[3], y[3], c)
	z.reduce(c)
}

// neg sets z = -x.
func (z *modN) neg(x *modN) {
	if x.isZero() {
		*z = modN{}
		return
	}
	var b uint64
	z[0], b = bits.Sub64(order[0], x[0], 0)
	z[1], b = bits.Sub64(order[1], x[1], b)
	z[2], b = bits.Sub64(order[2], x[2], b)
	z[3], _ = bits.Sub64(order[3], x[3], b)
}

// addOrder returns x + n as a field element and reports whether it is below the field's prime.
func addOrder(x *modN) (z fe, below bool) {
	var c uint64
	z[0], c = bits.Add64(x[0], order[0], 0)
	z[1], c = bits.Add64(x[1], order[1], c)
	z[2], c = bits.Add64(x[2], order[2], c)
	z[3], c = bits.Add64(x[3], order[3], c)
	before := z
	z.reduce()
	return z, c == 0 && z == before
}

// mul sets z = x·y.
func (z *modN) mul(x, y *modN) {
	t := product((*[4]uint64)(x), (*[4]uint64)(y))
	t0, t1, t2, t3, t4, t5, t6, t7 := t[0], t[1], t[2], t[3], t[4], t[5], t[6], t[7]

	// First fold: the upper half h times 2^256 - n, 2^385 at most, added to the lower half. h·orderC2 is h itself.
	p0, p1, p2, p3, p4, p5 := timesC(t4, t5, t6, t7)
	var c uint64
	p2, c = bits.Add64(p2, t4, 0)
	p3, c = bits.Add64(p3, t5, c)
	p4, c = bits.Add64(p4, t6, c)
	p5, c = bits.Add64(p5, t7, c)
	p6 := c
	t0, c = bits.Add64(t0, p0, 0)
	t1, c = bits.Add64(t1, p1, c)
	t2, c = bits.Add64(t2, p2, c)
	t3, c = bits.Add64(t3, p3, c)
	t4, c = bits.Add64(p4, 0, c)
	t5, c = bits.Add64(p5, 0, c)
	t6 = p6 + c

	// Second fold: what is above 2^256 is below 2^130.
	p0, p1, p2, p3, p4, _ = timesC(t4, t5, t6, 0)
	p2, c = bits.Add64(p2, t4, 0)
	p3, c = bits.Add64(p3, t5, c)
	p4 += t6 + c
	t0, c = bits.Add64(t0, p0, 0)
	t1, c = bits.Add64(t1, p1, c)
	t2, c = bits.Add64(t2, p2, c)
	t3, c = bits.Add64(t3, p3, c)
	t4 = p4 + c

	// Third fold: what is above is below 2^4, so the sum is below 2^256 + 2^133, which is less than 2n.
	h0, l0 := bits.Mul64(t4, orderC0)
	h1, l1 := bits.Mul64(t4, orderC1)
	t0, c = bits.Add64(t0, l0, 0)
	t1, c = bits.Add64(t1, l1, c)
	t2, c = bits.Add64(t2, t4, c)
	t3, c = bits.Add64(t3, 0, c)
	top := c
	t1, c = bits.Add64(t1, h0, 0)
	t2, c = bits.Add64(t2, h1, c)
	t3, c = bits.Add64(t3, 0, c)
	*z = modN{t0, t1, t2, t3}
	z.reduce(top + c)
}

// product returns x·y over the integers.
func product(x, y *[4]uint64) (t [8]uint64) {
	for i, a := range x {
		var carry uint64
		for j, b := range y {
			hi, lo := bits.Mul64(a, b)
			lo, c := bits.Add64(lo, carry, 0)
			hi += c
			t[i+j], c = bits.Add64(t[i+j], lo, 0)
			carry = hi + c
		}
		t[i+4] = carry
	}
	return t
}

// timesC returns the 256-bit value h times the lower 128 bits of 2^256 - n.
func timesC(h0, h1, h2, h3 uint64) (p0, p1, p2, p3, p4, p5 uint64) {
	var c uint64
	a0, b0 := bits.Mul64(h0, orderC0)
	a1, b1 := bits.Mul64(h1, orderC0)
	a2, b2 := bits.Mul64(h2, orderC0)
	a3, b3 := bits.Mul64(h3, orderC0)
	p0 = b0
	p1, c = bits.Add64(a0, b1, 0)
	p2, c = bits.Add64(a1, b2, c)
	p3, c = bits.Add64(a2, b3, c)
	p4 = a3 + c
	a0, b0 = bits.Mul64(h0, orderC1)
	a1, b1 = bits.Mul64(h1, orderC1)
	a2, b2 = bits.Mul64(h2, orderC1)
	a3, b3 = bits.Mul64(h3, orderC1)
	p1, c = bits.Add64(p1, b0, 0)
	p2, c = bits.Add64(p2, b1, c)
	p3, c = bits.Add64(p3, b2, c)
	p4, c = bits.Add64(p4, b3, c)
	p5 = a3 + c
	p2, c = bits.Add64(p2, a0, 0)
	p3, c = bits.Add64(p3, a1, c)
	p4, c = bits.Add64(p4, a2, c)
	p5 += c
	return p0, p1, p2, p3, p4, p5
}

// invert sets z = 1/x, or 0 if x is 0. It is btcec's inverse, by big integers, and the only thing in verification that
// allocates.
func (z *modN) invert(x *modN) {
	var k btcec.ModNScalar
	b := x.bytes()
	k.SetBytes(&b)
	k.InverseNonConst()
	b = k.Bytes()
	z.setBytes(b[:])
}

// invertAll replaces each of the scalars, none of which is zero, by its inverse, at the price of one inversion and three
// multiplications each. prefix is scratch of the same length.
func invertAll(all, prefix []modN) {
	acc := modN{1}
	for i := range all {
		prefix[i] = acc
		acc.mul(&acc, &all[i])
	}
	acc.invert(&acc)
	for i := len(all) - 1; i >= 0; i-- {
		x := all[i]
		all[i].mul(&acc, &prefix[i])
		acc.mul(&acc, &x)
	}
}
