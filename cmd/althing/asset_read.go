package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// balance is what an account has of an asset, with the asset's decimals.
type balance struct {
	Asset   string `json:"asset"`
	Account string `json:"account"`
	Amount  string `json:"amount"`
	Held    string `json:"held"`
	Frozen  bool   `json:"frozen"`
}

func balanceOf(h *assetsv1.Holding, decimals uint32) balance {
	return balance{
		Asset: h.GetAsset(), Account: h.GetAccount(),
		Amount: formatUnits(h.GetBalance(), decimals), Held: formatUnits(h.GetHeld(), decimals), Frozen: h.GetFrozen(),
	}
}

func newAssetBalanceCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:     "balance ASSET ORG/NAME",
		Short:   "Show what an account has of an asset",
		Example: "  althing asset balance acme/usd globex/treasury",
		Args:    cobra.ExactArgs(2),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if err := checkHolding(args); err != nil {
				return err
			}
			resp, err := l.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: args[0], Account: args[1], Height: height})
			if err != nil {
				return err
			}
			b := balanceOf(resp.GetHolding(), resp.Decimals)
			b.Asset, b.Account = args[0], args[1]
			value := struct {
				balance
				Height uint64 `json:"height"`
			}{b, resp.Height}
			return s.showProven(g, resp.Height, value, func(out io.Writer) {
				fmt.Fprintf(out, "%s %s%s\n", b.Amount, b.Asset, heldWords(b))
			})
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

func heldWords(b balance) string {
	text := ""
	if isSome(b.Held) {
		text = ", and " + b.Held + " held"
	}
	if b.Frozen {
		text += ", frozen"
	}
	return text
}

// isSome reports whether a formatted amount is above zero.
func isSome(text string) bool {
	for _, c := range text {
		if c >= '1' && c <= '9' {
			return true
		}
	}
	return false
}

func newAssetBalancesCommand(s *streams) *cobra.Command {
	var p paging
	var account string
	cmd := &cobra.Command{
		Use:   "balances [ASSET] [--account ORG/NAME]",
		Short: "List who has how much of an asset, or what an account has",
		Example: `  althing asset balances acme/usd
  althing asset balances --account acme/treasury`,
		Args: cobra.MaximumNArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			asset, err := assetOrAccount(args, account)
			if err != nil {
				return err
			}
			decimals := map[string]uint32{}
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*assetsv1.Holding, string, error) {
				resp, err := l.Assets().ListBalances(ctx, &assetsv1.ListBalancesRequest{Height: at, Page: page, PageSize: size, Asset: asset, Account: account})
				for i, h := range resp.GetHoldings() {
					if i < len(resp.Decimals) {
						decimals[h.Asset] = resp.Decimals[i]
					}
				}
				return resp.GetHeight(), resp.GetHoldings(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			return s.showBalances(g, found, decimals)
		}),
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&account, "account", "", "`ORG/NAME` whose balances to list")
	return cmd
}

func assetOrAccount(args []string, account string) (asset string, err error) {
	switch {
	case len(args) == 1 && account == "":
		_, err = names.Asset(args[0])
		return args[0], err
	case len(args) == 0 && account != "":
		_, err = names.Account(account)
		return "", err
	default:
		return "", usagef("name an asset or --account ORG/NAME, one of both")
	}
}

func (s *streams) showBalances(g globals, f found[*assetsv1.Holding], decimals map[string]uint32) error {
	items := []object{}
	var all []balance
	for _, h := range f.items {
		b := balanceOf(h, decimals[h.Asset])
		all = append(all, b)
		items = append(items, object{{"asset", b.Asset}, {"account", b.Account}, {"amount", b.Amount}, {"held", b.Held}, {"frozen", b.Frozen}})
	}
	return s.showItems(g, "balances", f.height, f.more, items, func(out io.Writer) {
		fmt.Fprintln(out, "ACCOUNT\tASSET\tAMOUNT\tHELD\tFROZEN")
		for _, b := range all {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%v\n", b.Account, b.Asset, b.Amount, b.Held, b.Frozen)
		}
	})
}

func newAssetListCommand(s *streams) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use:   "list [ORG]",
		Short: "List the assets, or those of one organisation",
		Example: `  althing asset list
  althing asset list acme`,
		Args: cobra.MaximumNArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			org, err := optionalOrg(args)
			if err != nil {
				return err
			}
			found, err := collect(p, func(at uint64, page string, size uint32) (uint64, []*assetsv1.Asset, string, error) {
				resp, err := l.Assets().ListAssets(ctx, &assetsv1.ListAssetsRequest{Height: at, Page: page, PageSize: size, Org: org})
				return resp.GetHeight(), resp.GetAssets(), resp.GetNextPage(), err
			})
			if err != nil {
				return err
			}
			for _, a := range found.items {
				l.units.learn(a.Name, a.Decimals)
			}
			return showList(ctx, s, g, l, "assets", found, "ASSET\tDECIMALS\tCAP", func(out io.Writer, a *assetsv1.Asset) {
				fmt.Fprintf(out, "%s\t%d\t%s\n", a.Name, a.Decimals, orDash(formatUnits(a.Cap, a.Decimals)))
			})
		}),
	}
	p.flags(cmd)
	return cmd
}

func newAssetShowCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:     "show ASSET",
		Short:   "Show an asset and its supply",
		Example: "  althing asset show acme/usd",
		Args:    cobra.ExactArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			if _, err := names.Asset(args[0]); err != nil {
				return err
			}
			resp, err := l.Assets().GetAsset(ctx, &assetsv1.GetAssetRequest{Asset: args[0], Height: height})
			if err != nil {
				return err
			}
			a := resp.GetAsset()
			l.units.learn(args[0], a.GetDecimals())
			supply := formatUnits(resp.Supply, a.GetDecimals())
			value := append(l.units.render(ctx, a), field{"supply", supply}, field{"height", resp.Height})
			return s.showProven(g, resp.Height, value, func(out io.Writer) {
				fmt.Fprintf(out, "asset\t%s\ndecimals\t%d\nsupply\t%s\ncap\t%s\nmint role\t%s\nfreeze role\t%s\n",
					a.GetName(), a.GetDecimals(), supply, orDash(formatUnits(a.GetCap(), a.GetDecimals())), a.GetMintRole(), a.GetFreezeRole())
			})
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}

func newAssetHoldsCommand(s *streams) *cobra.Command {
	var p paging
	cmd := &cobra.Command{
		Use:   "holds [HOLD-ID]",
		Short: "List the open holds, or show one",
		Example: `  althing asset holds
  althing asset holds 6f0c…64-hex-digits`,
		Args: cobra.MaximumNArgs(1),
		RunE: s.reading(func(ctx context.Context, g globals, l *link, args []string) error {
			var f found[*assetsv1.Hold]
			var err error
			if len(args) == 1 {
				f, err = oneHold(ctx, l, args[0], p.height)
			} else {
				f, err = collect(p, func(at uint64, page string, size uint32) (uint64, []*assetsv1.Hold, string, error) {
					resp, err := l.Assets().ListHolds(ctx, &assetsv1.ListHoldsRequest{Height: at, Page: page, PageSize: size})
					return resp.GetHeight(), resp.GetHolds(), resp.GetNextPage(), err
				})
			}
			if err != nil {
				return err
			}
			return showList(ctx, s, g, l, "holds", f, "ID\tAMOUNT\tFROM\tTO\tARBITER\tDEADLINE", func(out io.Writer, h *assetsv1.Hold) {
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\n", hex.EncodeToString(h.Id), l.units.words(ctx, h.Asset, h.Amount), h.From, h.To, orDash(h.Arbiter),
					time.Unix(0, h.DeadlineUnixNano).UTC().Format(time.RFC3339))
			})
		}),
	}
	p.flags(cmd)
	return cmd
}

func oneHold(ctx context.Context, l *link, text string, height uint64) (found[*assetsv1.Hold], error) {
	id, err := parseHoldID(text)
	if err != nil {
		return found[*assetsv1.Hold]{}, err
	}
	resp, err := l.Assets().GetHold(ctx, &assetsv1.GetHoldRequest{HoldId: id, Height: height})
	if err != nil {
		return found[*assetsv1.Hold]{}, err
	}
	return found[*assetsv1.Hold]{height: resp.Height, items: []*assetsv1.Hold{resp.GetHold()}}, nil
}

// errSupply is why check-supply fails.
var errSupply = errors.New("the supply of an asset is not the sum of its balances and holds")

func newAssetCheckSupplyCommand(s *streams) *cobra.Command {
	var height uint64
	cmd := &cobra.Command{
		Use:     "check-supply",
		Short:   "Add up all balances and holds and compare with the supplies",
		Long:    "Add up all balances and holds of every asset and compare with its supply. The exit code is 1 when they differ.",
		Example: "  althing asset check-supply",
		Args:    cobra.NoArgs,
		RunE: s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			resp, err := l.Assets().CheckSupply(ctx, &assetsv1.CheckSupplyRequest{Height: height})
			if err != nil {
				return err
			}
			items := []object{}
			for _, a := range resp.Assets {
				items = append(items, l.units.render(ctx, a))
			}
			value := object{{"height", resp.Height}, {"ok", resp.Ok}, {"assets", items}}
			err = s.showProven(g, resp.Height, value, func(out io.Writer) {
				fmt.Fprintln(out, "ASSET\tSUPPLY\tBALANCES\tHOLDS\tOK")
				for _, a := range resp.Assets {
					show := func(base string) string { text, _ := l.units.format(ctx, a.Asset, base); return text }
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%v\n", a.Asset, show(a.Supply), show(a.Balances), show(a.Holds), a.Ok)
				}
			})
			if err != nil || resp.Ok {
				return err
			}
			return hint(errSupply, "this must never happen: keep the nodes' directories and run `althing doctor` on a stopped node")
		}),
	}
	heightFlag(cmd, &height)
	return cmd
}
