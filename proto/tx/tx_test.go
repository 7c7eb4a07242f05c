package tx

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/keys"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

func TestDecode(t *testing.T) {
	t.Parallel()
	raw := rich(t)
	got, err := Decode(chain, raw, defaults)
	if err != nil {
		t.Fatal(err)
	}
	want := new(ledgerv1.Body)
	envelope := new(ledgerv1.Tx)
	if err := proto.Unmarshal(raw, envelope); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(envelope.Body, want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got.Body, want) {
		t.Errorf("body %v, want %v", got.Body, want)
	}
	if got.ID != IDOf(chain, envelope.Body) {
		t.Errorf("id %s is not that of the body", got.ID)
	}
	if got.ExpiresAt != expiry.UnixNano() {
		t.Errorf("expires at %d, want %d", got.ExpiresAt, expiry.UnixNano())
	}
	if got.Payer != "acme/alice" || got.PayerOrg != "acme" {
		t.Errorf("payer %s of %s", got.Payer, got.PayerOrg)
	}
	if want := []string{"acme/alice", "globex/admin", "initech/admin"}; !slices.Equal(got.Signers, want) {
		t.Errorf("signers %v, want %v", got.Signers, want)
	}
	for i, s := range got.Signatures {
		key, err := keys.ParsePublicKey(keys.Scheme(s.Scheme), s.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		if err := key.Verify(got.ID, s.Signature); err != nil {
			t.Errorf("signature %d does not sign the id: %v", i, err)
		}
	}
}

// TestRejections has at least one case for each code that Decode gives and that is not about encoding.
func TestRejections(t *testing.T) {
	t.Parallel()
	const alice = "acme/alice"
	valid := func() *ledgerv1.Body { return body(transfer(alice, "globex/treasury", "1")) }
	change := func(f func(*ledgerv1.Body)) *ledgerv1.Body {
		b := valid()
		f(b)
		return b
	}
	at := func(seconds int64, nanos int32) *ledgerv1.Body {
		return change(func(b *ledgerv1.Body) { b.ExpiresAt = &timestamppb.Timestamp{Seconds: seconds, Nanos: nanos} })
	}
	many := func(n int) *ledgerv1.Body {
		return change(func(b *ledgerv1.Body) {
			for len(b.Operations) < n {
				b.Operations = append(b.Operations, transfer(alice, "globex/treasury", "1"))
			}
		})
	}
	signers := func(n int) (*ledgerv1.Body, []string) {
		b, names := body(), []string(nil)
		for i := range n {
			names = append(names, fmt.Sprintf("acme/a%02d", i))
			b.Operations = append(b.Operations, transfer(names[i], "globex/treasury", "1"))
		}
		return b, names
	}
	most, mostNames := signers(int(defaults.Signatures))
	tooMany, tooManyNames := signers(int(defaults.Signatures) + 1)
	sign := func(b *ledgerv1.Body) *ledgerv1.Tx { return signed(t, b, alice) }
	cases := []struct {
		name string
		tx   *ledgerv1.Tx
		want Code
	}{
		{"valid", sign(valid()), ledgerv1.Code_CODE_OK},
		{"no body", &ledgerv1.Tx{}, ledgerv1.Code_CODE_MALFORMED},
		{"other network", sign(change(func(b *ledgerv1.Body) { b.ChainId = "demo-0011aabc" })), ledgerv1.Code_CODE_WRONG_CHAIN},
		{"no network", sign(change(func(b *ledgerv1.Body) { b.ChainId = "" })), ledgerv1.Code_CODE_WRONG_CHAIN},
		{"no nonce", sign(change(func(b *ledgerv1.Body) { b.Nonce = nil })), ledgerv1.Code_CODE_BAD_FIELD},
		{"short nonce", sign(change(func(b *ledgerv1.Body) { b.Nonce = b.Nonce[1:] })), ledgerv1.Code_CODE_BAD_FIELD},
		{"long nonce", sign(change(func(b *ledgerv1.Body) { b.Nonce = append(b.Nonce, 0) })), ledgerv1.Code_CODE_BAD_FIELD},
		{"no expiry", sign(change(func(b *ledgerv1.Body) { b.ExpiresAt = nil })), ledgerv1.Code_CODE_BAD_FIELD},
		{"expiry before 1970", sign(at(-1, 0)), ledgerv1.Code_CODE_BAD_FIELD},
		{"expiry in 1970", sign(at(0, 0)), ledgerv1.Code_CODE_OK},
		{"latest expiry", sign(at(math.MaxInt64/1_000_000_000-1, 999_999_999)), ledgerv1.Code_CODE_OK},
		{"expiry after the latest", sign(at(math.MaxInt64/1_000_000_000, 0)), ledgerv1.Code_CODE_BAD_FIELD},
		{"expiry past every range", sign(at(math.MaxInt64, 0)), ledgerv1.Code_CODE_BAD_FIELD},
		{"negative nanoseconds", sign(at(1, -1)), ledgerv1.Code_CODE_BAD_FIELD},
		{"a second of nanoseconds", sign(at(1, 1_000_000_000)), ledgerv1.Code_CODE_BAD_FIELD},
		{"longest memo", sign(change(func(b *ledgerv1.Body) { b.Memo = strings.Repeat("m", MaxMemo) })), ledgerv1.Code_CODE_OK},
		{"memo too long", sign(change(func(b *ledgerv1.Body) { b.Memo = strings.Repeat("m", MaxMemo+1) })), ledgerv1.Code_CODE_TOO_LARGE},
		{"no operation", sign(body()), ledgerv1.Code_CODE_UNKNOWN_OPERATION},
		{"operation without a kind", sign(body(&ledgerv1.Operation{Account: alice})), ledgerv1.Code_CODE_UNKNOWN_OPERATION},
		{"most operations", sign(many(int(defaults.Operations))), ledgerv1.Code_CODE_OK},
		{"too many operations", sign(many(int(defaults.Operations) + 1)), ledgerv1.Code_CODE_TOO_LARGE},
		{"most signatures", signed(t, most, mostNames...), ledgerv1.Code_CODE_OK},
		{"too many signatures", signed(t, tooMany, tooManyNames...), ledgerv1.Code_CODE_TOO_LARGE},
		{"nobody acts", sign(body(transfer("", "globex/treasury", "1"))), ledgerv1.Code_CODE_BAD_NAME},
		{"an organisation acts", sign(body(transfer("acme", "globex/treasury", "1"))), ledgerv1.Code_CODE_BAD_NAME},
		{"a bad name signs a record", sign(body(put(alice, "Initech/admin"))), ledgerv1.Code_CODE_BAD_NAME},
		{"a bad name pays", sign(change(func(b *ledgerv1.Body) { b.Payer = "althing/bank" })), ledgerv1.Code_CODE_BAD_NAME},
		{"no signature", signed(t, valid()), ledgerv1.Code_CODE_MISSING_SIGNATURE},
		{"a second actor has not signed", sign(body(transfer(alice, "globex/treasury", "1"), transfer("globex/treasury", alice, "2"))),
			ledgerv1.Code_CODE_MISSING_SIGNATURE},
		{"the payer has not signed", sign(change(func(b *ledgerv1.Body) { b.Payer = "globex/treasury" })),
			ledgerv1.Code_CODE_MISSING_SIGNATURE},
		{"the cosigner has not signed", sign(body(put(alice, "initech/admin"))), ledgerv1.Code_CODE_MISSING_SIGNATURE},
		{"the receiver signs", signed(t, valid(), alice, "globex/treasury"), ledgerv1.Code_CODE_SURPLUS_SIGNATURE},
		{"nobody signs", signed(t, valid(), alice, ""), ledgerv1.Code_CODE_SURPLUS_SIGNATURE},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			wantCode(t, encode(t, c.tx), defaults, c.want)
		})
	}
	t.Run("size", func(t *testing.T) {
		t.Parallel()
		raw := encode(t, sign(valid()))
		limits := defaults
		limits.Bytes = uint64(len(raw))
		wantCode(t, raw, limits, ledgerv1.Code_CODE_OK)
		limits.Bytes--
		wantCode(t, raw, limits, ledgerv1.Code_CODE_TOO_LARGE)
	})
}

func TestSignaturesOfOneAccount(t *testing.T) {
	t.Parallel()
	envelope := signed(t, body(transfer("acme/alice", "globex/treasury", "1")), "acme/alice")
	add := func(key keys.PrivateKey) {
		if err := AddSignature(envelope, chain, "acme/alice", key); err != nil {
			t.Fatal(err)
		}
	}
	// A threshold is reached with several keys, also with two schemes over the same secret.
	add(testKey(t, keys.SchemeSchnorr, 2))
	add(testKey(t, keys.SchemeECDSA, 1))
	add(testKey(t, keys.SchemeEd25519, 1))
	wantCode(t, encode(t, envelope), defaults, ledgerv1.Code_CODE_OK)
	// The same bytes as a key of two schemes are two keys.
	other := proto.CloneOf(envelope.Signatures[0])
	other.Scheme = keysv1.SignatureScheme_SIGNATURE_SCHEME_ED25519
	envelope.Signatures = append(envelope.Signatures, other)
	wantCode(t, encode(t, envelope), defaults, ledgerv1.Code_CODE_OK)
	add(testKey(t, keys.SchemeSchnorr, 1))
	wantCode(t, encode(t, envelope), defaults, ledgerv1.Code_CODE_SURPLUS_SIGNATURE)
	// Another signature by the same key is as surplus as the same one.
	envelope.Signatures[len(envelope.Signatures)-1].Signature[0] ^= 1
	wantCode(t, encode(t, envelope), defaults, ledgerv1.Code_CODE_SURPLUS_SIGNATURE)
}

func TestPayer(t *testing.T) {
	t.Parallel()
	b := body(transfer("acme/alice", "globex/treasury", "1"), transfer("globex/treasury", "acme/alice", "1"))
	b.Payer = "initech/bank"
	got, err := Decode(chain, encode(t, signed(t, b, "initech/bank", "globex/treasury", "acme/alice")), defaults)
	if err != nil {
		t.Fatal(err)
	}
	if got.Payer != "initech/bank" || got.PayerOrg != "initech" {
		t.Errorf("payer %s of %s", got.Payer, got.PayerOrg)
	}
	if want := []string{"acme/alice", "globex/treasury", "initech/bank"}; !slices.Equal(got.Signers, want) {
		t.Errorf("signers %v, want %v", got.Signers, want)
	}
}

// TestID holds the id against everything that may and may not change it.
func TestID(t *testing.T) {
	t.Parallel()
	b := body(transfer("acme/alice", "globex/treasury", "1"), transfer("globex/treasury", "acme/alice", "1"))
	one := signed(t, b, "acme/alice", "globex/treasury")
	other := &ledgerv1.Tx{Body: one.Body, Signatures: []*ledgerv1.Signature{one.Signatures[1], one.Signatures[0]}}
	first, err := Decode(chain, encode(t, one), defaults)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Decode(chain, encode(t, other), defaults)
	if err != nil {
		t.Fatal(err)
	}
	if first.ID != second.ID {
		t.Error("the order of signatures changes the id")
	}
	if first.Hash == second.Hash {
		t.Error("different bytes have the same hash")
	}
	seen := map[ID]string{first.ID: "the transaction"}
	see := func(what string, id ID) {
		if before, ok := seen[id]; ok {
			t.Errorf("%s has the id of %s", what, before)
		}
		seen[id] = what
	}
	see("another network", IDOf("demo-0011aabc", one.Body))
	// The length of the chain id stands before it, so that bytes cannot move between it and the body.
	see("a byte moved into the chain id", IDOf(chain+string(one.Body[:1]), one.Body[1:]))
	b.Nonce = bytes.Repeat([]byte{6}, NonceSize)
	_, id, err := Unsigned(b)
	if err != nil {
		t.Fatal(err)
	}
	see("another nonce", id)
	if parsed, err := ParseID(first.ID.String()); err != nil || parsed != first.ID {
		t.Errorf("ParseID(%s) = %s, %v", first.ID, parsed, err)
	}
	for _, bad := range []string{"", "ab", strings.Repeat("g", 64), strings.Repeat("a", 66)} {
		if _, err := ParseID(bad); err == nil {
			t.Errorf("ParseID takes %q", bad)
		}
	}
}

func TestNewBody(t *testing.T) {
	t.Parallel()
	b, err := NewBody(chain, expiry, bytes.NewReader(bytes.Repeat([]byte{9}, NonceSize)), transfer("acme/alice", "acme/bob", "1"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b.Nonce, bytes.Repeat([]byte{9}, NonceSize)) || !b.ExpiresAt.AsTime().Equal(expiry) {
		t.Errorf("body %v", b)
	}
	wantCode(t, encode(t, signed(t, b, "acme/alice")), defaults, ledgerv1.Code_CODE_OK)
	if _, err := NewBody(chain, time.Time{}, iotest.ErrReader(errors.New("no entropy"))); err == nil {
		t.Error("a broken source of randomness gives a nonce")
	}
	if err := AddSignature(&ledgerv1.Tx{}, chain, "acme/alice", keys.PrivateKey{}); !errors.Is(err, keys.ErrPrivateKey) {
		t.Errorf("signing without a key: %v", err)
	}
}

func TestRejection(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("deliver: %w", Reject(ledgerv1.Code_CODE_OVERDRAFT, "%s has too little", "acme/alice"))
	if !errors.Is(err, &Rejection{Code: ledgerv1.Code_CODE_OVERDRAFT}) || errors.Is(err, &Rejection{Code: ledgerv1.Code_CODE_OVERFLOW}) {
		t.Error("rejections are not compared by code")
	}
	if code, ok := CodeOf(err); code != ledgerv1.Code_CODE_OVERDRAFT || !ok {
		t.Errorf("CodeOf = %v, %v", code, ok)
	}
	if code, ok := CodeOf(nil); code != ledgerv1.Code_CODE_OK || !ok {
		t.Errorf("CodeOf(nil) = %v, %v", code, ok)
	}
	if _, ok := CodeOf(errors.New("disk full")); ok {
		t.Error("a failure of the machine has a code")
	}
	if got := Reason(ledgerv1.Code_CODE_OVERDRAFT); got != "OVERDRAFT" {
		t.Errorf("Reason = %s", got)
	}
}
