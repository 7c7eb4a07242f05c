package tx

import (
	"fmt"
	"io"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// NewBody returns a body with a fresh nonce from random.
func NewBody(chainID string, expiresAt time.Time, random io.Reader, operations ...*ledgerv1.Operation) (*ledgerv1.Body, error) {
	nonce := make([]byte, NonceSize)
	if _, err := io.ReadFull(random, nonce); err != nil {
		return nil, fmt.Errorf("draw a nonce: %w", err)
	}
	return &ledgerv1.Body{ChainId: chainID, Nonce: nonce, ExpiresAt: timestamppb.New(expiresAt), Operations: operations}, nil
}

// Unsigned encodes a body once and for all and returns the transaction that signatures are added to, and its id.
func Unsigned(body *ledgerv1.Body) (*ledgerv1.Tx, ID, error) {
	raw, err := body.MarshalVTStrict()
	if err != nil {
		return nil, ID{}, fmt.Errorf("encode the body: %w", err)
	}
	return &ledgerv1.Tx{Body: raw}, IDOf(body.ChainId, raw), nil
}

// AddSignature signs the transaction for an account with one of its keys.
func AddSignature(t *ledgerv1.Tx, chainID, account string, key keys.PrivateKey) error {
	signature, err := key.Sign(IDOf(chainID, t.Body))
	if err != nil {
		return fmt.Errorf("sign for %s: %w", account, err)
	}
	public := key.Public()
	t.Signatures = append(t.Signatures, &ledgerv1.Signature{
		Account:   account,
		PublicKey: public.Bytes(),
		Scheme:    keysv1.SignatureScheme(public.Scheme()),
		Signature: signature,
	})
	return nil
}
