package node_test

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestTheTicketsBlock starts a node whose ticket names a block that it has, and one that its history does not contain.
func TestTheTicketsBlock(t *testing.T) {
	t.Parallel()
	_, m := single(t, nil)
	resp, err := m.ledger().GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Height: 1})
	if err != nil {
		t.Fatal(err)
	}
	m.stop()
	another, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	ticket := func(hash []byte) {
		content := fmt.Sprintf(`{"format": 1, "as_of": 1, "block_hash": %q, "nodes": [{"name": "globex-1", "org": "globex", "node_key": %q, "addresses": []}]}`,
			hex.EncodeToString(hash), hex.EncodeToString(another.Public().Bytes()))
		if err := os.WriteFile(filepath.Join(m.home, "members.json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ticket(resp.Block.Hash)
	m.start()
	m.waitReady()
	m.stop()

	resp.Block.Hash[0] ^= 1
	ticket(resp.Block.Hash)
	m.start()
	select {
	case <-m.done:
	case <-time.After(patience):
		t.Fatal("the node goes on")
	}
	if err := m.halt(); err == nil || !strings.Contains(err.Error(), "another history") {
		t.Errorf("the node ended with %v", err)
	}
}
