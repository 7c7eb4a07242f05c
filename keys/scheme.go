package keys

import "fmt"

// Scheme is a signature scheme. Its numbers equal the wire's enum and are stored in the ledger's state, so
// they never change. Zero is no scheme.
type Scheme uint32

// The signature schemes of the ledger.
const (
	// SchemeSchnorr is BIP-340 Schnorr over secp256k1. It verifies in batches.
	SchemeSchnorr Scheme = 1

	// SchemeECDSA is ECDSA over secp256k1 with low s, what key management services can be made to give.
	SchemeECDSA Scheme = 2

	// SchemeEd25519 is Ed25519 with the verification rules of ZIP-215.
	SchemeEd25519 Scheme = 3
)

// Lengths in bytes that all schemes share.
const (
	// DigestSize is the length of what is signed: a hash, for every scheme.
	DigestSize = 32

	// SignatureSize is the length of a signature of any scheme.
	SignatureSize = 64

	// PrivateKeySize is the length of a private key of any scheme.
	PrivateKeySize = 32

	// MaxPublicKeySize is the length of the longest public key, ECDSA's.
	MaxPublicKeySize = 33
)

// String returns the scheme's name: "schnorr", "ecdsa" or "ed25519".
func (s Scheme) String() string {
	switch s {
	case SchemeSchnorr:
		return "schnorr"
	case SchemeECDSA:
		return "ecdsa"
	case SchemeEd25519:
		return "ed25519"
	default:
		return fmt.Sprintf("scheme(%d)", uint32(s))
	}
}

// Valid reports whether the scheme is one of the constants above.
func (s Scheme) Valid() bool { return s.PublicKeySize() != 0 }

// PublicKeySize returns the length in bytes of the scheme's public keys, or 0 for an unknown scheme.
func (s Scheme) PublicKeySize() int {
	switch s {
	case SchemeSchnorr, SchemeEd25519:
		return 32
	case SchemeECDSA:
		return 33
	default:
		return 0
	}
}

// ParseScheme is the inverse of [Scheme.String]. It returns ErrScheme for any other text.
func ParseScheme(name string) (Scheme, error) {
	for _, s := range [...]Scheme{SchemeSchnorr, SchemeECDSA, SchemeEd25519} {
		if s.String() == name {
			return s, nil
		}
	}
	return 0, fmt.Errorf("%w: %.32q is not one of schnorr, ecdsa, ed25519", ErrScheme, name)
}
