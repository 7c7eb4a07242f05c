package accounts_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
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
		tooLarge = ledgerv1.Code_CODE_TOO_LARGE
		alice    = "acme/alice"
	)
	w := exectest.New()
	a, b := w.Key(t, "a"), w.Key(t, "ed:b")
	weighted := func(weight uint32) *accountsv1.WeightedKey {
		return &accountsv1.WeightedKey{PublicKey: a, Weight: weight}
	}
	create := func(name string, roles ...string) *accountsv1.Create {
		return &accountsv1.Create{Name: name, Keys: []*accountsv1.WeightedKey{weighted(1)}, Threshold: 1, Roles: roles}
	}
	admit := func(name string, list ...*accountsv1.Create) error {
		return accounts.CheckAdmitOrg(&accountsv1.AdmitOrg{Name: name, Accounts: list})
	}
	many := []*accountsv1.Create{create("acme/admin", "admin")}
	for i := range 63 {
		many = append(many, create(fmt.Sprintf("acme/a%d", i)))
	}
	suspend := func(name, reason string) error {
		return accounts.CheckSuspendOrg(&accountsv1.SuspendOrg{Name: name, Reason: reason})
	}
	allot := func(a *accountsv1.Allotment) error {
		return accounts.CheckSetAllotment(&accountsv1.SetAllotment{Name: "acme", Allotment: a})
	}
	token := func(list ...*keysv1.PublicKey) error {
		return accounts.CheckSetTokenKeys(&accountsv1.SetTokenKeys{Name: alice, TokenKeys: list})
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

		"admit":               {admit("acme", create("acme/admin", "admin")), ok},
		"admit nobody":        {admit("acme"), badField},
		"admit reserved":      {admit("althing", create("althing/admin", "admin")), badName},
		"admit no admin":      {admit("acme", create("acme/admin", "payer")), badField},
		"admit another's":     {admit("acme", create("acme/admin", "admin"), create("globex/bob")), badField},
		"admit twice":         {admit("acme", create("acme/admin", "admin"), create("acme/admin", "admin")), badField},
		"admit nil":           {admit("acme", nil), badField},
		"admit bad account":   {admit("acme", create("acme")), badName},
		"admit 64":            {admit("acme", many...), ok},
		"admit 65":            {admit("acme", append(many, create("acme/bob"))...), tooLarge},
		"admit much":          {accounts.CheckAdmitOrg(&accountsv1.AdmitOrg{Name: "acme", Accounts: many, Allotment: &accountsv1.Allotment{Nodes: 1025}}), badField},
		"suspend":             {suspend("acme", "does not answer \u2014 since May"), ok},
		"suspend a bad name":  {suspend("acme/admin", ""), badName},
		"reason of 256":       {suspend("acme", strings.Repeat("x", 256)), ok},
		"reason of 257":       {suspend("acme", strings.Repeat("x", 257)), tooLarge},
		"reason of two lines": {suspend("acme", "a\nb"), badField},
		"reason with C1":      {suspend("acme", "a\u0085b"), badField},
		"reason not UTF-8":    {suspend("acme", "a\xff"), badField},
		"resume":              {accounts.CheckResumeOrg(&accountsv1.ResumeOrg{Name: "acme", Reason: "\x00"}), badField},
		"remove":              {accounts.CheckRemoveOrg(&accountsv1.RemoveOrg{Name: "acme", Reason: "\x7f"}), badField},
		"allot nothing":       {allot(nil), badField},
		"allot zero":          {allot(&accountsv1.Allotment{}), ok},
		"allot all":           {allot(&accountsv1.Allotment{Power: 100_000_000, Nodes: 1024}), ok},
		"allot more power":    {allot(&accountsv1.Allotment{Power: 100_000_001}), badField},
		"allot more nodes":    {allot(&accountsv1.Allotment{Nodes: 1025}), badField},
		"no token keys":       {token(), ok},
		"token keys":          {token(b, w.Key(t, "ec:c")), ok},
		"token key twice":     {token(b, b), badField},
		"nil token key":       {token(nil), badField},
		"schnorr token key":   {token(a), badField},
		"five token keys":     {token(b, w.Key(t, "ed:c"), w.Key(t, "ed:d"), w.Key(t, "ed:e"), w.Key(t, "ed:f")), tooLarge},
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

// TestOrgsAreBounded: names are never given again, so those that were admitted count, not those that are members.
func TestOrgsAreBounded(t *testing.T) {
	t.Parallel()
	w := exectest.New()
	var lines strings.Builder
	for i := range accounts.MaxOrgs - 1 {
		fmt.Fprintf(&lines, "org-%d/admin admin\n", i)
	}
	w.Genesis(t, lines.String())
	admit := func(name string) exectest.Outcome {
		op := &accountsv1.AdmitOrg{Name: name, Accounts: []*accountsv1.Create{{
			Name: name + "/admin", Threshold: 1, Roles: []string{"admin"},
			Keys: []*accountsv1.WeightedKey{{PublicKey: w.Key(t, name), Weight: 1}},
		}}}
		return w.Do(t, exectest.Vote, accounts.CheckAdmitOrg(op), func(env *exec.Env, kv exec.KV) error {
			return accounts.AdmitOrg(env, accounts.Open(kv), &accountsv1.Allotment{}, op)
		})
	}
	if out := admit("last"); out.Err != nil {
		t.Fatal(out.Err)
	}
	remove := &accountsv1.RemoveOrg{Name: "last"}
	w.Do(t, exectest.Vote, nil, func(env *exec.Env, kv exec.KV) error {
		return accounts.RemoveOrg(env, accounts.Open(kv), remove)
	})
	if out := admit("too-many"); !errors.Is(out.Err, &tx.Rejection{Code: ledgerv1.Code_CODE_LIMIT_REACHED}) {
		t.Error(out.Err)
	}
	if orgs, err := accounts.Orgs(w.State); len(orgs) != accounts.MaxOrgs || err != nil {
		t.Error(len(orgs), err)
	}
}
