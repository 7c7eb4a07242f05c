package accounts

import (
	"strings"

	"github.com/althing-ledger/althing/state/keyspace"
)

// Names in keys have passed the rules for names: a part never holds the zero byte that separates parts.

func orgKey(name string) []byte { return keyspace.Key(keyspace.PrefixOrgs, name) }

func accountKey(name string) []byte {
	org, account, _ := strings.Cut(name, "/")
	return keyspace.Key(keyspace.PrefixAccounts, org, account)
}

func orgCountKey() []byte { return keyspace.Key(keyspace.PrefixOrgCount) }

func storedKey(org string) []byte { return keyspace.Key(keyspace.PrefixStored, org) }

// orgRange is the prefix of all accounts of an org, of all accounts when org is empty.
func orgRange(org string) []byte {
	if org == "" {
		return keyspace.Key(keyspace.PrefixAccounts)
	}
	return keyspace.Key(keyspace.PrefixAccounts, org, "")
}
