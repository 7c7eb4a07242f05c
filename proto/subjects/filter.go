package subjects

import (
	"fmt"
	"slices"
	"strings"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// MaxValues is how many values a filter may have in all its fields.
const MaxValues = 64

// Filter lets pass what fits every field that is set, and in a field any of its values. A nil Filter lets everything pass.
// It is immutable.
type Filter struct {
	orgs, accounts, assets, prefixes, kinds []string
}

// NewFilter checks a filter as clients send it. It returns nil for one without values. The error says which value is wrong
// and what to do; it wraps a [*names.Error] where that is a name.
func NewFilter(f *ledgerv1.Filter) (*Filter, error) {
	count := len(f.GetOrgs()) + len(f.GetAccounts()) + len(f.GetAssets()) + len(f.GetRecordPrefixes()) + len(f.GetKinds())
	if count == 0 {
		return nil, nil
	}
	if count > MaxValues {
		return nil, fmt.Errorf("the filter has %d values, %d are allowed: open several watches, or filter what comes", count, MaxValues)
	}
	for _, org := range f.Orgs {
		if err := names.Org(org); err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
	}
	for _, account := range f.Accounts {
		if _, err := names.Account(account); err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
	}
	for _, asset := range f.Assets {
		if _, err := names.Asset(asset); err != nil {
			return nil, fmt.Errorf("filter: %w", err)
		}
	}
	for _, prefix := range f.RecordPrefixes {
		if !beginsRecord(prefix) {
			return nil, fmt.Errorf("filter: %.210q begins no name of a record: write ORG, ORG/COLLECTION/ or more of ORG/COLLECTION/ID", prefix)
		}
	}
	for _, kind := range f.Kinds {
		if _, known := slices.BinarySearch(kinds, kind); !known {
			return nil, fmt.Errorf("filter: there is no kind of operation or event %.60q: asset_transfer is one, and asset_transferred its event",
				kind)
		}
	}
	return &Filter{
		orgs: slices.Clone(f.Orgs), accounts: slices.Clone(f.Accounts), assets: slices.Clone(f.Assets),
		prefixes: slices.Clone(f.RecordPrefixes), kinds: slices.Clone(f.Kinds),
	}, nil
}

// beginsRecord reports whether some record has a name that begins like this.
func beginsRecord(prefix string) bool {
	switch strings.Count(prefix, "/") {
	case 0:
		return prefix != "" && fits(names.Org, prefix)
	case 1:
		return fits(func(s string) error { _, err := names.Collection(s); return err }, prefix)
	default:
		return fits(func(s string) error { _, _, err := names.Record(s); return err }, prefix)
	}
}

// fits reports whether a text, or the text and a letter or two, is a name.
func fits(check func(string) error, text string) bool {
	return check(text) == nil || check(text+"a") == nil || check(text+"aa") == nil
}

// Passes reports whether something is let through.
func (f *Filter) Passes(s Set) bool {
	if f == nil {
		return true
	}
	return anyOf(f.orgs, s.Orgs) && anyOf(f.accounts, s.Accounts) && anyOf(f.assets, s.Assets) && anyOf(f.kinds, s.Kinds) &&
		(len(f.prefixes) == 0 || slices.ContainsFunc(f.prefixes, func(prefix string) bool { return begins(prefix, s.Records) }))
}

// anyOf reports whether one of those wanted is there, or none is wanted.
func anyOf(wanted, sorted []string) bool {
	return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool {
		_, found := slices.BinarySearch(sorted, w)
		return found
	})
}

func begins(prefix string, sorted []string) bool {
	i, _ := slices.BinarySearch(sorted, prefix)
	return i < len(sorted) && strings.HasPrefix(sorted[i], prefix)
}
