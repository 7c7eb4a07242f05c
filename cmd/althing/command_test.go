package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client/clienttest"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
)

// TestEveryCommandHasHelp holds every command to a short text and an example that names it.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%s: short text %q", cmd.CommandPath(), cmd.Short)
		}
		if !cmd.HasSubCommands() && !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: no example of it in %q", cmd.CommandPath(), cmd.Example)
		}
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(newRoot(&streams{out: new(bytes.Buffer), err: new(bytes.Buffer)}))
}

// TestInterrupt cancels a command that waits, as Ctrl-C does.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	n.Ledger.Pause()
	var out, errs bytes.Buffer
	getenv := func(name string) string { return map[string]string{networkVariable: n.Dir}[name] }
	s := &streams{in: strings.NewReader(""), out: &out, err: &errs, getenv: getenv, now: time.Now}
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int)
	go func() {
		code <- execute(ctx, []string{"asset", "create", "acme/usd", "--decimals", "2", "--as", "acme/admin", "--output", "json", "--unverified"}, s)
	}()
	for n.Nodes[0].Calls("/althing.ledger.v1.LedgerService/Submit") == 0 {
		<-time.After(time.Millisecond)
	}
	cancel()
	if got := <-code; got != exitFailed {
		t.Errorf("exit code %d", got)
	}
	var printed outcome
	if err := json.Unmarshal(out.Bytes(), &printed); err != nil || printed.Status != "unknown" || len(printed.ID) != 64 {
		t.Errorf("printed %s: %v", out.Bytes(), err)
	}
	if text := errs.String(); !strings.Contains(text, "interrupted") || !strings.Contains(text, "hint: `althing tx wait "+printed.ID) {
		t.Errorf("said %q", text)
	}
}

// TestProgress shows that waiting is told on a terminal, after two seconds, and nowhere else.
func TestProgress(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		terminal bool
		waited   time.Duration
		want     string
	}{
		{true, 3500 * time.Millisecond, "waiting for an answer … 3s"},
		{true, 1500 * time.Millisecond, ""},
		{false, time.Minute, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var errs bytes.Buffer
			s := &streams{err: &errs, terminal: c.terminal}
			stop := s.progress(t.Context(), "an answer")
			<-time.After(c.waited)
			stop()
			if got := errs.String(); (c.want == "") != (got == "") || !strings.Contains(got, c.want) {
				t.Errorf("terminal %v, after %v: %q", c.terminal, c.waited, got)
			}
		})
	}
}

func FuzzParseOperations(f *testing.F) {
	f.Add([]byte(`[{"account": "acme/a1", "assetTransfer": {"asset": "acme/usd", "to": "acme/b1", "amount": "1.5"}}]`))
	f.Add([]byte(`{"payer": "acme/a1", "operations": [{"account": "acme/a1", "assetReleaseHold": {"holdId": "00"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, ops, err := parseOperations(data)
		if err == nil && len(ops) == 0 {
			t.Error("neither operations nor an error")
		}
	})
}

func FuzzParseProposalFile(f *testing.F) {
	f.Add([]byte(`{"title": "t", "operations": [{"nodeRemove": {"name": "acme-1", "spread": true}}]}`))
	f.Add([]byte(`{"operations": [{"accountSetTokenKeys": {"name": "acme/a1", "tokenKeys": ["ed25519:00"]}}]}`))
	f.Add([]byte(`{"operations": [{"nodeAdd": {"node": {"name": "acme-1", "nodeKey": "00"}, "nodeKeyProof": "00"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, ops, err := parseProposalFile(data)
		if err == nil && len(ops) == 0 {
			t.Error("neither operations nor an error")
		}
	})
}

func FuzzSetCharter(f *testing.F) {
	for _, text := range []string{"block_interval_ms=500", "read_access=members", "read_roles=-", "read_roles=auditor,writer", "rules.default=1/2", "rules.nodes=3/4:acme,globex"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		charter := new(governancev1.Charter)
		if setCharter(charter, text) == nil && charterWords(charter) == "none" {
			t.Errorf("%q changes nothing, and that is no error", text)
		}
	})
}
