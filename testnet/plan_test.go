package testnet

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
)

func TestNewMakesWhatNodesAndClientsNeed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	n, err := New(dir, Options{Validators: 5})
	if err != nil {
		t.Fatal(err)
	}
	document, err := os.ReadFile(filepath.Join(dir, genesisFile))
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := app.ParseGenesis(document)
	if err != nil {
		t.Fatal(err)
	}
	if n.File.ChainID != genesis.ChainID || !strings.HasPrefix(genesis.ChainID, "local-") || n.Containers() {
		t.Errorf("chain id %q in the network file, %q in the genesis", n.File.ChainID, genesis.ChainID)
	}
	var names []string
	addresses := map[string]bool{}
	for i, node := range n.File.Nodes {
		names = append(names, node.Name)
		h, err := home.Load(node.Home)
		if err != nil {
			t.Fatal(err)
		}
		listed := genesis.Doc.Nodes[i].Node
		if h.Config.Name != node.Name || h.Config.Org != node.Org || h.Config.GRPC.Listen != node.GRPC || h.Observer() {
			t.Errorf("%s: home of %s of %s at %s", node.Name, h.Config.Name, h.Config.Org, h.Config.GRPC.Listen)
		}
		if string(h.Genesis) != string(document) {
			t.Errorf("%s has another genesis document", node.Name)
		}
		if listed.Name != node.Name || string(listed.NodeKey) != string(h.NodeKey.Public().Bytes()) ||
			string(listed.ValidatorKey) != string(h.ValidatorKey.Public().Bytes()) || listed.Addresses[0] != h.Config.P2P.Listen {
			t.Errorf("the genesis lists %v for %s", listed, node.Name)
		}
		for _, address := range []string{h.Config.P2P.Listen, h.Config.GRPC.Listen, h.Config.HTTP.Listen, h.Config.Metrics.Listen} {
			if addresses[address] {
				t.Errorf("%s is used twice", address)
			}
			addresses[address] = true
		}
		for _, account := range []string{"admin", "treasury"} {
			if keys, err := n.File.Keys(node.Org + "/" + account); err != nil || len(keys) != 1 {
				t.Errorf("%s/%s has %d keys, %v", node.Org, account, len(keys), err)
			}
		}
	}
	if want := []string{"acme-1", "globex-1", "initech-1", "umbrella-1", "org5-1"}; !slices.Equal(names, want) {
		t.Errorf("nodes %v, want %v", names, want)
	}
}

// TestDirectoryCanBeMoved: nothing in the network file depends on where it lies.
func TestDirectoryCanBeMoved(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	if _, err := New(filepath.Join(parent, "a"), Options{Validators: 1}); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(parent, "a"), filepath.Join(parent, "b")); err != nil {
		t.Fatal(err)
	}
	n, err := Open(filepath.Join(parent, "b"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := home.Load(n.File.Nodes[0].Home); err != nil {
		t.Error(err)
	}
	if _, err := n.File.Keys("acme/admin"); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	taken := t.TempDir()
	if err := os.WriteFile(filepath.Join(taken, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	free := filepath.Join(t.TempDir(), "net")
	for name, c := range map[string]struct {
		dir  string
		o    Options
		kind ErrorKind
	}{
		"none":     {free, Options{Validators: -1}, ErrOptions},
		"too many": {free, Options{Validators: 17}, ErrOptions},
		"name":     {free, Options{Name: "Local!"}, ErrOptions},
		"taken":    {taken, Options{Validators: 1}, ErrExists},
	} {
		if _, err := New(c.dir, c.o); !errors.Is(err, c.kind) {
			t.Errorf("%s: %v, want %q", name, err, c.kind)
		}
	}
	if _, err := os.Lstat(free); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was made all the same")
	}
	if left, err := os.ReadDir(taken); err != nil || len(left) != 1 {
		t.Errorf("%v, %v in the directory that was taken", left, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrNotNetwork) {
		t.Errorf("an empty directory: %v, want ErrNotNetwork", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNotNetwork) {
		t.Errorf("no directory: %v, want ErrNotNetwork", err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, client.NetworkFileName), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(broken); !errors.Is(err, client.ErrNetworkFile) {
		t.Errorf("a broken network file: %v, want ErrNetworkFile", err)
	}
}

func TestPortsAreFreeAndDistinct(t *testing.T) {
	t.Parallel()
	first, err := reserve(30)
	if err != nil {
		t.Fatal(err)
	}
	second, err := reserve(30)
	if err != nil {
		t.Fatal(err)
	}
	all := append(slices.Clone(first.numbers), second.numbers...)
	slices.Sort(all)
	if len(slices.Compact(all)) != 60 {
		t.Error("a port was given twice while it was held")
	}
	if all[0] < firstPort || all[len(all)-1] > lastPort {
		t.Errorf("ports from %d to %d", all[0], all[len(all)-1])
	}
	held := at(first.numbers[0])
	if err := checkFree("acme-1", held); !errors.Is(err, ErrPortInUse) || !strings.Contains(err.Error(), "acme-1") {
		t.Errorf("a port that is held: %v, want ErrPortInUse", err)
	}
	if err := errors.Join(first.Close(), second.Close()); err != nil {
		t.Fatal(err)
	}
	// Nodes can listen on them, nobody who looks for free ones finds them, and too few are none.
	free := second.numbers[0]
	if err := checkFree("acme-1", at(free)); err != nil {
		t.Errorf("a port that was given: %v", err)
	}
	if p, err := reserveBetween(free, free, 2); !errors.Is(err, ErrPortInUse) {
		t.Errorf("more ports than there are: %v, %v, want ErrPortInUse", p, err)
	}
	if runtime.GOOS != "linux" {
		return // elsewhere a port may be found free all the same
	}
	if p, err := reserveBetween(free, free, 1); !errors.Is(err, ErrPortInUse) {
		t.Errorf("a port that was given to somebody else: %v, %v, want ErrPortInUse", p, err)
	}
}

// TestUsedPortIsSaid: a network whose port another program took in the meantime.
func TestUsedPortIsSaid(t *testing.T) {
	t.Parallel()
	n, err := New(filepath.Join(t.TempDir(), "net"), Options{Validators: 1})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", n.File.Nodes[0].GRPC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := n.Up(t.Context()); !errors.Is(err, ErrPortInUse) || !strings.Contains(err.Error(), n.File.Nodes[0].GRPC) {
		t.Errorf("%v, want ErrPortInUse with the address", err)
	}
}

func TestAddNode(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "net")
	n, err := New(dir, Options{Validators: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		o      AddOptions
		name   string
		newOrg bool
	}{
		{AddOptions{Org: "hooli"}, "hooli-1", true},
		{AddOptions{Org: "hooli", Observer: true}, "hooli-2", false},
		{AddOptions{Org: "acme"}, "acme-2", false},
	} {
		added, err := n.AddNode(c.o)
		if err != nil {
			t.Fatal(err)
		}
		if added.Name != c.name || added.NewOrg != c.newOrg || (added.Kind == "observer") != c.o.Observer {
			t.Errorf("%+v: added %+v", c.o, added)
		}
		h, err := home.Load(added.Home)
		if err != nil {
			t.Fatal(err)
		}
		if h.Config.Name != c.name || h.Config.GRPC.Listen != added.GRPC || h.Observer() != c.o.Observer {
			t.Errorf("home of %s at %s, observer %v", h.Config.Name, h.Config.GRPC.Listen, h.Observer())
		}
		m, err := home.ReadMember(added.MemberFile)
		if err != nil || len(m.Nodes) != 1 || len(m.Accounts) != 2 || string(m.Nodes[0].Node.NodeKey) != string(h.NodeKey.Public().Bytes()) {
			t.Errorf("member file: %+v, %v", m, err)
		}
		if members, err := home.ReadMembers(h.Dir); err != nil || members.Nodes[0].Name != "acme-1" {
			t.Errorf("members: %+v, %v", members, err)
		}
		if keys, err := n.File.Keys(c.o.Org + "/admin"); err != nil || len(keys) != 1 {
			t.Errorf("%s/admin has %d keys, %v", c.o.Org, len(keys), err)
		}
	}
	again, err := Open(dir)
	if err != nil || len(again.File.Nodes) != 5 {
		t.Fatalf("%+v, %v", again, err)
	}
	if _, err := n.AddNode(AddOptions{Org: "Hooli"}); !errors.Is(err, ErrOptions) {
		t.Errorf("a bad name: %v, want ErrOptions", err)
	}
	// The network began with two, however many there are now.
	if _, _, err := openOrNew(dir, Options{Validators: 2}); err != nil {
		t.Error(err)
	}
	if _, _, err := openOrNew(dir, Options{Validators: 5}); !errors.Is(err, ErrOptions) {
		t.Errorf("five validators: %v, want ErrOptions", err)
	}
	// Nothing runs, so the genesis says whose power counts.
	if running, total, err := n.Power(t.Context()); err != nil || running != 0 || total != 20 {
		t.Errorf("power %d of %d, %v", running, total, err)
	}
}

func TestSuffices(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		running, total uint64
		want           bool
	}{
		{0, 0, false}, {1, 1, true}, {2, 3, false}, {3, 3, true}, {3, 4, true}, {20, 30, false}, {21, 30, true}, {30, 40, true},
	} {
		if got := Suffices(c.running, c.total); got != c.want {
			t.Errorf("%d of %d: %v", c.running, c.total, got)
		}
	}
}
