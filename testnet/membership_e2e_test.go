package testnet_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/testnet"
)

// evictionLimit is how long after its removal a node may still be connected anywhere.
const evictionLimit = 2 * time.Second

// traffic is clients that pay, without a pause, as long as a test changes the members around them.
type traffic struct {
	t         *testing.T
	committed atomic.Int64
	signers   []atomic.Pointer[client.Signer] // one for each client: what it signs with from now on
	idle      []sync.Mutex                    // held by a client while a payment of its own is under way
	stop      context.CancelFunc
	done      sync.WaitGroup

	mu       sync.Mutex
	failures []string
}

// startTraffic mints an asset and lets a client of each of the accounts pay to somebody, each beginning with another node.
func startTraffic(t *testing.T, n *testnet.Network, accounts ...string) *traffic {
	t.Helper()
	run(t, n, nil, "asset", "create", "acme/load", "--decimals", "0", "--as", "acme/admin")
	for _, account := range accounts {
		run(t, n, nil, "asset", "mint", "acme/load", "1000000", "--to", account, "--as", "acme/admin")
	}
	ctx, cancel := context.WithCancel(t.Context())
	load := &traffic{t: t, stop: cancel, signers: make([]atomic.Pointer[client.Signer], len(accounts)), idle: make([]sync.Mutex, len(accounts))}
	for i, account := range accounts {
		loaded, err := n.File.Keys(account)
		if err != nil {
			t.Fatal(err)
		}
		load.signers[i].Store(&client.Signer{Account: account, Keys: loaded})
		file := *n.File
		file.Nodes = slices.Concat(n.File.Nodes[len(n.File.Nodes)-1-i:], n.File.Nodes[:len(n.File.Nodes)-1-i])
		c, err := client.Dial(&file, client.Config{})
		if err != nil {
			t.Fatal(err)
		}
		load.done.Go(func() {
			defer func() { _ = c.Close() }()
			for ctx.Err() == nil {
				load.pay(ctx, c, i)
			}
		})
	}
	t.Cleanup(load.end)
	return load
}

// pay sends one payment and waits for its outcome.
func (l *traffic) pay(ctx context.Context, c *client.Client, i int) {
	l.idle[i].Lock()
	defer l.idle[i].Unlock()
	signer := *l.signers[i].Load()
	op := &ledgerv1.Operation{Account: signer.Account, Kind: &ledgerv1.Operation_AssetTransfer{
		AssetTransfer: &assetsv1.Transfer{Asset: "acme/load", To: "umbrella/treasury", Amount: "1"},
	}}
	result, err := c.Send(ctx, client.Draft{Operations: []*ledgerv1.Operation{op}}, signer)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		l.fail(fmt.Sprintf("%s: %v", signer.Account, err))
	case !result.OK():
		l.fail(fmt.Sprintf("%s: %v: %v", signer.Account, result.Status, result.Outcome))
	default:
		l.committed.Add(1)
	}
}

func (l *traffic) fail(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.failures) < 20 {
		l.failures = append(l.failures, text)
	}
}

// signWith lets a client sign with other keys from now on, and returns when what it had signed before is decided.
func (l *traffic) signWith(i int, with ...keys.PrivateKey) {
	l.signers[i].Store(&client.Signer{Account: l.signers[i].Load().Account, Keys: with})
	l.idle[i].Lock()
	defer l.idle[i].Unlock()
}

// flows waits until each client has paid some more.
func (l *traffic) flows() {
	l.t.Helper()
	enough := l.committed.Load() + int64(5*len(l.signers))
	eventually(l.t, 60*time.Second, "payments go on", func() bool { return l.committed.Load() >= enough })
}

func (l *traffic) end() {
	l.stop()
	l.done.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, failure := range l.failures {
		l.t.Errorf("an honest payment failed: %s", failure)
	}
	l.failures = nil
}

// eventually waits for a condition.
func eventually(t *testing.T, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		if time.Since(began) > limit {
			t.Fatalf("not within %v: %s", limit, what)
		}
		<-ticker.C
	}
	return time.Since(began)
}

// run runs a command against a network. Without into what it prints is passed over.
func run(t *testing.T, n *testnet.Network, into any, args ...string) {
	t.Helper()
	if into == nil {
		into = new(any)
	}
	althing(t, into, slices.Concat([]string{"--network", n.Dir, "--output", "json"}, args)...)
}

// decide makes a proposal and has organisations vote for it until it is executed.
func decide(t *testing.T, n *testnet.Network, voters []string, args ...string) {
	t.Helper()
	var p struct {
		ID     uint64 `json:"id"`
		Status string `json:"proposal_status"`
	}
	run(t, n, &p, slices.Concat([]string{"proposal", "create", "--as", "acme/admin"}, args)...)
	for _, org := range voters {
		run(t, n, &p, "proposal", "vote", fmt.Sprint(p.ID), "--yes", "--as", org+"/admin")
	}
	if p.Status != "executed" {
		t.Fatalf("proposal %d to %v is %s, want executed", p.ID, args, p.Status)
	}
}

// peersOf returns the names of the nodes that a node is connected to, and whether it answers.
func peersOf(t *testing.T, n *testnet.Network, node string) ([]string, bool) {
	t.Helper()
	c, err := client.Dial(n.File, client.Config{Node: node, AttemptTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	status, err := c.Status(t.Context())
	if err != nil {
		return nil, false
	}
	var names []string
	for _, p := range status.Peers {
		names = append(names, p.Name)
	}
	return names, true
}

// connectedTo says whether any of the others is connected to a node.
func connectedTo(t *testing.T, n *testnet.Network, node string, others ...string) bool {
	t.Helper()
	for _, other := range others {
		if peers, answers := peersOf(t, n, other); !answers || slices.Contains(peers, node) {
			return true
		}
	}
	return false
}

// meshed says whether all of the others are connected to a node.
func meshed(t *testing.T, n *testnet.Network, node string, others ...string) bool {
	t.Helper()
	for _, other := range others {
		if peers, _ := peersOf(t, n, other); !slices.Contains(peers, node) {
			return false
		}
	}
	return true
}

// validators returns who votes, as a node says.
func validators(t *testing.T, n *testnet.Network) map[string]*membershipv1.Validator {
	t.Helper()
	c, err := client.Dial(n.File, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	resp, err := c.Membership().ListValidators(t.Context(), &membershipv1.ListValidatorsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*membershipv1.Validator{}
	for _, v := range resp.Validators {
		all[v.Name] = v
	}
	return all
}

// TestMembersChangeUnderLoad changes everything about the members that can be changed while clients pay, and no payment may
// fail. The parts build on one another.
func TestMembersChangeUnderLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("five processes, for a while")
	}
	n := launch(t, filepath.Join(t.TempDir(), "net"), testnet.Options{})
	load := startTraffic(t, n, "acme/treasury", "acme/admin")
	first := []string{"acme-1", "globex-1", "initech-1", "umbrella-1"}

	fifthOrgJoins(t, n, first)
	load.flows()
	rotateValidatorKey(t, n)
	load.flows()
	rotateNodeKey(t, n, first)
	load.flows()
	rotateAccountKey(t, n, load)
	load.flows()
	suspendAndResume(t, n, first)
	load.flows()
	moveNode(t, n)
	load.flows()
	removeNode(t, n, first)
	load.flows()
	load.end()
	t.Logf("%d payments committed", load.committed.Load())
	sameHashes(t, n, first)
}

func fifthOrgJoins(t *testing.T, n *testnet.Network, first []string) {
	t.Helper()
	var added testnet.Added
	althing(t, &added, "testnet", "add-node", "--dir", n.Dir, "--org", "hooli", "--output", "json")
	if added.Name != "hooli-1" || !added.NewOrg {
		t.Fatalf("added %+v", added)
	}
	// A node that is not listed is let in nowhere, and says so.
	var node testnet.NodeStatus
	althing(t, &node, "testnet", "node", "start", "hooli-1", "--dir", n.Dir, "--output", "json")
	if node.Ready || node.Height != 0 || node.Peers != 0 {
		t.Errorf("before it is admitted: %+v", node)
	}
	decide(t, n, []string{"globex", "initech"}, "--admit-org", "hooli", "--member", added.MemberFile)
	reopen(t, n)
	eventually(t, 30*time.Second, "hooli-1 is connected to all", func() bool { return meshed(t, n, "hooli-1", first...) })
	eventually(t, 30*time.Second, "hooli-1 signs blocks", func() bool {
		v := validators(t, n)["hooli-1"]
		return v.GetPower() == 10 && v.GetSigned() > 0
	})
	run(t, n, nil, "--node", "hooli-1", "asset", "create", "hooli/coin", "--decimals", "2", "--as", "hooli/admin")
}

// reopen reads the network file again, which commands have changed.
func reopen(t *testing.T, n *testnet.Network) {
	t.Helper()
	again, err := testnet.Open(n.Dir)
	if err != nil {
		t.Fatal(err)
	}
	n.File = again.File
}

func rotateValidatorKey(t *testing.T, n *testnet.Network) {
	t.Helper()
	before := validators(t, n)["initech-1"]
	var changed struct {
		Node            string `json:"node"`
		PublicKey       string `json:"public_key"`
		EffectiveHeight uint64 `json:"effective_height"`
	}
	run(t, n, &changed, "validator", "rotate-key", "--as", "initech/admin")
	if changed.Node != "initech-1" || changed.EffectiveHeight == 0 {
		t.Fatalf("changed %+v", changed)
	}
	var now *membershipv1.Validator
	eventually(t, 30*time.Second, "initech-1 signs with its new key", func() bool {
		now = validators(t, n)["initech-1"]
		return fmt.Sprintf("%x", now.GetPublicKey()) == changed.PublicKey && now.GetLastSignedHeight() >= changed.EffectiveHeight
	})
	if bytes.Equal(now.PublicKey, before.PublicKey) || now.FromHeight != changed.EffectiveHeight {
		t.Errorf("before %v, now %v", before, now)
	}
	dir := home.Dir(fileNode(t, n, "initech-1").Home)
	eventually(t, 30*time.Second, "the old key is destroyed", func() bool {
		h, err := home.Load(string(dir))
		return err == nil && fmt.Sprintf("%x", h.ValidatorKey.Public().Bytes()) == changed.PublicKey && h.NextValidatorKey.IsZero()
	})
}

func fileNode(t *testing.T, n *testnet.Network, name string) client.Node {
	t.Helper()
	i := slices.IndexFunc(n.File.Nodes, func(node client.Node) bool { return node.Name == name })
	if i < 0 {
		t.Fatalf("no node %s in %v", name, n.File.Nodes)
	}
	return n.File.Nodes[i]
}

func rotateNodeKey(t *testing.T, n *testnet.Network, first []string) {
	t.Helper()
	var changed struct {
		PublicKey string `json:"public_key"`
	}
	run(t, n, &changed, "node", "rotate-key", "globex-1", "--as", "globex/admin")
	dir := fileNode(t, n, "globex-1").Home
	eventually(t, 30*time.Second, "globex-1 has its new key", func() bool {
		h, err := home.Load(dir)
		return err == nil && fmt.Sprintf("%x", h.NodeKey.Public().Bytes()) == changed.PublicKey && h.NextNodeKey.IsZero()
	})
	others := slices.DeleteFunc(slices.Clone(first), func(name string) bool { return name == "globex-1" })
	eventually(t, 30*time.Second, "globex-1 is connected with its new key", func() bool { return meshed(t, n, "globex-1", others...) })
}

// rotateAccountKey changes the key with which a client signs all the while: the new one is added, the client changes to it,
// the old one is revoked.
func rotateAccountKey(t *testing.T, n *testnet.Network, load *traffic) {
	t.Helper()
	old := load.signers[0].Load().Keys[0]
	fresh, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	run(t, n, nil, "account", "add-key", "acme/treasury", "--public-key", fresh.Public().String(), "--as", "acme/treasury")
	load.signWith(0, fresh)
	run(t, n, nil, "account", "revoke-key", "acme/treasury", "--public-key", old.Public().String(), "--as", "acme/admin")
	// At once, for an account that signs nothing at the moment.
	run(t, n, nil, "account", "rotate-key", "globex/treasury", "--as", "globex/treasury")
}

func suspendAndResume(t *testing.T, n *testnet.Network, first []string) {
	t.Helper()
	others := slices.DeleteFunc(slices.Clone(first), func(name string) bool { return name == "globex-1" })
	decide(t, n, []string{"initech", "umbrella", "hooli"}, "--suspend-org", "globex", "--reason", "a test")
	took := eventually(t, evictionLimit, "globex-1 is cut off", func() bool { return !connectedTo(t, n, "globex-1", others...) })
	t.Logf("suspended: cut off everywhere after %v", took)
	eventually(t, 30*time.Second, "globex-1 does not vote", func() bool { return validators(t, n)["globex-1"] == nil })
	decide(t, n, []string{"initech", "umbrella"}, "--resume-org", "globex")
	eventually(t, 30*time.Second, "globex-1 is connected again", func() bool { return meshed(t, n, "globex-1", others...) })
	eventually(t, 30*time.Second, "globex-1 votes again", func() bool { return validators(t, n)["globex-1"].GetSigned() > 0 })
}

// moveNode gives a node another address while it is down.
func moveNode(t *testing.T, n *testnet.Network) {
	t.Helper()
	node := fileNode(t, n, "initech-1")
	if err := n.Stop(t.Context(), node.Name); err != nil {
		t.Fatal(err)
	}
	h, err := home.Load(node.Home)
	if err != nil {
		t.Fatal(err)
	}
	// The port for metrics of the node itself is free as well.
	config, err := os.ReadFile(h.Dir.Config())
	if err != nil {
		t.Fatal(err)
	}
	moved := strings.NewReplacer(h.Config.P2P.Listen, h.Config.Metrics.Listen, h.Config.Metrics.Listen, h.Config.P2P.Listen).Replace(string(config))
	if err := os.WriteFile(h.Dir.Config(), []byte(moved), 0o600); err != nil {
		t.Fatal(err)
	}
	address := strings.Replace(h.Config.Metrics.Listen, "127.0.0.1", "localhost", 1)
	run(t, n, nil, "node", "set-addresses", "initech-1", address, "--as", "initech/admin")
	if err := n.Start(t.Context(), node.Name); err != nil {
		t.Fatal(err)
	}
	eventually(t, 30*time.Second, "initech-1 is found at its new address", func() bool {
		return meshed(t, n, "initech-1", "acme-1", "globex-1", "umbrella-1", "hooli-1")
	})
}

func removeNode(t *testing.T, n *testnet.Network, first []string) {
	t.Helper()
	decide(t, n, []string{"globex", "initech", "umbrella"}, "--remove-node", "hooli-1")
	took := eventually(t, evictionLimit, "hooli-1 is cut off", func() bool { return !connectedTo(t, n, "hooli-1", first...) })
	t.Logf("removed: cut off everywhere after %v", took)
	eventually(t, 30*time.Second, "hooli-1 does not vote", func() bool { return validators(t, n)["hooli-1"] == nil })
	// The network as a whole can be told and started all the same.
	if _, err := n.Status(t.Context()); err != nil {
		t.Error(err)
	}
	if err := n.Up(t.Context()); err != nil && !errors.Is(err, testnet.ErrRunning) {
		t.Errorf("up: %v", err)
	}
}

// sameHashes waits until nodes are at one height with one app hash.
func sameHashes(t *testing.T, n *testnet.Network, names []string) {
	t.Helper()
	eventually(t, 30*time.Second, "all have one app hash", func() bool {
		all := statusOf(t, n)
		for _, name := range names {
			if s := all[name]; !s.Ready || s.Height != all[names[0]].Height || s.AppHash != all[names[0]].AppHash {
				return false
			}
		}
		return true
	})
}
