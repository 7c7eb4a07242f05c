package keys

import (
	"bytes"
	"crypto/sha512"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// decodeVectors decodes a JSON file of testdata.
func decodeVectors(t *testing.T, path string, into any) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

// verifyBothWays verifies singly, and in a batch among valid signatures, and checks that the verdicts agree.
func verifyBothWays(t *testing.T, pub PublicKey, digest [32]byte, sig []byte) error {
	t.Helper()
	single := pub.Verify(digest, sig)
	if table := pub.Precomputed().Verify(digest, sig); table != single {
		t.Fatalf("without a table %v, with one %v", single, table)
	}
	checkFast(t, pub, digest, sig)
	scheme := pub.Scheme()
	if !scheme.Valid() {
		scheme = SchemeSchnorr
	}
	around := sign(t, scheme, 6, 2)
	b := NewBatch(0)
	addAll(b, around[:3])
	b.Add(pub, digest, sig)
	addAll(b, around[3:])
	for i, err := range verifyBoth(t, b) {
		if i == 3 && err != single {
			t.Fatalf("single verification says %v, batch says %v", single, err)
		}
		if i != 3 && err != nil {
			t.Fatalf("a valid signature beside it: %v", err)
		}
	}
	return single
}

// TestBIP340Vectors runs the vectors of the BIP. Its last four have messages of other lengths than 32 bytes, which
// nothing here signs.
func TestBIP340Vectors(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/bip340.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 16 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for _, row := range rows[1:] {
		secret, public, aux, message, sig, want, comment := row[1], row[2], row[3], row[4], row[5], row[6] == "TRUE", row[7]
		digest := [32]byte(unhex(t, message))
		pub, err := ParsePublicKey(SchemeSchnorr, unhex(t, public))
		if err == nil {
			err = verifyBothWays(t, pub, digest, unhex(t, sig))
		}
		if (err == nil) != want {
			t.Errorf("vector %s (%s): %v", row[0], comment, err)
		}
		if secret == "" {
			continue
		}
		key, err := ParsePrivateKey(SchemeSchnorr, unhex(t, secret))
		if err != nil || !key.Public().Equal(pub) {
			t.Errorf("vector %s: key %v, %v", row[0], key.Public(), err)
		}
		priv, _ := btcec.PrivKeyFromBytes(unhex(t, secret))
		ref, err := schnorr.Sign(priv, digest[:], schnorr.CustomNonce([32]byte(unhex(t, aux))))
		if err != nil || !strings.EqualFold(hex.EncodeToString(ref.Serialize()), sig) {
			t.Errorf("vector %s: the library signs %x, %v", row[0], ref.Serialize(), err)
		}
		// What we sign with is the auxiliary randomness of zero.
		if strings.Trim(aux, "0") == "" {
			if got, err := key.Sign(digest); err != nil || !strings.EqualFold(hex.EncodeToString(got), sig) {
				t.Errorf("vector %s: signed %x, %v", row[0], got, err)
			}
		}
	}
}

// TestECDSAVectors runs published vectors of RFC 6979 over secp256k1 and of the decred library.
func TestECDSAVectors(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Name, Key, Digest, Signature string
		VerifyOnly                   bool `json:"verify_only"`
	}
	decodeVectors(t, "testdata/ecdsa.json", &vectors)
	if len(vectors) != 24 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		key, err := ParsePrivateKey(SchemeECDSA, unhex(t, v.Key))
		if err != nil {
			t.Fatal(err)
		}
		digest, sig := [32]byte(unhex(t, v.Digest)), unhex(t, v.Signature)
		if err := verifyBothWays(t, key.Public(), digest, sig); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if got, err := key.Sign(digest); !v.VerifyOnly && (err != nil || !bytes.Equal(got, sig)) {
			t.Errorf("%s: signed %x, %v", v.Name, got, err)
		}
		var s btcec.ModNScalar
		s.SetByteSlice(sig[32:])
		s.Negate()
		high := s.Bytes()
		if err := verifyBothWays(t, key.Public(), digest, append(sig[:32:32], high[:]...)); !errors.Is(err, ErrHighS) {
			t.Errorf("%s with high s: %v", v.Name, err)
		}
	}
}

// TestECDSANasty runs signatures at the edges of the ranges of r and s.
func TestECDSANasty(t *testing.T) {
	t.Parallel()
	const (
		zero  = "0000000000000000000000000000000000000000000000000000000000000000"
		one   = "0000000000000000000000000000000000000000000000000000000000000001"
		n     = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
		n1    = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364142"
		nLess = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140"
		halfN = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0"
		over  = "7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a1"
		ones  = "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
		r     = "c6c4137b0e5fbfc88ae3f293d7e80c8566c43ae20340075d44f75b009c943d09"
		s     = "00ba213513572e35943d5acdd17215561b03f11663192a7252196cc8b2a99560"
	)
	key, err := ParsePrivateKey(SchemeECDSA, unhex(t, one))
	if err != nil {
		t.Fatal(err)
	}
	digest := [32]byte(unhex(t, "c301ba9de5d6053caad9f5eb46523f007702add2c62fa39de03146a36b8026b7"))
	for _, c := range []struct {
		name, sig string
		want      error
	}{
		{"valid", r + s, nil},
		{"r = 0", zero + s, ErrSignatureEncoding},
		{"s = 0", r + zero, ErrSignatureEncoding},
		{"r = s = 0", zero + zero, ErrSignatureEncoding},
		{"r = n", n + s, ErrSignatureEncoding},
		{"s = n", r + n, ErrSignatureEncoding},
		{"r = n + 1", n1 + s, ErrSignatureEncoding},
		{"s = n + 1", r + n1, ErrSignatureEncoding},
		{"r = 2^256 - 1", ones + s, ErrSignatureEncoding},
		{"s = 2^256 - 1", r + ones, ErrSignatureEncoding},
		{"s = n/2", r + halfN, ErrSignature},
		{"s just over n/2", r + over, ErrHighS},
		{"s = n - 1", r + nLess, ErrHighS},
		{"r = n - 1", nLess + s, ErrSignature},
		{"r = s = 1", one + one, ErrSignature},
		{"u1·G + u2·Q is infinity", "3cfe45621a29fac355260a14b9adc0fe43ac2f13e918fc9ddfa117e964b61a8a" + s, ErrSignature},
		{"r below p - n", "000000000000000000000000000000014551231950b75fc4402da1722fc9baed" + s, ErrSignature},
		{"empty", "", ErrSignatureEncoding},
		{"short", (r + s)[2:], ErrSignatureEncoding},
		{"long", r + s + "00", ErrSignatureEncoding},
		{"DER", "3045022100" + r + "0220" + s, ErrSignatureEncoding},
	} {
		if err := verifyBothWays(t, key.Public(), digest, unhex(t, c.sig)); err != c.want {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestEd25519Vectors checks keys and signatures of RFC 8032. Most of its messages are not digests, so those are
// verified one layer down, under the same options.
func TestEd25519Vectors(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Name, Seed, Message, Signature string
		PublicKey                      string `json:"public_key"`
	}
	decodeVectors(t, "testdata/ed25519.json", &vectors)
	if len(vectors) != 4 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		key, err := ParsePrivateKey(SchemeEd25519, unhex(t, v.Seed))
		if err != nil || hex.EncodeToString(key.Public().Bytes()) != v.PublicKey {
			t.Errorf("%s: key %v, %v", v.Name, key.Public(), err)
		}
		message, sig := unhex(t, v.Message), unhex(t, v.Signature)
		if !ed25519.VerifyExpandedWithOptions(key.Public().ed.expanded, message, sig, zip215) {
			t.Errorf("%s: refused", v.Name)
		}
		if len(message) != DigestSize {
			continue
		}
		if err := verifyBothWays(t, key.Public(), [32]byte(message), sig); err != nil {
			t.Errorf("%s: %v", v.Name, err)
		}
		if got, err := key.Sign([32]byte(message)); err != nil || !bytes.Equal(got, sig) {
			t.Errorf("%s: signed %x, %v", v.Name, got, err)
		}
	}
}

// unregistrable returns an Ed25519 key without the checks of ParsePublicKey.
func unregistrable(t testing.TB, raw []byte) PublicKey {
	t.Helper()
	expanded, err := ed25519.NewExpandedPublicKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	p := PublicKey{scheme: SchemeEd25519, ed: &edKey{expanded: expanded}}
	copy(p.raw[:], raw)
	return p
}

// TestSpeccheck runs the cases of "Taming the many EdDSAs" that tell verification rules apart.
func TestSpeccheck(t *testing.T) {
	t.Parallel()
	var vectors []struct {
		Name, Digest, Signature string
		PublicKey               string `json:"public_key"`
		Valid                   bool
	}
	decodeVectors(t, "testdata/speccheck.json", &vectors)
	if len(vectors) != 12 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		raw := unhex(t, v.PublicKey)
		err := verifyBothWays(t, unregistrable(t, raw), [32]byte(unhex(t, v.Digest)), unhex(t, v.Signature))
		if (err == nil) != v.Valid {
			t.Errorf("%s: %v", v.Name, err)
		}
		_, err = ParsePublicKey(SchemeEd25519, raw)
		if refused := strings.Contains(v.Name, "small order A"); refused != (err != nil) {
			t.Errorf("%s: registering the key: %v", v.Name, err)
		}
	}
}

// TestZIP215SmallOrder runs the vectors of ZIP-215: every pair of encodings of points of small order, as key and as R,
// with S = 0, verifies for any message. None of these keys may be registered.
func TestZIP215SmallOrder(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/zip215_small_order.txt")
	if err != nil {
		t.Fatal(err)
	}
	encodings := strings.Fields(string(data))
	if len(encodings) != 14 {
		t.Fatalf("%d encodings", len(encodings))
	}
	digest := TaggedHash("test", []byte("Zcash"))
	batch := NewBatch(0)
	for _, a := range encodings {
		if _, err := ParsePublicKey(SchemeEd25519, unhex(t, a)); !errors.Is(err, ErrPublicKey) {
			t.Errorf("%s can be registered: %v", a, err)
		}
		key := unregistrable(t, unhex(t, a))
		for _, r := range encodings {
			sig := append(unhex(t, r), make([]byte, 32)...)
			if err := key.Verify(digest, sig); err != nil {
				t.Errorf("key %s, R %s: %v", a, r, err)
			}
			batch.Add(key, digest, sig)
		}
	}
	for i, err := range batch.Verify() {
		if err != nil {
			t.Errorf("%d in a batch: %v", i, err)
		}
	}
}

// TestZIP215RegisteredKey makes signatures under an ordinary key with an R of small order or in a second encoding,
// which the owner of a key can do, and on which verifiers with other rules disagree.
func TestZIP215RegisteredKey(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/zip215_small_order.txt")
	if err != nil {
		t.Fatal(err)
	}
	key := mustGenerate(t, SchemeEd25519, 9)
	digest := TaggedHash("test", []byte("malleable"))
	expanded := sha512.Sum512(key.Bytes())
	expanded[0] &= 248
	expanded[31] = expanded[31]&127 | 64
	secret, err := scalar.NewFromBytesModOrder(expanded[:32])
	if err != nil {
		t.Fatal(err)
	}
	var check curve.EdwardsPoint
	var compressed curve.CompressedEdwardsY
	check.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, secret)
	compressed.SetEdwardsPoint(&check)
	if !bytes.Equal(compressed[:], key.Public().Bytes()) {
		t.Fatal("the secret scalar is not the key's")
	}
	for _, r := range strings.Fields(string(data)) {
		h := sha512.New()
		h.Write(unhex(t, r))
		h.Write(key.Public().Bytes())
		h.Write(digest[:])
		k, err := scalar.NewFromBytesModOrderWide(h.Sum(nil))
		if err != nil {
			t.Fatal(err)
		}
		var s scalar.Scalar
		s.Mul(k, secret)
		sig := append(unhex(t, r), make([]byte, 32)...)
		if err := s.ToBytes(sig[32:]); err != nil {
			t.Fatal(err)
		}
		if err := verifyBothWays(t, key.Public(), digest, sig); err != nil {
			t.Errorf("R %s: %v", r, err)
		}
	}
}
