package accounts

import (
	"fmt"
	"slices"

	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Reader reads organisations and accounts. Every error that is no [tx.Rejection] is an I/O failure or corruption.
type Reader struct{ kv exec.Reader }

// Read returns a reader over kv.
func Read(kv exec.Reader) Reader { return Reader{kv} }

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

// IsActive reports whether there is an organisation of that name that is an active member.
func (r Reader) IsActive(name string) (bool, error) {
	org, err := r.Org(name)
	return org.GetStatus() == accountsv1.OrgStatus_ORG_STATUS_ACTIVE, err
}

// ActiveOrgs returns how many organisations are active members.
func (r Reader) ActiveOrgs() (uint32, error) {
	count, err := r.orgCount()
	return count.GetActive(), err
}

func (r Reader) orgCount() (*accountsv1.OrgCount, error) {
	count := new(accountsv1.OrgCount)
	_, err := exec.Get(r.kv, orgCountKey(), count)
	return count, err
}

// Stored returns how many bytes of state the transactions that an organisation paid for have made.
func (r Reader) Stored(org string) (uint64, error) {
	usage, err := r.usage(org)
	return usage.GetStoredBytes(), err
}

func (r Reader) usage(org string) (*accountsv1.Usage, error) {
	usage := new(accountsv1.Usage)
	_, err := exec.Get(r.kv, storedKey(org), usage)
	return usage, err
}

// Orgs returns all organisations that are or were members, in the order of their names, at most [MaxOrgs].
func Orgs(kv exec.Scanner) ([]*accountsv1.Org, error) {
	var orgs []*accountsv1.Org
	start, end := keyspace.PrefixRange(keyspace.Key(keyspace.PrefixOrgs))
	err := kv.Scan(start, end, func(_, value []byte) (bool, error) {
		if len(orgs) == MaxOrgs {
			return false, fmt.Errorf("there are more than %d orgs", MaxOrgs)
		}
		org := new(accountsv1.Org)
		orgs = append(orgs, org)
		return true, exec.Decode(value, org)
	})
	if err != nil {
		return nil, fmt.Errorf("list the orgs: %w", err)
	}
	return orgs, nil
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
	out exec.Writer
}

// Open returns a store over kv.
func Open(kv exec.KV) Store { return Store{Reader{kv}, kv} }

// AddStored books n more bytes of state that transactions have made for which the organisation paid.
func (s Store) AddStored(org string, n uint64) error {
	usage, err := s.usage(org)
	if err != nil {
		return err
	}
	usage.StoredBytes += n
	return exec.Put(s.out, storedKey(org), usage)
}

func (s Store) setOrgCount(count *accountsv1.OrgCount) error {
	return exec.Put(s.out, orgCountKey(), count)
}

func (s Store) setOrg(org *accountsv1.Org) error { return exec.Put(s.out, orgKey(org.Name), org) }

func (s Store) setAccount(a *accountsv1.Account) error { return exec.Put(s.out, accountKey(a.Name), a) }
