package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
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
		say(&table, "block %d   app hash %s   %d transactions   %s\n\n", now.Height, shortHash(now.AppHash), now.Transactions,
			time.Now().Format(time.TimeOnly))
		if err := showNodes(&table, now.Nodes); err != nil && v.err == nil {
			v.err = err
		}
		say(&table, "\nCtrl-C stops the network.\n")
		v.lines = bytes.Count(table.Bytes(), []byte("\n"))
		page.Write(table.Bytes())
	} else if len(v.before.Nodes) == 0 || now.Height != v.before.Height {
		say(&page, "block %d  app hash %s  %d transactions  peers %s\n",
			now.Height, shortHash(now.AppHash), now.Transactions, peersOf(now.Nodes))
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
			say(out, "%s has ended; its log ends with:\n", node.Name)
			err := v.network.Logs(ctx, indented{out}, testnet.LogOptions{Node: node.Name, Lines: lastWords})
			if err != nil {
				say(out, "  %v\n", err)
			}
			say(out, "Start it again with: althing testnet node start %s --dir %s\n", node.Name, shortPath(v.network.Dir))
		case !before.Running && node.Running:
			say(out, "%s is back, process %d.\n", node.Name, node.PID)
		case before.Ready && !node.Ready && node.Running:
			say(out, "%s is not ready any more.\n", node.Name)
		case !before.Ready && node.Ready:
			say(out, "%s is ready.\n", node.Name)
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

// showNodes prints a table of nodes.
func showNodes(out io.Writer, nodes []testnet.NodeStatus) error {
	table := newTable(out)
	table.row("NODE", "STATE", "HEIGHT", "APP HASH", "PEERS", "PENDING", "GRPC", "PID")
	for _, n := range nodes {
		if n.Phase == "" {
			state := "no answer"
			if !n.Running {
				state = "not running"
			}
			table.row(n.Name, state, "", "", "", "", n.GRPC, pidOf(n))
			continue
		}
		state := n.Phase
		if n.Ready {
			state = "ready"
		}
		table.row(n.Name, state, fmt.Sprint(n.Height), shortHash(n.AppHash), fmt.Sprintf("%d/%d", n.Peers, n.Members),
			fmt.Sprint(n.Pending), n.GRPC, pidOf(n))
	}
	return table.flush()
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
