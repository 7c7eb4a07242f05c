package verify

import (
	"bytes"
	"crypto/sha256"

	abci "github.com/cometbft/cometbft/abci/types"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	// maxTx is more than the largest block has, in bytes.
	maxTx = 64 << 20
	// maxEvents bounds the events of one transaction in bytes.
	maxEvents = 64 << 20
	// maxResult is more than an encoded TxResult takes.
	maxResult = 128
)

// Transaction is a transaction that is proven to be in a block.
type Transaction struct {
	ID     [32]byte
	Header *Header // of its block
	Signed *Header // the next, which the validators signed
	// Index is its place in the block. It is proven to be that where PlaceProven is set, else it is only said to be: the tree of a
	// block's transactions does not hash how many they are.
	Index       uint32
	PlaceProven bool
	Code        ledgerv1.Code
	Body        *ledgerv1.Body
	Events      *ledgerv1.EventList // empty unless the code is CODE_OK
	Outcome     *ledgerv1.TxOutcome // without message and failed operation (-1), which no header commits to
	// State is what the events name, as it is after the whole block: every such key and no other. Nil where the proof has none.
	State *Witness
}

// Transaction checks the proof of a transaction and returns what it proves. Whether the accounts' signatures under it are right
// is not checked: the validators have.
func (t *Trust) Transaction(p *proofv1.TransactionProof) (*Transaction, error) {
	proven, _, err := t.transaction(p)
	return proven, err
}

func (t *Trust) transaction(p *proofv1.TransactionProof) (*Transaction, *signedHeader, error) {
	if p == nil {
		return nil, nil, errorf(ErrMalformed, "the proof of the transaction is missing")
	}
	if err := noUnknown(p.ProtoReflect()); err != nil {
		return nil, nil, err
	}
	signed, err := t.header(p.Signed)
	if err != nil {
		return nil, nil, err
	}
	header, err := parseHeader(p.Header, t.chainID)
	if err != nil {
		return nil, nil, err
	}
	if err := signed.follows(header); err != nil {
		return nil, nil, err
	}
	if _, err := fits(header, t.known()); err != nil {
		return nil, nil, err
	}
	if err := checkInclusion(p, header, signed.Header); err != nil {
		return nil, nil, err
	}
	envelope, err := decodeTx(t.chainID, p.Tx)
	if err != nil {
		return nil, nil, err
	}
	events, err := checkResult(p.Result, p.Events, envelope.ID)
	if err != nil {
		return nil, nil, err
	}
	proven := &Transaction{
		ID:          envelope.ID,
		Header:      header,
		Signed:      signed.Header,
		Index:       p.Inclusion.Index,
		PlaceProven: placeProven(p.Inclusion),
		Code:        ledgerv1.Code(p.Result.Code),
		Body:        envelope.Body,
		Events:      events,
		Outcome: &ledgerv1.TxOutcome{
			Id: bytes.Clone(envelope.ID[:]), Height: header.Height, Index: p.Inclusion.Index, Code: ledgerv1.Code(p.Result.Code),
			FailedOperation: -1, Events: p.Events, TimeUnixNano: header.Time.UnixNano(),
		},
	}
	if len(p.Keys) > 0 {
		if proven.State, err = namedState(p.Keys, header, signed.Header, events); err != nil {
			return nil, nil, err
		}
	}
	return proven, signed, nil
}

// checkInclusion checks that the transaction is in the block and its result in the next header, both at one place.
func checkInclusion(p *proofv1.TransactionProof, header, signed *Header) error {
	if len(p.Tx) == 0 || p.Result == nil {
		return errorf(ErrMalformed, "the transaction or its result is missing")
	}
	if len(p.Tx) > maxTx || len(p.Events) > maxEvents || len(p.Result.Data) > maxResult {
		return errorf(ErrTooLarge, "the transaction, its events or its result are longer than any can be")
	}
	hash := sha256.Sum256(p.Tx)
	if err := checkMerkle(p.Inclusion, header.DataHash, hash[:], "the transaction"); err != nil {
		return err
	}
	leaf, err := resultLeaf(p.Result)
	if err != nil {
		return err
	}
	if err := checkMerkle(p.ResultInclusion, signed.LastResultsHash, leaf, "the result"); err != nil {
		return err
	}
	if p.Inclusion.Index != p.ResultInclusion.Index || p.Inclusion.Total != p.ResultInclusion.Total {
		return errorf(ErrProof, "the transaction is number %d of %d, the result number %d of %d: it is another's",
			p.Inclusion.Index, p.Inclusion.Total, p.ResultInclusion.Index, p.ResultInclusion.Total)
	}
	return nil
}

// resultLeaf is what a header commits to of a result.
func resultLeaf(r *proofv1.Result) ([]byte, error) {
	leaf, err := (&abci.ExecTxResult{Code: r.Code, Data: r.Data}).Marshal()
	if err != nil {
		return nil, errorf(ErrMalformed, "encode a result: %v", err)
	}
	return leaf, nil
}

func decodeTx(chainID string, raw []byte) (*tx.Tx, error) {
	const unlimited = ^uint32(0)
	envelope, err := tx.Decode(chainID, raw, tx.Limits{Bytes: maxTx, Operations: unlimited, Signatures: unlimited})
	if err == nil {
		return envelope, nil
	}
	kind := ErrMalformed
	switch code, _ := tx.CodeOf(err); code {
	case ledgerv1.Code_CODE_UNKNOWN_FIELD, ledgerv1.Code_CODE_UNKNOWN_OPERATION:
		kind = ErrFormat
	case ledgerv1.Code_CODE_WRONG_CHAIN:
		kind = ErrWrongNetwork
	case ledgerv1.Code_CODE_TOO_LARGE:
		kind = ErrTooLarge
	}
	return nil, errorf(kind, "the transaction: %v", err)
}

// checkResult checks that a result, which a header commits to, is that of a transaction and names the events.
func checkResult(r *proofv1.Result, events []byte, id tx.ID) (*ledgerv1.EventList, error) {
	result := new(ledgerv1.TxResult)
	if err := decodeStrict(r.Data, result, "a result"); err != nil {
		return nil, err
	}
	if !bytes.Equal(result.Id, id[:]) {
		return nil, errorf(ErrOutcome, "the result is of transaction %x, not of %s", result.Id, id)
	}
	list := new(ledgerv1.EventList)
	if ledgerv1.Code(r.Code) != ledgerv1.Code_CODE_OK {
		if len(events) > 0 || len(result.EventsHash) > 0 {
			return nil, errorf(ErrOutcome, "transaction %s was rejected and has no events", id)
		}
		return list, nil
	}
	if hash := tx.EventsHash(events); !bytes.Equal(result.EventsHash, hash[:]) {
		return nil, errorf(ErrOutcome, "the events of transaction %s have the hash %x, its result names %x", id, hash, result.EventsHash)
	}
	if err := list.UnmarshalVT(events); err != nil {
		return nil, errorf(ErrMalformed, "the events of transaction %s: %v", id, err)
	}
	if err := noUnknown(list.ProtoReflect()); err != nil {
		return nil, errorf(ErrFormat, "the events of transaction %s: %v", id, err)
	}
	return list, nil
}

// namedState checks a proof of the keys that events name: of all of them and of nothing else, so that no entry can be left out,
// added, or made to say something true of another key.
func namedState(keys []byte, header, signed *Header, events *ledgerv1.EventList) (*Witness, error) {
	want, err := named(events)
	if err != nil {
		return nil, err
	}
	state, err := newWitness(header.Height, header.Time, keys, signed.AppHash)
	if err != nil {
		return nil, err
	}
	for i, e := range state.entries {
		if i >= len(want) || !bytes.Equal(e.key, want[i]) {
			return nil, errorf(ErrSurplus, "the key %x is not the next one that the transaction's events name", e.key)
		}
	}
	if n := len(state.entries); n < len(want) {
		return nil, errorf(ErrNotCovered, "the key %x, which the transaction's events name", want[n])
	}
	return state, nil
}
