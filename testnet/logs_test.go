package testnet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
)

// logged returns a network of two nodes that are only directories with logs.
func logged(t *testing.T) *Network {
	t.Helper()
	dir := t.TempDir()
	n := &Network{Dir: dir, File: &client.Network{}}
	for _, name := range []string{"acme-1", "globex-1"} {
		node := client.Node{Name: name, Home: filepath.Join(dir, name)}
		if err := os.Mkdir(node.Home, 0o700); err != nil {
			t.Fatal(err)
		}
		n.File.Nodes = append(n.File.Nodes, node)
	}
	return n
}

func (n *Network) write(t *testing.T, node int, text string) {
	t.Helper()
	f, err := openLog(home.Dir(n.File.Nodes[node].Home).Log())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLastLinesOfLogs(t *testing.T) {
	t.Parallel()
	n := logged(t)
	n.write(t, 0, "one\ntwo\nthree\nhalf a l")
	for name, c := range map[string]struct {
		o    LogOptions
		want string
	}{
		"two":  {LogOptions{Lines: 2}, "acme-1   | two\nacme-1   | three\n"},
		"none": {LogOptions{}, ""},
		"all":  {LogOptions{Lines: 100, Node: "acme-1"}, "one\ntwo\nthree\n"},
		"json": {LogOptions{Lines: 2, JSON: true}, `{"node":"acme-1","line":"two"}` + "\n" +
			`{"node":"acme-1","line":"three"}` + "\n"},
		"empty node": {LogOptions{Lines: 100, Node: "globex-1"}, ""},
	} {
		var out strings.Builder
		if err := n.Logs(t.Context(), &out, c.o); err != nil || out.String() != c.want {
			t.Errorf("%s: %q, %v; want %q", name, out.String(), err, c.want)
		}
	}
	var out strings.Builder
	if err := n.Logs(t.Context(), &out, LogOptions{Node: "nobody-1"}); !errors.Is(err, ErrUnknownNode) {
		t.Errorf("%v, want ErrUnknownNode", err)
	}
}

// page is a writer that is read while it is written.
type page struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *page) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.text.Reset()
	return p.text.String()
}

func TestFollowedLogs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := logged(t)
		n.write(t, 0, "old\nlast\n")
		ctx, cancel := context.WithCancel(t.Context())
		var out page
		done := make(chan error, 1)
		go func() { done <- n.Logs(ctx, &out, LogOptions{Lines: 1, Follow: true}) }()
		look := func(want string) {
			t.Helper()
			// The clock of the bubble moves on when everybody waits: past a look at the logs.
			timeout, stop := context.WithTimeout(ctx, 2*followPause)
			defer stop()
			<-timeout.Done()
			synctest.Wait()
			if got := out.take(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		}
		look("acme-1   | last\n")
		n.write(t, 1, "hello\nhal")
		look("globex-1 | hello\n")
		n.write(t, 1, "f\n")
		look("globex-1 | half\n")
		if err := os.Truncate(home.Dir(n.File.Nodes[0].Home).Log(), 0); err != nil {
			t.Fatal(err)
		}
		n.write(t, 0, "anew\n")
		look("acme-1   | anew\n")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestLastLinesAreShortened(t *testing.T) {
	t.Parallel()
	n := logged(t)
	for i := range 30 {
		n.write(t, 0, fmt.Sprintf("line %d\n", i))
	}
	n.write(t, 0, strings.Repeat("x", 5000)+"\n")
	err := failed(n.File.Nodes[0], "ended: exit status 1")
	var start *StartError
	if !errors.As(err, &start) || !errors.Is(err, ErrNotReady) || len(start.Lines) != failureLines {
		t.Fatalf("%v, want a StartError with %d lines", err, failureLines)
	}
	if last := start.Lines[failureLines-1]; len(last) > 1100 || !strings.HasSuffix(last, "...") {
		t.Errorf("the last line has %d bytes", len(last))
	}
	for _, want := range []string{"acme-1 ended: exit status 1", "line 16", start.Log} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}
