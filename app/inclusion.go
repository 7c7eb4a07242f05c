package app

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"

	abci "github.com/cometbft/cometbft/abci/types"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Committed returns what a header commits to of an outcome.
func Committed(o *ledgerv1.TxOutcome) (*proofv1.Result, error) {
	r := &ledgerv1.TxResult{Id: o.Id}
	if o.Code == ledgerv1.Code_CODE_OK {
		hash := tx.EventsHash(o.Events)
		r.EventsHash = hash[:]
	}
	data, err := r.MarshalVTStrict()
	if err != nil {
		return nil, fmt.Errorf("encode the result of transaction %x: %w", o.Id, err)
	}
	return &proofv1.Result{Code: uint32(o.Code), Data: data}, nil
}

// ProveInclusion returns the proof of a transaction without headers and without keys of the state. txs are those of its block,
// outcomes what became of them, in order.
func ProveInclusion(txs [][]byte, outcomes []*ledgerv1.TxOutcome, index uint32) (*proofv1.TransactionProof, error) {
	if len(txs) != len(outcomes) || int(index) >= len(txs) {
		return nil, fmt.Errorf("prove transaction %d of a block with %d transactions and %d outcomes", index, len(txs), len(outcomes))
	}
	inTxs, inResults := make([][sha256.Size]byte, len(txs)), make([][sha256.Size]byte, len(txs))
	proof := &proofv1.TransactionProof{Tx: txs[index]}
	for i, raw := range txs {
		result, err := Committed(outcomes[i])
		if err != nil {
			return nil, err
		}
		leaf, err := (&abci.ExecTxResult{Code: result.Code, Data: result.Data}).Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode result %d of a block: %w", i, err)
		}
		hash := sha256.Sum256(raw)
		inTxs[i], inResults[i] = leafHash(hash[:]), leafHash(leaf)
		if i == int(index) {
			proof.Result = result
		}
	}
	if o := outcomes[index]; o.Code == ledgerv1.Code_CODE_OK {
		proof.Events = o.Events
	}
	proof.Inclusion, proof.ResultInclusion = merkleProof(inTxs, int(index)), merkleProof(inResults, int(index))
	return proof, nil
}

// merkleProof proves one leaf of a tree (RFC 6962), given the hashes of all.
func merkleProof(leaves [][sha256.Size]byte, index int) *proofv1.MerkleProof {
	proof := &proofv1.MerkleProof{Index: uint32(index), Total: uint32(len(leaves))}
	for len(leaves) > 1 {
		left := leftLeaves(len(leaves))
		var aunt [sha256.Size]byte
		if index < left {
			aunt, leaves = merkleRoot(leaves[left:]), leaves[:left]
		} else {
			aunt, leaves, index = merkleRoot(leaves[:left]), leaves[left:], index-left
		}
		proof.Aunts = append(proof.Aunts, aunt[:])
	}
	slices.Reverse(proof.Aunts) // from the leaf up
	return proof
}

// merkleRoot is the root of a tree with at least one leaf.
func merkleRoot(leaves [][sha256.Size]byte) [sha256.Size]byte {
	if len(leaves) == 1 {
		return leaves[0]
	}
	left := leftLeaves(len(leaves))
	l, r := merkleRoot(leaves[:left]), merkleRoot(leaves[left:])
	node := append(append([]byte{1}, l[:]...), r[:]...)
	return sha256.Sum256(node)
}

// leftLeaves is how many of n leaves, at least two, stand below the left child: the greatest power of two below n.
func leftLeaves(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

func leafHash(leaf []byte) [sha256.Size]byte { return sha256.Sum256(append([]byte{0}, leaf...)) }
