package node_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/crypto/merkle"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	ics23 "github.com/cosmos/ics23/go"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// auditor verifies what nodes send along with the engine's own verifiers and the plain ICS-23 library, and with nothing of ours.
type auditor struct {
	t       testing.TB
	chainID string
	sets    []*types.ValidatorSet
	until   []int64 // the last height that the set of the same place decides, ascending; the last one has none
}

// auditorOf knows who signs from a lineage, whose genesis document is the right one.
func auditorOf(t testing.TB, lineage *proofv1.Lineage) *auditor {
	t.Helper()
	genesis, err := app.ParseGenesis(lineage.Genesis)
	if err != nil {
		t.Fatal(err)
	}
	var first []*proofv1.Validator
	for _, n := range genesis.Doc.Nodes {
		if n.Node.Power > 0 {
			first = append(first, &proofv1.Validator{PublicKey: n.Node.ValidatorKey, Power: n.Node.Power})
		}
	}
	a := &auditor{t: t, chainID: genesis.ChainID, sets: []*types.ValidatorSet{validatorSet(t, first, false)}}
	for _, link := range lineage.Links {
		header := a.signed(link.Signed)
		next := validatorSet(t, link.Validators, true)
		if !bytes.Equal(header.NextValidatorsHash, next.Hash()) || bytes.Equal(header.NextValidatorsHash, header.ValidatorsHash) {
			t.Fatalf("the change at height %d announces other validators than it has", header.Height)
		}
		if n := len(a.until); n > 0 && header.Height <= a.until[n-1] {
			t.Fatalf("the change at height %d follows that at %d", header.Height, a.until[n-1])
		}
		a.sets, a.until = append(a.sets, next), append(a.until, header.Height)
	}
	return a
}

func validatorSet(t testing.TB, validators []*proofv1.Validator, ordered bool) *types.ValidatorSet {
	t.Helper()
	list := make([]*types.Validator, len(validators))
	for i, v := range validators {
		list[i] = types.NewValidator(cmted25519.PubKey(v.PublicKey), int64(v.Power))
	}
	set := types.NewValidatorSet(list)
	for i, v := range set.Validators {
		if ordered && !bytes.Equal(v.PubKey.Bytes(), validators[i].PublicKey) {
			t.Fatal("validators are not in the order of the set")
		}
	}
	return set
}

func (a *auditor) header(encoded []byte) *types.Header {
	a.t.Helper()
	var message cmtproto.Header
	if err := message.Unmarshal(encoded); err != nil {
		a.t.Fatal(err)
	}
	again, err := message.Marshal()
	header, convertErr := types.HeaderFromProto(&message)
	if err := errors.Join(err, convertErr); err != nil || !bytes.Equal(again, encoded) {
		a.t.Fatalf("a header is not in its canonical encoding: %v", err)
	}
	return &header
}

// signed verifies every signature below a header.
func (a *auditor) signed(s *proofv1.SignedHeader) *types.Header {
	a.t.Helper()
	header := a.header(s.Header)
	var message cmtproto.Commit
	if err := message.Unmarshal(s.Commit); err != nil {
		a.t.Fatal(err)
	}
	again, err := message.Marshal()
	commit, convertErr := types.CommitFromProto(&message)
	if err := errors.Join(err, convertErr); err != nil || !bytes.Equal(again, s.Commit) {
		a.t.Fatalf("a commit is not in its canonical encoding: %v", err)
	}
	if err := (types.SignedHeader{Header: header, Commit: commit}).ValidateBasic(a.chainID); err != nil {
		a.t.Fatal(err)
	}
	at := 0
	for at < len(a.until) && header.Height > a.until[at] {
		at++
	}
	set := a.sets[at]
	if !bytes.Equal(header.ValidatorsHash, set.Hash()) {
		a.t.Fatalf("the lineage names other validators for block %d", header.Height)
	}
	if err := set.VerifyCommit(a.chainID, commit.BlockID, header.Height, commit); err != nil {
		a.t.Fatalf("block %d: %v", header.Height, err)
	}
	return header
}

// next verifies a header and the one after it.
func (a *auditor) next(before []byte, s *proofv1.SignedHeader) (header, signed *types.Header) {
	a.t.Helper()
	header, signed = a.header(before), a.signed(s)
	if signed.Height != header.Height+1 || !bytes.Equal(signed.LastBlockID.Hash, header.Hash()) {
		a.t.Fatalf("header %d is not the one before header %d", header.Height, signed.Height)
	}
	return header, signed
}

func (a *auditor) merkle(p *proofv1.MerkleProof, root, leaf []byte) {
	a.t.Helper()
	hash := sha256.Sum256(append([]byte{0}, leaf...))
	proof := &merkle.Proof{Total: int64(p.Total), Index: int64(p.Index), LeafHash: hash[:], Aunts: p.Aunts}
	if err := proof.Verify(root, leaf); err != nil {
		a.t.Fatal(err)
	}
}

func (a *auditor) leaf(r *proofv1.Result) []byte {
	a.t.Helper()
	leaf, err := (&abci.ExecTxResult{Code: r.Code, Data: r.Data}).Marshal()
	if err != nil {
		a.t.Fatal(err)
	}
	return leaf
}

// transaction verifies a proof and compares it with the outcome that the node told. It returns how many keys are proven.
func (a *auditor) transaction(o *ledgerv1.TxOutcome, p *proofv1.TransactionProof) int {
	a.t.Helper()
	header, signed := a.next(p.Header, p.Signed)
	hash := sha256.Sum256(p.Tx)
	a.merkle(p.Inclusion, header.DataHash, hash[:])
	a.merkle(p.ResultInclusion, signed.LastResultsHash, a.leaf(p.Result))
	result := new(ledgerv1.TxResult)
	if err := proto.Unmarshal(p.Result.Data, result); err != nil {
		a.t.Fatal(err)
	}
	var want []byte
	if o.Code == ledgerv1.Code_CODE_OK {
		events := tx.EventsHash(p.Events)
		want = events[:]
	}
	if uint64(header.Height) != o.Height || p.Inclusion.Index != o.Index || p.ResultInclusion.Index != o.Index || p.Result.Code != uint32(o.Code) ||
		!bytes.Equal(result.Id, o.Id) || !bytes.Equal(result.EventsHash, want) || !bytes.Equal(p.Events, o.Events) || header.Time.UnixNano() != o.TimeUnixNano {
		a.t.Errorf("the proof says %v %v, the node says %v", p.Inclusion, result, o)
	}
	if len(p.Keys) == 0 {
		return 0
	}
	return a.keys(p.Keys, signed.AppHash)
}

func (a *auditor) keys(encoded, root []byte) int {
	a.t.Helper()
	compressed := new(ics23.CommitmentProof)
	if err := compressed.Unmarshal(encoded); err != nil {
		a.t.Fatal(err)
	}
	entries := ics23.Decompress(compressed).GetBatch().GetEntries()
	for _, e := range entries {
		var err error
		if exist := e.GetExist(); exist != nil {
			err = exist.Verify(ics23.IavlSpec, root, exist.Key, exist.Value)
		} else {
			err = e.GetNonexist().Verify(ics23.IavlSpec, root, e.GetNonexist().Key)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
	return len(entries)
}

// block verifies the proof of a block against what the node says it is.
func (a *auditor) block(b *ledgerv1.Block, p *proofv1.BlockProof, headerOnly bool) {
	a.t.Helper()
	var header *types.Header
	var after []byte
	if len(p.Header) == 0 {
		header = a.signed(p.Signed)
		after = header.AppHash
		if len(header.DataHash) != sha256.Size || !bytes.Equal(header.DataHash, types.Txs(nil).Hash()) ||
			!bytes.Equal(header.EvidenceHash, types.EvidenceList(nil).Hash()) || header.Height == 1 {
			a.t.Errorf("block %d has changed something and is proven by its own header", header.Height)
		}
	} else {
		var signed *types.Header
		header, signed = a.next(p.Header, p.Signed)
		after = signed.AppHash
		if !headerOnly {
			leaves := make([][]byte, len(p.Results))
			for i, r := range p.Results {
				leaves[i] = a.leaf(r)
			}
			if !bytes.Equal(merkle.HashFromByteSlices(leaves), signed.LastResultsHash) {
				a.t.Errorf("block %d: the next header commits to other results", header.Height)
			}
		}
	}
	if !headerOnly && (!bytes.Equal(types.ToTxs(b.Txs).Hash(), header.DataHash) || len(p.Results) != len(b.Txs)) {
		a.t.Errorf("block %d: the header commits to other transactions", header.Height)
	}
	if uint64(header.Height) != b.Height || !bytes.Equal(header.Hash(), b.Hash) || !bytes.Equal(after, b.AppHash) ||
		!header.Time.Equal(b.Time.AsTime()) || headerOnly && (len(b.Txs) > 0 || len(p.Results) > 0) {
		a.t.Errorf("block %d is not as the node says: %v", header.Height, b)
	}
}

// lineage reads all of a node's lineage, some changes at a time, and returns it with the height up to which it goes.
func (m *member) lineage(page uint32) (*proofv1.Lineage, uint64, *proofv1.SignedHeader) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	all := new(proofv1.Lineage)
	for from := uint64(0); ; {
		res, err := m.ledger().GetLineage(ctx, &ledgerv1.GetLineageRequest{FromHeight: from, Genesis: from == 0, PageSize: page})
		if err != nil {
			m.t.Fatalf("%s: the lineage from %d on: %v", m.name, from, err)
		}
		if page != 0 && len(res.Lineage.Links) > int(page) {
			m.t.Errorf("%s answers %d changes, %d were wanted", m.name, len(res.Lineage.Links), page)
		}
		if (len(res.Lineage.Genesis) > 0) != (from == 0) {
			m.t.Errorf("%s answers %d bytes of the genesis document", m.name, len(res.Lineage.Genesis))
		}
		if from == 0 {
			all.Genesis = res.Lineage.Genesis
		}
		all.Links = append(all.Links, res.Lineage.Links...)
		newest := newestHeight(m.t, res.Newest)
		if res.Height+1 >= newest {
			return all, res.Height, res.Newest
		}
		if res.Height < from {
			m.t.Fatalf("%s: from %d on the lineage goes up to %d, the newest block is %d", m.name, from, res.Height, newest)
		}
		from = res.Height + 1
	}
}

func newestHeight(t testing.TB, s *proofv1.SignedHeader) uint64 {
	t.Helper()
	return uint64((&auditor{t: t}).header(s.Header).Height)
}

// prove asks a node for the proof of a transaction.
func (m *member) prove(id []byte, withState bool) *ledgerv1.GetTransactionResponse {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	res, err := m.ledger().GetTransaction(ctx, &ledgerv1.GetTransactionRequest{Id: id, Prove: true, ProveState: withState})
	if err != nil {
		m.t.Fatal(fmt.Errorf("%s: prove transaction %x: %w", m.name, id, err))
	}
	return res
}
