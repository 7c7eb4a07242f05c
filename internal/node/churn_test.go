package node_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

var (
	churnSeed = flag.Uint64("churn.seed", 0, "seed of TestChurn; 0 takes one from the clock")
	churnFor  = flag.Duration("churn.for", 25*time.Second, "how long TestChurn goes on")
	churnLogs = flag.String("churn.logs", "", "directory for the logs of the nodes of TestChurn")
)

const (
	// fewest and most bound how many nodes there are that may vote, and crowd all nodes that are listed.
	fewest, most, crowd = 4, 7, 8
	// cutLimit is how long after the block that removes a node any other may still be connected to it.
	cutLimit = 2 * time.Second
)

// TestChurn changes everything about the members that can be changed, in random order, while a client of each org pays
// without a pause. After each change the network commits again. No honest payment is refused or lost, all nodes have the
// same app hashes all the time, and those who are removed or suspended lose their connections.
func TestChurn(t *testing.T) {
	if testing.Short() {
		t.Skip("it goes on for a while")
	}
	seed := *churnSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("again: go test ./internal/node -run TestChurn -churn.seed=%d -churn.for=%v", seed, *churnFor)
	c := newChurn(t, seed, fewest+int(seed%2))
	steps := []struct {
		name   string
		weight int
		do     func(*churn) error
	}{
		{"admit an org", 3, (*churn).admitOrg},
		{"add a node", 2, (*churn).addNode},
		{"remove a node", 2, (*churn).removeNode},
		{"replace a node", 2, (*churn).replaceNode},
		{"remove an org", 1, (*churn).removeOrg},
		{"suspend an org", 2, (*churn).suspendOrg},
		{"resume an org", 3, (*churn).resumeOrg},
		{"rotate a validator key", 3, (*churn).rotateValidatorKey},
		{"rotate a node key", 2, (*churn).rotateNodeKey},
		{"rotate an account key", 2, (*churn).rotateAccountKey},
		{"stop a node", 2, (*churn).stopNode},
		{"crash a node", 2, (*churn).crashNode},
		{"start a node", 5, (*churn).startNode},
		{"move a node", 1, (*churn).moveNode},
		{"set a power", 2, (*churn).setPower},
		{"revive a removed node", 1, (*churn).revive},
	}
	var lots []int
	for i, s := range steps {
		for range s.weight {
			lots = append(lots, i)
		}
	}
	for end := time.Now().Add(*churnFor); time.Now().Before(end) && !t.Failed(); {
		s := steps[pick(c, lots)]
		c.did = ""
		err := s.do(c)
		var no *refusal
		switch {
		case errors.Is(err, errNotNow):
			continue
		case errors.As(err, &no):
			c.refused[no.code.String()]++
		case err != nil:
			c.t.Errorf("%s: %v", s.name, err)
		default:
			c.done[s.name]++
		}
		// Now and then the next change comes before this one has worked.
		hurry := c.rng.IntN(3) == 0
		c.note("%s %s: %v, hurry=%v", s.name, c.did, err, hurry)
		if !hurry {
			c.settle()
		}
	}
	for _, n := range c.nodesWhere(func(n *churnNode) bool { return !n.up() && n.admitted() }) {
		c.run(n)
	}
	c.settle()
	c.stop()
	c.paying.Wait()
	if !t.Failed() {
		c.settle()
		c.audit()
	}
	for _, name := range slices.Sorted(maps.Keys(c.done)) {
		t.Logf("%s: %d", name, c.done[name])
	}
	for _, code := range slices.Sorted(maps.Keys(c.refused)) {
		t.Logf("refused with %s: %d", code, c.refused[code])
	}
	for _, n := range c.all {
		n.stop()
	}
}

// errNotNow is returned for a step that makes no sense at this moment.
var errNotNow = errors.New("not now")

// note remembers what was done.
func (c *churn) note(format string, args ...any) {
	line := time.Now().UTC().Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	c.log = append(c.log, line)
	if *churnLogs != "" {
		fmt.Fprintln(os.Stderr, line)
	}
}

// run starts a node.
func (c *churn) run(n *churnNode) {
	n.trap.set.Store(0)
	n.start()
}

// settle waits until the network goes on and every node that should follow it does, and compares app hashes.
func (c *churn) settle() {
	c.t.Helper()
	before := map[*payer]int64{}
	for _, o := range c.orgs {
		if o.active() && o.payer != nil && c.life.Err() == nil {
			before[o.payer] = o.payer.paid.Load()
		}
	}
	c.until("payments go on", func(context.Context) error {
		for p, n := range before {
			if p.paid.Load() < n+2 {
				return fmt.Errorf("%s has not paid", p.account)
			}
		}
		return nil
	})
	var height uint64
	for _, n := range c.followers() {
		if status, err := n.ledger().GetStatus(c.t.Context(), &ledgerv1.GetStatusRequest{}); err == nil {
			height = max(height, status.Height)
		}
	}
	for _, n := range c.followers() {
		c.follows(n, height)
	}
	for _, n := range c.nodesWhere((*churnNode).up) {
		c.compare(n)
	}
}

// until is eventually with a picture of all nodes.
func (c *churn) until(what string, condition func(context.Context) error) {
	c.t.Helper()
	end := time.Now().Add(patience)
	for tick := time.NewTicker(10 * time.Millisecond); ; {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		last := condition(ctx)
		cancel()
		if last == nil || c.t.Failed() {
			tick.Stop()
			return
		}
		if time.Now().After(end) {
			c.t.Fatalf("not within %v: %s: %v\n%s", patience, what, last, c.picture())
		}
		<-tick.C
	}
}

// follows waits until a node is ready and has a height. Its peers are members.
func (c *churn) follows(n *churnNode, height uint64) {
	c.t.Helper()
	c.until(fmt.Sprintf("%s follows and has block %d", n.name, height), func(ctx context.Context) error {
		select {
		case <-n.done:
			c.t.Fatalf("%s has ended: %v\n%s", n.name, n.err, c.picture())
		default:
		}
		status, err := n.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
		if err != nil {
			return err
		}
		for _, p := range status.Peers {
			i := slices.IndexFunc(c.all, func(other *churnNode) bool { return other.name == p.Name })
			if status.Ready && (i < 0 || !c.all[i].admitted()) {
				return fmt.Errorf("it is connected to %s", p.Name)
			}
		}
		if !status.Ready || status.Height < height {
			return fmt.Errorf("it is at %d, ready %v, waits for %q", status.Height, status.Ready, status.Waiting)
		}
		return nil
	})
}

// compare compares the app hashes of a node with those of the others, as far as it has come.
func (c *churn) compare(n *churnNode) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	status, err := n.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
	if err != nil {
		if n.admitted() {
			c.t.Errorf("%s: %v", n.name, err)
		}
		return
	}
	for height := c.checked[n.name] + 1; height <= status.Height; height++ {
		res, err := n.ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: height, HeaderOnly: true})
		if err != nil {
			c.t.Errorf("%s: block %d: %v", n.name, height, err)
			return
		}
		known, hash := c.hashes[height], string(res.Block.AppHash)+string(res.Block.Hash)
		if known == "" {
			c.hashes[height] = hash
		} else if known != hash {
			c.t.Fatalf("%s has another block or app hash at height %d", n.name, height)
		}
		c.checked[n.name] = height
	}
}

// suffices says whether the nodes that run hold more than two thirds of the voting power, now and after a change: some are
// cut off, and some have another power. While a node is down, this is for the members to think of: the ledger does not
// know who runs.
func (c *churn) suffices(cut []*churnNode, power map[string]uint64) bool {
	now, next := c.seats()
	maps.Copy(next, power)
	for _, set := range []map[string]uint64{now, next} {
		var have, all uint64
		for _, p := range set {
			all += p
		}
		for _, n := range c.followers() {
			if !slices.Contains(cut, n) {
				have += set[n.name]
			}
		}
		if 3*have <= 2*all {
			return false
		}
	}
	return true
}

// allUp says whether every member runs: then it is the ledger that has to refuse what costs the quorum.
func (c *churn) allUp() bool {
	return len(c.nodesWhere(func(n *churnNode) bool { return !n.up() && n.admitted() })) == 0
}

func (c *churn) room() bool {
	return len(c.nodesWhere(func(n *churnNode) bool { return !n.removed })) < crowd
}

func (c *churn) voting() int {
	_, next := c.seats()
	return len(next)
}
