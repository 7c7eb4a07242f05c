package records

import (
	"strings"

	"github.com/althing-ledger/althing/state/keyspace"
)

// Names in keys have passed the rules for names: a part never holds the zero byte that separates parts.

func collectionKey(collection string) []byte {
	org, name, _ := strings.Cut(collection, "/")
	return keyspace.Key(keyspace.PrefixCollections, org, name)
}

func headKey(record string) []byte {
	org, collection, id := split(record)
	return keyspace.Key(keyspace.PrefixRecords, org, collection, id)
}

// headRange is the prefix of the heads of all records of a collection.
func headRange(collection string) []byte {
	org, name, _ := strings.Cut(collection, "/")
	return keyspace.Key(keyspace.PrefixRecords, org, name, "")
}

func versionKey(record string, version uint64) []byte {
	return keyspace.Uint64(historyRange(record), version)
}

// historyRange is the prefix of all versions of a record.
func historyRange(record string) []byte {
	org, collection, id := split(record)
	return keyspace.Key(keyspace.PrefixRecordHistory, org, collection, id, "")
}

func split(record string) (org, collection, id string) {
	org, rest, _ := strings.Cut(record, "/")
	collection, id, _ = strings.Cut(rest, "/")
	return org, collection, id
}
