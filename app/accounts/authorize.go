package accounts

import (
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Authorize checks that the keys that signed a transaction may speak for every account it needs: the account exists and
// its org is active, each key is listed, and the weights of the keys reach the account's threshold. That the signatures
// are right, each key signs once, and nobody signs who need not, has been checked elsewhere: it needs no state.
//
// It returns a [tx.Rejection] with UNKNOWN_ACCOUNT, ORG_NOT_ACTIVE, KEY_NOT_LISTED or MISSING_SIGNATURE. What it decides
// is true for this state only: keys change.
func Authorize(r Reader, t *tx.Tx) error {
	checked := "" // the org that was found active last; signers are in order, so those of one org are neighbours
	for _, name := range t.Signers {
		account, err := r.Account(name)
		if err != nil {
			return err
		}
		if account == nil {
			return tx.Reject(ledgerv1.Code_CODE_UNKNOWN_ACCOUNT,
				"there is no account %s: check the name, or have an admin of its org create it",
				name)
		}
		if org := orgOf(name); org != checked {
			if err := r.requireActive(org); err != nil {
				return err
			}
			checked = org
		}
		if err := authorizeAccount(account, t.Signatures); err != nil {
			return err
		}
	}
	return nil
}

func (r Reader) requireActive(name string) error {
	org, err := r.Org(name)
	if err != nil {
		return err
	}
	if org.GetStatus() != accountsv1.OrgStatus_ORG_STATUS_ACTIVE {
		return tx.Reject(ledgerv1.Code_CODE_ORG_NOT_ACTIVE, "the org %s is not an active member: its accounts cannot act", name)
	}
	return nil
}

func authorizeAccount(account *accountsv1.Account, signatures []*ledgerv1.Signature) error {
	var weight uint32 // at most 16 keys of weight 1000
	for _, s := range signatures {
		if s.Account != account.Name {
			continue
		}
		i := findKey(account.Keys, s.Scheme, s.PublicKey)
		if i < 0 {
			return tx.Reject(ledgerv1.Code_CODE_KEY_NOT_LISTED, "the key %s is not listed for %s: sign with a key that is",
				keyText(s.Scheme, s.PublicKey), account.Name)
		}
		weight += account.Keys[i].Weight
	}
	if weight < account.Threshold {
		return tx.Reject(ledgerv1.Code_CODE_MISSING_SIGNATURE,
			"the signatures of %s weigh %d, its threshold is %d: add signatures of keys that weigh %d more",
			account.Name, weight, account.Threshold, account.Threshold-weight)
	}
	return nil
}
