package governance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Roles that take part in governance. The role `admin` includes both.
const (
	RoleProposer = "proposer" // proposes for its org, and withdraws
	RoleVoter    = "voter"    // votes for its org
)

const (
	open      = governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN
	failed    = governancev1.ProposalStatus_PROPOSAL_STATUS_FAILED
	expired   = governancev1.ProposalStatus_PROPOSAL_STATUS_EXPIRED
	withdrawn = governancev1.ProposalStatus_PROPOSAL_STATUS_WITHDRAWN
)

// Propose puts operations to the vote and votes yes for the acting account's org: ROLE_REQUIRED, MAY_NOT_PROPOSE,
// LIMIT_REACHED. When that vote is enough it reports that the proposal passed: the caller applies it and calls [Close].
func Propose(env *exec.Env, s Store, who accounts.Reader, op *ledgerv1.Propose) (p *proposalsv1.Proposal, passed bool, err error) {
	if err := requireOneOf(who, env.Account, accounts.RoleAdmin, RoleProposer); err != nil {
		return nil, false, err
	}
	charter, err := s.Charter()
	if err != nil {
		return nil, false, err
	}
	if err := requireMayPropose(who, charter, env.Org, op.Operations); err != nil {
		return nil, false, err
	}
	others, err := s.stillOpen(env)
	if err != nil {
		return nil, false, err
	}
	id, err := s.nextProposal()
	if err != nil {
		return nil, false, err
	}
	rule := strictest(charter, op.Operations)
	p = &proposalsv1.Proposal{
		Id:               id,
		Org:              env.Org,
		Account:          env.Account,
		Title:            op.Title,
		Operations:       op.Operations,
		Status:           open,
		DeadlineUnixNano: env.Time + int64(charter.VotingPeriodSeconds)*int64(time.Second),
		CreatedHeight:    env.Height,
		Numerator:        rule.Numerator,
		Denominator:      rule.Denominator,
		FailedOperation:  -1,
	}
	if err := s.setOpenProposals(env.Org, append(others, id)); err != nil {
		return nil, false, err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_Proposed{Proposed: &governancev1.Proposed{
		Proposal: id, Org: p.Org, Title: p.Title, DeadlineUnixNano: p.DeadlineUnixNano,
	}}})
	passed, err = s.cast(env, who, p, true)
	return p, passed, err
}

// Vote casts or changes the vote of the acting account's org: ROLE_REQUIRED, NOT_FOUND, NOT_OPEN. A vote that leaves the
// proposal without a chance closes it. When the proposal has enough votes it reports that it passed: the caller applies it
// and calls [Close].
func Vote(env *exec.Env, s Store, who accounts.Reader, op *governancev1.Vote) (p *proposalsv1.Proposal, passed bool, err error) {
	if err := requireOneOf(who, env.Account, accounts.RoleAdmin, RoleVoter); err != nil {
		return nil, false, err
	}
	if p, err = s.requireOpen(env, op.Proposal); err != nil {
		return nil, false, err
	}
	passed, err = s.cast(env, who, p, op.Yes)
	return p, passed, err
}

// Withdraw ends a proposal of the acting account's org: ROLE_REQUIRED, NOT_FOUND, NOT_OPEN.
func Withdraw(env *exec.Env, s Store, who accounts.Reader, op *governancev1.Withdraw) error {
	if err := requireOneOf(who, env.Account, accounts.RoleAdmin, RoleProposer); err != nil {
		return err
	}
	p, err := s.requireOpen(env, op.Proposal)
	if err != nil {
		return err
	}
	if p.Org != env.Org {
		return tx.Reject(ledgerv1.Code_CODE_ROLE_REQUIRED, "%s cannot withdraw proposal %d: an admin or proposer of %s can",
			env.Account, p.Id, p.Org)
	}
	// What nobody will vote on need not be kept for ever: an org could fill the state with it. The blocks have it.
	p.Operations = nil
	return Close(env, s, p, withdrawn, ledgerv1.Code_CODE_OK, -1, "")
}

// Close ends an open proposal. The code, the operation that failed (-1 for none) and the message, which is cut to 500
// bytes, say why one failed; all of them become part of the state, so they must be the same on every node.
func Close(
	env *exec.Env, s Store, p *proposalsv1.Proposal, status governancev1.ProposalStatus,
	code tx.Code, failedOperation int32, message string,
) error {
	if p.Status != open {
		return fmt.Errorf("governance: close proposal %d, which is %s already", p.Id, statusName(p.Status))
	}
	p.Status, p.ClosedHeight = status, env.Height
	p.Code, p.FailedOperation = uint32(code), failedOperation
	p.Message = strings.ToValidUTF8(message[:min(len(message), maxMessage)], "")
	if err := s.setProposal(p); err != nil {
		return err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_ProposalClosed{
		ProposalClosed: &governancev1.ProposalClosed{
			Proposal: p.Id, Status: status, Code: p.Code, FailedOperation: failedOperation,
		},
	}})
	return nil
}

// cast sets the vote of the acting account's org on an open proposal, writes it, and reports whether it has enough votes.
func (s Store) cast(env *exec.Env, who accounts.Reader, p *proposalsv1.Proposal, yes bool) (passed bool, err error) {
	ballot := &governancev1.Ballot{Org: env.Org, Yes: yes, Account: env.Account, Height: env.Height}
	i, voted := slices.BinarySearchFunc(p.Ballots, env.Org, func(b *governancev1.Ballot, org string) int {
		return strings.Compare(b.Org, org)
	})
	if voted {
		p.Ballots[i] = ballot
	} else {
		p.Ballots = slices.Insert(p.Ballots, i, ballot)
	}
	t, err := count(who, p.Ballots)
	if err != nil {
		return false, err
	}
	env.Emit(&ledgerv1.Event{Operation: env.Operation, Kind: &ledgerv1.Event_Voted{Voted: &governancev1.Voted{
		Proposal: p.Id, Ballot: ballot, Yes: t.yes, No: t.no, Orgs: t.orgs,
	}}})
	if t.hopeless(p.Numerator, p.Denominator) {
		p.Operations = nil // as of one that is withdrawn
		return false, Close(env, s, p, failed, ledgerv1.Code_CODE_OK, -1, "voted down")
	}
	return t.enough(p.Numerator, p.Denominator), s.setProposal(p)
}

// stillOpen returns the proposals of the acting org that are open: LIMIT_REACHED when there may be no other.
func (s Store) stillOpen(env *exec.Env) ([]uint64, error) {
	listed, err := s.openProposals(env.Org)
	if err != nil {
		return nil, err
	}
	var ids []uint64
	for _, id := range listed {
		p, err := s.Proposal(id)
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, fmt.Errorf("governance: proposal %d of %s is listed and missing", id, env.Org)
		}
		if statusAt(p, env.Time) == open {
			ids = append(ids, id)
		}
	}
	if len(ids) >= MaxProposalsOfAnOrg {
		return nil, tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED,
			"%s has %d open proposals, which is the limit: wait for votes on them, or withdraw one", env.Org, len(ids))
	}
	return ids, nil
}

// requireOpen returns a proposal that can be voted on.
func (s Store) requireOpen(env *exec.Env, id uint64) (*proposalsv1.Proposal, error) {
	p, err := s.Proposal(id)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no proposal %d: check the number", id)
	}
	if status := statusAt(p, env.Time); status != open {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_OPEN, "proposal %d is not open but %s: nothing can change it any more",
			id, statusName(status))
	}
	return p, nil
}

func requireMayPropose(who accounts.Reader, charter *governancev1.Charter, org string, operations []*ledgerv1.Operation) error {
	var asked []governancev1.Action
	for i, op := range operations {
		action, ok := ActionOf(op)
		if !ok {
			return fmt.Errorf("governance: operation %d, %s, is put to the vote, which its check refuses", i, kindName(op))
		}
		rule := Rule(charter, action)
		if slices.Contains(asked, action) || concernsProposer(op, rule) {
			continue
		}
		asked = append(asked, action)
		may, err := mayPropose(who, rule, org)
		if err != nil {
			return err
		}
		if !may {
			return tx.Reject(ledgerv1.Code_CODE_MAY_NOT_PROPOSE,
				"operation %d of the proposal: the charter does not let %s propose %s: ask one of %s",
				i, org, actionName(action), strings.Join(rule.Proposers, ", "))
		}
	}
	return nil
}

// requireOneOf rejects with ROLE_REQUIRED unless the account holds one of the roles.
func requireOneOf(who accounts.Reader, account string, roles ...string) error {
	for _, role := range roles {
		if has, err := who.HasRole(account, role); err != nil || has {
			return err
		}
	}
	return tx.Reject(ledgerv1.Code_CODE_ROLE_REQUIRED, "%s holds none of the roles %s: an admin of its org can give it one",
		account, strings.Join(roles, ", "))
}

// statusAt is the status of a proposal at a block time: nothing is written when its time is over.
func statusAt(p *proposalsv1.Proposal, now int64) governancev1.ProposalStatus {
	if p.Status == open && now >= p.DeadlineUnixNano {
		return expired
	}
	return p.Status
}

// statusName is a status in texts for people: `executed`.
func statusName(status governancev1.ProposalStatus) string {
	return strings.ToLower(strings.TrimPrefix(status.String(), "PROPOSAL_STATUS_"))
}
