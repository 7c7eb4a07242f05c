package app

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

var genesisTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var orgs = []string{"acme", "globex", "initech", "umbrella"}

// seeded is an endless stream of bytes that depend on a text.
type seeded struct {
	text string
	n    uint64
	rest []byte
}

func (s *seeded) Read(p []byte) (int, error) {
	for n := range p {
		if len(s.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(s.text), s.n))
			s.rest = sum[:]
			s.n++
		}
		p[n], s.rest = s.rest[0], s.rest[1:]
	}
	return len(p), nil
}

func keyOf(t testing.TB, scheme keys.Scheme, name string) keys.PrivateKey {
	t.Helper()
	key, err := keys.Generate(scheme, &seeded{text: name})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func listed(key keys.PrivateKey) *accountsv1.WeightedKey {
	public := key.Public()
	return &accountsv1.WeightedKey{Weight: 1, PublicKey: &keysv1.PublicKey{
		Scheme: keysv1.SignatureScheme(public.Scheme()), Key: public.Bytes(),
	}}
}

// world is a network with four orgs, and everybody's keys. The same name always gives the same bytes.
type world struct {
	t       testing.TB
	genesis Genesis
	file    []byte
	keys    map[string]keys.PrivateKey
	nonces  *seeded
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, func(*genesisv1.Genesis) {})
}

func newWorldWith(t testing.TB, change func(*genesisv1.Genesis)) *world {
	t.Helper()
	w := &world{t: t, keys: map[string]keys.PrivateKey{}, nonces: &seeded{text: "nonces"}}
	doc := &genesisv1.Genesis{Format: 1, Name: "test", Time: timestamppb.New(genesisTime), FeatureLevel: FeatureLevel, Orgs: orgs}
	for i, org := range orgs {
		scheme := []keys.Scheme{keys.SchemeSchnorr, keys.SchemeECDSA, keys.SchemeEd25519}[i%3]
		for account, roles := range map[string][]string{"admin": {"admin", "issuer", "payer", "writer"}, "treasury": {"payer"}} {
			name := org + "/" + account
			w.keys[name] = keyOf(t, scheme, name)
			doc.Accounts = append(doc.Accounts, &accountsv1.Account{
				Name: name, Keys: []*accountsv1.WeightedKey{listed(w.keys[name])}, Threshold: 1, Roles: roles,
			})
		}
		doc.Nodes = append(doc.Nodes, w.nodeOf(org+"-1", org, fmt.Sprintf("127.0.0.1:%d", 26656+i)))
	}
	slices.SortFunc(doc.Accounts, func(a, b *accountsv1.Account) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	change(doc)
	var err error
	if w.file, err = EncodeGenesis(doc); err != nil {
		t.Fatal(err)
	}
	if w.genesis, err = ParseGenesis(w.file); err != nil {
		t.Fatal(err)
	}
	return w
}

// nodeOf is a validator with the proofs of its keys.
func (w *world) nodeOf(name, org, address string) *membershipv1.AddNode {
	w.t.Helper()
	nodeKey, validatorKey := keyOf(w.t, keys.SchemeEd25519, name+" node"), keyOf(w.t, keys.SchemeEd25519, name+" validator")
	return &membershipv1.AddNode{
		Node: &membershipv1.Node{
			Name: name, Org: org, Power: 10, Addresses: []string{address},
			NodeKey: nodeKey.Public().Bytes(), ValidatorKey: validatorKey.Public().Bytes(),
		},
		NodeKeyProof:      w.possession(nodeKey, tx.UseNode, name, org),
		ValidatorKeyProof: w.possession(validatorKey, tx.UseValidator, name, org),
	}
}

func (w *world) possession(key keys.PrivateKey, use tx.Use, node, org string) []byte {
	w.t.Helper()
	proof, err := tx.ProvePossession(key, use, node, org)
	if err != nil {
		w.t.Fatal(err)
	}
	return proof
}

// body is a transaction that expires two minutes after a time.
func (w *world) body(at time.Time, ops ...*ledgerv1.Operation) *ledgerv1.Body {
	w.t.Helper()
	body, err := tx.NewBody(w.genesis.ChainID, at.Add(2*time.Minute), w.nonces, ops...)
	if err != nil {
		w.t.Fatal(err)
	}
	return body
}

// sign returns the bytes of a body signed by every account that acts in it.
func (w *world) sign(body *ledgerv1.Body) []byte {
	w.t.Helper()
	var signers []string
	for _, op := range body.Operations {
		signers = append(signers, op.Account)
	}
	if body.Payer != "" {
		signers = append(signers, body.Payer)
	}
	slices.Sort(signers)
	return w.signAs(body, slices.Compact(signers)...)
}

func (w *world) signAs(body *ledgerv1.Body, signers ...string) []byte {
	w.t.Helper()
	unsigned, _, err := tx.Unsigned(body)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, account := range signers {
		if err := tx.AddSignature(unsigned, body.ChainId, account, w.keys[account]); err != nil {
			w.t.Fatal(err)
		}
	}
	raw, err := unsigned.MarshalVTStrict()
	if err != nil {
		w.t.Fatal(err)
	}
	return raw
}

func (w *world) id(raw []byte) tx.ID {
	w.t.Helper()
	envelope := new(ledgerv1.Tx)
	if err := envelope.UnmarshalVT(raw); err != nil {
		w.t.Fatal(err)
	}
	return tx.IDOf(w.genesis.ChainID, envelope.Body)
}

func createAsset(account, asset string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetCreate{
		AssetCreate: &assetsv1.Create{Asset: asset, Decimals: 2},
	}}
}

func mint(account, asset, to, amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetMint{
		AssetMint: &assetsv1.Mint{Asset: asset, To: to, Amount: amount},
	}}
}

func transfer(account, asset, to, amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetTransfer{
		AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: amount},
	}}
}

// replica is one state machine on a real disk, driven as the engine drives it.
type replica struct {
	t     testing.TB
	world *world
	cfg   state.Config
	now   func() time.Time // the clock of the pool; nil: the real one
	store *state.Store
	app   *App
}

func newReplica(t testing.TB, w *world, cfg state.Config) *replica {
	t.Helper()
	r := &replica{t: t, world: w, cfg: cfg}
	if r.cfg.Dir == "" {
		r.cfg = statetest.Config(t.TempDir())
	}
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *replica) open() {
	r.t.Helper()
	if err := r.tryOpen(); err != nil {
		r.t.Fatal(err)
	}
}

func (r *replica) tryOpen() error {
	store, err := state.Open(r.cfg)
	if err != nil {
		return err
	}
	a, err := New(Config{Genesis: r.world.genesis, Store: store, Pool: mempool.Config{Now: r.now}})
	if err != nil {
		return err
	}
	r.store, r.app = store, a
	if store.Height() == 0 {
		_, err = a.InitChain(context.Background(), &abci.RequestInitChain{ChainId: r.world.genesis.ChainID})
	}
	return err
}

func (r *replica) close() {
	if r.store == nil {
		return
	}
	r.app.Close()
	if err := r.store.Close(); err != nil {
		r.t.Error(err)
	}
	r.store = nil
}

func (r *replica) restart() {
	r.t.Helper()
	r.close()
	r.open()
}

// decide runs a block without a proposal, as replay does, and returns what became of its transactions.
func (r *replica) decide(height uint64, at time.Time, txs ...[]byte) *abci.ResponseFinalizeBlock {
	r.t.Helper()
	res, err := r.tryDecide(height, at, txs)
	if err != nil {
		r.t.Fatal(err)
	}
	return res
}

func (r *replica) tryDecide(height uint64, at time.Time, txs [][]byte) (*abci.ResponseFinalizeBlock, error) {
	res, err := r.app.FinalizeBlock(context.Background(), &abci.RequestFinalizeBlock{
		Height: int64(height), Time: at, Txs: txs, Hash: blockHash(height, at, txs),
	})
	if err != nil {
		return nil, err
	}
	_, err = r.app.Commit(context.Background(), &abci.RequestCommit{})
	return res, err
}

// propose asks whether the block may be proposed.
func (r *replica) propose(height uint64, at time.Time, txs ...[]byte) bool {
	r.t.Helper()
	res, err := r.app.ProcessProposal(context.Background(), &abci.RequestProcessProposal{
		Height: int64(height), Time: at, Txs: txs, Hash: blockHash(height, at, txs),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return res.Status == abci.ResponseProcessProposal_ACCEPT
}

func blockHash(height uint64, at time.Time, txs [][]byte) []byte {
	h := sha256.New()
	fmt.Fprint(h, height, at.UnixNano(), txs)
	return h.Sum(nil)
}

func blockTime(height uint64) time.Time { return genesisTime.Add(time.Duration(height) * time.Second) }

func codesOf(res *abci.ResponseFinalizeBlock) []ledgerv1.Code {
	codes := make([]ledgerv1.Code, len(res.TxResults))
	for i, r := range res.TxResults {
		codes[i] = ledgerv1.Code(r.Code)
	}
	return codes
}

// waitWaiting returns when a number of calls wait for transactions.
func (r *replica) waitWaiting(n int) {
	for r.app.Waiting() < n && r.t.Context().Err() == nil {
		runtime.Gosched()
	}
}
