package membership_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/membership"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// overlap is how long both keys of a node are admitted in the tests.
const overlap = 10 * time.Minute

// TestTranscripts runs testdata/*.txt; `go test -run Transcripts -rewrite` writes them anew, to be reviewed as a diff.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		c := &conversation{w: exectest.New()}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return c.talk(t, d) })
	})
}

// conversation is a world in which transcripts talk about nodes. The keys of a node are named after it: `acme-1` and
// `acme-1!` for the node's and the validator's.
type conversation struct {
	w      *exectest.World
	before *membershipv1.Seats // at the end of the block before the newest
}

// do runs an operation, in a block of its own unless the line says `also`.
func (c *conversation) do(t *testing.T, d *datadriven.TestData, check error, run func(*exec.Env, exec.KV) error) string {
	t.Helper()
	as := exectest.Arg(d, "as")
	if d.HasArg("also") {
		return c.w.Text(c.w.Also(t, as, check, run))
	}
	if check == nil {
		c.before = c.seats(t)
	}
	return c.w.Text(c.w.Do(t, as, check, run))
}

func (c *conversation) seats(t *testing.T) *membershipv1.Seats {
	t.Helper()
	seats, err := membership.Read(c.w.State).Seats()
	if err != nil {
		t.Fatal(err)
	}
	return seats
}

// key is the public key of a name, and the proof that somebody has it who signs for a node.
func (c *conversation) key(t *testing.T, name string, use tx.Use, node, org string) (public, proof []byte) {
	t.Helper()
	private := exectest.PrivateKey(t, "ed:"+name)
	c.w.Name(private.Public().Bytes(), name)
	proof, err := tx.ProvePossession(private, use, node, org)
	if err != nil {
		t.Fatal(err)
	}
	return private.Public().Bytes(), proof
}

// add is the operation for a line of words: NAME, ORG, the power if it has a validator key, the addresses.
func (c *conversation) add(t *testing.T, name, org, power string, addresses []string) *membershipv1.AddNode {
	t.Helper()
	op := &membershipv1.AddNode{Node: &membershipv1.Node{Name: name, Org: org, Addresses: addresses}}
	op.Node.NodeKey, op.NodeKeyProof = c.key(t, name, tx.UseNode, name, org)
	if power != "" {
		op.Node.ValidatorKey, op.ValidatorKeyProof = c.key(t, name+"!", tx.UseValidator, name, org)
		if _, err := fmt.Sscan(power, &op.Node.Power); err != nil {
			t.Fatal(err)
		}
	}
	return op
}

func (c *conversation) talk(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	name := exectest.Arg(d, "name")
	who := accounts.Read
	switch d.Cmd {
	case "genesis":
		return c.w.Genesis(t, d.Input)
	case "nodes-of-genesis":
		return c.genesis(t, d.Input)
	case "add":
		op := c.add(t, name, exectest.Arg(d, "org"), exectest.Arg(d, "power"), exectest.Args(d, "addresses"))
		if key := exectest.Arg(d, "key"); key != "" {
			op.Node.NodeKey, op.NodeKeyProof = c.key(t, key, tx.UseNode, name, op.Node.Org)
		}
		if key := exectest.Arg(d, "validator-key"); key != "" {
			op.Node.ValidatorKey, op.ValidatorKeyProof = c.key(t, key, tx.UseValidator, name, op.Node.Org)
		}
		if node := exectest.Arg(d, "proof-for"); node != "" {
			_, op.NodeKeyProof = c.key(t, name, tx.UseNode, node, op.Node.Org)
		}
		return c.do(t, d, membership.CheckAddNode(op), func(env *exec.Env, kv exec.KV) error {
			return membership.AddNode(env, membership.Open(kv), who(kv), op)
		})
	case "remove":
		op := &membershipv1.RemoveNode{Name: name, Spread: d.HasArg("spread")}
		return c.do(t, d, membership.CheckRemoveNode(op), func(env *exec.Env, kv exec.KV) error {
			return membership.RemoveNode(env, membership.Open(kv), who(kv), op)
		})
	case "set-addresses":
		op := &membershipv1.SetAddresses{Name: name, Addresses: exectest.Args(d, "addresses")}
		return c.do(t, d, membership.CheckSetAddresses(op), func(env *exec.Env, kv exec.KV) error {
			return membership.SetAddresses(env, membership.Open(kv), who(kv), op)
		})
	case "set-power":
		op := &membershipv1.SetPower{Name: name, Power: exectest.Number(t, d, "power")}
		return c.do(t, d, membership.CheckSetPower(op), func(env *exec.Env, kv exec.KV) error {
			return membership.SetPower(env, membership.Open(kv), who(kv), op)
		})
	case "rotate-node-key":
		op := &membershipv1.RotateNodeKey{Name: name}
		op.NodeKey, op.NodeKeyProof = c.key(t, exectest.Arg(d, "key"), tx.UseNode, name, exectest.Arg(d, "org"))
		if d.HasArg("unproven") {
			op.NodeKeyProof = nil
		}
		return c.do(t, d, membership.CheckRotateNodeKey(op), func(env *exec.Env, kv exec.KV) error {
			return membership.RotateNodeKey(env, membership.Open(kv), who(kv), overlap.Nanoseconds(), op)
		})
	case "rotate-validator-key":
		op := &membershipv1.RotateValidatorKey{Name: name}
		op.ValidatorKey, op.ValidatorKeyProof = c.key(t, exectest.Arg(d, "key"), tx.UseValidator, name, exectest.Arg(d, "org"))
		return c.do(t, d, membership.CheckRotateValidatorKey(op), func(env *exec.Env, kv exec.KV) error {
			return membership.RotateValidatorKey(env, membership.Open(kv), who(kv), op)
		})
	case "convict":
		return c.convict(t, d)
	case "blocks":
		n := exectest.Number(t, d, "n")
		for range n {
			c.before = c.seats(t)
			c.w.Next()
		}
		return fmt.Sprintf("block %d", c.w.Height)
	case "pass":
		passed, err := time.ParseDuration(exectest.Arg(d, "time"))
		if err != nil {
			t.Fatal(err)
		}
		c.w.Pass(passed)
		return ""
	}
	if text, ok := c.ofOrgs(t, d); ok {
		return text
	}
	return c.show(t, d)
}

func (c *conversation) genesis(t *testing.T, lines string) string {
	t.Helper()
	var ops []*membershipv1.AddNode
	var orgs []string
	for line := range strings.Lines(lines) {
		fields := append(strings.Fields(line), "")
		ops = append(ops, c.add(t, fields[0], fields[1], fields[2], nil))
		orgs = append(orgs, fields[1])
	}
	if err := membership.Genesis(c.w.State, orgs, ops); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%d nodes", len(ops))
}

// ofOrgs runs what accounts does to orgs and membership to their nodes.
func (c *conversation) ofOrgs(t *testing.T, d *datadriven.TestData) (string, bool) {
	t.Helper()
	name, reason := exectest.Arg(d, "name"), exectest.Arg(d, "reason")
	both := func(first func(*exec.Env, accounts.Store) error, then func(*exec.Env, membership.Store, accounts.Reader) error) (string, bool) {
		return c.do(t, d, nil, func(env *exec.Env, kv exec.KV) error {
			if err := first(env, accounts.Open(kv)); err != nil {
				return err
			}
			return then(env, membership.Open(kv), accounts.Read(kv))
		}), true
	}
	switch d.Cmd {
	case "admit-org":
		op := &accountsv1.AdmitOrg{Name: name, Accounts: []*accountsv1.Create{{
			Name: name + "/admin", Threshold: 1, Roles: []string{"admin"},
			Keys: []*accountsv1.WeightedKey{{PublicKey: c.w.Key(t, name+"/admin"), Weight: 1}},
		}}}
		return both(func(env *exec.Env, s accounts.Store) error {
			return accounts.AdmitOrg(env, s, &accountsv1.Allotment{Power: 10, Nodes: 4}, op)
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.OrgAdmitted(env, s, who, name)
		})
	case "suspend-org":
		return both(func(env *exec.Env, s accounts.Store) error {
			return accounts.SuspendOrg(env, s, &accountsv1.SuspendOrg{Name: name, Reason: reason})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.OrgSuspended(env, s, who, name, reason)
		})
	case "resume-org":
		return both(func(env *exec.Env, s accounts.Store) error {
			return accounts.ResumeOrg(env, s, &accountsv1.ResumeOrg{Name: name, Reason: reason})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.OrgResumed(env, s, who, name, reason)
		})
	case "remove-org":
		return both(func(env *exec.Env, s accounts.Store) error {
			return accounts.RemoveOrg(env, s, &accountsv1.RemoveOrg{Name: name, Reason: reason})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.OrgRemoved(env, s, who, name, reason, d.HasArg("spread"))
		})
	case "set-allotment":
		allotment := &accountsv1.Allotment{Power: exectest.Number(t, d, "power"), Nodes: uint32(exectest.Number(t, d, "nodes"))}
		return both(func(env *exec.Env, s accounts.Store) error {
			return accounts.SetAllotment(env, s, &accountsv1.SetAllotment{Name: name, Allotment: allotment})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.AllotmentSet(env, s, who, name)
		})
	}
	return "", false
}

// convict makes a block, unless the line says `also`, that begins with evidence about a key.
func (c *conversation) convict(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	if !d.HasArg("also") {
		c.before = c.seats(t)
		c.w.Next()
	}
	key, _ := c.key(t, exectest.Arg(d, "key"), tx.UseValidator, "", "")
	conviction, err := membership.Convict(membership.Open(c.w.State), c.w.Height, c.w.Time.UnixNano(),
		membership.Misbehaviour{
			Address: membership.Address(key), Kind: "duplicate-vote", Height: exectest.Number(t, d, "at"),
			Time: c.w.Time.UnixNano(), Power: 10, TotalPower: 40,
		})
	if err != nil {
		t.Fatal(err)
	}
	if !conviction.Recorded {
		return fmt.Sprintf("block %d: nothing new", c.w.Height)
	}
	if err := membership.KeepRaw(membership.Open(c.w.State), c.w.Height, conviction.Number, []byte("raw")); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("block %d", c.w.Height)
}

// show answers what the registry looks like.
func (c *conversation) show(t *testing.T, d *datadriven.TestData) string {
	t.Helper()
	w := c.w
	var lines []string
	switch d.Cmd {
	case "nodes":
		return w.Leaves(t, keyspace.PrefixNodes, w.Messages(new(membershipv1.Node)))
	case "evidence":
		return w.Leaves(t, keyspace.PrefixEvidence, w.Messages(new(membershipv1.Evidence)))
	case "keys":
		return w.Leaves(t, keyspace.PrefixNodeKeys, w.Messages(new(membershipv1.KeyUse)))
	case "history":
		view := &view{Scanner: w.State, height: w.Height, time: w.Time}
		answer, err := membership.ListChanges(view, &membershipv1.ListChangesRequest{
			Node: exectest.Arg(d, "node"), Org: exectest.Arg(d, "org"),
		})
		if err != nil {
			return err.Error()
		}
		for _, change := range answer.Changes {
			change.TxId = nil
			lines = append(lines, w.Message(change))
		}
	case "validators":
		for h := w.Height; h <= w.Height+2; h++ {
			var set []string
			for _, seat := range membership.SeatsAt(c.seats(t), h) {
				set = append(set, c.seat(seat))
			}
			lines = append(lines, fmt.Sprintf("%d: %s", h, strings.Join(set, ", ")))
		}
	case "updates":
		for _, u := range membership.Updates(c.before, c.seats(t), w.Height) {
			lines = append(lines, c.seat(&membershipv1.Seat{ValidatorKey: u.PublicKey, Power: u.Power}))
		}
	case "registry":
		r, err := membership.Load(w.State, w.Height, w.Time.UnixNano())
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range r.Nodes {
			text := fmt.Sprintf("%s of %s: %s", node.Name, node.Org, w.Message(&membershipv1.Node{NodeKey: node.NodeKey}))
			if former := r.FormerKey(node); former != nil {
				text += " " + w.Message(&membershipv1.Node{FormerNodeKey: former})
			}
			lines = append(lines, text)
		}
		lines = append(lines, fmt.Sprintf("outdated: in the next block %t, in %s %t",
			r.Stale(w.Height+1, w.Time.UnixNano()), overlap, r.Stale(w.Height, w.Time.Add(overlap).UnixNano())))
	case "examine":
		found, err := membership.Examine(w.State, w.Height)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(found, "examined")
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	return strings.Join(lines, "\n")
}

// seat is a key and its power.
func (c *conversation) seat(seat *membershipv1.Seat) string {
	key := c.w.Message(&membershipv1.Seat{ValidatorKey: seat.ValidatorKey})
	return fmt.Sprintf("%s %d", strings.TrimPrefix(key, "validator_key="), seat.Power)
}

// view is the newest state of a world.
type view struct {
	exec.Scanner
	height uint64
	time   time.Time
}

func (v *view) Height() uint64       { return v.height }
func (v *view) BlockTime() time.Time { return v.time }
