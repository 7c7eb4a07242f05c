package accounts

import (
	"slices"

	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// Reader reads organisations and accounts. Every error that is no [tx.Rejection] is an I/O failure or corruption.
type Reader struct{ kv state.Reader }

// Read returns a reader over kv.
func Read(kv state.Reader) Reader { return Reader{kv} }

// Org returns an organisation, nil if there is none of that name.
func (r Reader) Org(name string) (*accountsv1.Org, error) {
	org := new(accountsv1.Org)
	if found, err := exec.Get(r.kv, orgKey(name), org); err != nil || !found {
		return nil, err
	}
	return org, nil
}

// OrgExists reports whether an organisation of that name is or was a member.
func (r Reader) OrgExists(name string) (bool, error) {
	value, err := r.kv.Get(orgKey(name))
	return value != nil, err
}

// Account returns an account, nil if there is none of that name.
func (r Reader) Account(name string) (*accountsv1.Account, error) {
	account := new(accountsv1.Account)
	if found, err := exec.Get(r.kv, accountKey(name), account); err != nil || !found {
		return nil, err
	}
	return account, nil
}

// Exists reports whether there is an account of that name, without decoding it.
func (r Reader) Exists(name string) (bool, error) {
	value, err := r.kv.Get(accountKey(name))
	return value != nil, err
}

// HasRole reports whether there is an account of that name that holds the role.
func (r Reader) HasRole(name, role string) (bool, error) {
	account, err := r.Account(name)
	if err != nil || account == nil {
		return false, err
	}
	_, found := slices.BinarySearch(account.Roles, role)
	return found, nil
}

// RequireRole rejects with ROLE_REQUIRED unless the account holds the role.
func (r Reader) RequireRole(name, role string) error {
	has, err := r.HasRole(name, role)
	if err != nil || has {
		return err
	}
	return tx.Reject(ledgerv1.Code_CODE_ROLE_REQUIRED, "%s does not hold the role %s: an admin of its org can give it",
		name, role)
}

// RequireAccount rejects with NOT_FOUND unless there is an account of that name.
func (r Reader) RequireAccount(name string) error {
	exists, err := r.Exists(name)
	if err != nil || exists {
		return err
	}
	return tx.Reject(ledgerv1.Code_CODE_NOT_FOUND,
		"there is no account %s: check the name, or have an admin of its org create it",
		name)
}

// Store reads and writes organisations and accounts. It is the only code that writes them.
type Store struct {
	Reader
	out state.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

func (s Store) setOrg(org *accountsv1.Org) error { return exec.Put(s.out, orgKey(org.Name), org) }

func (s Store) setAccount(a *accountsv1.Account) error { return exec.Put(s.out, accountKey(a.Name), a) }
