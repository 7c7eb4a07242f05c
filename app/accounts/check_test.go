package accounts_test

import (
	"errors"
	"testing"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec/exectest"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/statetest"
)

// TestChecks asks about each field of each operation, most of all those that the transcripts leave out.
func TestChecks(t *testing.T) {
	t.Parallel()
	const (
		ok       = ledgerv1.Code_CODE_OK
		badName  = ledgerv1.Code_CODE_BAD_NAME
		badField = ledgerv1.Code_CODE_BAD_FIELD
		alice    = "acme/alice"
	)
	w := exectest.New()
	a, b := w.Key(t, "a"), w.Key(t, "ed:b")
	weighted := func(weight uint32) *accountsv1.WeightedKey {
		return &accountsv1.WeightedKey{PublicKey: a, Weight: weight}
	}
	mislabelled := &keysv1.PublicKey{Scheme: keysv1.SignatureScheme_SIGNATURE_SCHEME_ECDSA, Key: a.Key}
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"create nothing":      {accounts.CheckCreate(&accountsv1.Create{}), badName},
		"create reserved":     {accounts.CheckCreate(&accountsv1.Create{Name: "althing/alice"}), badName},
		"create with nil key": {accounts.CheckCreate(&accountsv1.Create{Name: alice, Keys: make([]*accountsv1.WeightedKey, 2)}), badField},
		"create": {accounts.CheckCreate(&accountsv1.Create{
			Name: alice, Keys: []*accountsv1.WeightedKey{weighted(1000)}, Threshold: 1 << 31,
		}), ok},
		"set nothing":        {accounts.CheckSetRoles(&accountsv1.SetRoles{}), badName},
		"set none":           {accounts.CheckSetRoles(&accountsv1.SetRoles{Name: alice}), ok},
		"add nothing":        {accounts.CheckAddKey(&accountsv1.AddKey{}), badName},
		"add no key":         {accounts.CheckAddKey(&accountsv1.AddKey{Name: alice}), badField},
		"add an empty key":   {accounts.CheckAddKey(&accountsv1.AddKey{Name: alice, Key: &accountsv1.WeightedKey{Weight: 1}}), badField},
		"add a weightless":   {accounts.CheckAddKey(&accountsv1.AddKey{Name: alice, Key: weighted(0)}), badField},
		"add":                {accounts.CheckAddKey(&accountsv1.AddKey{Name: alice, Key: weighted(1)}), ok},
		"revoke nothing":     {accounts.CheckRevokeKey(&accountsv1.RevokeKey{}), badName},
		"revoke no key":      {accounts.CheckRevokeKey(&accountsv1.RevokeKey{Name: alice}), badField},
		"revoke mislabelled": {accounts.CheckRevokeKey(&accountsv1.RevokeKey{Name: alice, PublicKey: mislabelled}), badField},
		"revoke":             {accounts.CheckRevokeKey(&accountsv1.RevokeKey{Name: alice, PublicKey: a}), ok},
		"rotate nothing":     {accounts.CheckRotateKey(&accountsv1.RotateKey{}), badName},
		"rotate no old key":  {accounts.CheckRotateKey(&accountsv1.RotateKey{Name: alice, NewKey: a}), badField},
		"rotate no new key":  {accounts.CheckRotateKey(&accountsv1.RotateKey{Name: alice, OldKey: a}), badField},
		"rotate":             {accounts.CheckRotateKey(&accountsv1.RotateKey{Name: alice, OldKey: a, NewKey: b}), ok},
	} {
		if code, verdict := tx.CodeOf(test.err); !verdict || code != test.code {
			t.Errorf("%s: %v, want %s", name, test.err, tx.Reason(test.code))
		}
	}
}

// TestAuthorizeNeverTurnsAFailureIntoAVerdict: a disk that fails must not make a transaction invalid.
func TestAuthorizeNeverTurnsAFailureIntoAVerdict(t *testing.T) {
	t.Parallel()
	kv := &statetest.Memory{Fail: statetest.ErrInjected}
	err := accounts.Authorize(accounts.Read(kv), &tx.Tx{Signers: []string{"acme/alice"}})
	if _, verdict := tx.CodeOf(err); verdict || !errors.Is(err, statetest.ErrInjected) {
		t.Error(err)
	}
	for _, err := range []error{
		accounts.Read(kv).RequireRole("acme/alice", "payer"),
		accounts.Read(kv).RequireAccount("acme/alice"),
	} {
		if !errors.Is(err, statetest.ErrInjected) {
			t.Error(err)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	w := exectest.New()
	w.Genesis(b, "acme/admin admin\nacme/alice payer\n")
	key := w.Key(b, "acme/alice")
	t := &tx.Tx{
		Signers:    []string{"acme/alice"},
		Signatures: []*ledgerv1.Signature{{Account: "acme/alice", PublicKey: key.Key, Scheme: key.Scheme}},
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := accounts.Authorize(accounts.Read(w.State), t); err != nil {
			b.Fatal(err)
		}
	}
}
