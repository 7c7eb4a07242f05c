package membership_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/membership"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

// directory is a world with acme-1, globex-1 and globex-2, of which globex-2 is an observer.
func directory(t *testing.T) *conversation {
	t.Helper()
	c := &conversation{w: exectest.New()}
	c.w.Genesis(t, "acme/admin admin\nglobex/admin admin\ninitech/admin admin\n")
	c.genesis(t, "globex-2 globex\nacme-1 acme 10\nglobex-1 globex 10\n")
	return c
}

func (c *conversation) view() *view {
	return &view{Scanner: c.w.State, height: c.w.Height, time: c.w.Time}
}

// op runs an operation that must pass, in the newest block.
func (c *conversation) op(t *testing.T, as string, run func(*exec.Env, membership.Store, accounts.Reader) error) {
	t.Helper()
	if err := c.try(t, as, run); err != nil {
		t.Fatal(err)
	}
}

func (c *conversation) try(t *testing.T, as string, run func(*exec.Env, membership.Store, accounts.Reader) error) error {
	t.Helper()
	return c.w.Also(t, as, nil, func(env *exec.Env, kv exec.KV) error {
		return run(env, membership.Open(kv), accounts.Read(kv))
	}).Err
}

func setPower(name string, power uint64) func(*exec.Env, membership.Store, accounts.Reader) error {
	return func(env *exec.Env, s membership.Store, who accounts.Reader) error {
		return membership.SetPower(env, s, who, &membershipv1.SetPower{Name: name, Power: power})
	}
}

func removeNode(name string) func(*exec.Env, membership.Store, accounts.Reader) error {
	return func(env *exec.Env, s membership.Store, who accounts.Reader) error {
		return membership.RemoveNode(env, s, who, &membershipv1.RemoveNode{Name: name, Spread: true})
	}
}

func TestListNodes(t *testing.T) {
	t.Parallel()
	c := directory(t)
	c.w.Next()
	c.op(t, "globex/admin", removeNode("globex-1"))
	for _, test := range []struct {
		removed bool
		want    []string
	}{{false, []string{"acme-1", "globex-2"}}, {true, []string{"acme-1", "globex-1", "globex-2"}}} {
		for size := range uint32(5) {
			var names []string
			q := &membershipv1.ListNodesRequest{PageSize: size, Removed: test.removed}
			for first := true; first || q.Page != ""; first = false {
				answer, err := membership.ListNodes(c.view(), q)
				if err != nil || answer.Height != 1 {
					t.Fatal(answer, err)
				}
				for _, node := range answer.Nodes {
					names = append(names, node.Name)
				}
				q.Page = answer.NextPage
			}
			if !slices.Equal(names, test.want) {
				t.Errorf("pages of %d: %q, want %q", size, names, test.want)
			}
		}
	}
	gone, err := membership.GetNode(c.view(), &membershipv1.GetNodeRequest{Name: "globex-1"})
	if err != nil || gone.Node.RemovedHeight != 2 {
		t.Error(gone, err)
	}
}

// TestListNodesLooksAtSomeOnly: many removed nodes in a row do not make a page endless.
func TestListNodesLooksAtSomeOnly(t *testing.T) {
	t.Parallel()
	c := directory(t)
	for i := range 2500 {
		node := &membershipv1.Node{Name: fmt.Sprintf("b%04d", i), Org: "acme", RemovedHeight: 1}
		if err := exec.Put(c.w.State, keyspace.Key(keyspace.PrefixNodes, node.Name), node); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	pages, q := 0, &membershipv1.ListNodesRequest{}
	for first := true; first || q.Page != ""; first = false {
		answer, err := membership.ListNodes(c.view(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range answer.Nodes {
			names = append(names, node.Name)
		}
		pages++
		q.Page = answer.NextPage
	}
	if got := strings.Join(names, " "); got != "acme-1 globex-1 globex-2" || pages != 3 {
		t.Errorf("%s on %d pages", got, pages)
	}
}

func TestListValidators(t *testing.T) {
	t.Parallel()
	c := directory(t)
	c.w.Next()
	c.op(t, exectest.Vote, setPower("acme-1", 15))
	c.op(t, "globex/admin", removeNode("globex-1"))
	for _, want := range []string{
		"1: acme-1 of acme 10 then 15 from 1, globex-1 of globex 10 then 0 from 1",
		"2: acme-1 of acme 15 then 15 from 3",
	} {
		answer, err := membership.ListValidators(c.view(), &membershipv1.ListValidatorsRequest{})
		if err != nil {
			t.Fatal(err)
		}
		var list []string
		for _, v := range answer.Validators {
			list = append(list, fmt.Sprintf("%s of %s %d then %d from %d", v.Name, v.Org, v.Power, v.NextPower, v.FromHeight))
			if len(v.PublicKey) != 32 {
				t.Error(v)
			}
		}
		if got := fmt.Sprintf("%d: %s", answer.Height, strings.Join(list, ", ")); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		c.w.Next()
	}
}

func TestListChanges(t *testing.T) {
	t.Parallel()
	c := directory(t)
	for range 3 {
		c.w.Next()
		for _, power := range []uint64{20, 30} {
			c.op(t, exectest.Vote, setPower("acme-1", power))
		}
	}
	for size := range uint32(8) {
		var got []string
		q := &membershipv1.ListChangesRequest{Node: "acme-1", PageSize: size}
		for first := true; first || q.Page != ""; first = false {
			answer, err := membership.ListChanges(c.view(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range answer.Changes {
				got = append(got, fmt.Sprintf("%d:%d", change.Height, change.Node.Power))
				if id := exectest.TxID(change.Height); string(change.TxId) != string(id[:]) {
					t.Error(change)
				}
			}
			q.Page = answer.NextPage
		}
		if strings.Join(got, " ") != "1:20 1:30 2:20 2:30 3:20 3:30" {
			t.Errorf("pages of %d: %v", size, got)
		}
	}
	answer, err := membership.ListChanges(c.view(), &membershipv1.ListChangesRequest{Node: "globex-1"})
	if err != nil || len(answer.Changes) != 0 {
		t.Error(answer, err)
	}
}

func TestListEvidence(t *testing.T) {
	t.Parallel()
	c := directory(t)
	c.w.Next()
	for n := range uint64(20) {
		s := membership.Open(c.w.State)
		offence := membership.Misbehaviour{Kind: "light-client-attack", Address: membership.Address(key(t, "acme-1!")), Height: n + 1}
		conviction, err := membership.Convict(s, n+1, 0, offence)
		if err := errors.Join(err, membership.KeepRaw(s, n+1, conviction.Number, make([]byte, 1<<20))); err != nil || !conviction.Recorded {
			t.Fatal(conviction, err)
		}
		if again, err := membership.Convict(s, n+1, 0, offence); err != nil || again.Recorded {
			t.Fatal("what was punished is recorded again", again, err)
		}
	}
	if err := membership.KeepRaw(membership.Open(c.w.State), 1, 20, nil); err == nil {
		t.Error("raw votes are kept for evidence that there is not")
	}
	sizes, q := []int{}, &membershipv1.ListEvidenceRequest{PageSize: 15}
	for first := true; first || q.Page != ""; first = false {
		answer, err := membership.ListEvidence(c.view(), q)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(answer.Evidence))
		q.Page = answer.NextPage
	}
	if !slices.Equal(sizes, []int{8, 8, 4}) {
		t.Errorf("pages of %v", sizes)
	}
}

func TestQueriesRefuse(t *testing.T) {
	t.Parallel()
	v := directory(t).view()
	ask := func(_ any, err error) error { return err }
	changes := func(node, org string) error {
		return ask(membership.ListChanges(v, &membershipv1.ListChangesRequest{Node: node, Org: org}))
	}
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"no node":          {ask(membership.GetNode(v, &membershipv1.GetNodeRequest{Name: "hooli-1"})), ledgerv1.Code_CODE_NOT_FOUND},
		"bad node":         {ask(membership.GetNode(v, &membershipv1.GetNodeRequest{Name: "\x00"})), ledgerv1.Code_CODE_BAD_NAME},
		"page of nodes":    {ask(membership.ListNodes(v, &membershipv1.ListNodesRequest{Page: "?"})), ledgerv1.Code_CODE_BAD_FIELD},
		"page of evidence": {ask(membership.ListEvidence(v, &membershipv1.ListEvidenceRequest{Page: "?"})), ledgerv1.Code_CODE_BAD_FIELD},
		"nobody's":         {changes("", ""), ledgerv1.Code_CODE_BAD_FIELD},
		"both":             {changes("acme-1", "acme"), ledgerv1.Code_CODE_BAD_FIELD},
		"an unknown node":  {changes("acme-9", ""), ledgerv1.Code_CODE_NOT_FOUND},
		"a bad node":       {changes("\x00", ""), ledgerv1.Code_CODE_BAD_NAME},
		"an unknown org":   {changes("", "hooli"), ledgerv1.Code_CODE_NOT_FOUND},
		"a bad org":        {changes("", "ac\x00me"), ledgerv1.Code_CODE_BAD_NAME},
	} {
		if !rejects(test.err, test.code) {
			t.Errorf("%s: %v, want %s", name, test.err, test.code)
		}
	}
}

// TestAFailedReadIsNeverAnAnswer: neither the mesh nor the engine may act on half of a registry.
func TestAFailedReadIsNeverAnAnswer(t *testing.T) {
	t.Parallel()
	c := directory(t)
	address := membership.Address(key(t, "acme-1!"))
	c.w.State.Fail = statetest.ErrInjected
	r := membership.Read(c.w.State)
	for name, ask := range map[string]func() error{
		"load":       func() error { _, err := membership.Load(c.w.State, 0, 0); return err },
		"seats":      func() error { _, err := r.Seats(); return err },
		"key use":    func() error { _, err := r.KeyUse(address); return err },
		"examine":    func() error { _, err := membership.Examine(c.w.State, 0); return err },
		"validators": func() error { _, err := membership.ListValidators(c.view(), nil); return err },
		"convict": func() error {
			_, err := membership.Convict(membership.Open(c.w.State), 1, 0, membership.Misbehaviour{Address: address})
			return err
		},
	} {
		if err := ask(); !errors.Is(err, statetest.ErrInjected) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := membership.Load(new(statetest.Memory), 0, 0); err == nil {
		t.Error("a state without a registry has one")
	}
}

// TestConvictFailsWithItsReads stops at every read once: a failure of the disk is no verdict about a validator.
func TestConvictFailsWithItsReads(t *testing.T) {
	t.Parallel()
	c := directory(t)
	c.w.Next()
	address := membership.Address(key(t, "acme-1!"))
	c.op(t, exectest.Vote, func(env *exec.Env, s membership.Store, _ accounts.Reader) error {
		if _, err := membership.Convict(s, env.Height, env.Time, membership.Misbehaviour{Address: address}); err != nil {
			return err
		}
		env.Emit(&ledgerv1.Event{})
		return nil
	})
	node, err := membership.Read(c.w.State).Node("acme-1")
	if err != nil || node.ConvictedHeight != 1 || node.Power != 0 {
		t.Error(node, err)
	}
}

func TestChangesOfABlockAreBounded(t *testing.T) {
	t.Parallel()
	c := directory(t)
	c.w.Fast = true
	c.w.Next()
	move := func(env *exec.Env, s membership.Store, who accounts.Reader) error {
		return membership.SetAddresses(env, s, who, &membershipv1.SetAddresses{Name: "globex-2"})
	}
	for range membership.MaxChanges {
		c.op(t, "globex/admin", move)
	}
	if err := c.try(t, "globex/admin", move); !rejects(err, ledgerv1.Code_CODE_LIMIT_REACHED) {
		t.Error(err)
	}
	// No org keeps the members from anything by changing its nodes first.
	for range 50 {
		c.op(t, exectest.Vote, move)
	}
	c.op(t, exectest.Vote, removeNode("globex-2"))
	answer, err := membership.ListChanges(c.view(), &membershipv1.ListChangesRequest{Node: "globex-2"})
	if err != nil || len(answer.Changes) != membership.MaxChanges+51 || answer.Changes[len(answer.Changes)-1].Kind != "node.remove" {
		t.Error(len(answer.Changes), err)
	}
}

func TestNodesAreBounded(t *testing.T) {
	t.Parallel()
	c := &conversation{w: exectest.New()}
	c.w.Fast = true
	c.w.Genesis(t, "acme/admin admin\n")
	var lines strings.Builder
	lines.WriteString("acme-1 acme 10\n")
	for i := range membership.MaxNodes - 1 {
		fmt.Fprintf(&lines, "n%d acme\n", i)
	}
	if got := c.genesis(t, lines.String()); got != "1024 nodes" {
		t.Fatal(got)
	}
	c.w.Next()
	add := func(env *exec.Env, s membership.Store, who accounts.Reader) error {
		return membership.AddNode(env, s, who, c.add(t, "one-more", "acme", "", nil))
	}
	if err := c.try(t, exectest.Vote, add); !rejects(err, ledgerv1.Code_CODE_LIMIT_REACHED) {
		t.Error(err)
	}
	c.op(t, exectest.Vote, removeNode("n7"))
	c.op(t, exectest.Vote, add)
	if r, err := membership.Load(c.w.State, 1, 0); err != nil || len(r.Nodes) != membership.MaxNodes {
		t.Error(err)
	}
	if found, err := membership.Examine(c.w.State, 1); found != nil || err != nil {
		t.Error(found, err)
	}
}

// TestAllotmentsReachThroughTheNetwork: accounts bounds allotments without knowing what a node is.
func TestAllotmentsReachThroughTheNetwork(t *testing.T) {
	t.Parallel()
	if accounts.MaxAllotmentPower != membership.MaxValidators*membership.MaxPower || accounts.MaxAllotmentNodes != membership.MaxNodes {
		t.Error("an allotment cannot give what the network can have, or more than that")
	}
}

// TestExamineFinds breaks what the registry says in one leaf and not in another.
func TestExamineFinds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		leaf  []byte
		value exec.Message
		want  string
	}{
		"count":    {keyspace.Key(keyspace.PrefixSeats), &membershipv1.Seats{Nodes: 9}, "9 nodes are counted, and 3 are listed"},
		"no seats": {keyspace.Key(keyspace.PrefixSeats), &membershipv1.Seats{Nodes: 3}, "there are 0 validators at height 2"},
		"stranger": {
			keyspace.Key(keyspace.PrefixSeats), &membershipv1.Seats{Nodes: 3, Seats: []*membershipv1.Seat{{Node: "x", Power: 1}}},
			"the seat of x at height 2 has no node to it",
		},
		"power": {
			keyspace.Key(keyspace.PrefixNodes, "acme-1"),
			&membershipv1.Node{Name: "acme-1", Org: "acme", NodeKey: key(t, "acme-1"), ValidatorKey: key(t, "acme-1!"), Power: 11},
			"the seat of acme-1 has the key",
		},
		"key": {
			keyspace.Key(keyspace.PrefixNodes, "globex-2"), &membershipv1.Node{Name: "globex-2", Org: "globex", NodeKey: key(t, "acme-1")},
			"the node key",
		},
		"org": {
			keyspace.Key(keyspace.PrefixNodes, "globex-2"), &membershipv1.Node{Name: "globex-2", Org: "acme", NodeKey: key(t, "globex-2")},
			"globex-2 is a node of acme and listed by globex",
		},
		"removed": {
			keyspace.Key(keyspace.PrefixNodes, "globex-2"),
			&membershipv1.Node{Name: "globex-2", Org: "globex", NodeKey: key(t, "globex-2"), RemovedHeight: 1},
			"globex-2 was removed at height 1, and listed by its org: true",
		},
		"list": {keyspace.Key(keyspace.PrefixOrgNodes, "globex"), &membershipv1.OrgNodes{Names: []string{"globex-1"}}, "3 nodes are counted, and 2 are listed"},
	} {
		c := directory(t)
		if found, err := membership.Examine(c.w.State, 0); found != nil || err != nil {
			t.Fatal(found, err)
		}
		if err := exec.Put(c.w.State, test.leaf, test.value); err != nil {
			t.Fatal(err)
		}
		found, err := membership.Examine(c.w.State, 0)
		if err != nil || !strings.Contains(strings.Join(found, "\n"), test.want) {
			t.Errorf("%s: %q, %v", name, found, err)
		}
	}
}

// TestRegistryFollowsTheClockOfTheBlocks looks at the last moment of a former key and of a removed node.
func TestRegistryFollowsTheClockOfTheBlocks(t *testing.T) {
	t.Parallel()
	c := directory(t)
	c.w.Next()
	until := c.w.Time.Add(overlap).UnixNano()
	op := &membershipv1.RotateNodeKey{Name: "acme-1"}
	op.NodeKey, op.NodeKeyProof = c.key(t, "new", "node", "acme-1", "acme")
	c.op(t, "acme/admin", func(env *exec.Env, s membership.Store, who accounts.Reader) error {
		return membership.RotateNodeKey(env, s, who, int64(overlap), op)
	})
	c.op(t, "globex/admin", removeNode("globex-1"))
	r, err := membership.Load(c.w.State, 1, c.w.Time.UnixNano())
	if err != nil || r.Height != 1 || len(r.Nodes) != 3 || r.Listed("globex-1") == nil || r.Listed("globex-3") != nil {
		t.Fatal(r, err)
	}
	if string(r.FormerKey(r.Listed("acme-1"))) != string(key(t, "acme-1")) || r.FormerKey(r.Listed("globex-2")) != nil {
		t.Error("former keys")
	}
	if got := len(r.Validators(1)) + 10*len(r.Validators(2)) + 100*len(r.Validators(3)); got != 122 {
		t.Error(got)
	}
	for _, test := range []struct {
		height uint64
		time   int64
		stale  bool
		nodes  int
		former bool
	}{
		{1, until - 1, false, 3, true},
		{2, until - 1, true, 2, true},
		{1, until, true, 3, false},
		{9, until + int64(time.Hour), true, 2, false},
	} {
		later, err := membership.Load(c.w.State, test.height, test.time)
		if err != nil {
			t.Fatal(err)
		}
		if r.Stale(test.height, test.time) != test.stale || len(later.Nodes) != test.nodes ||
			(later.FormerKey(later.Listed("acme-1")) != nil) != test.former {
			t.Errorf("%+v: %t, %v", test, r.Stale(test.height, test.time), later.Nodes)
		}
		if later.Stale(test.height, test.time) {
			t.Errorf("%+v: stale at once", test)
		}
	}
}
