package governance_test

import (
	"math"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	"github.com/althing-ledger/althing/app/governance"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

func TestCloseBoundsItsMessage(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"":                             "",
		strings.Repeat("m", 500):       strings.Repeat("m", 500),
		strings.Repeat("m", 501):       strings.Repeat("m", 500),
		"m" + strings.Repeat("ü", 250): "m" + strings.Repeat("ü", 249),
		"a \xff b":                     "a  b",
	} {
		a := newAssembly(t, nil, names(3)...)
		a.propose(t, "org-0/admin", "", motion)
		out := a.Do(t, exectest.Vote, nil, func(env *exec.Env, kv exec.KV) error {
			s := governance.Open(kv)
			p, err := s.Proposal(1)
			if err != nil {
				return err
			}
			if err := governance.Close(env, s, p, failed, ledgerv1.Code_CODE_QUORUM_LOST, 3, message); err != nil {
				return err
			}
			// A second end is a mistake of the caller, never a result.
			if err := governance.Close(env, s, p, executed, ledgerv1.Code_CODE_OK, -1, ""); err == nil {
				t.Error("a closed proposal is closed again")
			} else if _, verdict := tx.CodeOf(err); verdict {
				t.Errorf("a mistake passes for a verdict: %v", err)
			}
			return nil
		})
		p := a.show(t, 1).Proposal
		if out.Err != nil || p.Message != want || !utf8.ValidString(p.Message) || p.Code != 116 || p.FailedOperation != 3 ||
			p.Status != failed || p.ClosedHeight != a.Height {
			t.Errorf("%.20q: %v, %v", message, p, out.Err)
		}
	}
}

func TestQueriesRefuse(t *testing.T) {
	t.Parallel()
	a := newAssembly(t, nil, names(3)...)
	ask := func(_ any, err error) error { return err }
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"no id":         {ask(governance.GetProposal(a.view(), &proposalsv1.GetProposalRequest{})), ledgerv1.Code_CODE_BAD_FIELD},
		"none such":     {ask(governance.GetProposal(a.view(), &proposalsv1.GetProposalRequest{Id: 1})), ledgerv1.Code_CODE_NOT_FOUND},
		"last":          {ask(governance.GetProposal(a.view(), &proposalsv1.GetProposalRequest{Id: math.MaxUint64})), ledgerv1.Code_CODE_NOT_FOUND},
		"page":          {ask(governance.ListProposals(a.view(), &proposalsv1.ListProposalsRequest{Page: "zz"})), ledgerv1.Code_CODE_BAD_FIELD},
		"size":          {ask(governance.ListProposals(a.view(), &proposalsv1.ListProposalsRequest{PageSize: 1001})), ledgerv1.Code_CODE_BAD_FIELD},
		"status":        {ask(governance.ListProposals(a.view(), &proposalsv1.ListProposalsRequest{Status: 6})), ledgerv1.Code_CODE_BAD_FIELD},
		"negative":      {ask(governance.ListProposals(a.view(), &proposalsv1.ListProposalsRequest{Status: -1})), ledgerv1.Code_CODE_BAD_FIELD},
		"empty is fine": {ask(governance.ListProposals(a.view(), &proposalsv1.ListProposalsRequest{})), ledgerv1.Code_CODE_OK},
	} {
		if !isCode(test.err, test.code) {
			t.Errorf("%s: %v, want %s", name, test.err, test.code)
		}
	}
	a.propose(t, "org-0/admin", "", motion)
	a.State.Fail = statetest.ErrInjected
	if err := ask(governance.GetProposal(a.view(), &proposalsv1.GetProposalRequest{Id: 1})); err == nil || isCode(err, ledgerv1.Code_CODE_NOT_FOUND) {
		t.Error(err)
	}
	if err := ask(governance.ListProposals(a.view(), &proposalsv1.ListProposalsRequest{})); err == nil {
		t.Error("a failed scan is an empty list")
	}
	if err := ask(governance.GetCharter(a.view(), &governancev1.GetCharterRequest{})); err == nil {
		t.Error("a failed read is a charter")
	}
}

// pages reads a listing to its end and returns the length of each page and the ids.
func pages(t *testing.T, v view, q *proposalsv1.ListProposalsRequest) (sizes []int, ids []uint64) {
	t.Helper()
	for first := true; first || q.Page != ""; first = false {
		answer, err := governance.ListProposals(v, q)
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(answer.Proposals))
		for _, p := range answer.Proposals {
			ids = append(ids, p.Id)
		}
		q.Page = answer.NextPage
	}
	return sizes, ids
}

func TestPagesOfProposalsAreBounded(t *testing.T) {
	t.Parallel()
	a := newAssembly(t, nil, names(3)...)
	for _, who := range []string{"org-0/admin", "org-1/admin"} {
		for range governance.MaxProposalsOfAnOrg {
			if out := a.propose(t, who, "", many(1, strings.Repeat("r", 16<<10-16))...); out.Err != nil {
				t.Fatal(out.Err)
			}
		}
	}
	// An answer must fit into a call.
	sizes, ids := pages(t, a.view(), &proposalsv1.ListProposalsRequest{})
	if !slices.Equal(sizes, []int{32, 8}) || len(ids) != 40 || ids[0] != 40 || ids[39] != 1 {
		t.Error(sizes, ids)
	}

	// Nor may one that nobody is in for take for ever.
	rare := assembly{exectest.New()}
	for id := uint64(1); id <= 12_000; id++ {
		p := &proposalsv1.Proposal{Id: id, Status: failed}
		if id == 1 || id == 6_000 {
			p.Status = executed
		}
		if err := exec.Put(rare.State, keyspace.Uint64(keyspace.Key(keyspace.PrefixProposals), math.MaxUint64-id), p); err != nil {
			t.Fatal(err)
		}
	}
	sizes, ids = pages(t, rare.view(), &proposalsv1.ListProposalsRequest{Status: executed})
	if !slices.Equal(sizes, []int{0, 1, 1}) || !slices.Equal(ids, []uint64{6_000, 1}) {
		t.Error(sizes, ids)
	}
}

// TestTheSmallestTransactionsLetMembersAct holds the lower bounds of a charter against an account that needs all of its
// keys: what raises the bounds again must fit.
func TestTheSmallestTransactionsLetMembersAct(t *testing.T) {
	t.Parallel()
	name := strings.Repeat("o", 32) + "/" + strings.Repeat("a", 32)
	for _, op := range []*ledgerv1.Operation{
		{Kind: &ledgerv1.Operation_ProposalVote{ProposalVote: &governancev1.Vote{Proposal: math.MaxUint64, Yes: true}}},
		{Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: &ledgerv1.Propose{
			Title: strings.Repeat("t", governance.MaxTitle), Operations: []*ledgerv1.Operation{setCharter(governance.Defaults())},
		}}},
	} {
		op.Account = name
		body, err := (&ledgerv1.Body{
			ChainId: strings.Repeat("n", 32) + "-01234567", Nonce: make([]byte, 16), Payer: name, Operations: []*ledgerv1.Operation{op},
		}).MarshalVTStrict()
		if err != nil {
			t.Fatal(err)
		}
		transaction := &ledgerv1.Tx{Body: body}
		for range accounts.MaxKeys {
			transaction.Signatures = append(transaction.Signatures, &ledgerv1.Signature{
				Account: name, PublicKey: make([]byte, 33), Scheme: 2, Signature: make([]byte, 64),
			})
		}
		if size := transaction.SizeVT() + 16; size > 4<<10 { // and a time of expiry
			t.Errorf("%T takes %d bytes", op.Kind, size)
		}
	}
}
