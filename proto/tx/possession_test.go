package tx

import (
	"errors"
	"testing"

	"github.com/althing-ledger/althing/keys"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

func TestPossession(t *testing.T) {
	t.Parallel()
	key, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	public := key.Public().Bytes()
	proof, err := ProvePossession(key, UseNode, "acme-1", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckPossession(public, proof, UseNode, "acme-1", "acme"); err != nil {
		t.Error(err)
	}
	other, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another use":  CheckPossession(public, proof, UseValidator, "acme-1", "acme"),
		"another node": CheckPossession(public, proof, UseNode, "acme-2", "acme"),
		"another org":  CheckPossession(public, proof, UseNode, "acme-1", "globex"),
		"another key":  CheckPossession(other.Public().Bytes(), proof, UseNode, "acme-1", "acme"),
		"no proof":     CheckPossession(public, nil, UseNode, "acme-1", "acme"),
		// The parts have lengths, so that none can reach into the next.
		"shifted": CheckPossession(public, proof, UseNode, "acme-1a", "cme"),
	} {
		if !errors.Is(err, &Rejection{Code: ledgerv1.Code_CODE_NO_POSSESSION}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckPossession(public[1:], proof, UseNode, "acme-1", "acme"); !errors.Is(err, &Rejection{Code: ledgerv1.Code_CODE_BAD_FIELD}) {
		t.Error(err)
	}
}
