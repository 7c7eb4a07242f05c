package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/internal/loadgen"
)

// hears calls a function when a text is written to it.
type hears struct {
	text string
	call func()
}

func (h hears) Write(p []byte) (int, error) {
	if strings.Contains(string(p), h.text) {
		h.call()
	}
	return len(p), nil
}

func measure(t *testing.T, ctx context.Context, messages io.Writer, flags ...string) (loadgen.Result, error) {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	err := run(ctx, append([]string{"-validators", "2", "-output", "json", "-dir", dir, "-warmup", "500ms"}, flags...), &out, messages)
	if left, readErr := os.ReadDir(dir); readErr != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, readErr)
	}
	var result loadgen.Result
	if err := json.Unmarshal(out.Bytes(), &result); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	return result, err
}

func TestRun(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.html")
	r, err := measure(t, t.Context(), t.Output(), "-for", "2s", "-rate", "500", "-ramp", "0", "-html", page)
	if err != nil {
		t.Fatal(err)
	}
	if html, err := os.ReadFile(page); err != nil || !bytes.Contains(html, []byte("key=value of 250 bytes")) {
		t.Errorf("the page has %d bytes: %v", len(html), err)
	}
	if r.Committed == 0 || r.Errors != 0 || len(r.Faults) != 0 || r.Chain.Foreign != 0 || r.Chain.Txs != r.Total || r.Chain.BytesPerTx != 250 {
		t.Errorf("%+v", r)
	}
	if r.P50 == nil || len(r.Nodes) != 2 {
		t.Errorf("latency and nodes are missing: %+v", r)
	}
}

// Whoever loses patience is told what was measured until then, and nothing stays behind.
func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	r, err := measure(t, ctx, hears{"measure", interrupt}, "-for", "10m", "-ramp", "0")
	if !errors.Is(err, errInterrupted) || !r.Interrupted || len(r.Faults) != 0 || r.Chain.Txs == 0 {
		t.Errorf("%v: %+v", err, r)
	}
}

func TestUsage(t *testing.T) {
	for _, flags := range []string{"-validators 0", "-mempool nop", "-tx-bytes 3", "-keys 0", "-rate -1", "-rate NaN", "-output xml", "-for 1ns", "more", "-unknown"} {
		var out, messages bytes.Buffer
		if err := run(t.Context(), strings.Fields(flags), &out, &messages); !errors.Is(err, errUsage) || messages.Len() == 0 || out.Len() != 0 {
			t.Errorf("%s: %v, says %q", flags, err, messages.String())
		}
	}
}
