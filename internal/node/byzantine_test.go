package node_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"

	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/testnet"
)

// liar is the state machine of a node that proposes what it likes and finds every proposal good.
type liar struct {
	abci.Application
	consensus.EvidenceKeeper
	propose atomic.Pointer[func() [][]byte] // nil for an honest proposal
}

// corrupt makes a node that has not been started one whose proposals the test decides.
func corrupt(m *member) *liar {
	l := new(liar)
	m.app = func(honest abci.Application) abci.Application {
		l.Application, l.EvidenceKeeper = honest, honest.(consensus.EvidenceKeeper)
		return l
	}
	return l
}

func (l *liar) PrepareProposal(ctx context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	if propose := l.propose.Load(); propose != nil {
		return &abci.ResponsePrepareProposal{Txs: (*propose)()}, nil
	}
	return l.Application.PrepareProposal(ctx, req)
}

func (l *liar) ProcessProposal(ctx context.Context, req *abci.RequestProcessProposal) (*abci.ResponseProcessProposal, error) {
	_, err := l.Application.ProcessProposal(ctx, req)
	return &abci.ResponseProcessProposal{Status: abci.ResponseProcessProposal_ACCEPT}, err
}

// vice is what a dishonest proposer puts into its blocks, and how the honest name it.
type vice struct {
	name, reason string
	txs          [][]byte
}

// TestDishonestProposer lets one of four validators propose, whenever it is its turn, what may not stand in a block. The
// others refuse it, say whose it was, and go on committing what their clients send.
func TestDishonestProposer(t *testing.T) {
	t.Parallel()
	n := newNetworkOf(t, testnet.Options{Validators: 4, Name: "test", Charter: &governancev1.Charter{
		MaxBlockBytes: 64 << 10, OrgBlockBytes: 24 << 10, MaxTxBytes: 8 << 10,
	}}, nil, nil)
	honest, culprit := n.nodes[:3], n.nodes[3]
	l := corrupt(culprit)
	n.startAll()
	committed, _, _ := n.sign(2*time.Minute, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	if res, err := honest[0].ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: committed, Wait: true}); err != nil || res.Outcome.GetCode() != 0 {
		t.Fatal(res, err)
	}
	n.sameState(2)

	stop := n.payThrough(honest)
	var armed uint64
	for _, v := range n.vices(committed) {
		before := make([]int, len(honest))
		for i, m := range honest {
			before[i] = len(refusals(m, v.reason))
		}
		propose := func() [][]byte { return v.txs }
		l.propose.Store(&propose)
		if armed == 0 {
			armed = honest[0].status(t).Height + 2 // the next block may be decided already
		}
		for i, m := range honest {
			eventually(t, m.name+" refuses "+v.name, func(context.Context) error {
				refused := refusals(m, v.reason)
				if len(refused) == before[i] {
					return errNotYet
				}
				if last := refused[len(refused)-1]; !strings.Contains(last, "proposer="+culprit.name) {
					t.Errorf("%s names somebody else: %s", m.name, last)
				}
				return nil
			})
		}
	}
	payments := stop()
	t.Logf("%d payments", len(payments))

	last := n.sameState(payments[len(payments)-1].Height)
	if last < armed+10 {
		t.Errorf("only blocks %d to %d were made", armed, last)
	}
	for height := armed; height <= last; height++ {
		res, err := honest[0].ledger().GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Height: height, HeaderOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if res.Block.Proposer == culprit.name {
			t.Errorf("block %d is %s's", height, culprit.name)
		}
	}
	for _, m := range n.nodes {
		if got, want := n.balance(m, "acme/usd", "globex/treasury"), fmt.Sprint(len(payments)); got != want {
			t.Errorf("%s: the balance is %s after %s payments", m.name, got, want)
		}
	}
}

// refusals are the lines in which a node says that it refused a proposal for a reason.
func refusals(m *member, reason string) (lines []string) {
	for line := range strings.Lines(m.logged()) {
		if strings.Contains(line, "refused a proposal") && strings.Contains(line, reason) {
			lines = append(lines, line)
		}
	}
	return lines
}

// vices are the blocks of a dishonest proposer. committed stands in a block already.
func (n *network) vices(committed []byte) []vice {
	n.t.Helper()
	pay := func(org string, memo int) []byte {
		raw, _, _ := n.signMemo(2*time.Minute, strings.Repeat("x", memo), transfer(org+"/treasury", "acme/usd", "acme/admin", "1"))
		return raw
	}
	expired, _, _ := n.sign(-time.Minute, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
	distant, _, _ := n.sign(48*time.Hour, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
	broken := bytes.Clone(pay("acme", 0))
	broken[len(broken)-1] ^= 1
	twice := pay("acme", 0)

	foreign := *n
	file := *n.files.File
	foreign.files = &testnet.Network{File: &file}
	file.ChainID = "other-00000000"
	abroad, _, _ := foreign.sign(2*time.Minute, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))

	many := func(count int, orgs ...string) (txs [][]byte) {
		for i := range count {
			txs = append(txs, pay(orgs[i%len(orgs)], 250))
		}
		return txs
	}
	return []vice{
		{"garbage", "has no field", [][]byte{[]byte("this is no transaction")}},
		{"an empty transaction", "has no body", [][]byte{{}}},
		{"what has expired", "the transaction expired at", [][]byte{expired}},
		{"what expires in the far future", "the transaction expires at", [][]byte{distant}},
		{"a wrong signature", "signature", [][]byte{pay("acme", 0), broken}},
		{"a committed transaction", "stands in block", [][]byte{committed}},
		{"a transaction twice", "stands twice", [][]byte{twice, twice}},
		{"a transaction of another network", "is for network", [][]byte{abroad}},
		{"too much of one org", "the transactions of acme in this block", many(60, "acme")},
		{"too much of all", "too large", many(160, "acme", "globex", "initech", "umbrella")},
	}
}

// payThrough pays through each of some nodes, again and again, until the returned function is called, which returns
// what was acknowledged.
func (n *network) payThrough(through []*member) (stop func() []*ledgerv1.TxOutcome) {
	ctx, cancel := context.WithCancel(n.t.Context())
	var mu sync.Mutex
	var wg sync.WaitGroup
	var all []*ledgerv1.TxOutcome
	for _, m := range through {
		wg.Go(func() {
			for ctx.Err() == nil && !n.t.Failed() {
				raw, id, _ := n.sign(2*time.Minute, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
				res, err := m.ledger().Submit(n.t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
				if err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
					n.t.Errorf("%s: an honest payment, %s, became %v, %v", m.name, id, res, err)
					return
				}
				mu.Lock()
				all = append(all, res.Outcome)
				mu.Unlock()
			}
		})
	}
	return func() []*ledgerv1.TxOutcome {
		cancel()
		wg.Wait()
		return all
	}
}

// TestStolenValidatorKey lets a second node vote with the key of a validator. As soon as the two have voted for different
// blocks, the ledger has the proof, and the key has no power two blocks later; the network goes on.
func TestStolenValidatorKey(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil, nil)
	victim := n.nodes[3]
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))

	added, err := n.files.AddNode(testnet.AddOptions{Org: "acme", Observer: true})
	if err != nil {
		t.Fatal(err)
	}
	robbed, err := home.Load(victim.home)
	if err != nil {
		t.Fatal(err)
	}
	stolen := robbed.ValidatorKey
	thief := n.add(n.files.File.Nodes[4])
	n.steal(thief, added, stolen)
	// It proposes empty blocks where its victim proposes payments.
	nothing := func() [][]byte { return nil }
	corrupt(thief).propose.Store(&nothing)
	member, err := home.ReadMember(added.MemberFile)
	if err != nil {
		t.Fatal(err)
	}
	n.must(n.nodes[0], &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_NodeAdd{NodeAdd: member.Nodes[0]}})

	stop := n.payThrough(n.nodes[:3])
	thief.start()
	var proof *membershipv1.Evidence
	eventually(t, "the ledger has the proof", func(ctx context.Context) error {
		res, err := membershipv1.NewMembershipServiceClient(n.nodes[0].conn).ListEvidence(ctx, &membershipv1.ListEvidenceRequest{})
		if err != nil || len(res.Evidence) == 0 {
			return fmt.Errorf("%w: %w", errNotYet, err)
		}
		proof = res.Evidence[0]
		return nil
	})
	checkProof(t, proof, victim.name, stolen.Public().Bytes())
	n.sameStateOf(n.nodes[:3], proof.Height+3)
	payments := stop()
	for _, m := range n.nodes[:3] {
		res, err := membershipv1.NewMembershipServiceClient(m.conn).ListValidators(t.Context(), &membershipv1.ListValidatorsRequest{Height: proof.Height + 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range res.Validators {
			if v.Name == victim.name {
				t.Errorf("%s: %s votes on block %d with %d, although it was convicted in block %d", m.name, v.Name, proof.Height+2, v.Power, proof.Height)
			}
		}
		if len(res.Validators) != 3 {
			t.Errorf("%s: %v", m.name, res.Validators)
		}
	}
	after := n.must(n.nodes[0], transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
	n.sameState(after.Height)
	t.Logf("convicted in block %d for block %d; %d payments", proof.Height, proof.OffenceHeight, len(payments))
}

// steal puts the key of another node into the home of an observer, with a record of its own.
func (n *network) steal(thief *member, added *testnet.Added, key keys.PrivateKey) {
	n.t.Helper()
	h, err := home.Load(added.Home)
	if err != nil {
		n.t.Fatal(err)
	}
	options := home.Options{Config: h.Config, Genesis: h.Genesis, NodeKey: h.NodeKey, ValidatorKey: key}
	thief.home = added.Home + "-thief"
	if err := home.Init(thief.home, options); err != nil {
		n.t.Fatal(err)
	}
}

// checkProof checks that what the ledger has recorded convicts a validator without anything else.
func checkProof(t *testing.T, e *membershipv1.Evidence, name string, key []byte) {
	t.Helper()
	if e.Node != name || !bytes.Equal(e.ValidatorKey, key) || e.Kind != "duplicate-vote" || e.Power != 10 {
		t.Errorf("the evidence is %v", e)
	}
	var message cmtproto.Evidence
	if err := message.Unmarshal(e.Raw); err != nil {
		t.Fatal(err)
	}
	decoded, err := types.EvidenceFromProto(&message)
	if err != nil {
		t.Fatal(err)
	}
	votes, ok := decoded.(*types.DuplicateVoteEvidence)
	if !ok || votes.VoteA.BlockID.Equals(votes.VoteB.BlockID) || uint64(votes.Height()) != e.OffenceHeight {
		t.Errorf("the raw evidence is %v", decoded)
	}
}
