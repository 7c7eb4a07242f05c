package consensus

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The kill test runs a node in a copy of the test program and kills that. The copy finds its
// home in this variable.
const killHome = "ALTHING_TEST_KILL_HOME"

const killTx = "tx-%05d"

// TestKilledNodeChild is the program that is killed: it commits transactions and prints
// each one after its commit, until the end.
func TestKilledNodeChild(t *testing.T) {
	home := os.Getenv(killHome)
	if home == "" {
		return // only TestAKilledNodeHasLostNothing runs this, in a process of its own
	}
	w := killWorld(t, home)
	h := w.hosts[0]
	h.start()
	w.settled(h)
	for i := 0; ; i++ {
		tx := fmt.Sprintf(killTx, i)
		h.submit(tx)
		w.commits(tx, h)
		fmt.Println(tx)
	}
}

// killWorld is a network of one validator that is the same in every process.
func killWorld(t *testing.T, home string) *world {
	w := newWorld(t, 1, 0)
	w.genesis.ChainID, w.genesis.Time = "kill", testTime
	w.hosts[0].home = home
	return w
}

func TestAKilledNodeHasLostNothing(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	var last string
	for round := range 3 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledNodeChild$", "-test.v")
		child.Env = append(os.Environ(), killHome+"="+home, "TMPDIR="+t.TempDir())
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines, acknowledged := bufio.NewScanner(out), 0
		for acknowledged < 3+round && lines.Scan() {
			if strings.HasPrefix(lines.Text(), "tx-") {
				acknowledged++
				last = lines.Text()
			}
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what it acknowledged before it died
			if strings.HasPrefix(lines.Text(), "tx-") {
				last = lines.Text()
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("the child ended by itself")
		}
		if acknowledged < 3+round {
			t.Fatalf("round %d: the child committed only %d transactions", round, acknowledged)
		}
	}

	w := killWorld(t, home)
	h := w.hosts[0]
	h.start()
	h.submit("after the kill")
	w.commits("after the kill", h)
	found := false
	base, height := h.node.BlockRange()
	for i := base; i <= height; i++ {
		b, err := h.node.Block(i)
		if err != nil {
			t.Fatal(err)
		}
		for _, tx := range b.Txs {
			found = found || string(tx) == last
		}
	}
	if !found {
		t.Errorf("%s was acknowledged, and is in no block", last)
	}
}
