package keys

import (
	"math/rand/v2"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
)

// secpKey returns the ECDSA key with the given secret, which is not zero.
func secpKey(t testing.TB, secret *btcec.ModNScalar) PublicKey {
	t.Helper()
	pub, err := ParsePublicKey(SchemeECDSA, btcec.PrivKeyFromScalar(secret).PubKey().SerializeCompressed())
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

// checkCombine compares u·G + v·P, where P = secret·G, with btcec's multiplication, with and without a table.
func checkCombine(t *testing.T, secret, u, v *btcec.ModNScalar) {
	t.Helper()
	var k btcec.ModNScalar
	k.Mul2(secret, v).Add(u)
	var want btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&k, &want)
	pub := secpKey(t, secret)
	ou, ov := ownScalar(u), ownScalar(v)
	for _, p := range []PublicKey{pub, pub.Precomputed()} {
		got, ok := p.combine(&ou, &ov)
		if !ok || !sameJacobian(&got, &want) {
			t.Fatalf("%v·G + %v·%v·G is wrong (table: %v)", u, v, secret, p.table != nil)
		}
	}
}

// edgeScalars are scalars around which digits, chunks and the endomorphism have their edges.
func edgeScalars() []btcec.ModNScalar {
	var out []btcec.ModNScalar
	lambda := lambdaScalar()
	var one btcec.ModNScalar
	one.SetInt(1)
	add := func(k btcec.ModNScalar) {
		for _, times := range []btcec.ModNScalar{one, lambda} {
			var x btcec.ModNScalar
			x.Mul2(&k, &times)
			out = append(out, x)
			out = append(out, *x.Negate())
		}
	}
	out = append(out, btcec.ModNScalar{})
	add(one)
	for _, bit := range []int{1, 4, 5, 11, 12, 31, 32, 33, 63, 64, 65, 95, 96, 97, 126, 127} {
		var b [32]byte
		b[31-bit/8] = 1 << (bit % 8)
		var k btcec.ModNScalar
		k.SetBytes(&b)
		add(k)
		k.Add(new(btcec.ModNScalar).NegateVal(&one))
		add(k)
	}
	return out
}

// TestCombineAgreesWithReference adds equal points, opposite points and multiples that cancel.
func TestCombineAgreesWithReference(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(13, 14))
	edges := edgeScalars()
	secrets := edges[1:9] // ±1, ±λ and ±2, ±2λ
	for _, secret := range append(secrets, randomScalar(r)) {
		for i, u := range edges {
			v := edges[r.IntN(len(edges))]
			checkCombine(t, &secret, &u, &v)
			// v for which the sum is infinity, and one beside it.
			cancel := secret
			cancel.InverseNonConst().Mul(&u).Negate()
			checkCombine(t, &secret, &u, &cancel)
			var one btcec.ModNScalar
			checkCombine(t, &secret, &u, cancel.Add(one.SetInt(1)))
			if i < 12 {
				for _, v := range edges {
					checkCombine(t, &secret, &u, &v)
				}
			}
		}
	}
	for range 500 {
		secret, u, v := randomScalar(r), randomScalar(r), randomScalar(r)
		checkCombine(t, &secret, &u, &v)
	}
}

func FuzzCombine(f *testing.F) {
	edges := edgeScalars()
	for i := range edges {
		a, b, c := edges[1+i%8].Bytes(), edges[i].Bytes(), edges[len(edges)-1-i].Bytes()
		f.Add(a[:], b[:], c[:])
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		var secret, u, v btcec.ModNScalar
		secret.SetByteSlice(a)
		u.SetByteSlice(b)
		v.SetByteSlice(c)
		if !secret.IsZero() {
			checkCombine(t, &secret, &u, &v)
		}
	})
}

// TestTables compares every point of a key's table, and some of the generator's, with btcec's multiplication.
func TestTables(t *testing.T) {
	t.Parallel()
	check := func(secret *btcec.ModNScalar, table *table, every int) {
		t.Helper()
		odds := 1 << (table.width - 2)
		for i := 0; i < len(table.points); i += every {
			var k btcec.ModNScalar
			k.SetInt(uint32(2*(i%odds) + 1))
			k.Mul(secret)
			for range i / odds * table.spacing {
				k.Add(new(btcec.ModNScalar).Set(&k))
			}
			var want btcec.JacobianPoint
			btcec.ScalarBaseMultNonConst(&k, &want)
			var got jacobian
			if got.setAffine(&table.points[i]); !sameJacobian(&got, &want) {
				t.Fatalf("point %d is wrong", i)
			}
		}
	}
	var one btcec.ModNScalar
	check(one.SetInt(1), generatorTable(), 37)
	secret := randomScalar(rand.New(rand.NewPCG(15, 16)))
	pub := secpKey(t, &secret).Precomputed()
	check(&secret, pub.table, 1)
	if again := pub.Precomputed(); again.table != pub.table {
		t.Error("a table is made twice")
	}
	if ed := mustGenerate(t, SchemeEd25519, 3).Public(); ed.Precomputed().table != nil || (PublicKey{}).Precomputed().table != nil {
		t.Error("a table for no secp256k1 key")
	}
}

// TestJacobianExceptions adds points in all the ways in which the formulas have exceptions, in several representations.
func TestJacobianExceptions(t *testing.T) {
	t.Parallel()
	g := generator
	var minus affine
	minus.x = g.x
	minus.y.neg(&g.y)
	points := map[string]jacobian{"infinity": {}, "infinity with x and y": {x: fe{5}, y: fe{6}}, "unreduced infinity": {x: feOne, y: feOne, z: fe{1<<64 - foldC, ^uint64(0), ^uint64(0), ^uint64(0)}}}
	logs := map[string]int{"infinity": 0, "infinity with x and y": 0, "unreduced infinity": 0}
	for name, a := range map[string]affine{"G": g, "-G": minus} {
		log := map[string]int{"G": 1, "-G": -1}[name]
		for scale, z := range map[string]fe{"": feOne, " scaled": {2, 3, 5, 7}} {
			var j jacobian
			var zz fe
			zz.square(&z)
			j.x.mul(&a.x, &zz)
			zz.mul(&zz, &z)
			j.y.mul(&a.y, &zz)
			j.z = z
			points[name+scale], logs[name+scale] = j, log
			j.double(&j)
			points["2"+name+scale], logs["2"+name+scale] = j, 2*log
		}
	}
	want := func(log int) (p btcec.JacobianPoint) {
		var k btcec.ModNScalar
		k.SetInt(uint32(max(log, -log)))
		if log < 0 {
			k.Negate()
		}
		btcec.ScalarBaseMultNonConst(&k, &p)
		return p
	}
	for name, p := range points {
		check := func(op string, got jacobian, log int) {
			t.Helper()
			if w := want(log); !sameJacobian(&got, &w) {
				t.Errorf("%s %s is wrong", name, op)
			}
		}
		d := p
		d.double(&d)
		check("doubled", d, 2*logs[name])
		for other, q := range points {
			sum := p
			sum.add(&q)
			check("+ "+other, sum, logs[name]+logs[other])
		}
		for i, q := range []affine{g, minus} {
			sum := p
			sum.addAffine(&q)
			check("+ affine", sum, logs[name]+1-2*i)
		}
	}
}
