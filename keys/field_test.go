package keys

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// nastyFields are encodings around the places where carries and reductions happen.
func nastyFields() [][32]byte {
	var out [][32]byte
	limbs := []uint64{0, 1, 2, foldC - 1, foldC, foldC + 1, 1 << 32, 1<<63 - 1, 1 << 63, ^uint64(0) - foldC, ^uint64(0) - foldC + 1, ^uint64(0) - foldC + 2, ^uint64(0) - 1, ^uint64(0)}
	for _, a := range limbs {
		for _, mid := range []uint64{0, ^uint64(0)} {
			for _, d := range []uint64{0, 1, ^uint64(0) - 1, ^uint64(0)} {
				var b [32]byte
				binary.BigEndian.PutUint64(b[0:], d)
				binary.BigEndian.PutUint64(b[8:], mid)
				binary.BigEndian.PutUint64(b[16:], mid)
				binary.BigEndian.PutUint64(b[24:], a)
				out = append(out, b)
			}
		}
	}
	return out
}

// rawFe decodes without reducing, which setBytes never leaves behind but arithmetic does.
func rawFe(b *[32]byte) (z fe) {
	for i := range z {
		z[i] = binary.BigEndian.Uint64(b[24-8*i:])
	}
	return z
}

func refField(b *[32]byte) (f btcec.FieldVal) {
	f.SetBytes(b)
	f.Normalize()
	return f
}

// checkField holds every operation on x and y against btcec's field.
func checkField(t *testing.T, xb, yb *[32]byte) {
	t.Helper()
	x, y := rawFe(xb), rawFe(yb)
	rx, ry := refField(xb), refField(yb)
	same := func(op string, got *fe, want *btcec.FieldVal) {
		t.Helper()
		want.Normalize()
		if got.bytes() != *want.Bytes() {
			t.Fatalf("%s of %x and %x is %x, want %x", op, *xb, *yb, got.bytes(), *want.Bytes())
		}
	}
	var z fe
	var r btcec.FieldVal
	z.mul(&x, &y)
	same("mul", &z, r.Mul2(&rx, &ry))
	z.square(&x)
	same("square", &z, r.SquareVal(&rx))
	z.add(&x, &y)
	same("add", &z, r.Add2(&rx, &ry))
	z.sub(&x, &y)
	same("sub", &z, r.NegateVal(&ry, 1).Add(&rx))
	z.neg(&x)
	same("neg", &z, r.NegateVal(&rx, 1))
	z = x
	z.halve()
	same("halve", &z, r.Set(new(btcec.FieldVal).SetInt(2)).Inverse().Mul(&rx))
	z.invert(&x)
	same("invert", &z, r.Set(&rx).Inverse())
	z = x
	z.mul(&z, &z)
	same("mul in place", &z, r.SquareVal(&rx))

	if got, want := x.equal(&y), rx.Equals(&ry); got != want {
		t.Fatalf("equal of %x and %x is %v", *xb, *yb, got)
	}
	if got, want := x.isZero(), rx.IsZero(); got != want {
		t.Fatalf("isZero of %x is %v", *xb, got)
	}
	if got, want := x.isOdd(), rx.IsOdd(); got != want {
		t.Fatalf("isOdd of %x is %v", *xb, got)
	}
	hasRoot := z.sqrt(&x)
	if want := r.SquareRootVal(&rx); hasRoot != want {
		t.Fatalf("sqrt of %x is %v, want %v", *xb, hasRoot, want)
	}
	if hasRoot {
		same("sqrt", &z, &r)
	}
	var p affine
	var ry2 btcec.FieldVal
	lifted := p.lift(&x, true)
	if want := btcec.DecompressY(&rx, true, &ry2); lifted != want {
		t.Fatalf("lift of %x is %v, want %v", *xb, lifted, want)
	}
	if lifted {
		same("lift", &p.y, &ry2)
	}
	var f fe
	var overflow btcec.FieldVal
	if got, want := f.setBytes(xb[:]), overflow.SetBytes(xb) == 0; got != want {
		t.Fatalf("setBytes of %x is %v, want %v", *xb, got, want)
	}
}

func TestFieldAgreesWithReference(t *testing.T) {
	t.Parallel()
	nasty := nastyFields()
	for i := range nasty {
		for j := range nasty {
			checkField(t, &nasty[i], &nasty[j])
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var x, y [32]byte
		for i := range 4 {
			binary.BigEndian.PutUint64(x[8*i:], r.Uint64())
			binary.BigEndian.PutUint64(y[8*i:], r.Uint64())
		}
		checkField(t, &x, &y)
	}
}

// TestRoots takes the roots of runs of all lengths, with values that have none among them, in lanes and without.
func TestRoots(t *testing.T) {
	t.Parallel()
	var values []fe
	for _, b := range nastyFields() {
		values = append(values, rawFe(&b))
	}
	r := rand.New(rand.NewPCG(23, 24))
	for n := range 70 {
		all := make([]fe, n)
		for i := range all {
			all[i] = fe{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()}
			if r.IntN(2) == 0 {
				all[i] = values[r.IntN(len(values))]
			}
		}
		aside, plain := slices.Clone(all), slices.Clone(all)
		roots(aside, false)
		roots(plain, true)
		for i := range all {
			var want fe
			has := want.sqrt(&all[i])
			if !aside[i].equal(&want) || !plain[i].equal(&want) || aside[i].squareIs(&all[i]) != has {
				t.Fatalf("root %d of %d, of %x: %x, %x without lanes, want %x", i, n, all[i].bytes(), aside[i].bytes(), plain[i].bytes(), want.bytes())
			}
		}
	}
}

func FuzzField(f *testing.F) {
	for _, b := range nastyFields()[:20] {
		f.Add(b[:], b[:])
	}
	f.Fuzz(func(t *testing.T, x, y []byte) {
		var a, b [32]byte
		copy(a[:], x)
		copy(b[:], y)
		checkField(t, &a, &b)
	})
}
