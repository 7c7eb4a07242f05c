package assets

import (
	"github.com/althing-ledger/althing/app/exec"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// maxWalk is how many assets one page of an account's holdings looks at: its own layout lists holders of an asset, not
// assets of a holder.
const maxWalk = 5000

// GetAsset answers one asset and its supply: BAD_NAME, NOT_FOUND.
func GetAsset(view exec.View, q *assetsv1.GetAssetRequest) (*assetsv1.GetAssetResponse, error) {
	asset, err := requireAsset(view, q.Asset)
	if err != nil {
		return nil, err
	}
	supply, err := Read(view).Supply(asset.Name)
	if err != nil {
		return nil, err
	}
	return &assetsv1.GetAssetResponse{Height: view.Height(), Asset: asset, Supply: supply.String()}, nil
}

// ListAssets answers assets, all or those of one org, by org and name: BAD_NAME, BAD_FIELD.
func ListAssets(view exec.View, q *assetsv1.ListAssetsRequest) (*assetsv1.ListAssetsResponse, error) {
	if q.Org != "" {
		if err := names.Org(q.Org); err != nil {
			return nil, tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
		}
	}
	answer := &assetsv1.ListAssetsResponse{Height: view.Height()}
	var err error
	answer.NextPage, err = exec.List(view, assetRange(q.Org), q.Page, q.PageSize, func(_, value []byte) error {
		asset := new(assetsv1.Asset)
		answer.Assets = append(answer.Assets, asset)
		return exec.Decode(value, asset)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// GetBalance answers what an account has of an asset, zero if it never had any: BAD_NAME, NOT_FOUND for the asset.
func GetBalance(view exec.View, q *assetsv1.GetBalanceRequest) (*assetsv1.GetBalanceResponse, error) {
	if err := checkAccount(q.Account); err != nil {
		return nil, err
	}
	asset, err := requireAsset(view, q.Asset)
	if err != nil {
		return nil, err
	}
	h, err := Read(view).Holding(asset.Name, q.Account)
	if err != nil {
		return nil, err
	}
	return &assetsv1.GetBalanceResponse{
		Height:   view.Height(),
		Holding:  holdingMessage(asset.Name, q.Account, h),
		Decimals: asset.Decimals,
	}, nil
}

// ListBalances answers the holdings of an asset by account, or those of an account by asset; a request names one of the
// two: BAD_FIELD, BAD_NAME, NOT_FOUND for the asset. A page of an account's holdings may hold fewer than were asked for
// and have a next page all the same.
func ListBalances(view exec.View, q *assetsv1.ListBalancesRequest) (*assetsv1.ListBalancesResponse, error) {
	answer := &assetsv1.ListBalancesResponse{Height: view.Height()}
	var err error
	switch {
	case q.Asset != "" && q.Account == "":
		err = listHolders(view, q, answer)
	case q.Account != "" && q.Asset == "":
		err = listHoldings(view, q, answer)
	default:
		err = tx.Reject(ledgerv1.Code_CODE_BAD_FIELD,
			"name either an asset, for all its holders, or an account, for all it holds")
	}
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func listHolders(view exec.View, q *assetsv1.ListBalancesRequest, answer *assetsv1.ListBalancesResponse) error {
	asset, err := requireAsset(view, q.Asset)
	if err != nil {
		return err
	}
	answer.NextPage, err = exec.List(view, holdingRange(asset.Name), q.Page, q.PageSize, func(key, value []byte) error {
		_, account, ok := splitHoldingKey(key)
		if !ok {
			return brokenSum(asset.Name, account)
		}
		h, err := decodeHolding(value)
		if err != nil {
			return err
		}
		answer.Holdings = append(answer.Holdings, holdingMessage(asset.Name, account, h))
		answer.Decimals = append(answer.Decimals, asset.Decimals)
		return nil
	})
	return err
}

func listHoldings(view exec.View, q *assetsv1.ListBalancesRequest, answer *assetsv1.ListBalancesResponse) error {
	if err := checkAccount(q.Account); err != nil {
		return err
	}
	r := Read(view)
	walked := 0
	var err error
	answer.NextPage, err = exec.ListSome(view, assetRange(""), q.Page, q.PageSize, func(_, value []byte) (exec.Step, error) {
		asset := new(assetsv1.Asset)
		if err := exec.Decode(value, asset); err != nil {
			return exec.Skip, err
		}
		h, err := r.Holding(asset.Name, q.Account)
		if err != nil {
			return exec.Skip, err
		}
		walked++
		switch {
		case h != (Holding{}):
			answer.Holdings = append(answer.Holdings, holdingMessage(asset.Name, q.Account, h))
			answer.Decimals = append(answer.Decimals, asset.Decimals)
			if walked >= maxWalk {
				return exec.TakeLast, nil
			}
			return exec.Take, nil
		case walked >= maxWalk:
			return exec.SkipLast, nil
		default:
			return exec.Skip, nil
		}
	})
	return err
}

// GetHold answers one open hold: BAD_FIELD, NOT_FOUND.
func GetHold(view exec.View, q *assetsv1.GetHoldRequest) (*assetsv1.GetHoldResponse, error) {
	if err := checkHoldID(q.HoldId); err != nil {
		return nil, err
	}
	hold, err := Read(view).Hold(q.HoldId)
	if err != nil {
		return nil, err
	}
	if hold == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND,
			"there is no open hold %x at height %d: it may have been released or cancelled",
			q.HoldId, view.Height())
	}
	return &assetsv1.GetHoldResponse{Height: view.Height(), Hold: hold}, nil
}

// ListHolds answers open holds in the order of their ids: BAD_FIELD.
func ListHolds(view exec.View, q *assetsv1.ListHoldsRequest) (*assetsv1.ListHoldsResponse, error) {
	answer := &assetsv1.ListHoldsResponse{Height: view.Height()}
	var err error
	answer.NextPage, err = exec.List(view, holdRange(), q.Page, q.PageSize, func(_, value []byte) error {
		hold := new(assetsv1.Hold)
		answer.Holds = append(answer.Holds, hold)
		return exec.Decode(value, hold)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// CheckSupply answers what [SumSupply] finds.
func CheckSupply(view exec.View, _ *assetsv1.CheckSupplyRequest) (*assetsv1.CheckSupplyResponse, error) {
	checks, err := SumSupply(view)
	if err != nil {
		return nil, err
	}
	answer := &assetsv1.CheckSupplyResponse{Height: view.Height(), Assets: checks, Ok: true}
	for _, check := range checks {
		answer.Ok = answer.Ok && check.Ok
	}
	return answer, nil
}

func requireAsset(view exec.View, name string) (*assetsv1.Asset, error) {
	if err := checkAsset(name); err != nil {
		return nil, err
	}
	return Read(view).RequireAsset(name)
}

func holdingMessage(asset, account string, h Holding) *assetsv1.Holding {
	return &assetsv1.Holding{
		Asset:   asset,
		Account: account,
		Balance: h.Balance.String(),
		Held:    h.Held.String(),
		Frozen:  h.Frozen,
	}
}
