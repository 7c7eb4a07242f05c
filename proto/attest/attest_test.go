package attest

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	cose "github.com/veraison/go-cose"
)

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(k ed25519.PrivateKey) []byte { return k.Public().(ed25519.PublicKey) }

func statement() Statement {
	return Statement{
		Node: "acme-1", IssuedAt: time.Unix(1_800_000_000, 0).UTC(), ChainID: "test-01234567", GenesisHash: [32]byte{1}, ID: [32]byte{2},
		Height: 70_000, Index: 300, Code: 104, Time: time.Unix(1_799_999_999, 5).UTC(), BlockHash: [32]byte{3}, AppHash: [32]byte{4},
	}
}

func sign(t testing.TB, s Statement) []byte {
	t.Helper()
	message, err := Sign(s, key("acme-1"))
	if err != nil {
		t.Fatal(err)
	}
	return message
}

func TestCheck(t *testing.T) {
	t.Parallel()
	message := sign(t, statement())
	got, err := Check(message, public(key("acme-1")))
	if err != nil || got != statement() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := Check(message, public(key("acme-2"))); !errors.Is(err, ErrInvalid) {
		t.Errorf("by another key: %v", err)
	}
	if _, err := Check(message, public(key("acme-1"))[1:]); !errors.Is(err, ErrInvalid) {
		t.Errorf("by no key: %v", err)
	}
	// Whoever knows COSE alone can check it.
	verifier, err := cose.NewVerifier(cose.AlgorithmEdDSA, key("acme-1").Public())
	if err != nil {
		t.Fatal(err)
	}
	var m cose.Sign1Message
	if err := errors.Join(m.UnmarshalCBOR(message), m.Verify(nil, verifier)); err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := cbor.Unmarshal(m.Payload, &claims); err != nil || claims["says"] != Says || claims["height"] != uint64(70_000) {
		t.Errorf("the payload is %v, %v", claims, err)
	}
	t.Logf("%d bytes", len(message))
}

// TestNoByteIsFree changes each bit of a message, cuts it and adds to it.
func TestNoByteIsFree(t *testing.T) {
	t.Parallel()
	message := sign(t, statement())
	for i := range message {
		for bit := range 8 {
			changed := bytes.Clone(message)
			changed[i] ^= 1 << bit
			if s, err := Check(changed, public(key("acme-1"))); !errors.Is(err, ErrInvalid) {
				t.Errorf("bit %d of byte %d changed: %+v, %v", bit, i, s, err)
			}
		}
		if _, err := Check(message[:i], public(key("acme-1"))); !errors.Is(err, ErrInvalid) {
			t.Errorf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := Check(append(bytes.Clone(message), 0), public(key("acme-1"))); !errors.Is(err, ErrInvalid) {
		t.Error("with a byte more it passes")
	}
}

// TestOtherMessages has the right key sign what is no attestation.
func TestOtherMessages(t *testing.T) {
	t.Parallel()
	signer, err := cose.NewSigner(cose.AlgorithmEdDSA, key("acme-1"))
	if err != nil {
		t.Fatal(err)
	}
	encode := func(v any) []byte {
		b, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, change := range map[string]func(*cose.Sign1Message){
		"as it is":            nil,
		"an open header":      func(m *cose.Sign1Message) { m.Headers.Unprotected[cose.HeaderLabelKeyID] = []byte("acme-2") },
		"another header":      func(m *cose.Sign1Message) { m.Headers.Protected["extra"] = "x" },
		"another type":        func(m *cose.Sign1Message) { m.Headers.Protected[cose.HeaderLabelContentType] = "text/plain" },
		"another node":        func(m *cose.Sign1Message) { m.Headers.Protected[cose.HeaderLabelKeyID] = []byte("acme-2") },
		"no node":             func(m *cose.Sign1Message) { delete(m.Headers.Protected, cose.HeaderLabelKeyID) },
		"no claims":           func(m *cose.Sign1Message) { delete(m.Headers.Protected, cose.HeaderLabelCWTClaims) },
		"another time":        func(m *cose.Sign1Message) { m.Headers.Protected[cose.HeaderLabelCWTClaims] = map[int]any{6: "now"} },
		"no payload":          func(m *cose.Sign1Message) { m.Payload = []byte{} },
		"a list":              func(m *cose.Sign1Message) { m.Payload = encode([]int{1}) },
		"an empty map":        func(m *cose.Sign1Message) { m.Payload = encode(map[string]int{}) },
		"an unknown field":    func(m *cose.Sign1Message) { m.Payload = encode(map[string]any{"format": 1, "more": 1}) },
		"a newer format":      func(m *cose.Sign1Message) { m.Payload = encode(map[string]any{"format": 2}) },
		"a short hash":        func(m *cose.Sign1Message) { m.Payload = encode(map[string]any{"format": 1, "tx": []byte{1}}) },
		"a map with too much": func(m *cose.Sign1Message) { m.Payload = append([]byte{0xbb, 1, 0, 0, 0, 0, 0, 0, 0}, m.Payload...) },
		"deep nesting":        func(m *cose.Sign1Message) { m.Payload = bytes.Repeat([]byte{0x81}, 1000) },
		"other words": func(m *cose.Sign1Message) {
			m.Payload = bytes.Replace(m.Payload, []byte("no proof"), []byte("my proof"), 1)
		},
		"an overlong message": func(m *cose.Sign1Message) { m.Payload = append(m.Payload, make([]byte, MaxSize)...) },
	} {
		m, err := statement().message()
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(m)
		}
		if err := m.Sign(rand.Reader, nil, signer); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		message, err := m.MarshalCBOR()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s, err := Check(message, public(key("acme-1"))); (err == nil) != (change == nil) || (err != nil && !errors.Is(err, ErrInvalid)) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Statement){
		"no node":         func(s *Statement) { s.Node = "" },
		"a bad node":      func(s *Statement) { s.Node = "Acme 1" },
		"no network":      func(s *Statement) { s.ChainID = "" },
		"a long network":  func(s *Statement) { s.ChainID = strings.Repeat("x", maxChainID+1) },
		"no height":       func(s *Statement) { s.Height = 0 },
		"an early time":   func(s *Statement) { s.Time = time.Unix(-1, 0) },
		"an early signer": func(s *Statement) { s.IssuedAt = time.Unix(-1, 0) },
	} {
		s := statement()
		change(&s)
		if _, err := Sign(s, key("acme-1")); err == nil {
			t.Errorf("%s is signed", name)
		}
	}
}

func FuzzCheck(f *testing.F) {
	f.Add(sign(f, statement()))
	f.Add([]byte{0xd2, 0x84, 0x40, 0xa0, 0x40, 0x40})
	f.Add(bytes.Repeat([]byte{0xd2, 0x84}, 100))
	f.Fuzz(func(t *testing.T, message []byte) {
		s, err := Check(message, public(key("acme-1")))
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Errorf("%v is no verdict", err)
			}
			return
		}
		again, err := s.message()
		if err != nil || len(message) > MaxSize {
			t.Errorf("%x passes: %v, %v", message, again, err)
		}
	})
}
