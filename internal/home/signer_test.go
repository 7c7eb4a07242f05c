package home

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

const testChain = "local-12345678"

func load(t *testing.T, dir Dir, passphrase []byte) *Home {
	t.Helper()
	h, err := LoadWithPassphrase(string(dir), passphrase)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestKeysArePreparedAndSwitched(t *testing.T) {
	t.Parallel()
	for _, passphrase := range [][]byte{nil, []byte("open sesame")} {
		o := validator(t)
		o.Passphrase = passphrase
		dir := made(t, o)
		h := load(t, dir, passphrase)
		vote, err := h.PrepareValidatorKey(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if again, err := h.PrepareValidatorKey(t.Context()); err != nil || !bytes.Equal(again.PublicKey, vote.PublicKey) {
			t.Errorf("prepared twice: %x, %v", again.PublicKey, err)
		}
		node, err := h.PrepareNodeKey()
		if err != nil {
			t.Fatal(err)
		}
		present, err := h.ValidatorKeyProof(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for use, keys := range map[tx.Use][]NewKey{tx.UseValidator: {vote, present}, tx.UseNode: {node}} {
			for _, key := range keys {
				if err := tx.CheckPossession(key.PublicKey, key.Proof, use, "acme-1", "acme"); err != nil {
					t.Error(err)
				}
			}
		}
		h = load(t, dir, passphrase)
		if !bytes.Equal(h.NextValidatorKey.Public().Bytes(), vote.PublicKey) || !bytes.Equal(h.NextNodeKey.Public().Bytes(), node.PublicKey) {
			t.Error("the prepared keys are not loaded")
		}
		if err := h.SwitchNodeKey(vote.PublicKey); !errors.Is(err, signer.ErrUnknownKey) {
			t.Errorf("switch to another key: %v", err)
		}
		for range 2 {
			if err := h.SwitchNodeKey(node.PublicKey); err != nil {
				t.Error(err)
			}
		}
		rotator, err := h.OpenSigner(testChain, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := rotator.Keep(t.Context(), vote.PublicKey, 10); err != nil {
			t.Error(err)
		}
		if err := rotator.Close(); err != nil {
			t.Error(err)
		}
		h = load(t, dir, passphrase)
		if !bytes.Equal(h.ValidatorKey.Public().Bytes(), vote.PublicKey) || !h.NextValidatorKey.IsZero() ||
			!bytes.Equal(h.NodeKey.Public().Bytes(), node.PublicKey) || !h.NextNodeKey.IsZero() {
			t.Error("the keys have not taken their places")
		}
	}
}

func TestPassphrase(t *testing.T) {
	t.Parallel()
	dir := made(t, validator(t))
	h := load(t, dir, nil)
	if _, err := h.PrepareValidatorKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Protect([]byte("open sesame")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir.NodeKey(), dir.ValidatorKey(), dir.NextValidatorKey()} {
		if _, err := keys.LoadFile(path); !errors.Is(err, keys.ErrPassphrase) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, passphrase := range []string{"", "open barley"} {
		if _, err := LoadWithPassphrase(string(dir), []byte(passphrase)); !errors.Is(err, ErrKey) || !errors.Is(err, keys.ErrPassphrase) {
			t.Errorf("with %q: %v", passphrase, err)
		}
	}
	h = load(t, dir, []byte("open sesame"))
	if !bytes.Equal(h.NodeKey.Bytes(), load(t, dir, []byte("open sesame")).NodeKey.Bytes()) {
		t.Error("the key has changed")
	}
	// The configuration says where it is: in the home, or anywhere.
	elsewhere := filepath.Join(t.TempDir(), "secret")
	mustWrite(t, elsewhere, "open sesame\n")
	mustWrite(t, filepath.Join(string(dir), "secret"), "open sesame\n")
	for _, file := range []string{"secret", elsewhere} {
		c := h.Config
		c.Signer.PassphraseFile = file
		content, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir.Config(), content, 0o600); err != nil {
			t.Fatal(err)
		}
		load(t, dir, nil)
	}
	if err := os.Chmod(elsewhere, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadWithPassphrase(string(dir), nil); !errors.Is(err, ErrKey) {
		t.Errorf("a passphrase that others can read: %v", err)
	}
}

// TestProtectIsFinished: the node key has the new passphrase already, the validator keys do not.
func TestProtectIsFinished(t *testing.T) {
	t.Parallel()
	dir := made(t, validator(t))
	was, is := []byte("open sesame"), []byte("open barley")
	h := load(t, dir, nil)
	if _, err := h.PrepareValidatorKey(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := h.Protect(was); err != nil {
		t.Fatal(err)
	}
	if err := dir.nodeKeys(is).Protect(was); err != nil {
		t.Fatal(err)
	}
	for _, passphrase := range [][]byte{was, is} {
		if _, err := LoadWithPassphrase(string(dir), passphrase); !errors.Is(err, keys.ErrPassphrase) {
			t.Fatalf("half of it: %v", err)
		}
	}
	half, err := LoadToProtect(string(dir), was, is)
	if err != nil {
		t.Fatal(err)
	}
	if err := half.Protect(is); err != nil {
		t.Fatal(err)
	}
	after := load(t, dir, is)
	if !bytes.Equal(after.NodeKey.Bytes(), h.NodeKey.Bytes()) || !bytes.Equal(after.ValidatorKey.Bytes(), h.ValidatorKey.Bytes()) || after.NextValidatorKey.IsZero() {
		t.Error("the keys have changed")
	}
}

// TestObserverGetsAKey makes the first key of a home, and finishes what was interrupted: a record without a key does not start.
func TestObserverGetsAKey(t *testing.T) {
	t.Parallel()
	o := validator(t)
	o.ValidatorKey = keys.PrivateKey{}
	dir := made(t, o)
	key, err := load(t, dir, nil).BeginValidatorKey(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.CheckPossession(key.PublicKey, key.Proof, tx.UseValidator, o.Config.Name, o.Config.Org); err != nil {
		t.Error(err)
	}
	if err := os.Rename(dir.ValidatorKey(), dir.NextValidatorKey()); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(string(dir)); !errors.Is(err, ErrKey) {
		t.Errorf("a record and a key that was prepared to follow one that is gone: %v", err)
	}
	if err := os.Rename(dir.NextValidatorKey(), dir.path("validator_key.first.json")); err != nil {
		t.Fatal(err)
	}
	if rotator, err := load(t, dir, nil).OpenSigner(testChain, nil); rotator != nil || !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "new-key") {
		t.Errorf("a record without its key: %v, %v", rotator, err)
	}
	if _, err := load(t, dir, nil).LastSigned(testChain); !errors.Is(err, ErrKey) {
		t.Errorf("the newest vote of a record without its key: %v", err)
	}
	for range 2 {
		again, err := load(t, dir, nil).BeginValidatorKey(t.Context())
		if err != nil || !bytes.Equal(again.PublicKey, key.PublicKey) {
			t.Fatalf("again: %x, %v", again.PublicKey, err)
		}
	}
	rotator, err := load(t, dir, nil).OpenSigner(testChain, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := rotator.PublicKeys(); len(got) != 1 || !bytes.Equal(got[0], key.PublicKey) {
		t.Errorf("it votes with %x", got)
	}
	if err := rotator.Close(); err != nil {
		t.Error(err)
	}
}

func TestObserversHaveNothingToPrepare(t *testing.T) {
	t.Parallel()
	o := validator(t)
	o.ValidatorKey = keys.PrivateKey{}
	h := load(t, made(t, o), nil)
	if rotator, err := h.OpenSigner(testChain, nil); rotator != nil || err != nil {
		t.Errorf("OpenSigner: %v, %v", rotator, err)
	}
	if _, err := h.PrepareValidatorKey(t.Context()); !errors.Is(err, ErrKey) {
		t.Errorf("PrepareValidatorKey: %v", err)
	}
	if err := h.Protect([]byte("open sesame")); err != nil {
		t.Errorf("Protect: %v", err)
	}
}

func TestASignerProcessHasTheKeys(t *testing.T) {
	t.Parallel()
	o := validator(t)
	keptKey := o.ValidatorKey
	signerDir := t.TempDir()
	settings := signer.Settings{ChainID: testChain, Nodes: [][]byte{o.NodeKey.Public().Bytes()}}
	if err := signer.Fill(signerDir, settings, nil); err != nil {
		t.Fatal(err)
	}
	id, err := signer.ReadIdentity(signerDir, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Config.Signer = Signer{Address: listener.Addr().String(), PublicKey: hex.EncodeToString(id.PublicKey)}
	if err := Init(filepath.Join(t.TempDir(), "node"), o); !errors.Is(err, ErrConfig) {
		t.Errorf("a home with a key and a signer process: %v", err)
	}
	o.ValidatorKey = keys.PrivateKey{}
	dir := made(t, o)

	server, err := signer.NewServer(signer.ServerConfig{Dir: signerDir, Listener: listener})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	h := load(t, dir, nil)
	if h.Observer() {
		t.Error("the node takes itself for an observer")
	}
	present, err := h.ValidatorKeyProof(t.Context())
	if err != nil || !bytes.Equal(present.PublicKey, id.Validator) {
		t.Errorf("present key: %x, %v", present.PublicKey, err)
	}
	next, err := h.PrepareValidatorKey(t.Context())
	if err != nil || len(next.PublicKey) != ed25519.PublicKeySize {
		t.Errorf("prepared: %x, %v", next.PublicKey, err)
	}
	rotator, err := h.OpenSigner(testChain, nil)
	if err != nil {
		t.Fatal(err)
	}
	rotator.Rotate(id.Validator, 1, 1)
	if got := rotator.PublicKeys(); len(got) != 1 || !bytes.Equal(got[0], id.Validator) {
		t.Errorf("before the first answer: %x", got)
	}
	if err := rotator.Close(); err != nil {
		t.Error(err)
	}
	// The key must not be in two places.
	if err := keys.SaveFile(dir.ValidatorKey(), keptKey); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadWithPassphrase(string(dir), nil); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "sign twice") {
		t.Errorf("a key beside a signer process: %v", err)
	}
}
