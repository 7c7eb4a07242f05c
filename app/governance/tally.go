package governance

import (
	"fmt"

	"github.com/althing-ledger/althing/app/accounts"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
)

// A tally counts the votes of the orgs that are active, and those orgs.
type tally struct{ yes, no, orgs uint32 }

func count(who accounts.Reader, ballots []*governancev1.Ballot) (t tally, err error) {
	if t.orgs, err = who.ActiveOrgs(); err != nil {
		return tally{}, err
	}
	for _, ballot := range ballots {
		active, err := who.IsActive(ballot.Org)
		if err != nil {
			return tally{}, err
		}
		switch {
		case active && ballot.Yes:
			t.yes++
		case active:
			t.no++
		}
	}
	if t.yes+t.no > t.orgs {
		return tally{}, fmt.Errorf("governance: %d active orgs have voted, and there are only %d", t.yes+t.no, t.orgs)
	}
	return t, nil
}

// enough reports whether more than numerator/denominator of the orgs have voted yes.
func (t tally) enough(numerator, denominator uint32) bool {
	return uint64(t.yes)*uint64(denominator) > uint64(numerator)*uint64(t.orgs)
}

// hopeless reports whether there would not be enough if everybody who has not voted no voted yes.
func (t tally) hopeless(numerator, denominator uint32) bool {
	return !tally{yes: t.orgs - t.no, orgs: t.orgs}.enough(numerator, denominator)
}

// needed is the smallest number of votes that is enough.
func (t tally) needed(numerator, denominator uint32) uint32 {
	return uint32(uint64(numerator)*uint64(t.orgs)/uint64(denominator)) + 1
}
