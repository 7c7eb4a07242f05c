package app

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/state"
)

var rewrite = flag.Bool("rewrite", false, "write the golden vectors anew")

const blockVectors = "../proto/vectors/blocks.json"

// blocksVector is the file that another implementation of the state machine can check itself against.
type blocksVector struct {
	Comment string        `json:"comment"`
	Genesis string        `json:"genesis_file"`
	Hash    string        `json:"genesis_hash"`
	ChainID string        `json:"chain_id"`
	Blocks  []blockVector `json:"blocks"`
}

type blockVector struct {
	Height  uint64         `json:"height"`
	Time    string         `json:"time"`
	Txs     []string       `json:"txs"`
	Results []resultVector `json:"results"`
	AppHash string         `json:"app_hash"`
	// Leaves are the keys and values that the block set in the tree, Removed the keys that it removed.
	Leaves  map[string]string `json:"set_leaves"`
	Removed []string          `json:"removed_leaves"`
}

type resultVector struct {
	Code string `json:"code"`
	Data string `json:"data"`
}

// TestBlockVectors executes a few fixed blocks and compares every byte that consensus commits to.
func TestBlockVectors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := newReplica(t, w, state.Config{})
	v := blocksVector{
		Comment: "Blocks of a network that began with genesis_file. Keys, values, transactions and results are hex.",
		Genesis: string(w.file), Hash: hex.EncodeToString(w.genesis.Hash[:]), ChainID: w.genesis.ChainID,
	}
	put := &ledgerv1.Operation{Account: "globex/admin", Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
		Record: "globex/notes/1", ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("hello")},
	}}}
	for i, ops := range [][][]*ledgerv1.Operation{
		{{createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000")}},
		{{transfer("acme/treasury", "acme/usd", "globex/treasury", "1250")}, {put}, {transfer("globex/treasury", "acme/usd", "initech/treasury", "999999")}},
		{},
		{{transfer("globex/treasury", "acme/usd", "initech/treasury", "1250")}},
	} {
		height := uint64(i + 1)
		before := leavesOf(t, r)
		var txs [][]byte
		b := blockVector{Height: height, Time: blockTime(height).Format(time.RFC3339Nano), Txs: []string{}, Results: []resultVector{},
			Leaves: map[string]string{}, Removed: []string{}}
		for _, o := range ops {
			raw := w.sign(w.body(blockTime(height), o...))
			txs = append(txs, raw)
			b.Txs = append(b.Txs, hex.EncodeToString(raw))
		}
		res := r.decide(height, blockTime(height), txs...)
		for _, result := range res.TxResults {
			b.Results = append(b.Results, resultVector{ledgerv1.Code(result.Code).String(), hex.EncodeToString(result.Data)})
		}
		b.AppHash = hex.EncodeToString(res.AppHash)
		after := leavesOf(t, r)
		for key, value := range after {
			if before[key] != value {
				b.Leaves[key] = value
			}
		}
		for key := range before {
			if _, kept := after[key]; !kept {
				b.Removed = append(b.Removed, key)
			}
		}
		slices.Sort(b.Removed)
		v.Blocks = append(v.Blocks, b)
	}
	got, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *rewrite {
		if err := os.WriteFile(blockVectors, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(blockVectors)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what this version computes: a change of the rules must be a new feature level", blockVectors)
	}
}

func leavesOf(t *testing.T, r *replica) map[string]string {
	t.Helper()
	leaves := map[string]string{}
	view := r.store.Latest()
	defer view.Release()
	if err := view.Scan(nil, nil, func(key, value []byte) (bool, error) {
		leaves[hex.EncodeToString(key)] = hex.EncodeToString(value)
		return true, nil
	}); err != nil {
		t.Fatal(err)
	}
	return leaves
}
