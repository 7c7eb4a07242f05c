package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode/utf8"

	"golang.org/x/term"

	"github.com/althing-ledger/althing/testnet"
)

const (
	// viewInterval is how often the view of a running network is renewed.
	viewInterval = time.Second
	// lastWords is how many lines of the log of a node that has ended are shown.
	lastWords = 5
)

// testnetView shows a running network: on a terminal a table that is renewed in its place, elsewhere a line whenever
// there is something new.
type testnetView struct {
	out      io.Writer
	terminal bool
	network  *testnet.Network
	before   testnet.Snapshot // what was shown last
	rows     []string         // the rows of the table that the terminal shows
	err      error            // the first failure to write
}

func newTestnetView(out io.Writer, n *testnet.Network) *testnetView {
	file, isFile := out.(*os.File)
	return &testnetView{out: out, network: n, terminal: isFile && term.IsTerminal(int(file.Fd()))}
}

// run shows the network until the context ends, which is not an error, or nothing runs any more.
func (v *testnetView) run(ctx context.Context) error {
	if err := v.network.Watch(ctx, viewInterval, func(now testnet.Snapshot) { v.show(ctx, now) }); err != nil {
		return err
	}
	return v.err
}

func (v *testnetView) show(ctx context.Context, now testnet.Snapshot) {
	var page bytes.Buffer
	width, height := v.size()
	if len(v.rows) > 0 {
		// Back to the table's first line, and clear from there.
		fmt.Fprintf(&page, "\x1b[%dA\r\x1b[J", linesTaken(v.rows, width, height))
	}
	v.changes(ctx, &page, now)
	if v.terminal {
		var table bytes.Buffer
		fmt.Fprintf(&table, "block %d   app hash %s   %s   %s\n\n", now.Height, shortHash(now.AppHash), transactionsOf(now),
			time.Now().Format(time.TimeOnly))
		columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
		writeNodes(columns, now.Nodes, false)
		if err := columns.Flush(); err != nil && v.err == nil {
			v.err = err
		}
		fmt.Fprintf(&table, "\nCtrl-C stops the network.\n")
		v.rows = fit(table.String(), width, height)
		for _, row := range v.rows {
			fmt.Fprintln(&page, row)
		}
	} else if len(v.before.Nodes) == 0 || now.Height != v.before.Height {
		fmt.Fprintf(&page, "block %d  app hash %s  %s  peers %s\n",
			now.Height, shortHash(now.AppHash), transactionsOf(now), peersOf(now.Nodes))
	}
	v.before = now
	if _, err := v.out.Write(page.Bytes()); err != nil && v.err == nil {
		v.err = err
	}
}

// size is that of the terminal. A terminal that does not tell is taken to be as most are.
func (v *testnetView) size() (width, height int) {
	if file, isFile := v.out.(*os.File); isFile {
		if width, height, err := term.GetSize(int(file.Fd())); err == nil && width > 0 && height > 0 {
			return width, height
		}
	}
	return 80, 24
}

// fit cuts a text to what a terminal shows without breaking or scrolling: below it the cursor needs a line.
func fit(text string, width, height int) []string {
	rows := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	rows = rows[:min(len(rows), max(height-1, 1))]
	for i, row := range rows {
		if runes := []rune(row); len(runes) > width {
			rows[i] = string(runes[:width])
		}
	}
	return rows
}

// linesTaken is how many lines rows take that were written before the terminal got its present size: one that has become
// narrower has broken them.
func linesTaken(rows []string, width, height int) int {
	taken := 0
	for _, row := range rows {
		taken += max(1, (utf8.RuneCountInString(row)+width-1)/width)
	}
	return min(taken, max(height-1, 1))
}

// changes tells which nodes have ended or come back since the last time.
func (v *testnetView) changes(ctx context.Context, out io.Writer, now testnet.Snapshot) {
	for i, before := range v.before.Nodes {
		node := now.Nodes[i]
		switch {
		case before.Running && !node.Running:
			fmt.Fprintf(out, "%s has ended; its log ends with:\n", node.Name)
			err := v.network.Logs(ctx, indented{out}, testnet.LogOptions{Node: node.Name, Lines: lastWords})
			if err != nil {
				fmt.Fprintf(out, "  %v\n", err)
			}
			fmt.Fprintf(out, "Start it again with: althing testnet node start %s --dir %s\n", node.Name, shortPath(v.network.Dir))
		case !before.Running && node.Running:
			fmt.Fprintf(out, "%s is back, process %d.\n", node.Name, node.PID)
		case before.Ready && !node.Ready && node.Running:
			fmt.Fprintf(out, "%s is not ready any more.\n", node.Name)
		case !before.Ready && node.Ready:
			fmt.Fprintf(out, "%s is ready.\n", node.Name)
		}
	}
}

// indented puts two spaces before every line.
type indented struct{ out io.Writer }

func (w indented) Write(content []byte) (int, error) {
	for line := range bytes.Lines(content) {
		if _, err := fmt.Fprintf(w.out, "  %s", line); err != nil {
			return 0, err
		}
	}
	return len(content), nil
}

// writeNodes writes a table of nodes, its columns separated by tabs, with or without where HTTP and the metrics are.
func writeNodes(w io.Writer, nodes []testnet.NodeStatus, withPages bool) {
	write := func(columns ...string) {
		if !withPages {
			columns = slices.Delete(columns, 7, 9)
		}
		fmt.Fprintln(w, strings.Join(columns, "\t"))
	}
	write("NODE", "STATE", "HEIGHT", "APP HASH", "PEERS", "PENDING", "GRPC", "HTTP", "METRICS", "PID")
	for _, n := range nodes {
		web, metrics := orDash(n.HTTP), orDash(n.Metrics)
		if n.Phase == "" {
			write(n.Name, stateOf(n), "", "", "", "", n.GRPC, web, metrics, pidOf(n))
			continue
		}
		write(n.Name, stateOf(n), fmt.Sprint(n.Height), shortHash(n.AppHash), fmt.Sprintf("%d/%d", n.Peers, n.Members),
			fmt.Sprint(n.Pending), n.GRPC, web, metrics, pidOf(n))
	}
}

// stateOf is how a node is, in one or two words.
func stateOf(n testnet.NodeStatus) string {
	switch {
	case n.Ready:
		return "ready"
	case n.Phase != "":
		return n.Phase
	case n.Running:
		return "no answer"
	default:
		return "not running"
	}
}

// transactionsOf says how many transactions there are, and since when.
func transactionsOf(now testnet.Snapshot) string {
	if now.Since == 0 {
		return plural(now.Transactions, "transaction") + " so far"
	}
	return fmt.Sprintf("%s since block %d", plural(now.Transactions, "transaction"), now.Since)
}

func pidOf(n testnet.NodeStatus) string {
	if n.PID == 0 {
		return "-"
	}
	return fmt.Sprint(n.PID)
}

func peersOf(nodes []testnet.NodeStatus) string {
	var each []string
	for _, n := range nodes {
		if n.Phase == "" {
			each = append(each, "-")
		} else {
			each = append(each, fmt.Sprintf("%d/%d", n.Peers, n.Members))
		}
	}
	return strings.Join(each, " ")
}

// shortHash is the beginning of a hash, enough to compare by eye.
func shortHash(hash string) string {
	if len(hash) > 16 {
		return hash[:16]
	}
	return hash
}
