package vectors_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

type refusedVector struct {
	Comment string   `json:"comment"`
	ChainID string   `json:"chain_id"`
	Tx      hexBytes `json:"tx"`
	Code    int32    `json:"code"`
	Reason  string   `json:"reason"`
}

func field(b []byte, number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, number, protowire.BytesType), content)
}

func number(b []byte, number protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, number, protowire.VarintType), v)
}

func refused(t *testing.T) []refusedVector {
	t.Helper()
	const alice = "acme/alice"
	var all []refusedVector
	add := func(comment string, raw []byte) {
		_, err := tx.Decode(chain, raw, limits)
		code, ok := tx.CodeOf(err)
		if !ok || code == ledgerv1.Code_CODE_OK {
			t.Fatalf("%s: %v", comment, err)
		}
		all = append(all, refusedVector{comment, chain, raw, int32(code), tx.Reason(code)})
	}
	sign := func(b *ledgerv1.Body, accounts ...string) *ledgerv1.Tx {
		envelope, _, err := tx.Unsigned(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, account := range accounts {
			if err := tx.AddSignature(envelope, b.ChainId, account, private(t, keys.SchemeSchnorr, account)); err != nil {
				t.Fatal(err)
			}
		}
		return envelope
	}
	valid := func() *ledgerv1.Body { return body(1, transfer(alice, "acme/usd", "globex/treasury", "1250")) }
	change := func(comment string, f func(*ledgerv1.Body)) {
		b := valid()
		f(b)
		add(comment, encode(t, sign(b, alice)))
	}
	good := encode(t, sign(valid(), alice))
	raw := sign(valid()).Body
	inBody := func(raw []byte) []byte { return field(nil, 1, raw) }

	add("no bytes at all", nil)
	add("the last byte is missing", good[:len(good)-1])
	add("a byte too many", append(slices.Clone(good), 0))
	add("text instead of protobuf", []byte("transfer 12.50 acme/usd to globex/treasury"))
	add("the length of the body takes one byte more than it has to",
		slices.Concat([]byte{0x0a}, []byte{byte(len(raw)) | 0x80, 0}, raw, good[2:][len(raw):]))
	add("an unknown field of the envelope", number(slices.Clone(good), 3, 1))
	add("an unknown field of the body", inBody(number(slices.Clone(raw), 7, 1)))
	add("an unknown group", protowire.AppendTag(protowire.AppendTag(slices.Clone(good), 9, protowire.StartGroupType), 9,
		protowire.EndGroupType))
	add("the body twice", append(slices.Clone(good), inBody(raw)...))
	add("the chain id twice", inBody(field(slices.Clone(raw), 1, []byte(chain))))
	add("two kinds in one operation", inBody(field(encode(t, body(1)), 6, slices.Concat(
		encode(t, transfer(alice, "acme/usd", "globex/treasury", "1")), field(nil, 22, encode(t, &assetsv1.Burn{Asset: "acme/usd", Amount: "1"}))))))
	add("an operation that this version does not know", inBody(field(slices.Clone(raw), 6, field(field(nil, 1, []byte(alice)), 99, nil))))
	add("the memo as a number", inBody(number(slices.Clone(raw), 5, 1)))
	add("a memo that is not UTF-8", inBody(field(slices.Clone(raw), 5, []byte{0xff})))
	add("a decimals field of more than 32 bits", inBody(field(encode(t, body(1)), 6, field(field(nil, 1, []byte(alice)), 20,
		number(nil, 2, 1<<32)))))
	change("another network", func(b *ledgerv1.Body) { b.ChainId = "demo-0011aabc" })
	change("a nonce of 15 bytes", func(b *ledgerv1.Body) { b.Nonce = b.Nonce[1:] })
	change("no expiry", func(b *ledgerv1.Body) { b.ExpiresAt = nil })
	change("an expiry before 1970", func(b *ledgerv1.Body) { b.ExpiresAt = &timestamppb.Timestamp{Seconds: -1} })
	change("an expiry after 2262", func(b *ledgerv1.Body) { b.ExpiresAt = &timestamppb.Timestamp{Seconds: 9223372036} })
	change("a second's worth of nanoseconds", func(b *ledgerv1.Body) { b.ExpiresAt = &timestamppb.Timestamp{Seconds: 1, Nanos: 1e9} })
	change("a memo of 257 bytes", func(b *ledgerv1.Body) { b.Memo = strings.Repeat("m", tx.MaxMemo+1) })
	change("no operation", func(b *ledgerv1.Body) { b.Operations = nil })
	change("an operation of no kind", func(b *ledgerv1.Body) { b.Operations[0].Kind = nil })
	change("an operation in nobody's name", func(b *ledgerv1.Body) { b.Operations[0].Account = "acme" })
	change("a payer in capitals", func(b *ledgerv1.Body) { b.Payer = "ACME/alice" })
	change("a payer who has not signed", func(b *ledgerv1.Body) { b.Payer = "globex/treasury" })
	add("no signature", encode(t, sign(valid())))
	add("a signature that nobody asked for", encode(t, sign(valid(), alice, "globex/treasury")))
	add("the same signature twice", encode(t, sign(valid(), alice, alice)))
	return all
}

func TestRefused(t *testing.T) {
	golden(t, "refused.json", refused(t))
}

func TestRefusedDecode(t *testing.T) {
	var all []refusedVector
	load(t, "refused.json", &all)
	for _, v := range all {
		_, err := tx.Decode(v.ChainID, v.Tx, limits)
		if code, ok := tx.CodeOf(err); !ok || int32(code) != v.Code || tx.Reason(code) != v.Reason {
			t.Errorf("%s: %v, the file says %s", v.Comment, err, v.Reason)
		}
	}
}
