package grpcapi

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net"
	"sync/atomic"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

const admin = "acme/admin"

var genesisTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func blockTime(height uint64) time.Time { return genesisTime.Add(time.Duration(height) * time.Second) }

// world is a state machine of one org after its first block, driven as the engine drives it. Its clock stands.
type world struct {
	t       testing.TB
	app     *app.App
	store   *state.Store
	key     keys.PrivateKey
	chainID string
	genesis []byte // the file
	height  uint64
	server  *Server // the first that serves

	nodeKey, validatorKey keys.PrivateKey
}

func newWorld(t testing.TB, pool mempool.Config) *world {
	return newWorldOf(t, pool, func(*genesisv1.Genesis) {})
}

// newWorldOf is newWorld with a changed genesis document.
func newWorldOf(t testing.TB, pool mempool.Config, change func(*genesisv1.Genesis)) *world {
	t.Helper()
	w := &world{t: t, key: generate(t), nodeKey: generate(t), validatorKey: generate(t)}
	doc := &genesisv1.Genesis{
		Format: 1, Name: "test", Time: timestamppb.New(genesisTime), FeatureLevel: app.FeatureLevel, Orgs: []string{"acme"},
		Accounts: []*accountsv1.Account{{
			Name: admin, Threshold: 1, Roles: []string{"admin", "issuer", "payer"},
			Keys: []*accountsv1.WeightedKey{{Weight: 1, PublicKey: wireKey(w.key)}},
		}},
		Nodes: []*membershipv1.AddNode{{
			Node: &membershipv1.Node{
				Name: "acme-1", Org: "acme", Power: 10, Addresses: []string{"127.0.0.1:26656"},
				NodeKey: w.nodeKey.Public().Bytes(), ValidatorKey: w.validatorKey.Public().Bytes(),
			},
			NodeKeyProof:      prove(t, w.nodeKey, tx.UseNode),
			ValidatorKeyProof: prove(t, w.validatorKey, tx.UseValidator),
		}},
	}
	change(doc)
	file, err := app.EncodeGenesis(doc)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := app.ParseGenesis(file)
	if err != nil {
		t.Fatal(err)
	}
	w.chainID, w.genesis = genesis.ChainID, file
	store, err := state.Open(statetest.Config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	w.store = store
	pool.Now = func() time.Time { return blockTime(1) }
	if w.app, err = app.New(app.Config{Genesis: genesis, Store: store, Pool: pool}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.app.Close)
	if _, err = w.app.InitChain(t.Context(), &abci.RequestInitChain{ChainId: genesis.ChainID}); err != nil {
		t.Fatal(err)
	}
	w.decide(1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.app.Pool().Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the pool ended: %v", err)
		}
	})
	return w
}

func prove(t testing.TB, key keys.PrivateKey, use tx.Use) []byte {
	t.Helper()
	proof, err := tx.ProvePossession(key, use, "acme-1", "acme")
	if err != nil {
		t.Fatal(err)
	}
	return proof
}

func wireKey(key keys.PrivateKey) *keysv1.PublicKey {
	return &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(key.Public().Scheme()), Key: key.Public().Bytes()}
}

func generate(t testing.TB) keys.PrivateKey {
	t.Helper()
	key, err := keys.Generate(keys.SchemeEd25519, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// decide runs and commits a block.
func (w *world) decide(height uint64, txs ...[]byte) {
	w.t.Helper()
	w.height = height
	hash := sha256.Sum256([]byte{byte(height)})
	if _, err := w.app.FinalizeBlock(context.Background(), &abci.RequestFinalizeBlock{
		Height: int64(height), Time: blockTime(height), Txs: txs, Hash: hash[:],
	}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.app.Commit(context.Background(), &abci.RequestCommit{}); err != nil {
		w.t.Fatal(err)
	}
}

// create returns a signed transaction that creates an asset, and its id and expiry.
func (w *world) create(asset string) (raw []byte, id tx.ID, expiresAt time.Time) {
	w.t.Helper()
	return w.sign(&ledgerv1.Operation{
		Account: admin, Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: asset}},
	})
}

// sign returns a transaction of the admin.
func (w *world) sign(op *ledgerv1.Operation) (raw []byte, id tx.ID, expiresAt time.Time) {
	w.t.Helper()
	expiresAt = blockTime(w.height).Add(time.Minute)
	body, err := tx.NewBody(w.chainID, expiresAt, rand.Reader, op)
	if err != nil {
		w.t.Fatal(err)
	}
	unsigned, id, err := tx.Unsigned(body)
	if err != nil {
		w.t.Fatal(err)
	}
	if err = tx.AddSignature(unsigned, w.chainID, admin, w.key); err != nil {
		w.t.Fatal(err)
	}
	if raw, err = unsigned.MarshalVTStrict(); err != nil {
		w.t.Fatal(err)
	}
	return raw, id, expiresAt
}

// do has the admin do something in a block of its own.
func (w *world) do(op *ledgerv1.Operation) {
	w.t.Helper()
	op.Account = admin
	raw, id, expiresAt := w.sign(op)
	w.decide(w.height+1, raw)
	at, err := w.app.Transaction(id, expiresAt.UnixNano())
	if err != nil || at.Outcome.GetCode() != ledgerv1.Code_CODE_OK {
		w.t.Fatalf("%v: %v %v", op, at.Outcome, err)
	}
}

// ledger is a service for which a number of calls may wait.
func (w *world) ledger(waiters int) *ledgerServer {
	now := func() time.Time { return blockTime(1) }
	readers, err := newAccess(w.app, now)
	if err != nil {
		w.t.Fatal(err)
	}
	return &ledgerServer{
		app: w.app, engine: noBlocks{}, access: readers, now: now, committed: func(time.Duration) {},
		standing: func(EngineStatus) standing { return standing{ready: true, takes: true} }, closed: new(atomic.Bool),
		waiters: newShares(waiters), watchers: newShares(8), feed: newFeed(),
	}
}

// noBlocks is an engine that keeps no block.
type noBlocks struct{}

func (noBlocks) Status() EngineStatus                               { return EngineStatus{Following: true} }
func (noBlocks) Block(uint64) (Block, error)                        { return Block{}, ErrBlockPruned }
func (noBlocks) Header(uint64) ([]byte, error)                      { return nil, ErrBlockPruned }
func (noBlocks) SignedHeader(uint64) (*proofv1.SignedHeader, error) { return nil, ErrBlockPruned }
func (noBlocks) Progress() Progress                                 { return Progress{} }
func (noBlocks) Signing(int) []SigningRecord                        { return nil }

// serve runs a server until the test ends and returns its address.
func (w *world) serve(change func(*Config)) string {
	w.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := Config{App: w.app, Engine: noBlocks{}, Listener: listener}
	change(&cfg)
	server, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	if w.server == nil {
		w.server = server
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the server ended: %v", err)
		}
	})
	return listener.Addr().String()
}

func dial(t testing.TB, address string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	return conn
}

// from is a call of a client at an IP address.
func from(t testing.TB, ip string) context.Context {
	return peer.NewContext(t.Context(), &peer.Peer{Addr: &net.TCPAddr{IP: net.ParseIP(ip), Port: 1024}})
}

// whyOf returns the reason in an error's details, and when to come back.
func whyOf(err error) (reason string, retry time.Duration) {
	for _, detail := range status.Convert(err).Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			reason = d.Reason
		case *errdetails.RetryInfo:
			retry = d.RetryDelay.AsDuration()
		}
	}
	return reason, retry
}
