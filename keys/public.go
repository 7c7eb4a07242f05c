package keys

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
)

// PublicKey is a public key of one scheme, checked and decompressed. It is immutable and safe for concurrent use.
// Compare keys with [PublicKey.Equal]; == does not compile. The zero value is no key: it verifies nothing.
type PublicKey struct {
	_      [0]func() // two copies of a key may hold different pointers, so == would lie
	scheme Scheme
	raw    [MaxPublicKeySize]byte
	point  *affine // of a secp256k1 key; it pays the square root once
	table  *table  // of a secp256k1 key that Precomputed returned, else nil
	ed     *edKey  // of an Ed25519 key
}

// ParsePublicKey decodes the one canonical encoding of a public key: for Schnorr the 32 bytes of x (BIP-340), for
// ECDSA the 33 bytes of a compressed point, for Ed25519 the 32 bytes of RFC 8032 with y reduced and not of small
// order. It returns ErrPublicKey for anything else and ErrScheme for an unknown scheme.
func ParsePublicKey(scheme Scheme, b []byte) (PublicKey, error) {
	size := scheme.PublicKeySize()
	if size == 0 {
		return PublicKey{}, fmt.Errorf("%w: %d", ErrScheme, uint32(scheme))
	}
	if len(b) != size {
		return PublicKey{}, fmt.Errorf("%w: %s key of %d bytes, must be %d", ErrPublicKey, scheme, len(b), size)
	}
	p := PublicKey{scheme: scheme}
	copy(p.raw[:], b)
	var err error
	switch scheme {
	case SchemeSchnorr:
		p.point, err = liftKey(b, false)
	case SchemeECDSA:
		if b[0] != 2 && b[0] != 3 {
			return PublicKey{}, fmt.Errorf("%w: ecdsa key must begin with 02 or 03", ErrPublicKey)
		}
		p.point, err = liftKey(b[1:], b[0] == 3)
	case SchemeEd25519:
		p.ed, err = expandEd25519(b)
	}
	if err != nil {
		return PublicKey{}, err
	}
	return p, nil
}

// liftKey returns the point with the given x, 32 bytes, and oddness of y.
func liftKey(b []byte, odd bool) (*affine, error) {
	var x fe
	if !x.setBytes(b) {
		return nil, fmt.Errorf("%w: x is not below the field's prime", ErrPublicKey)
	}
	p := new(affine)
	if !p.lift(&x, odd) {
		return nil, fmt.Errorf("%w: x is not on the curve", ErrPublicKey)
	}
	return p, nil
}

// ParsePublicKeyText is the inverse of [PublicKey.String]: a scheme's name, a colon and lower-case hex digits.
func ParsePublicKeyText(text string) (PublicKey, error) {
	name, digits, found := strings.Cut(text, ":")
	if !found {
		return PublicKey{}, fmt.Errorf("%w: want SCHEME:HEX", ErrPublicKey)
	}
	scheme, err := ParseScheme(name)
	if err != nil {
		return PublicKey{}, err
	}
	if len(digits) > 2*MaxPublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: %d hex digits are too many", ErrPublicKey, len(digits))
	}
	b, err := hex.DecodeString(digits)
	if err != nil || strings.ToLower(digits) != digits {
		return PublicKey{}, fmt.Errorf("%w: not lower-case hex digits after %q", ErrPublicKey, name+":")
	}
	return ParsePublicKey(scheme, b)
}

// Scheme returns the key's scheme, or 0 for the zero key.
func (p PublicKey) Scheme() Scheme { return p.scheme }

// Bytes returns a copy of the key's canonical encoding, or nothing for the zero key.
func (p PublicKey) Bytes() []byte { return bytes.Clone(p.encoded()) }

// encoded returns the canonical encoding without copying it.
func (p *PublicKey) encoded() []byte { return p.raw[:p.scheme.PublicKeySize()] }

// String returns the key as text, "schnorr:<hex>", or "" for the zero key.
func (p PublicKey) String() string {
	if p.IsZero() {
		return ""
	}
	return p.scheme.String() + ":" + hex.EncodeToString(p.encoded())
}

// MarshalText returns what String returns. It implements encoding.TextMarshaler.
func (p PublicKey) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText parses like [ParsePublicKeyText]; empty text is the zero key. It implements encoding.TextUnmarshaler.
func (p *PublicKey) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*p = PublicKey{}
		return nil
	}
	parsed, err := ParsePublicKeyText(string(text))
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

// IsZero reports whether this is the zero value and not a key.
func (p PublicKey) IsZero() bool { return p.scheme == 0 }

// Precomputed returns the same key with a table, which takes 2 KiB and 25 µs to make, and with which single signatures of the
// secp256k1 schemes, and ECDSA ones in a batch, are verified in half the time. It is for keys that verify again and again. The verdicts are the same.
func (p PublicKey) Precomputed() PublicKey {
	if p.point != nil && p.table == nil {
		t := newTable(p.point, keyWidth)
		p.table = &t
	}
	return p
}

// Equal reports whether both are the same key of the same scheme.
func (p PublicKey) Equal(q PublicKey) bool { return p.scheme == q.scheme && p.raw == q.raw }

// Verify checks a signature of a digest. It returns nil, ErrSignatureEncoding for bytes that are no signature of the
// key's scheme, ErrHighS for an ECDSA signature with s above half the order, ErrSignature if the signature is wrong,
// or ErrPublicKey for the zero key. The verdict depends on nothing but the key, the digest and the signature.
func (p PublicKey) Verify(digest [DigestSize]byte, sig []byte) error {
	if err := checkEncoding(p.scheme, sig); err != nil {
		return err
	}
	return p.verifyWellFormed(&digest, (*[SignatureSize]byte)(sig))
}

// checkEncoding returns why bytes cannot be a signature of the scheme, whatever the key and the digest.
func checkEncoding(scheme Scheme, sig []byte) error {
	if !scheme.Valid() {
		return ErrPublicKey
	}
	if len(sig) != SignatureSize {
		return ErrSignatureEncoding
	}
	s := (*[SignatureSize]byte)(sig)
	switch scheme {
	case SchemeSchnorr:
		return checkSchnorr(s)
	case SchemeECDSA:
		return checkECDSA(s)
	default:
		return checkEd25519(s)
	}
}

// verifyWellFormed verifies one signature that checkEncoding found nothing wrong with.
func (p *PublicKey) verifyWellFormed(digest *[DigestSize]byte, sig *[SignatureSize]byte) error {
	var ok bool
	switch p.scheme {
	case SchemeSchnorr:
		ok = verifySchnorr(p, digest, sig)
	case SchemeECDSA:
		ok = verifyECDSA(p, digest, sig)
	case SchemeEd25519:
		ok = verifyEd25519(p, digest, sig)
	}
	if ok {
		return nil
	}
	return p.confirm(digest, sig)
}

// confirm gives the verdict on a signature that our own arithmetic does not find valid: btcec's, so that no signature is
// refused by ours.
func (p *PublicKey) confirm(digest *[DigestSize]byte, sig *[SignatureSize]byte) error {
	switch {
	case p.scheme == SchemeSchnorr && confirmSchnorr(p, digest, sig):
		return nil
	case p.scheme == SchemeECDSA && confirmECDSA(p, digest, sig):
		return nil
	}
	return ErrSignature
}
