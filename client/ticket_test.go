package client_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/client"
)

const genesisFile = `{"format": 1, "name": "test", "not_known_yet": true}`

// ticketOf is a ticket as `althing network ticket` writes it.
func ticketOf(genesis, grpc string) string {
	hash := sha256.Sum256([]byte(genesis))
	return fmt.Sprintf(`{"format": 1, "chain_id": "test-%x", "genesis": %q, "anchor": {"height": 0, "block_hash": "", "app_hash": %q},
		"nodes": [{"name": "acme-1", "org": "acme", "node_key": "00", "addresses": ["acme.example:26656"], "grpc": %q}]}`,
		hash[:4], base64.StdEncoding.EncodeToString([]byte(genesis)), hex.EncodeToString(hash[:]), grpc)
}

func TestNetworkFromTicket(t *testing.T) {
	t.Parallel()
	good := ticketOf(genesisFile, "127.0.0.1:9090")
	n, err := client.NetworkFromTicket([]byte(good))
	hash := sha256.Sum256([]byte(genesisFile))
	if err != nil || n.GenesisHash != hex.EncodeToString(hash[:]) || len(n.Nodes) != 1 || n.Nodes[0].GRPC != "127.0.0.1:9090" {
		t.Fatalf("network %+v, %v", n, err)
	}
	for name, bad := range map[string]string{
		"nothing":          "",
		"not JSON":         "hello",
		"unknown field":    strings.Replace(good, `"format"`, `"extra": 1, "format"`, 1),
		"format 2":         strings.Replace(good, `"format": 1`, `"format": 2`, 1),
		"another network":  strings.Replace(good, "test-", "best-", 1),
		"bad base64":       strings.Replace(good, `"genesis": "`, `"genesis": "!`, 1),
		"not a genesis":    ticketOf("hello", "127.0.0.1:9090"),
		"a name that none": ticketOf(`{"name": "A"}`, "127.0.0.1:9090"),
		"no certificate":   ticketOf(genesisFile, "acme.example:9090"),
		"for the mesh":     ticketOf(genesisFile, ""),
	} {
		if _, err := client.NetworkFromTicket([]byte(bad)); !errors.Is(err, client.ErrNetworkFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadNetwork(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ticket, other := filepath.Join(dir, "ticket.json"), filepath.Join(dir, "other.json")
	for path, content := range map[string]string{ticket: ticketOf(genesisFile, "127.0.0.1:9090"), other: `{"hello": 1}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fromTicket, err := client.ReadNetwork(ticket)
	if err != nil {
		t.Fatal(err)
	}
	if err := client.SaveNetwork(dir, fromTicket); err != nil {
		t.Fatal(err)
	}
	if saved, err := client.ReadNetwork(dir); err != nil || saved.ChainID != fromTicket.ChainID {
		t.Errorf("saved %+v, %v", saved, err)
	}
	for _, path := range []string{other, filepath.Join(dir, "none")} {
		if _, err := client.ReadNetwork(path); !errors.Is(err, client.ErrNetworkFile) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
