package records

import (
	"crypto/sha256"
	"slices"
	"strings"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// SetCollection sets the policy of a collection of the acting account's org: ROLE_REQUIRED, NOT_FOUND. Records that exist
// stay as they are.
func SetCollection(env *exec.Env, s Store, who accounts.Reader, op *recordsv1.SetCollection) error {
	if org, _, _ := strings.Cut(op.Collection, "/"); org != env.Org {
		return tx.Reject(ledgerv1.Code_CODE_ROLE_REQUIRED,
			"%s belongs to %s, and %s does not: an admin of %s can set its policy",
			op.Collection, org, env.Account, org)
	}
	if err := who.RequireRole(env.Account, accounts.RoleAdmin); err != nil {
		return err
	}
	writers := sortedGrants(op.Writers)
	for i, grant := range writers {
		if i > 0 && grant.Org == writers[i-1].Org {
			continue
		}
		if err := requireOrg(who, grant.Org); err != nil {
			return err
		}
	}
	collection := &recordsv1.Collection{Name: op.Collection, Writers: writers, Cosign: op.Cosign}
	if err := s.setCollection(collection); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_RecordCollectionSet{
		RecordCollectionSet: &recordsv1.CollectionSet{Collection: collection},
	}})
	return nil
}

// Put writes the next version of a record: NOT_FOUND, NOT_GRANTED, COSIGNER_REQUIRED, VERSION_MISMATCH.
func Put(env *exec.Env, s Store, who accounts.Reader, op *recordsv1.Put) error {
	org, name, _ := split(op.Record)
	policy, err := s.policy(who, org, org+"/"+name)
	if err != nil {
		return err
	}
	if err := requireGrant(policy, who, env.Account); err != nil {
		return err
	}
	if err := requireCosigner(policy, who, env, op.Cosigner); err != nil {
		return err
	}
	newest, err := s.Head(op.Record)
	if err != nil {
		return err
	}
	if op.ExpectVersion != nil && *op.ExpectVersion != newest {
		return tx.Reject(ledgerv1.Code_CODE_VERSION_MISMATCH,
			"the newest version of %s is %d, expected was %d: read it and decide anew",
			op.Record, newest, *op.ExpectVersion)
	}
	id := env.TxID
	record := &recordsv1.Record{
		Name:         op.Record,
		Version:      newest + 1,
		ContentType:  op.ContentType,
		Writer:       env.Account,
		Cosigner:     op.Cosigner,
		Height:       env.Height,
		TimeUnixNano: env.Time,
		TxId:         id[:],
	}
	written := &recordsv1.Written{
		Record:      record.Name,
		Version:     record.Version,
		ContentType: record.ContentType,
		Writer:      record.Writer,
		Cosigner:    record.Cosigner,
	}
	switch content := op.Content.(type) {
	case *recordsv1.Put_Data:
		record.Content = &recordsv1.Record_Data{Data: content.Data}
		hash := sha256.Sum256(content.Data)
		written.Sha256, written.Size = hash[:], uint64(len(content.Data))
	case *recordsv1.Put_Hash:
		record.Content = &recordsv1.Record_Hash{Hash: content.Hash}
		written.Sha256, written.Size = content.Hash.Sha256, content.Hash.Size
	}
	if err := s.addVersion(record); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_RecordWritten{RecordWritten: written}})
	return nil
}

// policy returns the policy in force, or rejects with NOT_FOUND when the collection's org does not exist.
func (s Store) policy(who accounts.Reader, org, name string) (*recordsv1.Collection, error) {
	policy, err := s.Collection(name)
	if err != nil || policy != nil {
		return policy, err
	}
	if err := requireOrg(who, org); err != nil {
		return nil, err
	}
	return defaultPolicy(org, name), nil
}

// requireCosigner checks the second account. One that no policy demands has to be granted all the same: who reads the
// record takes its name for an approval.
func requireCosigner(policy *recordsv1.Collection, who accounts.Reader, env *exec.Env, cosigner string) error {
	if cosigner == "" {
		if policy.Cosign {
			return tx.Reject(ledgerv1.Code_CODE_COSIGNER_REQUIRED,
				"%s demands a second account, of another org than %s: name it as cosigner, and have it sign",
				policy.Name, env.Org)
		}
		return nil
	}
	if cosigner == env.Account {
		return tx.Reject(ledgerv1.Code_CODE_COSIGNER_REQUIRED,
			"%s writes and cannot cosign what it writes: name another account",
			cosigner)
	}
	if org, _, _ := strings.Cut(cosigner, "/"); policy.Cosign && org == env.Org {
		return tx.Reject(ledgerv1.Code_CODE_COSIGNER_REQUIRED,
			"%s demands a second account of another org, and %s is of %s too: name one of another org",
			policy.Name, cosigner, env.Org)
	}
	return requireGrant(policy, who, cosigner)
}

// requireGrant rejects with NOT_GRANTED unless the policy names a role that the account holds.
func requireGrant(policy *recordsv1.Collection, who accounts.Reader, name string) error {
	account, err := who.Account(name)
	if err != nil {
		return err
	}
	org, _, _ := strings.Cut(name, "/")
	var roles []string // of the account's org that are granted
	for _, grant := range policy.Writers {
		if grant.Org != org {
			continue
		}
		if slices.Contains(account.GetRoles(), grant.Role) {
			return nil
		}
		roles = append(roles, grant.Role)
	}
	if len(roles) == 0 {
		return tx.Reject(ledgerv1.Code_CODE_NOT_GRANTED,
			"%s grants nothing to accounts of %s, so %s cannot write or cosign: an admin of its org can change the policy",
			policy.Name, org, name)
	}
	return tx.Reject(ledgerv1.Code_CODE_NOT_GRANTED,
		"%s is written by accounts of %s with the role %s, which %s does not hold: have an admin give it",
		policy.Name, org, strings.Join(roles, " or "), name)
}

func requireOrg(who accounts.Reader, org string) error {
	exists, err := who.OrgExists(org)
	if err != nil || exists {
		return err
	}
	return tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no org %s: check the name", org)
}
