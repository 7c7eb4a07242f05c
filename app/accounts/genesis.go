package accounts

import (
	"errors"
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// Genesis writes the organisations and accounts that a network starts with; allotments says by the org's name what it may
// decide for itself, nothing where it says nothing. It leaves its arguments as they are. The error
// joins all problems, each naming the entry; nothing is written then.
func Genesis(kv exec.KV, orgs []string, allotments map[string]*accountsv1.Allotment, accounts []*accountsv1.Account) error {
	var problems []error
	admins := make(map[string]uint32, len(orgs)) // of each org
	if len(orgs) == 0 {
		problems = append(problems, errors.New("orgs: the network has no org: list at least one"))
	}
	if len(orgs) > MaxOrgs {
		return fmt.Errorf("orgs: there are %d, at most %d are allowed", len(orgs), MaxOrgs)
	}
	for i, org := range orgs {
		if err := names.Org(org); err != nil {
			problems = append(problems, fmt.Errorf("orgs[%d]: %w", i, err))
		} else if _, twice := admins[org]; twice {
			problems = append(problems, fmt.Errorf("orgs[%d]: %s is listed twice", i, org))
		} else if err := checkAllotment(allotments[org]); err != nil {
			problems = append(problems, fmt.Errorf("orgs[%d] (%s): %v", i, org, err))
		}
		admins[org] = 0
	}
	seen := make(map[string]bool, len(accounts))
	for i, account := range accounts {
		if err := checkGenesisAccount(account, admins); err != nil {
			// Not wrapped: a mistake in a document is no verdict on a transaction.
			problems = append(problems, fmt.Errorf("accounts[%d] (%.70s): %v", i, account.GetName(), err))
			continue
		}
		if seen[account.Name] {
			problems = append(problems, fmt.Errorf("accounts[%d] (%s): listed twice", i, account.Name))
			continue
		}
		seen[account.Name] = true
		org, _ := names.Account(account.Name)
		admins[org] += adminsAmong(account.Roles)
	}
	for i, org := range orgs {
		if names.Org(org) == nil && admins[org] == 0 {
			problems = append(problems, fmt.Errorf(
				"orgs[%d]: %s has no account with the role %s: give it one", i, org, RoleAdmin))
		}
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}

	s := Open(kv)
	for _, name := range orgs {
		org := &accountsv1.Org{
			Name: name, Status: accountsv1.OrgStatus_ORG_STATUS_ACTIVE, Admins: admins[name], Allotment: allotments[name],
		}
		if err := s.setOrg(org); err != nil {
			return err
		}
	}
	n := uint32(len(orgs))
	if err := s.setOrgCount(&accountsv1.OrgCount{All: n, Active: n}); err != nil {
		return err
	}
	for _, a := range accounts {
		account := &accountsv1.Account{
			Name: a.Name, Keys: sortedKeys(a.Keys), Threshold: a.Threshold, Roles: sortedRoles(a.Roles),
			TokenKeys: sortedTokenKeys(a.TokenKeys),
		}
		if err := s.setAccount(account); err != nil {
			return err
		}
	}
	return nil
}

func checkGenesisAccount(account *accountsv1.Account, orgs map[string]uint32) error {
	org, err := names.Account(account.GetName())
	if err != nil {
		return err
	}
	if _, known := orgs[org]; !known {
		return fmt.Errorf("its org %s is not listed in orgs", org)
	}
	if account.CreatedHeight != 0 {
		return fmt.Errorf("created_height is %d: leave it out", account.CreatedHeight)
	}
	if err := checkKeys(account.Keys); err != nil {
		return err
	}
	if account.Threshold == 0 {
		return errors.New("the threshold is 0: it is at least 1")
	}
	if err := requireReachable(account); err != nil {
		return err
	}
	if err := checkTokenKeys(account.TokenKeys); err != nil {
		return err
	}
	for _, key := range account.Keys {
		if err := requireNoTokenKey(account, key.PublicKey); err != nil {
			return err
		}
	}
	return checkRoles(account.Roles)
}
