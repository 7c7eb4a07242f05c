// Package keyspace says which keys the state of the ledger has: every prefix on one page, and how keys are put together.
// It is a leaf, so that whoever checks proofs of keys need not bring a database along.
package keyspace

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Prefixes of keys in the tree: the first byte of every key that is part of
// the app hash. Append-only: a number is never given a second meaning, because
// proofs and old versions outlive the code. The column on the right says how
// the things below a prefix are listed: by scanning the range of keys, or not
// at all.
const (
	PrefixChain         byte = 0x01 // feature level, upgrade, genesis hash  range (a handful of keys)
	PrefixCharter       byte = 0x02 // rules of governance and limits        range
	PrefixOrgs          byte = 0x03 // org                                   range
	PrefixNodes         byte = 0x04 // node                                  range
	PrefixAccounts      byte = 0x05 // org, account                          range; accounts of an org are a sub-range
	PrefixOrgCount      byte = 0x06 // how many orgs there are               none; one key
	PrefixSeats         byte = 0x07 // validators of the newest heights      none; one key
	PrefixNodeKeys      byte = 0x08 // key of a node or validator: its use   none; read by key
	PrefixOrgNodes      byte = 0x09 // org: names of its nodes               none; read by key
	PrefixChanges       byte = 0x0a // node or org, height, number: change   range, ascending by height below each
	PrefixEvidence      byte = 0x0b // height, number: proof of a misdeed    range, ascending by height
	PrefixProposals     byte = 0x0c // 2^64-1-id: proposal                   range, newest first
	PrefixProposalCount byte = 0x0d // the newest proposal's id              none; one key
	PrefixOpenProposals byte = 0x0e // org: ids of those that may be open    none; read by key
	PrefixAssets        byte = 0x10 // org, asset: definition                range; assets of an org are a sub-range
	PrefixBalances      byte = 0x11 // asset, account: holding               range; holders of an asset are a sub-range
	PrefixSupply        byte = 0x12 // org, asset: total                     none; read by key
	PrefixHolds         byte = 0x13 // hold id                               range
	PrefixCollections   byte = 0x20 // org, collection: policy               range; collections of an org are a sub-range
	PrefixRecords       byte = 0x21 // org, collection, id: newest version   range; records of a collection are a sub-range
	PrefixRecordHistory byte = 0x22 // org, collection, id, version          range; versions of a record are a sub-range
	PrefixBlockIDs      byte = 0x30 // last expiry, height: digest of ids    range, ascending by expiry
	PrefixLongExpiry    byte = 0x31 // org: unexpired long-lived ids         none; read by key
	PrefixStored        byte = 0x32 // org: bytes of state it has made       none; read by key
)

// Prefixes of keys in the local data: the first byte of every key that is
// written in the same batch as a block but is not part of the app hash.
// Append-only as well; what is kept here can be rebuilt from the blocks or
// checked against the tree.
const (
	LocalTransactions byte = 0x01 // transaction id: height, index, outcome   none; read by id
	LocalBlockResults byte = 0x02 // height, page: results and events         range, ascending by height and page
	LocalSummaries    byte = 0x03 // height: count, last expiry               range, ascending by height
	LocalHorizon      byte = 0x04 // newest height whose local data is gone   none; one key
	LocalLineage      byte = 0x05 // height: change of the validators         range, ascending by height; kept for ever
	LocalCursors      byte = 0x06 // name of an index: how far it has got     none; read by name
	LocalHistory      byte = 0x07 // subject, height and index descending     range, newest first below each subject
)

const separator = 0x00

// Key returns prefix followed by parts with a zero byte between them. Parts
// are names; a name never contains a zero byte, so that no key is the prefix
// of another part list and all keys that share leading parts are one range:
//
//	Key(PrefixAccounts, "acme", "alice")       one account
//	PrefixRange(Key(PrefixAccounts, "acme", "")) all accounts of acme
//
// A part with a zero byte is a programming error and panics.
func Key(prefix byte, parts ...string) []byte {
	size := 1
	for _, part := range parts {
		size += len(part) + 1
	}
	key := append(make([]byte, 0, size+8), prefix)
	for i, part := range parts {
		if strings.IndexByte(part, separator) >= 0 {
			panic(fmt.Sprintf("keyspace: part %q of a key contains a zero byte", part))
		}
		if i > 0 {
			key = append(key, separator)
		}
		key = append(key, part...)
	}
	return key
}

// Uint64 appends n to key as eight bytes, big endian, so that keys sort by n.
func Uint64(key []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(key, n)
}

// PrefixEnd returns the smallest key that is greater than every key starting
// with prefix, or nil when there is none (prefix is empty or all 0xff).
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return nil
}

// PrefixRange returns the bounds of all keys that start with prefix, in the
// form [View.Scan] takes.
func PrefixRange(prefix []byte) (start, end []byte) {
	return prefix, PrefixEnd(prefix)
}
