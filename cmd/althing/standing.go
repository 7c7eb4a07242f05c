package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// standing is how far one of the accounts that must sign a transaction has signed it.
type standing struct {
	account string
	asked   bool                // a node has answered what follows
	listed  *accountsv1.Account // nil: the ledger has no such account
	weight  uint64              // of the good signatures whose keys the ledger lists
	signed  bool                // with any key
}

// standingsOf asks the ledger about each account that must sign. Without a node only signatures are looked at.
func standingsOf(ctx context.Context, u *units, t *client.Transaction) []standing {
	var all []standing
	missing := t.Missing()
	for _, account := range t.Signers() {
		st := standing{account: account, signed: !slices.Contains(missing, account)}
		if u.client != nil {
			var err error
			st.listed, err = lookUp(ctx, u.client, account)
			st.asked = err == nil
		}
		for _, signature := range t.Signatures() {
			if signature.Account == account && t.CheckSignature(signature) == nil {
				weight, _ := st.weightOf(signature)
				st.weight += uint64(weight)
			}
		}
		all = append(all, st)
	}
	return all
}

// lookUp returns an account, nil where there is none.
func lookUp(ctx context.Context, c *client.Client, account string) (*accountsv1.Account, error) {
	resp, err := c.Accounts().GetAccount(ctx, &accountsv1.GetAccountRequest{Name: account})
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look %s up: %w", account, err)
	}
	return resp.GetAccount(), nil
}

// weightOf returns the weight of a signature's key, and whether the ledger lists that key.
func (st standing) weightOf(s *ledgerv1.Signature) (uint32, bool) {
	for _, k := range st.listed.GetKeys() {
		if k.GetPublicKey().GetScheme() == s.Scheme && slices.Equal(k.GetPublicKey().GetKey(), s.PublicKey) {
			return k.Weight, true
		}
	}
	return 0, false
}

// enough reports whether the account need not sign any more, as far as that is known.
func (st standing) enough() bool {
	if !st.asked {
		return st.signed
	}
	return st.listed != nil && st.weight >= uint64(st.listed.Threshold)
}

// words says what is missing, nothing if nothing is.
func (st standing) words() string {
	switch {
	case st.enough():
		return ""
	case st.asked && st.listed == nil:
		return fmt.Sprintf("the ledger has no account %s", st.account)
	case st.asked && st.weight > 0:
		return fmt.Sprintf("%s has signed with weight %d of %d: more signatures are needed", st.account, st.weight, st.listed.Threshold)
	case st.asked && st.listed.Threshold > 1:
		return fmt.Sprintf("the signature of %s is missing: weight 0 of %d", st.account, st.listed.Threshold)
	default:
		return fmt.Sprintf("the signature of %s is missing", st.account)
	}
}

// missingOf returns the accounts whose signatures are not enough yet.
func missingOf(all []standing) []string {
	names := []string{}
	for _, st := range all {
		if !st.enough() {
			names = append(names, st.account)
		}
	}
	return names
}

// errUnlisted is why the ledger takes no transaction that is signed with a key.
var errUnlisted = errors.New("the ledger does not list this key for the account")

// checkSignature verifies a signature and, where a node was asked, that the ledger lists its key.
func checkSignature(t *client.Transaction, all []standing, s *ledgerv1.Signature) error {
	if err := t.CheckSignature(s); err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(st standing) bool { return st.account == s.Account })
	if i < 0 || !all[i].asked {
		return nil
	}
	if _, listed := all[i].weightOf(s); !listed {
		return errUnlisted
	}
	return nil
}

// requireListed refuses keys that the ledger does not list for their account: a transaction that carries the signature of
// one is refused by every node, and no later signature mends it. Keys that the user named must all be listed; of those in
// the network's directory one is enough, for the others do not sign.
func requireListed(ctx context.Context, c *client.Client, signer client.Signer, named bool) error {
	if !named {
		if _, err := c.Listed(ctx, signer.Account, signer.Keys); errors.Is(err, client.ErrNoKey) {
			return err
		}
		return nil
	}
	account, err := lookUp(ctx, c, signer.Account)
	if err != nil {
		return err
	}
	if account == nil {
		return hint(fmt.Errorf("the ledger has no account %s", signer.Account),
			"`althing account list` shows the accounts there are; --offline signs all the same")
	}
	for _, key := range signer.Keys {
		if !lists(account, key.Public()) {
			return hint(fmt.Errorf("%w: %s, %s", errUnlisted, signer.Account, key.Public()),
				"`althing account show %s` lists its keys; --offline signs all the same", signer.Account)
		}
	}
	return nil
}

func lists(account *accountsv1.Account, key keys.PublicKey) bool {
	return slices.ContainsFunc(account.Keys, func(k *accountsv1.WeightedKey) bool {
		return k.GetPublicKey().GetScheme() == keysv1.SignatureScheme(key.Scheme()) && slices.Equal(k.GetPublicKey().GetKey(), key.Bytes())
	})
}
