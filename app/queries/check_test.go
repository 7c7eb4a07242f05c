package queries_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/queries"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

// view is a state in memory, of height 7.
type view struct{ *statetest.Memory }

func (view) Height() uint64       { return 7 }
func (view) BlockTime() time.Time { return statetest.BlockTime(7) }

func someState(t *testing.T) view {
	t.Helper()
	v := view{new(statetest.Memory)}
	put := func(key []byte, m exec.Message) {
		if err := exec.Put(v, key, m); err != nil {
			t.Fatal(err)
		}
	}
	for _, org := range []string{"acme", "beta", "ceta"} {
		put(keyspace.Key(keyspace.PrefixOrgs, org), &accountsv1.Org{Name: org, JoinedHeight: 3})
		put(keyspace.Key(keyspace.PrefixNodes, org+"-1"), &membershipv1.Node{Name: org + "-1", Org: org, Addresses: []string{"a:1", "b:2"}})
	}
	put(keyspace.Key(keyspace.PrefixSeats), &membershipv1.Seats{Nodes: 3, Height: 1, Seats: []*membershipv1.Seat{
		{Node: "acme-1", ValidatorKey: []byte("key a"), Power: 3}, {Node: "beta-1", ValidatorKey: []byte("key b"), Power: 1},
	}})
	return v
}

const (
	getOrg         = "/althing.accounts.v1.AccountsService/GetOrg"
	listOrgs       = "/althing.accounts.v1.AccountsService/ListOrgs"
	getNode        = "/althing.membership.v1.MembershipService/GetNode"
	listValidators = "/althing.membership.v1.MembershipService/ListValidators"
)

// TestCheck compares answers with a state: right ones, and wrong ones of many kinds.
func TestCheck(t *testing.T) {
	t.Parallel()
	v := someState(t)
	acme := &accountsv1.GetOrgRequest{Name: "acme", Height: 7}
	org := func(change func(*accountsv1.GetOrgResponse)) proto.Message {
		a := &accountsv1.GetOrgResponse{
			Height: 7, Org: &accountsv1.Org{Name: "acme", JoinedHeight: 3}, Usage: new(accountsv1.Usage), Proof: &proofv1.StateProof{Height: 7},
		}
		change(a)
		return a
	}
	first := &accountsv1.ListOrgsRequest{PageSize: 2, MinHeight: 7}
	orgs := func(change func(*accountsv1.ListOrgsResponse)) proto.Message {
		a := &accountsv1.ListOrgsResponse{Height: 7, NextPage: "63657461", Orgs: []*accountsv1.Org{
			{Name: "acme", JoinedHeight: 3}, {Name: "beta", JoinedHeight: 3},
		}}
		change(a)
		return a
	}
	validators := func(change func(*membershipv1.ListValidatorsResponse)) proto.Message {
		a := &membershipv1.ListValidatorsResponse{Height: 7, Window: 100, Validators: []*membershipv1.Validator{
			{Name: "acme-1", Org: "acme", PublicKey: []byte("key a"), Power: 3, NextPower: 3, Asked: 100, Signed: 98, LastSignedHeight: 6},
			{Name: "beta-1", Org: "beta", PublicKey: []byte("key b"), Power: 1, NextPower: 1},
		}}
		change(a)
		return a
	}
	for name, c := range map[string]struct {
		method          string
		request, answer proto.Message
		field           string // that differs; empty for none
	}{
		"an org":           {getOrg, acme, org(func(*accountsv1.GetOrgResponse) {}), ""},
		"another name":     {getOrg, acme, org(func(a *accountsv1.GetOrgResponse) { a.Org.Name = "acne" }), "org.name"},
		"another status":   {getOrg, acme, org(func(a *accountsv1.GetOrgResponse) { a.Org.Status = 2 }), "org.status"},
		"another height":   {getOrg, acme, org(func(a *accountsv1.GetOrgResponse) { a.Height = 8 }), "height"},
		"no org":           {getOrg, acme, org(func(a *accountsv1.GetOrgResponse) { a.Org = nil }), "org"},
		"no usage":         {getOrg, acme, org(func(a *accountsv1.GetOrgResponse) { a.Usage = nil }), "usage"},
		"nothing":          {getOrg, acme, &accountsv1.GetOrgResponse{Height: 7}, "org"},
		"unknown fields":   {getOrg, acme, org(func(a *accountsv1.GetOrgResponse) { a.Org.ProtoReflect().SetUnknown([]byte{0xf8, 7, 1}) }), ""},
		"a height above":   {getOrg, &accountsv1.GetOrgRequest{Name: "acme", MinHeight: 8}, org(func(*accountsv1.GetOrgResponse) {}), "height"},
		"another's height": {getOrg, &accountsv1.GetOrgRequest{Name: "acme", Height: 6}, org(func(*accountsv1.GetOrgResponse) {}), "height"},

		"a page":             {listOrgs, first, orgs(func(*accountsv1.ListOrgsResponse) {}), ""},
		"one left out":       {listOrgs, first, orgs(func(a *accountsv1.ListOrgsResponse) { a.Orgs = a.Orgs[:1] }), "orgs"},
		"the first left out": {listOrgs, first, orgs(func(a *accountsv1.ListOrgsResponse) { a.Orgs = a.Orgs[1:] }), "orgs[0].name"},
		"one too many":       {listOrgs, first, orgs(func(a *accountsv1.ListOrgsResponse) { a.Orgs = append(a.Orgs, &accountsv1.Org{}) }), "orgs"},
		"an early end":       {listOrgs, first, orgs(func(a *accountsv1.ListOrgsResponse) { a.NextPage = "" }), "next_page"},

		"the validators": {listValidators, new(membershipv1.ListValidatorsRequest), validators(func(*membershipv1.ListValidatorsResponse) {}), ""},
		"another record": {listValidators, new(membershipv1.ListValidatorsRequest), validators(func(a *membershipv1.ListValidatorsResponse) {
			a.Window, a.Validators[0].Asked, a.Validators[1].Signed, a.Validators[0].LastSignedHeight = 0, 0, 7, 5
		}), ""},
		"another power": {listValidators, new(membershipv1.ListValidatorsRequest), validators(func(a *membershipv1.ListValidatorsResponse) {
			a.Validators[1].Power = 2
		}), "validators[1].power"},
		"a validator left out": {listValidators, new(membershipv1.ListValidatorsRequest), validators(func(a *membershipv1.ListValidatorsResponse) {
			a.Validators = a.Validators[:1]
		}), "validators"},
		"a validator too many": {listValidators, new(membershipv1.ListValidatorsRequest), validators(func(a *membershipv1.ListValidatorsResponse) {
			a.Validators = append(a.Validators, a.Validators[0])
		}), "validators"},
		"an address": {getNode, &membershipv1.GetNodeRequest{Name: "acme-1"}, &membershipv1.GetNodeResponse{
			Height: 7, Node: &membershipv1.Node{Name: "acme-1", Org: "acme", Addresses: []string{"a:1", "b:3"}},
		}, "node.addresses[1]"},
	} {
		before := proto.Clone(c.answer)
		err := queries.Check(v, c.method, c.request, c.answer)
		var mismatch *queries.MismatchError
		switch {
		case c.field == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.field != "" && (!errors.As(err, &mismatch) || mismatch.Field != c.field || mismatch.Method != c.method):
			t.Errorf("%s: %v, want a difference in %s", name, err, c.field)
		}
		if !proto.Equal(before, c.answer) {
			t.Errorf("%s: the answer was changed", name)
		}
	}
}

// TestCheckAbsence tells that nothing is there from a node that hides something.
func TestCheckAbsence(t *testing.T) {
	t.Parallel()
	v := someState(t)
	gone := &accountsv1.GetOrgRequest{Name: "zeta"}
	err := queries.Check(v, getOrg, gone, &accountsv1.GetOrgResponse{Height: 7, Proof: new(proofv1.StateProof)})
	if !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_NOT_FOUND}) || !strings.Contains(err.Error(), "no org zeta at height 7") {
		t.Errorf("an org that is not there: %v", err)
	}
	var mismatch *queries.MismatchError
	err = queries.Check(v, getOrg, gone, &accountsv1.GetOrgResponse{Height: 7, Org: &accountsv1.Org{Name: "zeta"}})
	if !errors.As(err, &mismatch) || mismatch.Field != "org" {
		t.Errorf("an org that is made up: %v", err)
	}
	err = queries.Check(v, getOrg, &accountsv1.GetOrgRequest{Name: "no name"}, &accountsv1.GetOrgResponse{Height: 7})
	if !errors.As(err, &mismatch) || mismatch.Field != "" || !strings.Contains(err.Error(), "breaks a rule") {
		t.Errorf("an answer to a question that has none: %v", err)
	}
	v.Fail = statetest.ErrInjected
	if err := queries.Check(v, getOrg, gone, &accountsv1.GetOrgResponse{Height: 7}); !errors.Is(err, statetest.ErrInjected) {
		t.Errorf("a view that fails: %v", err)
	}
	if err := queries.Check(v, "/a/b", gone, &accountsv1.GetOrgResponse{}); !errors.Is(err, queries.ErrUnknownMethod) {
		t.Errorf("an unknown method: %v", err)
	}
}
