package vectors_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"github.com/althing-ledger/althing/keys"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

type taggedVector struct {
	Tag  string   `json:"tag"`
	Data hexBytes `json:"data"`
	Hash hexBytes `json:"hash"`
}

type eventsVector struct {
	Comment string   `json:"comment"`
	Events  any      `json:"events"`
	Encoded hexBytes `json:"encoded"`
	Hash    hexBytes `json:"events_hash"`
}

type holdVector struct {
	TxID      hexBytes `json:"tx_id"`
	Operation uint32   `json:"operation"`
	HoldID    hexBytes `json:"hold_id"`
}

type chainVector struct {
	Name    string `json:"name"`
	File    string `json:"genesis_file"` // the file itself, as text
	Hash    string `json:"genesis_hash"`
	ChainID string `json:"chain_id"`
}

type hashFile struct {
	Tagged []taggedVector `json:"tagged_hash"`
	Events []eventsVector `json:"events_hash"`
	Holds  []holdVector   `json:"hold_id"`
	Chains []chainVector  `json:"chain_id"`
}

// plainTagged is the formula of the README, word by word.
func plainTagged(tag string, parts ...[]byte) []byte {
	t := sha256.Sum256([]byte(tag))
	h := sha256.Sum256(slices.Concat(t[:], t[:], slices.Concat(parts...)))
	return h[:]
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func hashes(t *testing.T) hashFile {
	t.Helper()
	var file hashFile
	for _, data := range [][]byte{{}, []byte("althing"), make([]byte, 600)} {
		h := keys.TaggedHash("althing/tx/v1", data)
		file.Tagged = append(file.Tagged, taggedVector{"althing/tx/v1", data, h[:]})
	}
	for _, e := range []struct {
		comment string
		list    *ledgerv1.EventList
	}{
		{"no events", &ledgerv1.EventList{}},
		{"delivery versus payment", &ledgerv1.EventList{Events: []*ledgerv1.Event{
			{Operation: 0, Kind: &ledgerv1.Event_AssetTransferred{AssetTransferred: &assetsv1.Transferred{
				Asset: "acme/usd", From: "acme/treasury", To: "globex/treasury", Amount: "1250"}}},
			{Operation: 1, Kind: &ledgerv1.Event_AssetTransferred{AssetTransferred: &assetsv1.Transferred{
				Asset: "globex/gold", From: "globex/treasury", To: "acme/treasury", Amount: "340282366920938463463374607431768211455"}}},
		}}},
	} {
		raw := encode(t, e.list)
		h := tx.EventsHash(raw)
		file.Events = append(file.Events, eventsVector{e.comment, asJSON(t, e.list), raw, h[:]})
	}
	id := sha256.Sum256([]byte("a transaction"))
	for _, operation := range []uint32{0, 1, 258} {
		file.Holds = append(file.Holds, holdVector{id[:], operation, plainTagged("althing/hold/v1", id[:], be32(operation))})
	}
	for _, c := range []struct{ name, file string }{
		{"demo", "{\n  \"format\": 1,\n  \"name\": \"demo\",\n  \"time\": \"2026-01-02T03:04:05Z\",\n  \"orgs\": [\"acme\", \"globex\"]\n}\n"},
		{"demo", "{\"format\":1,\"name\":\"demo\",\"time\":\"2026-01-02T03:04:05Z\",\"orgs\":[\"acme\",\"globex\"]}"},
	} {
		h := sha256.Sum256([]byte(c.file))
		digits := hex.EncodeToString(h[:])
		file.Chains = append(file.Chains, chainVector{c.name, c.file, digits, c.name + "-" + digits[:8]})
	}
	return file
}

func TestHashes(t *testing.T) {
	golden(t, "hashes.json", hashes(t))
}

// TestHashFormulas computes the file's hashes by the README's formulas and not by the code that wrote them.
func TestHashFormulas(t *testing.T) {
	var file hashFile
	load(t, "hashes.json", &file)
	same := func(what string, got []byte, want hexBytes) {
		t.Helper()
		if hex.EncodeToString(got) != hex.EncodeToString(want) {
			t.Errorf("%s: %x, the file has %x", what, got, want)
		}
	}
	for i, v := range file.Tagged {
		same(fmt.Sprintf("tagged hash %d", i), plainTagged(v.Tag, v.Data), v.Hash)
	}
	for _, v := range file.Events {
		same("events: "+v.Comment, plainTagged("althing/events/v1", v.Encoded), v.Hash)
	}
	for i, v := range file.Holds {
		same(fmt.Sprintf("hold %d", i), plainTagged("althing/hold/v1", v.TxID, be32(v.Operation)), v.HoldID)
	}
	for _, v := range file.Chains {
		if err := protojson.Unmarshal([]byte(v.File), &genesisv1.Genesis{}); err != nil {
			t.Errorf("the genesis file of %s does not parse: %v", v.ChainID, err)
		}
	}
}
