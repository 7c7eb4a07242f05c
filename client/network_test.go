package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
)

func good() *client.Network {
	return &client.Network{
		ChainID:     "test-01234567",
		GenesisHash: "01234567" + strings.Repeat("0", 56),
		KeysDir:     "keys",
		Nodes:       []client.Node{{Name: "acme-1", Org: "acme", GRPC: "127.0.0.1:9090", Home: "nodes/acme-1"}},
	}
}

func TestNetworkFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := client.SaveNetwork(dir, good()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, client.NetworkFileName)} {
		n, err := client.LoadNetwork(path)
		if err != nil {
			t.Fatal(err)
		}
		if n.Format != 1 || n.KeysDir != filepath.Join(dir, "keys") || n.Nodes[0].Home != filepath.Join(dir, "nodes/acme-1") {
			t.Fatalf("loaded %+v", n)
		}
	}
	loaded, err := client.LoadNetwork(dir)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, client.NetworkFileName))
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SaveNetwork(dir, loaded); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, client.NetworkFileName))
	if err != nil || string(before) != string(after) {
		t.Fatalf("saved again: %v\n%s", err, after)
	}
	if _, err := client.LoadNetwork(filepath.Join(dir, "none")); !errors.Is(err, client.ErrNetworkFile) || !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("no file: %v", err)
	}
}

func TestNetworkFileIsStrict(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := client.SaveNetwork(dir, good()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, client.NetworkFileName))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"unknown field": {`"format"`, `"colour": "red", "format"`},
		"format 2":      {`"format": 1`, `"format": 2`},
		"no nodes":      {`"name": "acme-1"`, `"name": ""`},
		"trailing":      {"]", "]}{"},
	} {
		path := filepath.Join(dir, "changed.json")
		if err := os.WriteFile(path, []byte(strings.Replace(string(data), change[0], change[1], 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := client.LoadNetwork(path); !errors.Is(err, client.ErrNetworkFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNetworkValidate(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*client.Network){
		"chain_id":      func(n *client.Network) { n.ChainID = "test-00000000" },
		"genesis_hash":  func(n *client.Network) { n.GenesisHash = "01" },
		"no nodes":      func(n *client.Network) { n.Nodes = nil },
		"listed twice":  func(n *client.Network) { n.Nodes = append(n.Nodes, n.Nodes[0]) },
		"HOST:PORT":     func(n *client.Network) { n.Nodes[0].GRPC = "localhost" },
		"65535":         func(n *client.Network) { n.Nodes[0].GRPC = "localhost:70000" },
		"not loopback":  func(n *client.Network) { n.Nodes[0].GRPC = "192.0.2.1:9090" },
		"PEM":           func(n *client.Network) { n.Nodes[0].TLSCertificate = "hello" },
		"organisation":  func(n *client.Network) { n.Nodes[0].Org = "A" },
		"name of a nod": func(n *client.Network) { n.Nodes[0].Name = "A" },
	} {
		n := good()
		change(n)
		if err := n.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := client.Dial(n, client.Config{}); !errors.Is(err, client.ErrNetworkFile) {
			t.Errorf("dial, %s: %v", name, err)
		}
	}
	n := good()
	n.Nodes[0].GRPC, n.Nodes[0].Plaintext = "10.0.0.1:9090", true
	if err := n.Validate(); err != nil {
		t.Errorf("plaintext where it is allowed: %v", err)
	}
	n.ChainID, n.Nodes[0].Org = "", ""
	if err := n.Validate(); err == nil || !strings.Contains(err.Error(), "chain_id") || !strings.Contains(err.Error(), "organisation") {
		t.Errorf("not all problems at once: %v", err)
	}
}

func TestKeyFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := client.SaveNetwork(dir, good()); err != nil {
		t.Fatal(err)
	}
	n, err := client.LoadNetwork(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Keys("acme/alice"); !errors.Is(err, client.ErrNoKey) {
		t.Fatalf("no file: %v", err)
	}
	save := func(account, label string, key keys.PrivateKey) {
		t.Helper()
		path, err := n.KeyPath(account, label)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := keys.SaveFile(path, key); err != nil {
			t.Fatal(err)
		}
	}
	first, second := newKey(t, keys.SchemeSchnorr), newKey(t, keys.SchemeEd25519)
	save("acme/alice", "", first)
	save("acme/alice", "2", second)
	save("acme/alice", "copy", first)
	save("acme/alice-2", "", newKey(t, keys.SchemeSchnorr))
	save("acme/al", "", newKey(t, keys.SchemeSchnorr))
	loaded, err := n.Keys("acme/alice")
	if err != nil || len(loaded) != 2 || !loaded[0].Public().Equal(first.Public()) || !loaded[1].Public().Equal(second.Public()) {
		t.Fatalf("loaded %v, %v", loaded, err)
	}
	path, err := n.KeyPath("acme/al", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Keys("acme/al"); !errors.Is(err, keys.ErrFilePermissions) {
		t.Fatalf("readable by others: %v", err)
	}
	for _, label := range []string{"../x", "a.b", ".x", "a/b"} {
		if _, err := n.KeyPath("acme/alice", label); err == nil {
			t.Errorf("label %q is accepted", label)
		}
	}
	if _, err := n.KeyPath("../alice", ""); err == nil {
		t.Error("a path is accepted as an account")
	}
}
