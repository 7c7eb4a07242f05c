package keys

import (
	"bytes"
	stded25519 "crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"

	"github.com/btcsuite/btcd/btcec/v2"
)

// PrivateKey is a private key of one scheme together with its public key. It is immutable and safe for concurrent
// use. Printing, formatting or logging it never shows the secret; only [PrivateKey.Bytes] does. The zero value is no
// key and signs nothing.
type PrivateKey struct {
	secret *sealed // nil in the zero value
	pub    PublicKey
}

// sealed keeps a secret two pointers away from whoever prints a struct with an unexported field of type PrivateKey. fmt
// cannot call the methods of such a field and prints what it finds; for a verb that does not suit, it follows one
// pointer, and never two.
type sealed struct{ bytes *[PrivateKeySize]byte }

// maxDraws bounds how often Generate draws again. A draw is unusable with probability 2^-128.
const maxDraws = 8

// Generate returns a new private key from 32 bytes of random, the system's source if random is nil. The same bytes
// give the same key. It returns ErrScheme, or ErrRandom if the source fails or yields no usable key.
func Generate(scheme Scheme, random io.Reader) (PrivateKey, error) {
	if !scheme.Valid() {
		return PrivateKey{}, fmt.Errorf("%w: %d", ErrScheme, uint32(scheme))
	}
	if random == nil {
		random = rand.Reader
	}
	var b [PrivateKeySize]byte
	defer clear(b[:])
	for range maxDraws {
		if _, err := io.ReadFull(random, b[:]); err != nil {
			return PrivateKey{}, fmt.Errorf("%w: %w", ErrRandom, err)
		}
		if k, err := ParsePrivateKey(scheme, b[:]); err == nil {
			return k, nil
		}
	}
	return PrivateKey{}, fmt.Errorf("%w: %d draws were not a private key", ErrRandom, maxDraws)
}

// ParsePrivateKey decodes a private key, 32 bytes for every scheme: for Schnorr and ECDSA a big-endian number from 1 to
// the group's order less one, for Ed25519 the seed of RFC 8032. It returns ErrPrivateKey for anything else, without
// saying anything about the bytes but their number, and ErrScheme for an unknown scheme.
func ParsePrivateKey(scheme Scheme, b []byte) (PrivateKey, error) {
	if !scheme.Valid() {
		return PrivateKey{}, fmt.Errorf("%w: %d", ErrScheme, uint32(scheme))
	}
	if len(b) != PrivateKeySize {
		return PrivateKey{}, fmt.Errorf("%w: %d bytes, must be %d", ErrPrivateKey, len(b), PrivateKeySize)
	}
	secret := [PrivateKeySize]byte(b)
	var encoded []byte
	switch scheme {
	case SchemeSchnorr, SchemeECDSA:
		var d btcec.ModNScalar
		if d.SetBytes(&secret) != 0 || d.IsZero() {
			return PrivateKey{}, fmt.Errorf("%w: not between 1 and the group's order", ErrPrivateKey)
		}
		encoded = btcec.PrivKeyFromScalar(&d).PubKey().SerializeCompressed()
		d.Zero()
		if scheme == SchemeSchnorr {
			encoded = encoded[1:]
		}
	case SchemeEd25519:
		encoded = stded25519.NewKeyFromSeed(secret[:]).Public().(stded25519.PublicKey)
	}
	pub, err := ParsePublicKey(scheme, encoded)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: its public key: %w", ErrPrivateKey, err)
	}
	return PrivateKey{secret: &sealed{&secret}, pub: pub}, nil
}

// Public returns the public key.
func (k PrivateKey) Public() PublicKey { return k.pub }

// IsZero reports whether this is the zero value and not a key.
func (k PrivateKey) IsZero() bool { return k.secret == nil }

// Bytes returns a copy of the secret, 32 bytes as [ParsePrivateKey] takes them, or nothing for the zero key. For
// Ed25519 that is the seed; seed ‖ public key is the 64-byte form that many libraries want.
func (k PrivateKey) Bytes() []byte {
	if k.IsZero() {
		return nil
	}
	return bytes.Clone(k.secret.bytes[:])
}

// Sign returns the 64-byte signature of a digest: r ‖ s of BIP-340, r ‖ s big-endian with low s for ECDSA, R ‖ S of
// RFC 8032 with the digest as message. All three are deterministic: the same key and digest give the same bytes, and so
// does any other implementation (BIP-340 with zero auxiliary randomness, RFC 6979, RFC 8032). It returns
// ErrPrivateKey for the zero key.
func (k PrivateKey) Sign(digest [DigestSize]byte) ([]byte, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("%w: the zero key cannot sign", ErrPrivateKey)
	}
	switch k.pub.scheme {
	case SchemeSchnorr:
		return signSchnorr(k.secret.bytes, &digest)
	case SchemeECDSA:
		return signECDSA(k.secret.bytes, &digest), nil
	default:
		return signEd25519(k.secret.bytes, &digest), nil
	}
}

// String describes the key by its public key: "schnorr private key of <hex>".
func (k PrivateKey) String() string {
	if k.IsZero() {
		return "no private key"
	}
	return k.pub.scheme.String() + " private key of " + hex.EncodeToString(k.pub.encoded())
}

// Format writes what String returns, whatever the verb and the flags.
func (k PrivateKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue logs what String returns.
func (k PrivateKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses, so that no encoder writes a secret by accident. [SaveFile] writes key files.
func (k PrivateKey) MarshalText() ([]byte, error) {
	return nil, fmt.Errorf("%w: a private key is not marshalled, save it to a key file", ErrPrivateKey)
}
