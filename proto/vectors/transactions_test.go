package vectors_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const chain = "demo-0011aabb"

// limits are the defaults of the charter.
var limits = tx.Limits{Bytes: 256 << 10, Operations: 100, Signatures: 64}

type signerVector struct {
	Account    string   `json:"account"`
	Scheme     string   `json:"scheme"`
	PrivateKey hexBytes `json:"private_key"`
	PublicKey  hexBytes `json:"public_key"`
	Signature  hexBytes `json:"signature"`
}

type txVector struct {
	Comment   string         `json:"comment"`
	ChainID   string         `json:"chain_id"`
	Fields    any            `json:"body_fields"` // proto3 JSON of the Body
	Body      hexBytes       `json:"body"`
	ID        hexBytes       `json:"id"` // also the digest that is signed
	Signers   []signerVector `json:"signers"`
	Tx        hexBytes       `json:"tx"`
	TxHash    hexBytes       `json:"tx_hash"`
	ExpiresAt int64          `json:"expires_at_unix_nano"`
	Payer     string         `json:"payer"`
	Needed    []string       `json:"accounts_that_must_sign"`
}

// A signer says who signs with a key of which scheme.
type signer struct {
	account string
	scheme  keys.Scheme
}

func body(nonce byte, operations ...*ledgerv1.Operation) *ledgerv1.Body {
	return &ledgerv1.Body{ChainId: chain, Nonce: bytes.Repeat([]byte{nonce}, tx.NonceSize), Operations: operations,
		ExpiresAt: timestamppb.New(time.Unix(1_900_000_000, 123_456_789))}
}

func transfer(account, asset, to, amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetTransfer{
		AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: amount}}}
}

func transactions(t *testing.T) []txVector {
	t.Helper()
	aliceKey := private(t, keys.SchemeEd25519, "acme/bob").Public()
	version := uint64(0)
	paid := body(3, transfer("acme/alice", "acme/usd", "globex/treasury", "1"))
	paid.Payer, paid.Memo = "initech/bank", "café, 2026-01"
	cases := []struct {
		comment string
		body    *ledgerv1.Body
		signers []signer
	}{
		{"a transfer, Schnorr", body(1, transfer("acme/alice", "acme/usd", "globex/treasury", "1250")),
			[]signer{{"acme/alice", keys.SchemeSchnorr}}},
		{"a transfer, ECDSA", body(1, transfer("acme/alice", "acme/usd", "globex/treasury", "1250")),
			[]signer{{"acme/alice", keys.SchemeECDSA}}},
		{"a transfer, Ed25519", body(1, transfer("acme/alice", "acme/usd", "globex/treasury", "1250")),
			[]signer{{"acme/alice", keys.SchemeEd25519}}},
		{"delivery versus payment: two actors, the largest amount", body(2,
			transfer("acme/alice", "acme/usd", "globex/treasury", "340282366920938463463374607431768211455"),
			transfer("globex/treasury", "globex/gold", "acme/alice", "1")),
			[]signer{{"globex/treasury", keys.SchemeEd25519}, {"acme/alice", keys.SchemeSchnorr}}},
		{"another payer and a memo", paid, []signer{{"acme/alice", keys.SchemeSchnorr}, {"initech/bank", keys.SchemeECDSA}}},
		{"one account, three keys of one secret", body(4, transfer("acme/alice", "acme/usd", "acme/bob", "7")),
			[]signer{{"acme/alice", keys.SchemeSchnorr}, {"acme/alice", keys.SchemeECDSA}, {"acme/alice", keys.SchemeEd25519}}},
		{"a record with a cosigner; expect_version is present and 0", body(5, &ledgerv1.Operation{Account: "acme/alice",
			Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{Record: "acme/invoices/2026-001", ContentType: "text/plain",
				Content: &recordsv1.Put_Data{Data: []byte("paid\n")}, ExpectVersion: &version, Cosigner: "globex/admin"}}}),
			[]signer{{"acme/alice", keys.SchemeSchnorr}, {"globex/admin", keys.SchemeSchnorr}}},
		{"a new account and an asset", body(6,
			&ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_AccountCreate{AccountCreate: &accountsv1.Create{
				Name: "acme/bob", Threshold: 1, Roles: []string{"payer", "writer"}, Keys: []*accountsv1.WeightedKey{{Weight: 1,
					PublicKey: &keysv1.PublicKey{Scheme: keysv1.SignatureScheme(aliceKey.Scheme()), Key: aliceKey.Bytes()}}}}}},
			&ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{
				Asset: "acme/usd", Decimals: 2, Cap: "100000000"}}}),
			[]signer{{"acme/admin", keys.SchemeSchnorr}}},
		{"a hold with a deadline", body(7, &ledgerv1.Operation{Account: "acme/alice", Kind: &ledgerv1.Operation_AssetOpenHold{
			AssetOpenHold: &assetsv1.OpenHold{Asset: "acme/usd", To: "globex/treasury", Amount: "500", Arbiter: "initech/bank",
				Deadline: &timestamppb.Timestamp{Seconds: 1_900_003_600}}}}),
			[]signer{{"acme/alice", keys.SchemeSchnorr}}},
	}
	var all []txVector
	for _, c := range cases {
		envelope, id, err := tx.Unsigned(c.body)
		if err != nil {
			t.Fatal(err)
		}
		v := txVector{Comment: c.comment, ChainID: chain, Fields: asJSON(t, c.body), Body: envelope.Body, ID: id[:]}
		for _, s := range c.signers {
			key := private(t, s.scheme, s.account)
			if err := tx.AddSignature(envelope, chain, s.account, key); err != nil {
				t.Fatal(err)
			}
			v.Signers = append(v.Signers, signerVector{s.account, s.scheme.String(), key.Bytes(), key.Public().Bytes(),
				envelope.Signatures[len(envelope.Signatures)-1].Signature})
		}
		v.Tx = encode(t, envelope)
		decoded, err := tx.Decode(chain, v.Tx, limits)
		if err != nil {
			t.Fatalf("%s: %v", c.comment, err)
		}
		v.TxHash, v.ExpiresAt, v.Payer, v.Needed = decoded.Hash[:], decoded.ExpiresAt, decoded.Payer, decoded.Signers
		all = append(all, v)
	}
	return all
}

func TestTransactions(t *testing.T) {
	golden(t, "transactions.json", transactions(t))
}

// TestTransactionFormulas makes every value of the file from the ones before it, by the README's formulas.
func TestTransactionFormulas(t *testing.T) {
	var all []txVector
	load(t, "transactions.json", &all)
	ids := map[string]string{}
	for _, v := range all {
		t.Run(v.Comment, func(t *testing.T) {
			fields, err := json.Marshal(v.Fields)
			if err != nil {
				t.Fatal(err)
			}
			b := new(ledgerv1.Body)
			if err := protojson.Unmarshal(fields, b); err != nil {
				t.Fatal(err)
			}
			// In ascending order of field numbers; google.golang.org/protobuf would put members of a oneof last.
			if raw, err := b.MarshalVTStrict(); err != nil || !bytes.Equal(raw, v.Body) {
				t.Errorf("the fields encode to %x, %v; the file has %x", raw, err, []byte(v.Body))
			}
			id := plainTagged("althing/tx/v1", be32(uint32(len(v.ChainID))), []byte(v.ChainID), v.Body)
			if !bytes.Equal(id, v.ID) {
				t.Errorf("id %x, the file has %x", id, []byte(v.ID))
			}
			envelope := &ledgerv1.Tx{Body: v.Body}
			for _, s := range v.Signers {
				scheme := keysv1.SignatureScheme(keysv1.SignatureScheme_value["SIGNATURE_SCHEME_"+strings.ToUpper(s.Scheme)])
				key, err := keys.ParsePublicKey(keys.Scheme(scheme), s.PublicKey)
				if err != nil {
					t.Fatal(err)
				}
				if err := key.Verify([32]byte(v.ID), s.Signature); err != nil {
					t.Errorf("%s: %v", s.Account, err)
				}
				envelope.Signatures = append(envelope.Signatures, &ledgerv1.Signature{
					Account: s.Account, PublicKey: s.PublicKey, Scheme: scheme, Signature: s.Signature})
			}
			if raw := encode(t, envelope); !bytes.Equal(raw, v.Tx) {
				t.Errorf("the parts encode to %x, the file has %x", raw, []byte(v.Tx))
			}
			if h := sha256.Sum256(v.Tx); !bytes.Equal(h[:], v.TxHash) {
				t.Errorf("hash %x, the file has %x", h, []byte(v.TxHash))
			}
			// The first three differ in their signatures alone, and are one transaction.
			key := hex.EncodeToString(v.Body)
			if before, ok := ids[key]; ok && before != hex.EncodeToString(v.ID) {
				t.Error("one body has two ids")
			}
			ids[key] = hex.EncodeToString(v.ID)
			if !proto.Equal(b, mustDecode(t, v.Tx).Body) {
				t.Error("the transaction decodes to other fields")
			}
		})
	}
}

func mustDecode(t *testing.T, raw []byte) *tx.Tx {
	t.Helper()
	decoded, err := tx.Decode(chain, raw, limits)
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}
