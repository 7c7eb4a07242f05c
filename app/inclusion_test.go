package app

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/cometbft/cometbft/crypto/merkle"
	"github.com/cometbft/cometbft/types"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/state"
)

// engineProof makes the engine's proof of ours.
func engineProof(p *proofv1.MerkleProof, leaf []byte) *merkle.Proof {
	hash := leafHash(leaf)
	return &merkle.Proof{Total: int64(p.Total), Index: int64(p.Index), LeafHash: hash[:], Aunts: p.Aunts}
}

// TestInclusion proves every transaction of blocks of many sizes, applied and rejected ones, to the engine's own verifier.
func TestInclusion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := funded(t, w, state.Config{})
	for _, size := range []int{1, 2, 3, 4, 5, 7, 8, 9, 33, 70} {
		height := r.store.Height() + 1
		at := blockTime(height)
		txs := make([][]byte, size)
		for i := range txs {
			amount := "1"
			if i%3 == 1 {
				amount = "99999999" // more than there is
			}
			txs[i] = w.sign(w.body(at, transfer("acme/treasury", "acme/usd", "globex/treasury", amount)))
		}
		res := r.decide(height, at, txs...)
		outcomes, err := r.app.Outcomes(height)
		if err != nil {
			t.Fatal(err)
		}
		data, results := types.ToTxs(txs).Hash(), types.NewResults(res.TxResults).Hash()
		for i := range txs {
			proof, err := ProveInclusion(txs, outcomes, uint32(i))
			if err != nil {
				t.Fatal(err)
			}
			hash := sha256.Sum256(proof.Tx)
			if err := engineProof(proof.Inclusion, hash[:]).Verify(data, hash[:]); err != nil || !bytes.Equal(proof.Tx, txs[i]) {
				t.Errorf("transaction %d of %d: %v", i, size, err)
			}
			leaf, err := (&abci.ExecTxResult{Code: proof.Result.Code, Data: proof.Result.Data}).Marshal()
			if err != nil {
				t.Fatal(err)
			}
			if err := engineProof(proof.ResultInclusion, leaf).Verify(results, leaf); err != nil {
				t.Errorf("result %d of %d: %v", i, size, err)
			}
			applied := i%3 != 1
			if (proof.Result.Code == uint32(ledgerv1.Code_CODE_OK)) != applied || (len(proof.Events) > 0) != applied {
				t.Errorf("transaction %d of %d: code %d and %d bytes of events", i, size, proof.Result.Code, len(proof.Events))
			}
		}
	}
}

func TestInclusionRefuses(t *testing.T) {
	t.Parallel()
	outcome := []*ledgerv1.TxOutcome{{}}
	for _, c := range []struct {
		txs      [][]byte
		outcomes []*ledgerv1.TxOutcome
		index    uint32
	}{{nil, nil, 0}, {[][]byte{{1}}, nil, 0}, {[][]byte{{1}}, outcome, 1}, {[][]byte{{1}}, outcome, 1 << 31}} {
		if proof, err := ProveInclusion(c.txs, c.outcomes, c.index); err == nil {
			t.Errorf("%d of %d transactions: %v", c.index, len(c.txs), proof)
		}
	}
}

// TestRetain keeps outcomes, and asks for blocks, as long as something beside consensus needs them.
func TestRetain(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, keepLittle)
	r := newReplica(t, w, state.Config{})
	r.close()
	r.cfg.KeepHeights = 2
	r.open()
	needs := uint64(0)
	r.app.retain = func() uint64 { return needs }
	step := func(want uint64) {
		t.Helper()
		height := r.store.Height() + 1
		at := blockTime(200 * height)
		if _, err := r.app.FinalizeBlock(t.Context(), &abci.RequestFinalizeBlock{
			Height: int64(height), Time: at, Hash: fmt.Append(nil, height),
			Txs: [][]byte{w.sign(w.body(at, createAsset("acme/admin", fmt.Sprintf("acme/a%d", height))))},
		}); err != nil {
			t.Fatal(err)
		}
		res, err := r.app.Commit(t.Context(), &abci.RequestCommit{})
		if err != nil {
			t.Fatal(err)
		}
		if want != 0 && res.RetainHeight != int64(want) {
			t.Errorf("at height %d the engine keeps blocks from %d on, want %d", height, res.RetainHeight, want)
		}
	}
	needs = 3
	for range 12 {
		step(0)
	}
	step(3)
	for height := uint64(3); height <= 12; height++ {
		if o, err := r.app.Outcomes(height); err != nil || len(o) != 1 {
			t.Errorf("outcomes of block %d: %v, %v", height, o, err)
		}
	}
	if _, err := r.app.Outcomes(2); err == nil {
		t.Error("the outcomes of block 2 are kept, though nobody needs them")
	}
	needs = 9
	for range 6 {
		step(9)
	}
	if _, err := r.app.Outcomes(8); err == nil {
		t.Error("the outcomes of block 8 are kept, though nobody needs them")
	}
	if found, err := Examine(t.Context(), w.genesis, r.store); err != nil || len(found) > 0 {
		t.Errorf("examine: %v %v", found, err)
	}
	needs = 0
	for range 3 {
		step(r.store.Height())
	}
}
