package verify_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/merkle"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	cmtversion "github.com/cometbft/cometbft/proto/tendermint/version"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/client/verify"
	"github.com/althing-ledger/althing/keys"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

var _ exec.View = (*verify.Witness)(nil)

// chain is a ledger in memory: real keys, headers and votes, and a real state, all the same in every run.
type chain struct {
	t           testing.TB
	id          string
	genesis     []byte
	genesisHash [32]byte
	secrets     map[string]ed25519.PrivKey // by address
	store       *state.Store
	blocks      []*block // blocks[h-1]
	set, next   *types.ValidatorSet
	root        []byte // after the newest block
	results     []byte // hash of those of the newest block
}

type block struct {
	header   types.Header
	set      *types.ValidatorSet // who decides it
	next     *types.ValidatorSet
	id       types.BlockID
	commit   *types.Commit
	txs      [][]byte
	outcomes []*ledgerv1.TxOutcome
	results  []*proofv1.Result
}

// content is what a block does.
type content struct {
	txs      []applied
	write    func(*state.Overlay)
	next     []int // numbers of the validators from the block after the next one on; nil for no change
	evidence bool
}

// applied is a transaction and what became of it.
type applied struct {
	raw    []byte
	code   ledgerv1.Code
	events *ledgerv1.EventList
}

func secret(n int) ed25519.PrivKey {
	return ed25519.GenPrivKeyFromSecret(fmt.Appendf(nil, "validator %d", n))
}

// power makes some validators weightier than others, and some equal.
func power(n int) int64 { return int64(10 + n%3) }

func (c *chain) validators(numbers []int) *types.ValidatorSet {
	var set []*types.Validator
	for _, n := range numbers {
		key := secret(n)
		c.secrets[string(key.PubKey().Address())] = key
		set = append(set, types.NewValidator(key.PubKey(), power(n)))
	}
	return types.NewValidatorSet(set)
}

func newChain(t testing.TB, first ...int) *chain {
	t.Helper()
	c := &chain{t: t, secrets: map[string]ed25519.PrivKey{}, store: statetest.New(t)}
	doc := &genesisv1.Genesis{Format: 1, Name: "demo", Time: timestamppb.New(statetest.BlockTime(0)), FeatureLevel: 1, Orgs: []string{"acme", "globex"}}
	for _, n := range first {
		doc.Nodes = append(doc.Nodes, &membershipv1.AddNode{Node: &membershipv1.Node{
			Name: fmt.Sprintf("node-%d", n), Org: "acme", ValidatorKey: secret(n).PubKey().Bytes(), Power: uint64(power(n)),
		}})
	}
	doc.Nodes = append(doc.Nodes, &membershipv1.AddNode{Node: &membershipv1.Node{Name: "observer", Org: "globex"}})
	raw, err := protojson.Marshal(doc)
	c.must(err)
	// protojson varies its white space from build to build.
	c.genesis = bytes.ReplaceAll(raw, []byte(" "), nil)
	c.genesisHash = sha256.Sum256(c.genesis)
	c.id = "demo-" + hex.EncodeToString(c.genesisHash[:4])
	c.set = c.validators(first)
	c.next = c.set
	c.root = c.genesisHash[:]
	c.results = merkle.HashFromByteSlices(nil)
	return c
}

func (c *chain) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// add makes the next block.
func (c *chain) add(with content) *block {
	c.t.Helper()
	height := uint64(len(c.blocks) + 1)
	b := &block{set: c.set, next: c.next}
	evidence := merkle.HashFromByteSlices(nil)
	if with.evidence {
		evidence = merkle.HashFromByteSlices([][]byte{{1}})
	}
	var last types.BlockID
	lastCommit := merkle.HashFromByteSlices(nil)
	if height > 1 {
		before := c.blocks[height-2]
		last, lastCommit = before.id, before.commit.Hash()
	}
	for i, a := range with.txs {
		b.txs = append(b.txs, a.raw)
		b.outcomes = append(b.outcomes, c.outcome(height, i, a))
		b.results = append(b.results, c.result(b.outcomes[i]))
	}
	b.header = types.Header{
		Version: cmtversion.Consensus{Block: version.BlockProtocol, App: 1}, ChainID: c.id, Height: int64(height), Time: statetest.BlockTime(height),
		LastBlockID: last, LastCommitHash: lastCommit, DataHash: types.ToTxs(b.txs).Hash(),
		ValidatorsHash: c.set.Hash(), NextValidatorsHash: c.next.Hash(), ConsensusHash: types.DefaultConsensusParams().Hash(),
		AppHash: c.root, LastResultsHash: c.results, EvidenceHash: evidence, ProposerAddress: c.set.Validators[0].Address,
	}
	b.id = types.BlockID{Hash: b.header.Hash(), PartSetHeader: types.PartSetHeader{Total: 1, Hash: bytes.Repeat([]byte{byte(height)}, 32)}}
	b.commit = c.sign(b, func(int) types.BlockIDFlag { return types.BlockIDFlagCommit })
	c.blocks = append(c.blocks, b)
	c.root = statetest.Commit(c.t, c.store, with.write)
	leaves := make([][]byte, len(b.results))
	for i, r := range b.results {
		leaf, err := (&abci.ExecTxResult{Code: r.Code, Data: r.Data}).Marshal()
		c.must(err)
		leaves[i] = leaf
	}
	c.results = merkle.HashFromByteSlices(leaves)
	c.set = c.next
	if with.next != nil {
		c.next = c.validators(with.next)
	}
	return b
}

// sign makes the votes for a block, of the kinds that flag says, entry by entry.
func (c *chain) sign(b *block, flag func(i int) types.BlockIDFlag) *types.Commit {
	commit := &types.Commit{Height: b.header.Height, Round: 1, BlockID: b.id}
	for i, v := range b.set.Validators {
		entry := types.CommitSig{BlockIDFlag: flag(i)}
		if entry.BlockIDFlag != types.BlockIDFlagAbsent {
			entry.ValidatorAddress, entry.Timestamp = v.Address, b.header.Time.Add(time.Duration(i+1)*time.Millisecond)
		}
		commit.Signatures = append(commit.Signatures, entry)
		if entry.BlockIDFlag == types.BlockIDFlagAbsent {
			continue
		}
		signature, err := c.secrets[string(v.Address)].Sign(commit.VoteSignBytes(c.id, int32(i)))
		c.must(err)
		commit.Signatures[i].Signature = signature
	}
	return commit
}

func (c *chain) outcome(height uint64, index int, a applied) *ledgerv1.TxOutcome {
	envelope := new(ledgerv1.Tx)
	c.must(envelope.UnmarshalVT(a.raw))
	id := tx.IDOf(c.id, envelope.Body)
	o := &ledgerv1.TxOutcome{
		Id: id[:], Height: height, Index: uint32(index), Code: a.code, FailedOperation: -1, TimeUnixNano: statetest.BlockTime(height).UnixNano(),
	}
	if a.code == ledgerv1.Code_CODE_OK {
		events, err := a.events.MarshalVTStrict()
		c.must(err)
		o.Events = events
	} else {
		o.Message, o.FailedOperation = "because", 0
	}
	return o
}

func (c *chain) result(o *ledgerv1.TxOutcome) *proofv1.Result {
	r := &ledgerv1.TxResult{Id: o.Id}
	if o.Code == ledgerv1.Code_CODE_OK {
		hash := tx.EventsHash(o.Events)
		r.EventsHash = hash[:]
	}
	data, err := r.MarshalVTStrict()
	c.must(err)
	return &proofv1.Result{Code: uint32(o.Code), Data: data}
}

// transfer is a transaction with a nonce that n makes, which ends in code.
func (c *chain) transfer(n int, code ledgerv1.Code) applied {
	body := &ledgerv1.Body{
		ChainId: c.id, Nonce: bytes.Repeat([]byte{byte(n)}, tx.NonceSize), ExpiresAt: timestamppb.New(statetest.BlockTime(1000)), Memo: fmt.Sprint(n),
		Operations: []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AssetTransfer{
			AssetTransfer: &assetsv1.Transfer{Asset: "acme/usd", To: "globex/bob", Amount: "1250"}}}},
	}
	t, _, err := tx.Unsigned(body)
	c.must(err)
	key, err := keys.ParsePrivateKey(keys.SchemeEd25519, bytes.Repeat([]byte{7}, keys.PrivateKeySize))
	c.must(err)
	c.must(tx.AddSignature(t, c.id, "acme/alice", key))
	raw, err := t.MarshalVTStrict()
	c.must(err)
	return applied{raw: raw, code: code, events: &ledgerv1.EventList{Events: []*ledgerv1.Event{
		{Kind: &ledgerv1.Event_AssetTransferred{AssetTransferred: &assetsv1.Transferred{Asset: "acme/usd", From: "acme/alice", To: "globex/bob", Amount: "1250"}}},
		{Kind: &ledgerv1.Event_AssetHoldCancelled{AssetHoldCancelled: &assetsv1.HoldCancelled{
			Hold: &assetsv1.Hold{Id: bytes.Repeat([]byte{9}, 32), Asset: "acme/usd", From: "acme/alice"}}}},
	}}}
}

// holdingKey is where what an account has of acme/usd stands.
func holdingKey(org, account string) []byte {
	return keyspace.Key(keyspace.PrefixBalances, "acme", "usd", org, account)
}

func assetKey() []byte { return keyspace.Key(keyspace.PrefixAssets, "acme", "usd") }

func holdKey() []byte {
	return append(keyspace.Key(keyspace.PrefixHolds), bytes.Repeat([]byte{9}, 32)...)
}

// touched are the keys that the events of transfer name.
func touched() [][]byte {
	return [][]byte{assetKey(), holdingKey("acme", "alice"), holdingKey("globex", "bob"), holdKey()}
}

// accounts writes many keys, with the asset and the two holdings of transfer among them.
func accounts(version byte) func(*state.Overlay) {
	return func(o *state.Overlay) {
		for i := range 40 {
			o.Set(keyspace.Key(keyspace.PrefixAccounts, "acme", fmt.Sprintf("a%02d", i)), []byte{1, version, byte(i)})
		}
		o.Set(assetKey(), []byte{3, version})
		o.Set(holdingKey("acme", "alice"), []byte{1, version})
		o.Set(holdingKey("globex", "bob"), []byte{2, version})
	}
}

func encode(t testing.TB, m interface{ Marshal() ([]byte, error) }) []byte {
	t.Helper()
	raw, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func (c *chain) header(height uint64) []byte {
	return encode(c.t, c.blocks[height-1].header.ToProto())
}

func (c *chain) signed(height uint64) *proofv1.SignedHeader {
	return c.signedBy(height, c.blocks[height-1].commit)
}

func (c *chain) signedBy(height uint64, commit *types.Commit) *proofv1.SignedHeader {
	return &proofv1.SignedHeader{Header: c.header(height), Commit: encode(c.t, commit.ToProto())}
}

// resign gives a block whose header was changed new hashes and votes.
func (c *chain) resign(b *block) *proofv1.SignedHeader {
	b.id.Hash = b.header.Hash()
	b.commit = c.sign(b, func(int) types.BlockIDFlag { return types.BlockIDFlagCommit })
	return &proofv1.SignedHeader{Header: encode(c.t, b.header.ToProto()), Commit: encode(c.t, b.commit.ToProto())}
}

func listed(set *types.ValidatorSet) (all []*proofv1.Validator) {
	for _, v := range set.Validators {
		all = append(all, &proofv1.Validator{PublicKey: v.PubKey.Bytes(), Power: uint64(v.VotingPower)})
	}
	return all
}

// lineage is every change from a height on up to another.
func (c *chain) lineage(from, to uint64) *proofv1.Lineage {
	l := new(proofv1.Lineage)
	if from <= 1 {
		l.Genesis = c.genesis
	}
	for height := max(from, 1); height <= to; height++ {
		if b := c.blocks[height-1]; !bytes.Equal(b.header.ValidatorsHash, b.header.NextValidatorsHash) {
			l.Links = append(l.Links, &proofv1.Link{Signed: c.signed(height), Validators: listed(b.next)})
		}
	}
	return l
}

// trust knows everything up to a height.
func (c *chain) trust(to uint64) *verify.Trust {
	c.t.Helper()
	trust := verify.NewTrust(c.id, c.genesisHash)
	c.must(trust.Extend(c.lineage(0, to)))
	return trust
}

// prove proves keys of the state of a height.
func (c *chain) prove(height uint64, keys ...[]byte) []byte {
	c.t.Helper()
	view, err := c.store.At(height)
	c.must(err)
	defer view.Release()
	proof, err := view.Prove(keys)
	c.must(err)
	return proof
}

// state proves keys of the state of a height by the next header.
func (c *chain) state(height uint64, keys ...[]byte) *proofv1.StateProof {
	c.t.Helper()
	return &proofv1.StateProof{Height: height, Signed: c.signed(height + 1), Header: c.header(height), Keys: c.prove(height, keys...)}
}

func inTree(leaves [][]byte, index int) *proofv1.MerkleProof {
	_, proofs := merkle.ProofsFromByteSlices(leaves)
	return &proofv1.MerkleProof{Index: uint32(index), Total: uint32(len(leaves)), Aunts: proofs[index].Aunts}
}

// transaction proves one transaction of a block.
func (c *chain) transaction(height uint64, index int, withState bool) *proofv1.TransactionProof {
	c.t.Helper()
	b := c.blocks[height-1]
	var hashes, leaves [][]byte
	for i, raw := range b.txs {
		hash := sha256.Sum256(raw)
		hashes = append(hashes, hash[:])
		leaves = append(leaves, encode(c.t, &abci.ExecTxResult{Code: b.results[i].Code, Data: b.results[i].Data}))
	}
	p := &proofv1.TransactionProof{
		Tx: b.txs[index], Inclusion: inTree(hashes, index), Result: b.results[index], ResultInclusion: inTree(leaves, index),
		Events: b.outcomes[index].Events, Header: c.header(height), Signed: c.signed(height + 1),
	}
	if withState {
		p.Keys = c.prove(height, touched()...)
	}
	return p
}

// receipt proves one transaction for ever. An anchor of 0 is none.
func (c *chain) receipt(height uint64, index int, withState bool, anchor uint64) *proofv1.Receipt {
	c.t.Helper()
	r := &proofv1.Receipt{Format: verify.ReceiptFormat, ChainId: c.id, Transaction: c.transaction(height, index, withState)}
	top := height + 1
	if anchor != 0 {
		r.Anchor = &proofv1.Anchor{Signed: c.signed(anchor)}
		for h := min(anchor, top) + 1; h < max(anchor, top); h++ {
			r.Anchor.Between = append(r.Anchor.Between, c.header(h))
		}
		top = max(top, anchor)
	}
	r.Lineage = c.lineage(0, top)
	return r
}

func (c *chain) file(r *proofv1.Receipt) []byte {
	c.t.Helper()
	file, err := verify.EncodeReceipt(r)
	c.must(err)
	return file
}

// block as a node answers with it.
func (c *chain) block(height uint64, headerOnly bool) (*ledgerv1.Block, *proofv1.BlockProof) {
	c.t.Helper()
	b, next := c.blocks[height-1], c.blocks[height]
	answer := &ledgerv1.Block{
		Height: height, Time: timestamppb.New(b.header.Time), Hash: b.header.Hash(), AppHash: next.header.AppHash, Proposer: "node-0", TxCount: uint32(len(b.txs)),
	}
	p := &proofv1.BlockProof{Header: c.header(height), Signed: c.signed(height + 1)}
	if !headerOnly {
		answer.Txs, answer.Outcomes, p.Results = slices.Clone(b.txs), slices.Clone(b.outcomes), slices.Clone(b.results)
	}
	return answer, p
}

// small is a chain of six blocks with three validators, one change, and transactions in blocks 2 and 4.
func small(t testing.TB) *chain {
	t.Helper()
	c := newChain(t, 0, 1, 2)
	c.add(content{write: accounts(1)})
	c.add(content{txs: []applied{c.transfer(1, 0)}, write: accounts(2), next: []int{1, 2, 3}})
	c.add(content{})
	c.add(content{write: accounts(4), txs: []applied{
		c.transfer(2, 0), c.transfer(3, ledgerv1.Code_CODE_OVERDRAFT), c.transfer(4, 0),
	}})
	c.add(content{})
	c.add(content{})
	return c
}

// changing is a chain whose validators have changed ten times; there is a transaction in every block.
func changing(t testing.TB) *chain {
	t.Helper()
	c := newChain(t, 0, 1, 2, 3)
	c.add(content{write: accounts(1)})
	for i := range 10 {
		c.add(content{write: accounts(byte(2 + i)), txs: []applied{c.transfer(i, 0)}, next: []int{i + 1, i + 2, i + 3, i + 4}})
		if i%2 == 1 {
			c.add(content{txs: []applied{c.transfer(100+i, 0)}})
		}
	}
	for i := range 4 {
		c.add(content{txs: []applied{c.transfer(50+i, 0)}})
	}
	return c
}

// protoCommit decodes votes, to change them.
func protoCommit(t testing.TB, raw []byte) *cmtproto.Commit {
	t.Helper()
	commit := new(cmtproto.Commit)
	if err := commit.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return commit
}
