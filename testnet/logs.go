package testnet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
)

const (
	// tailBytes bounds how much of the end of a log is looked at for its last lines.
	tailBytes = 1 << 20
	// followPause is how often a followed log is looked at.
	followPause = 200 * time.Millisecond
)

// LogOptions say what of the logs to show.
type LogOptions struct {
	// Node is the name of the only node to show. Empty: all.
	Node string
	// Lines is how many of the last lines of each to show.
	Lines int
	// Follow shows new lines as they come, until the context ends.
	Follow bool
	// JSON writes every line as an object with the node's name and the line.
	JSON bool
}

// logLine is a line as [LogOptions.JSON] has it written.
type logLine struct {
	Node string `json:"node"`
	Line string `json:"line"`
}

// Logs writes the nodes' logs, each line behind its node's name when there are several. The error is [ErrUnknownNode] or
// [ErrContainers]; the end of the context is none.
func (n *Network) Logs(ctx context.Context, w io.Writer, o LogOptions) error {
	if n.containers {
		return fmt.Errorf("logs: %w: use docker-compose -f %s logs", ErrContainers, n.ComposeFile())
	}
	nodes := n.File.Nodes
	if o.Node != "" {
		node, err := n.node(o.Node)
		if err != nil {
			return fmt.Errorf("logs: %w", err)
		}
		nodes = []client.Node{node}
	}
	width := 0
	for _, node := range nodes {
		width = max(width, len(node.Name))
	}
	var tails []*tail
	for _, node := range nodes {
		t := &tail{path: home.Dir(node.Home).Log()}
		if o.JSON {
			t.json = node.Name
		} else if len(nodes) > 1 {
			t.prefix = fmt.Appendf(nil, "%-*s | ", width, node.Name)
		}
		if err := t.last(w, o.Lines); err != nil {
			return fmt.Errorf("logs: %w", err)
		}
		tails = append(tails, t)
	}
	if !o.Follow {
		return nil
	}
	return follow(ctx, w, tails)
}

func follow(ctx context.Context, w io.Writer, tails []*tail) error {
	ticker := time.NewTicker(followPause)
	defer ticker.Stop()
	for {
		for _, t := range tails {
			if err := t.more(w); err != nil {
				return fmt.Errorf("logs: %w", err)
			}
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tail is a log of which everything before offset has been shown.
type tail struct {
	path   string
	prefix []byte // before each line
	json   string // the node's name, where lines are written as objects
	offset int64
}

// last shows the last lines. A log that is not there yet is empty.
func (t *tail) last(w io.Writer, lines int) error {
	end, offset, err := readEnd(t.path)
	if err != nil {
		return err
	}
	t.offset = offset
	return t.write(w, cutLines(end, lines))
}

// more shows the whole lines that have come since.
func (t *tail) more(w io.Writer) error {
	f, err := os.Open(t.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() < t.offset {
		t.offset = 0 // it was put aside and begun anew
	}
	fresh := make([]byte, min(info.Size()-t.offset, tailBytes))
	got, err := f.ReadAt(fresh, t.offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	whole := fresh[:bytes.LastIndexByte(fresh[:got], '\n')+1]
	if len(whole) == 0 && got == tailBytes {
		whole = fresh // a line without end
	}
	t.offset += int64(len(whole))
	return t.write(w, whole)
}

func (t *tail) write(w io.Writer, content []byte) error {
	if t.json != "" {
		return t.writeJSON(w, content)
	}
	if len(t.prefix) == 0 {
		_, err := w.Write(content)
		return err
	}
	var out []byte
	for line := range bytes.Lines(content) {
		out = append(append(out, t.prefix...), line...)
	}
	_, err := w.Write(out)
	return err
}

func (t *tail) writeJSON(w io.Writer, content []byte) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	for line := range bytes.Lines(content) {
		if err := encoder.Encode(logLine{t.json, string(bytes.TrimRight(line, "\r\n"))}); err != nil {
			return err
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// readEnd returns the whole lines at the end of a file and the offset behind them.
func readEnd(path string) ([]byte, int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	begin := max(0, info.Size()-tailBytes)
	end, err := io.ReadAll(io.NewSectionReader(f, begin, info.Size()-begin))
	if err != nil {
		return nil, 0, err
	}
	end = end[:bytes.LastIndexByte(end, '\n')+1]
	return end, begin + int64(len(end)), nil
}

// cutLines returns the last lines of content, which ends with a line's end.
func cutLines(content []byte, lines int) []byte {
	from := len(content)
	for range lines {
		if from == 0 {
			break
		}
		from = bytes.LastIndexByte(content[:from-1], '\n') + 1
	}
	return content[from:]
}

// lastLines returns the last lines of a file, shortened where they are very long.
func lastLines(path string, lines int) ([]string, error) {
	const longest = 1000
	end, _, err := readEnd(path)
	if err != nil {
		return nil, err
	}
	var last []string
	for line := range bytes.Lines(cutLines(end, lines)) {
		text := string(bytes.TrimRight(line, "\r\n"))
		if len(text) > longest {
			text = text[:longest] + "..."
		}
		last = append(last, text)
	}
	return last, nil
}
