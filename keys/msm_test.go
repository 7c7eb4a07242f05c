package keys

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

func randomScalar(r *rand.Rand) (k btcec.ModNScalar) {
	var b [32]byte
	for i := range 4 {
		binary.BigEndian.PutUint64(b[8*i:], r.Uint64())
	}
	k.SetBytes(&b)
	return k
}

func scalarOf(h half) (k btcec.ModNScalar) {
	var b [32]byte
	binary.BigEndian.PutUint64(b[16:], h.hi)
	binary.BigEndian.PutUint64(b[24:], h.lo)
	k.SetBytes(&b)
	if h.neg {
		k.Negate()
	}
	return k
}

// ownScalar converts from btcec's type.
func ownScalar(k *btcec.ModNScalar) (z modN) {
	b := k.Bytes()
	z.setBytes(b[:])
	return z
}

// lambdaScalar returns λ.
func lambdaScalar() (k btcec.ModNScalar) {
	k.SetBytes(&[32]byte{0x53, 0x63, 0xad, 0x4c, 0xc0, 0x5c, 0x30, 0xe0, 0xa5, 0x26, 0x1c, 0x02, 0x88, 0x12, 0x64, 0x5a,
		0x12, 0x2e, 0x22, 0xea, 0x20, 0x81, 0x66, 0x78, 0xdf, 0x02, 0x96, 0x7c, 0x1b, 0x23, 0xbd, 0x72})
	return k
}

// refPoint converts to btcec's type.
func refPoint(p *affine) (q btcec.JacobianPoint) {
	q.X, q.Y = fieldVal(&p.x), fieldVal(&p.y)
	q.Z.SetInt(1)
	return q
}

func fromRef(p *btcec.JacobianPoint) (q affine) {
	p.ToAffine()
	q.x.setBytes(p.X.Bytes()[:])
	q.y.setBytes(p.Y.Bytes()[:])
	return q
}

// sameJacobian reports whether both are the same point.
func sameJacobian(p *jacobian, q *btcec.JacobianPoint) bool {
	if p.isInfinity() || q.Z.IsZero() || (q.X.IsZero() && q.Y.IsZero()) {
		return p.isInfinity() == (q.Z.IsZero() || (q.X.IsZero() && q.Y.IsZero()))
	}
	var inv, zz fe
	inv.invert(&p.z)
	zz.square(&inv)
	var a affine
	a.x.mul(&p.x, &zz)
	a.y.mul(&p.y, &zz)
	a.y.mul(&a.y, &inv)
	b := fromRef(q)
	return a.x.equal(&b.x) && a.y.equal(&b.y)
}

func TestSplitScalar(t *testing.T) {
	t.Parallel()
	lambda := lambdaScalar()
	minusLambda := lambda
	minusLambda.Negate()
	check := func(k *btcec.ModNScalar) {
		t.Helper()
		own := ownScalar(k)
		k1, k2, ok := splitScalar(&own)
		if !ok {
			t.Fatalf("%v does not split", k)
		}
		sum, second := scalarOf(k1), scalarOf(k2)
		sum.Add(second.Mul(&lambda))
		if !sum.Equals(k) {
			t.Fatalf("%v splits into %v and %v", k, k1, k2)
		}
	}
	var edges []btcec.ModNScalar
	for i := range 256 {
		var b [32]byte
		b[i/8] = 0x80 >> (i % 8)
		var k btcec.ModNScalar
		k.SetBytes(&b)
		edges = append(edges, k)
	}
	edges = append(edges, btcec.ModNScalar{}, lambda, minusLambda)
	for _, k := range edges {
		var one btcec.ModNScalar
		one.SetInt(1)
		check(&k)
		k.Negate()
		check(&k)
		k.Add(&one)
		check(&k)
	}
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		k := randomScalar(r)
		check(&k)
	}
}

func TestEndomorphism(t *testing.T) {
	t.Parallel()
	lambda := lambdaScalar()
	g := refPoint(&generator)
	var want btcec.JacobianPoint
	btcec.ScalarMultNonConst(&lambda, &g, &want)
	var p affine
	p.endomorphism(&generator)
	var got jacobian
	got.setAffine(&p)
	if !sameJacobian(&got, &want) {
		t.Fatal("the endomorphism does not multiply by lambda")
	}
}

// TestMSMAgreesWithReference compares sums over sets of points that meet all the exceptions of addition: repeated
// points, opposite points, points that cancel to infinity, zero and extreme scalars.
func TestMSMAgreesWithReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 6))
	extremes := []half{{}, {lo: 1}, {lo: 1, neg: true}, {lo: 2}, {lo: ^uint64(0), hi: ^uint64(0)}, {lo: ^uint64(0), hi: ^uint64(0), neg: true}, {hi: 1 << 63}, {lo: 0x8080808080808080, hi: 0x8080808080808080}}
	var m msm
	for _, n := range []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 17, 33, 64, 200, 700, 3000} {
		for _, distinct := range []int{1, 2, n/2 + 1, n + 1} {
			t.Run(fmt.Sprintf("%d of %d", n, distinct), func(t *testing.T) {
				pool := make([]affine, distinct)
				logs := make([]btcec.ModNScalar, distinct)
				for i := range pool {
					logs[i] = randomScalar(r)
					if i > 0 && i%3 == 0 { // the opposite of an earlier one
						logs[i] = logs[i-1]
						logs[i].Negate()
					}
					var p btcec.JacobianPoint
					btcec.ScalarBaseMultNonConst(&logs[i], &p)
					pool[i] = fromRef(&p)
				}
				m.reset()
				var want btcec.ModNScalar
				for range n {
					i := r.IntN(distinct)
					h := half{lo: r.Uint64(), hi: r.Uint64(), neg: r.IntN(2) == 0}
					if r.IntN(4) == 0 {
						h = extremes[r.IntN(len(extremes))]
					}
					m.add(&pool[i], h)
					k := scalarOf(h)
					want.Add(k.Mul(&logs[i]))
				}
				check := func() {
					t.Helper()
					var p btcec.JacobianPoint
					btcec.ScalarBaseMultNonConst(&want, &p)
					for _, plain := range []bool{false, true} {
						m.adder.plain = plain
						if got := m.sum(); !sameJacobian(&got, &p) {
							t.Fatalf("wrong sum (plain: %v)", plain)
						}
					}
				}
				check()
				want.Negate()
				if k := ownScalar(&want); !m.addFull(&generator, &k) {
					t.Fatal("no split")
				}
				want.Zero()
				check()
			})
		}
	}
}

func BenchmarkField(b *testing.B) {
	x, y := generator.x, generator.y
	b.Run("mul", func(b *testing.B) {
		for b.Loop() {
			x.mul(&x, &y)
		}
	})
	b.Run("square", func(b *testing.B) {
		for b.Loop() {
			x.square(&x)
		}
	})
	b.Run("invert", func(b *testing.B) {
		for b.Loop() {
			x.invert(&x)
		}
	})
	b.Run("sqrt", func(b *testing.B) {
		for b.Loop() {
			y.sqrt(&x)
		}
	})
}
