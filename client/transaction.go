package client

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/althing-ledger/althing/internal/files"
	"github.com/althing-ledger/althing/keys"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// DefaultExpiry is how far ahead a transaction expires unless its draft says otherwise.
const DefaultExpiry = 2 * time.Minute

// MaxClockSkew is how far this machine's clock and the node's may be apart for a transaction to be signed.
const MaxClockSkew = 30 * time.Second

// maxTransaction bounds in bytes what is taken for a transaction. The charter's limit is for the nodes to apply; this one
// keeps a wrong file from filling the memory.
const maxTransaction = 16 << 20

// fileFormat is the version of transaction files that this version writes and reads.
const fileFormat = 1

// Draft is what a transaction should say.
type Draft struct {
	// Operations are applied in this order, all or none. At least one.
	Operations []*ledgerv1.Operation
	// Payer is the account charged for quotas; it signs too. Empty: the account of the first operation.
	Payer string
	// Memo is free text, at most 256 bytes.
	Memo string
	// ExpiresIn is how far ahead the transaction expires. Default [DefaultExpiry].
	ExpiresIn time.Duration
}

// Transaction is a transaction that collects signatures. Its body, and with it its id, never changes. It is not safe for
// concurrent use while it is signed.
type Transaction struct {
	chainID  string
	envelope *ledgerv1.Tx
	decoded  *tx.Tx
}

// NewTransaction makes a transaction without signatures for a network, now being the time that its expiry counts from and
// random the source of its nonce. It asks no node: [Client.Build] also compares the clocks. The error wraps a
// [*tx.Rejection] where every node would refuse the body.
func NewTransaction(chainID string, draft Draft, now time.Time, random io.Reader) (*Transaction, error) {
	if draft.ExpiresIn == 0 {
		draft.ExpiresIn = DefaultExpiry
	}
	if draft.ExpiresIn < 0 {
		return nil, fmt.Errorf("%w: it would expire %v ago", ErrTransaction, -draft.ExpiresIn)
	}
	body, err := tx.NewBody(chainID, now.Add(draft.ExpiresIn), random, draft.Operations...)
	if err != nil {
		return nil, err
	}
	body.Payer, body.Memo = draft.Payer, draft.Memo
	envelope, _, err := tx.Unsigned(body)
	if err != nil {
		return nil, err
	}
	raw, err := envelope.MarshalVTStrict()
	if err != nil {
		return nil, fmt.Errorf("encode the transaction: %w", err)
	}
	return ParseTransaction(chainID, raw)
}

// ParseTransaction reads an encoded Tx of a network, with as many of its signatures as it has so far. The error wraps
// [ErrTransaction] and the [*tx.Rejection] that says what is wrong. Signatures are not verified.
func ParseTransaction(chainID string, raw []byte) (*Transaction, error) {
	limits := tx.Limits{Bytes: maxTransaction, Operations: maxTransaction, Signatures: maxTransaction}
	decoded, err := tx.Decode(chainID, raw, limits)
	missing := errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_MISSING_SIGNATURE})
	if err != nil && !missing {
		return nil, fmt.Errorf("%w: %w", ErrTransaction, err)
	}
	envelope := new(ledgerv1.Tx)
	if err := envelope.UnmarshalVT(raw); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTransaction, err)
	}
	if missing {
		if decoded, err = decodeIncomplete(chainID, envelope, limits); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTransaction, err)
		}
	}
	return &Transaction{chainID: chainID, envelope: envelope, decoded: decoded}, nil
}

// decodeIncomplete decodes a transaction that lacks nothing but signatures, by putting empty ones in their places.
func decodeIncomplete(chainID string, envelope *ledgerv1.Tx, limits tx.Limits) (*tx.Tx, error) {
	body := new(ledgerv1.Body)
	if err := body.UnmarshalVT(envelope.Body); err != nil {
		return nil, err
	}
	_, needed := tx.Signers(body)
	complete := &ledgerv1.Tx{Body: envelope.Body, Signatures: slices.Clone(envelope.Signatures)}
	for _, account := range needed {
		if !hasSigned(envelope, account) {
			complete.Signatures = append(complete.Signatures, &ledgerv1.Signature{Account: account})
		}
	}
	raw, err := complete.MarshalVTStrict()
	if err != nil {
		return nil, err
	}
	return tx.Decode(chainID, raw, limits)
}

func hasSigned(envelope *ledgerv1.Tx, account string) bool {
	return slices.ContainsFunc(envelope.Signatures, func(s *ledgerv1.Signature) bool { return s.Account == account })
}

// ID returns the transaction's id.
func (t *Transaction) ID() tx.ID { return t.decoded.ID }

// ChainID returns the network that the transaction is for.
func (t *Transaction) ChainID() string { return t.chainID }

// Body returns what is signed. It must not be changed.
func (t *Transaction) Body() *ledgerv1.Body { return t.decoded.Body }

// ExpiresAt returns when the transaction expires, in block time.
func (t *Transaction) ExpiresAt() time.Time { return time.Unix(0, t.decoded.ExpiresAt).UTC() }

// Payer returns the account that is charged.
func (t *Transaction) Payer() string { return t.decoded.Payer }

// Signers returns the accounts that must sign, ascending.
func (t *Transaction) Signers() []string { return slices.Clone(t.decoded.Signers) }

// Signatures returns the signatures collected so far. They must not be changed.
func (t *Transaction) Signatures() []*ledgerv1.Signature { return t.envelope.Signatures }

// Missing returns the accounts that must sign and have not signed with any key, ascending.
func (t *Transaction) Missing() []string {
	return slices.DeleteFunc(t.Signers(), func(account string) bool { return hasSigned(t.envelope, account) })
}

// Sign adds the signatures of an account's keys. A key that has signed for the account already is passed over. It returns
// [ErrTransaction] if nothing in the transaction needs the account's signature, because every node would refuse it then.
func (t *Transaction) Sign(account string, with ...keys.PrivateKey) error {
	if !slices.Contains(t.decoded.Signers, account) {
		return fmt.Errorf("%w that %s signs: it needs the signatures of %v", ErrTransaction, account, t.decoded.Signers)
	}
	if len(with) == 0 {
		return fmt.Errorf("%w of %s given to sign with", ErrNoKey, account)
	}
	for _, key := range with {
		if t.signedBy(account, key.Public()) {
			continue
		}
		if err := tx.AddSignature(t.envelope, t.chainID, account, key); err != nil {
			return err
		}
	}
	return nil
}

func (t *Transaction) signedBy(account string, key keys.PublicKey) bool {
	return slices.ContainsFunc(t.envelope.Signatures, func(s *ledgerv1.Signature) bool {
		return s.Account == account && s.Scheme == keysv1.SignatureScheme(key.Scheme()) && slices.Equal(s.PublicKey, key.Bytes())
	})
}

// CheckSignature verifies one of the transaction's signatures against the key that stands in it. Whether the ledger lists
// that key for the account is not looked at.
func (t *Transaction) CheckSignature(s *ledgerv1.Signature) error {
	public, err := keys.ParsePublicKey(keys.Scheme(s.Scheme), s.PublicKey)
	if err != nil {
		return err
	}
	return public.Verify(t.decoded.ID, s.Signature)
}

// Encode returns the bytes to submit.
func (t *Transaction) Encode() ([]byte, error) {
	raw, err := t.envelope.MarshalVTStrict()
	if err != nil {
		return nil, fmt.Errorf("encode the transaction: %w", err)
	}
	return raw, nil
}

// transactionFile is the JSON of a transaction file. Everything but tx is there for people and checked against it.
type transactionFile struct {
	Format    int    `json:"format"`
	ChainID   string `json:"chain_id"`
	ID        string `json:"id"`
	ExpiresAt string `json:"expires_at"`
	Tx        string `json:"tx"`
}

// EncodeFile returns the content of a transaction file.
func (t *Transaction) EncodeFile() ([]byte, error) {
	raw, err := t.Encode()
	if err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(transactionFile{
		Format:    fileFormat,
		ChainID:   t.chainID,
		ID:        t.ID().String(),
		ExpiresAt: t.ExpiresAt().Format(time.RFC3339Nano),
		Tx:        base64.StdEncoding.EncodeToString(raw),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode the transaction file: %w", err)
	}
	return append(data, '\n'), nil
}

// DecodeFile reads the content of a transaction file. It returns [ErrTransaction] for anything that EncodeFile would not
// have written.
func DecodeFile(data []byte) (*Transaction, error) {
	if len(data) > 2*maxTransaction {
		return nil, fmt.Errorf("%w file: more than %d bytes", ErrTransaction, 2*maxTransaction)
	}
	var file transactionFile
	if err := decodeStrict(data, &file); err != nil {
		return nil, fmt.Errorf("%w file: %w", ErrTransaction, err)
	}
	if file.Format != fileFormat {
		return nil, fmt.Errorf("%w file of format %d: it has format %d", ErrTransaction, fileFormat, file.Format)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(file.Tx)
	if err != nil {
		return nil, fmt.Errorf("%w file: tx is not base64", ErrTransaction)
	}
	t, err := ParseTransaction(file.ChainID, raw)
	if err != nil {
		return nil, err
	}
	if file.ID != t.ID().String() || file.ExpiresAt != t.ExpiresAt().Format(time.RFC3339Nano) {
		return nil, fmt.Errorf("%w file: id or expires_at are not those of its tx, which has %s and %s",
			ErrTransaction, t.ID(), t.ExpiresAt().Format(time.RFC3339Nano))
	}
	return t, nil
}

// SaveTransaction writes a transaction file, whole or not at all, in the place of an earlier one.
func SaveTransaction(path string, t *Transaction) error {
	data, err := t.EncodeFile()
	if err != nil {
		return err
	}
	if err := files.Replace(path, data, 0o644); err != nil {
		return fmt.Errorf("save transaction file: %w", err)
	}
	return nil
}

// LoadTransaction reads a transaction file.
func LoadTransaction(path string) (*Transaction, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("load transaction file: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, 2*maxTransaction+1))
	if err != nil {
		return nil, fmt.Errorf("load transaction file: %w", err)
	}
	t, err := DecodeFile(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
