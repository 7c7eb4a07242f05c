package accounts

import (
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Examine compares the counts of orgs and admins with the orgs and accounts themselves and returns what does not fit. The
// error is an I/O failure or corruption. It reads every account.
func Examine(kv exec.Scanner) ([]string, error) {
	var found []string
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	orgs, err := Orgs(kv)
	if err != nil {
		return nil, err
	}
	admins := make(map[string]uint32, len(orgs))
	start, end := keyspace.PrefixRange(keyspace.Key(keyspace.PrefixAccounts))
	if err := kv.Scan(start, end, func(_, value []byte) (bool, error) {
		account := new(accountsv1.Account)
		if err := exec.Decode(value, account); err != nil {
			return false, err
		}
		admins[orgOf(account.Name)] += adminsAmong(account.Roles)
		return true, nil
	}); err != nil {
		return nil, fmt.Errorf("count the admins: %w", err)
	}
	active := uint32(0)
	for _, org := range orgs {
		if org.Status == accountsv1.OrgStatus_ORG_STATUS_ACTIVE {
			active++
		}
		if org.Admins != admins[org.Name] || org.Admins == 0 {
			add("the org %s counts %d admins, %d accounts are", org.Name, org.Admins, admins[org.Name])
		}
	}
	count, err := Read(kv).orgCount()
	if err != nil {
		return nil, err
	}
	if count.Active != active || int(count.All) != len(orgs) || active == 0 {
		add("%d orgs are counted, %d active, and there are %d and %d", count.All, count.Active, len(orgs), active)
	}
	return found, nil
}
