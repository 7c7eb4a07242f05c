package assets

import (
	"encoding/binary"
	"strings"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Names in keys have passed the rules for names: a part never holds the zero byte that separates parts.

func assetKey(asset string) []byte {
	org, name, _ := strings.Cut(asset, "/")
	return keyspace.Key(keyspace.PrefixAssets, org, name)
}

// assetRange is the prefix of all assets of an org, of all assets when org is empty.
func assetRange(org string) []byte {
	if org == "" {
		return keyspace.Key(keyspace.PrefixAssets)
	}
	return keyspace.Key(keyspace.PrefixAssets, org, "")
}

func supplyKey(asset string) []byte {
	org, name, _ := strings.Cut(asset, "/")
	return keyspace.Key(keyspace.PrefixSupply, org, name)
}

func holdingKey(asset, account string) []byte {
	issuer, name, _ := strings.Cut(asset, "/")
	org, holder, _ := strings.Cut(account, "/")
	return keyspace.Key(keyspace.PrefixBalances, issuer, name, org, holder)
}

// holdingRange is the prefix of all holdings of an asset.
func holdingRange(asset string) []byte {
	issuer, name, _ := strings.Cut(asset, "/")
	return keyspace.Key(keyspace.PrefixBalances, issuer, name, "")
}

// splitHoldingKey is the inverse of holdingKey.
func splitHoldingKey(key []byte) (asset, account string, ok bool) {
	parts := strings.Split(string(key[1:]), "\x00")
	if len(parts) != 4 {
		return "", "", false
	}
	return parts[0] + "/" + parts[1], parts[2] + "/" + parts[3], true
}

// splitAssetKey is the inverse of assetKey and of supplyKey.
func splitAssetKey(key []byte) (asset string, ok bool) {
	org, name, ok := strings.Cut(string(key[1:]), "\x00")
	return org + "/" + name, ok && !strings.Contains(name, "\x00")
}

func holdKey(id []byte) []byte { return append(keyspace.Key(keyspace.PrefixHolds), id...) }

// holdRange is the prefix of all holds.
func holdRange() []byte { return keyspace.Key(keyspace.PrefixHolds) }

// HoldIDSize is the length of a hold's id in bytes.
const HoldIDSize = 32

// HoldID returns the id of the hold that an operation of a transaction opens, by the operation's index. A client knows it
// before it sends the transaction.
func HoldID(id tx.ID, operation uint32) [HoldIDSize]byte {
	var index [4]byte
	binary.BigEndian.PutUint32(index[:], operation)
	return keys.TaggedHash("althing/hold/v1", id[:], index[:])
}
