package accounts

import (
	"strings"

	"github.com/althing-ledger/althing/state"
)

// Names in keys have passed the rules for names: a part never holds the zero byte that separates parts.

func orgKey(name string) []byte { return state.Key(state.PrefixOrgs, name) }

func accountKey(name string) []byte {
	org, account, _ := strings.Cut(name, "/")
	return state.Key(state.PrefixAccounts, org, account)
}

// orgRange is the prefix of all accounts of an org, of all accounts when org is empty.
func orgRange(org string) []byte {
	if org == "" {
		return state.Key(state.PrefixAccounts)
	}
	return state.Key(state.PrefixAccounts, org, "")
}
