// Package names owns the rules for names on the ledger: organisations, accounts, assets, collections, records, roles and
// nodes. The state machine, the client and the command line all ask here, so a name refused by one is refused by all.
package names

import (
	"fmt"
	"strings"
)

// MaxPart is the length of the longest part of a name, in bytes.
const MaxPart = 32

// MaxRecordID is the length of the longest record id, in bytes.
const MaxRecordID = 128

// reserved is never the name of an organisation: it is the ledger's own.
const reserved = "althing"

// An Error says which name is wrong and what it should look like.
type Error struct {
	Name string // as given, shortened
	Want string // the shape that was expected
}

func (e *Error) Error() string { return fmt.Sprintf("%q is not %s", e.Name, e.Want) }

func bad(name, want string) error {
	if len(name) > 200 {
		name = name[:200] + "..."
	}
	return &Error{Name: name, Want: want}
}

const (
	partRule     = "2 to 32 characters: lower-case letters, digits and hyphens, beginning with a letter"
	recordIDRule = "1 to 128 characters: letters, digits, dots, underscores and hyphens, beginning with a letter or digit"
)

func isPart(s string) bool {
	if len(s) < 2 || len(s) > MaxPart || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func isRecordID(s string) bool {
	if len(s) < 1 || len(s) > MaxRecordID {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')
		if !letter && (i == 0 || (c != '.' && c != '_' && c != '-')) {
			return false
		}
	}
	return true
}

// Org checks the name of an organisation: `acme`.
func Org(name string) error {
	if !isPart(name) {
		return bad(name, "the name of an organisation, which has "+partRule)
	}
	if name == reserved {
		return bad(name, "free: the ledger keeps it for itself")
	}
	return nil
}

// Role checks the name of a role: `issuer`.
func Role(name string) error {
	if !isPart(name) {
		return bad(name, "the name of a role, which has "+partRule)
	}
	return nil
}

// Node checks the name of a node: `acme-1`.
func Node(name string) error {
	if !isPart(name) {
		return bad(name, "the name of a node, which has "+partRule)
	}
	return nil
}

// Network checks the name of a network, the chain id without its eight hex digits.
func Network(name string) error {
	if !isPart(name) {
		return bad(name, "the name of a network, which has "+partRule)
	}
	return nil
}

func pair(name, what string) (org, rest string, err error) {
	org, rest, found := strings.Cut(name, "/")
	if !found || !isPart(org) || !isPart(rest) {
		return "", "", bad(name, "the name of "+what+", ORG/NAME: each part has "+partRule)
	}
	if org == reserved {
		return "", "", bad(name, "the name of "+what+": the ledger keeps the organisation "+reserved+" for itself")
	}
	return org, rest, nil
}

// Account checks the name of an account, `acme/alice`, and returns its organisation.
func Account(name string) (org string, err error) {
	org, _, err = pair(name, "an account")
	return org, err
}

// Asset checks the name of an asset, `acme/usd`, and returns the issuing organisation.
func Asset(name string) (org string, err error) {
	org, _, err = pair(name, "an asset")
	return org, err
}

// Collection checks the name of a collection, `acme/invoices`, and returns its organisation.
func Collection(name string) (org string, err error) {
	org, _, err = pair(name, "a collection")
	return org, err
}

// Record checks the name of a record, `acme/invoices/2026-001`, and returns its collection and id.
func Record(name string) (collection, id string, err error) {
	if strings.Count(name, "/") != 2 {
		return "", "", bad(name, "the name of a record, which has three parts: ORG/COLLECTION/ID")
	}
	i := strings.LastIndexByte(name, '/')
	collection, id = name[:i], name[i+1:]
	if _, _, err := pair(collection, "a collection"); err != nil {
		return "", "", fmt.Errorf("the collection of the record: %w", err)
	}
	if !isRecordID(id) {
		return "", "", bad(name, "the name of a record: its id, the part behind the collection, has "+recordIDRule)
	}
	return collection, id, nil
}
