package accounts

import (
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Limits of organisations.
const (
	MaxOrgs          = 1000 // ever admitted
	MaxFirstAccounts = 64   // of an org that is admitted
	MaxReason        = 256  // bytes
)

// Limits of an allotment: what the whole network may have.
const (
	MaxAllotmentPower = 100_000_000
	MaxAllotmentNodes = 1024
)

// CheckAdmitOrg checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckAdmitOrg(op *accountsv1.AdmitOrg) error {
	if err := checkOrg(op.Name); err != nil {
		return err
	}
	if len(op.Accounts) > MaxFirstAccounts {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE,
			"the org has %d accounts, at most %d are allowed: its admins create the others", len(op.Accounts), MaxFirstAccounts)
	}
	seen := make(map[string]bool, len(op.Accounts))
	admins := uint32(0)
	for i, account := range op.Accounts {
		if account == nil {
			return badField("accounts[%d] is missing", i)
		}
		if err := CheckCreate(account); err != nil {
			code, _ := tx.CodeOf(err)
			return tx.Reject(code, "accounts[%d]: %v", i, err)
		}
		if orgOf(account.Name) != op.Name {
			return badField("accounts[%d]: %s is no account of %s: name accounts of that org only", i, account.Name, op.Name)
		}
		if seen[account.Name] {
			return badField("accounts[%d]: %s is listed twice", i, account.Name)
		}
		seen[account.Name] = true
		admins += adminsAmong(account.Roles)
	}
	if admins == 0 {
		return badField("%s would have no admin: give the role %s to one of its accounts", op.Name, RoleAdmin)
	}
	if op.Allotment == nil {
		return nil
	}
	return checkAllotment(op.Allotment)
}

// CheckSuspendOrg checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckSuspendOrg(op *accountsv1.SuspendOrg) error { return checkChange(op.Name, op.Reason) }

// CheckResumeOrg checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckResumeOrg(op *accountsv1.ResumeOrg) error { return checkChange(op.Name, op.Reason) }

// CheckRemoveOrg checks what needs no state: BAD_NAME, BAD_FIELD or TOO_LARGE.
func CheckRemoveOrg(op *accountsv1.RemoveOrg) error { return checkChange(op.Name, op.Reason) }

// CheckSetAllotment checks what needs no state: BAD_NAME or BAD_FIELD.
func CheckSetAllotment(op *accountsv1.SetAllotment) error {
	if err := checkOrg(op.Name); err != nil {
		return err
	}
	if op.Allotment == nil {
		return badField("the allotment of %s is missing", op.Name)
	}
	return checkAllotment(op.Allotment)
}

func checkChange(name, reason string) error {
	if err := checkOrg(name); err != nil {
		return err
	}
	return exec.CheckText("the reason", reason, MaxReason)
}

func checkAllotment(a *accountsv1.Allotment) error {
	if a.GetPower() > MaxAllotmentPower {
		return badField("the allotment's power is %d, at most %d is allowed", a.Power, MaxAllotmentPower)
	}
	if a.GetNodes() > MaxAllotmentNodes {
		return badField("the allotment is of %d nodes, at most %d are allowed", a.Nodes, MaxAllotmentNodes)
	}
	return nil
}

// AdmitOrg makes an organisation a member. defaults is what it may decide for itself where the operation does not say:
// VOTE_REQUIRED, ALREADY_EXISTS, LIMIT_REACHED, THRESHOLD_UNREACHABLE.
func AdmitOrg(env *exec.Env, s Store, defaults *accountsv1.Allotment, op *accountsv1.AdmitOrg) error {
	if err := requireVote(env, "admit"); err != nil {
		return err
	}
	if old, err := s.Org(op.Name); err != nil {
		return err
	} else if old != nil {
		return tx.Reject(ledgerv1.Code_CODE_ALREADY_EXISTS,
			"the org %s is or was a member: choose another name, a name is given once", op.Name)
	}
	org := &accountsv1.Org{
		Name: op.Name, Status: accountsv1.OrgStatus_ORG_STATUS_ACTIVE,
		Allotment: op.Allotment, JoinedHeight: env.Height, StatusHeight: env.Height,
	}
	if org.Allotment == nil {
		org.Allotment = defaults
	}
	for _, first := range op.Accounts {
		account, err := s.create(env, first)
		if err != nil {
			return err
		}
		org.Admins += adminsAmong(account.Roles)
		env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_AccountCreated{
			AccountCreated: &accountsv1.Created{Account: account},
		}})
	}
	count, err := s.orgCount()
	if err != nil {
		return err
	}
	if count.All >= MaxOrgs {
		return tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED, "the network has admitted %d orgs, which is the limit", count.All)
	}
	count.All++
	count.Active++
	if err := s.setOrgCount(count); err != nil {
		return err
	}
	if err := s.setOrg(org); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_OrgAdmitted{
		OrgAdmitted: &accountsv1.OrgAdmitted{Org: org},
	}})
	return nil
}

// SuspendOrg takes every right from an active org: VOTE_REQUIRED, NOT_FOUND, WRONG_STATUS, QUORUM_LOST for the last one.
func SuspendOrg(env *exec.Env, s Store, op *accountsv1.SuspendOrg) error {
	if err := requireVote(env, "suspend"); err != nil {
		return err
	}
	org, err := s.existingOrg(op.Name)
	if err != nil {
		return err
	}
	if org.Status != accountsv1.OrgStatus_ORG_STATUS_ACTIVE {
		return wrongStatus(org, "only an active org can be suspended")
	}
	return s.setStatus(env, org, accountsv1.OrgStatus_ORG_STATUS_SUSPENDED, op.Reason)
}

// ResumeOrg ends a suspension: VOTE_REQUIRED, NOT_FOUND, WRONG_STATUS.
func ResumeOrg(env *exec.Env, s Store, op *accountsv1.ResumeOrg) error {
	if err := requireVote(env, "resume"); err != nil {
		return err
	}
	org, err := s.existingOrg(op.Name)
	if err != nil {
		return err
	}
	if org.Status != accountsv1.OrgStatus_ORG_STATUS_SUSPENDED {
		return wrongStatus(org, "only a suspended org can be resumed")
	}
	return s.setStatus(env, org, accountsv1.OrgStatus_ORG_STATUS_ACTIVE, op.Reason)
}

// RemoveOrg ends a membership for good: VOTE_REQUIRED, NOT_FOUND, WRONG_STATUS, QUORUM_LOST for the last active one.
func RemoveOrg(env *exec.Env, s Store, op *accountsv1.RemoveOrg) error {
	if err := requireVote(env, "remove"); err != nil {
		return err
	}
	org, err := s.existingOrg(op.Name)
	if err != nil {
		return err
	}
	if org.Status == accountsv1.OrgStatus_ORG_STATUS_REMOVED {
		return wrongStatus(org, "it cannot be removed again")
	}
	return s.setStatus(env, org, accountsv1.OrgStatus_ORG_STATUS_REMOVED, op.Reason)
}

// SetAllotment changes what an org may decide for itself. What it has already stays, also where it is more: VOTE_REQUIRED,
// NOT_FOUND, WRONG_STATUS.
func SetAllotment(env *exec.Env, s Store, op *accountsv1.SetAllotment) error {
	if err := requireVote(env, "change the allotment of"); err != nil {
		return err
	}
	if err := s.requireMember(op.Name); err != nil {
		return err
	}
	org, err := s.existingOrg(op.Name)
	if err != nil {
		return err
	}
	org.Allotment = op.Allotment
	if err := s.setOrg(org); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_OrgAllotmentSet{
		OrgAllotmentSet: &accountsv1.AllotmentSet{Name: org.Name, Allotment: org.Allotment},
	}})
	return nil
}

// setStatus writes an org with another status and keeps the count of active ones, of which one is left.
func (s Store) setStatus(env *exec.Env, org *accountsv1.Org, status accountsv1.OrgStatus, reason string) error {
	count, err := s.orgCount()
	if err != nil {
		return err
	}
	const active = accountsv1.OrgStatus_ORG_STATUS_ACTIVE
	switch {
	case org.Status == active && count.Active <= 1:
		return tx.Reject(ledgerv1.Code_CODE_QUORUM_LOST,
			"%s is the last active org, nobody could vote without it: admit or resume another one first", org.Name)
	case org.Status == active:
		count.Active--
	case status == active:
		count.Active++
	}
	if err := s.setOrgCount(count); err != nil {
		return err
	}
	org.Status, org.StatusHeight, org.StatusReason = status, env.Height, reason
	if err := s.setOrg(org); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_OrgStatusChanged{
		OrgStatusChanged: &accountsv1.OrgStatusChanged{Name: org.Name, Status: status, Reason: reason},
	}})
	return nil
}

func requireVote(env *exec.Env, what string) error {
	if env.Proposal != 0 {
		return nil
	}
	return tx.Reject(ledgerv1.Code_CODE_VOTE_REQUIRED, "only the members together can %s an org: make a proposal of it", what)
}

func (r Reader) existingOrg(name string) (*accountsv1.Org, error) {
	org, err := r.Org(name)
	if err == nil && org == nil {
		err = tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no org %s: check the name", name)
	}
	return org, err
}

// requireMember rejects with NOT_FOUND or WRONG_STATUS unless the org is a member, suspended or not.
func (r Reader) requireMember(name string) error {
	org, err := r.existingOrg(name)
	if err != nil {
		return err
	}
	if org.Status == accountsv1.OrgStatus_ORG_STATUS_REMOVED {
		return wrongStatus(org, "nothing of it changes any more")
	}
	return nil
}

func wrongStatus(org *accountsv1.Org, text string) error {
	return tx.Reject(ledgerv1.Code_CODE_WRONG_STATUS, "%s is %s: %s", org.Name, StatusText(org.Status), text)
}

// StatusText is a status in texts for people.
func StatusText(status accountsv1.OrgStatus) string {
	switch status {
	case accountsv1.OrgStatus_ORG_STATUS_ACTIVE:
		return "active"
	case accountsv1.OrgStatus_ORG_STATUS_SUSPENDED:
		return "suspended"
	case accountsv1.OrgStatus_ORG_STATUS_REMOVED:
		return "removed"
	}
	return "no member"
}

// TakePower takes voting power from what an org may decide about by itself, as far as it has any. It is no operation: the
// app calls it where a validator of the org is convicted.
func (s Store) TakePower(name string, power uint64) error {
	org, err := s.Org(name)
	if err != nil {
		return err
	}
	if org == nil {
		return fmt.Errorf("accounts: the org %s of a convicted validator is missing", name)
	}
	if org.Allotment == nil || org.Allotment.Power == 0 || power == 0 {
		return nil
	}
	org.Allotment.Power -= min(org.Allotment.Power, power)
	return s.setOrg(org)
}
