package membership_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/membership"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/statetest"
)

var orgs = []string{"acme", "globex"}

func key(t testing.TB, name string) []byte {
	t.Helper()
	return exectest.PrivateKey(t, "ed:"+name).Public().Bytes()
}

func validator(t testing.TB, name string) *membershipv1.Node {
	t.Helper()
	return &membershipv1.Node{
		Name: name, Org: "acme", NodeKey: key(t, name+" node"), ValidatorKey: key(t, name+" validator"),
		Power: membership.DefaultPower, Addresses: []string{name + ".acme.example:26656"},
	}
}

// proven is the operation that lists a node, with the proofs of the keys that have its name.
func proven(t testing.TB, node *membershipv1.Node) *membershipv1.AddNode {
	t.Helper()
	op := &membershipv1.AddNode{Node: node, NodeKeyProof: prove(t, node.Name+" node", tx.UseNode, node.Name, node.Org)}
	if len(node.ValidatorKey) > 0 {
		op.ValidatorKeyProof = prove(t, node.Name+" validator", tx.UseValidator, node.Name, node.Org)
	}
	return op
}

func prove(t testing.TB, key string, use tx.Use, node, org string) []byte {
	t.Helper()
	proof, err := tx.ProvePossession(exectest.PrivateKey(t, "ed:"+key), use, node, org)
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func TestCheckNode(t *testing.T) {
	t.Parallel()
	small := make([]byte, 32) // a point of small order
	for name, test := range map[string]struct {
		change func(*membershipv1.Node)
		want   string // "" passes
	}{
		"validator":        {func(*membershipv1.Node) {}, ""},
		"observer":         {func(n *membershipv1.Node) { n.ValidatorKey, n.Power = nil, 0 }, ""},
		"no address":       {func(n *membershipv1.Node) { n.Addresses = nil }, ""},
		"all the power":    {func(n *membershipv1.Node) { n.Power = membership.MaxPower }, ""},
		"name":             {func(n *membershipv1.Node) { n.Name = "Acme" }, "is not the name of a node"},
		"org":              {func(n *membershipv1.Node) { n.Org = "a" }, "is not the name of an organisation"},
		"no node key":      {func(n *membershipv1.Node) { n.NodeKey = nil }, "node_key"},
		"small node key":   {func(n *membershipv1.Node) { n.NodeKey = small }, "node_key"},
		"short vote key":   {func(n *membershipv1.Node) { n.ValidatorKey = n.ValidatorKey[:31] }, "validator_key"},
		"no power yet":     {func(n *membershipv1.Node) { n.Power = 0 }, ""},
		"one key for both": {func(n *membershipv1.Node) { n.ValidatorKey = n.NodeKey }, "are the same"},
		"listed height":    {func(n *membershipv1.Node) { n.ListedHeight = 1 }, "fields that the ledger fills in"},
		"former key":       {func(n *membershipv1.Node) { n.FormerNodeKey = n.NodeKey }, "fields that the ledger fills in"},
		"former key until": {func(n *membershipv1.Node) { n.FormerNodeKeyUntil = 1 }, "fields that the ledger fills in"},
		"removed":          {func(n *membershipv1.Node) { n.RemovedHeight = 1 }, "fields that the ledger fills in"},
		"convicted":        {func(n *membershipv1.Node) { n.ConvictedHeight = 1 }, "fields that the ledger fills in"},
		"little power":     {func(n *membershipv1.Node) { n.Power = 9 }, "power is 9"},
		"too much power":   {func(n *membershipv1.Node) { n.Power = membership.MaxPower + 1 }, "power is 1000001"},
		"power of none":    {func(n *membershipv1.Node) { n.ValidatorKey = nil }, "without a validator_key"},
		"the same twice":   {func(n *membershipv1.Node) { n.Addresses = []string{"a.b:1", "a.b:1"} }, "listed twice"},
		"eight addresses":  {func(n *membershipv1.Node) { n.Addresses = addresses(8) }, ""},
		"nine addresses":   {func(n *membershipv1.Node) { n.Addresses = addresses(9) }, "at most 8"},
		"second is no use": {func(n *membershipv1.Node) { n.Addresses[0] = "acme" }, "addresses[0]"},
	} {
		node := validator(t, "acme-1")
		test.change(node)
		err := membership.CheckNode(node)
		if code, verdict := tx.CodeOf(err); !verdict || code >= 100 {
			t.Errorf("%s: %v has the code %v", name, err, code)
		}
		if (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
	if membership.CheckNode(nil) == nil {
		t.Error("no node is a node")
	}
}

func addresses(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("10.0.0.%d:26656", i+1))
	}
	return list
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	label := strings.Repeat("x", 63)
	for address, ok := range map[string]bool{
		"acme:1":                        true,
		"acme_node_1:26656":             true, // as container networks name them
		"node-1.acme.example:65535":     true,
		"10.1.2.3:26656":                true,
		"127.0.0.1:26656":               true,
		"[::1]:26656":                   true,
		"[2001:db8::7]:26656":           true,
		label + "." + label + ".eu:443": true,

		"":                                false,
		"acme":                            false,
		":26656":                          false,
		"acme:":                           false,
		"acme:0":                          false,
		"acme:65536":                      false,
		"acme:+1":                         false,
		"acme:026656":                     false,
		"acme:http":                       false,
		"Acme:1":                          false,
		"acme.:1":                         false,
		".acme:1":                         false,
		"ac..me:1":                        false,
		"-acme:1":                         false,
		"acme-:1":                         false,
		"ac me:1":                         false,
		"acme/x:1":                        false,
		"tcp://acme:1":                    false,
		"user@acme:1":                     false,
		"b\u00fccher:1":                   false,
		"10.1.2:26656":                    false,
		"10.1.2.300:26656":                false,
		"0.0.0.0:26656":                   false,
		"[::]:26656":                      false,
		"224.0.0.1:26656":                 false,
		"::1:26656":                       false,
		"[fe80::1%eth0]:1":                false,
		label + "x.acme:1":                false,
		"acme:1\x00":                      false,
		strings.Repeat("a.", 130) + "a:1": false,
	} {
		node := validator(t, "acme-1")
		node.Addresses = []string{address}
		if err := membership.CheckNode(node); (err == nil) != ok {
			t.Errorf("%.80q: %v", address, err)
		}
	}
}

func TestGenesisRefuses(t *testing.T) {
	t.Parallel()
	many := func(n int, change func(*membershipv1.Node)) []*membershipv1.AddNode {
		var nodes []*membershipv1.AddNode
		for i := range n {
			node := validator(t, fmt.Sprintf("acme-%d", i))
			op := proven(t, node)
			if i > 0 {
				change(node)
				op = proven(t, node)
			}
			nodes = append(nodes, op)
		}
		return nodes
	}
	observer := func(n *membershipv1.Node) { n.ValidatorKey, n.Power = nil, 0 }
	foreign := many(2, func(*membershipv1.Node) {})
	foreign[1].NodeKeyProof = foreign[0].NodeKeyProof
	twice := many(2, func(*membershipv1.Node) {})
	twice[1].Node.NodeKey = twice[0].Node.NodeKey
	twice[1].NodeKeyProof = prove(t, "acme-0 node", tx.UseNode, "acme-1", "acme")
	votes := many(2, func(*membershipv1.Node) {})
	votes[1].Node.ValidatorKey = votes[0].Node.ValidatorKey
	votes[1].ValidatorKeyProof = prove(t, "acme-0 validator", tx.UseValidator, "acme-1", "acme")
	crossed := many(2, func(*membershipv1.Node) {})
	crossed[1].Node.ValidatorKey = crossed[0].Node.NodeKey
	crossed[1].ValidatorKeyProof = prove(t, "acme-0 node", tx.UseValidator, "acme-1", "acme")
	same := many(2, func(*membershipv1.Node) {})
	same[1] = same[0]
	for name, test := range map[string]struct {
		nodes []*membershipv1.AddNode
		want  []string
	}{
		"none":        {nil, []string{"0 of them are validators"}},
		"nil":         {[]*membershipv1.AddNode{nil}, []string{"nodes[0]"}},
		"no node":     {[]*membershipv1.AddNode{{}}, []string{"nodes[0]"}},
		"1025 nodes":  {make([]*membershipv1.AddNode, 1025), []string{"1025, at most 1024"}},
		"same name":   {same, []string{"nodes[1] (acme-0): listed twice"}},
		"strange org": {many(2, func(n *membershipv1.Node) { n.Org = "hooli" }), []string{"nodes[1] (acme-1): its org hooli"}},
		"no proof":    {[]*membershipv1.AddNode{{Node: validator(t, "acme-1")}}, []string{"nodes[0] (acme-1): the proof that acme-1 has the node key"}},
		"another's":   {foreign, []string{"nodes[1] (acme-1): the proof that acme-1 has the node key"}},
		"a filled field": {
			many(2, func(n *membershipv1.Node) { n.ListedHeight = 7 }), []string{"nodes[1] (acme-1)", "ledger fills in"},
		},
		"same node key":      {twice, []string{"node_key is a key of acme-0 already"}},
		"same validator key": {votes, []string{"validator_key is a key of acme-0"}},
		"node votes":         {crossed, []string{"validator_key is a key of acme-0"}},
		"101 validators":     {many(101, func(*membershipv1.Node) {}), []string{"101 of them are validators: list 1 to 100"}},
		"only observers":     {many(3, observer)[1:], []string{"0 of them"}},
		"all at once":        {many(3, func(n *membershipv1.Node) { n.Org, n.NodeKey = "hooli", nil }), []string{"nodes[1]", "nodes[2]"}},
	} {
		var kv statetest.Memory
		err := membership.Genesis(&kv, orgs, test.nodes)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
		if _, verdict := tx.CodeOf(err); verdict {
			t.Errorf("%s: a mistake in a document passes for a verdict on a transaction", name)
		}
		if kv.Len() != 0 {
			t.Errorf("%s: something was written", name)
		}
	}
}

func rejects(err error, code ledgerv1.Code) bool { return errors.Is(err, &tx.Rejection{Code: code}) }
