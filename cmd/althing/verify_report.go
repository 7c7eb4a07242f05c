package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/verify"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// verdict is what `verify` prints. What a file does not prove is null.
type verdict struct {
	// Verified says that all holds that was asked for; Problem is what does not.
	Verified bool   `json:"verified"`
	Problem  string `json:"problem"`
	File     string `json:"file"`
	// Kind is `receipt` or `cose`; empty for what is neither.
	Kind          string `json:"kind"`
	ChainID       string `json:"chain_id"`
	GenesisHash   string `json:"genesis_hash"`
	GenesisPinned bool   `json:"genesis_pinned"`
	// PinnedBy says where the hash comes from that the receipt's was compared with.
	PinnedBy         string             `json:"pinned_by"`
	TrustedHeader    *headerView        `json:"trusted_header"`
	Transaction      *provenTransaction `json:"transaction"`
	State            []stateEntry       `json:"state"`
	Document         *documentView      `json:"document"`
	Signed           *signedView        `json:"signed"`
	ValidatorChanges int                `json:"validator_changes"`
	Attestation      *attestationView   `json:"attestation"`
	NotProven        []string           `json:"not_proven"`

	eventWords []string
	opWords    []string
}

// headerView names a block header.
type headerView struct {
	Height uint64 `json:"height"`
	Hash   string `json:"hash"`
}

// provenTransaction is a transaction of which all that is printed is proven. No header commits to the message of an outcome
// nor to the operation that failed: they stay empty.
type provenTransaction struct {
	outcome
	Index uint32 `json:"index"`
	// IndexProven says whether it is proven to be that place in the block, or only said to be.
	IndexProven bool            `json:"index_proven"`
	BlockHash   string          `json:"block_hash"`
	Payer       string          `json:"payer"`
	Memo        string          `json:"memo"`
	ExpiresAt   string          `json:"expires_at"`
	Operations  []object        `json:"operations"`
	Signatures  []signatureView `json:"signatures"`
}

type signatureView struct {
	Account   string `json:"account"`
	Scheme    string `json:"scheme"`
	PublicKey string `json:"public_key"`
	Good      bool   `json:"good"`
}

// signedView is who signed the header on which a receipt hangs.
type signedView struct {
	headerView
	Time string `json:"time"`
	// Count of those who signed, of so many validators, and their voting power.
	Count      int          `json:"count"`
	Validators int          `json:"validators"`
	Power      uint64       `json:"power"`
	TotalPower uint64       `json:"total_power"`
	Signers    []signerView `json:"signers"`
}

// signerView is a validator that signed. Name and org are those of the genesis document; empty for a key that came later.
type signerView struct {
	Name      string `json:"name"`
	Org       string `json:"org"`
	PublicKey string `json:"public_key"`
	Power     uint64 `json:"power"`
	Time      string `json:"time"`
}

// documentView is a document that a transaction may have recorded. Record, version and operation are those that match.
type documentView struct {
	File      string `json:"file"`
	SHA256    string `json:"sha256"`
	Size      uint64 `json:"size"`
	Matches   bool   `json:"matches"`
	Record    string `json:"record"`
	Version   uint64 `json:"version"`
	Operation int    `json:"operation"`
}

// fill puts what a receipt proves into the view.
func (v *verdict) fill(ctx context.Context, r *verify.Report, receipt *proofv1.Receipt, p pins) error {
	v.ChainID, v.GenesisHash, v.GenesisPinned = r.ChainID, hex.EncodeToString(r.GenesisHash[:]), r.GenesisPinned
	if r.GenesisPinned {
		v.PinnedBy = p.by
	}
	if r.Anchored {
		v.TrustedHeader = &headerView{p.AnchorHeight, hex.EncodeToString(p.AnchorHash)}
	}
	v.ValidatorChanges, v.NotProven = r.Changes, append(v.NotProven, r.NotProven...)
	v.Signed = signedOf(r)

	// Amounts have the decimals of assets that the receipt itself proves.
	u, t := new(units), r.Transaction
	state, err := provenState(ctx, u, t)
	if err != nil {
		return receiptError(v.File, err)
	}
	v.State = state
	result := resultOf(t.Outcome)
	result.ID = t.ID
	printed, events, err := outcomeOf(ctx, u, result)
	if err != nil {
		return receiptError(v.File, err)
	}
	printed.Message, printed.FailedOperation = "", -1
	v.Transaction = &provenTransaction{
		outcome: printed, Index: t.Index, IndexProven: t.PlaceProven, BlockHash: hex.EncodeToString(t.Header.Hash), Operations: []object{}, Signatures: []signatureView{},
	}
	for _, e := range events {
		v.eventWords = append(v.eventWords, eventWords(ctx, u, e))
	}
	parsed, err := client.ParseTransaction(r.ChainID, receipt.GetTransaction().GetTx())
	if err != nil {
		return nil // bytes that every node refuses stand in a block all the same, and say nothing
	}
	v.addContent(ctx, u, parsed)
	return nil
}

// addContent says what a transaction wanted, and who signed it.
func (v *verdict) addContent(ctx context.Context, u *units, t *client.Transaction) {
	p := v.Transaction
	p.Payer, p.Memo, p.ExpiresAt = t.Payer(), t.Body().Memo, t.ExpiresAt().Format(timeFormat)
	for _, op := range t.Body().Operations {
		p.Operations = append(p.Operations, u.render(ctx, op))
		v.opWords = append(v.opWords, operationWords(ctx, u, op))
	}
	for _, s := range t.Signatures() {
		p.Signatures = append(p.Signatures, signatureView{s.Account, schemeOf(s), hex.EncodeToString(s.PublicKey), t.CheckSignature(s) == nil})
	}
}

func signedOf(r *verify.Report) *signedView {
	h := r.Transaction.Signed
	v := &signedView{
		headerView: headerView{h.Height, hex.EncodeToString(h.Hash)}, Time: utc(h.Time),
		Count: len(r.Signers), Validators: r.Validators, Power: r.SignedPower, TotalPower: r.TotalPower, Signers: []signerView{},
	}
	for _, one := range r.Signers {
		v.Signers = append(v.Signers, signerView{one.Name, one.Org, hex.EncodeToString(one.PublicKey), one.Power, utc(one.Time)})
	}
	return v
}

// text says it in words.
func (v *verdict) text(out io.Writer) {
	if v.Kind == kindCOSE {
		v.Attestation.text(out, v.File)
	} else {
		v.receiptText(out)
	}
	if v.Document != nil && v.Document.Matches {
		d := v.Document
		fmt.Fprintf(out, "\nDOCUMENT\n  %s is what version %d of %s records:\n  SHA-256 %s, %s\n", d.File, d.Version, d.Record, d.SHA256, plural(d.Size, "byte"))
	}
	if len(v.NotProven) > 0 {
		fmt.Fprintln(out, "\nNOT PROVEN")
		for _, text := range v.NotProven {
			fmt.Fprintln(out, "  - "+text)
		}
	}
}

func (v *verdict) receiptText(out io.Writer) {
	t := v.Transaction
	if t.Code == int32(ledgerv1.Code_CODE_OK) {
		fmt.Fprintf(out, "%s holds: the transaction was committed.\n", v.File)
	} else {
		fmt.Fprintf(out, "%s holds: the transaction was REJECTED, with %s. It changed nothing.\n", v.File, t.Reason)
	}
	fmt.Fprintf(out, "\nTRANSACTION\n  id %s\n  network %s, block %d, at %s\n", t.ID, v.ChainID, t.Height, t.Time)
	if t.Memo != "" {
		fmt.Fprintf(out, "  memo %q\n", t.Memo)
	}
	for i, words := range v.opWords {
		fmt.Fprintf(out, "  %d. %s\n", i+1, words)
	}
	if len(v.opWords) == 0 {
		fmt.Fprintln(out, "  its bytes are no transaction that the ledger understands")
	}
	for _, s := range t.Signatures {
		if s.Good {
			fmt.Fprintf(out, "  signed for %s by %s key %.16s…\n", s.Account, s.Scheme, s.PublicKey)
		} else {
			fmt.Fprintf(out, "  a bad signature for %s by %s key %.16s…\n", s.Account, s.Scheme, s.PublicKey)
		}
	}
	if len(v.eventWords) > 0 {
		fmt.Fprintln(out, "\nEFFECTS")
		for _, words := range v.eventWords {
			fmt.Fprintln(out, "  "+words)
		}
	}
	if v.State != nil {
		fmt.Fprintf(out, "\nSTATE after block %d\n", t.Height)
		for _, entry := range v.State {
			fmt.Fprintln(out, "  "+entry.words)
		}
	}
	v.signedText(out)
}

// signedText says by whom all that is proven.
func (v *verdict) signedText(out io.Writer) {
	s := v.Signed
	fmt.Fprintf(out, "\nPROVEN BY\n  %d of %s, %s of the power, who signed block %d of %s\n", s.Count, plural(s.Validators, "validator"),
		share(s.Power, s.TotalPower), s.Height, s.Time)
	for _, one := range s.Signers {
		name := "validator " + one.PublicKey[:min(16, len(one.PublicKey))] + "…, which joined later than the genesis"
		if one.Name != "" {
			name = one.Name + " of " + one.Org
		}
		fmt.Fprintf(out, "  %s, power %d, at %s\n", name, one.Power, one.Time)
	}
	switch v.ValidatorChanges {
	case 0:
		fmt.Fprintln(out, "  They are the validators of the genesis document.")
	case 1:
		fmt.Fprintln(out, "  One change of the validators leads from the genesis document to them; those before signed it.")
	default:
		fmt.Fprintf(out, "  %d changes of the validators lead from the genesis document to them; those before signed each.\n", v.ValidatorChanges)
	}
	if v.TrustedHeader != nil {
		fmt.Fprintf(out, "  It leads to the header of block %d that you trust.\n", v.TrustedHeader.Height)
	}
	fmt.Fprintf(out, "\nGENESIS\n  %s\n", v.GenesisHash)
	if v.GenesisPinned {
		fmt.Fprintf(out, "  It is the one that %s says.\n", v.PinnedBy)
	} else {
		fmt.Fprintln(out, "  NOT PINNED: it was taken from the receipt itself. Compare it with the genesis hash of the network as somebody you\n"+
			"  trust tells it, or say that with --genesis HASH: without it, anybody can make a network and a receipt of it.")
	}
}

// share returns a part of a whole as a fraction in lowest terms, or in percent where that is no simple one.
func share(part, whole uint64) string {
	a, b := part, whole
	for b != 0 {
		a, b = b, a%b
	}
	if part == 0 {
		return "none"
	}
	switch {
	case part == whole:
		return "all"
	case whole/a <= 100:
		return fmt.Sprintf("%d/%d", part/a, whole/a)
	default:
		return fmt.Sprintf("%.1f %%", 100*float64(part)/float64(whole))
	}
}

// utc returns a time as it is printed.
func utc(t time.Time) string { return t.UTC().Format(timeFormat) }
