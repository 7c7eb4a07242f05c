package membership

import (
	"crypto/sha256"

	"github.com/althing-ledger/althing/state/keyspace"
)

// addressSize is the length of what a key is found by, in bytes.
const addressSize = 20

// Address is the first 20 bytes of the key's SHA-256: the address of a validator, and a node's id, in the engine.
func Address(key []byte) []byte {
	hash := sha256.Sum256(key)
	return hash[:addressSize]
}

func nodeKey(name string) []byte { return keyspace.Key(keyspace.PrefixNodes, name) }

// nodeRange is the prefix of all nodes.
func nodeRange() []byte { return keyspace.Key(keyspace.PrefixNodes) }

func seatsKey() []byte { return keyspace.Key(keyspace.PrefixSeats) }

func orgNodesKey(org string) []byte { return keyspace.Key(keyspace.PrefixOrgNodes, org) }

// keyUseKey takes an address of addressSize bytes.
func keyUseKey(address []byte) []byte {
	return append(keyspace.Key(keyspace.PrefixNodeKeys), address...)
}

// The history is of a node or of an org.
const (
	ofNode = "node"
	ofOrg  = "org"
)

// changeRange is the prefix of the history of a node or an org.
func changeRange(of, name string) []byte { return keyspace.Key(keyspace.PrefixChanges, of, name, "") }

// changesOf is the prefix of what one block changed.
func changesOf(of, name string, height uint64) []byte {
	return keyspace.Uint64(changeRange(of, name), height)
}

// evidenceRange is the prefix of all evidence.
func evidenceRange() []byte { return keyspace.Key(keyspace.PrefixEvidence) }

// evidenceOf is the prefix of what one block recorded.
func evidenceOf(height uint64) []byte { return keyspace.Uint64(evidenceRange(), height) }
