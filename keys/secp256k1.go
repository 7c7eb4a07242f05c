package keys

import (
	"encoding/hex"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// challengeTag is the tag of BIP-340's challenge.
var challengeTag = NewTag("BIP0340/challenge")

// scalarConstant decodes 64 hex digits of a constant of this package.
func scalarConstant(digits string) (s btcec.ModNScalar) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 32 || s.SetByteSlice(b) {
		panic("keys: bad constant " + digits)
	}
	return s
}

// fieldVal converts a field element to btcec's type.
func fieldVal(z *fe) (f btcec.FieldVal) {
	b := z.bytes()
	f.SetBytes(&b)
	return f
}

// checkSchnorr refuses r at or above the field's prime and s at or above the group's order, as BIP-340 demands.
// btcec's own parser reduces such an s instead of refusing it, which would give a second encoding to a signature.
func checkSchnorr(sig *[SignatureSize]byte) error {
	var r fe
	var s btcec.ModNScalar
	if !r.setBytes(sig[:32]) || s.SetBytes((*[32]byte)(sig[32:])) != 0 {
		return ErrSignatureEncoding
	}
	return nil
}

// challenge returns e of BIP-340, the hash of r, the key and the digest, modulo the group's order.
func challenge(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) (e btcec.ModNScalar) {
	h := challengeTag.Hash(sig[:32], p.encoded(), digest[:])
	e.SetBytes(&h)
	return e
}

// verifySchnorr is BIP-340's verification with the key's square root already taken: R = s·G - e·P must not be infinity,
// must have an even y, and its x must be r.
func verifySchnorr(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) bool {
	var s btcec.ModNScalar
	s.SetBytes((*[32]byte)(sig[32:]))
	e := challenge(p, digest, sig)
	e.Negate()
	key := btcec.JacobianPoint{X: fieldVal(&p.point.x), Y: fieldVal(&p.point.y)}
	key.Z.SetInt(1)
	var sG, eP, r btcec.JacobianPoint
	btcec.ScalarBaseMultNonConst(&s, &sG)
	btcec.ScalarMultNonConst(&e, &key, &eP)
	btcec.AddNonConst(&sG, &eP, &r)
	if r.Z.IsZero() || (r.X.IsZero() && r.Y.IsZero()) {
		return false
	}
	r.ToAffine()
	var x btcec.FieldVal
	x.SetBytes((*[32]byte)(sig[:32]))
	return !r.Y.IsOdd() && x.Equals(&r.X)
}

// signSchnorr signs with the nonce that BIP-340 itself derives, with auxiliary randomness of zero, so that any other
// implementation gives the same bytes. btcec's default is a nonce of its own.
func signSchnorr(secret *[PrivateKeySize]byte, digest *[DigestSize]byte) ([]byte, error) {
	key, _ := btcec.PrivKeyFromBytes(secret[:])
	defer key.Zero()
	sig, err := schnorr.Sign(key, digest[:], schnorr.CustomNonce([32]byte{}))
	if err != nil {
		return nil, fmt.Errorf("sign with schnorr: %w", err)
	}
	return sig.Serialize(), nil
}

// checkECDSA refuses r and s outside 1 to n-1, and s above n/2.
func checkECDSA(sig *[SignatureSize]byte) error {
	var r, s btcec.ModNScalar
	if r.SetBytes((*[32]byte)(sig[:32])) != 0 || s.SetBytes((*[32]byte)(sig[32:])) != 0 || r.IsZero() || s.IsZero() {
		return ErrSignatureEncoding
	}
	if s.IsOverHalfOrder() {
		return ErrHighS
	}
	return nil
}

// verifyECDSA verifies r ‖ s over the digest as the message's hash.
func verifyECDSA(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) bool {
	var r, s btcec.ModNScalar
	r.SetBytes((*[32]byte)(sig[:32]))
	s.SetBytes((*[32]byte)(sig[32:]))
	x, y := fieldVal(&p.point.x), fieldVal(&p.point.y)
	return ecdsa.NewSignature(&r, &s).Verify(digest[:], btcec.NewPublicKey(&x, &y))
}

// signECDSA signs with the nonce of RFC 6979 and gives r ‖ s with the lower of the two s.
func signECDSA(secret *[PrivateKeySize]byte, digest *[DigestSize]byte) []byte {
	key, _ := btcec.PrivKeyFromBytes(secret[:])
	defer key.Zero()
	sig := ecdsa.Sign(key, digest[:])
	r, s := sig.R(), sig.S()
	if s.IsOverHalfOrder() {
		s.Negate()
	}
	out := make([]byte, SignatureSize)
	r.PutBytesUnchecked(out[:32])
	s.PutBytesUnchecked(out[32:])
	return out
}
