package records_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/records"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

// library is a store with the records docs/r0 to docs/r4, the last with seven versions, and a record with as many versions
// of 64 KiB as asked for.
func library(t *testing.T, large int) *state.Store {
	t.Helper()
	w := exectest.New()
	w.Genesis(t, "acme/admin admin writer\nglobex/admin admin\n")
	put := func(op *recordsv1.Put) {
		t.Helper()
		out := w.Do(t, "acme/admin", records.CheckPut(op), func(env *exec.Env, kv exec.KV) error {
			return records.Put(env, records.Open(kv), accounts.Read(kv), op)
		})
		if out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	text := func(s string) *recordsv1.Put_Data { return &recordsv1.Put_Data{Data: []byte(s)} }
	for i := range 5 {
		put(&recordsv1.Put{Record: fmt.Sprintf("acme/docs/r%d", i), ContentType: "text/plain", Content: text("first")})
	}
	for i := range 6 {
		put(&recordsv1.Put{Record: "acme/docs/r4", ContentType: "text/plain", Content: text(fmt.Sprint(i))})
	}
	put(&recordsv1.Put{Record: "acme/docs-2/x", ContentType: "text/plain", Content: &recordsv1.Put_Hash{
		Hash: &recordsv1.ContentHash{Sha256: bytes.Repeat([]byte{7}, 32), Size: 9},
	}})
	for range large {
		put(&recordsv1.Put{Record: "acme/large/x", ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: make([]byte, records.MaxData)}})
	}
	policy := &recordsv1.SetCollection{Collection: "acme/joint", Cosign: true, Writers: []*recordsv1.Grant{
		{Org: "globex", Role: "admin"}, {Org: "acme", Role: "writer"},
	}}
	if out := w.Do(t, "acme/admin", records.CheckSetCollection(policy), func(env *exec.Env, kv exec.KV) error {
		return records.SetCollection(env, records.Open(kv), accounts.Read(kv), policy)
	}); out.Err != nil {
		t.Fatal(out.Err)
	}

	store := statetest.New(t)
	statetest.Commit(t, store, func(o *state.Overlay) {
		if err := w.State.Scan(nil, nil, func(key, value []byte) (bool, error) {
			o.Set(key, value)
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	return store
}

func TestQueries(t *testing.T) {
	t.Parallel()
	view := library(t, 0).Latest()
	defer view.Release()

	policy, err := records.GetCollection(view, &recordsv1.GetCollectionRequest{Collection: "acme/joint"})
	if err != nil || !policy.Set || !policy.Collection.Cosign || policy.Collection.Writers[0].Org != "acme" || policy.Height != 1 {
		t.Error(policy, err)
	}
	policy, err = records.GetCollection(view, &recordsv1.GetCollectionRequest{Collection: "acme/docs"})
	if err != nil || policy.Set || policy.Collection.Name != "acme/docs" || policy.Collection.Writers[0].Role != "writer" {
		t.Error(policy, err)
	}
	record, err := records.GetRecord(view, &recordsv1.GetRecordRequest{Record: "acme/docs/r4"})
	if err != nil || record.Record.Version != 7 || string(record.Record.GetData()) != "5" || record.Height != 1 {
		t.Error(record, err)
	}
	record, err = records.GetRecord(view, &recordsv1.GetRecordRequest{Record: "acme/docs/r4", Version: 1})
	if err != nil || record.Record.Version != 1 || string(record.Record.GetData()) != "first" || len(record.Record.TxId) != 32 {
		t.Error(record, err)
	}
	list, err := records.ListRecords(view, &recordsv1.ListRecordsRequest{Collection: "acme/docs-2"})
	if err != nil || len(list.Records) != 1 || list.Records[0].GetHash().Size != 9 || list.Height != 1 {
		t.Error(list, err)
	}
}

func TestListsByPage(t *testing.T) {
	t.Parallel()
	view := library(t, 0).Latest()
	defer view.Release()
	for size := range uint32(8) {
		var names []string
		q := &recordsv1.ListRecordsRequest{Collection: "acme/docs", PageSize: size}
		for first := true; first || q.Page != ""; first = false {
			answer, err := records.ListRecords(view, q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range answer.Records {
				names = append(names, fmt.Sprintf("%s %d", r.Name, r.Version))
				if r.Content != nil || r.Writer != "acme/admin" {
					t.Error(r)
				}
			}
			q.Page = answer.NextPage
		}
		if want := []string{"acme/docs/r0 1", "acme/docs/r1 1", "acme/docs/r2 1", "acme/docs/r3 1", "acme/docs/r4 7"}; !slices.Equal(names, want) {
			t.Errorf("pages of %d: %q", size, names)
		}
		var versions []uint64
		h := &recordsv1.GetHistoryRequest{Record: "acme/docs/r4", PageSize: size}
		for first := true; first || h.Page != ""; first = false {
			answer, err := records.GetHistory(view, h)
			if err != nil || answer.Height != 1 {
				t.Fatal(answer, err)
			}
			for _, r := range answer.Records {
				versions = append(versions, r.Version)
			}
			h.Page = answer.NextPage
		}
		if !slices.Equal(versions, []uint64{1, 2, 3, 4, 5, 6, 7}) {
			t.Errorf("pages of %d: %d", size, versions)
		}
	}
}

// TestPagesReadABoundedAmount: what is left out of an answer has been read all the same.
func TestPagesReadABoundedAmount(t *testing.T) {
	t.Parallel()
	view := library(t, 140).Latest()
	defer view.Release()
	q := &recordsv1.GetHistoryRequest{Record: "acme/large/x", PageSize: 1000}
	first, err := records.GetHistory(view, q)
	if err != nil || len(first.Records) < 100 || len(first.Records) > 128 || first.NextPage == "" {
		t.Fatalf("%d records, next %q, %v", len(first.GetRecords()), first.GetNextPage(), err)
	}
	q.Page = first.NextPage
	second, err := records.GetHistory(view, q)
	if err != nil || len(first.Records)+len(second.Records) != 140 || second.NextPage != "" {
		t.Error(len(first.Records), len(second.GetRecords()), err)
	}
}

func TestQueriesRefuse(t *testing.T) {
	t.Parallel()
	view := library(t, 0).Latest()
	defer view.Release()
	ask := func(_ any, err error) error { return err }
	const (
		badName  = ledgerv1.Code_CODE_BAD_NAME
		badField = ledgerv1.Code_CODE_BAD_FIELD
		notFound = ledgerv1.Code_CODE_NOT_FOUND
	)
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"bad collection":     {ask(records.GetCollection(view, &recordsv1.GetCollectionRequest{Collection: "acme"})), badName},
		"no org":             {ask(records.GetCollection(view, &recordsv1.GetCollectionRequest{Collection: "hooli/docs"})), notFound},
		"bad record":         {ask(records.GetRecord(view, &recordsv1.GetRecordRequest{Record: "acme/docs/\x00"})), badName},
		"no record":          {ask(records.GetRecord(view, &recordsv1.GetRecordRequest{Record: "acme/docs/r5"})), notFound},
		"no version":         {ask(records.GetRecord(view, &recordsv1.GetRecordRequest{Record: "acme/docs/r4", Version: 8})), notFound},
		"list of a bad name": {ask(records.ListRecords(view, &recordsv1.ListRecordsRequest{Collection: "a\x00/b"})), badName},
		"bad page":           {ask(records.ListRecords(view, &recordsv1.ListRecordsRequest{Collection: "acme/docs", Page: "!"})), badField},
		"history of a bad":   {ask(records.GetHistory(view, &recordsv1.GetHistoryRequest{Record: "r"})), badName},
		"history of none":    {ask(records.GetHistory(view, &recordsv1.GetHistoryRequest{Record: "acme/docs/r5"})), notFound},
		"large page":         {ask(records.GetHistory(view, &recordsv1.GetHistoryRequest{Record: "acme/docs/r4", PageSize: 2000})), badField},
	} {
		if !errors.Is(test.err, &tx.Rejection{Code: test.code}) {
			t.Errorf("%s: %v, want %s", name, test.err, tx.Reason(test.code))
		}
	}
}
