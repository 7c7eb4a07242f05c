package accounts_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec/exectest"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

func directory(t *testing.T) *state.View {
	t.Helper()
	w := exectest.New()
	w.Genesis(t, "acme/admin admin\nacme/bob payer\nacme/carol\nacme-two/admin admin\nglobex/admin admin issuer\n")
	store := statetest.New(t)
	statetest.Commit(t, store, func(o *state.Overlay) {
		if err := accounts.Open(w.State).AddStored("acme", 700); err != nil {
			t.Fatal(err)
		}
		if err := w.State.Scan(nil, nil, func(key, value []byte) (bool, error) {
			o.Set(key, value)
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	view := store.Latest()
	t.Cleanup(view.Release)
	return view
}

func TestQueries(t *testing.T) {
	t.Parallel()
	view := directory(t)
	org, err := accounts.GetOrg(view, &accountsv1.GetOrgRequest{Name: "acme"})
	if err != nil || org.Height != 1 || org.Org.Admins != 1 || org.Usage.StoredBytes != 700 || org.Org.Status != accountsv1.OrgStatus_ORG_STATUS_ACTIVE {
		t.Error(org, err)
	}
	account, err := accounts.GetAccount(view, &accountsv1.GetAccountRequest{Name: "acme/bob"})
	if err != nil || account.Height != 1 || account.Account.Threshold != 1 || !slices.Equal(account.Account.Roles, []string{"payer"}) {
		t.Error(account, err)
	}
	for size := range uint32(7) {
		for _, test := range []struct {
			org  string
			want []string
		}{
			{"", []string{"acme/admin", "acme/bob", "acme/carol", "acme-two/admin", "globex/admin"}},
			{"acme", []string{"acme/admin", "acme/bob", "acme/carol"}},
			{"globex", []string{"globex/admin"}},
			{"hooli", nil},
		} {
			var names []string
			q := &accountsv1.ListAccountsRequest{Org: test.org, PageSize: size}
			for first := true; first || q.Page != ""; first = false {
				answer, err := accounts.ListAccounts(view, q)
				if err != nil || answer.Height != 1 {
					t.Fatal(answer, err)
				}
				for _, a := range answer.Accounts {
					names = append(names, a.Name)
				}
				q.Page = answer.NextPage
			}
			if !slices.Equal(names, test.want) {
				t.Errorf("%q in pages of %d: %q", test.org, size, names)
			}
		}
		var names []string
		q := &accountsv1.ListOrgsRequest{PageSize: size}
		for first := true; first || q.Page != ""; first = false {
			answer, err := accounts.ListOrgs(view, q)
			if err != nil || answer.Height != 1 {
				t.Fatal(answer, err)
			}
			for _, o := range answer.Orgs {
				names = append(names, o.Name)
			}
			q.Page = answer.NextPage
		}
		if !slices.Equal(names, []string{"acme", "acme-two", "globex"}) {
			t.Errorf("orgs in pages of %d: %q", size, names)
		}
	}
}

func TestQueriesRefuse(t *testing.T) {
	t.Parallel()
	view := directory(t)
	ask := func(_ any, err error) error { return err }
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"bad org":            {ask(accounts.GetOrg(view, &accountsv1.GetOrgRequest{Name: "ac\x00me"})), ledgerv1.Code_CODE_BAD_NAME},
		"no org":             {ask(accounts.GetOrg(view, &accountsv1.GetOrgRequest{Name: "hooli"})), ledgerv1.Code_CODE_NOT_FOUND},
		"bad account":        {ask(accounts.GetAccount(view, &accountsv1.GetAccountRequest{Name: "acme"})), ledgerv1.Code_CODE_BAD_NAME},
		"no account":         {ask(accounts.GetAccount(view, &accountsv1.GetAccountRequest{Name: "acme/dave"})), ledgerv1.Code_CODE_NOT_FOUND},
		"accounts of a bad":  {ask(accounts.ListAccounts(view, &accountsv1.ListAccountsRequest{Org: "\x00\x00"})), ledgerv1.Code_CODE_BAD_NAME},
		"page of accounts":   {ask(accounts.ListAccounts(view, &accountsv1.ListAccountsRequest{Page: "-"})), ledgerv1.Code_CODE_BAD_FIELD},
		"large page of orgs": {ask(accounts.ListOrgs(view, &accountsv1.ListOrgsRequest{PageSize: 1 << 30})), ledgerv1.Code_CODE_BAD_FIELD},
	} {
		if !errors.Is(test.err, &tx.Rejection{Code: test.code}) {
			t.Errorf("%s: %v, want %s", name, test.err, tx.Reason(test.code))
		}
	}
}
