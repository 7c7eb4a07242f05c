package grpcapi

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/governance"
	"github.com/althing-ledger/althing/app/membership"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	// signingWindow is how many of the newest blocks the signing record of the validators looks at.
	signingWindow = 100

	// addressSize is the length of a validator's address: the beginning of the SHA-256 of its key.
	addressSize = 20
)

type membershipServer struct {
	membershipv1.UnimplementedMembershipServiceServer
	*reads
}

func (s *membershipServer) GetNode(ctx context.Context, q *membershipv1.GetNodeRequest) (*membershipv1.GetNodeResponse, error) {
	return read(ctx, s.reads, q, membership.GetNode)
}

func (s *membershipServer) ListNodes(ctx context.Context, q *membershipv1.ListNodesRequest) (*membershipv1.ListNodesResponse, error) {
	return scan(ctx, s.reads, s.listings, q, membership.ListNodes)
}

// ListValidators answers from the state of the height asked for, and always with the signatures of the newest blocks: those
// are what this node has seen, and no part of any state.
func (s *membershipServer) ListValidators(ctx context.Context, q *membershipv1.ListValidatorsRequest) (*membershipv1.ListValidatorsResponse, error) {
	answer, err := scan(ctx, s.reads, s.listings, q, membership.ListValidators)
	if err != nil {
		return nil, err
	}
	records := map[[addressSize]byte]SigningRecord{}
	for _, r := range s.engine.Signing(signingWindow) {
		if len(r.Address) == addressSize {
			records[[addressSize]byte(r.Address)] = r
		}
	}
	answer.Window = signingWindow
	for _, v := range answer.Validators {
		hash := sha256.Sum256(v.PublicKey)
		r := records[[addressSize]byte(hash[:])]
		v.Asked, v.Signed, v.LastSignedHeight = r.Asked, r.Signed, r.Last
	}
	return answer, nil
}

func (s *membershipServer) ListChanges(ctx context.Context, q *membershipv1.ListChangesRequest) (*membershipv1.ListChangesResponse, error) {
	return scan(ctx, s.reads, s.listings, q, membership.ListChanges)
}

func (s *membershipServer) ListEvidence(ctx context.Context, q *membershipv1.ListEvidenceRequest) (*membershipv1.ListEvidenceResponse, error) {
	return scan(ctx, s.reads, s.listings, q, membership.ListEvidence)
}

type governanceServer struct {
	governancev1.UnimplementedGovernanceServiceServer
	*reads
}

func (s *governanceServer) GetCharter(ctx context.Context, q *governancev1.GetCharterRequest) (*governancev1.GetCharterResponse, error) {
	return read(ctx, s.reads, q, governance.GetCharter)
}

type proposalsServer struct {
	proposalsv1.UnimplementedProposalsServiceServer
	*reads
}

// GetProposal tries an open proposal out, on an overlay of the view that answers: it stands in line like the listings.
func (s *proposalsServer) GetProposal(ctx context.Context, q *proposalsv1.GetProposalRequest) (*proposalsv1.GetProposalResponse, error) {
	return scan(ctx, s.reads, s.listings, q, func(view exec.View, q *proposalsv1.GetProposalRequest) (*proposalsv1.GetProposalResponse, error) {
		answer, err := governance.GetProposal(view, q)
		if err != nil || answer.Status != governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN {
			return answer, err
		}
		return answer, s.foresee(answer)
	})
}

// foresee adds what an open proposal would change at the height of the answer.
func (s *proposalsServer) foresee(answer *proposalsv1.GetProposalResponse) error {
	view, err := s.app.View(answer.Height)
	if err != nil {
		return err
	}
	defer view.Release()
	changes, refused, err := s.app.Preview(view, answer.Proposal)
	if err != nil {
		return err
	}
	answer.Changes = changes
	var rejection *tx.Rejection
	if errors.As(refused, &rejection) {
		answer.RefusedCode, answer.RefusedMessage = uint32(rejection.Code), rejection.Text
	}
	return nil
}

func (s *proposalsServer) ListProposals(ctx context.Context, q *proposalsv1.ListProposalsRequest) (*proposalsv1.ListProposalsResponse, error) {
	return scan(ctx, s.reads, s.listings, q, governance.ListProposals)
}
