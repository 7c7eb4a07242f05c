package tx

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// NonceSize is the length of a body's nonce in bytes.
const NonceSize = 16

// MaxMemo is the length of the longest memo in bytes.
const MaxMemo = 256

// ID names a transaction: the digest that its signatures sign.
type ID [32]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ParseID reads the 64 hex digits that [ID.String] prints.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("%.80q is no transaction id: it has 64 hex digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("%.80q is no transaction id: %w", s, err)
	}
	return id, nil
}

// IDOf returns the id of a body on a network, which is also the digest that every scheme signs.
func IDOf(chainID string, body []byte) ID {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(chainID)))
	return keys.TaggedHash("althing/tx/v1", size[:], []byte(chainID), body)
}

// EventsHash returns the hash of an encoded EventList that a result commits to.
func EventsHash(events []byte) [32]byte { return keys.TaggedHash("althing/events/v1", events) }

// Limits bounds what [Decode] accepts. They come from the charter.
type Limits struct {
	Bytes      uint64 // of the whole transaction
	Operations uint32
	Signatures uint32
}

// Tx is a decoded transaction. It is read only.
type Tx struct {
	Raw        []byte   // the slice that was given to [Decode], which must not change any more
	Hash       [32]byte // SHA-256 of Raw: these exact bytes, signatures included
	ID         ID
	Body       *ledgerv1.Body
	Signatures []*ledgerv1.Signature
	ExpiresAt  int64    // nanoseconds since 1970, UTC
	Payer      string   // the account charged
	PayerOrg   string   // its organisation
	Signers    []string // accounts whose authority the transaction needs, ascending
	Parts      int      // messages and elements of repeated fields in it, see [MaxParts]
}

// Decode reads a transaction that was made for the given network. Errors are always a [*Rejection].
//
// What is checked here needs no state: the encoding, the limits, the network, the shape of the envelope, and that the
// accounts that sign are those that are needed. Whether a signature is right and a key listed is for others to say, and so
// is whether the time of expiry suits the clock.
//
// The same transaction has several encodings that are accepted: signatures may stand in any order, fields too, and a default
// may be written out. They share an id, because the id covers the bytes of the body alone; Hash tells them apart.
func Decode(chainID string, raw []byte, limits Limits) (*Tx, error) {
	if uint64(len(raw)) > limits.Bytes {
		return nil, Reject(ledgerv1.Code_CODE_TOO_LARGE, "the transaction has %d bytes, the charter allows %d: split it", len(raw), limits.Bytes)
	}
	parts := MaxParts
	if err := txShape.check(raw, maxDepth, &parts); err != nil {
		return nil, err
	}
	envelope := new(ledgerv1.Tx)
	if err := envelope.UnmarshalVT(raw); err != nil {
		return nil, Reject(ledgerv1.Code_CODE_MALFORMED, "decode the transaction: %v", err)
	}
	if len(envelope.Body) == 0 {
		return nil, Reject(ledgerv1.Code_CODE_MALFORMED, "the transaction has no body: encode an althing.ledger.v1.Tx")
	}
	if err := bodyShape.check(envelope.Body, maxDepth, &parts); err != nil {
		return nil, err
	}
	body := new(ledgerv1.Body)
	if err := body.UnmarshalVT(envelope.Body); err != nil {
		return nil, Reject(ledgerv1.Code_CODE_MALFORMED, "decode the body: %v", err)
	}
	if body.ChainId != chainID {
		return nil, Reject(ledgerv1.Code_CODE_WRONG_CHAIN, "the transaction is for network %.60q, this is %s: sign it again for this one",
			body.ChainId, chainID)
	}
	t := &Tx{Raw: raw, Hash: sha256.Sum256(raw), ID: IDOf(chainID, envelope.Body), Body: body, Signatures: envelope.Signatures,
		Parts: MaxParts - parts}
	if err := t.checkBody(limits); err != nil {
		return nil, err
	}
	if err := t.checkSigners(limits); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Tx) checkBody(limits Limits) error {
	body := t.Body
	if len(body.Nonce) != NonceSize {
		return Reject(ledgerv1.Code_CODE_BAD_FIELD, "the nonce has %d bytes instead of %d random ones", len(body.Nonce), NonceSize)
	}
	at := body.ExpiresAt
	if at == nil || at.CheckValid() != nil || at.Seconds < 0 || at.Seconds > math.MaxInt64/int64(time.Second)-1 {
		return Reject(ledgerv1.Code_CODE_BAD_FIELD, "expires_at is missing or no time between 1970 and 2262")
	}
	t.ExpiresAt = at.Seconds*int64(time.Second) + int64(at.Nanos)
	if len(body.Memo) > MaxMemo {
		return Reject(ledgerv1.Code_CODE_TOO_LARGE, "the memo has %d bytes, %d are allowed", len(body.Memo), MaxMemo)
	}
	if len(body.Operations) == 0 {
		return Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION, "the transaction has no operation: put in at least one")
	}
	if uint64(len(body.Operations)) > uint64(limits.Operations) {
		return Reject(ledgerv1.Code_CODE_TOO_LARGE, "the transaction has %d operations, the charter allows %d: split it", len(body.Operations), limits.Operations)
	}
	for i, op := range body.Operations {
		if _, err := names.Account(op.Account); err != nil {
			return Reject(ledgerv1.Code_CODE_BAD_NAME, "operation %d acts for nobody: %v", i, err)
		}
		if op.Kind == nil {
			return Reject(ledgerv1.Code_CODE_UNKNOWN_OPERATION, "operation %d says nothing this version knows: choose a kind", i)
		}
		if cosigner := op.GetRecordPut().GetCosigner(); cosigner != "" {
			if _, err := names.Account(cosigner); err != nil {
				return Reject(ledgerv1.Code_CODE_BAD_NAME, "cosigner of operation %d: %v", i, err)
			}
		}
	}
	t.Payer, t.Signers = Signers(body)
	org, err := names.Account(t.Payer)
	if err != nil {
		return Reject(ledgerv1.Code_CODE_BAD_NAME, "payer: %v", err)
	}
	t.PayerOrg = org
	return nil
}

// Signers returns the account that is charged for a body, empty if it has neither a payer nor an operation, and all
// accounts that have to sign it, ascending: who acts, who cosigns, who pays.
func Signers(body *ledgerv1.Body) (payer string, accounts []string) {
	if payer = body.Payer; payer == "" && len(body.Operations) > 0 {
		payer = body.Operations[0].Account
	}
	accounts = append(make([]string, 0, len(body.Operations)+1), payer)
	for _, op := range body.Operations {
		accounts = append(accounts, op.Account)
		if cosigner := op.GetRecordPut().GetCosigner(); cosigner != "" {
			accounts = append(accounts, cosigner)
		}
	}
	slices.Sort(accounts)
	return payer, slices.Compact(accounts)
}

func (t *Tx) checkSigners(limits Limits) error {
	if uint64(len(t.Signatures)) > uint64(limits.Signatures) {
		return Reject(ledgerv1.Code_CODE_TOO_LARGE, "the transaction has %d signatures, the charter allows %d", len(t.Signatures), limits.Signatures)
	}
	signed := 0
	for i, s := range t.Signatures {
		if _, needed := slices.BinarySearch(t.Signers, s.Account); !needed {
			return Reject(ledgerv1.Code_CODE_SURPLUS_SIGNATURE, "%.70q signs, but no operation needs it: take its signature out", s.Account)
		}
		first := true
		for _, earlier := range t.Signatures[:i] {
			if earlier.Account != s.Account {
				continue
			}
			first = false
			if earlier.Scheme == s.Scheme && string(earlier.PublicKey) == string(s.PublicKey) {
				return Reject(ledgerv1.Code_CODE_SURPLUS_SIGNATURE, "%s signs twice with the same key: take one signature out", s.Account)
			}
		}
		if first {
			signed++
		}
	}
	if signed < len(t.Signers) {
		for _, account := range t.Signers {
			if !slices.ContainsFunc(t.Signatures, func(s *ledgerv1.Signature) bool { return s.Account == account }) {
				return Reject(ledgerv1.Code_CODE_MISSING_SIGNATURE, "the signature of %s is missing", account)
			}
		}
	}
	return nil
}
