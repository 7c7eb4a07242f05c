package node_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/internal/node"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/testnet"
)

// patience bounds every wait of these tests: long enough for a loaded machine, short enough to fail.
const patience = 90 * time.Second

// network is four real validators in this process, on loopback, each with its own disk.
type network struct {
	t     testing.TB
	files *testnet.Network
	nodes []*member
	now   func() time.Time
}

type member struct {
	t      testing.TB
	name   string
	home   string
	now    func() time.Time
	hook   state.WriteHook
	app    func(abci.Application) abci.Application // makes the node dishonest; nil for an honest one
	tee    io.Writer                               // takes the log too; may be nil
	log    bytes.Buffer                            // guarded by mu
	mu     sync.Mutex
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned err
	err    error
	conn   *grpc.ClientConn
}

// Write takes the node's log.
func (m *member) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tee != nil {
		if _, err := m.tee.Write(p); err != nil {
			return 0, err
		}
	}
	return m.log.Write(p)
}

func (m *member) logged() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.String()
}

// newNetwork makes a network of four and starts nothing. now is the nodes' clock, nil for the real one.
func newNetwork(t testing.TB, now func() time.Time, change func(*home.Config)) *network {
	t.Helper()
	return newNetworkOf(t, testnet.Options{Validators: 4, Name: "test"}, now, change)
}

func newNetworkOf(t testing.TB, o testnet.Options, now func() time.Time, change func(*home.Config)) *network {
	t.Helper()
	if o.Charter == nil {
		o.Charter = &governancev1.Charter{}
	}
	// Nodes may forget what they like, so that tests see them do it.
	o.Charter.KeepHeights, o.Charter.KeepSeconds = 2, 1
	files, err := testnet.New(t.TempDir()+"/net", o)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{t: t, files: files, now: now}
	if now != nil {
		n.begin(now())
	}
	for _, listed := range files.File.Nodes {
		if change != nil {
			reconfigure(t, listed.Home, change)
		}
		n.add(listed)
	}
	return n
}

// add makes a member of a node whose home is there.
func (n *network) add(listed client.Node) *member {
	n.t.Helper()
	conn, err := grpc.NewClient(listed.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		n.t.Fatal(err)
	}
	m := &member{t: n.t, name: listed.Name, home: listed.Home, now: n.now, conn: conn}
	n.t.Cleanup(func() {
		m.stop()
		if err := conn.Close(); err != nil {
			n.t.Error(err)
		}
		if n.t.Failed() {
			n.t.Logf("log of %s:\n%s", m.name, m.logged())
		}
	})
	n.nodes = append(n.nodes, m)
	return m
}

// begin makes the network one that began at another time.
func (n *network) begin(at time.Time) {
	n.t.Helper()
	file, err := os.ReadFile(filepath.Join(n.files.File.Nodes[0].Home, "genesis.json"))
	if err != nil {
		n.t.Fatal(err)
	}
	genesis, err := app.ParseGenesis(file)
	if err != nil {
		n.t.Fatal(err)
	}
	genesis.Doc.Time = timestamppb.New(at)
	if file, err = app.EncodeGenesis(genesis.Doc); err != nil {
		n.t.Fatal(err)
	}
	if genesis, err = app.ParseGenesis(file); err != nil {
		n.t.Fatal(err)
	}
	n.files.File.ChainID = genesis.ChainID
	for _, listed := range n.files.File.Nodes {
		if err := os.WriteFile(filepath.Join(listed.Home, "genesis.json"), file, 0o600); err != nil {
			n.t.Fatal(err)
		}
	}
}

// start runs the node until stop.
func (m *member) start() {
	m.t.Helper()
	h, err := home.Load(m.home)
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m.cancel, m.done = cancel, make(chan struct{})
	go func() {
		defer close(m.done)
		m.err = node.Run(ctx, h, node.Options{Version: "test", Log: m, Now: m.now, WriteHook: m.hook, Application: m.app})
	}()
}

// stop ends the node and waits for it.
func (m *member) stop() {
	m.t.Helper()
	if err := m.halt(); err != nil && m.hook == nil {
		m.t.Errorf("%s ended: %v", m.name, err)
	}
}

// halt ends the node, if it runs, and returns what it ended with.
func (m *member) halt() error {
	m.t.Helper()
	if m.cancel == nil {
		return nil
	}
	m.cancel()
	m.cancel = nil
	select {
	case <-m.done:
		return m.err
	case <-time.After(patience):
		return errors.New("it does not stop")
	}
}

func (m *member) ledger() ledgerv1.LedgerServiceClient {
	return ledgerv1.NewLedgerServiceClient(m.conn)
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, condition func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := condition(ctx)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited for %v until %s: %v", patience, what, err)
		}
	}
}

var errNotYet = errors.New("not yet")

func (m *member) waitReady() {
	m.t.Helper()
	eventually(m.t, m.name+" is ready", func(ctx context.Context) error {
		select {
		case <-m.done:
			m.t.Fatalf("%s ended: %v", m.name, m.err)
		default:
		}
		status, err := m.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
		if err == nil && (!status.Ready || status.Height < 2) {
			err = errNotYet
		}
		return err
	})
}

func (n *network) startAll() {
	n.t.Helper()
	for _, m := range n.nodes {
		m.start()
	}
	for _, m := range n.nodes {
		m.waitReady()
	}
}

func (m *member) status(t testing.TB) *ledgerv1.GetStatusResponse {
	t.Helper()
	status, err := m.ledger().GetStatus(t.Context(), &ledgerv1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// sameState waits until all running nodes are at one height, at least the given one, and checks that their app hashes agree.
func (n *network) sameState(least uint64) uint64 {
	n.t.Helper()
	return n.sameStateOf(n.nodes, least)
}

// sameStateOf is sameState of some nodes.
func (n *network) sameStateOf(nodes []*member, least uint64) uint64 {
	n.t.Helper()
	var height uint64
	eventually(n.t, fmt.Sprintf("all are at one height, at least %d", least), func(ctx context.Context) error {
		hashes := map[uint64]string{}
		for _, m := range nodes {
			if m.cancel == nil {
				continue
			}
			status, err := m.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
			if err != nil {
				return err
			}
			if hash, seen := hashes[status.Height]; seen && hash != string(status.AppHash) {
				n.t.Fatalf("%s has another app hash at height %d", m.name, status.Height)
			}
			hashes[status.Height] = string(status.AppHash)
			height = status.Height
		}
		if len(hashes) != 1 || height < least {
			return fmt.Errorf("%d heights, the last seen is %d", len(hashes), height)
		}
		return nil
	})
	return height
}

func (n *network) clock() time.Time {
	if n.now == nil {
		return time.Now()
	}
	return n.now()
}

// sign returns an encoded transaction, signed by whoever acts in it.
func (n *network) sign(expiresIn time.Duration, ops ...*ledgerv1.Operation) (raw []byte, id tx.ID, expiresAt time.Time) {
	n.t.Helper()
	return n.signMemo(expiresIn, "", ops...)
}

// signMemo is sign with a memo.
func (n *network) signMemo(expiresIn time.Duration, memo string, ops ...*ledgerv1.Operation) (raw []byte, id tx.ID, expiresAt time.Time) {
	n.t.Helper()
	expiresAt = n.clock().Add(expiresIn)
	chainID := n.files.File.ChainID
	body, err := tx.NewBody(chainID, expiresAt, rand.Reader, ops...)
	if err != nil {
		n.t.Fatal(err)
	}
	body.Memo = memo
	unsigned, id, err := tx.Unsigned(body)
	if err != nil {
		n.t.Fatal(err)
	}
	signed := map[string]bool{}
	for _, op := range ops {
		if signed[op.Account] {
			continue
		}
		signed[op.Account] = true
		keys, err := n.files.File.Keys(op.Account)
		if err != nil {
			n.t.Fatal(err)
		}
		if err := tx.AddSignature(unsigned, chainID, op.Account, keys[0]); err != nil {
			n.t.Fatal(err)
		}
	}
	if raw, err = unsigned.MarshalVTStrict(); err != nil {
		n.t.Fatal(err)
	}
	return raw, id, expiresAt
}

// must submits operations through a node and waits until they have been applied.
func (n *network) must(m *member, ops ...*ledgerv1.Operation) *ledgerv1.TxOutcome {
	n.t.Helper()
	raw, id, _ := n.sign(2*time.Minute, ops...)
	ctx, cancel := context.WithTimeout(n.t.Context(), patience)
	defer cancel()
	res, err := m.ledger().Submit(ctx, &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
	if err != nil {
		n.t.Fatalf("submit %s to %s: %v", id, m.name, err)
	}
	if res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
		n.t.Fatalf("transaction %s is %v: %v", id, res.Status, res.Outcome)
	}
	return res.Outcome
}

func (n *network) balance(m *member, asset, account string) string {
	n.t.Helper()
	res, err := assetsv1.NewAssetsServiceClient(m.conn).GetBalance(n.t.Context(), &assetsv1.GetBalanceRequest{Asset: asset, Account: account})
	if err != nil {
		n.t.Fatal(err)
	}
	return res.Holding.Balance
}

func createAsset(account, asset string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: asset, Decimals: 2}}}
}

func mint(account, asset, to, amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: asset, To: to, Amount: amount}}}
}

func transfer(account, asset, to, amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: amount}}}
}

// reconfigure rewrites the configuration of a home.
func reconfigure(t testing.TB, dir string, change func(*home.Config)) {
	t.Helper()
	h, err := home.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	config := h.Config
	change(&config)
	file, err := config.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(h.Dir.Config(), file, 0o600); err != nil {
		t.Fatal(err)
	}
}

// metrics returns the page that Prometheus reads.
func (m *member) metrics() string {
	m.t.Helper()
	_, page := m.page("/metrics")
	return page
}

// page gets a page from where the metrics are.
func (m *member) page(path string) (status int, body string) {
	m.t.Helper()
	h, err := home.Load(m.home)
	if err != nil {
		m.t.Fatal(err)
	}
	res, err := http.Get("http://" + h.Config.Metrics.Listen + path)
	if err != nil {
		m.t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		m.t.Fatal(err)
	}
	return res.StatusCode, string(page)
}
