package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

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
	lines    int              // how many lines of the terminal the table takes
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
	if v.lines > 0 {
		fmt.Fprintf(&page, "\x1b[%dA\x1b[J", v.lines) // back to the table's first line, and clear from there
	}
	v.changes(ctx, &page, now)
	if v.terminal {
		var table bytes.Buffer
		fmt.Fprintf(&table, "block %d   app hash %s   %s   %s\n\n", now.Height, shortHash(now.AppHash), counted(now),
			time.Now().Format(time.TimeOnly))
		columns := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
		writeNodes(columns, now.Nodes)
		if err := columns.Flush(); err != nil && v.err == nil {
			v.err = err
		}
		fmt.Fprintf(&table, "\nCtrl-C stops the network.\n")
		v.lines = bytes.Count(table.Bytes(), []byte("\n"))
		page.Write(table.Bytes())
	} else if len(v.before.Nodes) == 0 || now.Height != v.before.Height {
		fmt.Fprintf(&page, "block %d  app hash %s  %s  peers %s\n",
			now.Height, shortHash(now.AppHash), counted(now), peersOf(now.Nodes))
	}
	v.before = now
	if _, err := v.out.Write(page.Bytes()); err != nil && v.err == nil {
		v.err = err
	}
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

// writeNodes writes a table of nodes, its columns separated by tabs.
func writeNodes(w io.Writer, nodes []testnet.NodeStatus) {
	fmt.Fprint(w, "NODE\tSTATE\tHEIGHT\tAPP HASH\tPEERS\tPENDING\tGRPC\tPID\n")
	for _, n := range nodes {
		state := n.Phase
		switch {
		case n.Ready:
			state = "ready"
		case n.Phase == "" && n.Running:
			state = "no answer"
		case n.Phase == "":
			state = "not running"
		}
		if n.Phase == "" {
			fmt.Fprintf(w, "%s\t%s\t\t\t\t\t%s\t%s\n", n.Name, state, n.GRPC, pidOf(n))
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d/%d\t%d\t%s\t%s\n",
			n.Name, state, n.Height, shortHash(n.AppHash), n.Peers, n.Members, n.Pending, n.GRPC, pidOf(n))
	}
}

// counted says how many transactions there are, and since when.
func counted(now testnet.Snapshot) string {
	if now.Since == 0 {
		return fmt.Sprintf("%d transactions", now.Transactions)
	}
	return fmt.Sprintf("%d transactions since block %d", now.Transactions, now.Since)
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
