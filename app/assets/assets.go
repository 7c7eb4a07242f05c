package assets

import (
	"fmt"
	"strings"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Create defines an asset of the acting account's org: ROLE_REQUIRED, ALREADY_EXISTS.
func Create(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.Create) error {
	if err := requireRoleOf(env, who, op.Asset, accounts.RoleIssuer); err != nil {
		return err
	}
	if asset, err := s.Asset(op.Asset); err != nil {
		return err
	} else if asset != nil {
		return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS, "the asset %s exists: choose another name", op.Asset)
	}
	asset := &assetsv1.Asset{
		Name:          op.Asset,
		Decimals:      op.Decimals,
		Cap:           op.Cap,
		MintRole:      orIssuer(op.MintRole),
		FreezeRole:    orIssuer(op.FreezeRole),
		CreatedHeight: env.Height,
	}
	if err := s.setAsset(asset); err != nil {
		return err
	}
	s.setSupply(asset.Name, amount.Amount{})
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetCreated{
		AssetCreated: &assetsv1.Created{Asset: asset},
	}})
	return nil
}

func orIssuer(role string) string {
	if role == "" {
		return accounts.RoleIssuer
	}
	return role
}

// Mint makes an amount: NOT_FOUND, ROLE_REQUIRED, OVERFLOW, CAP_EXCEEDED.
func Mint(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.Mint) error {
	sum, err := parseAmount(op.Amount)
	if err != nil {
		return err
	}
	asset, err := s.RequireAsset(op.Asset)
	if err != nil {
		return err
	}
	if err := requireRoleOf(env, who, asset.Name, asset.MintRole); err != nil {
		return err
	}
	if err := who.RequireAccount(op.To); err != nil {
		return err
	}
	supply, err := s.Supply(asset.Name)
	if err != nil {
		return err
	}
	grown, ok := supply.Add(sum)
	if !ok {
		return tx.Reject(ledgerv1.Code_CODE_OVERFLOW,
			"the supply of %s is %s, and %s more would leave the range of amounts: mint less",
			asset.Name, show(asset, supply), show(asset, sum))
	}
	if asset.Cap != "" {
		limit, err := amount.Parse(asset.Cap)
		if err != nil {
			return fmt.Errorf("assets: cap of %s: %w", asset.Name, err)
		}
		if grown.Cmp(limit) > 0 {
			return tx.Reject(ledgerv1.Code_CODE_CAP_EXCEEDED,
				"the supply of %s is %s, and %s more would exceed its cap of %s: mint less",
				asset.Name, show(asset, supply), show(asset, sum), show(asset, limit))
		}
	}
	s.setSupply(asset.Name, grown)
	if err := s.deposit(asset.Name, op.To, sum); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetMinted{
		AssetMinted: &assetsv1.Minted{Asset: asset.Name, To: op.To, Amount: op.Amount},
	}})
	return nil
}

// Burn destroys an amount of the acting account's balance: ROLE_REQUIRED, NOT_FOUND, FROZEN, OVERDRAFT.
func Burn(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.Burn) error {
	sum, err := parseAmount(op.Amount)
	if err != nil {
		return err
	}
	if err := who.RequireRole(env.Account, accounts.RolePayer); err != nil {
		return err
	}
	if err := s.withdraw(op.Asset, env.Account, sum, false); err != nil {
		return err
	}
	supply, err := s.Supply(op.Asset)
	if err != nil {
		return err
	}
	left, ok := supply.Sub(sum)
	if !ok {
		return fmt.Errorf("assets: the supply of %s is less than the balance of %s", op.Asset, env.Account)
	}
	s.setSupply(op.Asset, left)
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetBurned{
		AssetBurned: &assetsv1.Burned{Asset: op.Asset, From: env.Account, Amount: op.Amount},
	}})
	return nil
}

// Transfer moves an amount of the acting account's balance: ROLE_REQUIRED, NOT_FOUND, FROZEN, OVERDRAFT. A transfer to
// oneself has to pass like any other and changes nothing.
func Transfer(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.Transfer) error {
	sum, err := parseAmount(op.Amount)
	if err != nil {
		return err
	}
	if err := who.RequireRole(env.Account, accounts.RolePayer); err != nil {
		return err
	}
	if err := who.RequireAccount(op.To); err != nil {
		return err
	}
	if err := s.withdraw(op.Asset, env.Account, sum, false); err != nil {
		return err
	}
	if err := s.deposit(op.Asset, op.To, sum); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetTransferred{
		AssetTransferred: &assetsv1.Transferred{Asset: op.Asset, From: env.Account, To: op.To, Amount: op.Amount},
	}})
	return nil
}

// SetFrozen freezes or unfreezes a holding, also one of nothing: NOT_FOUND, ROLE_REQUIRED. Setting what is set already
// passes: two officers who freeze the same holding both succeed.
func SetFrozen(env *exec.Env, s Store, who accounts.Reader, op *assetsv1.SetFrozen) error {
	asset, err := s.RequireAsset(op.Asset)
	if err != nil {
		return err
	}
	if err := requireRoleOf(env, who, asset.Name, asset.FreezeRole); err != nil {
		return err
	}
	if err := who.RequireAccount(op.Account); err != nil {
		return err
	}
	h, err := s.Holding(asset.Name, op.Account)
	if err != nil {
		return err
	}
	h.Frozen = op.Frozen
	s.setHolding(asset.Name, op.Account, h)
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AssetFrozenSet{
		AssetFrozenSet: &assetsv1.FrozenSet{Asset: asset.Name, Account: op.Account, Frozen: op.Frozen},
	}})
	return nil
}

// requireRoleOf rejects unless the acting account belongs to the org that issues an asset and holds the role there.
func requireRoleOf(env *exec.Env, who accounts.Reader, asset, role string) error {
	if org, _, _ := strings.Cut(asset, "/"); org != env.Org {
		return tx.Reject(ledgerv1.Code_CODE_ROLE_REQUIRED,
			"%s belongs to %s, and %s does not: an account of %s with the role %s can do this",
			asset, org, env.Account, org, role)
	}
	return who.RequireRole(env.Account, role)
}

// withdraw takes an amount out of a balance; with hold it stays in the holding as held.
func (s Store) withdraw(asset, account string, sum amount.Amount, hold bool) error {
	h, err := s.Holding(asset, account)
	if err != nil {
		return err
	}
	if h.Frozen {
		return frozen(asset, account)
	}
	left, ok := h.Balance.Sub(sum)
	if !ok {
		// Only now is the definition read: a balance that suffices proves that there is one.
		definition, err := s.RequireAsset(asset)
		if err != nil {
			return err
		}
		return tx.Reject(ledgerv1.Code_CODE_OVERDRAFT, "%s has %s of %s to spend and would need %s", account,
			show(definition, h.Balance), asset, show(definition, sum))
	}
	h.Balance = left
	if hold {
		if h.Held, ok = h.Held.Add(sum); !ok {
			return brokenSum(asset, account)
		}
	}
	s.setHolding(asset, account, h)
	return nil
}

// deposit adds an amount to a balance. It cannot leave the range: the supply has not.
func (s Store) deposit(asset, account string, sum amount.Amount) error {
	h, err := s.Holding(asset, account)
	if err != nil {
		return err
	}
	var ok bool
	if h.Balance, ok = h.Balance.Add(sum); !ok {
		return brokenSum(asset, account)
	}
	s.setHolding(asset, account, h)
	return nil
}

func frozen(asset, account string) error {
	return tx.Reject(ledgerv1.Code_CODE_FROZEN,
		"the holding of %s by %s is frozen, nothing leaves it: ask the issuing org to unfreeze it",
		asset, account)
}

// brokenSum is no verdict: the supply bounds every sum, so the state is corrupt.
func brokenSum(asset, account string) error {
	return fmt.Errorf("assets: the holding of %s by %s does not add up with the supply", asset, account)
}

// show is an amount as people see it.
func show(asset *assetsv1.Asset, a amount.Amount) string { return a.Format(asset.Decimals) }
