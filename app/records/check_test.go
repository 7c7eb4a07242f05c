package records_test

import (
	"fmt"
	"strings"
	"testing"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"

	"github.com/althing-ledger/althing/app/records"
)

// TestChecks asks about the edges of each field, most of all those that the transcripts leave out.
func TestChecks(t *testing.T) {
	t.Parallel()
	const (
		ok       = ledgerv1.Code_CODE_OK
		badName  = ledgerv1.Code_CODE_BAD_NAME
		badField = ledgerv1.Code_CODE_BAD_FIELD
		tooLarge = ledgerv1.Code_CODE_TOO_LARGE
	)
	grants := func(n int) (list []*recordsv1.Grant) {
		for i := range n {
			list = append(list, &recordsv1.Grant{Org: fmt.Sprintf("org%d", i), Role: "writer"})
		}
		return list
	}
	data := func(n int) *recordsv1.Put_Data { return &recordsv1.Put_Data{Data: make([]byte, n)} }
	typed := func(s string) error {
		return records.CheckPut(&recordsv1.Put{Record: "acme/a-b/1", ContentType: s, Content: data(1)})
	}
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"nothing":     {records.CheckSetCollection(&recordsv1.SetCollection{}), badName},
		"a nil grant": {records.CheckSetCollection(&recordsv1.SetCollection{Collection: "acme/ab", Writers: []*recordsv1.Grant{nil}}), badName},
		"64 grants":   {records.CheckSetCollection(&recordsv1.SetCollection{Collection: "acme/ab", Writers: grants(64), Cosign: true}), ok},
		"65 grants":   {records.CheckSetCollection(&recordsv1.SetCollection{Collection: "acme/ab", Writers: grants(65)}), tooLarge},
		"one cosigns": {records.CheckSetCollection(&recordsv1.SetCollection{Collection: "acme/ab", Writers: grants(1), Cosign: true}), badField},
		"put nothing": {records.CheckPut(&recordsv1.Put{}), badName},
		"64 KiB":      {records.CheckPut(&recordsv1.Put{Record: "acme/ab/1", ContentType: "x", Content: data(64 << 10)}), ok},
		"more":        {records.CheckPut(&recordsv1.Put{Record: "acme/ab/1", ContentType: "x", Content: data(64<<10 + 1)}), tooLarge},
		"nil data":    {records.CheckPut(&recordsv1.Put{Record: "acme/ab/1", ContentType: "x", Content: &recordsv1.Put_Data{}}), ok},
		"nil hash":    {records.CheckPut(&recordsv1.Put{Record: "acme/ab/1", ContentType: "x", Content: &recordsv1.Put_Hash{}}), badField},
		"type":        {typed("application/vnd.acme+json; v=\"1 2\""), ok},
		"127 of type": {typed(strings.Repeat("x", 127)), ok},
		"128 of type": {typed(strings.Repeat("x", 128)), badField},
		"a tab":       {typed("text\tplain"), badField},
		"delete":      {typed("text\x7fplain"), badField},
		"a space":     {typed(" text/plain"), badField},
	} {
		if code, verdict := tx.CodeOf(test.err); !verdict || code != test.code {
			t.Errorf("%s: %v, want %s", name, test.err, tx.Reason(test.code))
		}
	}
}
