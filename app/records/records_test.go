package records_test

import (
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/records"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/state/keyspace"
)

// TestTranscripts runs testdata/transcripts; `go test -run Transcripts -rewrite` writes them anew, to be reviewed as a
// diff.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		w := exectest.New()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return talk(t, w, d) })
	})
}

func talk(t *testing.T, w *exectest.World, d *datadriven.TestData) string {
	t.Helper()
	as := exectest.Arg(d, "as")
	do := func(check error, run func(*exec.Env, records.Store, accounts.Reader) error) string {
		return w.Text(w.Do(t, as, check, func(env *exec.Env, kv exec.KV) error { return run(env, records.Open(kv), accounts.Read(kv)) }))
	}
	switch d.Cmd {
	case "genesis":
		return w.Genesis(t, d.Input)
	case "set-collection":
		op := &recordsv1.SetCollection{Collection: exectest.Arg(d, "collection"), Cosign: exectest.Arg(d, "cosign") == "true"}
		for _, grant := range exectest.Args(d, "writers") {
			org, role, _ := strings.Cut(grant, ":")
			op.Writers = append(op.Writers, &recordsv1.Grant{Org: org, Role: role})
		}
		return do(records.CheckSetCollection(op), func(env *exec.Env, s records.Store, who accounts.Reader) error {
			return records.SetCollection(env, s, who, op)
		})
	case "put":
		op := put(t, d)
		return do(records.CheckPut(op), func(env *exec.Env, s records.Store, who accounts.Reader) error {
			return records.Put(env, s, who, op)
		})
	case "collections":
		return w.Leaves(t, keyspace.PrefixCollections, w.Messages(new(recordsv1.Collection)))
	case "heads":
		r := records.Read(w.State)
		return w.Leaves(t, keyspace.PrefixRecords, func(key, _ []byte) (string, error) {
			name := strings.ReplaceAll(string(key[1:]), "\x00", "/")
			version, err := r.Head(name)
			return name + " " + strconv.FormatUint(version, 10), err
		})
	case "versions":
		return w.Leaves(t, keyspace.PrefixRecordHistory, w.Messages(new(recordsv1.Record)))
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return ""
}

// put reads a record: the content is the text below the line, `bytes=N` zero bytes, or a hash of `hash=HEX size=N`.
func put(t *testing.T, d *datadriven.TestData) *recordsv1.Put {
	t.Helper()
	op := &recordsv1.Put{
		Record:      exectest.Arg(d, "record"),
		ContentType: strings.ReplaceAll(exectest.Arg(d, "type"), "_", " "),
		Cosigner:    exectest.Arg(d, "cosigner"),
	}
	if d.HasArg("expect") {
		expect := exectest.Number(t, d, "expect")
		op.ExpectVersion = &expect
	}
	switch {
	case d.HasArg("hash"):
		sum, err := hex.DecodeString(exectest.Arg(d, "hash"))
		if err != nil {
			t.Fatal(err)
		}
		op.Content = &recordsv1.Put_Hash{Hash: &recordsv1.ContentHash{Sha256: sum, Size: exectest.Number(t, d, "size")}}
	case d.HasArg("bytes"):
		op.Content = &recordsv1.Put_Data{Data: make([]byte, exectest.Number(t, d, "bytes"))}
	case d.Input != "":
		op.Content = &recordsv1.Put_Data{Data: []byte(d.Input)}
	}
	return op
}
