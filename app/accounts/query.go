package accounts

import (
	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// GetOrg answers one organisation and what it has used: BAD_NAME, NOT_FOUND.
func GetOrg(view exec.View, q *accountsv1.GetOrgRequest) (*accountsv1.GetOrgResponse, error) {
	if err := checkOrg(q.Name); err != nil {
		return nil, err
	}
	org, err := Read(view).Org(q.Name)
	if err != nil {
		return nil, err
	}
	if org == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no org %s at height %d", q.Name, view.Height())
	}
	usage, err := Read(view).usage(q.Name)
	if err != nil {
		return nil, err
	}
	return &accountsv1.GetOrgResponse{Height: view.Height(), Org: org, Usage: usage}, nil
}

// ListOrgs answers organisations in the order of their names: BAD_FIELD.
func ListOrgs(view exec.View, q *accountsv1.ListOrgsRequest) (*accountsv1.ListOrgsResponse, error) {
	answer := &accountsv1.ListOrgsResponse{Height: view.Height()}
	var err error
	answer.NextPage, err = exec.List(view, keyspace.Key(keyspace.PrefixOrgs), q.Page, q.PageSize, func(_, value []byte) error {
		org := new(accountsv1.Org)
		answer.Orgs = append(answer.Orgs, org)
		return exec.Decode(value, org)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// GetAccount answers one account: BAD_NAME, NOT_FOUND.
func GetAccount(view exec.View, q *accountsv1.GetAccountRequest) (*accountsv1.GetAccountResponse, error) {
	if err := checkName(q.Name); err != nil {
		return nil, err
	}
	account, err := Read(view).Account(q.Name)
	if err != nil {
		return nil, err
	}
	if account == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no account %s at height %d", q.Name, view.Height())
	}
	return &accountsv1.GetAccountResponse{Height: view.Height(), Account: account}, nil
}

// ListAccounts answers accounts, all or those of one org, by org and name: BAD_NAME, BAD_FIELD.
func ListAccounts(view exec.View, q *accountsv1.ListAccountsRequest) (*accountsv1.ListAccountsResponse, error) {
	if q.Org != "" {
		if err := checkOrg(q.Org); err != nil {
			return nil, err
		}
	}
	answer := &accountsv1.ListAccountsResponse{Height: view.Height()}
	var err error
	answer.NextPage, err = exec.List(view, orgRange(q.Org), q.Page, q.PageSize, func(_, value []byte) error {
		account := new(accountsv1.Account)
		answer.Accounts = append(answer.Accounts, account)
		return exec.Decode(value, account)
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func checkOrg(name string) error {
	if err := names.Org(name); err != nil {
		return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	return nil
}
