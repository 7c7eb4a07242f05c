package assets

import (
	"bytes"
	"encoding/hex"
	"testing"

	"github.com/althing-ledger/althing/proto/amount"
)

func TestValuesHaveOneEncoding(t *testing.T) {
	t.Parallel()
	h := Holding{Balance: amount.New(258), Held: amount.New(7), Frozen: true}
	want := "0101" + "00000000000000000000000000000102" + "00000000000000000000000000000007"
	if got := hex.EncodeToString(encodeHolding(h)); got != want {
		t.Errorf("holding %s, want %s", got, want)
	}
	if got := hex.EncodeToString(encodeSupply(amount.New(258))); got != "0100000000000000000000000000000102" {
		t.Errorf("supply %s", got)
	}
	for name, b := range map[string][]byte{
		"empty":        {},
		"short":        encodeHolding(h)[:holdingSize-1],
		"long":         append(encodeHolding(h), 0),
		"other format": append([]byte{2}, encodeHolding(h)[1:]...),
		"unknown flag": append([]byte{1, 2}, encodeHolding(h)[2:]...),
		"nothing":      encodeHolding(Holding{}),
	} {
		if _, err := decodeHolding(b); err == nil {
			t.Errorf("%s: decoded as a holding", name)
		}
	}
	for name, b := range map[string][]byte{
		"empty":        {},
		"short":        make([]byte, supplySize-1),
		"long":         append(encodeSupply(amount.New(1)), 0),
		"other format": make([]byte, supplySize),
	} {
		if _, err := decodeSupply(b); err == nil {
			t.Errorf("%s: decoded as a supply", name)
		}
	}
}

func FuzzDecodeHolding(f *testing.F) {
	f.Add(encodeHolding(Holding{Balance: amount.New(1)}))
	f.Add(encodeHolding(Holding{Held: amount.New(1), Frozen: true}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHolding(b)
		if err == nil && !bytes.Equal(encodeHolding(h), b) {
			t.Errorf("%x is a second encoding of %v", b, h)
		}
	})
}

func FuzzDecodeSupply(f *testing.F) {
	f.Add(encodeSupply(amount.New(1)))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeSupply(b)
		if err == nil && !bytes.Equal(encodeSupply(a), b) {
			t.Errorf("%x is a second encoding of %v", b, a)
		}
	})
}

func TestKeysSplit(t *testing.T) {
	t.Parallel()
	asset, account, ok := splitHoldingKey(holdingKey("acme/usd", "globex/bob"))
	if !ok || asset != "acme/usd" || account != "globex/bob" {
		t.Error(asset, account, ok)
	}
	if _, _, ok := splitHoldingKey(assetKey("acme/usd")); ok {
		t.Error("the key of an asset is none of a holding")
	}
	if asset, ok := splitAssetKey(supplyKey("acme/usd")); !ok || asset != "acme/usd" {
		t.Error(asset, ok)
	}
	if _, ok := splitAssetKey(holdingKey("acme/usd", "globex/bob")); ok {
		t.Error("the key of a holding is none of an asset")
	}
}
