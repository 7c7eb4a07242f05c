package grpcapi

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/records"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/state"
)

const (
	// maxHeightWait bounds how long a read waits for its height, and for the header that proves it, whatever the call's own
	// deadline is.
	maxHeightWait = 30 * time.Second
	// maxTipWait bounds how long a proven read that names no height waits for the header that proves the newest one.
	maxTipWait = 2 * time.Second
)

// Places for reads that cost more than a few keys.
const (
	// A page of a listing reads some megabytes at most; a check of the supply reads every holding.
	listingsAtOnce, listingsInLine = 4, 1024
	checksAtOnce, checksInLine     = 1, 8
	// A proof of a few keys costs far more than reading them.
	proofsAtOnce, proofsInLine = 8, 4096
)

// question is what every read request has.
type question interface {
	GetHeight() uint64
	GetMinHeight() uint64
	GetProve() bool
}

// reads is what the services that answer from the state share.
type reads struct {
	app     *app.App
	engine  Engine
	headers *lru.Cache[uint64, *signedHeader]

	listings, checks, proofs *gate
}

func newReads(a *app.App, engine Engine) (*reads, error) {
	headers, err := lru.New[uint64, *signedHeader](headersKept)
	if err != nil {
		return nil, err
	}
	return &reads{
		app: a, engine: engine, headers: headers,
		listings: newGate(listingsAtOnce, listingsInLine), checks: newGate(checksAtOnce, checksInLine), proofs: newGate(proofsAtOnce, proofsInLine),
	}, nil
}

// read answers a question that reads a few keys of the state it asks for. With a proof it stands in line.
func read[Q question, A any, PA provable[A]](ctx context.Context, r *reads, q Q, query func(exec.View, Q) (PA, error)) (PA, error) {
	if q.GetProve() {
		return scan(ctx, r, r.proofs, q, query)
	}
	if err := r.arrive(ctx, q); err != nil {
		return nil, toStatus(err)
	}
	answer, err := ask(ctx, r, q, query)
	return answer, toStatus(err)
}

// scan answers a question that reads ranges of keys, when it is its turn. It holds no view while it stands in line.
func scan[Q question, A any, PA provable[A]](ctx context.Context, r *reads, turn *gate, q Q, query func(exec.View, Q) (PA, error)) (PA, error) {
	if err := r.arrive(ctx, q); err != nil {
		return nil, toStatus(err)
	}
	leave, err := turn.enter(ctx)
	if err != nil {
		return nil, toStatus(err)
	}
	defer leave()
	var answer PA
	if q.GetProve() {
		answer, err = askProven(ctx, r, q, query)
	} else {
		answer, err = ask(ctx, r, q, query)
	}
	return answer, toStatus(err)
}

// arrive waits for the height that a question wants, and until it can be proven where a proof is wanted. A height that this
// node has not reached is waited for only as min_height.
func (r *reads) arrive(ctx context.Context, q question) error {
	height, least := q.GetHeight(), q.GetMinHeight()
	if height != 0 && height < least {
		return status.Errorf(codes.InvalidArgument, "height is %d and min_height is %d: ask for one of them", height, least)
	}
	if least == 0 && !q.GetProve() {
		return nil
	}
	if height == 0 && least == 0 {
		return r.awaitTip(ctx)
	}
	wait, cancel := context.WithTimeout(ctx, maxHeightWait)
	defer cancel()
	err := r.app.WaitHeight(wait, least)
	if err != nil {
		err = &state.FutureError{Height: least, Latest: r.app.Height()}
	} else if q.GetProve() {
		err = r.awaitProof(wait, max(height, least, 1))
	}
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// awaitTip waits until the newest state can be proven: the next block is on its way, unless the network has stopped. Then what
// can be proven is the state before.
func (r *reads) awaitTip(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, maxTipWait)
	defer cancel()
	if err := r.awaitProof(wait, max(r.app.Height(), 1)); err != nil && !errors.Is(err, errUnproven) {
		return err
	}
	return ctx.Err()
}

// ask puts a question to the view it asks for. A scan ends with the call.
func ask[Q question, A any, PA provable[A]](ctx context.Context, r *reads, q Q, query func(exec.View, Q) (PA, error)) (PA, error) {
	view, err := r.app.View(q.GetHeight())
	if err != nil {
		return nil, err
	}
	defer view.Release()
	if view.Height() == 0 {
		return nil, ErrNotReady
	}
	return query(attendedView{view, ctx.Err}, q)
}

type accountsServer struct {
	accountsv1.UnimplementedAccountsServiceServer
	*reads
}

func (s *accountsServer) GetOrg(ctx context.Context, q *accountsv1.GetOrgRequest) (*accountsv1.GetOrgResponse, error) {
	return read(ctx, s.reads, q, accounts.GetOrg)
}

func (s *accountsServer) ListOrgs(ctx context.Context, q *accountsv1.ListOrgsRequest) (*accountsv1.ListOrgsResponse, error) {
	return scan(ctx, s.reads, s.listings, q, accounts.ListOrgs)
}

func (s *accountsServer) GetAccount(ctx context.Context, q *accountsv1.GetAccountRequest) (*accountsv1.GetAccountResponse, error) {
	return read(ctx, s.reads, q, accounts.GetAccount)
}

func (s *accountsServer) ListAccounts(ctx context.Context, q *accountsv1.ListAccountsRequest) (*accountsv1.ListAccountsResponse, error) {
	return scan(ctx, s.reads, s.listings, q, accounts.ListAccounts)
}

type assetsServer struct {
	assetsv1.UnimplementedAssetsServiceServer
	*reads
}

func (s *assetsServer) GetAsset(ctx context.Context, q *assetsv1.GetAssetRequest) (*assetsv1.GetAssetResponse, error) {
	return read(ctx, s.reads, q, assets.GetAsset)
}

func (s *assetsServer) ListAssets(ctx context.Context, q *assetsv1.ListAssetsRequest) (*assetsv1.ListAssetsResponse, error) {
	return scan(ctx, s.reads, s.listings, q, assets.ListAssets)
}

func (s *assetsServer) GetBalance(ctx context.Context, q *assetsv1.GetBalanceRequest) (*assetsv1.GetBalanceResponse, error) {
	return read(ctx, s.reads, q, assets.GetBalance)
}

func (s *assetsServer) ListBalances(ctx context.Context, q *assetsv1.ListBalancesRequest) (*assetsv1.ListBalancesResponse, error) {
	return scan(ctx, s.reads, s.listings, q, assets.ListBalances)
}

func (s *assetsServer) GetHold(ctx context.Context, q *assetsv1.GetHoldRequest) (*assetsv1.GetHoldResponse, error) {
	return read(ctx, s.reads, q, assets.GetHold)
}

func (s *assetsServer) ListHolds(ctx context.Context, q *assetsv1.ListHoldsRequest) (*assetsv1.ListHoldsResponse, error) {
	return scan(ctx, s.reads, s.listings, q, assets.ListHolds)
}

func (s *assetsServer) CheckSupply(ctx context.Context, q *assetsv1.CheckSupplyRequest) (*assetsv1.CheckSupplyResponse, error) {
	return scan(ctx, s.reads, s.checks, q, assets.CheckSupply)
}

type recordsServer struct {
	recordsv1.UnimplementedRecordsServiceServer
	*reads
}

func (s *recordsServer) GetCollection(ctx context.Context, q *recordsv1.GetCollectionRequest) (*recordsv1.GetCollectionResponse, error) {
	return read(ctx, s.reads, q, records.GetCollection)
}

func (s *recordsServer) GetRecord(ctx context.Context, q *recordsv1.GetRecordRequest) (*recordsv1.GetRecordResponse, error) {
	return read(ctx, s.reads, q, records.GetRecord)
}

func (s *recordsServer) ListRecords(ctx context.Context, q *recordsv1.ListRecordsRequest) (*recordsv1.ListRecordsResponse, error) {
	return scan(ctx, s.reads, s.listings, q, records.ListRecords)
}

func (s *recordsServer) GetHistory(ctx context.Context, q *recordsv1.GetHistoryRequest) (*recordsv1.GetHistoryResponse, error) {
	return scan(ctx, s.reads, s.listings, q, records.GetHistory)
}
