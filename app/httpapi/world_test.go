package httpapi

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/keys"
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

// world is a state machine of one org after its first block, driven as the engine drives it, behind a server of gRPC and one of
// HTTP. Its clock stands.
type world struct {
	t       testing.TB
	app     *app.App
	key     keys.PrivateKey
	chainID string
	height  uint64
	url     string // of the server of HTTP
	api     *grpcapi.Server
}

// options change what a world is made of.
type options struct {
	genesis func(*genesisv1.Genesis)
	grpc    func(*grpcapi.Config)
	http    func(*Config)
}

func newWorld(t testing.TB, o options) *world {
	t.Helper()
	w := &world{t: t, key: generate(t)}
	node, validator := generate(t), generate(t)
	doc := &genesisv1.Genesis{
		Format: 1, Name: "test", Time: timestamppb.New(genesisTime), FeatureLevel: app.FeatureLevel, Orgs: []string{"acme"},
		Accounts: []*accountsv1.Account{{
			Name: admin, Threshold: 1, Roles: []string{"admin", "issuer", "payer"},
			Keys: []*accountsv1.WeightedKey{{Weight: 1, PublicKey: &keysv1.PublicKey{
				Scheme: keysv1.SignatureScheme(w.key.Public().Scheme()), Key: w.key.Public().Bytes(),
			}}},
		}},
		Nodes: []*membershipv1.AddNode{{
			Node: &membershipv1.Node{
				Name: "acme-1", Org: "acme", Power: 10, Addresses: []string{"127.0.0.1:26656"},
				NodeKey: node.Public().Bytes(), ValidatorKey: validator.Public().Bytes(),
			},
			NodeKeyProof: possession(t, node, tx.UseNode), ValidatorKeyProof: possession(t, validator, tx.UseValidator),
		}},
	}
	if o.genesis != nil {
		o.genesis(doc)
	}
	file, err := app.EncodeGenesis(doc)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := app.ParseGenesis(file)
	if err != nil {
		t.Fatal(err)
	}
	w.chainID = genesis.ChainID
	store, err := state.Open(statetest.Config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	config := app.Config{Genesis: genesis, Store: store}
	config.Pool.Now = func() time.Time { return blockTime(1) }
	if w.app, err = app.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.app.Close)
	if _, err = w.app.InitChain(t.Context(), &abci.RequestInitChain{ChainId: genesis.ChainID}); err != nil {
		t.Fatal(err)
	}
	w.decide(1)
	w.run(w.app.Pool().Run)
	w.serve(o)
	return w
}

// run runs something until the test ends.
func (w *world) run(what func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- what(ctx) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("it ended: %v", err)
		}
	})
}

func (w *world) serve(o options) {
	w.t.Helper()
	listen := func() net.Listener {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			w.t.Fatal(err)
		}
		return listener
	}
	calls := grpcapi.Config{App: w.app, Engine: noBlocks{}, Listener: listen()}
	if o.grpc != nil {
		o.grpc(&calls)
	}
	api, err := grpcapi.New(calls)
	if err != nil {
		w.t.Fatal(err)
	}
	w.api = api
	w.run(api.Run)
	cfg := Config{API: api, ChainID: w.chainID, Listener: listen()}
	if o.http != nil {
		o.http(&cfg)
	}
	server, err := New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := server.Close(); err != nil {
			w.t.Error(err)
		}
	})
	w.run(server.Run)
	w.url = "http://" + cfg.Listener.Addr().String()
}

func possession(t testing.TB, key keys.PrivateKey, use tx.Use) []byte {
	t.Helper()
	proof, err := tx.ProvePossession(key, use, "acme-1", "acme")
	if err != nil {
		t.Fatal(err)
	}
	return proof
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

// create returns a signed transaction of the admin that creates an asset, and its id.
func (w *world) create(asset string) (raw []byte, id tx.ID) {
	w.t.Helper()
	body, err := tx.NewBody(w.chainID, blockTime(w.height).Add(time.Minute), rand.Reader, &ledgerv1.Operation{
		Account: admin, Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: asset}},
	})
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
	return raw, id
}

// said is an answer over HTTP.
type said struct {
	status int
	header http.Header
	body   []byte
}

// failure is a google.rpc.Status as JSON.
type failure struct {
	Code    int
	Message string
	Details []struct {
		Type   string `json:"@type"`
		Reason string
		Domain string
	}
}

// reason returns the reason of an error.
func (s said) reason(t testing.TB) string {
	t.Helper()
	var f failure
	if err := json.Unmarshal(s.body, &f); err != nil {
		t.Fatalf("the error is no JSON: %v\n%s", err, s.body)
	}
	if f.Code == 0 || f.Message == "" {
		t.Errorf("the error is no google.rpc.Status: %s", s.body)
	}
	for _, d := range f.Details {
		if d.Type == "type.googleapis.com/google.rpc.ErrorInfo" && d.Domain == "althing" {
			return d.Reason
		}
	}
	return ""
}

// ask sends a request with headers, in pairs.
func (w *world) ask(method, path string, body []byte, headers ...string) said {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return said{res.StatusCode, res.Header, content}
}

// get is ask for GET.
func (w *world) get(path string, headers ...string) said {
	w.t.Helper()
	return w.ask(http.MethodGet, path, nil, headers...)
}

// noBlocks is an engine that keeps no block.
type noBlocks struct{}

func (noBlocks) Status() grpcapi.EngineStatus        { return grpcapi.EngineStatus{Following: true} }
func (noBlocks) Block(uint64) (grpcapi.Block, error) { return grpcapi.Block{}, grpcapi.ErrBlockPruned }
func (noBlocks) Header(uint64) ([]byte, error)       { return nil, grpcapi.ErrBlockPruned }
func (noBlocks) Progress() grpcapi.Progress          { return grpcapi.Progress{} }
func (noBlocks) Signing(int) []grpcapi.SigningRecord { return nil }
func (noBlocks) SignedHeader(uint64) (*proofv1.SignedHeader, error) {
	return nil, grpcapi.ErrBlockPruned
}
