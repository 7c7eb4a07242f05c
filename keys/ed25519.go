package keys

import (
	stded25519 "crypto/ed25519"
	"fmt"
	"sync/atomic"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"
)

// zip215 selects the rules of ZIP-215, with which verifying one signature and verifying a batch agree.
var zip215 = &ed25519.Options{Verify: ed25519.VerifyOptionsZIP_215}

// edKey is an Ed25519 key, decompressed: by the library, and when a batch in lanes first meets it, for those.
type edKey struct {
	expanded *ed25519.ExpandedPublicKey
	point    atomic.Pointer[edPoint]
}

// edPoint is a point for additions in lanes: the limbs of y + x, y - x and 2dxy, tight elements, and one word that nobody reads.
type edPoint [16]uint64

// expandEd25519 decompresses a key that may be registered. ZIP-215 would verify signatures under any decompressible
// key; as keys of the ledger we refuse second encodings and the keys of small order, under which anybody can sign.
func expandEd25519(b []byte) (*edKey, error) {
	var y curve.CompressedEdwardsY
	if _, err := y.SetBytes(b); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	if !y.IsCanonicalVartime() {
		return nil, fmt.Errorf("%w: ed25519 encoding is not canonical", ErrPublicKey)
	}
	var p curve.EdwardsPoint
	if _, err := p.SetCompressedY(&y); err != nil {
		return nil, fmt.Errorf("%w: y is not on the curve", ErrPublicKey)
	}
	if p.IsSmallOrder() {
		return nil, fmt.Errorf("%w: ed25519 point of small order", ErrPublicKey)
	}
	expanded, err := ed25519.NewExpandedPublicKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPublicKey, err)
	}
	return &edKey{expanded: expanded}, nil
}

// checkEd25519 refuses s at or above the group's order, a rule of ZIP-215 and RFC 8032.
func checkEd25519(sig *[SignatureSize]byte) error {
	if !scalar.ScMinimalVartime(sig[32:]) {
		return ErrSignatureEncoding
	}
	return nil
}

// verifyEd25519 verifies a signature of the digest as the message.
func verifyEd25519(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) bool {
	return ed25519.VerifyExpandedWithOptions(p.ed.expanded, digest[:], sig[:], zip215)
}

// signEd25519 signs the digest as the message, as in RFC 8032.
func signEd25519(seed *[PrivateKeySize]byte, digest *[DigestSize]byte) []byte {
	return stded25519.Sign(stded25519.NewKeyFromSeed(seed[:]), digest[:])
}
