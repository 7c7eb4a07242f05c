//go:build linux && amd64 && !race

package costs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
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
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

// Sizes of the workloads. A step of a thread takes microseconds, so they are as small as they can be and still look like what a node does.
const (
	accounts  = 1_000 // that hold the asset
	senders   = 16    // of them that sign
	signed    = 2     // transactions in a batch for the verifier
	transfers = 5     // in a block
	stateKeys = 10_000
	reads     = 100
)

var genesisTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func blockTime(height uint64) time.Time { return genesisTime.Add(time.Duration(height) * time.Second) }

// draw is an endless stream of bytes that follow from a text, for keys and nonces.
type draw struct {
	text string
	n    uint64
	rest []byte
}

func (d *draw) Read(p []byte) (int, error) {
	for i := range p {
		if len(d.rest) == 0 {
			sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte(d.text), d.n))
			d.rest = sum[:]
			d.n++
		}
		p[i], d.rest = d.rest[0], d.rest[1:]
	}
	return len(p), nil
}

// number draws one below n.
func (d *draw) number(n int) int {
	var raw [8]byte
	d.Read(raw[:])
	return int(binary.BigEndian.Uint64(raw[:]) % uint64(n))
}

func keyOf(t *testing.T, scheme keys.Scheme, name string) keys.PrivateKey {
	t.Helper()
	key, err := keys.Generate(scheme, &draw{text: name})
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signer makes transactions of one network.
type signer struct {
	t       *testing.T
	chainID string
	random  draw
}

// sign returns the bytes of a transaction of one account that expires two minutes after a time.
func (s *signer) sign(at time.Time, account string, key keys.PrivateKey, ops ...*ledgerv1.Operation) []byte {
	s.t.Helper()
	for _, op := range ops {
		op.Account = account
	}
	body, err := tx.NewBody(s.chainID, at.Add(2*time.Minute), &s.random, ops...)
	if err != nil {
		s.t.Fatal(err)
	}
	unsigned, _, err := tx.Unsigned(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := tx.AddSignature(unsigned, s.chainID, account, key); err != nil {
		s.t.Fatal(err)
	}
	raw, err := unsigned.MarshalVTStrict()
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

func transfer(asset, to string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: "1"}}}
}

// verification decodes transactions that the node has not seen and verifies their signatures in one batch. It has seen their keys.
func verification(t *testing.T) func() []func() {
	const chainID = "test-01234567"
	s := signer{t: t, chainID: chainID, random: draw{text: "nonces"}}
	v, err := mempool.NewVerifier(mempool.VerifierConfig{ChainID: chainID, Validate: app.CheckOperations})
	if err != nil {
		t.Fatal(err)
	}
	limits := tx.Limits{Bytes: mempool.MaxTxBytes, Operations: 100, Signatures: 64}
	return func() []func() {
		raws := make([][]byte, signed)
		for i := range raws {
			account := fmt.Sprintf("acme/a%d", i)
			raws[i] = s.sign(genesisTime, account, keyOf(t, keys.SchemeSchnorr, account), transfer("acme/usd", "globex/bob"))
		}
		return []func(){func() {
			for _, verdict := range v.Verify(raws, limits) {
				if verdict.Err != nil {
					t.Error(verdict.Err)
				}
			}
		}}
	}
}

// network is the state machine of one node on a disk, driven as the engine drives it, with funded accounts.
type network struct {
	signer
	app    *app.App
	keys   []keys.PrivateKey // of the senders
	height uint64
}

func accountName(i int) string { return fmt.Sprintf("acme/a%06d", i) }

const admin, usd = "acme/admin", "acme/usd"

func newNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{signer: signer{t: t, random: draw{text: "nonces"}}}
	list := func(name string, key keys.PrivateKey, roles ...string) *accountsv1.Account {
		public := key.Public()
		return &accountsv1.Account{Name: name, Threshold: 1, Roles: roles, Keys: []*accountsv1.WeightedKey{{
			Weight: 1, PublicKey: &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(public.Scheme()), Key: public.Bytes()},
		}}}
	}
	adminKey := keyOf(t, keys.SchemeSchnorr, admin)
	nodeKey, validatorKey := keyOf(t, keys.SchemeEd25519, "node"), keyOf(t, keys.SchemeEd25519, "validator")
	possession := func(key keys.PrivateKey, use tx.Use) []byte {
		proof, err := tx.ProvePossession(key, use, "acme-1", "acme")
		if err != nil {
			t.Fatal(err)
		}
		return proof
	}
	doc := &genesisv1.Genesis{
		Format: 1, Name: "test", Time: timestamppb.New(genesisTime), FeatureLevel: app.FeatureLevel, Orgs: []string{"acme"},
		Accounts: []*accountsv1.Account{list(admin, adminKey, "admin", "issuer", "payer")},
		Nodes: []*membershipv1.AddNode{{
			Node: &membershipv1.Node{
				Name: "acme-1", Org: "acme", Power: 10, Addresses: []string{"127.0.0.1:26656"},
				NodeKey: nodeKey.Public().Bytes(), ValidatorKey: validatorKey.Public().Bytes(),
			},
			NodeKeyProof: possession(nodeKey, tx.UseNode), ValidatorKeyProof: possession(validatorKey, tx.UseValidator),
		}},
	}
	nobody := keyOf(t, keys.SchemeSchnorr, "nobody")
	for i := range accounts {
		key := nobody
		if i < senders {
			key = keyOf(t, keys.SchemeSchnorr, accountName(i))
			n.keys = append(n.keys, key)
		}
		doc.Accounts = append(doc.Accounts, list(accountName(i), key, "payer"))
	}
	slices.SortFunc(doc.Accounts, func(x, y *accountsv1.Account) int { return strings.Compare(x.Name, y.Name) })
	file, err := app.EncodeGenesis(doc)
	if err != nil {
		t.Fatal(err)
	}
	genesis, err := app.ParseGenesis(file)
	if err != nil {
		t.Fatal(err)
	}
	n.chainID = genesis.ChainID
	config := app.Config{Genesis: genesis, Store: statetest.New(t)}
	config.Pool.Now = func() time.Time { return blockTime(n.height) }
	config.Pool.BatchPace = -1
	if n.app, err = app.New(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.app.Close)
	if _, err := n.app.InitChain(t.Context(), &abci.RequestInitChain{ChainId: genesis.ChainID}); err != nil {
		t.Fatal(err)
	}
	n.fund(adminKey)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.app.Pool().Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return n
}

// fund gives every account something to send.
func (n *network) fund(key keys.PrivateKey) {
	n.t.Helper()
	ops := []*ledgerv1.Operation{{Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: usd, Decimals: 2}}}}
	for i := range accounts {
		ops = append(ops, &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetMint{
			AssetMint: &assetsv1.Mint{Asset: usd, To: accountName(i), Amount: "1000000"},
		}})
	}
	for some := range slices.Chunk(ops, 100) {
		n.height++
		raws := [][]byte{n.sign(blockTime(n.height), admin, key, some...)}
		n.finalize(raws)
		n.commit()
	}
}

func hashOf(raws [][]byte) []byte {
	sum := sha256.Sum256(bytes.Join(raws, nil))
	return sum[:]
}

// check looks at a proposal.
func (n *network) check(raws [][]byte, hash []byte) {
	n.t.Helper()
	res, err := n.app.ProcessProposal(context.Background(), &abci.RequestProcessProposal{
		Height: int64(n.height), Time: blockTime(n.height), Txs: raws, Hash: hash,
	})
	if err != nil || res.Status != abci.ResponseProcessProposal_ACCEPT {
		n.t.Errorf("block %d: %v, %v", n.height, res, err)
	}
}

func (n *network) finalize(raws [][]byte) {
	n.t.Helper()
	res, err := n.app.FinalizeBlock(context.Background(), &abci.RequestFinalizeBlock{
		Height: int64(n.height), Time: blockTime(n.height), Txs: raws, Hash: hashOf(raws),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	for _, r := range res.TxResults {
		if r.Code != 0 {
			n.t.Errorf("block %d: a transaction came to %v", n.height, ledgerv1.Code(r.Code))
		}
	}
}

func (n *network) commit() {
	n.t.Helper()
	if _, err := n.app.Commit(context.Background(), &abci.RequestCommit{}); err != nil {
		n.t.Error(err)
	}
}

// admit hands transactions in and waits until they are pending.
func (n *network) admit(raws [][]byte) {
	n.t.Helper()
	answers := make(chan error, len(raws))
	for _, raw := range raws {
		if err := n.app.Pool().SubmitAsync(raw, func(_ *tx.Tx, err error) { answers <- err }); err != nil {
			n.t.Fatal(err)
		}
	}
	for range raws {
		if err := <-answers; err != nil {
			n.t.Error(err)
		}
	}
}

func (n *network) propose() [][]byte {
	n.t.Helper()
	res, err := n.app.PrepareProposal(context.Background(), &abci.RequestPrepareProposal{
		Height: int64(n.height), Time: blockTime(n.height), MaxTxBytes: 4 << 20,
	})
	if err != nil {
		n.t.Fatal(err)
	}
	return res.Txs
}

// life takes transfers whose signatures are known from the pool's door into the state, as a validator does that proposes the block.
func life(t *testing.T) func() []func() {
	n := newNetwork(t)
	random := draw{text: "transfers"}
	return func() []func() {
		n.height++
		raws := make([][]byte, transfers)
		for i := range raws {
			from := random.number(senders)
			raws[i] = n.sign(blockTime(n.height), accountName(from), n.keys[from], transfer(usd, accountName(random.number(accounts))))
		}
		// The verifier remembers: that it verifies is another workload. The hash is that of no block that will be decided.
		n.check(raws, nil)
		var block [][]byte
		return []func(){
			func() { n.admit(raws) },
			func() { block = n.propose() },
			func() { n.check(block, hashOf(block)) },
			func() { n.finalize(block) },
			func() {
				n.commit()
				if len(block) != len(raws) {
					t.Errorf("%d of %d transfers are in the block", len(block), len(raws))
				}
			},
		}
	}
}

// reading reads keys of the newest height, and proves one. The store is opened anew: by then all is in files, whereas the database's
// lists in memory are of random shape.
func reading(t *testing.T) func() []func() {
	dir := t.TempDir()
	key := func(i int) []byte {
		return fmt.Appendf(nil, "%cacme/usd\x00org%02d/account%07d", keyspace.PrefixBalances, i%50, i)
	}
	store, err := state.Open(statetest.Config(dir))
	if err != nil {
		t.Fatal(err)
	}
	statetest.Commit(t, store, func(o *state.Overlay) {
		for i := range stateKeys {
			o.Set(key(i), bytes.Repeat([]byte{byte(i)}, 32))
		}
	})
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	store = statetest.New(t, func(c *state.Config) { c.Dir, c.CacheBytes = dir, 64<<20 })
	view := store.Latest()
	t.Cleanup(view.Release)
	random := draw{text: "keys"}
	wanted := make([][]byte, reads)
	for i := range wanted {
		wanted[i] = key(random.number(stateKeys))
	}
	return func() []func() {
		return []func(){
			func() {
				for _, key := range wanted {
					if value, err := view.Get(key); err != nil || value == nil {
						t.Errorf("read %q: %v", key, err)
					}
				}
			},
			func() {
				if _, err := view.Prove(wanted[:1]); err != nil {
					t.Error(err)
				}
			},
		}
	}
}
