package keys

import (
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
)

// SignUnverified returns the bytes that [PrivateKey.Sign] returns, sooner: it does not verify what it has signed. That protects a
// secret against a machine that computes wrongly, so this is for keys that guard nothing, as those of a load generator. The
// errors are those of Sign.
func (k PrivateKey) SignUnverified(digest [DigestSize]byte) ([]byte, error) {
	if k.IsZero() || k.pub.scheme != SchemeSchnorr {
		return k.Sign(digest) // which verifies nothing for the other schemes
	}
	key, _ := btcec.PrivKeyFromBytes(k.secret.bytes[:])
	defer key.Zero()
	sig, err := schnorr.Sign(key, digest[:], schnorr.CustomNonce([32]byte{}), schnorr.FastSign())
	if err != nil {
		return nil, fmt.Errorf("sign with schnorr: %w", err)
	}
	return sig.Serialize(), nil
}
