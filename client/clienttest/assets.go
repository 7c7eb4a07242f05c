package clienttest

import (
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"

	"github.com/althing-ledger/althing/proto/amount"
	"github.com/althing-ledger/althing/proto/tx"
)

func (s *state) createAsset(o *assetsv1.Create) (*ledgerv1.Event, error) {
	if s.assets[o.Asset] != nil {
		return nil, exists("asset", o.Asset)
	}
	asset := &assetsv1.Asset{
		Name: o.Asset, Decimals: o.Decimals, Cap: o.Cap, MintRole: orIssuer(o.MintRole), FreezeRole: orIssuer(o.FreezeRole), CreatedHeight: s.height,
	}
	s.assets[o.Asset] = asset
	return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetCreated{AssetCreated: &assetsv1.Created{Asset: asset}}}, nil
}

func orIssuer(role string) string {
	if role == "" {
		return "issuer"
	}
	return role
}

// parse reads an amount of an asset for an account, both of which must exist.
func (s *state) parse(asset, account, text string) (amount.Amount, error) {
	if s.assets[asset] == nil {
		return amount.Amount{}, missing("asset", asset)
	}
	if s.accounts[account] == nil {
		return amount.Amount{}, missing("account", account)
	}
	a, err := amount.Parse(text)
	if err != nil || a.IsZero() {
		return a, tx.Reject(ledgerv1.Code_CODE_BAD_AMOUNT, "%.60q is no amount above zero", text)
	}
	return a, nil
}

func (s *state) add(asset, account, text string) error {
	a, err := s.parse(asset, account, text)
	if err != nil {
		return err
	}
	h := s.holdings[[2]string{asset, account}]
	var fits bool
	if h.balance, fits = h.balance.Add(a); !fits {
		return tx.Reject(ledgerv1.Code_CODE_OVERFLOW, "the balance of %s leaves the range of amounts", account)
	}
	s.holdings[[2]string{asset, account}] = h
	return nil
}

func (s *state) take(asset, account, text string) error {
	a, err := s.parse(asset, account, text)
	if err != nil {
		return err
	}
	h := s.holdings[[2]string{asset, account}]
	if h.frozen {
		return tx.Reject(ledgerv1.Code_CODE_FROZEN, "the holding of %s is frozen", account)
	}
	left, enough := h.balance.Sub(a)
	if !enough {
		return tx.Reject(ledgerv1.Code_CODE_OVERDRAFT, "%s has %s base units of %s, %s are asked for", account, h.balance, asset, a)
	}
	h.balance = left
	s.holdings[[2]string{asset, account}] = h
	return nil
}

// hold moves an amount in or out of what is held.
func (s *state) hold(asset, account string, a amount.Amount, in bool) {
	h := s.holdings[[2]string{asset, account}]
	if in {
		h.held, _ = h.held.Add(a)
	} else {
		h.held, _ = h.held.Sub(a)
	}
	s.holdings[[2]string{asset, account}] = h
}

func (s *state) setFrozen(o *assetsv1.SetFrozen) (*ledgerv1.Event, error) {
	h := s.holdings[[2]string{o.Asset, o.Account}]
	h.frozen = o.Frozen
	s.holdings[[2]string{o.Asset, o.Account}] = h
	event := &assetsv1.FrozenSet{Asset: o.Asset, Account: o.Account, Frozen: o.Frozen}
	return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetFrozenSet{AssetFrozenSet: event}}, nil
}

func (s *state) openHold(index int, from string, o *assetsv1.OpenHold) (*ledgerv1.Event, error) {
	if err := s.take(o.Asset, from, o.Amount); err != nil {
		return nil, err
	}
	a, err := s.parse(o.Asset, o.To, o.Amount)
	if err != nil {
		return nil, err
	}
	s.hold(o.Asset, from, a, true)
	hold := &assetsv1.Hold{
		Id: s.holdID(index), Asset: o.Asset, From: from, To: o.To, Amount: o.Amount, Arbiter: o.Arbiter,
		DeadlineUnixNano: o.Deadline.AsTime().UnixNano(), CreatedHeight: s.height,
	}
	s.holds[string(hold.Id)] = hold
	return &ledgerv1.Event{Kind: &ledgerv1.Event_AssetHoldOpened{AssetHoldOpened: &assetsv1.HoldOpened{Hold: hold}}}, nil
}

func (s *state) closeHold(id []byte, receiver func(*assetsv1.Hold) string) (*assetsv1.Hold, error) {
	hold := s.holds[string(id)]
	if hold == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no hold %x", id)
	}
	a, err := amount.Parse(hold.Amount)
	if err != nil {
		return nil, err
	}
	s.hold(hold.Asset, hold.From, a, false)
	delete(s.holds, string(id))
	return hold, s.add(hold.Asset, receiver(hold), hold.Amount)
}

// sums adds up an asset.
func (s *state) sums(asset string) (balances, held amount.Amount) {
	for k, h := range s.holdings {
		if k[0] == asset {
			balances, _ = balances.Add(h.balance)
			held, _ = held.Add(h.held)
		}
	}
	return balances, held
}
