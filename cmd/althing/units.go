package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
)

// errNoNode is why decimals are not known without a node.
var errNoNode = errors.New("without a node the decimals of an asset are not known")

// units knows how many decimals assets have. An asset's decimals never change, so each is asked for once.
type units struct {
	client *client.Client // nil: ask nobody
	known  map[string]uint32
}

// learn remembers an asset's decimals.
func (u *units) learn(asset string, decimals uint32) {
	if u.known == nil {
		u.known = map[string]uint32{}
	}
	u.known[asset] = decimals
}

func (u *units) decimals(ctx context.Context, asset string) (uint32, error) {
	if d, ok := u.known[asset]; ok {
		return d, nil
	}
	if u.client == nil {
		return 0, errNoNode
	}
	resp, err := u.client.Assets().GetAsset(ctx, &assetsv1.GetAssetRequest{Asset: asset})
	if err != nil {
		return 0, fmt.Errorf("look asset %s up: %w", asset, err)
	}
	u.learn(asset, resp.GetAsset().GetDecimals())
	return resp.GetAsset().GetDecimals(), nil
}

// parse reads what people write and returns base units as they travel.
func (u *units) parse(ctx context.Context, asset, text string) (string, error) {
	decimals, err := u.decimals(ctx, asset)
	if err != nil {
		return "", err
	}
	a, err := amount.ParseDecimal(text, decimals)
	if err != nil {
		return "", usagef("amount of %s, which has %s: %w", asset, plural(decimals, "decimal"), err)
	}
	return a.String(), nil
}

// format returns base units as people write them, and false where the decimals cannot be known.
func (u *units) format(ctx context.Context, asset, base string) (string, bool) {
	decimals, err := u.decimals(ctx, asset)
	if err != nil {
		return base, false
	}
	return formatUnits(base, decimals), true
}

// formatUnits returns base units with decimals. What is no number comes back as it is.
func formatUnits(base string, decimals uint32) string {
	a, err := amount.Parse(base)
	if err != nil {
		return base
	}
	return a.Format(decimals)
}

// words returns an amount and its asset for a sentence.
func (u *units) words(ctx context.Context, asset, base string) string {
	text, known := u.format(ctx, asset, base)
	if !known {
		return text + " base units of " + asset
	}
	return text + " " + asset
}
