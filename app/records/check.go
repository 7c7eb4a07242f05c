package records

import (
	"cmp"
	"slices"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// Limits of collections and records.
const (
	MaxGrants      = 64
	MaxData        = 64 << 10 // bytes of content on the ledger
	MaxContentType = 127      // bytes
	HashSize       = 32       // bytes of a SHA-256
)

// CheckSetCollection checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckSetCollection(op *recordsv1.SetCollection) error {
	if err := checkCollection(op.Collection); err != nil {
		return err
	}
	if len(op.Writers) == 0 {
		return badField("writers is empty: grant at least one role of one org")
	}
	if len(op.Writers) > MaxGrants {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "%d grants, at most %d are allowed", len(op.Writers), MaxGrants)
	}
	severalOrgs := false
	for i, grant := range op.Writers {
		if err := names.Org(grant.GetOrg()); err != nil {
			return badName(err)
		}
		if err := names.Role(grant.Role); err != nil {
			return badName(err)
		}
		for _, earlier := range op.Writers[:i] {
			if compareGrants(earlier, grant) == 0 {
				return badField("the role %s of %s is granted twice", grant.Role, grant.Org)
			}
		}
		severalOrgs = severalOrgs || grant.Org != op.Writers[0].Org
	}
	if op.Cosign && !severalOrgs {
		return badField("cosign needs grants of two orgs, or nobody could ever write: grant a role of another org than %s too",
			op.Writers[0].Org)
	}
	return nil
}

// CheckPut checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckPut(op *recordsv1.Put) error {
	if err := checkRecord(op.Record); err != nil {
		return err
	}
	if err := checkContentType(op.ContentType); err != nil {
		return err
	}
	if op.Cosigner != "" {
		if _, err := names.Account(op.Cosigner); err != nil {
			return badName(err)
		}
	}
	switch content := op.Content.(type) {
	case *recordsv1.Put_Data:
		if len(content.Data) > MaxData {
			return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE,
				"the content has %d bytes, at most %d are allowed: keep it elsewhere and put its hash",
				len(content.Data), MaxData)
		}
	case *recordsv1.Put_Hash:
		if len(content.Hash.GetSha256()) != HashSize {
			return badField("sha256 has %d bytes, a SHA-256 has %d", len(content.Hash.GetSha256()), HashSize)
		}
	default:
		return badField("the record has no content: give data, which may be empty, or hash")
	}
	return nil
}

func checkContentType(s string) error {
	if s == "" || len(s) > MaxContentType {
		return badField("content_type has %d bytes: it is a media type of 1 to %d, like text/plain", len(s), MaxContentType)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return badField("content_type %.127q has other characters than printable ASCII", s)
		}
	}
	if s[0] == ' ' || s[len(s)-1] == ' ' {
		return badField("content_type %.127q begins or ends with a space", s)
	}
	return nil
}

func checkCollection(name string) error {
	if _, err := names.Collection(name); err != nil {
		return badName(err)
	}
	return nil
}

func checkRecord(name string) error {
	if _, _, err := names.Record(name); err != nil {
		return badName(err)
	}
	return nil
}

func badName(err error) error { return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err) }

func badField(format string, args ...any) error {
	return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, format, args...)
}

func compareGrants(a, b *recordsv1.Grant) int {
	return cmp.Or(cmp.Compare(a.Org, b.Org), cmp.Compare(a.Role, b.Role))
}

// sortedGrants returns the grants in the order of the state.
func sortedGrants(grants []*recordsv1.Grant) []*recordsv1.Grant {
	grants = slices.Clone(grants)
	slices.SortFunc(grants, compareGrants)
	return grants
}
