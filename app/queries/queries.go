package queries

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/app/records"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Query is a question that can be asked of a state.
type Query struct {
	// Method is the full gRPC method, as in `/althing.assets.v1.AssetsService/GetBalance`.
	Method string
	// Unproven are the fields of the answer that the answering node adds and no state holds, as paths of field names from the
	// answer down: `validators.signed` is the field of every validator. They are one node's word.
	Unproven []string

	request, answer func() proto.Message
	ask             func(exec.View, proto.Message) (proto.Message, *tx.Rejection, error)
}

// NewRequest returns an empty request of the method.
func (q Query) NewRequest() proto.Message { return q.request() }

// NewAnswer returns an empty answer of the method.
func (q Query) NewAnswer() proto.Message { return q.answer() }

// Ask puts the question to a state. The height, min_height and prove of the request are not looked at. What the view does not
// have, where the question is for a thing, is an answer with a height alone, and the rejection NOT_FOUND that says so. An error
// is a [tx.Rejection] of a request that breaks a rule, or what the view returns.
func (q Query) Ask(view exec.View, request proto.Message) (answer proto.Message, absent *tx.Rejection, err error) {
	return q.ask(view, request)
}

// pointer is a pointer to a generated message.
type pointer[M any] interface {
	*M
	proto.Message
}

// query makes a Query of a module's function.
func query[R, A any, PR pointer[R], PA pointer[A]](method string, ask func(exec.View, PR) (PA, error), unproven ...string) Query {
	return Query{
		Method: method, Unproven: unproven,
		request: func() proto.Message { return PR(new(R)) },
		answer:  func() proto.Message { return PA(new(A)) },
		ask: func(view exec.View, request proto.Message) (proto.Message, *tx.Rejection, error) {
			typed, ok := request.(PR)
			if !ok {
				return nil, nil, fmt.Errorf("%s is asked with a %T, not with a %T", method, request, typed)
			}
			answer, err := ask(view, typed)
			settled, absent, err := Settle(view, answer, err)
			if err != nil {
				return nil, nil, err
			}
			return settled, absent, nil
		},
	}
}

// Settle makes an answer of what is not there, since only an answer can carry a proof: where a module's function has returned
// the rejection NOT_FOUND, it returns an answer with the view's height alone, and the rejection. Anything else is returned as
// it is.
func Settle[A any, PA pointer[A]](view exec.View, answer PA, err error) (PA, *tx.Rejection, error) {
	var rejection *tx.Rejection
	if !errors.As(err, &rejection) || rejection.Code != ledgerv1.Code_CODE_NOT_FOUND {
		return answer, nil, err
	}
	answer = new(A)
	setHeight(answer, view.Height())
	return answer, rejection, nil
}

// all are the questions, by service.
var all = []Query{
	query(accountsv1.AccountsService_GetOrg_FullMethodName, accounts.GetOrg),
	query(accountsv1.AccountsService_ListOrgs_FullMethodName, accounts.ListOrgs),
	query(accountsv1.AccountsService_GetAccount_FullMethodName, accounts.GetAccount),
	query(accountsv1.AccountsService_ListAccounts_FullMethodName, accounts.ListAccounts),

	query(assetsv1.AssetsService_GetAsset_FullMethodName, assets.GetAsset),
	query(assetsv1.AssetsService_ListAssets_FullMethodName, assets.ListAssets),
	query(assetsv1.AssetsService_GetBalance_FullMethodName, assets.GetBalance),
	query(assetsv1.AssetsService_ListBalances_FullMethodName, assets.ListBalances),
	query(assetsv1.AssetsService_GetHold_FullMethodName, assets.GetHold),
	query(assetsv1.AssetsService_ListHolds_FullMethodName, assets.ListHolds),
	query(assetsv1.AssetsService_CheckSupply_FullMethodName, assets.CheckSupply),

	query(recordsv1.RecordsService_GetCollection_FullMethodName, records.GetCollection),
	query(recordsv1.RecordsService_GetRecord_FullMethodName, records.GetRecord),
	query(recordsv1.RecordsService_ListRecords_FullMethodName, records.ListRecords),
	query(recordsv1.RecordsService_GetHistory_FullMethodName, records.GetHistory),

	query(membershipv1.MembershipService_GetNode_FullMethodName, membership.GetNode),
	query(membershipv1.MembershipService_ListNodes_FullMethodName, membership.ListNodes),
	// The signing record is what the answering node has seen.
	query(membershipv1.MembershipService_ListValidators_FullMethodName, membership.ListValidators,
		"window", "validators.asked", "validators.signed", "validators.last_signed_height"),
	query(membershipv1.MembershipService_ListChanges_FullMethodName, membership.ListChanges),
	query(membershipv1.MembershipService_ListEvidence_FullMethodName, membership.ListEvidence),

	query(governancev1.GovernanceService_GetCharter_FullMethodName, governance.GetCharter),

	// What an open proposal would do is what the answering node found when it tried it out.
	query(proposalsv1.ProposalsService_GetProposal_FullMethodName, governance.GetProposal,
		"changes", "refused_code", "refused_message"),
	query(proposalsv1.ProposalsService_ListProposals_FullMethodName, governance.ListProposals),
}

// All returns every question, by service, in the order of the service's methods.
func All() []Query { return slices.Clone(all) }

// Of returns the question that a full gRPC method asks, and whether there is one.
func Of(method string) (Query, bool) {
	i := slices.IndexFunc(all, func(q Query) bool { return q.Method == method })
	if i < 0 {
		return Query{}, false
	}
	return all[i], true
}
