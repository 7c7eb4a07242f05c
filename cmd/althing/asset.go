package main

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

func newAssetCommand(s *streams) *cobra.Command {
	return noun("asset", "Fungible assets: issue, move, hold in escrow",
		newAssetCreateCommand(s), newAssetMintCommand(s), newAssetBurnCommand(s), newAssetTransferCommand(s),
		newAssetFreezeCommand(s, true), newAssetFreezeCommand(s, false),
		newAssetHoldCommand(s), newAssetReleaseCommand(s), newAssetCancelCommand(s),
		newAssetBalanceCommand(s), newAssetBalancesCommand(s), newAssetListCommand(s), newAssetShowCommand(s),
		newAssetHoldsCommand(s), newAssetCheckSupplyCommand(s))
}

func newAssetCreateCommand(s *streams) *cobra.Command {
	var decimals uint32
	var most, mintRole, freezeRole string
	cmd := &cobra.Command{
		Use:   "create ASSET --decimals N",
		Short: "Define an asset of the acting account's organisation",
		Example: `  althing asset create acme/usd --decimals 2 --as acme/admin
  althing asset create acme/gold --decimals 3 --cap 1000000 --mint-role vault --as acme/admin`,
		Args: cobra.ExactArgs(1),
	}
	require(cmd, "decimals")
	flags := cmd.Flags()
	flags.Uint32Var(&decimals, "decimals", 0, "`N` digits behind the point, 0 to 18; they never change")
	flags.StringVar(&most, "cap", "", "the most that may exist, an `AMOUNT` (default: no cap)")
	flags.StringVar(&mintRole, "mint-role", "", "`ROLE` that may mint (default issuer)")
	flags.StringVar(&freezeRole, "freeze-role", "", "`ROLE` that may freeze (default issuer)")
	return s.writer(cmd, func(ctx context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if _, err := names.Asset(args[0]); err != nil {
			return nil, err
		}
		if decimals > amount.MaxDecimals {
			return nil, usagef("--decimals %d is more than %d", decimals, amount.MaxDecimals)
		}
		l.units.learn(args[0], decimals)
		op := &assetsv1.Create{Asset: args[0], Decimals: decimals, MintRole: mintRole, FreezeRole: freezeRole}
		if most != "" {
			var err error
			if op.Cap, err = l.units.parse(ctx, args[0], most); err != nil {
				return nil, err
			}
		}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: op}}, nil
	})
}

// sum is the ASSET AMOUNT [--to ACCOUNT] of a command.
type sum struct {
	asset, amount, to string
	decimals          int
}

// decimalsFlag lets a command without a node know what an amount means.
func (m *sum) decimalsFlag(cmd *cobra.Command) {
	cmd.Flags().IntVar(&m.decimals, "decimals", -1, "the asset has `N` decimals, for --offline (default: ask a node)")
}

func (m *sum) toFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&m.to, "to", "", "`ORG/NAME` that receives")
	require(cmd, "to")
	m.decimalsFlag(cmd)
}

// read checks the arguments and turns the amount into base units.
func (m *sum) read(ctx context.Context, l *link, args []string, receiver bool) error {
	m.asset = args[0]
	if _, err := names.Asset(m.asset); err != nil {
		return err
	}
	if receiver {
		if _, err := names.Account(m.to); err != nil {
			return usagef("--to: %w", err)
		}
	}
	if m.decimals > amount.MaxDecimals {
		return usagef("--decimals %d is more than %d", m.decimals, amount.MaxDecimals)
	}
	if err := m.compareDecimals(ctx, l); err != nil {
		return err
	}
	var err error
	m.amount, err = l.units.parse(ctx, m.asset, args[1])
	if errors.Is(err, errNoNode) {
		if l.offline {
			err = usageError(err)
		}
		return hint(err, "say them with --decimals, or make sure that a node can be reached")
	}
	return err
}

// compareDecimals believes what the user says of the asset's decimals only where there is nobody to ask.
func (m *sum) compareDecimals(ctx context.Context, l *link) error {
	switch {
	case m.decimals < 0:
		return nil
	case l.units.client == nil:
		l.units.learn(m.asset, uint32(m.decimals))
		return nil
	}
	decimals, err := l.units.decimals(ctx, m.asset)
	if err == nil && decimals != uint32(m.decimals) {
		return hint(usagef("--decimals %d is wrong: %s has %s", m.decimals, m.asset, plural(decimals, "decimal")),
			"leave --decimals out: it is for --offline only")
	}
	return err
}

func newAssetMintCommand(s *streams) *cobra.Command {
	var m sum
	cmd := &cobra.Command{
		Use:     "mint ASSET AMOUNT --to ORG/NAME",
		Short:   "Make an amount",
		Example: "  althing asset mint acme/usd 1000.00 --to acme/treasury --as acme/admin",
		Args:    cobra.ExactArgs(2),
	}
	m.toFlag(cmd)
	return s.writer(cmd, func(ctx context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if err := m.read(ctx, l, args, true); err != nil {
			return nil, err
		}
		op := &assetsv1.Mint{Asset: m.asset, To: m.to, Amount: m.amount}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetMint{AssetMint: op}}, nil
	})
}

func newAssetBurnCommand(s *streams) *cobra.Command {
	var m sum
	cmd := &cobra.Command{
		Use:     "burn ASSET AMOUNT",
		Short:   "Destroy an amount of the acting account's balance",
		Example: "  althing asset burn acme/usd 10 --as acme/treasury",
		Args:    cobra.ExactArgs(2),
	}
	m.decimalsFlag(cmd)
	return s.writer(cmd, func(ctx context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if err := m.read(ctx, l, args, false); err != nil {
			return nil, err
		}
		op := &assetsv1.Burn{Asset: m.asset, Amount: m.amount}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetBurn{AssetBurn: op}}, nil
	})
}

func newAssetTransferCommand(s *streams) *cobra.Command {
	var m sum
	cmd := &cobra.Command{
		Use:   "transfer ASSET AMOUNT --to ORG/NAME",
		Short: "Move an amount of the acting account's balance",
		Example: `  althing asset transfer acme/usd 12.50 --to globex/treasury --as acme/treasury
  althing asset transfer acme/usd 12.50 --to globex/treasury --as acme/treasury --sign-only -o T`,
		Args: cobra.ExactArgs(2),
	}
	m.toFlag(cmd)
	return s.writer(cmd, func(ctx context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if err := m.read(ctx, l, args, true); err != nil {
			return nil, err
		}
		op := &assetsv1.Transfer{Asset: m.asset, To: m.to, Amount: m.amount}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: op}}, nil
	})
}

func newAssetFreezeCommand(s *streams, frozen bool) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "freeze ASSET ORG/NAME",
		Short:   "Freeze what an account has of an asset: nothing leaves it",
		Example: "  althing asset freeze acme/usd globex/treasury --as acme/admin",
		Args:    cobra.ExactArgs(2),
	}
	if !frozen {
		cmd.Use, cmd.Short = "unfreeze ASSET ORG/NAME", "Unfreeze what an account has of an asset"
		cmd.Example = "  althing asset unfreeze acme/usd globex/treasury --as acme/admin"
	}
	return s.writer(cmd, func(_ context.Context, _ *link, args []string) (*ledgerv1.Operation, error) {
		if err := checkHolding(args); err != nil {
			return nil, err
		}
		op := &assetsv1.SetFrozen{Asset: args[0], Account: args[1], Frozen: frozen}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetSetFrozen{AssetSetFrozen: op}}, nil
	})
}

// checkHolding checks the arguments ASSET ORG/NAME.
func checkHolding(args []string) error {
	if _, err := names.Asset(args[0]); err != nil {
		return err
	}
	_, err := names.Account(args[1])
	return err
}

func newAssetHoldCommand(s *streams) *cobra.Command {
	var m sum
	var deadline, arbiter string
	cmd := &cobra.Command{
		Use:   "hold ASSET AMOUNT --to ORG/NAME --deadline TIME",
		Short: "Set an amount aside for a receiver (escrow)",
		Long: `Set an amount aside for a receiver. Before the deadline the giver or the arbiter releases it; the
receiver or the arbiter cancels it at any time, and from the deadline on the giver too. Prints the
hold's id.`,
		Example: `  althing asset hold acme/usd 100 --to globex/treasury --deadline 24h --arbiter initech/admin --as acme/treasury
  althing asset hold acme/usd 100 --to globex/treasury --deadline 2027-01-31T12:00:00Z --as acme/treasury`,
		Args: cobra.ExactArgs(2),
	}
	m.toFlag(cmd)
	cmd.Flags().StringVar(&deadline, "deadline", "", "`TIME` as 2027-01-31T12:00:00Z, or from now as 24h")
	require(cmd, "to", "deadline")
	cmd.Flags().StringVar(&arbiter, "arbiter", "", "`ORG/NAME` that may release or cancel")
	return s.writer(cmd, func(ctx context.Context, l *link, args []string) (*ledgerv1.Operation, error) {
		if err := m.read(ctx, l, args, true); err != nil {
			return nil, err
		}
		at, err := parseTime(deadline, s.now())
		if err != nil {
			return nil, usagef("--deadline: %w", err)
		}
		if arbiter != "" {
			if _, err := names.Account(arbiter); err != nil {
				return nil, usagef("--arbiter: %w", err)
			}
		}
		op := &assetsv1.OpenHold{Asset: m.asset, To: m.to, Amount: m.amount, Arbiter: arbiter, Deadline: timestamppb.New(at)}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: op}}, nil
	})
}

// parseTime reads a time, or a duration from now.
func parseTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, usagef("%.60q is no time such as 2027-01-31T12:00:00Z and no duration such as 24h", text)
	}
	return t, nil
}

func newAssetReleaseCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "release HOLD-ID",
		Short:   "Pay a hold to its receiver",
		Example: "  althing asset release 6f0c…64-hex-digits --as acme/treasury",
		Args:    cobra.ExactArgs(1),
	}
	return s.writer(cmd, func(_ context.Context, _ *link, args []string) (*ledgerv1.Operation, error) {
		id, err := parseHoldID(args[0])
		op := &assetsv1.ReleaseHold{HoldId: id}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetReleaseHold{AssetReleaseHold: op}}, err
	})
}

func newAssetCancelCommand(s *streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "cancel HOLD-ID",
		Short:   "Return a hold to its giver",
		Example: "  althing asset cancel 6f0c…64-hex-digits --as globex/treasury",
		Args:    cobra.ExactArgs(1),
	}
	return s.writer(cmd, func(_ context.Context, _ *link, args []string) (*ledgerv1.Operation, error) {
		id, err := parseHoldID(args[0])
		op := &assetsv1.CancelHold{HoldId: id}
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetCancelHold{AssetCancelHold: op}}, err
	})
}

// holdIDSize is the length of a hold's id in bytes.
const holdIDSize = 32

func parseHoldID(text string) ([]byte, error) {
	id, err := hex.DecodeString(text)
	if err != nil || len(id) != holdIDSize {
		return nil, usagef("%.80q is no id of a hold: it has %d hex digits", text, 2*holdIDSize)
	}
	return id, nil
}
