package grpcapi

import (
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/mempool"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
)

// seen is an engine that says what it is told to.
type seen struct {
	noBlocks
	status   EngineStatus
	progress Progress
	signing  []SigningRecord
}

func (s seen) Status() EngineStatus        { return s.status }
func (s seen) Progress() Progress          { return s.progress }
func (s seen) Signing(int) []SigningRecord { return s.signing }

// TestValidators puts the signing record beside the validators that the ledger lists.
func TestValidators(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	key := w.validatorKey.Public().Bytes()
	hash := sha256.Sum256(key)
	conn := dial(t, w.serve(func(c *Config) {
		c.Engine = seen{signing: []SigningRecord{
			{Address: hash[:addressSize], Asked: 100, Signed: 98, Last: 41},
			{Address: hash[addressSize-8:], Asked: 1},
			{Address: make([]byte, addressSize), Asked: 7},
		}}
	}))
	client := membershipv1.NewMembershipServiceClient(conn)
	res, err := client.ListValidators(t.Context(), &membershipv1.ListValidatorsRequest{})
	if err != nil || len(res.Validators) != 1 || res.Window != signingWindow || res.Height != 1 {
		t.Fatalf("validators: %v %v", res, err)
	}
	if v := res.Validators[0]; v.Name != "acme-1" || v.Power != 10 || v.Asked != 100 || v.Signed != 98 || v.LastSignedHeight != 41 || string(v.PublicKey) != string(key) {
		t.Errorf("the validator is %v", v)
	}
	if _, err := client.ListChanges(t.Context(), &membershipv1.ListChangesRequest{Node: "acme-1"}); err != nil {
		t.Error(err)
	}
	if _, err := client.ListChanges(t.Context(), &membershipv1.ListChangesRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("changes of nothing: %v", err)
	}
	if _, err := client.ListEvidence(t.Context(), &membershipv1.ListEvidenceRequest{}); err != nil {
		t.Error(err)
	}
	if _, err := client.GetNode(t.Context(), &membershipv1.GetNodeRequest{Name: "acme-2"}); status.Code(err) != codes.NotFound {
		t.Errorf("a node that is not there: %v", err)
	}
}

// TestProposals reads a proposal that is open, with what it would change, one that would be refused, and one that is closed.
func TestProposals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	client := proposalsv1.NewProposalsServiceClient(dial(t, w.serve(func(*Config) {})))
	propose := func(op *ledgerv1.Operation) {
		w.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: &ledgerv1.Propose{
			Title: "a change", Operations: []*ledgerv1.Operation{op},
		}}})
	}
	charter := func(c *governancev1.Charter) *ledgerv1.Operation {
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_CharterSet{CharterSet: &governancev1.SetCharter{Charter: c}}}
	}
	get := func(id uint64) *proposalsv1.GetProposalResponse {
		t.Helper()
		res, err := client.GetProposal(t.Context(), &proposalsv1.GetProposalRequest{Id: id})
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	// The only org agrees with itself, so its proposal is carried out at once.
	propose(charter(&governancev1.Charter{BlockIntervalMs: 300}))
	if got := get(1); got.Status != governancev1.ProposalStatus_PROPOSAL_STATUS_EXECUTED || len(got.Changes) != 0 || got.RefusedCode != 0 {
		t.Errorf("a proposal that is executed: %v", got)
	}
	// An open one is tried out without being voted on.
	s := &proposalsServer{reads: &reads{app: w.app}}
	open := &proposalsv1.GetProposalResponse{Height: w.height, Proposal: &proposalsv1.Proposal{
		Id: 2, Operations: []*ledgerv1.Operation{charter(&governancev1.Charter{BlockIntervalMs: 400})},
	}}
	if err := s.foresee(open); err != nil || len(open.Changes) != 1 || open.Changes[0].Before != "300" || open.Changes[0].After != "400" {
		t.Errorf("an open proposal: %v %v", open, err)
	}
	open.Proposal.Operations[0] = &ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeRemove{NodeRemove: &membershipv1.RemoveNode{Name: "acme-1"}}}
	if err := s.foresee(open); err != nil || open.RefusedCode != uint32(ledgerv1.Code_CODE_QUORUM_LOST) || open.RefusedMessage == "" {
		t.Errorf("a proposal that would be refused: %v %v", open, err)
	}
	list, err := client.ListProposals(t.Context(), &proposalsv1.ListProposalsRequest{})
	if err != nil || len(list.Proposals) != 1 || list.Proposals[0].Title != "a change" {
		t.Errorf("the list: %v %v", list, err)
	}
	if _, err := client.GetProposal(t.Context(), &proposalsv1.GetProposalRequest{Id: 9}); status.Code(err) != codes.NotFound {
		t.Errorf("a proposal that is not there: %v", err)
	}
}

// TestStatus says what the engine sees: peers always, progress where it is asked for.
func TestStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	since := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	client := ledgerv1.NewLedgerServiceClient(dial(t, w.serve(func(c *Config) {
		c.Engine = seen{
			status: EngineStatus{Phase: "following", Following: true, Members: 3, Peers: []Peer{{
				Name: "globex-1", Org: "globex", Address: "10.0.0.1:26656", Since: since, ID: "00ff", Height: 7, RoundTrip: 1500 * time.Microsecond,
				ClockOffset: -40 * time.Millisecond, Version: "1.2.3", Outbound: true,
			}}},
			progress: Progress{
				Height: 2, Round: 1, Step: "prevote", Since: since, Wanted: true, Obstacle: "globex-1 is silent", TotalPower: 40, VotedPower: 20,
				Validators: []ValidatorProgress{{
					Name: "globex-1", Org: "globex", Power: 10, State: "behind", Height: 1, Prevoted: true, Precommitted: true, Proposer: true,
				}},
			},
		}
	})))
	for _, why := range []bool{false, true} {
		got, err := client.GetStatus(t.Context(), &ledgerv1.GetStatusRequest{Why: why})
		if err != nil || len(got.Peers) != 1 || !got.Ready || got.Members != 3 || (got.Progress != nil) != why {
			t.Fatalf("why %v: %v %v", why, got, err)
		}
		if want := (&ledgerv1.Peer{
			Name: "globex-1", Org: "globex", Address: "10.0.0.1:26656", Since: timestamppb.New(since), Id: "00ff", Height: 7, RoundTripUs: 1500,
			ClockOffsetMs: -40, Version: "1.2.3", Outbound: true,
		}); !proto.Equal(got.Peers[0], want) {
			t.Errorf("the peer is %v", got.Peers[0])
		}
		if want := (&ledgerv1.Progress{
			Height: 2, Round: 1, Step: "prevote", Since: timestamppb.New(since), Wanted: true, Obstacle: "globex-1 is silent", TotalPower: 40, VotedPower: 20,
			Validators: []*ledgerv1.ValidatorProgress{{
				Name: "globex-1", Org: "globex", Power: 10, State: "behind", Height: 1, Prevoted: true, Precommitted: true, Proposer: true,
			}},
		}); why && !proto.Equal(got.Progress, want) {
			t.Errorf("progress is %v", got.Progress)
		}
	}
}

// TestClock makes a node unready whose clock is known to be wrong, and says so.
func TestClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	for name, c := range map[string]struct {
		engine  EngineStatus
		ready   bool
		waiting string
	}{
		"right":                    {EngineStatus{Following: true, ClockKnown: true}, true, ""},
		"at the edge":              {EngineStatus{Following: true, ClockKnown: true, ClockOffset: -30 * time.Second}, true, ""},
		"ahead":                    {EngineStatus{Following: true, ClockKnown: true, ClockOffset: 31 * time.Second}, false, "31s ahead of"},
		"behind":                   {EngineStatus{Following: true, ClockKnown: true, ClockOffset: -31 * time.Second}, false, "31s behind"},
		"not known":                {EngineStatus{Following: true, ClockOffset: time.Hour}, true, ""},
		"not following":            {EngineStatus{Waiting: "two more nodes", ClockKnown: true}, false, "two more nodes"},
		"not following and behind": {EngineStatus{Waiting: "two more nodes", ClockKnown: true, ClockOffset: -time.Hour}, false, "set it; two more nodes"},
	} {
		conn := dial(t, w.serve(func(cfg *Config) { cfg.Engine = seen{status: c.engine} }))
		got, err := ledgerv1.NewLedgerServiceClient(conn).GetStatus(t.Context(), &ledgerv1.GetStatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Ready != c.ready || !strings.Contains(got.Waiting, c.waiting) || (c.waiting == "") != (got.Waiting == "") {
			t.Errorf("%s: ready %v, waiting %q", name, got.Ready, got.Waiting)
		}
		want := healthv1.HealthCheckResponse_NOT_SERVING
		if c.ready {
			want = healthv1.HealthCheckResponse_SERVING
		}
		health := healthv1.NewHealthClient(conn)
		for {
			res, err := health.Check(t.Context(), &healthv1.HealthCheckRequest{})
			if err != nil {
				t.Fatal(err)
			}
			if res.Status == want {
				break
			}
		}
	}
}
