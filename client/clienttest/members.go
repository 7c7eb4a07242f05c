package clienttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/token"
)

// Charter returns the charter in force. It must not be changed.
func (l *Ledger) Charter() *governancev1.Charter {
	state, _ := l.at()
	return state.charter
}

// CloseReads keeps reads to accounts with one of the roles, to all accounts where none is named, with tokens that live so
// long at most.
func (l *Ledger) CloseReads(longest time.Duration, roles ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := l.state.clone()
	next.charter = proto.CloneOf(next.charter)
	next.charter.ReadAccess = governancev1.ReadAccess_READ_ACCESS_MEMBERS
	next.charter.ReadRoles, next.charter.MaxTokenSeconds = roles, uint64(longest/time.Second)
	l.state = next
	l.addBlock(time.Now(), nil, nil)
	l.wake()
}

// readsLedger reports whether strangers may not call a method where reads are closed.
func readsLedger(method string) bool {
	switch method {
	case ledgerv1.LedgerService_Submit_FullMethodName, ledgerv1.LedgerService_SubmitStream_FullMethodName,
		ledgerv1.LedgerService_GetStatus_FullMethodName:
		return false
	}
	return true
}

// mayRead refuses who may not read.
func (n *Node) mayRead(ctx context.Context) error {
	state, _ := n.ledger.at()
	charter := state.charter
	if charter.ReadAccess != governancev1.ReadAccess_READ_ACCESS_MEMBERS {
		return nil
	}
	headers, _ := metadata.FromIncomingContext(ctx)
	values := headers.Get("authorization")
	if len(values) == 0 {
		return denied("TOKEN_REQUIRED", "reads are for members: send a token", charter)
	}
	t, err := token.Parse(strings.TrimPrefix(values[0], "Bearer "))
	if err == nil {
		err = t.Check(n.ledger.ChainID, time.Now().Add(n.now().ClockOffset), time.Duration(charter.MaxTokenSeconds)*time.Second)
	}
	if err != nil {
		reason := "TOKEN_INVALID"
		if errors.Is(err, token.ErrExpired) {
			reason = "TOKEN_EXPIRED"
		}
		return denied(reason, err.Error(), charter)
	}
	account := state.accounts[t.Account]
	for _, listed := range account.GetTokenKeys() {
		key, err := keys.ParsePublicKey(keys.Scheme(listed.Scheme), listed.Key)
		if err != nil || t.Verify(key) != nil {
			continue
		}
		holds := func(role string) bool { return role == "admin" || slices.Contains(charter.ReadRoles, role) }
		if len(charter.ReadRoles) > 0 && !slices.ContainsFunc(account.Roles, holds) {
			return denied("FORBIDDEN", account.Name+" may not read", charter)
		}
		return nil
	}
	return denied("TOKEN_INVALID", "no token key of "+t.Account+" signed the token", charter)
}

func denied(reason, text string, charter *governancev1.Charter) error {
	code := codes.Unauthenticated
	if reason == "FORBIDDEN" {
		code = codes.PermissionDenied
	}
	return detailed(code, text, &errdetails.ErrorInfo{
		Reason: reason, Domain: "althing", Metadata: map[string]string{"max_token_seconds": fmt.Sprint(charter.MaxTokenSeconds)},
	})
}

func (s *state) setTokenKeys(o *accountsv1.SetTokenKeys) (*ledgerv1.Event, error) {
	old := s.accounts[o.Name]
	if old == nil {
		return nil, missing("account", o.Name)
	}
	account := proto.CloneOf(old)
	account.TokenKeys = o.TokenKeys
	s.accounts[o.Name] = account
	event := &accountsv1.TokenKeysSet{Name: o.Name, TokenKeys: o.TokenKeys}
	return &ledgerv1.Event{Kind: &ledgerv1.Event_AccountTokenKeysSet{AccountTokenKeysSet: event}}, nil
}

type membershipService struct {
	membershipv1.UnimplementedMembershipServiceServer
	node *Node
}

func (s *membershipService) listed() *membershipv1.Node {
	n := s.node
	return &membershipv1.Node{
		Name: n.Name, Org: n.Org, NodeKey: make([]byte, 32), ValidatorKey: make([]byte, 32), Power: 10, Addresses: []string{"127.0.0.1:1"},
	}
}

func (s *membershipService) GetNode(_ context.Context, req *membershipv1.GetNodeRequest) (*membershipv1.GetNodeResponse, error) {
	if req.Name != s.node.Name {
		return nil, notFound("node", req.Name)
	}
	return &membershipv1.GetNodeResponse{Height: s.node.ledger.Height(), Node: s.listed()}, nil
}

func (s *membershipService) ListNodes(context.Context, *membershipv1.ListNodesRequest) (*membershipv1.ListNodesResponse, error) {
	return &membershipv1.ListNodesResponse{Height: s.node.ledger.Height(), Nodes: []*membershipv1.Node{s.listed()}}, nil
}

func (s *membershipService) ListValidators(context.Context, *membershipv1.ListValidatorsRequest) (*membershipv1.ListValidatorsResponse, error) {
	height, node := s.node.ledger.Height(), s.listed()
	signed := uint32(min(height, 100))
	return &membershipv1.ListValidatorsResponse{Height: height, Window: 100, Validators: []*membershipv1.Validator{{
		Name: node.Name, Org: node.Org, PublicKey: node.ValidatorKey, Power: node.Power, NextPower: node.Power, FromHeight: 1,
		Asked: signed, Signed: signed, LastSignedHeight: height,
	}}}, nil
}

func (s *membershipService) ListChanges(context.Context, *membershipv1.ListChangesRequest) (*membershipv1.ListChangesResponse, error) {
	return &membershipv1.ListChangesResponse{Height: s.node.ledger.Height()}, nil
}

func (s *membershipService) ListEvidence(context.Context, *membershipv1.ListEvidenceRequest) (*membershipv1.ListEvidenceResponse, error) {
	return &membershipv1.ListEvidenceResponse{Height: s.node.ledger.Height()}, nil
}

type governanceService struct {
	governancev1.UnimplementedGovernanceServiceServer
	node *Node
}

func (s *governanceService) GetCharter(context.Context, *governancev1.GetCharterRequest) (*governancev1.GetCharterResponse, error) {
	return &governancev1.GetCharterResponse{Height: s.node.ledger.Height(), Charter: s.node.ledger.Charter(), FeatureLevel: 1}, nil
}
