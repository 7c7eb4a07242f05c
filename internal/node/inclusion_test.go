package node_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/proto/attest"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// TestProofsOfTransactionsAndBlocks has every node prove every block, and transactions that were applied and refused, at the tip
// and long after.
func TestProofsOfTransactionsAndBlocks(t *testing.T) {
	t.Parallel()
	n := newNetwork(t, nil, nil)
	n.startAll()
	first := n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	lineage, _, newest := n.nodes[0].lineage(0)
	if len(lineage.Links) != 0 {
		t.Fatalf("the validators have changed %d times", len(lineage.Links))
	}
	a := auditorOf(t, lineage)
	a.signed(newest)
	outcomes := []*ledgerv1.TxOutcome{first}
	prove := func(m *member, o *ledgerv1.TxOutcome) {
		t.Helper()
		res := m.prove(o.Id, true)
		keys := a.transaction(o, res.Proof)
		if applied := o.Code == ledgerv1.Code_CODE_OK; applied != (keys > 0) {
			t.Errorf("%s: with code %v, %d keys are proven", m.name, o.Code, keys)
		}
		if plain := m.prove(o.Id, false); len(plain.Proof.Keys) > 0 || a.transaction(o, plain.Proof) > 0 {
			t.Errorf("%s proves keys that nobody asked for", m.name)
		}
	}
	prove(n.nodes[0], first)
	for i, m := range n.nodes {
		// One that is applied, and one whose sender has not that much: both in blocks, and proven at once.
		paid := n.must(m, transfer("acme/treasury", "acme/usd", "globex/treasury", "1"))
		prove(m, paid)
		raw, _, _ := n.sign(time.Minute, transfer("initech/treasury", "acme/usd", "globex/treasury", "7"))
		res, err := m.ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
		outcome := res.GetOutcome()
		if outcome == nil {
			// Refused before it was ordered, since this node knows the state: then it stands in no block.
			if status.Code(err) == codes.Unavailable || err == nil {
				t.Fatalf("transaction %d: %v %v", i, res, err)
			}
		} else {
			prove(m, outcome)
			outcomes = append(outcomes, outcome)
		}
		outcomes = append(outcomes, paid)
	}
	height := n.sameState(outcomes[len(outcomes)-1].Height + 1)
	rejected := 0
	for _, m := range n.nodes {
		for _, o := range outcomes {
			prove(m, o)
			if o.Code != ledgerv1.Code_CODE_OK {
				rejected++
			}
		}
		for at := uint64(0); at <= height; at++ {
			for _, headerOnly := range []bool{false, true} {
				res, err := m.ledger().GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Height: at, HeaderOnly: headerOnly, Prove: true})
				if err != nil {
					t.Fatalf("%s: block %d: %v", m.name, at, err)
				}
				a.block(res.Block, res.Proof, headerOnly)
				if at == 0 && res.Block.Height != height {
					t.Errorf("%s: the newest block is %d, want %d", m.name, res.Block.Height, height)
				}
			}
		}
		if _, err := m.ledger().GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Height: height + 1, Prove: true}); status.Code(err) != codes.OutOfRange {
			t.Errorf("%s: a block that is not there: %v", m.name, err)
		}
		n.attests(m, first)
	}
	if rejected == 0 {
		t.Error("no transaction stood in a block and was rejected")
	}
	if res := n.nodes[0].prove(make([]byte, 32), true); res.Proof != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_UNKNOWN {
		t.Errorf("a transaction that nobody has sent: %v", res)
	}
	_, err := n.nodes[0].ledger().GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{
		Id: first.Id, ProveState: true, ExpiresAt: timestamppb.Now(),
	})
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("state without a proof: %v", err)
	}
}

// attests checks what a node attests of a transaction.
func (n *network) attests(m *member, o *ledgerv1.TxOutcome) {
	n.t.Helper()
	h, err := home.Load(m.home)
	if err != nil {
		n.t.Fatal(err)
	}
	res, err := m.ledger().Attest(n.t.Context(), &ledgerv1.AttestRequest{Id: o.Id})
	if err != nil {
		n.t.Fatal(err)
	}
	s, err := attest.Check(res.Cose, h.NodeKey.Public().Bytes())
	if err != nil {
		n.t.Fatal(err)
	}
	block, err := m.ledger().GetBlock(n.t.Context(), &ledgerv1.GetBlockRequest{Height: o.Height, HeaderOnly: true})
	if err != nil {
		n.t.Fatal(err)
	}
	status := m.status(n.t)
	if s.Node != m.name || s.ChainID != n.files.File.ChainID || !bytes.Equal(s.GenesisHash[:], status.GenesisHash) || !bytes.Equal(s.ID[:], o.Id) ||
		s.Height != o.Height || s.Index != o.Index || s.Code != uint32(o.Code) || s.Time.UnixNano() != o.TimeUnixNano ||
		!bytes.Equal(s.BlockHash[:], block.Block.Hash) || !bytes.Equal(s.AppHash[:], block.Block.AppHash) {
		n.t.Errorf("%s attests %+v", m.name, s)
	}
	other := n.nodes[0]
	if other == m {
		other = n.nodes[1]
	}
	if h, err = home.Load(other.home); err != nil {
		n.t.Fatal(err)
	}
	if _, err := attest.Check(res.Cose, h.NodeKey.Public().Bytes()); !errors.Is(err, attest.ErrInvalid) {
		n.t.Errorf("as the word of %s: %v", other.name, err)
	}
	if _, err := m.ledger().Attest(n.t.Context(), &ledgerv1.AttestRequest{Id: make([]byte, 32)}); statusCode(err) != codes.NotFound {
		n.t.Errorf("of what nobody has sent %s attests: %v", m.name, err)
	}
}

func statusCode(err error) codes.Code { return status.Code(err) }
