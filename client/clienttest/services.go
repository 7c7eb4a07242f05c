package clienttest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

type ledgerService struct {
	ledgerv1.UnimplementedLedgerServiceServer
	node *Node
}

func (s *ledgerService) Submit(ctx context.Context, req *ledgerv1.SubmitRequest) (*ledgerv1.SubmitResponse, error) {
	n := s.node
	if n.now().Apart {
		return nil, notReady()
	}
	if n.count(func(f *Faults) *int { return &f.Full }) {
		return nil, full(n.now().RetryAfter)
	}
	if n.count(func(f *Faults) *int { return &f.RefuseExpired }) {
		return nil, refused(tx.Reject(ledgerv1.Code_CODE_EXPIRED, "the transaction expired: sign it again"))
	}
	if n.count(func(f *Faults) *int { return &f.LostSubmits }) {
		return nil, status.Error(codes.Unavailable, "the node has died")
	}
	if n.count(func(f *Faults) *int { return &f.RefuseBehind }) {
		return nil, refused(tx.Reject(ledgerv1.Code_CODE_ORG_NOT_ACTIVE, "the org is suspended"))
	}
	id, err := n.ledger.submit(req.Tx)
	if err != nil {
		return nil, refused(err)
	}
	if n.count(func(f *Faults) *int { return &f.LostAnswers }) {
		return nil, status.Error(codes.Unavailable, "the answer was lost")
	}
	if n.count(func(f *Faults) *int { return &f.SilentSubmits }) {
		<-ctx.Done()
		return nil, status.FromContextError(ctx.Err()).Err()
	}
	if !req.Wait {
		state, outcome, _ := n.ledger.statusOf(id, nil)
		return &ledgerv1.SubmitResponse{Id: id[:], Status: state, Outcome: outcome}, nil
	}
	state, outcome, err := s.wait(ctx, id, nil)
	if err != nil {
		return nil, err
	}
	return &ledgerv1.SubmitResponse{Id: id[:], Status: state, Outcome: outcome}, nil
}

func (s *ledgerService) wait(ctx context.Context, id tx.ID, expiresAt *timestamppb.Timestamp) (ledgerv1.TxStatus, *ledgerv1.TxOutcome, error) {
	if s.node.now().SayExpired {
		return ledgerv1.TxStatus_TX_STATUS_EXPIRED, nil, nil
	}
	var expired <-chan time.Time
	if expiresAt != nil {
		timer := time.NewTimer(time.Until(expiresAt.AsTime()) + time.Millisecond)
		defer timer.Stop()
		expired = timer.C
	}
	for {
		state, outcome, changed := s.node.ledger.statusOf(id, expiresAt)
		if state != ledgerv1.TxStatus_TX_STATUS_PENDING && state != ledgerv1.TxStatus_TX_STATUS_UNKNOWN {
			return state, outcome, nil
		}
		select {
		case <-changed:
		case <-expired:
		case <-ctx.Done():
			return 0, nil, status.FromContextError(ctx.Err()).Err()
		}
	}
}

func (s *ledgerService) GetTransaction(_ context.Context, req *ledgerv1.GetTransactionRequest) (*ledgerv1.GetTransactionResponse, error) {
	state, outcome, _ := s.node.ledger.statusOf(tx.ID(req.Id), req.ExpiresAt)
	if s.node.now().SayExpired {
		state, outcome = ledgerv1.TxStatus_TX_STATUS_EXPIRED, nil
	}
	return &ledgerv1.GetTransactionResponse{Status: state, Outcome: outcome, Height: s.node.ledger.Height()}, nil
}

func (s *ledgerService) WaitTransaction(ctx context.Context, req *ledgerv1.WaitTransactionRequest) (*ledgerv1.WaitTransactionResponse, error) {
	state, outcome, err := s.wait(ctx, tx.ID(req.Id), req.ExpiresAt)
	if err != nil {
		return nil, err
	}
	return &ledgerv1.WaitTransactionResponse{Status: state, Outcome: outcome, Height: s.node.ledger.Height()}, nil
}

func (s *ledgerService) GetBlock(_ context.Context, req *ledgerv1.GetBlockRequest) (*ledgerv1.GetBlockResponse, error) {
	block, _ := s.node.ledger.block(req.Height)
	if block == nil {
		return nil, status.Errorf(codes.OutOfRange, "block %d is not there yet, the newest is %d", req.Height, s.node.ledger.Height())
	}
	return &ledgerv1.GetBlockResponse{Block: block}, nil
}

func (s *ledgerService) GetStatus(ctx context.Context, _ *ledgerv1.GetStatusRequest) (*ledgerv1.GetStatusResponse, error) {
	n, f := s.node, s.node.now()
	answer := &ledgerv1.GetStatusResponse{
		ChainId: cmp.Or(f.ChainID, n.ledger.ChainID), GenesisHash: n.ledger.GenesisHash[:], Node: n.Name, Org: n.Org, Phase: "following", Ready: true,
		Now: timestamppb.New(time.Now().Add(f.ClockOffset)), Version: "test", FeatureLevel: 1,
	}
	if n.mayRead(ctx) != nil {
		return answer, nil
	}
	block, _ := n.ledger.block(0)
	answer.Height, answer.BlockTime, answer.AppHash = block.Height-min(f.Behind, block.Height), block.Time, block.AppHash
	answer.OldestHeight, answer.OldestBlock, answer.Validator = 1, 1, true
	return answer, nil
}

// page cuts a page out of names in ascending order. A page token is the last name of the page before.
func page(all []string, token string, size uint32) (names []string, next string) {
	slices.Sort(all)
	start, found := slices.BinarySearch(all, token)
	if found {
		start++
	}
	all = all[start:]
	if size == 0 {
		size = 100
	}
	if len(all) <= int(size) {
		return all, ""
	}
	return all[:size], all[size-1]
}

func notFound(what, name string) error {
	detail := &errdetails.ErrorInfo{Reason: "NOT_FOUND", Domain: "althing"}
	return detailed(codes.NotFound, fmt.Sprintf("there is no %s %s", what, name), detail)
}

type accountsService struct {
	accountsv1.UnimplementedAccountsServiceServer
	node *Node
}

func (s *state) orgs() map[string]*accountsv1.Org {
	orgs := map[string]*accountsv1.Org{}
	for name := range s.accounts {
		org, _ := names.Account(name)
		if orgs[org] == nil {
			orgs[org] = &accountsv1.Org{Name: org, Status: accountsv1.OrgStatus_ORG_STATUS_ACTIVE}
		}
		if slices.Contains(s.accounts[name].Roles, "admin") {
			orgs[org].Admins++
		}
	}
	return orgs
}

func (s *accountsService) GetOrg(_ context.Context, req *accountsv1.GetOrgRequest) (*accountsv1.GetOrgResponse, error) {
	state, height := s.node.ledger.at()
	org := state.orgs()[req.Name]
	if org == nil {
		return nil, notFound("organisation", req.Name)
	}
	return &accountsv1.GetOrgResponse{Height: height, Org: org}, nil
}

func (s *accountsService) ListOrgs(_ context.Context, req *accountsv1.ListOrgsRequest) (*accountsv1.ListOrgsResponse, error) {
	state, height := s.node.ledger.at()
	orgs := state.orgs()
	list, next := page(slices.Collect(maps.Keys(orgs)), req.Page, req.PageSize)
	resp := &accountsv1.ListOrgsResponse{Height: height, NextPage: next}
	for _, name := range list {
		resp.Orgs = append(resp.Orgs, orgs[name])
	}
	return resp, nil
}

func (s *accountsService) GetAccount(_ context.Context, req *accountsv1.GetAccountRequest) (*accountsv1.GetAccountResponse, error) {
	state, height := s.node.ledger.at()
	if state.accounts[req.Name] == nil {
		return nil, notFound("account", req.Name)
	}
	return &accountsv1.GetAccountResponse{Height: height, Account: state.accounts[req.Name]}, nil
}

func (s *accountsService) ListAccounts(_ context.Context, req *accountsv1.ListAccountsRequest) (*accountsv1.ListAccountsResponse, error) {
	state, height := s.node.ledger.at()
	list, next := page(slices.Collect(maps.Keys(state.accounts)), req.Page, req.PageSize)
	resp := &accountsv1.ListAccountsResponse{Height: height, NextPage: next}
	for _, name := range list {
		if req.Org == "" || strings.HasPrefix(name, req.Org+"/") {
			resp.Accounts = append(resp.Accounts, state.accounts[name])
		}
	}
	return resp, nil
}

type assetsService struct {
	assetsv1.UnimplementedAssetsServiceServer
	node *Node
}

func (s *assetsService) GetAsset(_ context.Context, req *assetsv1.GetAssetRequest) (*assetsv1.GetAssetResponse, error) {
	state, height := s.node.ledger.at()
	if state.assets[req.Asset] == nil {
		return nil, notFound("asset", req.Asset)
	}
	balances, held := state.sums(req.Asset)
	supply, _ := balances.Add(held)
	return &assetsv1.GetAssetResponse{Height: height, Asset: state.assets[req.Asset], Supply: supply.String()}, nil
}

func (s *assetsService) ListAssets(_ context.Context, req *assetsv1.ListAssetsRequest) (*assetsv1.ListAssetsResponse, error) {
	state, height := s.node.ledger.at()
	list, next := page(slices.Collect(maps.Keys(state.assets)), req.Page, req.PageSize)
	resp := &assetsv1.ListAssetsResponse{Height: height, NextPage: next}
	for _, name := range list {
		if req.Org == "" || strings.HasPrefix(name, req.Org+"/") {
			resp.Assets = append(resp.Assets, state.assets[name])
		}
	}
	return resp, nil
}

func (s *state) holding(asset, account string) *assetsv1.Holding {
	h := s.holdings[[2]string{asset, account}]
	return &assetsv1.Holding{Asset: asset, Account: account, Balance: h.balance.String(), Held: h.held.String(), Frozen: h.frozen}
}

func (s *assetsService) GetBalance(_ context.Context, req *assetsv1.GetBalanceRequest) (*assetsv1.GetBalanceResponse, error) {
	state, height := s.node.ledger.at()
	if state.assets[req.Asset] == nil {
		return nil, notFound("asset", req.Asset)
	}
	return &assetsv1.GetBalanceResponse{Height: height, Holding: state.holding(req.Asset, req.Account), Decimals: state.assets[req.Asset].Decimals}, nil
}

func (s *assetsService) ListBalances(_ context.Context, req *assetsv1.ListBalancesRequest) (*assetsv1.ListBalancesResponse, error) {
	state, height := s.node.ledger.at()
	var keys []string
	for key := range state.holdings {
		if (req.Asset == "" || req.Asset == key[0]) && (req.Account == "" || req.Account == key[1]) {
			keys = append(keys, key[0]+" "+key[1])
		}
	}
	list, next := page(keys, req.Page, req.PageSize)
	resp := &assetsv1.ListBalancesResponse{Height: height, NextPage: next}
	for _, key := range list {
		asset, account, _ := strings.Cut(key, " ")
		resp.Holdings = append(resp.Holdings, state.holding(asset, account))
		resp.Decimals = append(resp.Decimals, state.assets[asset].Decimals)
	}
	return resp, nil
}

func (s *assetsService) GetHold(_ context.Context, req *assetsv1.GetHoldRequest) (*assetsv1.GetHoldResponse, error) {
	state, height := s.node.ledger.at()
	if state.holds[string(req.HoldId)] == nil {
		return nil, notFound("hold", fmt.Sprintf("%x", req.HoldId))
	}
	return &assetsv1.GetHoldResponse{Height: height, Hold: state.holds[string(req.HoldId)]}, nil
}

func (s *assetsService) ListHolds(_ context.Context, req *assetsv1.ListHoldsRequest) (*assetsv1.ListHoldsResponse, error) {
	state, height := s.node.ledger.at()
	list, next := page(slices.Collect(maps.Keys(state.holds)), req.Page, req.PageSize)
	resp := &assetsv1.ListHoldsResponse{Height: height, NextPage: next}
	for _, id := range list {
		resp.Holds = append(resp.Holds, state.holds[id])
	}
	return resp, nil
}

func (s *assetsService) CheckSupply(context.Context, *assetsv1.CheckSupplyRequest) (*assetsv1.CheckSupplyResponse, error) {
	state, height := s.node.ledger.at()
	resp := &assetsv1.CheckSupplyResponse{Height: height, Ok: true}
	for _, name := range slices.Sorted(maps.Keys(state.assets)) {
		balances, held := state.sums(name)
		supply, _ := balances.Add(held)
		resp.Assets = append(resp.Assets, &assetsv1.SupplyCheck{
			Asset: name, Supply: supply.String(), Balances: balances.String(), Holds: held.String(), Ok: true,
		})
	}
	return resp, nil
}
