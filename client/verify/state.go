package verify

import (
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// State checks the proof of an answer: the signed header, that the root of the state is in it, and every key against that root.
// Ask the witness the question, and compare with the answer.
func (t *Trust) State(p *proofv1.StateProof) (*Witness, error) {
	if p == nil {
		return nil, errorf(ErrMalformed, "the answer has no proof")
	}
	if err := noUnknown(p.ProtoReflect()); err != nil {
		return nil, err
	}
	signed, err := t.header(p.Signed)
	if err != nil {
		return nil, err
	}
	block, err := t.blockOf(p.Height, p.Header, signed)
	if err != nil {
		return nil, err
	}
	return newWitness(p.Height, block.Time, p.Keys, signed.AppHash)
}

// blockOf returns the header of a block that is proven by a signed one: the next, with the block's own in raw, or the block's
// own, where the block has left the state as it was.
func (t *Trust) blockOf(height uint64, raw []byte, signed *signedHeader) (*Header, error) {
	if height == signed.Height {
		if len(raw) > 0 {
			return nil, errorf(ErrSurplus, "header %d stands beside the same signed header", height)
		}
		if !signed.idle() {
			return nil, errorf(ErrHeight, "header %d proves the state before its block, and that block changed it: the next header is needed", height)
		}
		return signed.Header, nil
	}
	block, err := parseHeader(raw, t.chainID)
	if err != nil {
		return nil, err
	}
	if block.Height != height {
		return nil, errorf(ErrHeight, "the header is of height %d, not of %d", block.Height, height)
	}
	if err := signed.follows(block); err != nil {
		return nil, err
	}
	if _, err := fits(block, t.known()); err != nil {
		return nil, err
	}
	return block, nil
}
