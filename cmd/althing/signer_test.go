package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/keys"
)

// TestSignerCommands makes a signer's directory, runs it, asks it, and protects its keys.
func TestSignerCommands(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "signer")
	node, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	nodeKey := hex.EncodeToString(node.Public().Bytes())
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("open sesame\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	althing := func(ctx context.Context, code int, args ...string) (out, errs string) {
		t.Helper()
		var stdout, stderr bytes.Buffer
		s := &streams{in: strings.NewReader(""), out: &stdout, err: &stderr, getenv: func(string) string { return "" }, now: time.Now}
		if got := execute(ctx, append(args, "--output", "json"), s); got != code {
			t.Errorf("%v: exit code %d, want %d\n%s", args, got, code, stderr.String())
		}
		return stdout.String(), stderr.String()
	}
	out, _ := althing(t.Context(), exitOK, "signer", "init", "--home", dir, "--chain-id", "local-12345678", "--node-key", nodeKey)
	var info signerInfo
	if err := json.Unmarshal([]byte(out), &info); err != nil || len(info.Identity) != 64 || len(info.ValidatorKey) != 64 || len(info.NodeKeys) != 1 {
		t.Fatalf("%s: %v", out, err)
	}
	if again, _ := althing(t.Context(), exitOK, "signer", "show", "--home", dir); again != out {
		t.Errorf("shown\n%s, made\n%s", again, out)
	}
	for _, c := range []struct {
		says string
		args []string
	}{
		{"choose another --home", []string{"signer", "init", "--home", dir, "--chain-id", "local-12345678"}},
		{"not a node key", []string{"signer", "init", "--home", dir + "2", "--chain-id", "x", "--node-key", "abc"}},
		{"--chain-id is missing", []string{"signer", "init", "--home", dir + "2"}},
		{"signer init", []string{"signer", "show", "--home", dir + "2"}},
		{"one of both", []string{"signer", "protect", "--home", dir}},
		{"--listen takes", []string{"signer", "run", "--home", dir, "--listen", "nowhere"}},
		{"not a node key", []string{"signer", "allow", "zz", "--home", dir}},
	} {
		if _, errs := althing(t.Context(), exitUsage, c.args...); !strings.Contains(errs, c.says) {
			t.Errorf("%v said %q, want %q", c.args, errs, c.says)
		}
	}

	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_ = free.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		althing(ctx, exitOK, "signer", "run", "--home", dir, "--listen", address)
	}()
	identity, _ := hex.DecodeString(info.Identity)
	secretKey := node.Bytes()
	remote, err := signer.NewRemote(signer.RemoteConfig{Address: address, PublicKey: identity, Key: append(secretKey, node.Public().Bytes()...)})
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	var present []byte
	for {
		if present, _, err = remote.Present(t.Context(), "acme-1", "acme"); !errors.Is(err, signer.ErrUnreachable) {
			break
		}
		<-time.After(5 * time.Millisecond)
	}
	if err != nil || hex.EncodeToString(present) != info.ValidatorKey {
		t.Errorf("%x, %v", present, err)
	}
	if _, errs := althing(t.Context(), exitUsage, "signer", "protect", "--home", dir, "--new-passphrase-file", secret); !strings.Contains(errs, "stop it first") {
		t.Errorf("while it runs: %s", errs)
	}
	if out, _ := althing(t.Context(), exitOK, "signer", "forbid", nodeKey, "--home", dir); strings.Contains(out, nodeKey) {
		t.Errorf("forbidden: %s", out)
	}
	if _, _, err := remote.Present(t.Context(), "acme-1", "acme"); err == nil {
		t.Error("a node that is forbidden gets an answer")
	}
	althing(t.Context(), exitOK, "signer", "allow", nodeKey, "--home", dir)
	cancel()
	<-done

	althing(t.Context(), exitOK, "signer", "protect", "--home", dir, "--new-passphrase-file", secret)
	if _, errs := althing(t.Context(), exitUsage, "signer", "show", "--home", dir); !strings.Contains(errs, "--passphrase-file") {
		t.Errorf("without the passphrase: %s", errs)
	}
	if again, _ := althing(t.Context(), exitOK, "signer", "show", "--home", dir, "--passphrase-file", secret); again != out {
		t.Errorf("encrypted\n%s, made\n%s", again, out)
	}
	althing(t.Context(), exitOK, "signer", "protect", "--home", dir, "--passphrase-file", secret, "--plain")
	althing(t.Context(), exitOK, "signer", "show", "--home", dir)
}
