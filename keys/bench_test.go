package keys

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
)

// signed is a key, a digest and a valid signature.
type signed struct {
	pub    PublicKey
	digest [DigestSize]byte
	sig    []byte
}

// sign returns n valid signatures under m keys of a scheme.
func sign(tb testing.TB, scheme Scheme, n, m int) []signed {
	tb.Helper()
	random := rand.NewChaCha8([32]byte{byte(scheme)})
	priv := make([]PrivateKey, m)
	for i := range priv {
		k, err := Generate(scheme, random)
		if err != nil {
			tb.Fatal(err)
		}
		priv[i] = k
	}
	out := make([]signed, n)
	for i := range out {
		var number [8]byte
		binary.BigEndian.PutUint64(number[:], uint64(i))
		k := priv[i%m]
		out[i] = signed{pub: k.Public(), digest: TaggedHash("test", number[:])}
		sig, err := k.Sign(out[i].digest)
		if err != nil {
			tb.Fatal(err)
		}
		out[i].sig = sig
	}
	return out
}

// precompute gives all keys tables, a table for each key.
func precompute(all []signed) {
	tables := map[string]PublicKey{}
	for i := range all {
		name := all[i].pub.String()
		if _, ok := tables[name]; !ok {
			tables[name] = all[i].pub.Precomputed()
		}
		all[i].pub = tables[name]
	}
}

func addAll(b *Batch, all []signed) {
	for _, s := range all {
		b.Add(s.pub, s.digest, s.sig)
	}
}

// BenchmarkVerify verifies one signature at a time.
func BenchmarkVerify(b *testing.B) {
	for _, scheme := range []Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519} {
		s := sign(b, scheme, 1, 1)[0]
		for name, pub := range map[string]PublicKey{"": s.pub, "/precomputed": s.pub.Precomputed()} {
			b.Run(scheme.String()+name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := pub.Verify(s.digest, s.sig); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkParsePublicKey decodes and decompresses a key.
func BenchmarkParsePublicKey(b *testing.B) {
	for _, scheme := range []Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519} {
		raw := sign(b, scheme, 1, 1)[0].pub.Bytes()
		b.Run(scheme.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParsePublicKey(scheme, raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBatch verifies batches of valid signatures, each under a key of its own ("distinct") or under 8 keys. ECDSA keys
// have tables.
func BenchmarkBatch(b *testing.B) {
	for _, scheme := range allSchemes {
		for _, keys := range []int{8, 1024} {
			all := sign(b, scheme, 1024, keys)
			if scheme == SchemeECDSA {
				precompute(all)
			}
			for _, n := range []int{4, 16, 64, 256, 1024} {
				name := "distinct"
				if keys == 8 {
					name = "8keys"
				}
				b.Run(fmt.Sprintf("%s/%s/%d", scheme, name, n), func(b *testing.B) {
					batch := NewBatch(n)
					for b.Loop() {
						batch.Reset()
						addAll(batch, all[:n])
						for _, err := range batch.Verify() {
							if err != nil {
								b.Fatal(err)
							}
						}
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/sig")
				})
			}
		}
	}
}

// BenchmarkBatchWrong verifies batches of 256 of which one signature, or every one, is wrong.
func BenchmarkBatchWrong(b *testing.B) {
	for _, scheme := range []Scheme{SchemeSchnorr, SchemeEd25519} {
		for _, wrong := range []int{1, 256} {
			all := sign(b, scheme, 256, 256)
			for i := range wrong {
				all[(100+i)%len(all)].digest[0] ^= 1
			}
			b.Run(fmt.Sprintf("%s/%d", scheme, wrong), func(b *testing.B) {
				batch := NewBatch(len(all))
				for b.Loop() {
					batch.Reset()
					addAll(batch, all)
					if batch.Verify()[100] == nil {
						b.Fatal("accepted")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(all)), "ns/sig")
			})
		}
	}
}

// BenchmarkSign signs a digest.
func BenchmarkSign(b *testing.B) {
	for _, scheme := range []Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519} {
		k, err := Generate(scheme, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(scheme.String(), func(b *testing.B) {
			for b.Loop() {
				if _, err := k.Sign([32]byte{1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
