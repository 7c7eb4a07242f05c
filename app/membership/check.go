package membership

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/althing-ledger/althing/keys"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/names"
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

// maxAddress is the length of the longest address: a host of 253 bytes, a colon, five digits.
const maxAddress = 253 + 1 + 5

// CheckNode checks an entry of the registry by itself.
func CheckNode(node *membershipv1.Node) error {
	if err := names.Node(node.GetName()); err != nil {
		return err
	}
	if err := names.Org(node.Org); err != nil {
		return err
	}
	if _, err := keys.ParsePublicKey(keys.SchemeEd25519, node.NodeKey); err != nil {
		return fmt.Errorf("node_key: %w", err)
	}
	if err := checkVote(node); err != nil {
		return err
	}
	if len(node.Addresses) > MaxAddresses {
		return fmt.Errorf("%d addresses, at most %d are allowed", len(node.Addresses), MaxAddresses)
	}
	for i, address := range node.Addresses {
		if err := checkAddress(address); err != nil {
			return fmt.Errorf("addresses[%d]: %.280q %w", i, address, err)
		}
		if slices.Contains(node.Addresses[:i], address) {
			return fmt.Errorf("addresses[%d]: %s is listed twice", i, address)
		}
	}
	return nil
}

func checkVote(node *membershipv1.Node) error {
	if len(node.ValidatorKey) == 0 {
		if node.Power != 0 {
			return fmt.Errorf("power is %d without a validator_key: give it a key, or leave power out", node.Power)
		}
		return nil
	}
	if _, err := keys.ParsePublicKey(keys.SchemeEd25519, node.ValidatorKey); err != nil {
		return fmt.Errorf("validator_key: %w", err)
	}
	if node.Power < MinPower || node.Power > MaxPower {
		return fmt.Errorf("power is %d: the power of a validator is %d to %d, usually %d",
			node.Power, MinPower, MaxPower, DefaultPower)
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
