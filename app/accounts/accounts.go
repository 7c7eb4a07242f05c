package accounts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Create adds an account to an org: ROLE_REQUIRED, NOT_FOUND, WRONG_STATUS, ALREADY_EXISTS, THRESHOLD_UNREACHABLE.
func Create(env *exec.Env, s Store, op *accountsv1.Create) error {
	if err := s.mayManage(env, op.Name); err != nil {
		return err
	}
	account, err := s.create(env, op)
	if err != nil {
		return err
	}
	if err := s.countAdmins(orgOf(op.Name), 0, adminsAmong(account.Roles)); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AccountCreated{
		AccountCreated: &accountsv1.Created{Account: account},
	}})
	return nil
}

// create writes a new account. The admins of its org are counted elsewhere.
func (s Store) create(env *exec.Env, op *accountsv1.Create) (*accountsv1.Account, error) {
	if exists, err := s.Exists(op.Name); err != nil {
		return nil, err
	} else if exists {
		return nil, tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS,
			"the account %s exists: choose another name, a name is given once", op.Name)
	}
	account := &accountsv1.Account{
		Name:          op.Name,
		Keys:          sortedKeys(op.Keys),
		Threshold:     op.Threshold,
		Roles:         sortedRoles(op.Roles),
		CreatedHeight: env.Height,
	}
	if err := requireReachable(account); err != nil {
		return nil, err
	}
	return account, s.setAccount(account)
}

// SetRoles replaces the roles of an account: ROLE_REQUIRED, NOT_FOUND, WRONG_STATUS, LAST_ADMIN.
func SetRoles(env *exec.Env, s Store, op *accountsv1.SetRoles) error {
	if err := s.mayManage(env, op.Name); err != nil {
		return err
	}
	account, err := s.existing(op.Name)
	if err != nil {
		return err
	}
	roles := sortedRoles(op.Roles)
	if err := s.countAdmins(orgOf(op.Name), adminsAmong(account.Roles), adminsAmong(roles)); err != nil {
		return err
	}
	account.Roles = roles
	if err := s.setAccount(account); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AccountRolesSet{
		AccountRolesSet: &accountsv1.RolesSet{Name: account.Name, Roles: roles},
	}})
	return nil
}

// AddKey lists one more key: ROLE_REQUIRED, NOT_FOUND, WRONG_STATUS, ALREADY_EXISTS, LIMIT_REACHED, THRESHOLD_UNREACHABLE.
func AddKey(env *exec.Env, s Store, op *accountsv1.AddKey) error {
	account, err := s.keyHolder(env, op.Name)
	if err != nil {
		return err
	}
	if findKey(account.Keys, op.Key.PublicKey.Scheme, op.Key.PublicKey.Key) >= 0 {
		return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS,
			"the key %s is listed for %s already: revoke it first to give it another weight",
			publicText(op.Key.PublicKey), account.Name)
	}
	if err := requireNoTokenKey(account, op.Key.PublicKey); err != nil {
		return err
	}
	if len(account.Keys) >= MaxKeys {
		return tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED, "%s has %d keys, which is the limit: revoke or rotate one",
			account.Name, MaxKeys)
	}
	account.Keys = sortedKeys(append(account.Keys, op.Key))
	return s.changeKeys(env, account, op.Threshold)
}

// RevokeKey strikes a key: ROLE_REQUIRED, NOT_FOUND, WRONG_STATUS, THRESHOLD_UNREACHABLE.
func RevokeKey(env *exec.Env, s Store, op *accountsv1.RevokeKey) error {
	account, err := s.keyHolder(env, op.Name)
	if err != nil {
		return err
	}
	i := findKey(account.Keys, op.PublicKey.Scheme, op.PublicKey.Key)
	if i < 0 {
		return tx.Reject(ledgerv1.Code_CODE_NOT_FOUND,
			"the key %s is not listed for %s", publicText(op.PublicKey), account.Name)
	}
	account.Keys = slices.Delete(account.Keys, i, i+1)
	return s.changeKeys(env, account, op.Threshold)
}

// RotateKey puts a key in the place of another, with its weight: ROLE_REQUIRED, NOT_FOUND, WRONG_STATUS,
// ALREADY_EXISTS.
func RotateKey(env *exec.Env, s Store, op *accountsv1.RotateKey) error {
	account, err := s.keyHolder(env, op.Name)
	if err != nil {
		return err
	}
	i := findKey(account.Keys, op.OldKey.Scheme, op.OldKey.Key)
	if i < 0 {
		return tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "the key %s is not listed for %s", publicText(op.OldKey), account.Name)
	}
	if findKey(account.Keys, op.NewKey.Scheme, op.NewKey.Key) >= 0 {
		return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS, "the key %s is listed for %s already: revoke the old key instead",
			publicText(op.NewKey), account.Name)
	}
	if err := requireNoTokenKey(account, op.NewKey); err != nil {
		return err
	}
	account.Keys[i].PublicKey = op.NewKey
	account.Keys = sortedKeys(account.Keys)
	return s.changeKeys(env, account, 0)
}

// SetTokenKeys replaces the keys that sign read tokens: ROLE_REQUIRED, NOT_FOUND, WRONG_STATUS, ALREADY_EXISTS where a
// signing key of the account is among them.
func SetTokenKeys(env *exec.Env, s Store, op *accountsv1.SetTokenKeys) error {
	account, err := s.keyHolder(env, op.Name)
	if err != nil {
		return err
	}
	account.TokenKeys = sortedTokenKeys(op.TokenKeys)
	for _, key := range account.Keys {
		if err := requireNoTokenKey(account, key.PublicKey); err != nil {
			return err
		}
	}
	if err := s.setAccount(account); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AccountTokenKeysSet{
		AccountTokenKeysSet: &accountsv1.TokenKeysSet{Name: account.Name, TokenKeys: account.TokenKeys},
	}})
	return nil
}

// requireNoTokenKey keeps a key from signing transactions and tokens for the same account: who holds the one could make the
// other.
func requireNoTokenKey(account *accountsv1.Account, key *keysv1.PublicKey) error {
	if !slices.ContainsFunc(account.TokenKeys, func(k *keysv1.PublicKey) bool { return compareKeys(k, key) == 0 }) {
		return nil
	}
	return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS,
		"the key %s would sign both transactions and tokens of %s: use two keys", publicText(key), account.Name)
}

// mayManage rejects unless the members act by a vote, which may change the accounts of every member, or the acting account
// is an admin of the org that a name belongs to.
func (s Store) mayManage(env *exec.Env, name string) error {
	org := orgOf(name)
	if env.Proposal != 0 {
		return s.requireMember(org)
	}
	if org != env.Org {
		return tx.Reject(ledgerv1.Code_CODE_ROLE_REQUIRED, "%s cannot change accounts of %s: an admin of that org can",
			env.Account, org)
	}
	return s.RequireRole(env.Account, RoleAdmin)
}

// keyHolder returns the account whose keys are to change, when whoever acts may change them.
func (s Store) keyHolder(env *exec.Env, name string) (*accountsv1.Account, error) {
	if env.Proposal != 0 || env.Account != name {
		if err := s.mayManage(env, name); err != nil {
			return nil, err
		}
	}
	return s.existing(name)
}

func (s Store) existing(name string) (*accountsv1.Account, error) {
	account, err := s.Account(name)
	if err == nil && account == nil {
		err = tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no account %s: check the name", name)
	}
	return account, err
}

// changeKeys writes an account whose keys have changed, with a new threshold unless that is 0.
func (s Store) changeKeys(env *exec.Env, account *accountsv1.Account, threshold uint32) error {
	if threshold != 0 {
		account.Threshold = threshold
	}
	if err := requireReachable(account); err != nil {
		return err
	}
	if err := s.setAccount(account); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AccountKeysChanged{
		AccountKeysChanged: &accountsv1.KeysChanged{Name: account.Name, Keys: account.Keys, Threshold: account.Threshold},
	}})
	return nil
}

func requireReachable(account *accountsv1.Account) error {
	if sum := totalWeight(account.Keys); sum < account.Threshold {
		return tx.Reject(ledgerv1.Code_CODE_THRESHOLD_UNREACHABLE,
			"the keys of %s would weigh %d together, and its threshold would be %d: lower the threshold, or list more keys",
			account.Name, sum, account.Threshold)
	}
	return nil
}

// adminsAmong is 1 when the roles hold admin, else 0.
func adminsAmong(roles []string) uint32 {
	if slices.Contains(roles, RoleAdmin) {
		return 1
	}
	return 0
}

// countAdmins books that an account of the org was before, and is now, an admin.
func (s Store) countAdmins(name string, before, now uint32) error {
	if before == now {
		return nil
	}
	org, err := s.Org(name)
	if err != nil {
		return err
	}
	if org == nil || org.Admins < before {
		return fmt.Errorf("accounts: the org %s is missing or has fewer admins than were counted", name)
	}
	org.Admins = org.Admins - before + now
	if org.Admins == 0 {
		return tx.Reject(ledgerv1.Code_CODE_LAST_ADMIN,
			"%s would have no admin left: make another account an admin first", name)
	}
	return s.setOrg(org)
}

// orgOf is the org of an account's name.
func orgOf(name string) string {
	org, _, _ := strings.Cut(name, "/")
	return org
}
