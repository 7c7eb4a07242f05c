package tx

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

const chain = "demo-0011aabb"

var defaults = Limits{Bytes: 256 << 10, Operations: 100, Signatures: 64}

// expiry is a time whose encoding has both seconds and nanoseconds.
var expiry = time.Unix(1_900_000_000, 500_000_000)

func testKey(t testing.TB, scheme keys.Scheme, seed byte) keys.PrivateKey {
	t.Helper()
	key, err := keys.ParsePrivateKey(scheme, bytes.Repeat([]byte{seed}, keys.PrivateKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func transfer(account, to, amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetTransfer{
		AssetTransfer: &assetsv1.Transfer{Asset: "acme/usd", To: to, Amount: amount}}}
}

func put(account, cosigner string) *ledgerv1.Operation {
	version := uint64(0)
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
		Record: "acme/invoices/1", ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("paid")},
		ExpectVersion: &version, Cosigner: cosigner}}}
}

// create has the deepest nesting of the schema.
func create(account string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AccountCreate{AccountCreate: &accountsv1.Create{
		Name: "acme/bob", Threshold: 1, Roles: []string{"issuer", "payer"}, Keys: []*accountsv1.WeightedKey{{Weight: 300,
			PublicKey: &keysv1.PublicKey{Scheme: keysv1.SignatureScheme_SIGNATURE_SCHEME_SCHNORR, Key: bytes.Repeat([]byte{7}, 32)}}}}}}
}

func body(operations ...*ledgerv1.Operation) *ledgerv1.Body {
	return &ledgerv1.Body{ChainId: chain, Nonce: bytes.Repeat([]byte{5}, NonceSize), ExpiresAt: timestamppb.New(expiry),
		Operations: operations}
}

// signed encodes a body with a Schnorr signature for each account.
func signed(t testing.TB, b *ledgerv1.Body, accounts ...string) *ledgerv1.Tx {
	t.Helper()
	envelope, _, err := Unsigned(b)
	if err != nil {
		t.Fatal(err)
	}
	for i, account := range accounts {
		if err := AddSignature(envelope, b.ChainId, account, testKey(t, keys.SchemeSchnorr, byte(i+1))); err != nil {
			t.Fatal(err)
		}
	}
	return envelope
}

func encode(t testing.TB, m proto.Message) []byte {
	t.Helper()
	raw, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// rich is a transaction that uses every level of nesting and every kind of scalar.
func rich(t testing.TB) []byte {
	t.Helper()
	return encode(t, signed(t, body(transfer("acme/alice", "globex/treasury", "1250"), put("globex/admin", "initech/admin"),
		create("acme/alice")), "acme/alice", "globex/admin", "initech/admin"))
}

func bytesField(b []byte, number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), content)
}

func varintField(b []byte, number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

// long appends v with one byte more than it needs.
func long(b []byte, v uint64) []byte {
	b = protowire.AppendVarint(b, v)
	b[len(b)-1] |= 0x80
	return append(b, 0)
}

func wantCode(t *testing.T, raw []byte, limits Limits, want Code) {
	t.Helper()
	got, err := Decode(chain, raw, limits)
	code, known := CodeOf(err)
	if !known {
		t.Fatalf("Decode: %v is no rejection", err)
	}
	if code != want {
		t.Fatalf("Decode: %s (%v), want %s", Reason(code), err, Reason(want))
	}
	if (got == nil) != (err != nil) {
		t.Fatalf("Decode returned %v with the error %v", got, err)
	}
}
