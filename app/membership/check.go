package membership

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// Limits of the registry.
const (
	MaxNodes      = 1024
	MaxValidators = 100 // votes of all of them stand in every block
	MaxAddresses  = 8   // of one node
)

// Voting power of a validator. Powers are equal unless somebody decides otherwise; the default leaves room below.
const (
	MinPower     = 10
	DefaultPower = 10
	MaxPower     = 1_000_000
)

// proofSize is the length of an Ed25519 signature.
const proofSize = 64

// maxAddress is the length of the longest address: a host of 253 bytes, a colon, five digits.
const maxAddress = 253 + 1 + 5

// CheckNode checks an entry that is to be listed by itself. The error is a [tx.Rejection]: BAD_NAME or BAD_FIELD.
func CheckNode(node *membershipv1.Node) error {
	if node == nil {
		return badField("the node is missing")
	}
	if err := checkName(node.Name); err != nil {
		return err
	}
	if err := names.Org(node.Org); err != nil {
		return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	if err := checkKey("node_key", node.NodeKey); err != nil {
		return err
	}
	if err := checkVote(node); err != nil {
		return err
	}
	if node.ListedHeight != 0 || len(node.FormerNodeKey) != 0 || node.FormerNodeKeyUntil != 0 ||
		node.RemovedHeight != 0 || node.ConvictedHeight != 0 {
		return badField("%s comes with fields that the ledger fills in: give name, org, keys, power and addresses", node.Name)
	}
	return checkAddresses(node.Addresses)
}

func checkVote(node *membershipv1.Node) error {
	if len(node.ValidatorKey) == 0 {
		if node.Power != 0 {
			return badField("power is %d without a validator_key: give it a key, or leave power out", node.Power)
		}
		return nil
	}
	if err := checkKey("validator_key", node.ValidatorKey); err != nil {
		return err
	}
	if bytes.Equal(node.ValidatorKey, node.NodeKey) {
		return badField("validator_key and node_key of %s are the same: every key has one use", node.Name)
	}
	return checkPower(node.Power)
}

// checkPower lets 0 pass: an observer that may become a validator.
func checkPower(power uint64) error {
	if power != 0 && (power < MinPower || power > MaxPower) {
		return badField("power is %d: the power of a validator is %d to %d, usually %d, and 0 makes it an observer",
			power, MinPower, MaxPower, DefaultPower)
	}
	return nil
}

func checkName(name string) error {
	if err := names.Node(name); err != nil {
		return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	return nil
}

func checkKey(field string, key []byte) error {
	if _, err := keys.ParsePublicKey(keys.SchemeEd25519, key); err != nil {
		return badField("%s: %v", field, err)
	}
	return nil
}

func checkAddresses(addresses []string) error {
	if len(addresses) > MaxAddresses {
		return badField("%d addresses, at most %d are allowed", len(addresses), MaxAddresses)
	}
	for i, address := range addresses {
		if err := checkAddress(address); err != nil {
			return badField("addresses[%d]: %.280q %v", i, address, err)
		}
		if slices.Contains(addresses[:i], address) {
			return badField("addresses[%d]: %s is listed twice", i, address)
		}
	}
	return nil
}

func badField(format string, args ...any) error {
	return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, format, args...)
}

// CheckAddNode checks what needs no state: BAD_NAME, BAD_FIELD or NO_POSSESSION.
func CheckAddNode(op *membershipv1.AddNode) error {
	node := op.GetNode()
	if err := CheckNode(node); err != nil {
		return err
	}
	if err := tx.CheckPossession(node.NodeKey, op.NodeKeyProof, tx.UseNode, node.Name, node.Org); err != nil {
		return err
	}
	if len(node.ValidatorKey) == 0 {
		if len(op.ValidatorKeyProof) != 0 {
			return badField("%s has a validator_key_proof without a validator_key", node.Name)
		}
		return nil
	}
	return tx.CheckPossession(node.ValidatorKey, op.ValidatorKeyProof, tx.UseValidator, node.Name, node.Org)
}

// CheckRemoveNode checks what needs no state: BAD_NAME.
func CheckRemoveNode(op *membershipv1.RemoveNode) error { return checkName(op.Name) }

// CheckSetAddresses checks what needs no state: BAD_NAME or BAD_FIELD.
func CheckSetAddresses(op *membershipv1.SetAddresses) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	return checkAddresses(op.Addresses)
}

// CheckSetPower checks what needs no state: BAD_NAME or BAD_FIELD.
func CheckSetPower(op *membershipv1.SetPower) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	return checkPower(op.Power)
}

// CheckRotateNodeKey checks what needs no state: BAD_NAME, BAD_FIELD or NO_POSSESSION. Only the state knows the org for which
// the proof must have been made.
func CheckRotateNodeKey(op *membershipv1.RotateNodeKey) error {
	return checkRotation(op.Name, "node_key", op.NodeKey, op.NodeKeyProof)
}

// CheckRotateValidatorKey checks what needs no state, as [CheckRotateNodeKey] does.
func CheckRotateValidatorKey(op *membershipv1.RotateValidatorKey) error {
	return checkRotation(op.Name, "validator_key", op.ValidatorKey, op.ValidatorKeyProof)
}

func checkRotation(name, field string, key, proof []byte) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := checkKey(field, key); err != nil {
		return err
	}
	if len(proof) != proofSize {
		return tx.Reject(ledgerv1.Code_CODE_NO_POSSESSION,
			"the proof of the %s has %d bytes, a signature has %d: have the owner of the key sign it for this node and org",
			field, len(proof), proofSize)
	}
	return nil
}

// checkAddress checks `host:port`, the host being a DNS name, an IPv4 address, or an IPv6 address in brackets. It asks
// nobody: whether the name resolves is for the mesh to find out.
func checkAddress(address string) error {
	if len(address) > maxAddress {
		return fmt.Errorf("is longer than %d bytes", maxAddress)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("is not HOST:PORT")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
		return errors.New("has no port from 1 to 65535")
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			return errors.New("is no address that others can reach")
		}
		return nil
	}
	if !isDNSName(host) {
		return errors.New("has no host that is an IP address or a DNS name in lower case")
	}
	return nil
}

// isDNSName follows RFC 1123, with the underscore that container networks put into names. A name whose last label is a
// number would be an IP address to some resolvers and a name to others.
func isDNSName(host string) bool {
	if host == "" || len(host) > 253 {
		return false
	}
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			c := label[i]
			if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != ""
}
