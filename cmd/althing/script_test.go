package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/althing-ledger/althing/client/clienttest"
)

// unprovenVariable is set where the ledger is one that proves nothing.
const unprovenVariable = "TEST_UNPROVEN"

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"althing": func() {
		if os.Getenv(unprovenVariable) != "" {
			os.Args = append(os.Args, "--unverified")
		}
		main()
	}})
}

// TestScripts runs testdata/script/*.txt, each against a ledger of its own with three nodes in this process: acme-1,
// globex-1 and initech-1. The directory of the network is $NETWORK.
//
// Beside testscript's own commands there are:
//
//	exits CODE COMMAND…      run a command that must end with this exit code
//	field PATH WANT          the JSON on stdout has this at a path such as nodes.0.name
//	capture NAME PATH        put what is there into a variable
//	stop NODE, start NODE    stop a node, start it again
//	fault NODE KIND [VALUE]  make a node misbehave; without a kind behave again
//	ledger pause|resume      keep transactions pending, commit them
func TestScripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, network: clienttest.Start(t, 3)}
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error {
					env.Setenv("NETWORK", w.network.Dir)
					env.Setenv(networkVariable, "")
					env.Setenv(unprovenVariable, "yes")
					// A program under the race detector otherwise sleeps for a second before it ends.
					env.Setenv("GORACE", "atexit_sleep_ms=0")
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits": exits, "field": fieldIs, "capture": capture,
					"stop": w.stop, "start": w.start, "fault": w.fault, "ledger": w.ledger,
				},
			})
		})
	}
}

type world struct {
	t       *testing.T
	network *clienttest.Network
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// at returns what stands at a path of the JSON on stdout.
func at(ts *testscript.TestScript, path string) string {
	var value any
	if err := json.Unmarshal([]byte(ts.ReadFile("stdout")), &value); err != nil {
		ts.Fatalf("stdout is no JSON: %v", err)
	}
	found, ok := lookAt(value, path)
	if !ok {
		ts.Fatalf("there is no %s", path)
	}
	return found
}

// lookAt returns what stands at a path such as nodes.0.name. Of a list, length is its length, and KEY=VALUE is its first
// item that has this.
func lookAt(value any, path string) (string, bool) {
	for _, step := range strings.Split(path, ".") {
		switch node := value.(type) {
		case map[string]any:
			found, ok := node[step]
			if !ok {
				return "", false
			}
			value = found
		case []any:
			key, want, bySearch := strings.Cut(step, "=")
			switch i, err := strconv.Atoi(step); {
			case step == "length":
				value = float64(len(node))
			case bySearch:
				i := slices.IndexFunc(node, func(item any) bool {
					fields, ok := item.(map[string]any)
					return ok && fields[key] == want
				})
				if i < 0 {
					return "", false
				}
				value = node[i]
			case err != nil || i < 0 || i >= len(node):
				return "", false
			default:
				value = node[i]
			}
		default:
			return "", false
		}
	}
	if text, ok := value.(string); ok {
		return text, true
	}
	text, err := json.Marshal(value)
	return string(text), err == nil
}

func fieldIs(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: field PATH WANT")
	}
	if got := at(ts, args[0]); (got == args[1]) == neg {
		ts.Fatalf("%s is %q, want %q (negated: %v)", args[0], got, args[1], neg)
	}
}

func capture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATH")
	}
	ts.Setenv(args[0], at(ts, args[1]))
}

func (w *world) node(ts *testscript.TestScript, args []string) *clienttest.Node {
	for _, n := range w.network.Nodes {
		if len(args) > 0 && n.Name == args[0] {
			return n
		}
	}
	ts.Fatalf("name a node of %d", len(w.network.Nodes))
	return nil
}

func (w *world) stop(ts *testscript.TestScript, _ bool, args []string)  { w.node(ts, args).Stop() }
func (w *world) start(ts *testscript.TestScript, _ bool, args []string) { w.node(ts, args).Start(w.t) }

func (w *world) fault(ts *testscript.TestScript, _ bool, args []string) {
	n := w.node(ts, args)
	var faults clienttest.Faults
	value := func() int {
		i, err := strconv.Atoi(args[2])
		ts.Check(err)
		return i
	}
	switch kind := strings.Join(args[1:min(2, len(args))], ""); kind {
	case "":
	case "unavailable":
		faults.Unavailable = true
	case "lost":
		faults.LostAnswers = value()
	case "full":
		faults.Full, faults.RetryAfter = value(), 10*time.Millisecond
	case "clock":
		faults.ClockOffset = time.Duration(value()) * time.Second
	case "chain":
		faults.ChainID = args[2]
	default:
		ts.Fatalf("no fault is called %s", kind)
	}
	n.Set(faults)
}

func (w *world) ledger(ts *testscript.TestScript, _ bool, args []string) {
	switch fmt.Sprint(args) {
	case "[pause]":
		w.network.Ledger.Pause()
	case "[resume]":
		w.network.Ledger.Resume()
	default:
		ts.Fatalf("usage: ledger pause|resume")
	}
}
