package home

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/keys"
)

// testTicket returns a ticket of two nodes at height 7.
func testTicket(t testing.TB) *Ticket {
	t.Helper()
	document := []byte(`{"name": "coop"}`)
	hash := sha256.Sum256(document)
	block := sha256.Sum256([]byte("block"))
	return &Ticket{
		ChainID: fmt.Sprintf("coop-%x", hash[:4]), Genesis: document,
		Anchor: Anchor{Height: 7, BlockHash: block[:], AppHash: block[:]},
		Nodes: []Contact{
			{"acme-1", "acme", fresh(t, keys.SchemeEd25519).Public().Bytes(), []string{"acme.example:26656", "[2001:db8::1]:26656"}, "127.0.0.1:9090", ""},
			{"globex-1", "globex", fresh(t, keys.SchemeEd25519).Public().Bytes(), nil, "", ""},
		},
	}
}

func TestTicket(t *testing.T) {
	t.Parallel()
	ticket := testTicket(t)
	content, err := ticket.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := DecodeTicket(content)
	if err != nil {
		t.Fatal(err)
	}
	ticket.Nodes[1].Addresses = []string{} // which no addresses are read as
	if !reflect.DeepEqual(read, ticket) {
		t.Errorf("read %+v, want %+v", read, ticket)
	}
	path := filepath.Join(t.TempDir(), "ticket")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTicket(path); err != nil {
		t.Error(err)
	}
	if err := os.Truncate(path, 100); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTicket(path); !errors.Is(err, ErrTicket) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v, want ErrTicket with the path", err)
	}
	// Before the first block.
	hash := sha256.Sum256(ticket.Genesis)
	ticket.Anchor = Anchor{AppHash: hash[:]}
	if _, err := ticket.Encode(); err != nil {
		t.Error(err)
	}
}

func TestTicketRefuses(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(k *Ticket){
		"another genesis": func(k *Ticket) { k.Genesis = []byte(`{"name": "other"}`) },
		"another network": func(k *Ticket) { k.ChainID = "coop-00000000" },
		"no network":      func(k *Ticket) { k.ChainID = "" },
		"no name":         func(k *Ticket) { k.ChainID = strings.TrimPrefix(k.ChainID, "coop") },
		"no genesis":      func(k *Ticket) { k.Genesis = nil },
		"no app hash":     func(k *Ticket) { k.Anchor.AppHash = nil },
		"no block hash":   func(k *Ticket) { k.Anchor.BlockHash = nil },
		"hash at 0":       func(k *Ticket) { k.Anchor.Height = 0 },
		"no nodes":        func(k *Ticket) { k.Nodes = nil },
		"too many nodes":  func(k *Ticket) { k.Nodes = slices.Repeat(k.Nodes, maxTicketNodes) },
		"name twice":      func(k *Ticket) { k.Nodes[1].Name = k.Nodes[0].Name },
		"key twice":       func(k *Ticket) { k.Nodes[1].NodeKey = k.Nodes[0].NodeKey },
		"short key":       func(k *Ticket) { k.Nodes[0].NodeKey = k.Nodes[0].NodeKey[1:] },
		"no org":          func(k *Ticket) { k.Nodes[0].Org = "Acme" },
		"no host":         func(k *Ticket) { k.Nodes[0].Addresses = []string{":1"} },
		"port 0":          func(k *Ticket) { k.Nodes[0].GRPC = "a.b:0" },
		"long address":    func(k *Ticket) { k.Nodes[0].Addresses = []string{strings.Repeat("a", 300) + ":1"} },
		"certificate":     func(k *Ticket) { k.Nodes[0].TLSCertificate = strings.Repeat("a", 1<<17) },
	} {
		ticket := testTicket(t)
		spoil(ticket)
		if _, err := ticket.Encode(); !errors.Is(err, ErrTicket) {
			t.Errorf("%s: %v, want ErrTicket", name, err)
		}
	}
	content, err := testTicket(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, replace := range map[string][2]string{
		"unknown field": {`"anchor"`, `"secret": 1, "anchor"`},
		"newer":         {`"format": 1`, `"format": 2`},
		"not base64":    {`"genesis": "`, `"genesis": "*`},
		"upper case":    {`"node_key": "`, `"node_key": "AA`},
		"half a byte":   {`"block_hash": "`, `"block_hash": "a`},
	} {
		changed := strings.Replace(string(content), replace[0], replace[1], 1)
		if changed == string(content) {
			t.Fatalf("%s: nothing to replace", name)
		}
		if _, err := DecodeTicket([]byte(changed)); !errors.Is(err, ErrTicket) {
			t.Errorf("%s: %v, want ErrTicket", name, err)
		}
	}
	if _, err := DecodeTicket(append(content, "[]"...)); !errors.Is(err, ErrTicket) {
		t.Errorf("something behind it: %v", err)
	}
	if _, err := DecodeTicket(make([]byte, maxTicketBytes+1)); !errors.Is(err, ErrTicket) {
		t.Errorf("too large: %v", err)
	}
}

func TestMembersOfAHome(t *testing.T) {
	t.Parallel()
	dir := Dir(t.TempDir())
	if members, err := ReadMembers(dir); err != nil || len(members.Nodes) != 0 {
		t.Errorf("without a list: %+v, %v", members, err)
	}
	for _, content := range []string{"", "{}", `{"format": 1, "as_of": 0, "nodes": []}`, `{"format": 2, "as_of": 0, "nodes": []}`} {
		if err := os.WriteFile(dir.Members(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadMembers(dir); !errors.Is(err, ErrTicket) {
			t.Errorf("%q: %v, want ErrTicket", content, err)
		}
	}
}

func FuzzDecodeTicket(f *testing.F) {
	content, err := testTicket(f).Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Fuzz(func(t *testing.T, data []byte) {
		ticket, err := DecodeTicket(data)
		if err != nil {
			if !errors.Is(err, ErrTicket) {
				t.Errorf("%v is not ErrTicket", err)
			}
			return
		}
		content, err := ticket.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := DecodeTicket(content)
		if err != nil || again.ChainID != ticket.ChainID || len(again.Nodes) != len(ticket.Nodes) {
			t.Errorf("read %+v, then %+v, %v", ticket, again, err)
		}
	})
}

func FuzzDecodeMembers(f *testing.F) {
	content, err := testTicket(f).members().encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Fuzz(func(t *testing.T, data []byte) {
		members, err := DecodeMembers(data)
		if err != nil {
			if !errors.Is(err, ErrTicket) {
				t.Errorf("%v is not ErrTicket", err)
			}
			return
		}
		if _, err := members.encode(); err != nil || len(members.Nodes) == 0 {
			t.Errorf("read %+v: %v", members, err)
		}
	})
}
