package assets

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	"github.com/althing-ledger/althing/state/keyspace"
)

// SumSupply adds up all holdings and open holds and compares them with the supplies, asset by asset in the order of their
// names. An asset that has holdings, holds or a supply but no definition is reported too, as not ok. The error is an I/O
// failure or corruption. It reads every leaf of the module once and keeps some hundred bytes for each asset.
func SumSupply(kv exec.Scanner) ([]*assetsv1.SupplyCheck, error) {
	t := tally{}
	for _, part := range []struct {
		prefix byte
		add    func(key, value []byte) error
	}{
		{keyspace.PrefixAssets, t.addDefinition},
		{keyspace.PrefixSupply, t.addSupply},
		{keyspace.PrefixBalances, t.addHolding},
		{keyspace.PrefixHolds, t.addHold},
	} {
		start, end := keyspace.PrefixRange([]byte{part.prefix})
		if err := kv.Scan(start, end, func(key, value []byte) (bool, error) {
			if err := part.add(key, value); err != nil {
				return false, fmt.Errorf("key %x: %w", key, err)
			}
			return true, nil
		}); err != nil {
			return nil, fmt.Errorf("sum up the supply: %w", err)
		}
	}
	checks := make([]*assetsv1.SupplyCheck, 0, len(t))
	for _, name := range slices.Sorted(maps.Keys(t)) {
		checks = append(checks, t[name].check(name))
	}
	return checks, nil
}

// A tally is what the leaves of each asset add up to.
type tally map[string]*sums

type sums struct {
	defined  bool // has a definition
	supplied bool // has a supply
	overflow bool // a sum left the range of amounts
	supply   amount.Amount
	balances amount.Amount
	held     amount.Amount // what the holdings say is held
	holds    amount.Amount // the open holds
}

func (t tally) of(asset string) *sums {
	s := t[asset]
	if s == nil {
		s = new(sums)
		t[asset] = s
	}
	return s
}

func (t tally) addDefinition(key, value []byte) error {
	asset := new(assetsv1.Asset)
	if err := exec.Decode(value, asset); err != nil {
		return err
	}
	if name, ok := splitAssetKey(key); !ok || name != asset.Name {
		return fmt.Errorf("the definition of %q stands under another name", asset.Name)
	}
	t.of(asset.Name).defined = true
	return nil
}

func (t tally) addSupply(key, value []byte) error {
	name, ok := splitAssetKey(key)
	if !ok {
		return errors.New("not the key of a supply")
	}
	supply, err := decodeSupply(value)
	if err != nil {
		return err
	}
	s := t.of(name)
	s.supplied, s.supply = true, supply
	return nil
}

func (t tally) addHolding(key, value []byte) error {
	name, _, ok := splitHoldingKey(key)
	if !ok {
		return errors.New("not the key of a holding")
	}
	h, err := decodeHolding(value)
	if err != nil {
		return err
	}
	s := t.of(name)
	s.balances = s.sum(s.balances, h.Balance)
	s.held = s.sum(s.held, h.Held)
	return nil
}

func (t tally) addHold(_, value []byte) error {
	hold := new(assetsv1.Hold)
	if err := exec.Decode(value, hold); err != nil {
		return err
	}
	sum, err := amount.Parse(hold.Amount)
	if err != nil {
		return err
	}
	s := t.of(hold.Asset)
	s.holds = s.sum(s.holds, sum)
	return nil
}

func (s *sums) sum(a, b amount.Amount) amount.Amount {
	c, ok := a.Add(b)
	if !ok {
		s.overflow = true
	}
	return c
}

func (s *sums) check(asset string) *assetsv1.SupplyCheck {
	total, fits := s.balances.Add(s.held)
	return &assetsv1.SupplyCheck{
		Asset:    asset,
		Supply:   s.supply.String(),
		Balances: s.balances.String(),
		Holds:    s.holds.String(),
		Ok:       s.defined && s.supplied && !s.overflow && fits && total == s.supply && s.held == s.holds,
	}
}
