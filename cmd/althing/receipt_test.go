package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// flips is how many places of a file `refuses` tries.
const flips = 50

// forge writes a copy of a file after a change.
func forge(ts *testscript.TestScript, file, copied string, change func([]byte) []byte) {
	data, err := os.ReadFile(ts.MkAbs(file))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(copied), change(data), 0o600))
}

func forgery(ts *testscript.TestScript, neg bool, args []string, change func(data []byte, n int) []byte) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: flip|cut FILE COPY NUMBER")
	}
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	forge(ts, args[0], args[1], func(data []byte) []byte { return change(data, n) })
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	forgery(ts, neg, args, func(data []byte, at int) []byte {
		data[at] ^= 1
		return data
	})
}

func cut(ts *testscript.TestScript, neg bool, args []string) {
	forgery(ts, neg, args, func(data []byte, n int) []byte { return data[:len(data)-n] })
}

func refuses(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: refuses FILE COMMAND…")
	}
	size := len(ts.ReadFile(args[0]))
	for i := range flips {
		at := i * (size - 1) / (flips - 1)
		forge(ts, args[0], "FORGED", func(data []byte) []byte {
			data[at] ^= 1 << (i % 8)
			return data
		})
		err := ts.Exec(args[1], args[2:]...)
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != exitFailed {
			ts.Fatalf("bit %d of byte %d of %d: %v", i%8, at, size, err)
		}
	}
}

func put(content string, hashOnly bool) *ledgerv1.Operation {
	op := &recordsv1.Put{Record: "acme/notary/" + content[:1], ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte(content)}}
	if hashOnly {
		op.Content = &recordsv1.Put_Hash{Hash: hashOf(content)}
	}
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_RecordPut{RecordPut: op}}
}

func hashOf(content string) *recordsv1.ContentHash {
	sum := sha256.Sum256([]byte(content))
	return &recordsv1.ContentHash{Sha256: sum[:], Size: uint64(len(content))}
}

func TestMatchDocument(t *testing.T) {
	t.Parallel()
	written := func(operation uint32, version uint64) *ledgerv1.Event {
		return &ledgerv1.Event{Operation: operation, Kind: &ledgerv1.Event_RecordWritten{RecordWritten: &recordsv1.Written{Version: version}}}
	}
	longer := put("hash", true)
	longer.GetRecordPut().GetHash().Size++
	for _, c := range []struct {
		name     string
		code     ledgerv1.Code
		ops      []*ledgerv1.Operation
		document string
		want     documentView
		problem  string
	}{
		{"hash", 0, []*ledgerv1.Operation{put("hash", true)}, "hash", documentView{Matches: true, Record: "acme/notary/h", Version: 7}, ""},
		{"content", 0, []*ledgerv1.Operation{put("content", false)}, "content", documentView{Matches: true, Record: "acme/notary/c", Version: 7}, ""},
		{"second", 0, []*ledgerv1.Operation{put("hash", true), put("content", false)}, "content",
			documentView{Matches: true, Record: "acme/notary/c", Version: 8, Operation: 1}, ""},
		{"other", 0, []*ledgerv1.Operation{put("hash", true), put("content", false)}, "Hash", documentView{}, "nothing that the transaction recorded"},
		{"other size", 0, []*ledgerv1.Operation{longer}, "hash", documentView{}, "nothing that the transaction recorded"},
		{"empty", 0, []*ledgerv1.Operation{{Kind: &ledgerv1.Operation_AssetBurn{}}}, "", documentView{}, "wrote no record"},
		{"rejected", ledgerv1.Code_CODE_VERSION_MISMATCH, []*ledgerv1.Operation{put("hash", true)}, "hash", documentView{}, "rejected, with VERSION_MISMATCH"},
	} {
		proven := &verify.Transaction{
			Code: c.code, Body: &ledgerv1.Body{Operations: c.ops}, Events: &ledgerv1.EventList{Events: []*ledgerv1.Event{written(0, 7), written(1, 8)}},
		}
		var got documentView
		err := matchDocument(&got, proven, &document{"file", hashOf(c.document)})
		if got != c.want || (err == nil) != (c.problem == "") {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
		if err != nil && (!errors.Is(err, errDocument) || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.problem)
		}
	}
}

// TestHashContent hashes more than memory should hold at once, in one piece, and gives the sum that sha256sum gives.
func TestHashContent(t *testing.T) {
	t.Parallel()
	got, err := hashContent(strings.NewReader(strings.Repeat("a", 1_000_000)))
	if err != nil || got.Size != 1_000_000 ||
		hex.EncodeToString(got.Sha256) != "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		part, whole uint64
		want        string
	}{{30, 40, "3/4"}, {40, 40, "all"}, {0, 40, "none"}, {0, 0, "none"}, {7, 10, "7/10"}, {1001, 1003, "99.8 %"}} {
		if got := share(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d: %q, want %q", c.part, c.whole, got, c.want)
		}
	}
}

// TestReplaceFile shows that a receipt replaces a file as a whole, leaves nothing beside it, and that a place where nothing can
// be written is known before.
func TestReplaceFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "receipt")
	for _, text := range []string{"first and longer", "second"} {
		if err := errors.Join(checkWritable(path), replaceFile(path, []byte(text))); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
	for _, bad := range []string{dir, filepath.Join(dir, "none", "receipt"), filepath.Join(path, "receipt")} {
		if err := checkWritable(bad); exitCode(err) != exitUsage {
			t.Errorf("%s: %v", bad, err)
		}
		if replaceFile(bad, nil) == nil {
			t.Errorf("%s was written", bad)
		}
	}
	if err := errors.Join(checkWritable(os.DevNull), replaceFile(os.DevNull, []byte("x"))); err != nil {
		t.Error(err)
	}
}

// TestVerdictJSON keeps what programs read: every field is there whatever was proven.
func TestVerdictJSON(t *testing.T) {
	t.Parallel()
	empty, err := encodeJSON(&verdict{NotProven: []string{}}, "")
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(empty, &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"verified", "problem", "file", "kind", "chain_id", "genesis_hash", "genesis_pinned", "pinned_by", "trusted_header", "transaction", "state",
		"document", "signed", "validator_changes", "attestation", "not_proven",
	} {
		if _, ok := fields[name]; !ok {
			t.Errorf("no %s in %s", name, empty)
		}
	}
	entries, err := encodeJSON([]stateEntry{{kind: "hold", name: "6f"}, {kind: "supply", name: "acme/usd", details: object{{"amount", "1.00"}}}}, "")
	want := `[{"kind":"hold","name":"6f","exists":false,"details":null},{"kind":"supply","name":"acme/usd","exists":true,"details":{"amount":"1.00"}}]`
	if err != nil || string(bytes.TrimSpace(entries)) != want {
		t.Errorf("%s, %v", entries, err)
	}
}

// TestVerdictText says in words what a receipt without a pin proves, and that nobody has vouched for its network.
func TestVerdictText(t *testing.T) {
	t.Parallel()
	at := utc(time.Unix(1_700_000_000, 0))
	v := &verdict{
		File: "F", Kind: kindReceipt, ChainID: "coop-6f0c1d2e", GenesisHash: strings.Repeat("6f", 32), ValidatorChanges: 2, NotProven: []string{"Freshness."},
		Transaction: &provenTransaction{outcome: outcome{ID: "7a", Height: 4, Time: at}}, opWords: []string{"acme/a1 burns 1 acme/usd"},
		Signed: &signedView{headerView: headerView{5, "00"}, Time: at, Count: 3, Validators: 4, Power: 30, TotalPower: 40, Signers: []signerView{
			{"acme-1", "acme", "aa", 10, at}, {"", "", strings.Repeat("bb", 32), 20, at},
		}},
	}
	var out bytes.Buffer
	v.text(&out)
	for _, want := range []string{
		"F holds: the transaction was committed.", "1. acme/a1 burns 1 acme/usd", "at 2023-11-14T22:13:20Z", "3 of 4 validators, 3/4 of the power",
		"acme-1 of acme, power 10", "validator bbbbbbbbbbbbbbbb…, which joined later", "2 changes of the validators", "NOT PINNED", "- Freshness.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}
