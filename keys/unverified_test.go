package keys

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

func TestSignUnverifiedGivesTheSameBytes(t *testing.T) {
	t.Parallel()
	for _, scheme := range []Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519} {
		for i := range 50 {
			key, err := Generate(scheme, nil)
			if err != nil {
				t.Fatal(err)
			}
			digest := sha256.Sum256([]byte{byte(i)})
			want, err := key.Sign(digest)
			if err != nil {
				t.Fatal(err)
			}
			got, err := key.SignUnverified(digest)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %x, %v, want %x", scheme, got, err, want)
			}
		}
	}
	if _, err := (PrivateKey{}).SignUnverified([DigestSize]byte{}); err == nil {
		t.Error("the zero key signs")
	}
}

func BenchmarkSignUnverified(b *testing.B) {
	for _, scheme := range []Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519} {
		b.Run(scheme.String(), func(b *testing.B) {
			key, err := Generate(scheme, nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := key.SignUnverified([DigestSize]byte{1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
