package app

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
)

func TestGenesisFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hash := sha256.Sum256(w.file)
	if w.genesis.Hash != hash || w.genesis.ChainID != "test-"+hex.EncodeToString(hash[:4]) {
		t.Errorf("the chain id is %s, the hash %x", w.genesis.ChainID, w.genesis.Hash)
	}
	again, err := EncodeGenesis(w.genesis.Doc)
	if err != nil || string(again) != string(w.file) {
		t.Errorf("encoded again the file is another one (%v)", err)
	}
}

func TestGenesisRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []struct {
		name   string
		change func(*genesisv1.Genesis)
		says   string
	}{
		{"format", func(g *genesisv1.Genesis) { g.Format = 2 }, "format is 2"},
		{"name", func(g *genesisv1.Genesis) { g.Name = "Test" }, "name of a network"},
		{"no time", func(g *genesisv1.Genesis) { g.Time = nil }, "time is missing"},
		{"a level to come", func(g *genesisv1.Genesis) { g.FeatureLevel = FeatureLevel + 1 }, "use a newer one"},
		{"an org twice", func(g *genesisv1.Genesis) { g.Orgs = append(g.Orgs, "acme") }, "acme"},
		{"an org without an admin", func(g *genesisv1.Genesis) { g.Orgs = append(g.Orgs, "hooli") }, "hooli"},
		{"an account of nobody", func(g *genesisv1.Genesis) { g.Accounts[0].Name = "hooli/admin" }, "hooli"},
		{"a node key twice", func(g *genesisv1.Genesis) { g.Nodes[1].Node.NodeKey = g.Nodes[0].Node.NodeKey }, "key"},
		{"no validator", func(g *genesisv1.Genesis) {
			for _, n := range g.Nodes {
				n.Node.ValidatorKey, n.Node.Power, n.ValidatorKeyProof = nil, 0, nil
			}
		}, "validator"},
	} {
		doc := proto.CloneOf(w.genesis.Doc)
		c.change(doc)
		if _, err := EncodeGenesis(doc); !errors.Is(err, ErrGenesis) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	unknown := strings.Replace(string(w.file), `"name": "test"`, `"name": "test", "nmae": "x"`, 1)
	if _, err := ParseGenesis([]byte(unknown)); !errors.Is(err, ErrGenesis) || !strings.Contains(err.Error(), "nmae") {
		t.Errorf("an unknown field: %v", err)
	}
}
