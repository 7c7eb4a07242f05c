package verify

import (
	"crypto/sha256"
	"math/bits"

	"github.com/cometbft/cometbft/crypto/merkle"

	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// maxAunts is how deep a tree of transactions can be: a block has fewer than 2^27 bytes.
const maxAunts = 27

// checkMerkle checks that a leaf is in a tree of CometBFT, at the place that the proof says.
func checkMerkle(p *proofv1.MerkleProof, root, leaf []byte, what string) error {
	if p == nil {
		return errorf(ErrMalformed, "that %s is in the block is not proven", what)
	}
	if p.Total == 0 || p.Index >= p.Total {
		return errorf(ErrMalformed, "%s is said to be number %d of %d", what, p.Index, p.Total)
	}
	if len(p.Aunts) > maxAunts {
		return errorf(ErrTooLarge, "%s is %d levels below the root, at most %d are possible", what, len(p.Aunts), maxAunts)
	}
	for _, aunt := range p.Aunts {
		if len(aunt) != sha256.Size {
			return errorf(ErrMalformed, "a hash beside the path of %s has %d bytes", what, len(aunt))
		}
	}
	proof := merkle.Proof{
		Total: int64(p.Total), Index: int64(p.Index), Aunts: p.Aunts,
		LeafHash: merkle.HashFromByteSlices([][]byte{leaf}),
	}
	if err := proof.Verify(root, leaf); err != nil {
		return errorf(ErrProof, "%s: %v", what, err)
	}
	return nil
}

// placeProven reports whether the index of a leaf follows from the tree, and not only from what is said of the tree's size. A
// tree does not hash how many leaves it has. The left side of one is always full, so below it the turns of a path count the
// leaves before; on the right side a full tree of any size may stand to the left.
func placeProven(p *proofv1.MerkleProof) bool {
	return p.Total == 1 || p.Index < 1<<(bits.Len32(p.Total-1)-1)
}
