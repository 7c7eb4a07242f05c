package verify

import (
	"bytes"

	"github.com/cometbft/cometbft/crypto/merkle"
	"github.com/cometbft/cometbft/types"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// maxTxs is more than the transactions of any block.
const maxTxs = 1 << 20

// Block checks a block against its proof: height, time, hash, app hash, and, unless it is a header only, transactions and
// outcomes. Not the words of the outcomes (message, failed operation), not the proposer's name, and of a header only not how many
// transactions there are, but whether there are any.
func (t *Trust) Block(b *ledgerv1.Block, p *proofv1.BlockProof, headerOnly bool) error {
	if b == nil || p == nil {
		return errorf(ErrMalformed, "the block or its proof is missing")
	}
	if err := noUnknown(p.ProtoReflect()); err != nil {
		return err
	}
	signed, err := t.header(p.Signed)
	if err != nil {
		return err
	}
	header, err := t.blockOf(b.Height, p.Header, signed)
	if err != nil {
		return err
	}
	// Of a block that changed nothing, its own header carries the root before it, which is the root after it.
	if !bytes.Equal(b.AppHash, signed.AppHash) {
		return errorf(ErrHash, "block %d is said to leave the root %x, header %d has %x", b.Height, b.AppHash, signed.Height, signed.AppHash)
	}
	if !bytes.Equal(b.Hash, header.Hash) {
		return errorf(ErrHash, "block %d is said to have the hash %x, its header has %x", b.Height, b.Hash, header.Hash)
	}
	if b.Time.CheckValid() != nil || !b.Time.AsTime().Equal(header.Time) {
		return errorf(ErrHeight, "block %d is said to be of %v, its header is of %v", b.Height, b.Time.AsTime(), header.Time)
	}
	if empty := bytes.Equal(header.DataHash, hashOfNothing[:]); empty != (b.TxCount == 0) {
		return errorf(ErrHash, "block %d is said to have %d transactions, its header says otherwise", b.Height, b.TxCount)
	}
	if headerOnly {
		if len(b.Txs)+len(b.Outcomes)+len(p.Results) > 0 {
			return errorf(ErrSurplus, "the header of block %d was asked for alone", b.Height)
		}
		return nil
	}
	return t.checkContent(b, p.Results, header, signed)
}

// checkContent checks the transactions of a block against its header, and their outcomes against the next one.
func (t *Trust) checkContent(b *ledgerv1.Block, results []*proofv1.Result, header *Header, signed *signedHeader) error {
	n := len(b.Txs)
	if n > maxTxs {
		return errorf(ErrTooLarge, "block %d is said to have %d transactions", b.Height, n)
	}
	if int(b.TxCount) != n || len(b.Outcomes) != n || len(results) != n {
		return errorf(ErrOutcome, "block %d comes with %d transactions of %d, %d outcomes and %d results", b.Height, n, b.TxCount, len(b.Outcomes), len(results))
	}
	if got := types.ToTxs(b.Txs).Hash(); !bytes.Equal(got, header.DataHash) {
		return errorf(ErrHash, "the transactions of block %d have the hash %x, its header says %x", b.Height, got, header.DataHash)
	}
	if n == 0 {
		return nil
	}
	leaves := make([][]byte, n)
	for i, r := range results {
		if r == nil || b.Outcomes[i] == nil {
			return errorf(ErrMalformed, "outcome %d of block %d is missing", i, b.Height)
		}
		leaf, err := resultLeaf(r)
		if err != nil {
			return err
		}
		leaves[i] = leaf
	}
	if got := merkle.HashFromByteSlices(leaves); !bytes.Equal(got, signed.LastResultsHash) {
		return errorf(ErrHash, "the results of block %d have the hash %x, the next header says %x", b.Height, got, signed.LastResultsHash)
	}
	for i, o := range b.Outcomes {
		if o.Height != header.Height || o.Index != uint32(i) || o.TimeUnixNano != header.Time.UnixNano() || uint32(o.Code) != results[i].Code {
			return errorf(ErrOutcome, "outcome %d of block %d has another place, time or code than is proven", i, b.Height)
		}
		if err := t.checkOutcome(o, results[i], b.Txs[i]); err != nil {
			return errorf(ErrOutcome, "transaction %d of block %d: %w", i, b.Height, err)
		}
	}
	return nil
}

func (t *Trust) checkOutcome(o *ledgerv1.TxOutcome, r *proofv1.Result, raw []byte) error {
	if len(o.Id) == 0 && len(r.Data) == 0 && o.Code != ledgerv1.Code_CODE_OK {
		// Bytes that were refused by themselves: the code is all there is to say.
		if len(o.Events) > 0 {
			return errorf(ErrOutcome, "bytes that were refused have no events")
		}
		return nil
	}
	envelope := new(ledgerv1.Tx)
	if err := envelope.UnmarshalVT(raw); err != nil {
		return errorf(ErrMalformed, "decode: %v", err)
	}
	id := tx.IDOf(t.chainID, envelope.Body)
	if !bytes.Equal(o.Id, id[:]) {
		return errorf(ErrOutcome, "the outcome is said to be of %x, the transaction is %s", o.Id, id)
	}
	_, err := checkResult(r, o.Events, id)
	return err
}
