package accounts

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"slices"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// Limits of an account.
const (
	MaxKeys      = 16
	MaxWeight    = 1000
	MaxRoles     = 16
	MaxTokenKeys = 4
)

// Roles that the ledger itself gives a meaning. Any other name of a role is the org's own, for its assets and collections.
const (
	RoleAdmin  = "admin"  // manages the accounts and collections of its org
	RoleIssuer = "issuer" // defines assets of its org
	RolePayer  = "payer"  // moves assets of its account
	RoleWriter = "writer" // writes records of its org where no policy says otherwise
)

// CheckCreate checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE. Whether the keys reach the threshold is a
// result of the operation.
func CheckCreate(op *accountsv1.Create) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	if err := checkKeys(op.Keys); err != nil {
		return err
	}
	if op.Threshold == 0 {
		return badField("the threshold of %s is 0: it is at least 1", op.Name)
	}
	return checkRoles(op.Roles)
}

// CheckSetRoles checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckSetRoles(op *accountsv1.SetRoles) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	return checkRoles(op.Roles)
}

// CheckAddKey checks what needs no state: BAD_NAME or BAD_FIELD.
func CheckAddKey(op *accountsv1.AddKey) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	return checkWeightedKey(op.Key)
}

// CheckRevokeKey checks what needs no state: BAD_NAME or BAD_FIELD.
func CheckRevokeKey(op *accountsv1.RevokeKey) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	return checkKey(op.PublicKey)
}

// CheckRotateKey checks what needs no state: BAD_NAME or BAD_FIELD.
func CheckRotateKey(op *accountsv1.RotateKey) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	if err := checkKey(op.OldKey); err != nil {
		return err
	}
	if err := checkKey(op.NewKey); err != nil {
		return err
	}
	if compareKeys(op.OldKey, op.NewKey) == 0 {
		return badField("old_key and new_key are the same key: name the one to strike and the one to put in its place")
	}
	return nil
}

// CheckSetTokenKeys checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckSetTokenKeys(op *accountsv1.SetTokenKeys) error {
	if err := checkName(op.Name); err != nil {
		return err
	}
	return checkTokenKeys(op.TokenKeys)
}

// checkTokenKeys checks the keys that sign read tokens, in any order.
func checkTokenKeys(list []*keysv1.PublicKey) error {
	if len(list) > MaxTokenKeys {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "the account has %d token keys, at most %d are allowed",
			len(list), MaxTokenKeys)
	}
	for i, key := range list {
		if err := checkKey(key); err != nil {
			return err
		}
		switch key.Scheme {
		case keysv1.SignatureScheme_SIGNATURE_SCHEME_ECDSA, keysv1.SignatureScheme_SIGNATURE_SCHEME_ED25519:
		default:
			return badField("the token key %s cannot sign tokens: use an ECDSA or an Ed25519 key", publicText(key))
		}
		if slices.ContainsFunc(list[:i], func(k *keysv1.PublicKey) bool { return compareKeys(k, key) == 0 }) {
			return badField("the token key %s is listed twice", publicText(key))
		}
	}
	return nil
}

func checkName(name string) error {
	if _, err := names.Account(name); err != nil {
		return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	return nil
}

// checkKeys checks the keys of an account, in any order.
func checkKeys(list []*accountsv1.WeightedKey) error {
	if len(list) == 0 {
		return badField("the account has no key: give it at least one")
	}
	if len(list) > MaxKeys {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "the account has %d keys, at most %d are allowed", len(list), MaxKeys)
	}
	for i, key := range list {
		if err := checkWeightedKey(key); err != nil {
			return err
		}
		if findKey(list[:i], key.PublicKey.Scheme, key.PublicKey.Key) >= 0 {
			return badField("the key %s is listed twice: list it once with the sum of the weights", publicText(key.PublicKey))
		}
	}
	return nil
}

func checkWeightedKey(key *accountsv1.WeightedKey) error {
	if err := checkKey(key.GetPublicKey()); err != nil {
		return err
	}
	if key.Weight < 1 || key.Weight > MaxWeight {
		return badField("the key %s weighs %d: a weight is 1 to %d", publicText(key.PublicKey), key.Weight, MaxWeight)
	}
	return nil
}

func checkKey(key *keysv1.PublicKey) error {
	if _, err := keys.ParsePublicKey(keys.Scheme(key.GetScheme()), key.GetKey()); err != nil {
		return badField("%v", err)
	}
	return nil
}

// checkRoles checks the roles of an account, in any order.
func checkRoles(roles []string) error {
	if len(roles) > MaxRoles {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "the account has %d roles, at most %d are allowed", len(roles), MaxRoles)
	}
	for i, role := range roles {
		if err := names.Role(role); err != nil {
			return tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
		}
		if slices.Contains(roles[:i], role) {
			return badField("the role %s is given twice", role)
		}
	}
	return nil
}

func badField(format string, args ...any) error {
	return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, format, args...)
}

// findKey returns the index of a key, or -1.
func findKey(list []*accountsv1.WeightedKey, scheme keysv1.SignatureScheme, key []byte) int {
	for i, k := range list {
		if k.PublicKey.Scheme == scheme && bytes.Equal(k.PublicKey.Key, key) {
			return i
		}
	}
	return -1
}

func compareKeys(a, b *keysv1.PublicKey) int {
	return cmp.Or(cmp.Compare(a.Scheme, b.Scheme), bytes.Compare(a.Key, b.Key))
}

// sortedKeys returns the keys in the order of the state.
func sortedKeys(list []*accountsv1.WeightedKey) []*accountsv1.WeightedKey {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b *accountsv1.WeightedKey) int { return compareKeys(a.PublicKey, b.PublicKey) })
	return list
}

func sortedTokenKeys(list []*keysv1.PublicKey) []*keysv1.PublicKey {
	list = slices.Clone(list)
	slices.SortFunc(list, compareKeys)
	return list
}

func sortedRoles(roles []string) []string {
	roles = slices.Clone(roles)
	slices.Sort(roles)
	return roles
}

// totalWeight is what all keys together weigh.
func totalWeight(list []*accountsv1.WeightedKey) uint32 {
	var sum uint32
	for _, key := range list {
		sum += key.Weight
	}
	return sum
}

// keyText is the form of a key in texts for people; a key that is none may stand there too.
func keyText(scheme keysv1.SignatureScheme, key []byte) string {
	return keys.Scheme(scheme).String() + ":" + hex.EncodeToString(key[:min(len(key), keys.MaxPublicKeySize)])
}

func publicText(key *keysv1.PublicKey) string { return keyText(key.Scheme, key.Key) }
