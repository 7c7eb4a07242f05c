package tx

import (
	"encoding/binary"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// Use is what a key of a node is for. The words stand in what is signed to prove possession.
type Use string

const (
	// UseNode is a key of connections.
	UseNode Use = "node"
	// UseValidator is a key of votes.
	UseValidator Use = "validator"
)

var possessionTag = keys.NewTag("althing/possession/v1")

// possession is the digest that the owner of a key signs to show that it has it: the tagged hash of the use, the node's
// name, its org and the key, each behind its length (4 bytes, big endian).
func possession(use Use, node, org string, key []byte) [32]byte {
	var message []byte
	for _, part := range [][]byte{[]byte(use), []byte(node), []byte(org), key} {
		message = binary.BigEndian.AppendUint32(message, uint32(len(part)))
		message = append(message, part...)
	}
	return possessionTag.Hash(message)
}

// ProvePossession returns the signature (64 bytes) that registering an Ed25519 key for a node demands.
func ProvePossession(key keys.PrivateKey, use Use, node, org string) ([]byte, error) {
	return key.Sign(possession(use, node, org, key.Public().Bytes()))
}

// CheckPossession rejects with BAD_FIELD what is no Ed25519 key (32 bytes), and with NO_POSSESSION a key whose proof was not
// made with it for this use, node and org.
func CheckPossession(key, proof []byte, use Use, node, org string) error {
	public, err := keys.ParsePublicKey(keys.SchemeEd25519, key)
	if err != nil {
		return Reject(ledgerv1.Code_CODE_BAD_FIELD, "the %s key of %s: %v", use, node, err)
	}
	if err := public.Verify(possession(use, node, org, key), proof); err != nil {
		return Reject(ledgerv1.Code_CODE_NO_POSSESSION,
			"the proof that %s has the %s key %x does not fit: have its owner sign it for this node and org", node, use, key)
	}
	return nil
}
