package importrules

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/althing-ledger/althing"

// A room is a package, or a tree of packages when its path ends in "/...". The most specific room wins.
type room struct {
	path  string
	may   []string // rooms its packages may import; a tree covers all below it
	tests []string // what its tests may import besides
	why   string   // why nothing else
}

// leaves may be imported by everybody.
var leaves = []string{"keys", "proto/gen/...", "proto/names", "proto/amount", "proto/tx", "proto/token", "proto/attest", "proto/subjects", "proto/cursor", "proto/blocks", "state/keyspace"}

// modules stand in the order in which they may know one another: each may import those before it.
var modules = []string{"app/accounts", "app/membership", "app/governance", "app/assets", "app/records"}

var rooms = []room{
	{"keys", nil, nil, "everybody may use keys, so keys uses nobody"},
	{"proto/gen/...", []string{"proto/gen/..."}, nil, "generated code knows messages and nothing else"},
	{"proto", nil, nil, "it holds the contract as a document, and no code"},
	{"proto/names", nil, nil, "clients in other programs check names with it and must not get a node along with it"},
	{"proto/amount", nil, nil, "clients in other programs count with it and must not get a node along with it"},
	{"proto/tx", []string{"keys", "proto/gen/...", "proto/names"}, nil,
		"the envelope is read before any state is looked at; signers use it without a node"},
	{"proto/token", []string{"keys", "proto/names"}, nil, "the edge of a node checks tokens and clients sign them: neither gets the other along with it"},
	{"proto/subjects", []string{"proto/gen/...", "proto/names"}, nil, "what a transaction touches follows from its bytes and its events"},
	{"proto/blocks", []string{"proto/cursor", "proto/gen/...", "proto/subjects"}, nil, "what a watch shows of a block follows from the block"},
	{"proto/cursor", nil, nil, "nodes and clients count the same things in the same order, and share nothing else for it"},
	{"proto/attest", []string{"proto/names"}, nil, "a node signs attestations and anybody checks them: neither gets the other along with it"},
	{"proto/vectors", leaves, nil, "golden vectors follow from the contract alone"},

	{"state/keyspace", nil, nil, "whoever checks proofs needs to know keys, and must not get a database along with it"},
	{"state", []string{"state/keyspace"}, nil, "the store keeps bytes; if it knew what they mean, a change of meaning would be a change of the store"},
	{"state/statetest", []string{"state", "state/keyspace"}, nil, "a fake of the store, for tests"},
	{"p2p", nil, nil, "who may connect is a set of keys; where it comes from is for the boot function to say"},
	{"mempool", []string{"keys", "proto/gen/...", "proto/names", "proto/tx"}, []string{"proto/amount"},
		"pending transactions are judged without state: what needs state is asked through the judge that it is given"},
	{"consensus/signer", []string{"keys", "proto/gen/...", "proto/names", "proto/tx"}, nil,
		"keys that vote may be held by a process of their own: it must not need a node to do so"},
	{"consensus", []string{"p2p", "mempool"}, []string{"consensus/signer", "state", "keys"},
		"the engine takes any abci.Application: order does not depend on what is ordered"},

	{"app/exec", leaves, []string{"state", "state/statetest", "app/exec/exectest"},
		"what operations see while they run stands below all modules"},
	{"app/exec/exectest", append([]string{"app/exec", "app/accounts", "state", "state/statetest"}, leaves...), nil,
		"a bench for the tests of the modules: it knows accounts, because somebody always acts, and no other module"},
	{"app/queries", append([]string{"app/exec"}, append(modules, leaves...)...), []string{"state", "state/statetest"},
		"the questions that can be asked of a state, wherever it comes from: a node's database or a proof"},
	{"app/follow", append([]string{"state"}, leaves...), []string{"state/statetest"}, "it hands blocks to whoever keeps something beside consensus"},
	{"app/lineage", append([]string{"state", "app/follow"}, leaves...), []string{"state/statetest"}, "it follows blocks; what a change of the validators is, it is told"},
	{"app/history", append([]string{"state", "app/follow"}, leaves...), []string{"state/statetest"}, "an index follows blocks; nothing follows from it"},
	{"app", append([]string{"app/exec", "mempool", "state"}, append(modules, leaves...)...), []string{"state/statetest", "app/exec/exectest"},
		"the state machine is a function of blocks: with consensus or p2p in reach it could depend on peers, with grpcapi on callers"},
	// Its tests check what it proves as clients do.
	{"app/grpcapi", append([]string{"app", "app/exec", "app/queries", "app/follow", "app/history", "app/lineage", "mempool", "state"}, append(modules, leaves...)...), []string{"state/statetest", "app/exec/exectest", "client", "client/verify"},
		"it translates and never decides: no consensus, no p2p, nothing it could steer"},

	{"app/httpapi", []string{"app/grpcapi", "proto", "proto/gen/..."}, []string{"app", "state", "state/statetest", "keys", "proto/tx"},
		"HTTP is another way to the calls of gRPC: with the state machine in reach it could answer what gRPC does not"},

	{"client/verify", leaves, []string{"..."}, "whoever checks a proof needs no node and no network"},
	{"client", append([]string{"client/verify", "app/exec", "app/queries", "internal/files"}, append(modules, leaves...)...), []string{"client/clienttest"},
		"other people import it: a node's code would come along. It asks proven keys the questions that a node asks its database"},
	{"client/...", append([]string{"client", "client/verify"}, leaves...), []string{"client/clienttest"}, "programs that talk to networks are clients like any other"},
	{"client/clienttest", append([]string{"client"}, leaves...), nil, "a server that answers clients in tests, made from the contract alone"},
	{"testnet/...", append([]string{"client", "consensus", "app", "app/governance", "internal/home", "testnet/..."}, leaves...),
		[]string{"internal/node", "app/...", "state", "mempool", "p2p"},
		"networks are run as processes: what is in a node's memory is not for testnet to reach into"},

	{"internal/home", []string{"consensus", "consensus/signer", "keys", "proto/gen/...", "proto/names", "proto/tx"}, nil,
		"a node's directory is read before anything runs, and by commands that run nothing"},
	{"internal/node", []string{"app", "app/...", "consensus", "consensus/signer", "mempool", "p2p", "state", "internal/home", "keys", "proto/..."},
		[]string{"client", "client/clienttest", "client/verify", "testnet/...", "state/statetest"}, "the rooms meet here and in no other place; it knows neither its clients nor its command line"},
	{"internal/loadgen", nil, nil, "what generates load and judges it knows no network: another kind of network must be measurable by the same code"},
	{"internal/loadgen/network", append([]string{"client", "internal/loadgen"}, leaves...), nil,
		"it is a client like any other: what it measures is what everybody's program would get"},
	{"internal/loadgen/report", []string{"internal/loadgen"}, nil, "figures are shown as they were found, and looked up nowhere"},
	{"internal/loadgen/baseline", []string{"consensus", "internal/loadgen", "internal/loadgen/report", "internal/files"}, []string{"app", "app/governance"},
		"the engine without anything of ours but its profile: with more it would be no yardstick"},
	{"internal/files", nil, nil, "clients and commands write files with it, and get nothing along with it"},
	{"internal/costs", nil, []string{"app", "mempool", "state", "state/keyspace", "state/statetest"}, "it counts what others do, from outside as their callers see it"},
	{"internal/importrules", nil, nil, "it looks at source, not through it"},

	{"cmd/...", []string{"..."}, nil, ""},
	{"examples/...", append([]string{"client"}, leaves...), nil, "an example that needs more than other people can import shows nothing"},
}

// forbidden are arrows that a rule above would not explain well enough to whoever draws them.
var forbidden = []struct{ from, to, why string }{
	{"...", "cmd/...", "commands are the top: what two of them need has a room of its own"},
	{"...", "internal/node", "only a program or an end-to-end test boots a node; everything else is handed what it needs"},
	{"app/...", "consensus", "app is handed blocks; they meet in internal/node"},
	{"app/...", "p2p", "app publishes the list of members; who reconciles the mesh with it is not its business"},
	{"app/...", "client", "a node does not ask nodes"},
	{"consensus", "app/...", "order does not depend on what is ordered"},
	{"consensus", "state", "the engine is handed databases"},
	{"mempool", "state", "a verdict that is remembered must not depend on state; what does is asked anew each time"},
	{"state", "keys", "the store keeps bytes and checks no signatures"},
	{"client/...", "proto/gen/gateway/...", "other people import the client: a server of HTTP would come along"},
	{"client", "app", "other people import the client: IAVL and the engine would come along"},
	{"client/...", "state", "other people import the client: the database would come along"},
}

// owners says who may import code of others. What is not named may be imported by everybody.
var owners = []struct {
	prefix string
	rooms  []string
	why    string
}{
	{"github.com/cosmos/iavl", []string{"state"}, "the tree's root is consensus; one package writes it"},
	{"github.com/cockroachdb/pebble", []string{"state"}, "one database, one package that knows what a batch guarantees"},
	{"cosmossdk.io/", []string{"state"}, "comes with IAVL and stays with it"},
	{"github.com/cometbft/cometbft-db", []string{"state", "consensus", "internal/loadgen/baseline"}, "the engine's stores sit on the one database through an adapter"},
	{"github.com/cometbft/cometbft/abci/types", []string{"client/verify", "consensus", "app", "internal/node", "internal/loadgen/baseline", "testnet/...", "cmd/..."},
		"app speaks ABCI at its edge; the boot function hands it over"},
	{"github.com/cometbft/cometbft/proto/", []string{"client/verify", "consensus", "consensus/signer", "app"},
		"what app answers over ABCI holds the engine's keys and parameters"},
	{"github.com/cometbft/cometbft/", []string{"client/verify", "consensus", "consensus/signer", "internal/loadgen/baseline"},
		"engine types stay behind consensus and the verifier of its headers, so that a new engine is the work of two rooms"},
	{"github.com/cosmos/ics23/", []string{"state", "client/verify"}, "one package makes proofs, one checks them"},
	{"github.com/cosmos/gogoproto", []string{"client/verify", "consensus", "consensus/signer", "app"}, "the engine's protobuf; ours is google.golang.org/protobuf"},
	{"github.com/btcsuite/", []string{"keys"}, "one package verifies signatures"},
	{"github.com/decred/", []string{"keys"}, "one package verifies signatures"},
	{"github.com/oasisprotocol/", []string{"keys"}, "one package verifies signatures"},
	{"github.com/spf13/", []string{"cmd/..."}, "flags belong to commands"},
	{"golang.org/x/term", []string{"cmd/...", "testnet/..."}, "terminals belong to commands"},
	{"google.golang.org/grpc", []string{"proto/gen/...", "app/grpcapi", "app/httpapi", "consensus/signer", "client", "client/explorer", "client/clienttest", "client/pgindex", "internal/loadgen/network", "internal/node", "testnet/...", "cmd/...", "examples/..."},
		"calls come in through one edge; the state machine knows no transport"},
	{"github.com/grpc-ecosystem/", []string{"proto/gen/gateway/...", "app/httpapi"}, "one package translates HTTP"},
	{"github.com/jackc/", []string{"client/pgindex"}, "one package knows PostgreSQL; no node needs it"},
	{"github.com/pelletier/", []string{"internal/home", "cmd/..."}, "one package reads configuration files"},
}

type pkg struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// list runs `go list -json` on patterns at the top of the module.
func list(t *testing.T, args ...string) []byte {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Dir = "../.."
	out, err := command.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list %v: %v\n%s", args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return out
}

func matches(pattern, path string) bool {
	if pattern == "..." {
		return true
	}
	tree, isTree := strings.CutSuffix(pattern, "/...")
	return path == tree || (isTree && strings.HasPrefix(path, tree+"/"))
}

func matchesAny(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, path) })
}

// roomOf returns the room of a package: its own line, else the longest pattern that matches.
func roomOf(path string) (room, bool) {
	var best room
	for _, r := range append(moduleRooms(), rooms...) {
		if r.path == path {
			return r, true
		}
		if matches(r.path, path) && len(r.path) > len(best.path) {
			best = r
		}
	}
	return best, best.path != ""
}

func moduleRooms() []room {
	var all []room
	for i, m := range modules {
		may := append([]string{"app/exec", "state"}, leaves...)
		all = append(all, room{m, append(may, modules[:i]...), []string{"state/statetest", "app/exec/exectest"},
			"modules know those to their left (" + strings.Join(modules, ", ") + "): arrows both ways would be one module in two folders"})
	}
	return all
}

// judge returns what is wrong with a package that stands at path and imports another, both without the module's name.
func judge(path, imported string, inTests bool) error {
	for _, f := range forbidden {
		if inTests || !matches(f.from, path) || !matches(f.to, imported) {
			continue
		}
		if (f.from == "..." && matches("cmd/...", path)) || path == imported {
			continue
		}
		return fmt.Errorf("%s must not import %s: %s", path, imported, f.why)
	}
	r, ok := roomOf(path)
	if !ok {
		return fmt.Errorf("%s is no room: give it a line, and a reason, in arrows_test.go", path)
	}
	if path == imported || matchesAny(r.may, imported) || (inTests && matchesAny(r.tests, imported)) {
		return nil
	}
	if inTests && matchesAny(leaves, imported) {
		return nil
	}
	return fmt.Errorf("%s must not import %s: %s", path, imported, r.why)
}

// judgeOther returns what is wrong with a package of ours importing somebody else's.
func judgeOther(path, imported string) error {
	for _, o := range owners {
		if !strings.HasPrefix(imported+"/", o.prefix) && !strings.HasPrefix(imported, o.prefix) {
			continue
		}
		if matchesAny(o.rooms, path) {
			return nil
		}
		return fmt.Errorf("%s must not import %s, only %s may: %s", path, imported, strings.Join(o.rooms, ", "), o.why)
	}
	return nil
}

func TestArrows(t *testing.T) {
	t.Parallel()
	decoder := json.NewDecoder(strings.NewReader(string(list(t, "-json=ImportPath,Imports,TestImports,XTestImports", "./..."))))
	seen := 0
	for {
		var p pkg
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		seen++
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		check := func(imports []string, inTests bool) {
			for _, imported := range imports {
				if own, ok := strings.CutPrefix(imported, module+"/"); ok {
					if err := judge(path, own, inTests); err != nil {
						t.Error(err)
					}
				} else if !inTests {
					if err := judgeOther(path, imported); err != nil {
						t.Error(err)
					}
				}
			}
		}
		check(p.Imports, false)
		check(slices.Concat(p.TestImports, p.XTestImports), true)
	}
	if seen < 10 {
		t.Errorf("go list found only %d packages", seen)
	}
}

// TestRulesFire draws arrows that must be refused, and some that must not.
func TestRulesFire(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		inTests  bool
		allowed  bool
	}{
		{"app", "consensus", false, false},
		{"app/assets", "p2p", false, false},
		{"app/assets", "app/accounts", false, true},
		{"app/accounts", "app/assets", false, false},
		{"app/records", "app/assets", false, true},
		{"app", "app/grpcapi", false, false},
		{"consensus", "app", false, false},
		{"consensus", "mempool", false, true},
		{"client", "state", false, false},
		{"client", "proto/gen/gateway/althing/ledger/v1", false, false},
		{"app/httpapi", "app/grpcapi", false, true},
		{"app/httpapi", "app", false, false},
		{"client", "proto/tx", false, true},
		{"keys", "proto/names", false, false},
		{"state", "keys", false, false},
		{"state", "proto/tx", true, true},
		{"testnet", "internal/node", false, false},
		{"testnet", "internal/node", true, true},
		{"mempool", "internal/node", false, false},
		{"client", "internal/node", true, false},
		{"cmd/althing", "internal/node", false, true},
		{"testnet", "cmd/althing", false, false},
		{"examples/submit", "internal/home", false, false},
		{"internal/loadgen", "client", false, false},
		{"internal/loadgen/network", "client", false, true},
		{"internal/loadgen/network", "testnet", false, false},
		{"somewhere", "keys", false, false},
	} {
		if err := judge(c.from, c.to, c.inTests); (err == nil) != c.allowed {
			t.Errorf("%s -> %s (tests: %v): %v", c.from, c.to, c.inTests, err)
		}
	}
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"app", "github.com/cometbft/cometbft/abci/types", true},
		{"app", "github.com/cometbft/cometbft/types", false},
		{"app/assets", "github.com/cometbft/cometbft/abci/types", false},
		{"app", "github.com/cosmos/iavl", false},
		{"state", "github.com/cosmos/iavl/db", true},
		{"client", "github.com/btcsuite/btcd/btcec/v2", false},
		{"app/assets", "google.golang.org/grpc/status", false},
		{"app/assets", "google.golang.org/protobuf/proto", true},
	} {
		if err := judgeOther(c.from, c.to); (err == nil) != c.allowed {
			t.Errorf("%s -> %s: %v", c.from, c.to, err)
		}
	}
	for _, r := range append(moduleRooms(), rooms...) {
		if r.why == "" && r.path != "cmd/..." {
			t.Errorf("room %s has no reason", r.path)
		}
	}
}
