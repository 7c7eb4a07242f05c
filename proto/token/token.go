package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"time"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/names"
)

const (
	// MaxSize bounds a token in bytes. One of ours has about 350.
	MaxSize = 4 << 10

	// Leeway is how far the clock of whoever signs may be ahead of that of whoever checks.
	Leeway = time.Minute
)

// Claims is what a token says.
type Claims struct {
	Account   string // `sub`
	ChainID   string // `aud`
	IssuedAt  time.Time
	NotBefore time.Time // zero where the token does not say
	ExpiresAt time.Time
	ID        string // `jti`, empty where the token does not say
}

// Token is a token that was read: well-formed, and no more than that until it is checked and verified.
type Token struct {
	Claims
	scheme    keys.Scheme
	signed    string // header and claims as they came, with the dot between them
	signature [keys.SignatureSize]byte
}

// algorithms are the two that the ledger knows, and the schemes of keys that they belong to.
var algorithms = [...]struct {
	name   string
	scheme keys.Scheme
}{{"ES256K", keys.SchemeECDSA}, {"EdDSA", keys.SchemeEd25519}}

// header is the header of the tokens that Sign makes.
type header struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
}

// claims is the second part of the tokens that Sign makes.
type claims struct {
	Account   string `json:"sub"`
	ChainID   string `json:"aud"`
	IssuedAt  int64  `json:"iat"`
	NotBefore int64  `json:"nbf,omitempty"`
	ExpiresAt int64  `json:"exp"`
	ID        string `json:"jti,omitempty"`
}

// CanSign reports whether keys of a scheme sign tokens: ECDSA and Ed25519 do. It returns ErrAlgorithm for others.
func CanSign(scheme keys.Scheme) error {
	_, err := algorithmOf(scheme)
	return err
}

func algorithmOf(scheme keys.Scheme) (string, error) {
	for _, a := range algorithms {
		if a.scheme == scheme {
			return a.name, nil
		}
	}
	return "", fmt.Errorf("%w: no token is signed with a %s key: take an ecdsa (ES256K) or ed25519 (EdDSA) key", ErrAlgorithm, scheme)
}

// Sign returns a token in compact form. Times are cut to whole seconds. It returns ErrAlgorithm for a Schnorr key, and
// ErrMalformed for claims that Parse would refuse.
func Sign(key keys.PrivateKey, c Claims) (string, error) {
	algorithm, err := algorithmOf(key.Public().Scheme())
	if err != nil {
		return "", err
	}
	body := claims{Account: c.Account, ChainID: c.ChainID, IssuedAt: c.IssuedAt.Unix(), ExpiresAt: c.ExpiresAt.Unix(), ID: c.ID}
	if !c.NotBefore.IsZero() {
		body.NotBefore = c.NotBefore.Unix()
	}
	head, err := encode(header{algorithm, "JWT"})
	if err != nil {
		return "", err
	}
	said, err := encode(body)
	if err != nil {
		return "", err
	}
	signed := head + "." + said
	signature, err := sign(key, signed)
	if err != nil {
		return "", fmt.Errorf("sign a token of %s: %w", c.Account, err)
	}
	text := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if _, err := Parse(text); err != nil {
		return "", err
	}
	return text, nil
}

func encode(part any) (string, error) {
	data, err := json.Marshal(part)
	if err != nil {
		return "", fmt.Errorf("encode a token: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(data), nil
}

// sign signs the signing input of RFC 7515. ES256K signs its SHA-256, which is the digest that keys sign; EdDSA signs the
// text itself, where keys would sign a digest as if it were the message.
func sign(key keys.PrivateKey, signed string) ([]byte, error) {
	if key.Public().Scheme() == keys.SchemeECDSA {
		return key.Sign(sha256.Sum256([]byte(signed)))
	}
	seed := key.Bytes()
	defer clear(seed)
	private := ed25519.NewKeyFromSeed(seed)
	defer clear(private)
	return ed25519.Sign(private, []byte(signed)), nil
}

// Verify returns ErrSignature unless the token was signed with the key, and ErrAlgorithm for a key of another scheme.
func (t *Token) Verify(key keys.PublicKey) error {
	if key.Scheme() != t.scheme {
		return fmt.Errorf("%w: it needs a key of the scheme %s, not %s", ErrAlgorithm, t.scheme, key.Scheme())
	}
	var ok bool
	if t.scheme == keys.SchemeECDSA {
		low := lowS(t.signature)
		ok = key.Verify(sha256.Sum256([]byte(t.signed)), low[:]) == nil
	} else {
		ok = ed25519.Verify(key.Bytes(), []byte(t.signed), t.signature[:])
	}
	if !ok {
		return ErrSignature
	}
	return nil
}

// groupOrder is the order of secp256k1's group (SEC 2, 2.4.1), big endian.
const groupOrder = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xba\xae\xdc\xe6\xaf\x48\xa0\x3b\xbf\xd2\x5e\x8c\xd0\x36\x41\x41"

// lowS returns an ECDSA signature with the lower of the two s that are both right. RFC 8812 asks for neither, most libraries
// give either, and keys verifies the lower one only. What is no signature stays none.
func lowS(signature [keys.SignatureSize]byte) [keys.SignatureSize]byte {
	n, s := new(big.Int).SetBytes([]byte(groupOrder)), new(big.Int).SetBytes(signature[32:])
	other := new(big.Int).Sub(n, s)
	if other.Sign() > 0 && other.Cmp(s) < 0 {
		other.FillBytes(signature[32:])
	}
	return signature
}

// Check compares the claims with the network that is asked, its clock, and how long a token may live. It returns
// ErrNetwork, ErrEarly, ErrExpired or ErrLifetime. [Leeway] is allowed where a token begins, none where it ends: whoever
// signs can always make another.
func (t *Token) Check(chainID string, now time.Time, longest time.Duration) error {
	switch {
	case t.ChainID != chainID:
		return fmt.Errorf("%w: it is for %.80q, this is %s", ErrNetwork, t.ChainID, chainID)
	case t.IssuedAt.After(now.Add(Leeway)) || t.NotBefore.After(now.Add(Leeway)):
		return fmt.Errorf("%w: it begins at %s, here it is %s: compare the clocks", ErrEarly, instant(later(t.IssuedAt, t.NotBefore)), instant(now))
	case !t.ExpiresAt.After(now):
		return fmt.Errorf("%w: it ended at %s, here it is %s: sign another", ErrExpired, instant(t.ExpiresAt), instant(now))
	case t.ExpiresAt.Sub(t.IssuedAt) > longest:
		return fmt.Errorf("%w: it lives for %s, the charter allows %s: sign one that ends sooner", ErrLifetime, t.ExpiresAt.Sub(t.IssuedAt), longest)
	}
	return nil
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// checkNames refuses names that no ledger has.
func (c *Claims) checkNames() error {
	if _, err := names.Account(c.Account); err != nil {
		return fmt.Errorf("%w: sub: %w", ErrMalformed, err)
	}
	if c.ChainID == "" || len(c.ChainID) > maxText || len(c.ID) > maxText {
		return fmt.Errorf("%w: aud has 1 to %d bytes, jti at most as many", ErrMalformed, maxText)
	}
	return nil
}
