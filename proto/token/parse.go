package token

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/althing-ledger/althing/keys"
)

const (
	// maxText bounds the texts in a token in bytes.
	maxText = 256

	// maxTime is the last second that a token may name: what an int64 of nanoseconds can hold, and whole in a float64.
	maxTime = 1 << 33
)

// Parse reads a token in compact form. It returns ErrMalformed or ErrAlgorithm for what no account of a ledger could have
// signed. No claim is compared with anything and no signature is verified.
func Parse(text string) (*Token, error) {
	if len(text) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d are read", ErrMalformed, len(text), MaxSize)
	}
	parts := strings.SplitN(text, ".", 4)
	if len(parts) != 3 {
		return nil, fmt.Errorf("%w: want three parts with dots between them", ErrMalformed)
	}
	t := &Token{signed: text[:len(parts[0])+1+len(parts[1])]}
	if err := t.readHeader(parts[0]); err != nil {
		return nil, err
	}
	if err := t.readClaims(parts[1]); err != nil {
		return nil, err
	}
	signature, err := decode(parts[2])
	if err != nil || len(signature) != len(t.signature) {
		return nil, fmt.Errorf("%w: the signature is not the base64url of %d bytes", ErrMalformed, len(t.signature))
	}
	t.signature = [keys.SignatureSize]byte(signature)
	return t, nil
}

// readHeader takes the algorithm from a header. A critical extension (RFC 7515, 4.1.11) would change what the token means,
// and this package knows none. Any other parameter does not matter: the ledger says which keys count.
func (t *Token) readHeader(part string) error {
	fields, err := object(part)
	if err != nil {
		return fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if fields["crit"] != nil {
		return fmt.Errorf("%w: header: it has critical extensions (crit), none is known", ErrMalformed)
	}
	var algorithm, kind, id string
	if err := errors.Join(read(fields, "alg", &algorithm), read(fields, "typ", &kind), read(fields, "kid", &id)); err != nil {
		return fmt.Errorf("%w: header: %w", ErrMalformed, err)
	}
	if fields["typ"] != nil && !strings.EqualFold(kind, "JWT") {
		return fmt.Errorf("%w: header: typ is %.40q, want JWT", ErrMalformed, kind)
	}
	for _, a := range algorithms {
		if a.name == algorithm {
			t.scheme = a.scheme
			return nil
		}
	}
	return fmt.Errorf("%w: alg is %.40q: sign with ES256K (secp256k1) or EdDSA (Ed25519)", ErrAlgorithm, algorithm)
}

func (t *Token) readClaims(part string) error {
	fields, err := object(part)
	if err != nil {
		return fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	for _, name := range [...]string{"sub", "aud", "iat", "exp"} {
		if fields[name] == nil {
			return fmt.Errorf("%w: claims: there is no %s", ErrMalformed, name)
		}
	}
	err = errors.Join(
		read(fields, "sub", &t.Account), readAudience(fields["aud"], &t.ChainID), read(fields, "jti", &t.ID),
		readTime(fields, "iat", &t.IssuedAt), readTime(fields, "nbf", &t.NotBefore), readTime(fields, "exp", &t.ExpiresAt),
	)
	if err != nil {
		return fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}
	return t.checkNames()
}

// decode decodes base64url without padding. The standard decoder passes over line breaks, which no token has.
func decode(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") {
		return nil, errors.New("a line break")
	}
	return base64.RawURLEncoding.Strict().DecodeString(part)
}

// object decodes a part into the members of its JSON object. Of two members of one name, readers differ in which they
// believe, so there must not be two.
func object(part string) (map[string]json.RawMessage, error) {
	data, err := decode(part)
	if err != nil {
		return nil, errors.New("not base64url without padding")
	}
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if begin, err := d.Token(); err != nil || begin != json.Delim('{') {
		return nil, errors.New("not a JSON object")
	}
	fields := map[string]json.RawMessage{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, errors.New("not JSON")
		}
		key, _ := name.(string) // The decoder has no other token in the place of a name.
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("%.40q stands twice", key)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, errors.New("not JSON")
		}
		fields[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errors.New("not JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON")
	}
	return fields, nil
}

// read reads a text where there is one.
func read(fields map[string]json.RawMessage, name string, to *string) error {
	raw, has := fields[name]
	if !has {
		return nil
	}
	if raw[0] != '"' || json.Unmarshal(raw, to) != nil || len(*to) > maxText {
		return fmt.Errorf("%s is not a text of at most %d bytes", name, maxText)
	}
	return nil
}

// readAudience reads the one audience of a token: a text, or a list of one.
func readAudience(raw json.RawMessage, to *string) error {
	if raw[0] == '"' {
		return read(map[string]json.RawMessage{"aud": raw}, "aud", to)
	}
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil || len(list) != 1 {
		return errors.New("aud is not one network: a token for several would serve whoever sees it in one to read the others")
	}
	return read(map[string]json.RawMessage{"aud": list[0]}, "aud", to)
}

// readTime reads a NumericDate (RFC 7519, 2) where there is one: seconds since 1970, which may have a fraction.
func readTime(fields map[string]json.RawMessage, name string, to *time.Time) error {
	raw, has := fields[name]
	if !has {
		return nil
	}
	var seconds float64
	if raw[0] == 'n' || json.Unmarshal(raw, &seconds) != nil || seconds < 0 || seconds > maxTime {
		return fmt.Errorf("%s is not a number of seconds since 1970", name)
	}
	whole, fraction := math.Modf(seconds)
	*to = time.Unix(int64(whole), int64(fraction*1e9))
	return nil
}
