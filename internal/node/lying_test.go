package node_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app/queries"
	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	"github.com/althing-ledger/althing/client/verify"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// theatre is a network of four honest nodes, with something of everything in its state, and a way to ask one that lies first.
type theatre struct {
	*network
	outcome *ledgerv1.TxOutcome // of a payment with events
	hold    []byte
}

func newTheatre(t *testing.T) *theatre {
	t.Helper()
	n := newNetwork(t, nil, func(c *home.Config) { c.State.KeepHeights, c.State.KeepFor = 1000, home.Duration(time.Hour) })
	n.startAll()
	w := &theatre{network: n}
	m := n.nodes[0]
	n.must(m, createAsset("acme/admin", "acme/eur"), createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "1000"))
	w.outcome = n.must(m, transfer("acme/treasury", "acme/usd", "globex/treasury", "10"), transfer("acme/treasury", "acme/usd", "initech/treasury", "20"))
	held := n.must(m, &ledgerv1.Operation{Account: "acme/treasury", Kind: &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: &assetsv1.OpenHold{
		Asset: "acme/usd", To: "globex/treasury", Amount: "7", Deadline: timestamppb.New(n.clock().Add(time.Hour)),
	}}})
	events := new(ledgerv1.EventList)
	if err := events.UnmarshalVT(held.Events); err != nil {
		t.Fatal(err)
	}
	w.hold = events.Events[0].GetAssetHoldOpened().Hold.Id
	for _, record := range []string{"acme/docs/a", "acme/docs/b", "acme/docs/b"} {
		n.must(m, &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record: record, ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("hello")},
		}}})
	}
	n.must(m, client.Propose("acme/admin", "a change", &ledgerv1.Operation{Kind: &ledgerv1.Operation_CharterSet{
		CharterSet: &governancev1.SetCharter{Charter: &governancev1.Charter{BlockIntervalMs: 300}},
	}}))
	// The last change of the state is published by an empty block; from then on the ledger is idle.
	n.sameState(n.must(m, transfer("acme/treasury", "acme/usd", "globex/treasury", "1")).Height + 1)
	return w
}

// asking is one question to a client.
type asking struct {
	name, method string
	ask          func(context.Context, *client.Client) (proto.Message, error)
	// request is what goes to the node, to learn what an honest one answers.
	request proto.Message
	// unproven are the fields that are the node's word.
	unproven []string
}

// call makes an asking of a method of a generated client.
func call[Q, A proto.Message, S any](name, method string, service func(*client.Client) S, ask func(S, context.Context, Q) (A, error), q Q, unproven ...string) asking {
	return asking{name: name, method: method, request: q, unproven: unproven, ask: func(ctx context.Context, c *client.Client) (proto.Message, error) {
		a, err := ask(service(c), ctx, q)
		return a, err
	}}
}

// askings are a question for every read that can be proven, and some for what is not there.
func (w *theatre) askings() []asking {
	as, ac := (*client.Client).Assets, (*client.Client).Accounts
	rs, ms := (*client.Client).Records, (*client.Client).Membership
	ls := (*client.Client).Ledger
	type ctx = context.Context
	getBalance := func(s assetsv1.AssetsServiceClient, c ctx, q *assetsv1.GetBalanceRequest) (*assetsv1.GetBalanceResponse, error) {
		return s.GetBalance(c, q)
	}
	listBalances := func(s assetsv1.AssetsServiceClient, c ctx, q *assetsv1.ListBalancesRequest) (*assetsv1.ListBalancesResponse, error) {
		return s.ListBalances(c, q)
	}
	getAccount := func(s accountsv1.AccountsServiceClient, c ctx, q *accountsv1.GetAccountRequest) (*accountsv1.GetAccountResponse, error) {
		return s.GetAccount(c, q)
	}
	getRecord := func(s recordsv1.RecordsServiceClient, c ctx, q *recordsv1.GetRecordRequest) (*recordsv1.GetRecordResponse, error) {
		return s.GetRecord(c, q)
	}
	getBlock := func(s ledgerv1.LedgerServiceClient, c ctx, q *ledgerv1.GetBlockRequest) (*ledgerv1.GetBlockResponse, error) {
		return s.GetBlock(c, q)
	}
	getTransaction := func(s ledgerv1.LedgerServiceClient, c ctx, q *ledgerv1.GetTransactionRequest) (*ledgerv1.GetTransactionResponse, error) {
		return s.GetTransaction(c, q)
	}
	words := []string{"outcome.message", "outcome.failed_operation", "height"}
	return []asking{
		call("an org", accountsv1.AccountsService_GetOrg_FullMethodName, ac, func(s accountsv1.AccountsServiceClient, c ctx, q *accountsv1.GetOrgRequest) (*accountsv1.GetOrgResponse, error) {
			return s.GetOrg(c, q)
		}, &accountsv1.GetOrgRequest{Name: "acme"}),
		call("orgs", accountsv1.AccountsService_ListOrgs_FullMethodName, ac, func(s accountsv1.AccountsServiceClient, c ctx, q *accountsv1.ListOrgsRequest) (*accountsv1.ListOrgsResponse, error) {
			return s.ListOrgs(c, q)
		}, &accountsv1.ListOrgsRequest{PageSize: 3}),
		call("an account", accountsv1.AccountsService_GetAccount_FullMethodName, ac, getAccount, &accountsv1.GetAccountRequest{Name: "acme/admin"}),
		call("no account", accountsv1.AccountsService_GetAccount_FullMethodName, ac, getAccount, &accountsv1.GetAccountRequest{Name: "acme/nobody"}),
		call("accounts", accountsv1.AccountsService_ListAccounts_FullMethodName, ac, func(s accountsv1.AccountsServiceClient, c ctx, q *accountsv1.ListAccountsRequest) (*accountsv1.ListAccountsResponse, error) {
			return s.ListAccounts(c, q)
		}, &accountsv1.ListAccountsRequest{Org: "acme"}),

		call("an asset", assetsv1.AssetsService_GetAsset_FullMethodName, as, func(s assetsv1.AssetsServiceClient, c ctx, q *assetsv1.GetAssetRequest) (*assetsv1.GetAssetResponse, error) {
			return s.GetAsset(c, q)
		}, &assetsv1.GetAssetRequest{Asset: "acme/usd"}),
		call("assets", assetsv1.AssetsService_ListAssets_FullMethodName, as, func(s assetsv1.AssetsServiceClient, c ctx, q *assetsv1.ListAssetsRequest) (*assetsv1.ListAssetsResponse, error) {
			return s.ListAssets(c, q)
		}, &assetsv1.ListAssetsRequest{}),
		call("a balance", assetsv1.AssetsService_GetBalance_FullMethodName, as, getBalance, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "globex/treasury"}),
		call("no balance", assetsv1.AssetsService_GetBalance_FullMethodName, as, getBalance, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "umbrella/treasury"}),
		call("holders", assetsv1.AssetsService_ListBalances_FullMethodName, as, listBalances, &assetsv1.ListBalancesRequest{Asset: "acme/usd", PageSize: 2}),
		call("holdings", assetsv1.AssetsService_ListBalances_FullMethodName, as, listBalances, &assetsv1.ListBalancesRequest{Account: "acme/treasury"}),
		call("a hold", assetsv1.AssetsService_GetHold_FullMethodName, as, func(s assetsv1.AssetsServiceClient, c ctx, q *assetsv1.GetHoldRequest) (*assetsv1.GetHoldResponse, error) {
			return s.GetHold(c, q)
		}, &assetsv1.GetHoldRequest{HoldId: w.hold}),
		call("holds", assetsv1.AssetsService_ListHolds_FullMethodName, as, func(s assetsv1.AssetsServiceClient, c ctx, q *assetsv1.ListHoldsRequest) (*assetsv1.ListHoldsResponse, error) {
			return s.ListHolds(c, q)
		}, &assetsv1.ListHoldsRequest{}),
		call("a supply", assetsv1.AssetsService_CheckSupply_FullMethodName, as, func(s assetsv1.AssetsServiceClient, c ctx, q *assetsv1.CheckSupplyRequest) (*assetsv1.CheckSupplyResponse, error) {
			return s.CheckSupply(c, q)
		}, &assetsv1.CheckSupplyRequest{}),

		call("a collection", recordsv1.RecordsService_GetCollection_FullMethodName, rs, func(s recordsv1.RecordsServiceClient, c ctx, q *recordsv1.GetCollectionRequest) (*recordsv1.GetCollectionResponse, error) {
			return s.GetCollection(c, q)
		}, &recordsv1.GetCollectionRequest{Collection: "acme/docs"}),
		call("a record", recordsv1.RecordsService_GetRecord_FullMethodName, rs, getRecord, &recordsv1.GetRecordRequest{Record: "acme/docs/b"}),
		call("no record", recordsv1.RecordsService_GetRecord_FullMethodName, rs, getRecord, &recordsv1.GetRecordRequest{Record: "acme/docs/c"}),
		call("records", recordsv1.RecordsService_ListRecords_FullMethodName, rs, func(s recordsv1.RecordsServiceClient, c ctx, q *recordsv1.ListRecordsRequest) (*recordsv1.ListRecordsResponse, error) {
			return s.ListRecords(c, q)
		}, &recordsv1.ListRecordsRequest{Collection: "acme/docs"}),
		call("a history", recordsv1.RecordsService_GetHistory_FullMethodName, rs, func(s recordsv1.RecordsServiceClient, c ctx, q *recordsv1.GetHistoryRequest) (*recordsv1.GetHistoryResponse, error) {
			return s.GetHistory(c, q)
		}, &recordsv1.GetHistoryRequest{Record: "acme/docs/b"}),

		call("a node", membershipv1.MembershipService_GetNode_FullMethodName, ms, func(s membershipv1.MembershipServiceClient, c ctx, q *membershipv1.GetNodeRequest) (*membershipv1.GetNodeResponse, error) {
			return s.GetNode(c, q)
		}, &membershipv1.GetNodeRequest{Name: "acme-1"}),
		call("nodes", membershipv1.MembershipService_ListNodes_FullMethodName, ms, func(s membershipv1.MembershipServiceClient, c ctx, q *membershipv1.ListNodesRequest) (*membershipv1.ListNodesResponse, error) {
			return s.ListNodes(c, q)
		}, &membershipv1.ListNodesRequest{}),
		call("validators", membershipv1.MembershipService_ListValidators_FullMethodName, ms, func(s membershipv1.MembershipServiceClient, c ctx, q *membershipv1.ListValidatorsRequest) (*membershipv1.ListValidatorsResponse, error) {
			return s.ListValidators(c, q)
		}, &membershipv1.ListValidatorsRequest{}, "window", "validators.asked", "validators.signed", "validators.last_signed_height"),
		call("changes", membershipv1.MembershipService_ListChanges_FullMethodName, ms, func(s membershipv1.MembershipServiceClient, c ctx, q *membershipv1.ListChangesRequest) (*membershipv1.ListChangesResponse, error) {
			return s.ListChanges(c, q)
		}, &membershipv1.ListChangesRequest{Org: "acme"}),
		call("evidence", membershipv1.MembershipService_ListEvidence_FullMethodName, ms, func(s membershipv1.MembershipServiceClient, c ctx, q *membershipv1.ListEvidenceRequest) (*membershipv1.ListEvidenceResponse, error) {
			return s.ListEvidence(c, q)
		}, &membershipv1.ListEvidenceRequest{}),
		call("the charter", governancev1.GovernanceService_GetCharter_FullMethodName, (*client.Client).Governance, func(s governancev1.GovernanceServiceClient, c ctx, q *governancev1.GetCharterRequest) (*governancev1.GetCharterResponse, error) {
			return s.GetCharter(c, q)
		}, &governancev1.GetCharterRequest{}),
		call("a proposal", proposalsv1.ProposalsService_GetProposal_FullMethodName, (*client.Client).Proposals, func(s proposalsv1.ProposalsServiceClient, c ctx, q *proposalsv1.GetProposalRequest) (*proposalsv1.GetProposalResponse, error) {
			return s.GetProposal(c, q)
		}, &proposalsv1.GetProposalRequest{Id: 1}, "changes", "refused_code", "refused_message"),
		call("proposals", proposalsv1.ProposalsService_ListProposals_FullMethodName, (*client.Client).Proposals, func(s proposalsv1.ProposalsServiceClient, c ctx, q *proposalsv1.ListProposalsRequest) (*proposalsv1.ListProposalsResponse, error) {
			return s.ListProposals(c, q)
		}, &proposalsv1.ListProposalsRequest{}),

		call("a block", ledgerv1.LedgerService_GetBlock_FullMethodName, ls, getBlock, &ledgerv1.GetBlockRequest{Height: w.outcome.Height},
			"block.proposer", "block.outcomes.message", "block.outcomes.failed_operation"),
		call("an empty block", ledgerv1.LedgerService_GetBlock_FullMethodName, ls, getBlock, &ledgerv1.GetBlockRequest{}, "block.proposer"),
		call("a header", ledgerv1.LedgerService_GetBlock_FullMethodName, ls, getBlock, &ledgerv1.GetBlockRequest{Height: w.outcome.Height, HeaderOnly: true},
			"block.proposer", "block.tx_count"),
		call("a transaction", ledgerv1.LedgerService_GetTransaction_FullMethodName, ls, getTransaction, &ledgerv1.GetTransactionRequest{Id: w.outcome.Id}, words...),
		call("a transaction with its state", ledgerv1.LedgerService_GetTransaction_FullMethodName, ls, getTransaction,
			&ledgerv1.GetTransactionRequest{Id: w.outcome.Id, ProveState: true}, words...),
		call("the lineage", ledgerv1.LedgerService_GetLineage_FullMethodName, ls, func(s ledgerv1.LedgerServiceClient, c ctx, q *ledgerv1.GetLineageRequest) (*ledgerv1.GetLineageResponse, error) {
			return s.GetLineage(c, q)
		}, &ledgerv1.GetLineageRequest{Genesis: true}, "height"),
	}
}

// liars is what a client reports.
type liars struct {
	mu   sync.Mutex
	lies []*client.Lie
}

func (l *liars) take(lie *client.Lie) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lies = append(l.lies, lie)
}

func (l *liars) all() []*client.Lie {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.lies)
}

// dial returns a client that asks a proxy of the first node, and then the second node. It has learnt nothing yet.
func (w *theatre) dial(t testing.TB, proxy *clienttest.Proxy, change func(*client.Config)) (*client.Client, *liars) {
	t.Helper()
	file := *w.files.File
	file.Nodes = slices.Clone(file.Nodes[:2])
	file.Nodes[0].GRPC = proxy.Address
	caught := new(liars)
	config := client.Config{OnLie: caught.take, FreshnessInterval: -1}
	if change != nil {
		change(&config)
	}
	c, err := client.Dial(&file, config)
	if err != nil {
		t.Fatal(err)
	}
	return c, caught
}

var inList = regexp.MustCompile(`\[\d+\]`)

// TestEveryFieldIsVerified has a node change every field of every answer, one at a time, the proof and all that is in it
// included: the client says so, and answers what the next node says.
func TestEveryFieldIsVerified(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	askings := w.askings()
	for _, q := range queries.All() {
		if !slices.ContainsFunc(askings, func(a asking) bool { return a.method == q.Method }) {
			t.Errorf("nothing is asked of %s", q.Method)
		}
	}
	var changes, others int
	for _, a := range askings {
		t.Run(strings.ReplaceAll(a.name, " ", "-"), func(t *testing.T) {
			proxy := clienttest.StartProxy(t, w.nodes[0].files(w).GRPC)
			var honest proto.Message
			proxy.Tamper(func(e *clienttest.Exchange) {
				if e.Method == a.method && e.Err == nil {
					honest = proto.Clone(e.Answer)
				}
			})
			c, caught := w.dial(t, proxy, nil)
			want, wantErr := a.ask(t.Context(), c)
			_ = c.Close()
			if len(caught.all()) > 0 || honest == nil || (wantErr != nil && status.Code(wantErr) != codes.NotFound) {
				t.Fatalf("the honest node: %v, %v", wantErr, caught.all())
			}
			mutations := clienttest.Mutations(honest)
			changes += len(mutations)
			for _, m := range mutations {
				proxy.Tamper(func(e *clienttest.Exchange) {
					if e.Method != a.method || e.Err != nil {
						return
					}
					if changed := m.Of(e.Answer); changed != nil {
						e.Answer = changed
					}
				})
				c, caught := w.dial(t, proxy, nil)
				got, err := a.ask(t.Context(), c)
				_ = c.Close()
				field := inList.ReplaceAllString(m.Field, "")
				if slices.ContainsFunc(a.unproven, func(f string) bool { return field == f || strings.HasPrefix(field, f+".") }) {
					continue
				}
				right := status.Code(err) == status.Code(wantErr) && (wantErr != nil || proto.Equal(proven(got, a.unproven), proven(want, a.unproven)))
				lies := caught.all()
				if m.How == clienttest.UnknownField && right {
					continue // what this version does not know is refused or left out
				}
				if strings.HasSuffix(field, "proof.keys") && len(lies) == 0 && right {
					others++ // a key that is not there may be another between the same neighbours: the proof is another, and good
					continue
				}
				if len(lies) == 0 || lies[0].Node != w.nodes[0].name || !errors.Is(lies[0], client.ErrLie) {
					t.Errorf("%v: not noticed: %v", m, lies)
				}
				if !right {
					t.Errorf("%v: the answer is %v, %v, want %v", m, got, err, want)
				}
			}
		})
	}
	t.Logf("%d changes to %d answers, %d of them to another proof of the same", changes, len(askings), others)
	if others > changes/100 {
		t.Errorf("%d changes to proofs were not noticed", others)
	}
}

// proven returns an answer without the fields that are one node's word.
func proven(answer proto.Message, unproven []string) proto.Message {
	answer = proto.Clone(answer)
	for _, path := range unproven {
		clearAt(answer.ProtoReflect(), strings.Split(path, "."))
	}
	// Of the newest block, nodes may have heard of different votes: each commit is proven, and none is the only one.
	if a, is := answer.(*ledgerv1.GetLineageResponse); is && a.Newest != nil {
		a.Newest.Commit = nil
	}
	return answer
}

func clearAt(m protoreflect.Message, path []string) {
	field := m.Descriptor().Fields().ByName(protoreflect.Name(path[0]))
	switch {
	case len(path) == 1:
		m.Clear(field)
	case field.IsList():
		for i := range m.Get(field).List().Len() {
			clearAt(m.Get(field).List().Get(i).Message(), path[1:])
		}
	case m.Has(field):
		clearAt(m.Mutable(field).Message(), path[1:])
	}
}

// files returns what the network file says of a member.
func (m *member) files(w *theatre) client.Node {
	i := slices.IndexFunc(w.files.File.Nodes, func(n client.Node) bool { return n.Name == m.name })
	return w.files.File.Nodes[i]
}

const balanceMethod = assetsv1.AssetsService_GetBalance_FullMethodName

func balanceOf(ctx context.Context, c *client.Client, account string) (*assetsv1.GetBalanceResponse, error) {
	return c.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: account})
}

// TestLies tells the lies that take more than a change of one field.
func TestLies(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	proxy := clienttest.StartProxy(t, w.nodes[0].files(w).GRPC)
	ask := func(ctx context.Context, c *client.Client) error {
		a, err := balanceOf(ctx, c, "globex/treasury")
		if err == nil && a.Holding.Balance != "11" {
			err = fmt.Errorf("the balance is %v", a.Holding)
		}
		return err
	}
	on := func(method string, lie func(*clienttest.Exchange)) func(*clienttest.Exchange) {
		return func(e *clienttest.Exchange) {
			if e.Method == method {
				lie(e)
			}
		}
	}
	newest := w.nodes[0].status(t).Height
	for name, lie := range map[string]func(*clienttest.Exchange){
		"another account": on(balanceMethod, func(e *clienttest.Exchange) {
			q := proto.CloneOf(e.Request.(*assetsv1.GetBalanceRequest))
			q.Account = "acme/treasury"
			e.Answer, e.Err = e.Ask(q)
		}),
		"no such asset": on(balanceMethod, func(e *clienttest.Exchange) {
			e.Answer, e.Err = nil, status.Error(codes.NotFound, "there is no asset acme/usd")
		}),
		"a proof of what is not there": on(balanceMethod, func(e *clienttest.Exchange) {
			q := proto.CloneOf(e.Request.(*assetsv1.GetBalanceRequest))
			q.Asset = "acme/xxx"
			e.Answer, e.Err = e.Ask(q)
		}),
		"another height": on(balanceMethod, func(e *clienttest.Exchange) {
			q := proto.CloneOf(e.Request.(*assetsv1.GetBalanceRequest))
			if q.MinHeight > 0 {
				q.MinHeight, q.Height = 0, newest-3
				e.Answer, e.Err = e.Ask(q)
			}
		}),
		"a lineage without a genesis document": on(ledgerv1.LedgerService_GetLineage_FullMethodName, func(e *clienttest.Exchange) {
			e.Answer.(*ledgerv1.GetLineageResponse).Lineage.Genesis = nil
		}),
		"another genesis document": on(ledgerv1.LedgerService_GetLineage_FullMethodName, func(e *clienttest.Exchange) {
			l := e.Answer.(*ledgerv1.GetLineageResponse).Lineage
			l.Genesis = append(l.Genesis, ' ')
		}),
		"a forged header": on(balanceMethod, func(e *clienttest.Exchange) {
			a := e.Answer.(*assetsv1.GetBalanceResponse)
			other, err := e.Ask(&assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "globex/treasury", Prove: true, Height: newest - 3})
			if err != nil {
				e.Answer, e.Err = nil, err
				return
			}
			a.Proof.Signed.Commit = other.(*assetsv1.GetBalanceResponse).Proof.Signed.Commit
		}),
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			proxy.Tamper(nil)
			c, caught := w.dial(t, proxy, nil)
			defer func() { _ = c.Close() }()
			if strings.Contains(name, "height") {
				// A client that has seen the newest height does not take an older one.
				if err := ask(t.Context(), c); err != nil || c.SeenHeight() < newest {
					t.Fatalf("before the lie: %v, seen %d of %d", err, c.SeenHeight(), newest)
				}
			}
			proxy.Tamper(lie)
			asked := proxy.Asked(balanceMethod)
			for range 3 {
				if err := ask(t.Context(), c); err != nil {
					t.Fatal(err)
				}
			}
			lies := caught.all()
			if len(lies) != 1 || lies[0].Node != w.nodes[0].name || lies[0].What == "" {
				t.Errorf("reported: %v", lies)
			}
			if again := proxy.Asked(balanceMethod) - asked; again > 1 {
				t.Errorf("the liar was asked %d times", again)
			}
		})
	}
	proxy.Tamper(nil)
}

// TestAllLie names each node and what is wrong with its answer.
func TestAllLie(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	file := *w.files.File
	file.Nodes = slices.Clone(file.Nodes[:2])
	for i := range file.Nodes {
		proxy := clienttest.StartProxy(t, file.Nodes[i].GRPC)
		proxy.Tamper(func(e *clienttest.Exchange) {
			if a, is := e.Answer.(*assetsv1.GetBalanceResponse); is {
				a.Holding.Balance = "1000000"
			}
		})
		file.Nodes[i].GRPC = proxy.Address
	}
	c, err := client.Dial(&file, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	_, err = balanceOf(t.Context(), c, "globex/treasury")
	var unreachable *client.Unreachable
	if !errors.As(err, &unreachable) || len(unreachable.Attempts) != 2 || !errors.Is(err, client.ErrLie) {
		t.Fatalf("all lie: %v", err)
	}
	for _, n := range file.Nodes {
		if !strings.Contains(err.Error(), n.Name) {
			t.Errorf("%v does not name %s", err, n.Name)
		}
	}
	if believing, err := client.Dial(&file, client.Config{Unverified: true}); err != nil {
		t.Error(err)
	} else if a, err := balanceOf(t.Context(), believing, "globex/treasury"); err != nil || a.Holding.Balance != "1000000" {
		t.Errorf("who believes gets %v, %v", a, err)
	} else {
		_ = believing.Close()
	}
}

// TestReplayedAnswers has a node stand still: it shows what was true a while ago, with a good proof.
func TestReplayedAnswers(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	proxy := clienttest.StartProxy(t, w.nodes[0].files(w).GRPC)
	recorded := map[string]proto.Message{}
	var mu sync.Mutex
	proxy.Tamper(func(e *clienttest.Exchange) {
		mu.Lock()
		defer mu.Unlock()
		if e.Err == nil {
			recorded[e.Method] = proto.Clone(e.Answer)
		}
	})
	c, caught := w.dial(t, proxy, func(c *client.Config) { c.FreshnessInterval = time.Nanosecond })
	defer func() { _ = c.Close() }()
	if _, err := balanceOf(t.Context(), c, "globex/treasury"); err != nil {
		t.Fatal(err)
	}
	height := w.must(w.nodes[1], transfer("acme/treasury", "acme/usd", "globex/treasury", "9")).Height
	w.sameState(height + 1)
	proxy.Tamper(func(e *clienttest.Exchange) {
		mu.Lock()
		defer mu.Unlock()
		if old := recorded[e.Method]; old != nil {
			e.Answer, e.Err = proto.Clone(old), nil
		}
	})
	// This client has seen nothing newer itself. Of three nodes, two say how far they are.
	file := *w.files.File
	file.Nodes = slices.Clone(file.Nodes[:3])
	file.Nodes[0].GRPC = proxy.Address
	fresh, err := client.Dial(&file, client.Config{OnLie: caught.take})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = fresh.Close() }()
	for _, c := range []*client.Client{c, fresh} {
		before := len(caught.all())
		eventually(t, "the replay is caught", func(ctx context.Context) error {
			a, err := balanceOf(ctx, c, "globex/treasury")
			if err != nil {
				return err
			}
			if a.Height < height || a.Holding.Balance != "20" {
				return fmt.Errorf("%v", a)
			}
			return nil
		})
		if len(caught.all()) == before {
			t.Error("not reported")
		}
	}
}

// TestCutLineage changes the validators, and has a node hide it.
func TestCutLineage(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	for range 3 {
		key, err := keys.Generate(keys.SchemeEd25519, nil)
		if err != nil {
			t.Fatal(err)
		}
		// The node itself does not learn of its new keys and votes no more: the other three suffice.
		op, err := client.RotateValidatorKey("initech/admin", "initech", "initech-1", key)
		if err != nil {
			t.Fatal(err)
		}
		w.must(w.nodes[0], op)
	}
	w.sameState(w.must(w.nodes[0], transfer("acme/treasury", "acme/usd", "globex/treasury", "9")).Height + 1)
	proxy := clienttest.StartProxy(t, w.nodes[0].files(w).GRPC)
	for name, lie := range map[string]func(*proofv1.Lineage) *proofv1.Lineage{
		"none":       func(l *proofv1.Lineage) *proofv1.Lineage { l.Links = nil; return l },
		"no first":   func(l *proofv1.Lineage) *proofv1.Lineage { l.Links = l.Links[1:]; return l },
		"no last":    func(l *proofv1.Lineage) *proofv1.Lineage { l.Links = l.Links[:len(l.Links)-1]; return l },
		"no middle":  func(l *proofv1.Lineage) *proofv1.Lineage { l.Links = slices.Delete(l.Links, 1, 2); return l },
		"exchanged":  func(l *proofv1.Lineage) *proofv1.Lineage { slices.Reverse(l.Links); return l },
		"other sets": func(l *proofv1.Lineage) *proofv1.Lineage { l.Links[0].Validators = l.Links[1].Validators; return l },
		"more power": func(l *proofv1.Lineage) *proofv1.Lineage { l.Links[2].Validators[0].Power++; return l },
		"the truth":  func(l *proofv1.Lineage) *proofv1.Lineage { return l },
	} {
		proxy.Tamper(func(e *clienttest.Exchange) {
			if a, is := e.Answer.(*ledgerv1.GetLineageResponse); is && e.Request.(*ledgerv1.GetLineageRequest).FromHeight == 0 {
				if len(a.Lineage.Links) != 3 {
					t.Errorf("%d changes of the validators", len(a.Lineage.Links))
				}
				a.Lineage = lie(a.Lineage)
			}
		})
		c, caught := w.dial(t, proxy, nil)
		if a, err := balanceOf(t.Context(), c, "globex/treasury"); err != nil || a.Holding.Balance != "20" {
			t.Errorf("%s: %v, %v", name, a, err)
		}
		if honest := name == "the truth"; (len(caught.all()) == 0) != honest {
			t.Errorf("%s: reported %v", name, caught.all())
		}
		if got := len(c.Lineage().Links); got != 3 {
			t.Errorf("%s: %d changes are known", name, got)
		}
		// The same question, asked by hand.
		other, caught := w.dial(t, proxy, nil)
		answer, err := other.Ledger().GetLineage(t.Context(), &ledgerv1.GetLineageRequest{Genesis: true})
		if err != nil || len(answer.Lineage.Links) != 3 || (len(caught.all()) == 0) != (name == "the truth") {
			t.Errorf("%s, by hand: %v, reported %v", name, err, caught.all())
		}
		_ = c.Close()
		_ = other.Close()
	}
}

// TestClientReceipts makes receipts and checks them as somebody would who has nothing but the file.
func TestClientReceipts(t *testing.T) {
	t.Parallel()
	w := newTheatre(t)
	c, err := client.Dial(w.files.File, client.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	newest := w.sameState(1)
	block := w.outcome.Height
	for name, o := range map[string]client.ReceiptOptions{
		"plain": {}, "with state": {State: true}, "anchored later": {Anchor: newest}, "anchored at the next": {Anchor: block + 1},
		"anchored two later": {Anchor: block + 2}, "anchored at its own": {Anchor: block}, "anchored before": {Anchor: block - 1},
		"anchored at the beginning": {Anchor: 2},
	} {
		file, err := c.Receipt(t.Context(), tx.ID(w.outcome.Id), o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		report, err := verify.Receipt(file, verify.ReceiptOptions{})
		if err != nil || string(report.Transaction.ID[:]) != string(w.outcome.Id) || report.ChainID != w.files.File.ChainID {
			t.Errorf("%s: %+v, %v", name, report, err)
		} else if (report.Transaction.State != nil) != o.State {
			t.Errorf("%s: state is proven: %v", name, report.Transaction.State != nil)
		}
		t.Logf("%s: %d bytes", name, len(file))
	}
	for name, o := range map[string]client.ReceiptOptions{"far": {Anchor: block + 20_000}, "of the future": {Anchor: newest + 5}} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if _, err := c.Receipt(ctx, tx.ID(w.outcome.Id), o); err == nil {
			t.Errorf("an anchor %s is taken", name)
		}
		cancel()
	}
	if _, err := c.Receipt(t.Context(), tx.ID{1}, client.ReceiptOptions{}); !errors.Is(err, client.ErrReceipt) {
		t.Errorf("a transaction that is not there: %v", err)
	}
	result, err := c.Transaction(t.Context(), tx.ID(w.outcome.Id), time.Time{})
	if err != nil || !result.OK() || !result.Proven {
		t.Errorf("the transaction: %+v, %v", result, err)
	}
}
