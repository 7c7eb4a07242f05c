package testnet_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/testnet"
)

// scratch is where the program under test is built.
var scratch string

// build makes the program under test, once, for the tests that need it.
var build = sync.OnceValues(func() (string, error) {
	binary := filepath.Join(scratch, "althing")
	cmd := exec.Command("go", "build", "-o", binary, "../cmd/althing")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w\n%s", err, said)
	}
	return binary, nil
})

func TestMain(m *testing.M) {
	var err error
	if scratch, err = os.MkdirTemp("", "althing-e2e-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := os.RemoveAll(scratch); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// launch starts a new network that is stopped when the test ends, whatever state it is in then.
func launch(t *testing.T, dir string, o testnet.Options) *testnet.Network {
	t.Helper()
	n, err := testnet.Launch(t.Context(), dir, o, binary(t))
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, dir)
	return n
}

func stopAtEnd(t *testing.T, dir string) {
	t.Helper()
	t.Cleanup(func() {
		n, err := testnet.Open(dir)
		if err != nil {
			return // it was never made
		}
		if _, err := n.Down(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func statusOf(t *testing.T, n *testnet.Network) map[string]testnet.NodeStatus {
	t.Helper()
	nodes, err := n.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]testnet.NodeStatus{}
	for _, node := range nodes {
		all[node.Name] = node
	}
	return all
}

// demo runs the demonstration and returns the receiver's balance as every node that runs tells it.
func demo(t *testing.T, n *testnet.Network) {
	t.Helper()
	d, err := n.Demo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range d.Balances {
		if b.Amount != d.Balances[0].Amount {
			t.Errorf("%s says %s, %s says %s", b.Node, b.Amount, d.Balances[0].Node, d.Balances[0].Amount)
		}
	}
}

// agree waits until all nodes are at one height with one app hash, and returns it.
func agree(t *testing.T, n *testnet.Network) (height uint64, hash string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	err := n.Watch(ctx, 50*time.Millisecond, func(s testnet.Snapshot) {
		same := true
		for _, node := range s.Nodes {
			same = same && node.Ready && node.Height == s.Height && node.AppHash == s.AppHash
		}
		if same {
			height, hash = s.Height, s.AppHash
			cancel()
		}
	})
	if err != nil || hash == "" {
		t.Fatalf("the nodes do not agree: %+v, %v", statusOf(t, n), err)
	}
	return height, hash
}

func TestLifeOfANetwork(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	n := launch(t, dir, testnet.Options{})
	demo(t, n)
	before := statusOf(t, n)
	for name, node := range before {
		if !node.Ready || !node.Running || node.PID == 0 || node.Peers != 3 {
			t.Errorf("%s: %+v", name, node)
		}
	}
	if err := n.Up(t.Context()); !errors.Is(err, testnet.ErrRunning) {
		t.Errorf("up again: %v, want ErrRunning", err)
	}

	// One node dies; the others go on; it comes back and catches up.
	if err := n.Kill(t.Context(), "globex-1"); err != nil {
		t.Fatal(err)
	}
	if now := statusOf(t, n)["globex-1"]; now.Running || now.PID != 0 || now.Error == "" {
		t.Errorf("after a kill: %+v", now)
	}
	if err := n.Stop(t.Context(), "globex-1"); !errors.Is(err, testnet.ErrNotRunning) {
		t.Errorf("stopping what does not run: %v, want ErrNotRunning", err)
	}
	if step, err := n.Demo(t.Context()); err == nil || len(step.Steps) != 3 {
		t.Errorf("three of four: %+v, %v; want all transactions and one node that does not answer", step, err)
	}
	if err := n.Start(t.Context(), "globex-1"); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context(), "globex-1"); !errors.Is(err, testnet.ErrRunning) {
		t.Errorf("starting what runs: %v, want ErrRunning", err)
	}
	// Starting the network starts what is missing of it.
	if err := n.Kill(t.Context(), "acme-1"); err != nil {
		t.Fatal(err)
	}
	if err := n.Up(t.Context()); err != nil {
		t.Fatal(err)
	}
	height, hash := agree(t, n)
	for name, node := range statusOf(t, n) {
		if moved := node.PID != before[name].PID; moved != (name == "globex-1" || name == "acme-1") {
			t.Errorf("%s: process %d, was %d", name, node.PID, before[name].PID)
		}
	}

	// The same network goes on after a stop.
	if stopped, err := n.Down(t.Context()); err != nil || stopped != 4 {
		t.Fatalf("stopped %d, %v", stopped, err)
	}
	if stopped, err := n.Down(t.Context()); err != nil || stopped != 0 {
		t.Errorf("stopped %d more, %v", stopped, err)
	}
	again := launch(t, dir, testnet.Options{})
	if again.File.ChainID != n.File.ChainID {
		t.Errorf("now it is %s, was %s", again.File.ChainID, n.File.ChainID)
	}
	if h, now := agree(t, again); h < height || (h == height && now != hash) {
		t.Errorf("height %d with %s, was %d with %s", h, now, height, hash)
	}
	demo(t, again)
}

// TestOneValidator is the smallest network there is.
func TestOneValidator(t *testing.T) {
	t.Parallel()
	n := launch(t, filepath.Join(t.TempDir(), "net"), testnet.Options{Validators: 1, Name: "lonely"})
	demo(t, n)
	if !strings.HasPrefix(n.File.ChainID, "lonely-") {
		t.Errorf("chain id %s", n.File.ChainID)
	}
}

func TestFailingNodeIsShownAndNothingStays(t *testing.T) {
	t.Parallel()
	n, err := testnet.New(filepath.Join(t.TempDir(), "net"), testnet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, n.Dir)
	n.Binary = binary(t)
	if err := os.Remove(home.Dir(n.File.Nodes[2].Home).SignerState()); err != nil {
		t.Fatal(err)
	}
	err = n.Up(t.Context())
	var start *testnet.StartError
	if !errors.As(err, &start) || start.Node != "initech-1" || !strings.Contains(strings.Join(start.Lines, "\n"), "signer record") {
		t.Errorf("%v, want a StartError of initech-1 with its last words", err)
	}
	expectNothingRuns(t, n)
}

func expectNothingRuns(t *testing.T, n *testnet.Network) {
	t.Helper()
	for _, node := range n.File.Nodes {
		if p, running, err := home.Running(node.Home); running || err != nil {
			t.Errorf("%s still runs as %d, %v", node.Name, p.PID, err)
		}
	}
}

func TestInterruptedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	n, err := testnet.New(filepath.Join(t.TempDir(), "net"), testnet.Options{Validators: 2})
	if err != nil {
		t.Fatal(err)
	}
	stopAtEnd(t, n.Dir)
	n.Binary = binary(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Up(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want the context's error", err)
	}
	expectNothingRuns(t, n)
	// What is not ready in time is stopped too.
	n.ReadyTimeout = time.Millisecond
	if err := n.Up(t.Context()); !errors.Is(err, testnet.ErrNotReady) {
		t.Errorf("%v, want ErrNotReady", err)
	}
	expectNothingRuns(t, n)
}

// TestStubbornNodeIsKilled: a process that holds the lock of a home and is stopped in its tracks does not answer SIGTERM.
func TestStubbornNodeIsKilled(t *testing.T) {
	t.Parallel()
	n := launch(t, filepath.Join(t.TempDir(), "net"), testnet.Options{Validators: 1})
	n.StopTimeout = 300 * time.Millisecond
	p, running, err := home.Running(n.File.Nodes[0].Home)
	if err != nil || !running {
		t.Fatal(running, err)
	}
	if err := syscall.Kill(p.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := n.Stop(t.Context(), "acme-1"); err != nil {
		t.Error(err)
	}
	expectNothingRuns(t, n)
}

// TestCommandLineDetached checks what programs read of the commands.
func TestCommandLineDetached(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	stopAtEnd(t, dir)
	var up struct {
		ChainID     string `json:"chain_id"`
		GenesisHash string `json:"genesis_hash"`
		Nodes       []struct {
			Name, Org, GRPC, Home string
			PID                   int
		}
	}
	althing(t, &up, "testnet", "up", "--validators", "2", "--dir", dir, "--detach", "--output", "json")
	if !strings.HasSuffix(up.ChainID, "-"+up.GenesisHash[:8]) || len(up.Nodes) != 2 {
		t.Fatalf("%+v", up)
	}
	for i, node := range up.Nodes {
		p, running, err := home.Running(node.Home)
		if err != nil || !running || p.PID != node.PID {
			t.Errorf("%+v: runs %v as %+v, %v", node, running, p, err)
		}
		if want := []string{"acme-1", "globex-1"}[i]; node.Name != want || node.Name != node.Org+"-1" || node.GRPC == "" {
			t.Errorf("%+v, want %s", node, want)
		}
	}
	var status struct {
		Nodes []testnet.NodeStatus
	}
	althing(t, &status, "testnet", "status", "--dir", dir, "--output", "json")
	if len(status.Nodes) != 2 || !status.Nodes[0].Ready || status.Nodes[0].Metrics == "" {
		t.Errorf("%+v", status)
	}
	var node testnet.NodeStatus
	althing(t, &node, "testnet", "node", "restart", "acme-1", "--dir", dir, "--output", "json")
	if !node.Running || node.PID == up.Nodes[0].PID {
		t.Errorf("%+v, was %+v", node, up.Nodes[0])
	}
	if !node.Ready {
		t.Errorf("restarted, but not ready: %+v", node)
	}
	for range 2 { // what does not run is stopped already
		althing(t, &node, "testnet", "node", "stop", "acme-1", "--dir", dir, "--output", "json")
		if node.Running {
			t.Errorf("stopped, but %+v", node)
		}
	}
	althing(t, &node, "testnet", "node", "stop", "globex-1", "--dir", dir, "--output", "json")
	althing(t, &node, "testnet", "node", "start", "globex-1", "--dir", dir, "--output", "json")
	if !node.Running || node.Ready {
		t.Errorf("one of two: %+v, want it to run and not to be ready", node)
	}
	althing(t, &up, "testnet", "up", "--dir", dir, "--detach", "--output", "json")
	var down struct{ Stopped int }
	althing(t, &down, "testnet", "down", "--dir", dir, "--output", "json")
	if down.Stopped != 2 {
		t.Errorf("%+v", down)
	}
}

// althing runs the program, which must succeed and write nothing to its standard error, and decodes what it prints.
func althing(t *testing.T, into any, args ...string) {
	t.Helper()
	var out, bad bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary(t), args...)
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Run(); err != nil || bad.Len() > 0 {
		t.Fatalf("%v: %v\n%s", args, err, bad.String())
	}
	if err := json.Unmarshal(out.Bytes(), into); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out.String())
	}
}

// TestCommandLineForeground: the network lives as long as the command, and a node that dies is told.
func TestCommandLineForeground(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	stopAtEnd(t, dir)
	cmd := exec.CommandContext(t.Context(), binary(t), "testnet", "up", "--dir", dir, "--demo")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var bad bytes.Buffer
	cmd.Stderr = &bad
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	scanner := bufio.NewScanner(out)
	until := func(want string) {
		t.Helper()
		for scanner.Scan() {
			lines = append(lines, scanner.Text())
			if strings.Contains(scanner.Text(), want) {
				return
			}
		}
		t.Fatalf("the command never said %q, only:\n%s\n%s", want, strings.Join(lines, "\n"), bad.String())
	}
	until("is ready after")
	until("acme/treasury pays 12.50 to globex/treasury")
	until("committed in block")
	until("umbrella-1 says: globex/treasury has 12.50 acme/usd")
	until("peers 3/3 3/3 3/3 3/3")
	n, err := testnet.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Kill(t.Context(), "initech-1"); err != nil {
		t.Fatal(err)
	}
	until("initech-1 has ended; its log ends with:")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	until("Stopping")
	if err := cmd.Wait(); err != nil || bad.Len() > 0 {
		t.Errorf("after Ctrl-C: %v\n%s", err, bad.String())
	}
	expectNothingRuns(t, n)
}

func TestCommandLineUsage(t *testing.T) {
	t.Parallel()
	taken := t.TempDir()
	if err := os.WriteFile(filepath.Join(taken, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	for says, args := range map[string][]string{
		"--validators 17, want 1 to 16":    {"up", "--validators", "17", "--dir", none},
		"--validators 0, want 1 to 16":     {"compose", "--validators", "0", "--dir", none},
		"--validators -1, want 1 to 16":    {"up", "--validators", "-1", "--dir", none},
		"x is not a directory":             {"up", "--dir", filepath.Join(taken, "x")},
		"the directory exists":             {"up", "--dir", taken},
		"not the directory of a local net": {"down", "--dir", none},
		"is no program for Linux":          {"compose", "--dir", none, "--binary", filepath.Join(taken, "x")},
	} {
		cmd := exec.CommandContext(t.Context(), binary(t), slices.Concat([]string{"testnet"}, args)...)
		var bad bytes.Buffer
		cmd.Stderr = &bad
		err := cmd.Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(bad.String(), says) {
			t.Errorf("%v: %v\n%s\nwant exit code 2 and %q", args, err, bad.String(), says)
		}
	}
}
