package main

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/althing-ledger/althing/testnet"
)

// liveTimeout bounds how long `soon` waits.
const liveTimeout = 30 * time.Second

// TestLive runs testdata/live/*.txt, each against processes of its own; a network made by `testnet up` lies in net. $ADDRESS0 to
// $ADDRESS9 are addresses that nobody listens on. Beside the commands of TestScripts there is
//
//	soon PATH WANT COMMAND…  run a command until it succeeds and the JSON that it prints has this at the path
//	flip FILE COPY BYTE      make a copy in which one bit of this byte is another
//	cut FILE COPY BYTES      make a copy without so many bytes at the end
//	appears FILE             wait until there is a file
//	counted                  the blocks hold what the result of a measurement on stdout counts
//	refuses FILE COMMAND…    flip one bit after another, all over the file; the command must exit 1 for each copy, FORGED
func TestLive(t *testing.T) {
	if testing.Short() {
		t.Skip("four processes per script")
	}
	t.Parallel()
	files, err := filepath.Glob("testdata/live/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("scripts: %v, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Files: []string{file},
				Setup: func(env *testscript.Env) error {
					env.Setenv(networkVariable, filepath.Join(env.WorkDir, "net"))
					env.Setenv("GORACE", "atexit_sleep_ms=0")
					freeAddresses(t, env, 10)
					env.Defer(func() { takeDown(t, filepath.Join(env.WorkDir, "net")) })
					return nil
				},
				Cmds: map[string]func(*testscript.TestScript, bool, []string){
					"exits": exits, "field": fieldIs, "capture": capture, "soon": soon,
					"flip": flip, "cut": cut, "refuses": refuses, "counted": counted, "appears": appears,
				},
			})
		})
	}
}

// freeAddresses sets variables to addresses on loopback whose ports are free, below the range from which systems lend ports.
func freeAddresses(t *testing.T, env *testscript.Env, count int) {
	t.Helper()
	found, port := 0, 20_000+rand.IntN(10_000)
	for ; found < count && port < 32_000; port++ {
		listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		defer func() { _ = listener.Close() }()
		env.Setenv("ADDRESS"+strconv.Itoa(found), listener.Addr().String())
		found++
	}
	if found < count {
		t.Fatalf("only %d ports are free", found)
	}
}

// takeDown stops whatever a script has left running.
func takeDown(t *testing.T, dir string) {
	n, err := testnet.Open(dir)
	if err != nil {
		return // it was never made
	}
	if _, err := n.Down(context.Background()); err != nil {
		t.Error(err)
	}
}

func soon(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: soon PATH WANT COMMAND…")
	}
	deadline := time.Now().Add(liveTimeout)
	for {
		err := ts.Exec(args[2], args[3:]...)
		var value any
		if err == nil && json.Unmarshal([]byte(ts.ReadFile("stdout")), &value) == nil {
			if got, found := lookAt(value, args[0]); found && (got == args[1]) != neg {
				return
			}
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s is not %q (negated: %v) after %v: %v", args[0], args[1], neg, liveTimeout, err)
		}
		<-time.After(50 * time.Millisecond)
	}
}
