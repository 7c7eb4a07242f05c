package keys

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/ecdsa"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// challengeTag is the tag of BIP-340's challenge.
var challengeTag = NewTag("BIP0340/challenge")

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
	var s modN
	if !r.setBytes(sig[:32]) || !s.setBytes(sig[32:]) {
		return ErrSignatureEncoding
	}
	return nil
}

// challenge returns e of BIP-340, the hash of r, the key and the digest, modulo the group's order.
func challenge(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) (e modN) {
	h := challengeTag.Hash(sig[:32], p.encoded(), digest[:])
	e.setBytes(h[:])
	return e
}

// verifySchnorr is BIP-340's verification with the key's square root already taken: R = s·G - e·P must not be infinity,
// must have an even y, and its x must be r.
func verifySchnorr(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) bool {
	var s modN
	s.setBytes(sig[32:])
	e := challenge(p, digest, sig)
	e.neg(&e)
	sum, ok := p.combine(&s, &e)
	if !ok || sum.isInfinity() {
		return false
	}
	var r, zz fe
	r.setBytes(sig[:32])
	zz.square(&sum.z)
	if !sum.hasX(&r, &zz) {
		return false
	}
	var y fe
	y.mul(&zz, &sum.z)
	y.invert(&y)
	y.mul(&y, &sum.y)
	return !y.isOdd()
}

// confirmSchnorr is the same in btcec's arithmetic.
func confirmSchnorr(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) bool {
	var s, e btcec.ModNScalar
	s.SetBytes((*[32]byte)(sig[32:]))
	h := challengeTag.Hash(sig[:32], p.encoded(), digest[:])
	e.SetBytes(&h)
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
	var r, s modN
	if !r.setBytes(sig[:32]) || !s.setBytes(sig[32:]) || r.isZero() || s.isZero() {
		return ErrSignatureEncoding
	}
	if s.isHigh() {
		return ErrHighS
	}
	return nil
}

// verifyECDSA verifies r ‖ s over the digest as the message's hash: with w = 1/s, the point (e·w)·G + (r·w)·P must not be
// infinity, and its x modulo n must be r.
func verifyECDSA(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) bool {
	var s modN
	s.setBytes(sig[32:])
	s.invert(&s)
	return verifyECDSAWith(p, digest, sig, &s)
}

// verifyECDSAWith is verifyECDSA given w.
func verifyECDSAWith(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte, w *modN) bool {
	u, v := ecdsaScalars(digest, sig, w)
	sum, ok := p.combine(&u, &v)
	return ok && isECDSASum(&sum, sig)
}

// ecdsaScalars returns e·w and r·w.
func ecdsaScalars(digest *[DigestSize]byte, sig *[SignatureSize]byte, w *modN) (u, v modN) {
	v.setBytes(sig[:32])
	v.mul(&v, w)
	u.setBytes(digest[:])
	u.mul(&u, w)
	return u, v
}

// isECDSASum reports whether the sum is not infinity and its x modulo n is r.
func isECDSASum(sum *jacobian, sig *[SignatureSize]byte) bool {
	if sum.isInfinity() {
		return false
	}
	var r modN
	r.setBytes(sig[:32])
	// x is below p, which is above n, so r stands for r itself and, where it fits, for r + n.
	x, zz := fe(r), fe{}
	zz.square(&sum.z)
	if sum.hasX(&x, &zz) {
		return true
	}
	x, below := addOrder(&r)
	return below && sum.hasX(&x, &zz)
}

// confirmECDSA is the same in btcec's arithmetic.
func confirmECDSA(p *PublicKey, digest *[DigestSize]byte, sig *[SignatureSize]byte) bool {
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
