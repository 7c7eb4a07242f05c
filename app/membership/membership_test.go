package membership_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/membership"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

var orgs = []string{"acme", "globex"}

func key(t *testing.T, name string) []byte {
	t.Helper()
	return exectest.PrivateKey(t, "ed:"+name).Public().Bytes()
}

func validator(t *testing.T, name string) *membershipv1.Node {
	t.Helper()
	return &membershipv1.Node{
		Name: name, Org: "acme", NodeKey: key(t, name+" node"), ValidatorKey: key(t, name+" validator"),
		Power: membership.DefaultPower, Addresses: []string{name + ".acme.example:26656"},
	}
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
		"no power":         {func(n *membershipv1.Node) { n.Power = 0 }, "power is 0"},
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
		if err := membership.CheckNode(node); (err == nil) != (test.want == "") || (err != nil && !strings.Contains(err.Error(), test.want)) {
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
	many := func(n int, change func(*membershipv1.Node)) []*membershipv1.Node {
		var nodes []*membershipv1.Node
		for i := range n {
			node := validator(t, fmt.Sprintf("acme-%d", i))
			if i > 0 {
				change(node)
			}
			nodes = append(nodes, node)
		}
		return nodes
	}
	observer := func(n *membershipv1.Node) { n.ValidatorKey, n.Power = nil, 0 }
	for name, test := range map[string]struct {
		nodes []*membershipv1.Node
		want  []string
	}{
		"none":        {nil, []string{"0 of them are validators"}},
		"nil":         {[]*membershipv1.Node{nil}, []string{"nodes[0]"}},
		"1025 nodes":  {make([]*membershipv1.Node, 1025), []string{"1025, at most 1024"}},
		"same name":   {many(2, func(n *membershipv1.Node) { n.Name = "acme-0" }), []string{"nodes[1] (acme-0): listed twice"}},
		"strange org": {many(2, func(n *membershipv1.Node) { n.Org = "hooli" }), []string{"nodes[1] (acme-1): its org hooli"}},
		"same node key": {
			many(2, func(n *membershipv1.Node) { n.NodeKey = key(t, "acme-0 node") }), []string{"node_key is a key of acme-0 already"},
		},
		"same validator key": {
			many(2, func(n *membershipv1.Node) { n.ValidatorKey = key(t, "acme-0 validator") }), []string{"validator_key is a key of acme-0"},
		},
		"one key for both": {
			many(2, func(n *membershipv1.Node) { n.ValidatorKey = n.NodeKey }), []string{"validator_key is a key of acme-1"},
		},
		"101 validators": {many(101, func(*membershipv1.Node) {}), []string{"101 of them are validators: list 1 to 100"}},
		"only observers": {many(3, observer)[1:], []string{"0 of them"}},
		"all at once":    {many(3, func(n *membershipv1.Node) { n.Org, n.NodeKey = "hooli", nil }), []string{"nodes[1]", "nodes[2]"}},
	} {
		var kv statetest.Memory
		err := membership.Genesis(&kv, orgs, test.nodes)
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
		if kv.Len() != 0 {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestRegistry(t *testing.T) {
	t.Parallel()
	store := statetest.New(t)
	names := []string{"acme-1", "acme-2", "globex-1"}
	statetest.Commit(t, store, func(o *state.Overlay) {
		var nodes []*membershipv1.Node
		for _, name := range []string{"globex-1", "acme-2", "acme-1"} {
			nodes = append(nodes, validator(t, name))
		}
		nodes[0].Org = "globex"
		nodes[1].ValidatorKey, nodes[1].Power = nil, 0
		if err := membership.Genesis(o, orgs, nodes); err != nil {
			t.Fatal(err)
		}
	})
	view := store.Latest()
	defer view.Release()

	list, err := membership.List(view)
	if err != nil || len(list) != 3 {
		t.Fatal(list, err)
	}
	for i, node := range list {
		if node.Name != names[i] {
			t.Errorf("node %d is %s", i, node.Name)
		}
	}
	got, err := membership.GetNode(view, &membershipv1.GetNodeRequest{Name: "globex-1"})
	if err != nil || got.Height != 1 || got.Node.Org != "globex" || got.Node.Power != 10 {
		t.Error(got, err)
	}
	for size := range uint32(5) {
		var paged []string
		q := &membershipv1.ListNodesRequest{PageSize: size}
		for first := true; first || q.Page != ""; first = false {
			answer, err := membership.ListNodes(view, q)
			if err != nil || answer.Height != 1 {
				t.Fatal(answer, err)
			}
			for _, node := range answer.Nodes {
				paged = append(paged, node.Name)
			}
			q.Page = answer.NextPage
		}
		if !slices.Equal(paged, names) {
			t.Errorf("pages of %d: %q", size, paged)
		}
	}
	if _, err := membership.GetNode(view, &membershipv1.GetNodeRequest{Name: "hooli-1"}); !rejects(err, ledgerv1.Code_CODE_NOT_FOUND) {
		t.Error(err)
	}
	if _, err := membership.GetNode(view, &membershipv1.GetNodeRequest{Name: "\x00"}); !rejects(err, ledgerv1.Code_CODE_BAD_NAME) {
		t.Error(err)
	}
	if _, err := membership.ListNodes(view, &membershipv1.ListNodesRequest{Page: "?"}); !rejects(err, ledgerv1.Code_CODE_BAD_FIELD) {
		t.Error(err)
	}
}

func rejects(err error, code ledgerv1.Code) bool { return errors.Is(err, &tx.Rejection{Code: code}) }

func TestListFailsLoudly(t *testing.T) {
	t.Parallel()
	kv := &statetest.Memory{Fail: statetest.ErrInjected}
	if _, err := membership.List(kv); !errors.Is(err, statetest.ErrInjected) {
		t.Error(err)
	}
	kv.Fail = nil
	for i := range membership.MaxNodes + 1 {
		kv.Set(state.Key(state.PrefixNodes, fmt.Sprintf("n%d", i)), []byte{1})
	}
	if _, err := membership.List(kv); err == nil {
		t.Error("a registry without bound")
	}
}
