package home

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// fresh is generate for fuzzers too.
func fresh(t testing.TB, scheme keys.Scheme) keys.PrivateKey {
	t.Helper()
	key, err := keys.Generate(scheme, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newcomer returns what an organisation brings along, and the options of its node's home.
func newcomer(t testing.TB, org string, observer bool) (*Member, Options) {
	t.Helper()
	o := Options{Config: Default(org+"-1", org), NodeKey: fresh(t, keys.SchemeEd25519)}
	if !observer {
		o.ValidatorKey = fresh(t, keys.SchemeEd25519)
	}
	listed, err := Listing(o.Config, o.NodeKey, o.ValidatorKey, 10, []string{org + ".example:26656"})
	if err != nil {
		t.Fatal(err)
	}
	admin := fresh(t, keys.SchemeSchnorr).Public()
	account := &accountsv1.Create{Name: org + "/admin", Threshold: 1, Roles: []string{"admin"}, Keys: []*accountsv1.WeightedKey{
		{PublicKey: &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(admin.Scheme()), Key: admin.Bytes()}, Weight: 1},
	}}
	m := &Member{Org: org, Accounts: []*accountsv1.Create{account}}
	m.Nodes = append(m.Nodes, listed)
	return m, o
}

func TestMemberFile(t *testing.T) {
	t.Parallel()
	for _, observer := range []bool{false, true} {
		m, _ := newcomer(t, "hooli", observer)
		file, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := m.Encode(); err != nil || string(again) != string(file) {
			t.Errorf("encoded twice: %v\n%s\n%s", err, file, again)
		}
		read, err := DecodeMember(file)
		if err != nil {
			t.Fatal(err)
		}
		if read.Org != "hooli" || !proto.Equal(read.Nodes[0], m.Nodes[0]) || !proto.Equal(read.Accounts[0], m.Accounts[0]) {
			t.Errorf("observer %v: read %+v", observer, read)
		}
		if power := read.Nodes[0].Node.Power; (power == 0) != observer {
			t.Errorf("observer %v with power %d", observer, power)
		}
	}
}

func TestMemberFileRefuses(t *testing.T) {
	t.Parallel()
	other, _ := newcomer(t, "globex", false)
	for name, spoil := range map[string]func(m *Member){
		"no name":          func(m *Member) { m.Org = "" },
		"nothing":          func(m *Member) { m.Accounts, m.Nodes = nil, nil },
		"foreign account":  func(m *Member) { m.Accounts[0].Name = "globex/admin" },
		"no account":       func(m *Member) { m.Accounts[0].Name = "admin" },
		"account twice":    func(m *Member) { m.Accounts = append(m.Accounts, m.Accounts[0]) },
		"keyless account":  func(m *Member) { m.Accounts[0].Keys = nil },
		"foreign node":     func(m *Member) { m.Nodes = other.Nodes },
		"node twice":       func(m *Member) { m.Nodes = append(m.Nodes, m.Nodes[0]) },
		"another name":     func(m *Member) { m.Nodes[0].Node.Name = "hooli-2" },
		"no node":          func(m *Member) { m.Nodes[0].Node = nil },
		"another key":      func(m *Member) { m.Nodes[0].Node.NodeKey = other.Nodes[0].Node.NodeKey },
		"one key for both": func(m *Member) { m.Nodes[0].Node.ValidatorKey = m.Nodes[0].Node.NodeKey },
		"proof of another": func(m *Member) { m.Nodes[0].ValidatorKeyProof = other.Nodes[0].ValidatorKeyProof },
		"proofs exchanged": func(m *Member) {
			m.Nodes[0].NodeKeyProof, m.Nodes[0].ValidatorKeyProof = m.Nodes[0].ValidatorKeyProof, m.Nodes[0].NodeKeyProof
		},
		"power, no key":  func(m *Member) { m.Nodes[0].Node.ValidatorKey = nil },
		"no host":        func(m *Member) { m.Nodes[0].Node.Addresses = []string{":26656"} },
		"no port":        func(m *Member) { m.Nodes[0].Node.Addresses = []string{"hooli.example"} },
		"nine addresses": func(m *Member) { m.Nodes[0].Node.Addresses = slices.Repeat([]string{"a.b:1"}, 9) },
		"too many nodes": func(m *Member) {
			m.Nodes = slices.Repeat([]*membershipv1.AddNode{m.Nodes[0]}, maxMemberNodes+1)
		},
	} {
		m, _ := newcomer(t, "hooli", false)
		spoil(m)
		if _, err := m.Encode(); !errors.Is(err, ErrMember) {
			t.Errorf("%s: %v, want ErrMember", name, err)
		}
	}
	m, _ := newcomer(t, "hooli", false)
	file, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"empty":         "",
		"another field": strings.Replace(string(file), `"org"`, `"secret": 1, "org"`, 1),
		"node's field":  strings.Replace(string(file), `"nodeKey"`, `"secret": 1, "nodeKey"`, 1),
		"newer":         strings.Replace(string(file), `"format": 1`, `"format": 2`, 1),
		"more behind":   string(file) + "{}",
		"too large":     string(file) + strings.Repeat(" ", maxMemberBytes),
	} {
		if _, err := DecodeMember([]byte(content)); !errors.Is(err, ErrMember) {
			t.Errorf("%s: %v, want ErrMember", name, err)
		}
	}
}

// TestJoin goes from a home without a network to one that a node can run on.
func TestJoin(t *testing.T) {
	t.Parallel()
	for _, observer := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "home")
		m, o := newcomer(t, "hooli", observer)
		var extra Dir
		err := Prepare(dir, o, m, func(temporary Dir) error {
			extra = temporary
			return WriteFile(filepath.Join(string(temporary), "extra"), nil, 0o600)
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Lstat(filepath.Join(dir, "extra")); err != nil || extra == Dir(dir) {
			t.Errorf("extra was called with %s: %v", extra, err)
		}
		if !Incomplete(dir) {
			t.Error("a home without a genesis is said to be complete")
		}
		if _, err := Load(dir); !errors.Is(err, ErrNotHome) {
			t.Errorf("load without a genesis: %v, want ErrNotHome", err)
		}
		if read, err := ReadMember(Dir(dir).MemberFile("hooli", "hooli-1")); err != nil || !proto.Equal(read.Nodes[0], m.Nodes[0]) {
			t.Errorf("member file: %v, %v", read, err)
		}
		if err := Prepare(dir, o, m, nil); !errors.Is(err, ErrExists) {
			t.Errorf("prepare again: %v, want ErrExists", err)
		}
		ticket := testTicket(t)
		if err := Complete(dir, ticket); err != nil {
			t.Fatal(err)
		}
		h, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		if string(h.Genesis) != string(ticket.Genesis) || h.Observer() != observer || Incomplete(dir) {
			t.Errorf("loaded %q, observer %v", h.Genesis, h.Observer())
		}
		members, err := ReadMembers(h.Dir)
		if err != nil || members.AsOf != ticket.Anchor.Height || len(members.Nodes) != 2 || members.Nodes[0].GRPC != "" ||
			string(members.Nodes[1].NodeKey) != string(ticket.Nodes[1].NodeKey) || members.Nodes[0].Addresses[0] != "acme.example:26656" {
			t.Errorf("members %+v, %v", members, err)
		}
		if err := Complete(dir, ticket); err != nil {
			t.Errorf("complete again: %v", err)
		}
	}
	if err := Complete(t.TempDir(), testTicket(t)); !errors.Is(err, ErrNotHome) {
		t.Errorf("complete nothing: %v, want ErrNotHome", err)
	}
}

// TestCompleteAfterCrash: parts that were left behind are replaced.
func TestCompleteAfterCrash(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "home")
	m, o := newcomer(t, "hooli", false)
	if err := Prepare(dir, o, m, nil); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{Dir(dir).Members(), Dir(dir).Members() + ".new", Dir(dir).Genesis() + ".new"} {
		if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Complete(dir, testTicket(t)); err != nil {
		t.Fatal(err)
	}
	if members, err := ReadMembers(Dir(dir)); err != nil || len(members.Nodes) != 2 {
		t.Errorf("members %+v, %v", members, err)
	}
}

// TestCompleteAgain: a node that was away for long gets a newer list, and nothing else.
func TestCompleteAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "home")
	m, o := newcomer(t, "hooli", false)
	if err := Prepare(dir, o, m, nil); err != nil {
		t.Fatal(err)
	}
	ticket := testTicket(t)
	if err := Complete(dir, ticket); err != nil {
		t.Fatal(err)
	}
	complete := func(asOf uint64, nodes []Contact, want error, wantAsOf uint64, wantNodes int) {
		t.Helper()
		other := *ticket
		other.Anchor.Height, other.Nodes = asOf, nodes
		if err := Complete(dir, &other); !errors.Is(err, want) {
			t.Errorf("complete as of %d: %v, want %v", asOf, err, want)
		}
		members, err := ReadMembers(Dir(dir))
		if err != nil || members.AsOf != wantAsOf || len(members.Nodes) != wantNodes {
			t.Errorf("members %+v, %v; want %d as of %d", members, err, wantNodes, wantAsOf)
		}
	}
	first, one := ticket.Anchor.Height, ticket.Nodes[:1]
	complete(first, one, nil, first, 2)
	complete(first+1, one, nil, first+1, 1)
	complete(first, ticket.Nodes, nil, first+1, 1)
	lock, err := LockFile(Dir(dir).PID())
	if err != nil {
		t.Fatal(err)
	}
	complete(first+2, ticket.Nodes, ErrInUse, first+1, 1)
	complete(first+1, ticket.Nodes, nil, first+1, 1)
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	foreign := *ticket
	foreign.Genesis, foreign.Anchor.Height = []byte("{}\n\n"), first+3
	if err := Complete(dir, &foreign); !errors.Is(err, ErrExists) {
		t.Errorf("the ticket of another network: %v, want ErrExists", err)
	}
	complete(first+2, ticket.Nodes, nil, first+2, 2)
}

func TestPrepareRefuses(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "home")
	m, o := newcomer(t, "hooli", false)
	bad := o
	bad.Config.Name = "Hooli"
	if err := Prepare(dir, bad, m, nil); !errors.Is(err, ErrConfig) {
		t.Errorf("a bad name: %v, want ErrConfig", err)
	}
	if err := Prepare(dir, o, &Member{Org: "hooli"}, nil); !errors.Is(err, ErrMember) {
		t.Errorf("no member: %v, want ErrMember", err)
	}
	failed := errors.New("no room")
	if err := Prepare(dir, o, m, func(Dir) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("extra failed: %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("something was made all the same")
	}
}

func TestMemberFileName(t *testing.T) {
	t.Parallel()
	for want, c := range map[string][2]string{
		"hooli-1.member.json":        {"hooli", "hooli-1"},
		"hooli-spare.member.json":    {"hooli", "spare"},
		"hooli-hooligan.member.json": {"hooli", "hooligan"},
	} {
		if got := filepath.Base(Dir("x").MemberFile(c[0], c[1])); got != want {
			t.Errorf("%v: %s, want %s", c, got, want)
		}
	}
}

func FuzzDecodeMember(f *testing.F) {
	for _, observer := range []bool{false, true} {
		m, _ := newcomer(f, "hooli", observer)
		file, err := m.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := DecodeMember(data)
		if err != nil {
			if !errors.Is(err, ErrMember) {
				t.Errorf("%v is not ErrMember", err)
			}
			return
		}
		file, err := m.Encode()
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if again, err := DecodeMember(file); err != nil || again.Org != m.Org || len(again.Nodes) != len(m.Nodes) {
			t.Errorf("read %+v, then %+v, %v", m, again, err)
		}
	})
}
