package membership_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/membership"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// network is a machine that does anything to a registry, and beside it what an engine makes of it: plain maps of keys to
// powers that know nothing of seats.
type network struct {
	*conversation
	t  *testing.T
	rt *rapid.T // what fails there is repeated with less until it is minimal

	sets     map[uint64]map[string]uint64 // by height: key to power
	nodeOf   map[string]string            // validator key to node
	used     []string                     // names of keys that were registered
	orgs     []string                     // ever admitted
	nodes    []string                     // ever listed
	keys     int                          // names given to keys
	registry *membership.Registry         // of the block before
	writes   bool                         // something was written in the newest block

	passed map[string]int
	codes  map[ledgerv1.Code]int
}

// TestNoSequenceOfOperationsLosesTheQuorum runs random blocks of random operations into every rule. What fails prints the
// seed and a minimal sequence.
func TestNoSequenceOfOperationsLosesTheQuorum(t *testing.T) {
	t.Parallel()
	passed, codes := make(map[string]int), make(map[ledgerv1.Code]int)
	rapid.Check(t, func(rt *rapid.T) {
		n := newNetwork(t, rt)
		n.passed, n.codes = passed, codes
		blocks := rapid.IntRange(1, 60).Draw(rt, "blocks")
		for range blocks {
			n.block(rt)
		}
	})
	for _, kind := range slices.Sorted(maps.Keys(passed)) {
		t.Logf("%s passed %d times", kind, passed[kind])
	}
	t.Logf("rejections: %v", codes)
	for _, kind := range []string{
		"add", "remove", "spread", "power", "rotate", "rotate-node", "suspend", "resume", "remove-org", "spread-org", "admit", "convict", "allot",
	} {
		if passed[kind] == 0 {
			t.Errorf("%s never passed: the test is blind there", kind)
		}
	}
	for _, code := range []ledgerv1.Code{
		ledgerv1.Code_CODE_QUORUM_LOST, ledgerv1.Code_CODE_KEY_USED, ledgerv1.Code_CODE_BEYOND_ALLOTMENT,
		ledgerv1.Code_CODE_VOTE_REQUIRED, ledgerv1.Code_CODE_WRONG_STATUS,
	} {
		if codes[code] == 0 {
			t.Errorf("%s never came: the test is blind there", tx.Reason(code))
		}
	}
}

func newNetwork(t *testing.T, rt *rapid.T) *network {
	t.Helper()
	n := &network{
		conversation: &conversation{w: exectest.New()}, t: t, rt: rt,
		sets: make(map[uint64]map[string]uint64), nodeOf: make(map[string]string),
	}
	n.w.Fast = true
	var lines strings.Builder
	var ops []*membershipv1.AddNode
	for i := range rapid.IntRange(1, 7).Draw(rt, "orgs") {
		org := fmt.Sprintf("org-%d", i)
		n.orgs = append(n.orgs, org)
		fmt.Fprintf(&lines, "%s/admin admin\n", org)
		power := rapid.SampledFrom([]string{"10", "10", "10", "20", "0"}).Draw(rt, "power")
		if i == 0 {
			power = "10"
		}
		op := n.add(t, org+"-0", org, power, nil)
		ops = append(ops, op)
		n.nodes = append(n.nodes, op.Node.Name)
		n.used = append(n.used, op.Node.Name, op.Node.Name+"!")
		n.nodeOf[string(op.Node.ValidatorKey)] = op.Node.Name
	}
	n.w.Genesis(t, lines.String())
	if err := membership.Genesis(n.w.State, n.orgs, ops); err != nil {
		rt.Fatal(err)
	}
	n.sets[0], n.sets[1], n.sets[2] = n.set(0), n.set(1), n.set(2)
	for _, org := range n.orgs {
		if err := n.allot(org, 60, 4); err != nil {
			rt.Fatal(err)
		}
	}
	n.registry = n.load()
	return n
}

// allot changes an allotment before the first block.
func (n *network) allot(org string, power uint64, nodes uint32) error {
	env := &exec.Env{Proposal: 1, Emit: func(*ledgerv1.Event) {}}
	return accounts.SetAllotment(env, accounts.Open(n.w.State), &accountsv1.SetAllotment{
		Name: org, Allotment: &accountsv1.Allotment{Power: power, Nodes: nodes},
	})
}

// set is the set of a height according to the seats.
func (n *network) set(height uint64) map[string]uint64 {
	set := make(map[string]uint64)
	for _, seat := range membership.SeatsAt(n.seats(n.t), height) {
		if _, twice := set[string(seat.ValidatorKey)]; twice {
			n.rt.Fatalf("%x has two seats at height %d", seat.ValidatorKey, height)
		}
		set[string(seat.ValidatorKey)] = seat.Power
	}
	return set
}

func (n *network) load() *membership.Registry {
	r, err := membership.Load(n.w.State, n.w.Height, n.w.Time.UnixNano())
	if err != nil {
		n.rt.Fatal(err)
	}
	return r
}

// block makes a block: sometimes evidence, then some operations, then everything is looked at.
func (n *network) block(rt *rapid.T) {
	n.before = n.seats(n.t)
	n.w.Next()
	n.writes = false
	if rapid.IntRange(0, 4).Draw(rt, "pass") == 0 {
		n.w.Pass(overlap / 2)
	}
	for rapid.IntRange(0, 24).Draw(rt, "convict") == 0 {
		n.convictSome(rt)
	}
	for range rapid.IntRange(0, 5).Draw(rt, "operations") {
		n.operate(rt)
	}
	n.check()
}

func (n *network) convictSome(rt *rapid.T) {
	name := rapid.SampledFrom(append([]string{"stranger"}, n.used...)).Draw(rt, "key")
	key, _ := n.key(n.t, name, tx.UseValidator, "", "")
	if _, err := membership.Convict(membership.Open(n.w.State), n.w.Height, n.w.Time.UnixNano(),
		membership.Misbehaviour{Address: membership.Address(key), Height: n.w.Height - 1},
	); err != nil {
		n.rt.Fatal(err)
	}
	n.passed["convict"]++
	n.writes = true
}

// fresh is the name of a key that nobody has, or now and then of one that somebody has or had.
func (n *network) fresh(rt *rapid.T) (name string, isNew bool) {
	if rapid.IntRange(0, 9).Draw(rt, "fresh") == 0 {
		return rapid.SampledFrom(n.used).Draw(rt, "used"), false
	}
	n.keys++
	return fmt.Sprintf("key-%d", n.keys), true
}

func (n *network) operate(rt *rapid.T) {
	kind := rapid.SampledFrom([]string{
		"add", "add", "add", "remove", "spread", "power", "power", "power", "rotate", "rotate-node", "suspend", "resume", "resume",
		"remove-org", "spread-org", "admit", "allot",
	}).Draw(rt, "kind")
	node := rapid.SampledFrom(n.nodes).Draw(rt, "node")
	org := rapid.SampledFrom(n.orgs).Draw(rt, "org")
	entry, err := membership.Read(n.w.State).Node(node)
	if err != nil {
		n.rt.Fatal(err)
	}
	as := exectest.Vote
	if rapid.Bool().Draw(rt, "alone") {
		as = entry.Org + "/admin"
		if kind == "add" {
			as = org + "/admin"
		}
		if rapid.IntRange(0, 9).Draw(rt, "stranger") == 0 {
			as = org + "/admin"
		}
	}
	switch kind {
	case "add":
		n.addNode(rt, as, org)
	case "remove", "spread":
		op := &membershipv1.RemoveNode{Name: node, Spread: kind == "spread"}
		n.run(kind, as, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.RemoveNode(env, s, who, op)
		})
	case "power":
		op := &membershipv1.SetPower{Name: node, Power: rapid.SampledFrom([]uint64{0, 0, 10, 10, 15, 20, 50}).Draw(rt, "power")}
		if n.run(kind, as, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.SetPower(env, s, who, op)
		}) && as != exectest.Vote && op.Power > entry.Power {
			n.checkAllotment(entry.Org, false, true)
		}
	case "rotate", "rotate-node":
		n.rotate(rt, kind, as, entry)
	case "allot":
		power, nodes := rapid.Uint64Range(0, 60).Draw(rt, "power"), rapid.Uint32Range(0, 4).Draw(rt, "nodes")
		n.runOrg(kind, as, func(env *exec.Env, s accounts.Store) error {
			return accounts.SetAllotment(env, s, &accountsv1.SetAllotment{
				Name: org, Allotment: &accountsv1.Allotment{Power: power, Nodes: nodes},
			})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.AllotmentSet(env, s, who, org)
		})
	case "suspend":
		n.runOrg(kind, as, func(env *exec.Env, s accounts.Store) error {
			return accounts.SuspendOrg(env, s, &accountsv1.SuspendOrg{Name: org})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.OrgSuspended(env, s, who, org, "")
		})
	case "resume":
		n.runOrg(kind, as, func(env *exec.Env, s accounts.Store) error {
			return accounts.ResumeOrg(env, s, &accountsv1.ResumeOrg{Name: org})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.OrgResumed(env, s, who, org, "")
		})
	case "remove-org", "spread-org":
		if len(n.orgs) > 3 && rapid.IntRange(0, 3).Draw(rt, "really") > 0 {
			return // removals are for good: with too many of them little is left to do
		}
		n.runOrg(kind, as, func(env *exec.Env, s accounts.Store) error {
			return accounts.RemoveOrg(env, s, &accountsv1.RemoveOrg{Name: org})
		}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.OrgRemoved(env, s, who, org, "", kind == "spread-org")
		})
	case "admit":
		n.admit(as)
	}
}

func (n *network) admit(as string) {
	name := fmt.Sprintf("org-%d", len(n.orgs))
	op := &accountsv1.AdmitOrg{Name: name, Accounts: []*accountsv1.Create{{
		Name: name + "/admin", Threshold: 1, Roles: []string{"admin"},
		Keys: []*accountsv1.WeightedKey{{PublicKey: n.w.Key(n.t, name), Weight: 1}},
	}}}
	if n.runOrg("admit", as, func(env *exec.Env, s accounts.Store) error {
		return accounts.AdmitOrg(env, s, &accountsv1.Allotment{Power: 30, Nodes: 3}, op)
	}, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
		return membership.OrgAdmitted(env, s, who, name)
	}) {
		n.orgs = append(n.orgs, name)
	}
}

func (n *network) addNode(rt *rapid.T, as, org string) {
	name := fmt.Sprintf("node-%d", len(n.nodes))
	power := rapid.SampledFrom([]string{"", "0", "10", "10", "10", "30"}).Draw(rt, "power")
	op := n.add(n.t, name, org, power, nil)
	key, isNew := n.fresh(rt)
	op.Node.NodeKey, op.NodeKeyProof = n.key(n.t, key, tx.UseNode, name, org)
	if membership.CheckAddNode(op) != nil {
		n.rt.Fatal(membership.CheckAddNode(op))
	}
	if !n.run("add", as, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
		return membership.AddNode(env, s, who, op)
	}) {
		return
	}
	if !isNew {
		n.rt.Fatalf("the key %s is listed again", key)
	}
	n.nodes, n.used = append(n.nodes, name), append(n.used, key)
	if power != "" {
		n.used = append(n.used, name+"!")
		n.nodeOf[string(op.Node.ValidatorKey)] = name
	}
	if as != exectest.Vote {
		n.checkAllotment(org, true, op.Node.Power > 0)
	}
}

func (n *network) rotate(rt *rapid.T, kind, as string, entry *membershipv1.Node) {
	key, isNew := n.fresh(rt)
	var did bool
	if kind == "rotate" {
		op := &membershipv1.RotateValidatorKey{Name: entry.Name}
		op.ValidatorKey, op.ValidatorKeyProof = n.key(n.t, key, tx.UseValidator, entry.Name, entry.Org)
		did = n.run(kind, as, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.RotateValidatorKey(env, s, who, op)
		})
		if did {
			n.nodeOf[string(op.ValidatorKey)] = entry.Name
		}
	} else {
		op := &membershipv1.RotateNodeKey{Name: entry.Name}
		op.NodeKey, op.NodeKeyProof = n.key(n.t, key, tx.UseNode, entry.Name, entry.Org)
		did = n.run(kind, as, func(env *exec.Env, s membership.Store, who accounts.Reader) error {
			return membership.RotateNodeKey(env, s, who, overlap.Nanoseconds(), op)
		})
	}
	if !did {
		return
	}
	if !isNew {
		n.rt.Fatalf("the key %s is registered again", key)
	}
	n.used = append(n.used, key)
}

// run applies an operation in the newest block, or nothing of it. It reports whether it passed.
func (n *network) run(kind, as string, do func(*exec.Env, membership.Store, accounts.Reader) error) bool {
	out := n.w.Also(n.t, as, nil, func(env *exec.Env, kv exec.KV) error {
		return do(env, membership.Open(kv), accounts.Read(kv))
	})
	if out.Err != nil {
		code, _ := tx.CodeOf(out.Err)
		n.codes[code]++
		return false
	}
	n.passed[kind]++
	n.writes = true
	return true
}

func (n *network) runOrg(
	kind, as string, first func(*exec.Env, accounts.Store) error, then func(*exec.Env, membership.Store, accounts.Reader) error,
) bool {
	out := n.w.Also(n.t, as, nil, func(env *exec.Env, kv exec.KV) error {
		if err := first(env, accounts.Open(kv)); err != nil {
			return err
		}
		return then(env, membership.Open(kv), accounts.Read(kv))
	})
	if out.Err != nil {
		code, _ := tx.CodeOf(out.Err)
		n.codes[code]++
		return false
	}
	if as != exectest.Vote {
		n.rt.Fatalf("%s alone decided: %s", as, kind)
	}
	n.passed[kind]++
	n.writes = true
	return true
}

// checkAllotment looks at what an org has after its admin has added to it.
func (n *network) checkAllotment(name string, nodes, power bool) {
	org, err := accounts.Read(n.w.State).Org(name)
	if err != nil {
		n.rt.Fatal(err)
	}
	listed, err := membership.Read(n.w.State).NodesOf(name)
	if err != nil {
		n.rt.Fatal(err)
	}
	var sum uint64
	for _, node := range listed {
		entry, err := membership.Read(n.w.State).Node(node)
		if err != nil {
			n.rt.Fatal(err)
		}
		sum += entry.Power
	}
	if (nodes && len(listed) > int(org.Allotment.Nodes)) || (power && sum > org.Allotment.Power) {
		n.rt.Fatalf("%s has %d nodes of power %d, and %v", name, len(listed), sum, org.Allotment)
	}
}

// check looks at everything that must hold at the end of a block.
func (n *network) check() {
	h := n.w.Height
	n.tellEngine()
	for at := h; at <= h+2; at++ {
		if !maps.Equal(n.set(at), n.sets[at]) {
			n.rt.Fatalf("block %d: the seats of height %d are not what the engine was told", h, at)
		}
	}
	for _, examine := range []func() ([]string, error){
		func() ([]string, error) { return membership.Examine(n.w.State, h) },
		func() ([]string, error) { return accounts.Examine(n.w.State) },
	} {
		if found, err := examine(); len(found) > 0 || err != nil {
			n.rt.Fatal(h, found, err)
		}
	}
	registry := n.load()
	n.checkRegistry(registry)
	n.checkQuorum(registry)
	n.registry = registry
}

// tellEngine makes the set of H+2 as the engine does, which refuses what would halt it.
func (n *network) tellEngine() {
	h := n.w.Height
	next := maps.Clone(n.sets[h+1])
	var last []byte
	for _, u := range membership.Updates(n.before, n.seats(n.t), h) {
		if bytes.Compare(last, u.PublicKey) >= 0 {
			n.rt.Fatalf("block %d: updates are not in order or hold a key twice", h)
		}
		last = u.PublicKey
		_, member := next[string(u.PublicKey)]
		switch {
		case u.Power > 0:
			next[string(u.PublicKey)] = u.Power
		case member:
			delete(next, string(u.PublicKey))
		default:
			n.rt.Fatalf("block %d: the engine is told to remove a key that it does not have", h)
		}
	}
	if len(next) == 0 {
		n.rt.Fatalf("block %d: no validator is left", h)
	}
	n.sets[h+2] = next
}

// checkRegistry compares who may connect with the entries of the nodes.
func (n *network) checkRegistry(registry *membership.Registry) {
	h := n.w.Height
	for _, name := range n.nodes {
		node, err := membership.Read(n.w.State).Node(name)
		if err != nil {
			n.rt.Fatal(err)
		}
		org, err := accounts.Read(n.w.State).Org(node.Org)
		if err != nil {
			n.rt.Fatal(err)
		}
		isActive := org.Status == accountsv1.OrgStatus_ORG_STATUS_ACTIVE
		may := isActive && node.RemovedHeight == 0
		if node.RemovedHeight > h {
			may = org.Status != accountsv1.OrgStatus_ORG_STATUS_SUSPENDED
		}
		if (registry.Listed(name) != nil) != may {
			n.rt.Fatalf("block %d: %s of %v is listed: %t", h, node, org.Status, registry.Listed(name) != nil)
		}
		if node.RemovedHeight > h+1 {
			n.rt.Fatalf("block %d: %s stays until %d", h, name, node.RemovedHeight)
		}
	}
	if !slices.IsSortedFunc(registry.Nodes, func(a, b *membershipv1.Node) int { return strings.Compare(a.Name, b.Name) }) {
		n.rt.Fatal("not in order")
	}
	same := slices.EqualFunc(n.registry.Nodes, registry.Nodes, func(a, b *membershipv1.Node) bool {
		return proto.Equal(a, b) && bytes.Equal(n.registry.FormerKey(a), registry.FormerKey(b))
	})
	stale := n.registry.Stale(h, n.w.Time.UnixNano())
	if !n.writes && same == stale {
		n.rt.Fatalf("block %d: the registry is stale: %t, and the same: %t", h, stale, same)
	}
	if n.registry.Stale(n.registry.Height, n.w.Time.Add(-24*time.Hour).UnixNano()) {
		n.rt.Fatal("a registry is stale at once")
	}
}

// checkQuorum is the rule: those who are connected can decide the next blocks, and those who join cannot keep them from it.
func (n *network) checkQuorum(registry *membership.Registry) {
	h := n.w.Height
	seated := make(map[string]bool)
	for key := range n.sets[h+1] {
		seated[n.nodeOf[key]] = true
	}
	for at := h; at <= h+2; at++ {
		var connected, total uint64
		for key, power := range n.sets[at] {
			total += power
			left := at == h && !seated[n.nodeOf[key]]
			if left || registry.Listed(n.nodeOf[key]) != nil {
				connected += power
			}
		}
		if 3*connected <= 2*total {
			n.rt.Fatalf("block %d: %d of %d are connected at height %d", h, connected, total, at)
		}
	}
	if len(n.sets[h+1]) < 3 {
		return
	}
	var known, total uint64
	for key, power := range n.sets[h+2] {
		total += power
		if seated[n.nodeOf[key]] {
			known += power
		}
	}
	if 3*known <= 2*total {
		n.rt.Fatalf("block %d: newcomers hold %d of %d", h, total-known, total)
	}
}
