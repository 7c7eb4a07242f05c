package vectors_test

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/althing-ledger/althing/keys"
)

type keyVector struct {
	Scheme     string   `json:"scheme"`
	Number     uint32   `json:"scheme_number"`
	PrivateKey hexBytes `json:"private_key"`
	PublicKey  hexBytes `json:"public_key"`
	Digest     hexBytes `json:"digest"`
	Signature  hexBytes `json:"signature"`
}

// private returns a key of a fixed secret: the SHA-256 of a name. Nothing of value may ever be under such a key.
func private(t *testing.T, scheme keys.Scheme, name string) keys.PrivateKey {
	t.Helper()
	secret := sha256.Sum256([]byte("althing test key: " + name))
	key, err := keys.ParsePrivateKey(scheme, secret[:])
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signatures(t *testing.T) []keyVector {
	t.Helper()
	var all []keyVector
	for _, scheme := range []keys.Scheme{keys.SchemeSchnorr, keys.SchemeECDSA, keys.SchemeEd25519} {
		for _, name := range []string{"acme/alice", "globex/treasury"} {
			for _, message := range []string{"", "a digest"} {
				key, digest := private(t, scheme, name), sha256.Sum256([]byte(message))
				signature, err := key.Sign(digest)
				if err != nil {
					t.Fatal(err)
				}
				all = append(all, keyVector{scheme.String(), uint32(scheme), key.Bytes(), key.Public().Bytes(), digest[:], signature})
			}
		}
	}
	return all
}

func TestSignatures(t *testing.T) {
	golden(t, "signatures.json", signatures(t))
}

func TestSignaturesVerify(t *testing.T) {
	var all []keyVector
	load(t, "signatures.json", &all)
	for _, v := range all {
		private, err := keys.ParsePrivateKey(keys.Scheme(v.Number), v.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(private.Public().Bytes(), v.PublicKey) {
			t.Errorf("%s: the public key is not that of the private key", v.Scheme)
		}
		public, err := keys.ParsePublicKey(keys.Scheme(v.Number), v.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		digest := [32]byte(v.Digest)
		if err := public.Verify(digest, v.Signature); err != nil {
			t.Errorf("%s %x: %v", v.Scheme, v.PublicKey, err)
		}
		digest[31] ^= 1
		if public.Verify(digest, v.Signature) == nil {
			t.Errorf("%s %x verifies another digest", v.Scheme, v.PublicKey)
		}
	}
}
