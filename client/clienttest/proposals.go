package clienttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// propose keeps a proposal and votes yes for its org: more than two thirds of the orgs must. What passes is applied like
// any operations, as far as this ledger knows them.
func (s *state) propose(account string, o *ledgerv1.Propose) (*ledgerv1.Event, error) {
	org, err := names.Account(account)
	if err != nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_VOTE_REQUIRED, "a proposal cannot propose")
	}
	p := &proposalsv1.Proposal{
		Id: uint64(len(s.proposals) + 1), Org: org, Account: account, Title: o.Title, Operations: o.Operations,
		Status: governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN, CreatedHeight: s.height, Numerator: 2, Denominator: 3, FailedOperation: -1,
		DeadlineUnixNano: s.now.Add(time.Duration(s.charter.VotingPeriodSeconds) * time.Second).UnixNano(),
	}
	s.proposals = append(s.proposals, p)
	if _, err := s.vote(account, &governancev1.Vote{Proposal: p.Id, Yes: true}); err != nil {
		return nil, err
	}
	event := &governancev1.Proposed{Proposal: p.Id, Org: org, Title: o.Title, DeadlineUnixNano: p.DeadlineUnixNano}
	return &ledgerv1.Event{Kind: &ledgerv1.Event_Proposed{Proposed: event}}, nil
}

// open returns a copy of an open proposal that may be changed.
func (s *state) open(id uint64) (*proposalsv1.Proposal, error) {
	if id == 0 || id > uint64(len(s.proposals)) {
		return nil, missing("proposal", fmt.Sprint(id))
	}
	p := proto.CloneOf(s.proposals[id-1])
	if p.Status != governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_OPEN, "proposal %d is not open", id)
	}
	return p, nil
}

func (s *state) vote(account string, o *governancev1.Vote) (*ledgerv1.Event, error) {
	p, err := s.open(o.Proposal)
	if err != nil {
		return nil, err
	}
	org, err := names.Account(account)
	if err != nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_VOTE_REQUIRED, "a proposal cannot vote")
	}
	ballot := &governancev1.Ballot{Org: org, Yes: o.Yes, Account: account, Height: s.height}
	i, voted := slices.BinarySearchFunc(p.Ballots, org, func(b *governancev1.Ballot, org string) int { return strings.Compare(b.Org, org) })
	if voted {
		p.Ballots[i] = ballot
	} else {
		p.Ballots = slices.Insert(p.Ballots, i, ballot)
	}
	s.proposals[p.Id-1] = p
	tally := s.tally(p)
	if tally.Yes >= tally.Needed {
		s.execute(p)
	}
	event := &governancev1.Voted{Proposal: p.Id, Ballot: ballot, Yes: tally.Yes, No: tally.No, Orgs: tally.Orgs}
	return &ledgerv1.Event{Kind: &ledgerv1.Event_Voted{Voted: event}}, nil
}

func (s *state) tally(p *proposalsv1.Proposal) *proposalsv1.Tally {
	orgs := uint32(len(s.orgs()))
	tally := &proposalsv1.Tally{Orgs: orgs, Needed: orgs*2/3 + 1}
	for _, b := range p.Ballots {
		if b.Yes {
			tally.Yes++
		} else {
			tally.No++
		}
	}
	return tally
}

// execute applies a proposal that has passed, all or nothing.
func (s *state) execute(p *proposalsv1.Proposal) {
	next := s.clone()
	p.Status, p.ClosedHeight = governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED, s.height
	for i, op := range p.Operations {
		if _, err := next.apply(i, op); err != nil {
			code, _ := tx.CodeOf(err)
			p.Status, p.Code, p.FailedOperation, p.Message = governancev1.ProposalStatus_PROPOSAL_STATUS_FAILED, uint32(code), int32(i), err.Error()
			return
		}
	}
	next.proposals[p.Id-1] = p
	*s = *next
}

func (s *state) withdraw(account string, o *governancev1.Withdraw) (*ledgerv1.Event, error) {
	p, err := s.open(o.Proposal)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(account, p.Org+"/") {
		return nil, tx.Reject(ledgerv1.Code_CODE_ROLE_REQUIRED, "proposal %d is of %s", p.Id, p.Org)
	}
	p.Status, p.ClosedHeight = governancev1.ProposalStatus_PROPOSAL_STATUS_WITHDRAWN, s.height
	s.proposals[p.Id-1] = p
	event := &governancev1.ProposalClosed{Proposal: p.Id, Status: p.Status, FailedOperation: -1}
	return &ledgerv1.Event{Kind: &ledgerv1.Event_ProposalClosed{ProposalClosed: event}}, nil
}

// setCharter changes what a charter says: zeros keep what is.
func (s *state) setCharter(account string, o *governancev1.SetCharter) (*ledgerv1.Event, error) {
	if account != "" {
		return nil, tx.Reject(ledgerv1.Code_CODE_VOTE_REQUIRED, "only the members together change the charter: propose it")
	}
	charter := proto.CloneOf(s.charter)
	if len(o.Charter.GetReadRoles()) > 0 {
		charter.ReadRoles = nil
	}
	proto.Merge(charter, o.Charter)
	s.charter = charter
	return &ledgerv1.Event{Kind: &ledgerv1.Event_CharterSet{CharterSet: &governancev1.CharterSet{Charter: charter}}}, nil
}

type proposalsService struct {
	proposalsv1.UnimplementedProposalsServiceServer
	node *Node
}

func (s *proposalsService) GetProposal(_ context.Context, req *proposalsv1.GetProposalRequest) (*proposalsv1.GetProposalResponse, error) {
	state, height := s.node.ledger.at()
	if req.Id == 0 || req.Id > uint64(len(state.proposals)) {
		return nil, notFound("proposal", fmt.Sprint(req.Id))
	}
	p := state.proposals[req.Id-1]
	return &proposalsv1.GetProposalResponse{Height: height, Proposal: p, Status: p.Status, Tally: state.tally(p)}, nil
}

func (s *proposalsService) ListProposals(_ context.Context, req *proposalsv1.ListProposalsRequest) (*proposalsv1.ListProposalsResponse, error) {
	state, height := s.node.ledger.at()
	answer := &proposalsv1.ListProposalsResponse{Height: height}
	for _, p := range slices.Backward(state.proposals) {
		if req.Status == governancev1.ProposalStatus_PROPOSAL_STATUS_UNSPECIFIED || req.Status == p.Status {
			answer.Proposals = append(answer.Proposals, p)
		}
	}
	return answer, nil
}
