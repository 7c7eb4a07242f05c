package accounts_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec/exectest"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/statetest"
)

func genesisAccount(t *testing.T, w *exectest.World, name string, roles ...string) *accountsv1.Account {
	t.Helper()
	return &accountsv1.Account{
		Name: name, Threshold: 1, Roles: roles,
		Keys: []*accountsv1.WeightedKey{{PublicKey: w.Key(t, name), Weight: 1}},
	}
}

func TestGenesisRefuses(t *testing.T) {
	t.Parallel()
	w := exectest.New()
	a := w.Key(t, "ed:a")
	for name, test := range map[string]struct {
		orgs       []string
		change     func(*accountsv1.Account) // of acme/alice
		want       []string
		allotments map[string]*accountsv1.Allotment
	}{
		"no orgs":        {nil, func(*accountsv1.Account) {}, []string{"list at least one", "acme is not listed in orgs"}, nil},
		"bad org":        {[]string{"acme", "a"}, func(*accountsv1.Account) {}, []string{`orgs[1]: "a" is not`}, nil},
		"reserved org":   {[]string{"acme", "althing"}, func(*accountsv1.Account) {}, []string{"orgs[1]"}, nil},
		"org twice":      {[]string{"acme", "acme"}, func(*accountsv1.Account) {}, []string{"orgs[1]: acme is listed twice"}, nil},
		"org of nobody":  {[]string{"acme", "globex"}, func(*accountsv1.Account) {}, []string{"globex has no account with the role admin"}, nil},
		"bad name":       {[]string{"acme"}, func(a *accountsv1.Account) { a.Name = "alice" }, []string{"accounts[1] (alice)"}, nil},
		"other org":      {[]string{"acme"}, func(a *accountsv1.Account) { a.Name = "hooli/alice" }, []string{"its org hooli is not listed"}, nil},
		"twice":          {[]string{"acme"}, func(a *accountsv1.Account) { a.Name = "acme/admin" }, []string{"accounts[1] (acme/admin): listed twice"}, nil},
		"no key":         {[]string{"acme"}, func(a *accountsv1.Account) { a.Keys = nil }, []string{"accounts[1] (acme/alice): the account has no key"}, nil},
		"nil key":        {[]string{"acme"}, func(a *accountsv1.Account) { a.Keys[0] = nil }, []string{"unknown signature scheme"}, nil},
		"no threshold":   {[]string{"acme"}, func(a *accountsv1.Account) { a.Threshold = 0 }, []string{"threshold is 0"}, nil},
		"high threshold": {[]string{"acme"}, func(a *accountsv1.Account) { a.Threshold = 2 }, []string{"its threshold would be 2"}, nil},
		"bad role":       {[]string{"acme"}, func(a *accountsv1.Account) { a.Roles = []string{"x"} }, []string{"is not the name of a role"}, nil},
		"with a height":  {[]string{"acme"}, func(a *accountsv1.Account) { a.CreatedHeight = 1 }, []string{"created_height is 1: leave it out"}, nil},
		"token key": {
			[]string{"acme"}, func(a *accountsv1.Account) { a.TokenKeys = []*keysv1.PublicKey{w.Key(t, "schnorr")} },
			[]string{"cannot sign tokens"}, nil,
		},
		"token and signing key": {
			[]string{"acme"}, func(alice *accountsv1.Account) {
				alice.Keys[0].PublicKey, alice.TokenKeys = a, []*keysv1.PublicKey{a}
			}, []string{"use two keys"}, nil,
		},
		"allotment": {
			[]string{"acme"}, func(*accountsv1.Account) {}, []string{"orgs[0] (acme): the allotment is of 1025 nodes"},
			map[string]*accountsv1.Allotment{"acme": {Nodes: 1025}},
		},
		"1001 orgs":       {make([]string, 1001), func(*accountsv1.Account) {}, []string{"1001, at most 1000"}, nil},
		"several at once": {[]string{"acme", "globex"}, func(a *accountsv1.Account) { a.Threshold = 0 }, []string{"orgs[1]", "accounts[1]"}, nil},
	} {
		alice := genesisAccount(t, w, "acme/alice", "payer")
		test.change(alice)
		var kv statetest.Memory
		err := accounts.Genesis(&kv, test.orgs, test.allotments, []*accountsv1.Account{genesisAccount(t, w, "acme/admin", "admin"), alice})
		for _, want := range test.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v does not say %q", name, err, want)
			}
		}
		if _, verdict := tx.CodeOf(err); verdict {
			t.Errorf("%s: a mistake in a document passes for a verdict on a transaction", name)
		}
		if kv.Len() != 0 {
			t.Errorf("%s: something was written", name)
		}
	}
	var kv statetest.Memory
	if err := accounts.Genesis(&kv, []string{"acme"}, nil, []*accountsv1.Account{nil}); err == nil {
		t.Error("a nil account is an account")
	}
}

// TestGenesisPutsThingsInOrder also holds that the document stays as it is: its bytes are hashed, and it is written twice.
func TestGenesisPutsThingsInOrder(t *testing.T) {
	t.Parallel()
	w := exectest.New()
	admin := genesisAccount(t, w, "acme/admin", "payer", "issuer", "admin")
	for i := range 8 {
		admin.Keys = append(admin.Keys, &accountsv1.WeightedKey{PublicKey: w.Key(t, fmt.Sprintf("key %d", i)), Weight: 2})
	}
	admin.TokenKeys = []*keysv1.PublicKey{w.Key(t, "ed:token"), w.Key(t, "ec:token")}
	before := proto.Clone(admin)
	allotments := map[string]*accountsv1.Allotment{"acme": {Power: 20, Nodes: 3}, "globex": {Power: 1}}
	if err := accounts.Genesis(w.State, []string{"acme"}, allotments, []*accountsv1.Account{admin}); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(before, admin) {
		t.Error("the document was changed")
	}
	org, err := accounts.Read(w.State).Org("acme")
	if err != nil || org.Allotment.Power != 20 || org.Allotment.Nodes != 3 {
		t.Error(org, err)
	}
	if n, err := accounts.Read(w.State).ActiveOrgs(); n != 1 || err != nil {
		t.Error(n, err)
	}
	if found, err := accounts.Examine(w.State); found != nil || err != nil {
		t.Error(found, err)
	}
	got, err := accounts.Read(w.State).Account("acme/admin")
	if err != nil || strings.Join(got.Roles, " ") != "admin issuer payer" || len(got.Keys) != 9 ||
		len(got.TokenKeys) != 2 || got.TokenKeys[0].Scheme > got.TokenKeys[1].Scheme {
		t.Fatal(got, err)
	}
	for i := 1; i < len(got.Keys); i++ {
		if string(got.Keys[i-1].PublicKey.Key) >= string(got.Keys[i].PublicKey.Key) {
			t.Error("keys are not in order")
		}
	}
}
