package token

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/althing-ledger/althing/keys"
)

const chainID = "test-0123abcd"

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func keyOf(t testing.TB, scheme keys.Scheme, seed byte) keys.PrivateKey {
	t.Helper()
	key, err := keys.ParsePrivateKey(scheme, bytes.Repeat([]byte{seed}, keys.PrivateKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func standard() Claims {
	return Claims{Account: "acme/alice", ChainID: chainID, IssuedAt: noon, ExpiresAt: noon.Add(5 * time.Minute)}
}

// TestSignAndVerify makes tokens with both algorithms: they are right under their key and under no other.
func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	for _, scheme := range []keys.Scheme{keys.SchemeECDSA, keys.SchemeEd25519} {
		said := standard()
		said.NotBefore, said.ID = noon.Add(time.Second), "7"
		key := keyOf(t, scheme, 1)
		text, err := Sign(key, said)
		if err != nil {
			t.Fatal(err)
		}
		read, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(read.Account, read.ChainID, read.ID, read.IssuedAt.UTC(), read.NotBefore.UTC(), read.ExpiresAt.UTC()); got !=
			fmt.Sprint(said.Account, said.ChainID, said.ID, said.IssuedAt, said.NotBefore, said.ExpiresAt) {
			t.Errorf("read %s", got)
		}
		if err := read.Verify(key.Public()); err != nil {
			t.Errorf("%v: %v", scheme, err)
		}
		if err := read.Verify(keyOf(t, scheme, 2).Public()); !errors.Is(err, ErrSignature) {
			t.Errorf("%v: another key: %v", scheme, err)
		}
		if err := read.Verify(keyOf(t, keys.SchemeSchnorr, 1).Public()); !errors.Is(err, ErrAlgorithm) {
			t.Errorf("%v: a key of another scheme: %v", scheme, err)
		}
		for i := range len(text) {
			if text[i] == '.' {
				continue
			}
			other := byte('A')
			if text[i] == other {
				other = 'B'
			}
			changed, err := Parse(text[:i] + string(other) + text[i+1:])
			if err == nil && changed.Verify(key.Public()) == nil {
				t.Fatalf("%v: byte %d may be another", scheme, i)
			}
		}
	}
	if _, err := Sign(keyOf(t, keys.SchemeSchnorr, 1), standard()); !errors.Is(err, ErrAlgorithm) {
		t.Errorf("a Schnorr key: %v", err)
	}
	if _, err := Sign(keyOf(t, keys.SchemeECDSA, 1), Claims{ChainID: chainID}); !errors.Is(err, ErrMalformed) {
		t.Errorf("nobody's token: %v", err)
	}
}

// TestCheck compares claims with the network, the clock and the longest life, each at its edge.
func TestCheck(t *testing.T) {
	t.Parallel()
	second := time.Second
	for name, c := range map[string]struct {
		change func(*Claims)
		want   error
	}{
		"good":                       {func(*Claims) {}, nil},
		"another network":            {func(c *Claims) { c.ChainID = "test-0123abce" }, ErrNetwork},
		"a minute ahead":             {func(c *Claims) { c.IssuedAt = noon.Add(Leeway) }, nil},
		"more than a minute ahead":   {func(c *Claims) { c.IssuedAt = noon.Add(Leeway + second) }, ErrEarly},
		"begins in a minute":         {func(c *Claims) { c.NotBefore = noon.Add(Leeway) }, nil},
		"begins later":               {func(c *Claims) { c.NotBefore = noon.Add(Leeway + second) }, ErrEarly},
		"ends in a second":           {func(c *Claims) { c.ExpiresAt = noon.Add(second) }, nil},
		"ends now":                   {func(c *Claims) { c.ExpiresAt = noon }, ErrExpired},
		"as long as allowed":         {func(c *Claims) { c.ExpiresAt = noon.Add(15 * time.Minute) }, nil},
		"a second longer":            {func(c *Claims) { c.ExpiresAt = noon.Add(15*time.Minute + second) }, ErrLifetime},
		"old and longer":             {func(c *Claims) { c.IssuedAt = noon.Add(-time.Hour) }, ErrLifetime},
		"ends before it was made":    {func(c *Claims) { c.IssuedAt, c.ExpiresAt = noon.Add(Leeway), noon.Add(second) }, nil},
		"from the beginning of time": {func(c *Claims) { c.IssuedAt, c.ExpiresAt = time.Unix(0, 0), time.Unix(maxTime, 0) }, ErrLifetime},
	} {
		said := standard()
		c.change(&said)
		if err := (&Token{Claims: said}).Check(chainID, noon, 15*time.Minute); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// part encodes a part of a token.
func part(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// TestParseRefuses gives what is no token of ours.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const (
		head = `{"alg":"EdDSA","typ":"JWT"}`
		body = `{"sub":"acme/alice","aud":"test-0123abcd","iat":1,"exp":2}`
	)
	signature := part(strings.Repeat("s", 64))
	if _, err := Parse(part(head) + "." + part(body) + "." + signature); err != nil {
		t.Fatal(err)
	}
	with := func(h, b string) string { return part(h) + "." + part(b) + "." + signature }
	claim := func(more string) string { return with(head, body[:len(body)-1]+more+"}") }
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"nothing":              {"", ErrMalformed},
		"two parts":            {part(head) + "." + part(body), ErrMalformed},
		"four parts":           {with(head, body) + ".", ErrMalformed},
		"too long":             {with(head, body[:len(body)-1]+`,"x":"`+strings.Repeat("x", MaxSize)+`"}`), ErrMalformed},
		"padding":              {part(head) + "=." + part(body) + "." + signature, ErrMalformed},
		"a line break":         {part(head) + "." + part(body) + ".\n" + signature, ErrMalformed},
		"a line break within":  {part(head) + "." + part(body)[:8] + "\r\n" + part(body)[8:] + "." + signature, ErrMalformed},
		"base64, not url":      {with(head, body)[:len(with(head, body))-2] + "+/", ErrMalformed},
		"short signature":      {part(head) + "." + part(body) + "." + part("s"), ErrMalformed},
		"no signature":         {part(head) + "." + part(body) + ".", ErrMalformed},
		"none":                 {with(`{"alg":"none"}`, body), ErrAlgorithm},
		"None":                 {with(`{"alg":"None"}`, body), ErrAlgorithm},
		"HS256":                {with(`{"alg":"HS256"}`, body), ErrAlgorithm},
		"ES256":                {with(`{"alg":"ES256"}`, body), ErrAlgorithm},
		"eddsa":                {with(`{"alg":"eddsa"}`, body), ErrAlgorithm},
		"no algorithm":         {with(`{"typ":"JWT"}`, body), ErrAlgorithm},
		"algorithm a number":   {with(`{"alg":1}`, body), ErrMalformed},
		"algorithm null":       {with(`{"alg":null}`, body), ErrMalformed},
		"ALG":                  {with(`{"ALG":"EdDSA"}`, body), ErrAlgorithm},
		"two algorithms":       {with(`{"alg":"EdDSA","alg":"EdDSA"}`, body), ErrMalformed},
		"another type":         {with(`{"alg":"EdDSA","typ":"at+jwt"}`, body), ErrMalformed},
		"critical":             {with(`{"alg":"EdDSA","crit":["b64"],"b64":false}`, body), ErrMalformed},
		"nothing critical":     {with(`{"alg":"EdDSA","crit":null}`, body), ErrMalformed},
		"kid a list":           {with(`{"alg":"EdDSA","kid":[]}`, body), ErrMalformed},
		"header a list":        {with(`["alg","EdDSA"]`, body), ErrMalformed},
		"header cut":           {with(`{"alg":"EdDSA"`, body), ErrMalformed},
		"header and more":      {with(`{"alg":"EdDSA"}{}`, body), ErrMalformed},
		"claims null":          {with(head, `null`), ErrMalformed},
		"claims empty":         {with(head, `{}`), ErrMalformed},
		"no sub":               {with(head, `{"aud":"test-0123abcd","iat":1,"exp":2}`), ErrMalformed},
		"no aud":               {with(head, `{"sub":"acme/alice","iat":1,"exp":2}`), ErrMalformed},
		"no iat":               {with(head, `{"sub":"acme/alice","aud":"test-0123abcd","exp":2}`), ErrMalformed},
		"no exp":               {with(head, `{"sub":"acme/alice","aud":"test-0123abcd","iat":1}`), ErrMalformed},
		"two subs":             {claim(`,"sub":"acme/bob"`), ErrMalformed},
		"two subs, one quoted": {claim(`,"s\u0075b":"acme/bob"`), ErrMalformed},
		"two of the unknown":   {claim(`,"x":1,"x":2`), ErrMalformed},
		"not UTF-8":            {claim(",\"x\":\"\xff\""), ErrMalformed},
		"jti a number":         {claim(`,"jti":1`), ErrMalformed},
		"jti long":             {claim(`,"jti":"` + strings.Repeat("x", maxText+1) + `"`), ErrMalformed},
		"nbf a text":           {claim(`,"nbf":"1"`), ErrMalformed},
		"nbf null":             {claim(`,"nbf":null`), ErrMalformed},
		"nbf negative":         {claim(`,"nbf":-1`), ErrMalformed},
		"nbf far away":         {claim(`,"nbf":1e300`), ErrMalformed},
		"nbf beyond numbers":   {claim(`,"nbf":1e999`), ErrMalformed},
		"no account":           {with(head, `{"sub":"acme","aud":"test-0123abcd","iat":1,"exp":2}`), ErrMalformed},
		"aud empty":            {with(head, `{"sub":"acme/alice","aud":"","iat":1,"exp":2}`), ErrMalformed},
		"aud no list":          {with(head, `{"sub":"acme/alice","aud":{},"iat":1,"exp":2}`), ErrMalformed},
		"aud nobody":           {with(head, `{"sub":"acme/alice","aud":[],"iat":1,"exp":2}`), ErrMalformed},
		"aud two":              {with(head, `{"sub":"acme/alice","aud":["test-0123abcd","test-0123abcd"],"iat":1,"exp":2}`), ErrMalformed},
		"aud a list of null":   {with(head, `{"sub":"acme/alice","aud":[null],"iat":1,"exp":2}`), ErrMalformed},
	} {
		if _, err := Parse(c.text); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	for name, text := range map[string]string{
		"no type":         with(`{"alg":"EdDSA"}`, body),
		"small type":      with(`{"alg":"EdDSA","typ":"jwt"}`, body),
		"a key id":        with(`{"alg":"EdDSA","kid":"1"}`, body),
		"unknown header":  with(`{"alg":"EdDSA","jku":"https://example.com"}`, body),
		"unknown claim":   claim(`,"scope":["read"]`),
		"list of one":     with(head, `{"sub":"acme/alice","aud":["test-0123abcd"],"iat":1,"exp":2}`),
		"parts of second": with(head, `{"sub":"acme/alice","aud":"test-0123abcd","iat":1.25,"exp":2e0}`),
	} {
		if _, err := Parse(text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLibraryReadsOurs has a common library read our EdDSA tokens, and reads those that it makes.
func TestLibraryReadsOurs(t *testing.T) {
	t.Parallel()
	key := keyOf(t, keys.SchemeEd25519, 3)
	private := ed25519.NewKeyFromSeed(key.Bytes())
	ours, err := Sign(key, standard())
	if err != nil {
		t.Fatal(err)
	}
	read, err := jwt.Parse(ours, func(*jwt.Token) (any, error) { return private.Public(), nil },
		jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithAudience(chainID), jwt.WithSubject("acme/alice"),
		jwt.WithIssuedAt(), jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return noon }))
	if err != nil || !read.Valid {
		t.Errorf("the library reads ours: %v", err)
	}
	made := jwt.NewWithClaims(jwt.SigningMethodEdDSA, jwt.RegisteredClaims{
		Subject: "acme/alice", Audience: jwt.ClaimStrings{chainID}, IssuedAt: jwt.NewNumericDate(noon),
		ExpiresAt: jwt.NewNumericDate(noon.Add(time.Minute)), NotBefore: jwt.NewNumericDate(noon), ID: "1",
	})
	made.Header["kid"] = "first"
	theirs, err := made.SignedString(private)
	if err != nil {
		t.Fatal(err)
	}
	verifyTheirs(t, theirs, key.Public())
}

func verifyTheirs(t *testing.T, theirs string, key keys.PublicKey) {
	t.Helper()
	token, err := Parse(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if err := token.Check(chainID, noon, time.Minute); err != nil {
		t.Error(err)
	}
	if err := token.Verify(key); err != nil {
		t.Error(err)
	}
}

// es256k is the algorithm as the library wants it. It is handed over, not registered.
type es256k struct{ high bool }

func (es256k) Alg() string       { return "ES256K" }
func (es256k) Hash() crypto.Hash { return crypto.SHA256 }

func (es256k) Verify(signed string, signature []byte, key any) error {
	return key.(keys.PublicKey).Verify(sha256.Sum256([]byte(signed)), signature)
}

// Sign gives the higher of the two s where it is told to, as libraries do every other time.
func (m es256k) Sign(signed string, key any) ([]byte, error) {
	signature, err := key.(keys.PrivateKey).Sign(sha256.Sum256([]byte(signed)))
	if err == nil && m.high {
		s := new(big.Int).SetBytes(signature[32:])
		s.Sub(new(big.Int).SetBytes([]byte(groupOrder)), s).FillBytes(signature[32:])
	}
	return signature, err
}

// TestEitherS takes both signatures that ECDSA has for a token.
func TestEitherS(t *testing.T) {
	t.Parallel()
	key := keyOf(t, keys.SchemeECDSA, 3)
	for _, high := range []bool{false, true} {
		theirs, err := jwt.NewWithClaims(es256k{high}, jwt.MapClaims{
			"sub": "acme/alice", "aud": chainID, "iat": noon.Unix(), "exp": noon.Add(time.Minute).Unix(),
		}).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		verifyTheirs(t, theirs, key.Public())
	}
	// What is no number of the group is not made into one.
	for _, s := range []string{strings.Repeat("\x00", 32), groupOrder, strings.Repeat("\xff", 32)} {
		broken := &Token{scheme: keys.SchemeECDSA}
		broken.signature[31] = 1
		copy(broken.signature[32:], s)
		if err := broken.Verify(key.Public()); !errors.Is(err, ErrSignature) {
			t.Errorf("s of %x: %v", s, err)
		}
	}
}

// TestKnownES256K makes and verifies a signature that another implementation gives (did-jwt, createJWS): RFC 6979 makes it
// the same.
func TestKnownES256K(t *testing.T) {
	t.Parallel()
	const (
		private   = "278a5de700e29faae8e40e366ec5012b5ec63d36ec77e8a2417154cc1d25383f"
		public    = "03fdd57adec3d438ea237fe46b33ee1e016eda6b585c3e27ea66686c2ea5358479"
		signed    = "eyJhbGciOiJFUzI1NksifQ.eyJzb21lIjoiZGF0YSJ9"
		signature = "dblNz-7BVLknOFIBPmt5VTG0MDls_Q69WI8OfQuqNdUp4y50-b8Ubn0xujm1ijfmfqRunpks5TyWqgMsQkR_GQ"
	)
	secret, err := hex.DecodeString(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.ParsePrivateKey(keys.SchemeECDSA, secret)
	if err != nil || hex.EncodeToString(key.Public().Bytes()) != public {
		t.Fatalf("the key is %v: %v", key.Public(), err)
	}
	got, err := sign(key, signed)
	if err != nil || base64.RawURLEncoding.EncodeToString(got) != signature {
		t.Errorf("signed: %x %v", got, err)
	}
	known := &Token{scheme: keys.SchemeECDSA, signed: signed, signature: [64]byte(got)}
	if err := known.Verify(key.Public()); err != nil {
		t.Error(err)
	}
}

// TestKnownEdDSA is the example of RFC 8037, A.4.
func TestKnownEdDSA(t *testing.T) {
	t.Parallel()
	const (
		private   = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
		signed    = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"
		signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
	)
	secret, err := base64.RawURLEncoding.DecodeString(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err := keys.ParsePrivateKey(keys.SchemeEd25519, secret)
	if err != nil {
		t.Fatal(err)
	}
	got, err := sign(key, signed)
	if err != nil || base64.RawURLEncoding.EncodeToString(got) != signature {
		t.Errorf("signed: %x %v", got, err)
	}
	known := &Token{scheme: keys.SchemeEd25519, signed: signed, signature: [64]byte(got)}
	if err := known.Verify(key.Public()); err != nil {
		t.Error(err)
	}
}

// FuzzParse reads anything: what is a token says what the library finds in it, and nothing panics.
func FuzzParse(f *testing.F) {
	for _, scheme := range []keys.Scheme{keys.SchemeECDSA, keys.SchemeEd25519} {
		text, err := Sign(keyOf(f, scheme, 1), standard())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(part(`{"alg":"EdDSA","crit":[]}`) + "." + part(`{"sub":"acme/alice","aud":["a"],"iat":1.5,"exp":2}`) + "." + part(strings.Repeat("s", 64)))
	f.Add("..")
	key := keyOf(f, keys.SchemeECDSA, 1).Public()
	f.Fuzz(func(t *testing.T, text string) {
		read, err := Parse(text)
		if err != nil {
			return
		}
		if read.Account == "" || read.ChainID == "" || len(text) > MaxSize || !strings.HasPrefix(text, read.signed+".") {
			t.Fatalf("read %+v", read)
		}
		_ = read.Verify(key)
		_ = read.Check(chainID, noon, time.Minute)
		other := jwt.RegisteredClaims{}
		if _, _, err := jwt.NewParser().ParseUnverified(text, &other); err == nil {
			if other.Subject != read.Account || len(other.Audience) != 1 || other.Audience[0] != read.ChainID {
				t.Fatalf("the library reads %+v, we %+v", other, read.Claims)
			}
		}
	})
}
