package grpcapi

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/app/records"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/state"
)

// maxHeightWait bounds how long a read waits for its min_height, whatever the call's own deadline is.
const maxHeightWait = 30 * time.Second

// question is what every read request has.
type question interface {
	GetHeight() uint64
	GetMinHeight() uint64
	GetProve() bool
}

// read answers a question that reads a few keys of the state it asks for.
func read[Q question, A any](ctx context.Context, a *app.App, q Q, query func(exec.View, Q) (*A, error)) (*A, error) {
	if err := arrive(ctx, a, q); err != nil {
		return nil, toStatus(err)
	}
	return ask(ctx, a, q, query)
}

// scan answers a question that reads ranges of keys, when it is its turn. It holds no view while it stands in line.
func scan[Q question, A any](ctx context.Context, a *app.App, turn *gate, q Q, query func(exec.View, Q) (*A, error)) (*A, error) {
	if err := arrive(ctx, a, q); err != nil {
		return nil, toStatus(err)
	}
	leave, err := turn.enter(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	defer leave()
	return ask(ctx, a, q, query)
}

// arrive waits for the height that a question wants at least.
func arrive(ctx context.Context, a *app.App, q question) error {
	if q.GetProve() {
		return status.Error(codes.Unimplemented, "this version serves no proofs: ask without prove, or use a newer node")
	}
	height, least := q.GetHeight(), q.GetMinHeight()
	if height != 0 && height < least {
		return status.Errorf(codes.InvalidArgument, "height is %d and min_height is %d: ask for one of them", height, least)
	}
	if least == 0 {
		return nil
	}
	wait, cancel := context.WithTimeout(ctx, maxHeightWait)
	defer cancel()
	if err := a.WaitHeight(wait, least); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &state.FutureError{Height: least, Latest: a.Height()}
	}
	return nil
}

// ask puts a question to the view it asks for. A scan ends with the call.
func ask[Q question, A any](ctx context.Context, a *app.App, q Q, query func(exec.View, Q) (*A, error)) (*A, error) {
	view, err := a.View(q.GetHeight())
	if err != nil {
		return nil, toStatus(err)
	}
	defer view.Release()
	if view.Height() == 0 {
		return nil, toStatus(ErrNotReady)
	}
	answer, err := query(attendedView{view, ctx.Err}, q)
	return answer, toStatus(err)
}

type accountsServer struct {
	accountsv1.UnimplementedAccountsServiceServer
	app      *app.App
	listings *gate
}

func (s *accountsServer) GetOrg(ctx context.Context, q *accountsv1.GetOrgRequest) (*accountsv1.GetOrgResponse, error) {
	return read(ctx, s.app, q, accounts.GetOrg)
}

func (s *accountsServer) ListOrgs(ctx context.Context, q *accountsv1.ListOrgsRequest) (*accountsv1.ListOrgsResponse, error) {
	return scan(ctx, s.app, s.listings, q, accounts.ListOrgs)
}

func (s *accountsServer) GetAccount(ctx context.Context, q *accountsv1.GetAccountRequest) (*accountsv1.GetAccountResponse, error) {
	return read(ctx, s.app, q, accounts.GetAccount)
}

func (s *accountsServer) ListAccounts(ctx context.Context, q *accountsv1.ListAccountsRequest) (*accountsv1.ListAccountsResponse, error) {
	return scan(ctx, s.app, s.listings, q, accounts.ListAccounts)
}

type membershipServer struct {
	membershipv1.UnimplementedMembershipServiceServer
	app      *app.App
	listings *gate
}

func (s *membershipServer) GetNode(ctx context.Context, q *membershipv1.GetNodeRequest) (*membershipv1.GetNodeResponse, error) {
	return read(ctx, s.app, q, membership.GetNode)
}

func (s *membershipServer) ListNodes(ctx context.Context, q *membershipv1.ListNodesRequest) (*membershipv1.ListNodesResponse, error) {
	return scan(ctx, s.app, s.listings, q, membership.ListNodes)
}

type governanceServer struct {
	governancev1.UnimplementedGovernanceServiceServer
	app *app.App
}

func (s *governanceServer) GetCharter(ctx context.Context, q *governancev1.GetCharterRequest) (*governancev1.GetCharterResponse, error) {
	return read(ctx, s.app, q, governance.GetCharter)
}

type assetsServer struct {
	assetsv1.UnimplementedAssetsServiceServer
	app      *app.App
	listings *gate
	checks   *gate
}

func (s *assetsServer) GetAsset(ctx context.Context, q *assetsv1.GetAssetRequest) (*assetsv1.GetAssetResponse, error) {
	return read(ctx, s.app, q, assets.GetAsset)
}

func (s *assetsServer) ListAssets(ctx context.Context, q *assetsv1.ListAssetsRequest) (*assetsv1.ListAssetsResponse, error) {
	return scan(ctx, s.app, s.listings, q, assets.ListAssets)
}

func (s *assetsServer) GetBalance(ctx context.Context, q *assetsv1.GetBalanceRequest) (*assetsv1.GetBalanceResponse, error) {
	return read(ctx, s.app, q, assets.GetBalance)
}

func (s *assetsServer) ListBalances(ctx context.Context, q *assetsv1.ListBalancesRequest) (*assetsv1.ListBalancesResponse, error) {
	return scan(ctx, s.app, s.listings, q, assets.ListBalances)
}

func (s *assetsServer) GetHold(ctx context.Context, q *assetsv1.GetHoldRequest) (*assetsv1.GetHoldResponse, error) {
	return read(ctx, s.app, q, assets.GetHold)
}

func (s *assetsServer) ListHolds(ctx context.Context, q *assetsv1.ListHoldsRequest) (*assetsv1.ListHoldsResponse, error) {
	return scan(ctx, s.app, s.listings, q, assets.ListHolds)
}

func (s *assetsServer) CheckSupply(ctx context.Context, q *assetsv1.CheckSupplyRequest) (*assetsv1.CheckSupplyResponse, error) {
	return scan(ctx, s.app, s.checks, q, assets.CheckSupply)
}

type recordsServer struct {
	recordsv1.UnimplementedRecordsServiceServer
	app      *app.App
	listings *gate
}

func (s *recordsServer) GetCollection(ctx context.Context, q *recordsv1.GetCollectionRequest) (*recordsv1.GetCollectionResponse, error) {
	return read(ctx, s.app, q, records.GetCollection)
}

func (s *recordsServer) GetRecord(ctx context.Context, q *recordsv1.GetRecordRequest) (*recordsv1.GetRecordResponse, error) {
	return read(ctx, s.app, q, records.GetRecord)
}

func (s *recordsServer) ListRecords(ctx context.Context, q *recordsv1.ListRecordsRequest) (*recordsv1.ListRecordsResponse, error) {
	return scan(ctx, s.app, s.listings, q, records.ListRecords)
}

func (s *recordsServer) GetHistory(ctx context.Context, q *recordsv1.GetHistoryRequest) (*recordsv1.GetHistoryResponse, error) {
	return scan(ctx, s.app, s.listings, q, records.GetHistory)
}
