package keys

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// nastyScalars are encodings around zero, n/2, n, multiples of 2^64 and 2^256.
func nastyScalars() [][32]byte {
	var out [][32]byte
	half := order
	half = modN{half[0]>>1 | half[1]<<63, half[1]>>1 | half[2]<<63, half[2]>>1 | half[3]<<63, half[3] >> 1}
	for _, around := range []modN{{}, half, order, {0, 1}, {0, 0, 1}, {0, 0, 0, 1}, {orderC0, orderC1, orderC2}, {^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}} {
		b := around.bytes()
		for d := range 7 {
			offset := make([]byte, 32)
			binary.BigEndian.PutUint64(offset[24:], uint64(d-3))
			if d < 3 {
				for i := range 24 {
					offset[i] = 0xff
				}
			}
			out = append(out, [32]byte(add256(b[:], offset)))
		}
	}
	lambda := lambdaScalar()
	out = append(out, lambda.Bytes())
	lambda.Negate()
	return append(out, lambda.Bytes())
}

// checkModN holds every operation on x and y against btcec's scalars.
func checkModN(t *testing.T, xb, yb *[32]byte) {
	t.Helper()
	var x, y, z modN
	var rx, ry, r btcec.ModNScalar
	okX, overX := x.setBytes(xb[:]), rx.SetBytes(xb)
	if okX != (overX == 0) || !y.setBytes(yb[:]) != (ry.SetBytes(yb) != 0) {
		t.Fatalf("setBytes of %x or %x: %v", *xb, *yb, okX)
	}
	same := func(op string, want *btcec.ModNScalar) {
		t.Helper()
		if z.bytes() != want.Bytes() {
			t.Fatalf("%s of %x and %x is %x, want %x", op, *xb, *yb, z.bytes(), want.Bytes())
		}
	}
	z = x
	same("setBytes", &rx)
	z.mul(&x, &y)
	same("mul", r.Mul2(&rx, &ry))
	z.mul(&x, &x)
	same("mul by itself", r.Mul2(&rx, &rx))
	z.add(&x, &y)
	same("add", r.Add2(&rx, &ry))
	z.neg(&x)
	same("neg", r.NegateVal(&rx))
	z.invert(&x)
	same("invert", r.InverseValNonConst(&rx))
	if x.isHigh() != rx.IsOverHalfOrder() || x.isZero() != rx.IsZero() {
		t.Fatalf("isHigh or isZero of %x", *xb)
	}
	sum, below := addOrder(&x)
	b := x.bytes()
	if n := order.bytes(); below {
		if sum.bytes() != [32]byte(add256(b[:], n[:])) {
			t.Fatalf("addOrder of %x is %x", *xb, sum.bytes())
		}
	}
	var f btcec.FieldVal
	f.SetBytes(&b)
	if f.Normalize(); below == f.IsGtOrEqPrimeMinusOrder() {
		t.Fatalf("addOrder of %x: below the prime is %v", *xb, below)
	}
	if !x.isZero() && !y.isZero() {
		all := []modN{x, y, x}
		invertAll(all, make([]modN, 3))
		for i, want := range []btcec.ModNScalar{rx, ry, rx} {
			z = all[i]
			same("invertAll", r.InverseValNonConst(&want))
		}
	}
}

func TestModNAgreesWithReference(t *testing.T) {
	t.Parallel()
	nasty := nastyScalars()
	for i := range nasty {
		for j := range nasty {
			checkModN(t, &nasty[i], &nasty[j])
		}
	}
	r := rand.New(rand.NewPCG(11, 12))
	for range 2000 {
		x, y := randomScalar(r), randomScalar(r)
		xb, yb := x.Bytes(), y.Bytes()
		checkModN(t, &xb, &yb)
	}

}

func FuzzModN(f *testing.F) {
	for _, b := range nastyScalars() {
		f.Add(b[:], b[:])
	}
	f.Fuzz(func(t *testing.T, x, y []byte) {
		var a, b [32]byte
		copy(a[:], x)
		copy(b[:], y)
		checkModN(t, &a, &b)
	})
}
