package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// streams is what a command reads from and writes to, and the environment it looks at.
type streams struct {
	in  io.Reader
	out io.Writer
	err io.Writer
	// terminal says whether somebody looks at err.
	terminal bool
	getenv   func(string) string
	now      func() time.Time
}

func standardStreams() *streams {
	return &streams{
		in: os.Stdin, out: os.Stdout, err: os.Stderr,
		terminal: term.IsTerminal(int(os.Stderr.Fd())),
		getenv:   os.Getenv, now: time.Now,
	}
}

// patience is how long a command is silent before it says what it waits for.
const patience = 2 * time.Second

// progress says what the command waits for, every second, once that has taken longer than two. It says nothing without
// a terminal. The returned function ends it and must be called.
func (s *streams) progress(ctx context.Context, waitingFor string) func() {
	if !s.terminal {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		began, tick := time.Now(), time.NewTicker(time.Second)
		defer tick.Stop()
		shown := false
		for {
			select {
			case <-ctx.Done():
				if shown {
					fmt.Fprint(s.err, "\r\x1b[K")
				}
				return
			case <-tick.C:
				if waited := time.Since(began); waited >= patience {
					fmt.Fprintf(s.err, "\r\x1b[Kwaiting for %s … %v", waitingFor, waited.Round(time.Second))
					shown = true
				}
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// show prints a value as JSON, or what text writes. Columns that text separates with tabs are aligned.
func (s *streams) show(g globals, value any, text func(w io.Writer)) error {
	if g.json {
		return s.showJSON(value, "  ")
	}
	w := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	text(w)
	return w.Flush()
}

func (s *streams) showJSON(value any, indent string) error {
	data, err := encodeJSON(value, indent)
	if err != nil {
		return err
	}
	_, err = s.out.Write(data)
	return err
}

// encodeJSON returns a value as JSON and a newline, on one line for an empty indent.
func encodeJSON(value any, indent string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("encode the output: %w", err)
	}
	return b.Bytes(), nil
}

// note writes a remark for people; with JSON output nobody reads it.
func (s *streams) note(g globals, format string, args ...any) {
	if !g.json {
		fmt.Fprintf(s.err, format+"\n", args...)
	}
}
