package governance

import (
	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/exec"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// Bounds of a page of proposals, beside the number that is asked for.
const (
	maxWalk   = 5000      // proposals that it looks at
	maxAnswer = 512 << 10 // bytes, after which no other is added
	maxRead   = 8 << 20   // bytes, after which no other is looked at
)

// GetCharter answers the charter, the feature level, and the upgrade that lies ahead.
func GetCharter(view exec.View, _ *governancev1.GetCharterRequest) (*governancev1.GetCharterResponse, error) {
	r := Read(view)
	charter, err := r.Charter()
	if err != nil {
		return nil, err
	}
	level, err := r.LevelAt(view.Height())
	if err != nil {
		return nil, err
	}
	upgrade, err := r.Upgrade()
	if err != nil {
		return nil, err
	}
	if upgrade != nil && upgrade.Height <= view.Height() {
		upgrade = nil
	}
	return &governancev1.GetCharterResponse{Height: view.Height(), Charter: charter, FeatureLevel: level, Upgrade: upgrade}, nil
}

// GetProposal answers a proposal, its status at the time of the view's block, and the votes of the orgs that are active:
// BAD_FIELD, NOT_FOUND. What it would change, and whether it would be refused, is for the caller to add.
func GetProposal(view exec.View, q *proposalsv1.GetProposalRequest) (*proposalsv1.GetProposalResponse, error) {
	if err := checkProposal(q.Id); err != nil {
		return nil, err
	}
	p, err := Read(view).Proposal(q.Id)
	if err != nil {
		return nil, err
	}
	if p == nil {
		return nil, tx.Reject(ledgerv1.Code_CODE_NOT_FOUND, "there is no proposal %d at height %d", q.Id, view.Height())
	}
	t, err := count(accounts.Read(view), p.Ballots)
	if err != nil {
		return nil, err
	}
	return &proposalsv1.GetProposalResponse{
		Height:   view.Height(),
		Proposal: p,
		Status:   statusAt(p, view.BlockTime().UnixNano()),
		Tally:    &proposalsv1.Tally{Yes: t.yes, No: t.no, Orgs: t.orgs, Needed: t.needed(p.Numerator, p.Denominator)},
	}, nil
}

// ListProposals answers proposals, newest first, with their status at the time of the view's block: BAD_FIELD. A page may
// hold fewer than were asked for and have a next page all the same.
func ListProposals(view exec.View, q *proposalsv1.ListProposalsRequest) (*proposalsv1.ListProposalsResponse, error) {
	if _, known := governancev1.ProposalStatus_name[int32(q.Status)]; !known {
		return nil, badField("status is %d, which this version does not know", q.Status)
	}
	answer := &proposalsv1.ListProposalsResponse{Height: view.Height()}
	now := view.BlockTime().UnixNano()
	walked, size, read := 0, 0, 0
	var err error
	answer.NextPage, err = exec.ListSome(view, proposalRange(), q.Page, q.PageSize, func(_, value []byte) (exec.Step, error) {
		p := new(proposalsv1.Proposal)
		if err := exec.Decode(value, p); err != nil {
			return exec.Skip, err
		}
		walked++
		p.Status = statusAt(p, now)
		wanted := q.Status == governancev1.ProposalStatus_PROPOSAL_STATUS_UNSPECIFIED || q.Status == p.Status
		read += len(value)
		if wanted {
			answer.Proposals = append(answer.Proposals, p)
			size += len(value)
		}
		return stepAfter(wanted, walked >= maxWalk || size >= maxAnswer || read >= maxRead), nil
	})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

func stepAfter(taken, full bool) exec.Step {
	switch {
	case taken && full:
		return exec.TakeLast
	case taken:
		return exec.Take
	case full:
		return exec.SkipLast
	default:
		return exec.Skip
	}
}
