package verify

import (
	"bytes"
	"crypto/sha256"
	"fmt"

	"github.com/cometbft/cometbft/types"

	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// ReceiptFormat is the version of receipts that is written and read.
const ReceiptFormat = 1

const (
	// receiptMagic is what a receipt file begins with.
	receiptMagic = "althrcpt"
	// maxReceipt bounds a receipt file in bytes.
	maxReceipt = 64 << 20
	// maxBetween is how many headers may stand between a transaction and an anchor.
	maxBetween = 10_000
)

// EncodeReceipt returns a receipt file: the magic, then the message in its canonical encoding. It checks the form and proves
// nothing.
func EncodeReceipt(r *proofv1.Receipt) ([]byte, error) {
	encoded, err := r.MarshalVTStrict()
	if err != nil {
		return nil, errorf(ErrMalformed, "encode a receipt: %v", err)
	}
	file := append([]byte(receiptMagic), encoded...)
	if _, err := DecodeReceipt(file); err != nil {
		return nil, err
	}
	return file, nil
}

// DecodeReceipt reads a receipt file, bounded and strictly. It proves nothing: [Receipt] does.
func DecodeReceipt(file []byte) (*proofv1.Receipt, error) {
	if len(file) > maxReceipt {
		return nil, errorf(ErrTooLarge, "a receipt of %d bytes: at most %d are read", len(file), maxReceipt)
	}
	encoded, found := bytes.CutPrefix(file, []byte(receiptMagic))
	if !found {
		return nil, errorf(ErrMalformed, "it is no receipt: it does not begin with %s", receiptMagic)
	}
	r := new(proofv1.Receipt)
	if err := fewParts(encoded, r.ProtoReflect().Descriptor()); err != nil {
		return nil, err
	}
	if err := r.UnmarshalVT(encoded); err != nil {
		return nil, errorf(ErrMalformed, "decode a receipt: %v", err)
	}
	if r.Format != ReceiptFormat {
		return nil, errorf(ErrFormat, "the receipt has format %d, this program reads %d", r.Format, ReceiptFormat)
	}
	if err := decodeStrict(encoded, new(proofv1.Receipt), "a receipt"); err != nil {
		return nil, err
	}
	return r, nil
}

// ReceiptOptions say what a receipt is checked against.
type ReceiptOptions struct {
	GenesisHash []byte // 32 bytes; empty: the embedded one is reported and nothing is pinned
	// AnchorHeight, with AnchorHash (32 bytes), is a header that the caller trusts; 0 for none. The receipt must have that very
	// header: of the transaction's block, the next one, one of a change of validators, or one that its anchor leads to.
	AnchorHeight uint64
	AnchorHash   []byte
}

func (o ReceiptOptions) validate() error {
	if n := len(o.GenesisHash); n != 0 && n != sha256.Size {
		return errorf(ErrMalformed, "the genesis hash to check against has %d bytes, not %d", n, sha256.Size)
	}
	if n := len(o.AnchorHash); (o.AnchorHeight == 0) != (n == 0) || (n != 0 && n != sha256.Size) {
		return errorf(ErrMalformed, "the header to trust has height %d and a hash of %d bytes: give both, the hash with %d", o.AnchorHeight, n, sha256.Size)
	}
	return nil
}

// Receipt checks a receipt file. Nothing but the file and the options is looked at.
//
// An anchor that the caller gives is where trust begins. The lineage before it is checked all the same, but what it says could be
// false without harm: see [Report.NotProven] for what is left to believe.
func Receipt(file []byte, options ReceiptOptions) (*Report, error) {
	if err := options.validate(); err != nil {
		return nil, err
	}
	r, err := DecodeReceipt(file)
	if err != nil {
		return nil, err
	}
	genesis := sha256.Sum256(r.GetLineage().GetGenesis())
	if len(options.GenesisHash) > 0 && !bytes.Equal(options.GenesisHash, genesis[:]) {
		return nil, errorf(ErrWrongNetwork, "the receipt begins with the genesis hash %x, not with %x", genesis, options.GenesisHash)
	}
	trust := NewTrust(r.ChainId, genesis)
	if err := trust.Extend(r.Lineage); err != nil {
		return nil, fmt.Errorf("lineage: %w", err)
	}
	proven, signed, err := trust.transaction(r.Transaction)
	if err != nil {
		return nil, fmt.Errorf("transaction: %w", err)
	}
	c := &chain{trust: trust, hashes: make(map[uint64]*Header), first: proven.Header.Height, last: signed.Height}
	for _, h := range []*Header{proven.Header, signed.Header} {
		if err := c.add(h); err != nil {
			return nil, err
		}
	}
	if r.Anchor != nil {
		if err := c.anchor(r.Anchor, signed.Header); err != nil {
			return nil, fmt.Errorf("anchor: %w", err)
		}
	}
	if err := c.lineage(); err != nil {
		return nil, fmt.Errorf("lineage: %w", err)
	}
	report := &Report{
		ChainID:       r.ChainId,
		GenesisHash:   genesis,
		GenesisPinned: len(options.GenesisHash) > 0,
		Transaction:   proven,
		Changes:       len(r.Lineage.Links),
		Validators:    signed.by.set.Size(),
		TotalPower:    uint64(signed.by.set.TotalVotingPower()),
	}
	report.countSigners(signed, trust.owners)
	if options.AnchorHeight != 0 {
		h := c.hashes[options.AnchorHeight]
		if h == nil {
			return nil, errorf(ErrAnchor, "the receipt has no header of height %d, which you trust", options.AnchorHeight)
		}
		if !bytes.Equal(h.Hash, options.AnchorHash) {
			return nil, errorf(ErrAnchor, "header %d has the hash %x, you trust %x", h.Height, h.Hash, options.AnchorHash)
		}
		report.Anchored = true
	}
	report.say(options, c)
	return report, nil
}

// chain is the headers of a receipt: those that name one another, and those of the lineage.
type chain struct {
	trust  *Trust
	hashes map[uint64]*Header
	// first and last are the ends of the headers that name one another.
	first, last uint64
}

// add takes a header. There can be one of each height.
func (c *chain) add(h *Header) error {
	if other := c.hashes[h.Height]; other != nil && !bytes.Equal(other.Hash, h.Hash) {
		return errorf(ErrConflict, "the receipt has two headers of height %d", h.Height)
	}
	c.hashes[h.Height] = h
	return nil
}

// anchor checks the headers from the transaction's signed header to an anchor, later or earlier.
func (c *chain) anchor(a *proofv1.Anchor, signed *Header) error {
	if len(a.Between) > maxBetween {
		return errorf(ErrTooLarge, "%d headers to the anchor: at most %d are followed", len(a.Between), maxBetween)
	}
	anchor, err := c.trust.header(a.Signed)
	if err != nil {
		return err
	}
	if anchor.Height == signed.Height {
		return errorf(ErrSurplus, "the anchor is the transaction's signed header")
	}
	run := make([]*Header, 0, len(a.Between)+2)
	for _, raw := range a.Between {
		h, err := parseHeader(raw, c.trust.chainID)
		if err != nil {
			return err
		}
		if _, err := fits(h, c.trust.known()); err != nil {
			return err
		}
		run = append(run, h)
	}
	if anchor.Height > signed.Height {
		run = append(append([]*Header{signed}, run...), anchor.Header)
	} else {
		run = append(append([]*Header{anchor.Header}, run...), signed)
	}
	for i, h := range run {
		if i > 0 {
			if err := h.follows(run[i-1]); err != nil {
				return err
			}
		}
		if err := c.add(h); err != nil {
			return err
		}
	}
	c.first, c.last = min(c.first, anchor.Height), max(c.last, anchor.Height)
	return nil
}

// lineage checks that no change of the validators stands after the highest header, and that the headers of changes are those of
// the chain where it has the same heights. That none is missing follows from the signatures: header by header they are checked
// against the set of their height. A change that the highest header itself announces may be there or not: a node may not know
// it yet.
func (c *chain) lineage() error {
	sets := c.trust.known()
	for _, set := range sets[1:] {
		if set.announced.Height > c.last {
			return errorf(ErrSurplus, "the change at height %d is after header %d, the highest that has to be checked", set.announced.Height, c.last)
		}
		if err := c.add(set.announced); err != nil {
			return err
		}
	}
	return nil
}

// countSigners lists who signed a header.
func (r *Report) countSigners(h *signedHeader, owners map[string]owner) {
	for i, s := range h.commit.Signatures {
		if s.BlockIDFlag != types.BlockIDFlagCommit {
			continue
		}
		v := h.by.set.Validators[i]
		of := owners[string(v.PubKey.Bytes())]
		r.Signers = append(r.Signers, Signer{
			PublicKey: bytes.Clone(v.PubKey.Bytes()), Power: uint64(v.VotingPower), Time: s.Timestamp, Name: of.name, Org: of.org,
		})
		r.SignedPower += uint64(v.VotingPower)
	}
}
