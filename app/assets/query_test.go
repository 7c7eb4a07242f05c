package assets_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/assets"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/exec/exectest"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
	"github.com/althing-ledger/althing/state/statetest"
)

// ledger is a store with three assets, seven holders of the first, and two holds. At height 2 acme/admin burns what it
// has of the second.
func ledger(t *testing.T) *state.Store {
	t.Helper()
	w := exectest.New()
	lines := "acme/admin admin issuer payer\nglobex/admin admin issuer payer\n"
	for i := range 6 {
		lines += fmt.Sprintf("globex/a%d payer\n", i)
	}
	w.Genesis(t, lines)
	do := func(as string, run func(*exec.Env, assets.Store, accounts.Reader) error) {
		t.Helper()
		out := w.Do(t, as, nil, func(env *exec.Env, kv exec.KV) error { return run(env, assets.Open(kv), accounts.Read(kv)) })
		if out.Err != nil {
			t.Fatal(out.Err)
		}
	}
	for _, a := range []struct {
		as string
		op *assetsv1.Create
	}{
		{"acme/admin", &assetsv1.Create{Asset: "acme/usd", Decimals: 2}},
		{"acme/admin", &assetsv1.Create{Asset: "acme/eur", Decimals: 3}},
		{"globex/admin", &assetsv1.Create{Asset: "globex/gold"}},
	} {
		do(a.as, func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.Create(env, s, who, a.op)
		})
	}
	mint := func(as, asset, to string) {
		t.Helper()
		do(as, func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.Mint(env, s, who, &assetsv1.Mint{Asset: asset, To: to, Amount: "1000"})
		})
	}
	for i := range 6 {
		mint("acme/admin", "acme/usd", fmt.Sprintf("globex/a%d", i))
	}
	mint("acme/admin", "acme/usd", "acme/admin")
	mint("acme/admin", "acme/eur", "acme/admin")
	mint("globex/admin", "globex/gold", "globex/a0")
	for _, as := range []string{"acme/admin", "globex/a1"} {
		do(as, func(env *exec.Env, s assets.Store, who accounts.Reader) error {
			return assets.OpenHold(env, s, who, &assetsv1.OpenHold{
				Asset: "acme/usd", To: "globex/admin", Amount: "1", Deadline: timestamppb.New(w.Time.AddDate(1, 0, 0)),
			})
		})
	}

	store := statetest.New(t)
	statetest.Commit(t, store, func(o *state.Overlay) {
		if err := w.State.Scan(nil, nil, func(key, value []byte) (bool, error) {
			o.Set(key, value)
			return true, nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	statetest.Commit(t, store, func(o *state.Overlay) {
		env := &exec.Env{Height: 2, Account: "acme/admin", Org: "acme", Emit: func(*ledgerv1.Event) {}}
		op := &assetsv1.Burn{Asset: "acme/eur", Amount: "1000"}
		if err := assets.Burn(env, assets.Open(o), accounts.Read(o), op); err != nil {
			t.Fatal(err)
		}
	})
	return store
}

func TestQueries(t *testing.T) {
	t.Parallel()
	store := ledger(t)
	view := store.Latest()
	defer view.Release()

	asset, err := assets.GetAsset(view, &assetsv1.GetAssetRequest{Asset: "acme/usd"})
	if err != nil || asset.Height != 2 || asset.Asset.Decimals != 2 || asset.Supply != "7000" || asset.Asset.MintRole != "issuer" {
		t.Error(asset, err)
	}
	balance, err := assets.GetBalance(view, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "globex/a1"})
	if err != nil || balance.Height != 2 || balance.Holding.Balance != "999" || balance.Holding.Held != "1" || balance.Decimals != 2 {
		t.Error(balance, err)
	}
	balance, err = assets.GetBalance(view, &assetsv1.GetBalanceRequest{Asset: "acme/eur", Account: "nobody/ever"})
	if err != nil || balance.Holding.Balance != "0" || balance.Holding.Account != "nobody/ever" || balance.Decimals != 3 {
		t.Error(balance, err)
	}
	list, err := assets.ListAssets(view, &assetsv1.ListAssetsRequest{Org: "acme"})
	if err != nil || len(list.Assets) != 2 || list.Assets[0].Name != "acme/eur" || list.NextPage != "" || list.Height != 2 {
		t.Error(list, err)
	}
	list, err = assets.ListAssets(view, &assetsv1.ListAssetsRequest{})
	if err != nil || len(list.Assets) != 3 {
		t.Error(list, err)
	}
	holds, err := assets.ListHolds(view, &assetsv1.ListHoldsRequest{})
	if err != nil || len(holds.Holds) != 2 || holds.Height != 2 {
		t.Fatal(holds, err)
	}
	hold, err := assets.GetHold(view, &assetsv1.GetHoldRequest{HoldId: holds.Holds[1].Id})
	if err != nil || hold.Hold.To != "globex/admin" || hold.Height != 2 {
		t.Error(hold, err)
	}
	check, err := assets.CheckSupply(view, &assetsv1.CheckSupplyRequest{})
	if err != nil || !check.Ok || len(check.Assets) != 3 || check.Height != 2 {
		t.Error(check, err)
	}
	if usd := check.Assets[1]; usd.Asset != "acme/usd" || usd.Supply != "7000" || usd.Balances != "6998" || usd.Holds != "2" {
		t.Error(usd)
	}
}

func TestListBalancesByPage(t *testing.T) {
	t.Parallel()
	store := ledger(t)
	for _, test := range []struct {
		name   string
		height uint64
		q      *assetsv1.ListBalancesRequest
		want   []string
	}{
		{"holders", 2, &assetsv1.ListBalancesRequest{Asset: "acme/usd"}, []string{
			"acme/usd acme/admin 999 2", "acme/usd globex/a0 1000 2", "acme/usd globex/a1 999 2", "acme/usd globex/a2 1000 2",
			"acme/usd globex/a3 1000 2", "acme/usd globex/a4 1000 2", "acme/usd globex/a5 1000 2",
		}},
		{"holdings", 2, &assetsv1.ListBalancesRequest{Account: "globex/a0"}, []string{"acme/usd globex/a0 1000 2", "globex/gold globex/a0 1000 0"}},
		{"holdings now", 2, &assetsv1.ListBalancesRequest{Account: "acme/admin"}, []string{"acme/usd acme/admin 999 2"}},
		{"holdings before", 1, &assetsv1.ListBalancesRequest{Account: "acme/admin"}, []string{"acme/eur acme/admin 1000 3", "acme/usd acme/admin 999 2"}},
		{"nobody", 2, &assetsv1.ListBalancesRequest{Account: "nobody/ever"}, nil},
	} {
		for size := range uint32(9) {
			view, err := store.At(test.height)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			test.q.Page, test.q.PageSize = "", size
			for first := true; first || test.q.Page != ""; first = false {
				answer, err := assets.ListBalances(view, test.q)
				if err != nil || answer.Height != test.height || len(answer.Decimals) != len(answer.Holdings) {
					t.Fatal(answer, err)
				}
				if size > 0 && len(answer.Holdings) > int(size) {
					t.Fatalf("%s: a page of %d holds %d", test.name, size, len(answer.Holdings))
				}
				for i, h := range answer.Holdings {
					got = append(got, fmt.Sprintf("%s %s %s %d", h.Asset, h.Account, h.Balance, answer.Decimals[i]))
				}
				test.q.Page = answer.NextPage
			}
			view.Release()
			if !slices.Equal(got, test.want) {
				t.Errorf("%s in pages of %d: %q, want %q", test.name, size, got, test.want)
			}
		}
	}
}

func TestQueriesRefuse(t *testing.T) {
	t.Parallel()
	view := ledger(t).Latest()
	defer view.Release()
	ask := func(_ any, err error) error { return err }
	for name, test := range map[string]struct {
		err  error
		code ledgerv1.Code
	}{
		"no asset":          {ask(assets.GetAsset(view, &assetsv1.GetAssetRequest{Asset: "acme/gbp"})), ledgerv1.Code_CODE_NOT_FOUND},
		"bad asset":         {ask(assets.GetAsset(view, &assetsv1.GetAssetRequest{Asset: "a\x00b/c"})), ledgerv1.Code_CODE_BAD_NAME},
		"bad org":           {ask(assets.ListAssets(view, &assetsv1.ListAssetsRequest{Org: "a\x00b"})), ledgerv1.Code_CODE_BAD_NAME},
		"large page":        {ask(assets.ListAssets(view, &assetsv1.ListAssetsRequest{PageSize: 1001})), ledgerv1.Code_CODE_BAD_FIELD},
		"bad page":          {ask(assets.ListAssets(view, &assetsv1.ListAssetsRequest{Page: "x"})), ledgerv1.Code_CODE_BAD_FIELD},
		"balance of what":   {ask(assets.GetBalance(view, &assetsv1.GetBalanceRequest{Account: "acme/admin"})), ledgerv1.Code_CODE_BAD_NAME},
		"balance of whom":   {ask(assets.GetBalance(view, &assetsv1.GetBalanceRequest{Asset: "acme/usd"})), ledgerv1.Code_CODE_BAD_NAME},
		"balance of no":     {ask(assets.GetBalance(view, &assetsv1.GetBalanceRequest{Asset: "acme/gbp", Account: "acme/admin"})), ledgerv1.Code_CODE_NOT_FOUND},
		"balances of both":  {ask(assets.ListBalances(view, &assetsv1.ListBalancesRequest{Asset: "acme/usd", Account: "acme/admin"})), ledgerv1.Code_CODE_BAD_FIELD},
		"balances of none":  {ask(assets.ListBalances(view, &assetsv1.ListBalancesRequest{})), ledgerv1.Code_CODE_BAD_FIELD},
		"balances of no":    {ask(assets.ListBalances(view, &assetsv1.ListBalancesRequest{Asset: "acme/gbp"})), ledgerv1.Code_CODE_NOT_FOUND},
		"balances of a bad": {ask(assets.ListBalances(view, &assetsv1.ListBalancesRequest{Account: "acme"})), ledgerv1.Code_CODE_BAD_NAME},
		"short hold":        {ask(assets.GetHold(view, &assetsv1.GetHoldRequest{HoldId: []byte{1}})), ledgerv1.Code_CODE_BAD_FIELD},
		"no hold":           {ask(assets.GetHold(view, &assetsv1.GetHoldRequest{HoldId: make([]byte, 32)})), ledgerv1.Code_CODE_NOT_FOUND},
		"bad page of holds": {ask(assets.ListHolds(view, &assetsv1.ListHoldsRequest{Page: "0"})), ledgerv1.Code_CODE_BAD_FIELD},
	} {
		if !errors.Is(test.err, &tx.Rejection{Code: test.code}) {
			t.Errorf("%s: %v, want %s", name, test.err, tx.Reason(test.code))
		}
	}
}

// TestSumSupplyFindsWhatIsWrong damages a state leaf by leaf.
func TestSumSupplyFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	store := ledger(t)
	view := store.Latest()
	defer view.Release()
	for _, prefix := range []byte{keyspace.PrefixAssets, keyspace.PrefixSupply, keyspace.PrefixBalances, keyspace.PrefixHolds} {
		start, end := keyspace.PrefixRange([]byte{prefix})
		leaves := 0
		if err := view.Scan(start, end, func(gone, _ []byte) (bool, error) {
			leaves++
			damaged := new(statetest.Memory)
			if err := view.Scan(nil, nil, func(key, value []byte) (bool, error) {
				if string(key) != string(gone) {
					damaged.Set(key, value)
				}
				return true, nil
			}); err != nil {
				return false, err
			}
			checks, err := assets.SumSupply(damaged)
			if err != nil {
				return false, err
			}
			if !slices.ContainsFunc(checks, func(c *assetsv1.SupplyCheck) bool { return !c.Ok }) {
				t.Errorf("without the leaf %x everything adds up", gone)
			}
			damaged.Set(gone, []byte{99})
			if _, err := assets.SumSupply(damaged); err == nil {
				t.Errorf("a leaf %x of an unknown format is not noticed", gone)
			}
			return true, nil
		}); err != nil || leaves == 0 {
			t.Fatal(leaves, err)
		}
	}
	damaged := &statetest.Memory{Fail: statetest.ErrInjected}
	if _, err := assets.SumSupply(damaged); !errors.Is(err, statetest.ErrInjected) {
		t.Error(err)
	}
}
