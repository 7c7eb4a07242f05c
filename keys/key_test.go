package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

var allSchemes = []Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519}

// mustGenerate returns the key of a seed.
func mustGenerate(tb testing.TB, scheme Scheme, seed byte) PrivateKey {
	tb.Helper()
	k, err := Generate(scheme, rand.NewChaCha8([32]byte{seed, byte(scheme)}))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// unhex decodes hex digits of a test.
func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestScheme(t *testing.T) {
	t.Parallel()
	for _, s := range allSchemes {
		if got, err := ParseScheme(s.String()); err != nil || got != s || !s.Valid() {
			t.Errorf("%v: %v, %v", s, got, err)
		}
	}
	for _, name := range []string{"", "Schnorr", "rsa", "scheme(7)", strings.Repeat("x", 1000)} {
		if _, err := ParseScheme(name); !errors.Is(err, ErrScheme) || len(err.Error()) > 200 {
			t.Errorf("%q: %v", name, err)
		}
	}
	if Scheme(0).Valid() || Scheme(4).Valid() {
		t.Error("unknown schemes are valid")
	}
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for k := ErrScheme; k <= ErrFileFormat; k++ {
		if text := k.Error(); seen[text] || strings.Contains(text, "error kind") {
			t.Errorf("kind %d: %q", uint8(k), text)
		} else {
			seen[text] = true
		}
	}
	if errors.Is(fmt.Errorf("verify: %w", ErrHighS), ErrSignature) || !errors.Is(fmt.Errorf("verify: %w", ErrHighS), ErrHighS) {
		t.Error("kinds are mixed up")
	}
}

func TestParsePublicKey(t *testing.T) {
	t.Parallel()
	const (
		gx  = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
		gy  = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
		p   = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"
		p1  = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30"
		off = "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34"
	)
	cases := []struct {
		name   string
		scheme Scheme
		key    string
		kind   error
	}{
		{"schnorr G", SchemeSchnorr, gx, nil},
		{"schnorr zero", SchemeSchnorr, strings.Repeat("00", 32), ErrPublicKey},
		{"schnorr x = 1", SchemeSchnorr, strings.Repeat("00", 31) + "01", nil},
		{"schnorr x = p", SchemeSchnorr, p, ErrPublicKey},
		{"schnorr x = p + 1", SchemeSchnorr, p1, ErrPublicKey},
		{"schnorr all ones", SchemeSchnorr, strings.Repeat("ff", 32), ErrPublicKey},
		{"schnorr off the curve", SchemeSchnorr, off, ErrPublicKey},
		{"schnorr compressed", SchemeSchnorr, "02" + gx, ErrPublicKey},
		{"schnorr empty", SchemeSchnorr, "", ErrPublicKey},
		{"ecdsa even", SchemeECDSA, "02" + gx, nil},
		{"ecdsa odd", SchemeECDSA, "03" + gx, nil},
		{"ecdsa x-only", SchemeECDSA, gx, ErrPublicKey},
		{"ecdsa infinity", SchemeECDSA, "00" + gx, ErrPublicKey},
		{"ecdsa uncompressed", SchemeECDSA, "04" + gx + gy, ErrPublicKey},
		{"ecdsa hybrid", SchemeECDSA, "06" + gx + gy, ErrPublicKey},
		{"ecdsa uncompressed prefix", SchemeECDSA, "04" + gx, ErrPublicKey},
		{"ecdsa hybrid prefix", SchemeECDSA, "06" + gx, ErrPublicKey},
		{"ecdsa x = p + 1", SchemeECDSA, "02" + p1, ErrPublicKey},
		{"ecdsa off the curve", SchemeECDSA, "03" + off, ErrPublicKey},
		{"ed25519 RFC 8032 test 1", SchemeEd25519, "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", nil},
		{"ed25519 base point", SchemeEd25519, "5866666666666666666666666666666666666666666666666666666666666666", nil},
		{"ed25519 off the curve", SchemeEd25519, "02" + strings.Repeat("00", 31), ErrPublicKey},
		{"ed25519 y = p + 3", SchemeEd25519, "f0" + strings.Repeat("ff", 30) + "7f", ErrPublicKey},
		{"ed25519 mixed order", SchemeEd25519, "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d", nil},
		{"ed25519 short", SchemeEd25519, strings.Repeat("58", 31), ErrPublicKey},
		{"no scheme", 0, gx, ErrScheme},
		{"unknown scheme", 4, gx, ErrScheme},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			raw := unhex(t, c.key)
			key, err := ParsePublicKey(c.scheme, raw)
			if !errors.Is(err, c.kind) || (c.kind == nil && err != nil) {
				t.Fatalf("got %v, want %v", err, c.kind)
			}
			if err != nil {
				if !key.IsZero() {
					t.Error("a key came with the error")
				}
				return
			}
			checkRoundTrip(t, key, raw)
		})
	}
}

// checkRoundTrip checks everything that must hold of a key that was parsed from raw.
func checkRoundTrip(t *testing.T, key PublicKey, raw []byte) {
	t.Helper()
	if !bytes.Equal(key.Bytes(), raw) {
		t.Fatalf("%x came back as %x", raw, key.Bytes())
	}
	back, err := ParsePublicKeyText(key.String())
	if err != nil || !back.Equal(key) || back.String() != key.String() {
		t.Fatalf("text %q: %v", key, err)
	}
	var decoded struct{ Key PublicKey }
	encoded, err := json.Marshal(struct{ Key PublicKey }{key})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(encoded, &decoded); err != nil || !decoded.Key.Equal(key) {
		t.Fatalf("JSON %s: %v", encoded, err)
	}
	key.Bytes()[0] ^= 1
	if !bytes.Equal(key.Bytes(), raw) {
		t.Fatal("Bytes shares memory with the key")
	}
}

func TestParsePublicKeyText(t *testing.T) {
	t.Parallel()
	key := mustGenerate(t, SchemeSchnorr, 1).Public()
	text := key.String()
	if !strings.HasPrefix(text, "schnorr:") || len(text) != 8+64 {
		t.Fatalf("text is %q", text)
	}
	for _, bad := range []string{"", "schnorr", text[8:], strings.ToUpper(text), "schnorr:" + strings.ToUpper(text[8:]) + "", " " + text, text + " ", text + "00", text[:70], "ecdsa:" + text[8:], "rsa:" + text[8:], "schnorr:" + strings.Repeat("0", 1<<16)} {
		if _, err := ParsePublicKeyText(bad); !errors.Is(err, ErrPublicKey) && !errors.Is(err, ErrScheme) {
			t.Errorf("%.80q: %v", bad, err)
		}
	}
	var zero PublicKey
	if zero.String() != "" || len(zero.Bytes()) != 0 || !zero.IsZero() || zero.Equal(key) || !zero.Equal(PublicKey{}) {
		t.Error("the zero key is odd")
	}
	if err := zero.Verify([32]byte{}, make([]byte, 64)); !errors.Is(err, ErrPublicKey) {
		t.Errorf("the zero key: %v", err)
	}
	// The same bytes under another scheme are another key.
	same, err := ParsePublicKey(SchemeECDSA, append([]byte{2}, key.Bytes()...))
	if err != nil || same.Equal(key) {
		t.Errorf("equal across schemes: %v", err)
	}
}

func TestParsePrivateKey(t *testing.T) {
	t.Parallel()
	const n = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
	for _, c := range []struct {
		scheme Scheme
		key    string
		kind   error
	}{
		{SchemeSchnorr, strings.Repeat("00", 31) + "01", nil},
		{SchemeSchnorr, strings.Repeat("00", 32), ErrPrivateKey},
		{SchemeSchnorr, n, ErrPrivateKey},
		{SchemeSchnorr, n[:62] + "40", nil},
		{SchemeECDSA, n, ErrPrivateKey},
		{SchemeECDSA, strings.Repeat("ff", 32), ErrPrivateKey},
		{SchemeECDSA, "01", ErrPrivateKey},
		{SchemeEd25519, strings.Repeat("00", 32), nil},
		{SchemeEd25519, strings.Repeat("00", 64), ErrPrivateKey},
		{9, strings.Repeat("01", 32), ErrScheme},
	} {
		key, err := ParsePrivateKey(c.scheme, unhex(t, c.key))
		if !errors.Is(err, c.kind) || (c.kind == nil && err != nil) {
			t.Errorf("%v %s: got %v, want %v", c.scheme, c.key, err, c.kind)
		}
		if err == nil && hex.EncodeToString(key.Bytes()) != c.key {
			t.Errorf("%v %s came back as %x", c.scheme, c.key, key.Bytes())
		}
	}
	if _, err := (PrivateKey{}).Sign([32]byte{}); !errors.Is(err, ErrPrivateKey) {
		t.Errorf("the zero key signs: %v", err)
	}
}

type constantReader byte

func (c constantReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(c)
	}
	return len(p), nil
}

func TestGenerate(t *testing.T) {
	t.Parallel()
	for _, scheme := range allSchemes {
		a, b := mustGenerate(t, scheme, 1), mustGenerate(t, scheme, 1)
		if !a.Public().Equal(b.Public()) {
			t.Errorf("%v: the same randomness gives different keys", scheme)
		}
		if _, err := Generate(scheme, bytes.NewReader(make([]byte, 31))); !errors.Is(err, ErrRandom) {
			t.Errorf("%v: short source: %v", scheme, err)
		}
		c, err := Generate(scheme, nil)
		if err != nil || c.Public().Equal(a.Public()) {
			t.Errorf("%v: system source: %v", scheme, err)
		}
	}
	for _, c := range []constantReader{0, 0xff} {
		if _, err := Generate(SchemeSchnorr, c); !errors.Is(err, ErrRandom) {
			t.Errorf("constant %d: %v", c, err)
		}
	}
	if _, err := Generate(0, nil); !errors.Is(err, ErrScheme) {
		t.Errorf("no scheme: %v", err)
	}
}

// TestPrivateKeyNeverShown prints a key in every way we could think of.
func TestPrivateKeyNeverShown(t *testing.T) {
	t.Parallel()
	type holder struct {
		Exported PrivateKey
		hidden   PrivateKey
		pointer  *PrivateKey
	}
	for _, scheme := range allSchemes {
		key := mustGenerate(t, scheme, 3)
		h := holder{key, key, &key}
		var out strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%c", "%U", "%t", "%10v"} {
			for _, v := range []any{key, &key, h, &h, []PrivateKey{key}, map[string]PrivateKey{"k": key}} {
				fmt.Fprintf(&out, verb+"\n", v)
			}
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "key", key, "pointer", &key, "holder", h)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "key", key, "pointer", &key, "holder", h)
		if _, err := json.Marshal(h); err == nil {
			t.Error("JSON was encoded")
		} else {
			out.WriteString(err.Error())
		}
		got := strings.ToLower(out.String())
		secret := key.Bytes()
		for _, form := range []string{"%x", "% x", "%d", "%o", "%b", "%q"} {
			shown := strings.ToLower(strings.Trim(fmt.Sprintf(form, secret[:8]), "[]\""))
			if strings.Contains(got, shown) {
				t.Errorf("%v: the secret is shown as %s", scheme, form)
			}
		}
		want := scheme.String() + " private key of " + hex.EncodeToString(key.Public().Bytes())
		if key.String() != want || fmt.Sprint(key) != want {
			t.Errorf("described as %q", key.String())
		}
	}
}

func TestSignVerify(t *testing.T) {
	t.Parallel()
	for _, scheme := range allSchemes {
		t.Run(scheme.String(), func(t *testing.T) {
			t.Parallel()
			key := mustGenerate(t, scheme, 1)
			digest := TaggedHash("test", []byte("message"))
			sig, err := key.Sign(digest)
			if err != nil || len(sig) != SignatureSize {
				t.Fatalf("%x, %v", sig, err)
			}
			again, err := key.Sign(digest)
			if err != nil || !bytes.Equal(sig, again) {
				t.Error("signing is not deterministic")
			}
			if err := key.Public().Verify(digest, sig); err != nil {
				t.Fatal(err)
			}
			if err := mustGenerate(t, scheme, 2).Public().Verify(digest, sig); !errors.Is(err, ErrSignature) {
				t.Errorf("other key: %v", err)
			}
			for bit := range 8 * 64 {
				bad := bytes.Clone(sig)
				bad[bit/8] ^= 1 << (bit % 8)
				if err := key.Public().Verify(digest, bad); err == nil {
					t.Fatalf("bit %d of the signature does not matter", bit)
				}
			}
			for _, bit := range []int{0, 100, 255} {
				bad := digest
				bad[bit/8] ^= 1 << (bit % 8)
				if err := key.Public().Verify(bad, sig); !errors.Is(err, ErrSignature) {
					t.Fatalf("bit %d of the digest: %v", bit, err)
				}
			}
			for _, n := range []int{0, 1, 63, 65, 128} {
				if err := key.Public().Verify(digest, make([]byte, n)); !errors.Is(err, ErrSignatureEncoding) {
					t.Errorf("%d bytes: %v", n, err)
				}
			}
		})
	}
}

// FuzzParsePublicKey holds parsing against the libraries and checks that a key has one encoding.
func FuzzParsePublicKey(f *testing.F) {
	for _, scheme := range allSchemes {
		f.Add(uint32(scheme), mustGenerate(f, scheme, 1).Public().Bytes())
	}
	f.Add(uint32(2), append([]byte{4}, make([]byte, 64)...))
	f.Add(uint32(1), bytes.Repeat([]byte{0xff}, 32))
	f.Add(uint32(3), make([]byte, 32))
	f.Add(uint32(0), []byte{})
	f.Fuzz(func(t *testing.T, scheme uint32, raw []byte) {
		key, err := ParsePublicKey(Scheme(scheme), raw)
		var refErr error
		switch Scheme(scheme) {
		case SchemeSchnorr:
			_, refErr = schnorr.ParsePubKey(raw)
		case SchemeECDSA:
			_, refErr = btcec.ParsePubKey(raw)
			if len(raw) != 33 && refErr == nil {
				refErr = ErrPublicKey // a valid point in an encoding that is not ours
			}
		default:
			refErr = err
		}
		if (err == nil) != (refErr == nil) {
			t.Fatalf("%v, the library says %v", err, refErr)
		}
		if err != nil {
			if !errors.Is(err, ErrPublicKey) && !errors.Is(err, ErrScheme) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		checkRoundTrip(t, key, raw)
	})
}
