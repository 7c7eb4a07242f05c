package grpcapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	ics23 "github.com/cosmos/ics23/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	"github.com/althing-ledger/althing/app/exec"
	"github.com/althing-ledger/althing/app/queries"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

// populated returns a chain whose state has something of everything but evidence, and a connection to a node that serves it.
// The newest block has a transaction.
func populated(t *testing.T) (*chain, *grpc.ClientConn) {
	t.Helper()
	w := newWorldOf(t, mempool.Config{}, func(doc *genesisv1.Genesis) {
		doc.Orgs = append(doc.Orgs, "beta")
		beta := proto.Clone(doc.Accounts[0]).(*accountsv1.Account)
		beta.Name = "beta/admin"
		doc.Accounts = append(doc.Accounts, beta)
	})
	c := newChain(w)
	conn := dial(t, w.serve(func(cfg *Config) { cfg.Engine = c }))
	for _, name := range []string{"acme/alice", "acme/bob"} {
		c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountCreate{AccountCreate: &accountsv1.Create{
			Name: name, Threshold: 1, Keys: []*accountsv1.WeightedKey{{Weight: 1, PublicKey: wireKey(generate(t))}}, Roles: []string{"payer"},
		}}})
	}
	for _, asset := range []string{"acme/eur", "acme/gold", "acme/usd"} {
		c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: asset, Decimals: 2}}})
		for _, to := range []string{admin, "acme/alice", "beta/admin"} {
			c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: asset, To: to, Amount: "100"}}})
		}
		c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: &assetsv1.OpenHold{
			Asset: asset, To: "acme/bob", Amount: "7", Deadline: timestamppb.New(genesisTime.Add(time.Hour)),
		}}})
	}
	c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_RecordSetCollection{RecordSetCollection: &recordsv1.SetCollection{
		Collection: "acme/docs", Writers: []*recordsv1.Grant{{Org: "acme", Role: "admin"}},
	}}})
	for _, record := range []string{"acme/docs/a", "acme/docs/b", "acme/docs/b", "acme/docs/b", "acme/docs/c"} {
		c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record: record, ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: fmt.Append(nil, "version of height ", w.height)},
		}}})
	}
	for _, address := range []string{"127.0.0.1:1", "127.0.0.1:2"} {
		c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_NodeSetAddresses{NodeSetAddresses: &membershipv1.SetAddresses{
			Name: "acme-1", Addresses: []string{address},
		}}})
	}
	for range 3 {
		c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: &ledgerv1.Propose{
			Title: "a change", Operations: []*ledgerv1.Operation{{
				Kind: &ledgerv1.Operation_CharterSet{CharterSet: &governancev1.SetCharter{Charter: &governancev1.Charter{BlockIntervalMs: 300}}},
			}},
		}}})
	}
	return c, conn
}

// asked is one question about the state that populated makes.
type asked struct {
	method  string
	request proto.Message
	absent  bool
}

func everyQuestion(t *testing.T, conn *grpc.ClientConn) []asked {
	t.Helper()
	holds, err := assetsv1.NewAssetsServiceClient(conn).ListHolds(t.Context(), &assetsv1.ListHoldsRequest{})
	if err != nil || len(holds.Holds) != 3 {
		t.Fatal(holds, err)
	}
	const (
		ofAccounts   = "/althing.accounts.v1.AccountsService/"
		ofAssets     = "/althing.assets.v1.AssetsService/"
		ofRecords    = "/althing.records.v1.RecordsService/"
		ofMembership = "/althing.membership.v1.MembershipService/"
		ofProposals  = "/althing.proposals.v1.ProposalsService/"
	)
	return []asked{
		{ofAccounts + "GetOrg", &accountsv1.GetOrgRequest{Name: "acme"}, false},
		{ofAccounts + "GetOrg", &accountsv1.GetOrgRequest{Name: "zeta"}, true},
		{ofAccounts + "ListOrgs", &accountsv1.ListOrgsRequest{}, false},
		{ofAccounts + "GetAccount", &accountsv1.GetAccountRequest{Name: "acme/alice"}, false},
		{ofAccounts + "GetAccount", &accountsv1.GetAccountRequest{Name: "acme/carol"}, true},
		{ofAccounts + "ListAccounts", &accountsv1.ListAccountsRequest{}, false},
		{ofAccounts + "ListAccounts", &accountsv1.ListAccountsRequest{Org: "acme", PageSize: 2}, false},
		{ofAccounts + "ListAccounts", &accountsv1.ListAccountsRequest{Org: "nobody"}, false},

		{ofAssets + "GetAsset", &assetsv1.GetAssetRequest{Asset: "acme/usd"}, false},
		{ofAssets + "GetAsset", &assetsv1.GetAssetRequest{Asset: "acme/yen"}, true},
		{ofAssets + "ListAssets", &assetsv1.ListAssetsRequest{}, false},
		{ofAssets + "GetBalance", &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "acme/alice"}, false},
		{ofAssets + "GetBalance", &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "acme/carol"}, false},
		{ofAssets + "GetBalance", &assetsv1.GetBalanceRequest{Asset: "acme/yen", Account: "acme/alice"}, true},
		{ofAssets + "ListBalances", &assetsv1.ListBalancesRequest{Asset: "acme/usd"}, false},
		{ofAssets + "ListBalances", &assetsv1.ListBalancesRequest{Account: "acme/alice", PageSize: 2}, false},
		{ofAssets + "ListBalances", &assetsv1.ListBalancesRequest{Asset: "acme/yen"}, true},
		{ofAssets + "GetHold", &assetsv1.GetHoldRequest{HoldId: holds.Holds[0].Id}, false},
		{ofAssets + "GetHold", &assetsv1.GetHoldRequest{HoldId: make([]byte, 32)}, true},
		{ofAssets + "ListHolds", &assetsv1.ListHoldsRequest{PageSize: 2}, false},
		{ofAssets + "CheckSupply", &assetsv1.CheckSupplyRequest{}, false},

		{ofRecords + "GetCollection", &recordsv1.GetCollectionRequest{Collection: "acme/docs"}, false},
		{ofRecords + "GetCollection", &recordsv1.GetCollectionRequest{Collection: "acme/other"}, false},
		{ofRecords + "GetCollection", &recordsv1.GetCollectionRequest{Collection: "zeta/docs"}, true},
		{ofRecords + "GetRecord", &recordsv1.GetRecordRequest{Record: "acme/docs/b", Version: 2}, false},
		{ofRecords + "GetRecord", &recordsv1.GetRecordRequest{Record: "acme/docs/b"}, false},
		{ofRecords + "GetRecord", &recordsv1.GetRecordRequest{Record: "acme/docs/b", Version: 9}, true},
		{ofRecords + "GetRecord", &recordsv1.GetRecordRequest{Record: "acme/docs/z"}, true},
		{ofRecords + "ListRecords", &recordsv1.ListRecordsRequest{Collection: "acme/docs"}, false},
		{ofRecords + "GetHistory", &recordsv1.GetHistoryRequest{Record: "acme/docs/b", PageSize: 2}, false},
		{ofRecords + "GetHistory", &recordsv1.GetHistoryRequest{Record: "acme/docs/z"}, true},

		{ofMembership + "GetNode", &membershipv1.GetNodeRequest{Name: "acme-1"}, false},
		{ofMembership + "GetNode", &membershipv1.GetNodeRequest{Name: "acme-2"}, true},
		{ofMembership + "ListNodes", &membershipv1.ListNodesRequest{}, false},
		{ofMembership + "ListValidators", &membershipv1.ListValidatorsRequest{}, false},
		{ofMembership + "ListChanges", &membershipv1.ListChangesRequest{Node: "acme-1"}, false},
		{ofMembership + "ListChanges", &membershipv1.ListChangesRequest{Org: "zeta"}, true},
		{ofMembership + "ListEvidence", &membershipv1.ListEvidenceRequest{}, false},

		{"/althing.governance.v1.GovernanceService/GetCharter", &governancev1.GetCharterRequest{}, false},

		{ofProposals + "GetProposal", &proposalsv1.GetProposalRequest{Id: 2}, false},
		{ofProposals + "GetProposal", &proposalsv1.GetProposalRequest{Id: 9}, true},
		{ofProposals + "ListProposals", &proposalsv1.ListProposalsRequest{PageSize: 2}, false},
	}
}

// at returns the question for a height, with or without a proof.
func (a asked) at(height uint64, prove bool) proto.Message {
	request := proto.Clone(a.request)
	m := request.ProtoReflect()
	fields := m.Descriptor().Fields()
	m.Set(fields.ByName("height"), protoreflect.ValueOfUint64(height))
	m.Set(fields.ByName("prove"), protoreflect.ValueOfBool(prove))
	return request
}

func (a asked) ask(ctx context.Context, conn *grpc.ClientConn, request proto.Message) (proto.Message, error) {
	q, ok := queries.Of(a.method)
	if !ok {
		return nil, fmt.Errorf("%s is no question", a.method)
	}
	answer := q.NewAnswer()
	return answer, conn.Invoke(ctx, a.method, request, answer)
}

func proofIn(answer proto.Message) *proofv1.StateProof {
	return answer.(interface{ GetProof() *proofv1.StateProof }).GetProof()
}

var notFound = &tx.Rejection{Code: ledgerv1.Code_CODE_NOT_FOUND}

// TestEveryReadIsProven asks every question, of the newest state and of past ones, and checks answer and proof as a stranger
// does, with CometBFT's code and plain ics23, and as the client does. Then it lies in every field of the answer, and takes every key out of the proof.
func TestEveryReadIsProven(t *testing.T) {
	t.Parallel()
	c, conn := populated(t)
	questions := everyQuestion(t, conn)
	for _, q := range queries.All() {
		if !slices.ContainsFunc(questions, func(a asked) bool { return a.method == q.Method && !a.absent }) {
			t.Errorf("%s is not asked", q.Method)
		}
	}
	largest, trust := 0, c.trust()
	for _, a := range questions {
		for _, height := range []uint64{0, c.w.height - 1, c.w.height / 2, 2, 1} {
			name := fmt.Sprintf("%s %v at %d", a.method, a.request, height)
			request := a.at(height, true)
			answer, err := a.ask(t.Context(), conn, request)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			proof := proofIn(answer)
			largest = max(largest, proto.Size(proof))
			witness, err := c.check(proof)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if want := c.w.height - 1; height == 0 && witness.height != want {
				t.Fatalf("%s: the newest that can be proven is %d, not %d", name, want, witness.height)
			}
			err = queries.Check(witness, a.method, request, answer)
			gone := errors.Is(err, notFound)
			if !gone && err != nil || (height == 0 && gone != a.absent) {
				t.Fatalf("%s: %v", name, err)
			}
			sameAsPlain(t, a, conn, name, answer, gone)
			ours, err := trust.State(proof)
			if err != nil {
				t.Fatalf("%s: the client's verifier: %v", name, err)
			}
			if again := queries.Check(ours, a.method, request, answer); fmt.Sprint(again) != fmt.Sprint(queries.Check(witness, a.method, request, answer)) {
				t.Errorf("%s: by the client's verifier: %v", name, again)
			}
			if height == 0 {
				lie(t, a.method, witness, request, answer)
				leaveOut(t, c, a.method, request, answer)
			}
		}
	}
	t.Logf("the largest of %d proofs has %d bytes", len(questions), largest)
}

// sameAsPlain compares an answer with that of a read without a proof at the same height.
func sameAsPlain(t *testing.T, a asked, conn *grpc.ClientConn, name string, answer proto.Message, gone bool) {
	t.Helper()
	plain, err := a.ask(t.Context(), conn, a.at(proofIn(answer).Height, false))
	if gone {
		if status.Code(err) != codes.NotFound {
			t.Errorf("%s: without a proof: %v", name, err)
		}
		return
	}
	bare := proto.Clone(answer)
	bare.ProtoReflect().Clear(bare.ProtoReflect().Descriptor().Fields().ByName("proof"))
	if err != nil || !proto.Equal(bare, plain) {
		t.Errorf("%s: %v, without a proof %v %v", name, bare, plain, err)
	}
}

var index = regexp.MustCompile(`\[\d+\]`)

// lie changes each field of an answer in turn.
func lie(t *testing.T, method string, witness *witness, request, answer proto.Message) {
	t.Helper()
	q, _ := queries.Of(method)
	lies := 0
	change(answer.ProtoReflect(), "", func(path string) {
		lies++
		honest := slices.ContainsFunc(q.Unproven, func(free string) bool {
			return strings.HasPrefix(index.ReplaceAllString(path, "")+".", free+".")
		})
		err := queries.Check(witness, method, request, answer)
		var mismatch *queries.MismatchError
		if honest != (err == nil) || (!honest && !errors.As(err, &mismatch)) {
			t.Errorf("%s with another %s: %v", method, path, err)
		}
	})
	if lies == 0 {
		t.Errorf("%s: no field to lie in", method)
	}
}

// change calls then for each change of one field, and takes it back.
func change(m protoreflect.Message, at string, then func(path string)) {
	var fields []protoreflect.FieldDescriptor
	m.Range(func(f protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		fields = append(fields, f)
		return true
	})
	for _, f := range fields {
		path, value := at+string(f.Name()), m.Get(f)
		switch {
		case path == "proof":
		case f.IsList():
			list := value.List()
			for i := range list.Len() {
				if f.Message() != nil {
					change(list.Get(i).Message(), fmt.Sprintf("%s[%d].", path, i), then)
				}
			}
			last := list.Get(list.Len() - 1)
			list.Append(last)
			then(path)
			list.Truncate(list.Len() - 2)
			then(path)
			list.Append(last)
		case f.Message() != nil:
			change(value.Message(), path+".", then)
			m.Clear(f)
			then(path)
			m.Set(f, value)
		default:
			m.Set(f, other(f, value))
			then(path)
			m.Set(f, value)
		}
	}
}

func other(f protoreflect.FieldDescriptor, v protoreflect.Value) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(!v.Bool())
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(v.String() + "0")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(append(bytes.Clone(v.Bytes()), 0))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(v.Enum() + 1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(uint32(v.Uint()) + 1)
	case protoreflect.Uint64Kind:
		return protoreflect.ValueOfUint64(v.Uint() + 1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(v.Int()) + 1)
	case protoreflect.Int64Kind:
		return protoreflect.ValueOfInt64(v.Int() + 1)
	}
	panic(fmt.Sprintf("no other value of %s", f.FullName()))
}

// leaveOut takes each key out of the proof in turn. The answer follows from what is left only where that has the key, or both
// of its neighbours, a second time.
func leaveOut(t *testing.T, c *chain, method string, request, answer proto.Message) {
	t.Helper()
	whole := proofIn(answer)
	var keys ics23.CommitmentProof
	if err := keys.Unmarshal(whole.Keys); err != nil {
		t.Fatal(err)
	}
	compressed := keys.GetCompressed()
	entries, enough := compressed.Entries, 0
	for i, e := range entries {
		compressed.Entries = slices.Delete(slices.Clone(entries), i, i+1)
		less, err := keys.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		witness, err := c.check(&proofv1.StateProof{Height: whole.Height, Signed: whole.Signed, Header: whole.Header, Keys: less})
		if err != nil {
			t.Fatal(err)
		}
		twice := true
		for _, leaf := range []*ics23.CompressedExistenceProof{e.GetExist(), e.GetNonexist().GetLeft(), e.GetNonexist().GetRight()} {
			twice = twice && (leaf == nil || witness.leaves[string(leaf.Key)] != nil)
		}
		if twice {
			enough++
		} else if err := queries.Check(witness, method, request, answer); !errors.Is(err, errNotCovered) {
			t.Errorf("%s without %v in its proof: %v", method, e, err)
		}
	}
	if enough == len(entries) && len(entries) > 1 {
		t.Errorf("%s: nothing could be left out of the proof", method)
	}
}

// TestWhichHeightIsProven asks for a balance that changes, at the tip and around it.
func TestWhichHeightIsProven(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	c := newChain(w)
	conn := dial(t, w.serve(func(cfg *Config) { cfg.Engine = c }))
	client := assetsv1.NewAssetsServiceClient(conn)
	type result struct {
		answer *assetsv1.GetBalanceResponse
		err    error
	}
	// ask asks and does something while the call is under way.
	ask := func(height, least uint64, meanwhile func()) result {
		t.Helper()
		done := make(chan result, 1)
		go func() {
			answer, err := client.GetBalance(t.Context(), &assetsv1.GetBalanceRequest{
				Asset: "acme/usd", Account: admin, Height: height, MinHeight: least, Prove: true,
			})
			done <- result{answer, err}
		}()
		meanwhile()
		return <-done
	}
	expect := func(name string, r result, height, signed uint64, balance string) {
		t.Helper()
		if r.err != nil {
			t.Fatalf("%s: %v", name, r.err)
		}
		witness, err := c.check(r.answer.Proof)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		header, err := c.verify(r.answer.Proof.Signed)
		if err != nil || r.answer.Height != height || witness.height != height || uint64(header.Height) != signed || r.answer.Holding.GetBalance() != balance {
			t.Errorf("%s: %d of height %d, signed at %d: %v, want height %d, signed at %d, balance %q",
				name, r.answer.Height, witness.height, header.Height, r.answer.Holding, height, signed, balance)
		}
		if want := blockTime(height); !witness.time.Equal(want) {
			t.Errorf("%s: the time is %v, want %v", name, witness.time, want)
		}
	}
	nothing := func() {}
	mint := func(amount string) func() {
		return func() {
			c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: "acme/usd", To: admin, Amount: amount}}})
		}
	}
	expect("the first state waits for the second block, whatever stands in it", ask(0, 0, func() {
		raw, _, _ := w.create("acme/usd")
		c.decide(raw)
	}), 1, 2, "")
	mint("5")()
	expect("the newest has transactions: the one before it", ask(0, 0, nothing), 2, 3, "0")
	expect("its own height waits", ask(3, 0, func() { c.decide() }), 3, 4, "5")
	expect("the newest is idle: itself", ask(0, 0, nothing), 4, 4, "5")
	expect("the same by its height", ask(4, 0, nothing), 4, 4, "5")
	expect("the same by min_height", ask(0, 4, nothing), 4, 4, "5")
	expect("what has a next header hangs on that", ask(3, 0, nothing), 3, 4, "5")
	// Who looks while the block is the newest waits for the next one to sign it; who looks afterwards finds that one idle.
	waited := ask(0, 5, func() { mint("6")(); c.decide() })
	expect("min_height waits for the block and the next", waited, min(max(waited.answer.GetHeight(), 5), 6), 6, "11")
	mint("7")()
	expect("min_height below is no reason to wait", ask(0, 6, nothing), 6, 7, "11")
	expect("an exact height that is still to come, as min_height too", ask(8, 8, func() { mint("8")(); c.decide() }), 8, 9, "26")
	expect("long ago", ask(2, 0, nothing), 2, 3, "0")

	short := func(height, least uint64) error {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		_, err := client.GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: admin, Height: height, MinHeight: least, Prove: true})
		return err
	}
	mint("9")()
	if err := short(w.height, 0); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("the newest, which nothing proves yet: %v", err)
	}
	if err := short(0, w.height+1); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("min_height ahead: %v", err)
	}
	if err := short(w.height+1, 0); status.Code(err) != codes.OutOfRange {
		t.Errorf("a height that is still to come: %v", err)
	}
	if err := short(3, 4); status.Code(err) != codes.InvalidArgument {
		t.Errorf("a height below min_height: %v", err)
	}
}

// TestNextHeaderComesFirst proves the newest state when the next block is decided and not executed yet.
func TestNextHeaderComesFirst(t *testing.T) {
	t.Parallel()
	w := newWorld(t, mempool.Config{})
	c := newChain(w)
	client := governancev1.NewGovernanceServiceClient(dial(t, w.serve(func(cfg *Config) { cfg.Engine = c })))
	view, err := w.app.View(0)
	if err != nil {
		t.Fatal(err)
	}
	c.announce(2, view.AppHash(), nil)
	view.Release()
	answer, err := client.GetCharter(t.Context(), &governancev1.GetCharterRequest{Prove: true})
	if err != nil || answer.Height != 1 {
		t.Fatal(answer, err)
	}
	if _, err := c.check(answer.Proof); err != nil {
		t.Error(err)
	}
}

// TestUnprovable tells apart why there is no proof.
func TestUnprovable(t *testing.T) {
	t.Parallel()
	c, _ := populated(t)
	c.decide()
	get := func(engine Engine) error {
		client := governancev1.NewGovernanceServiceClient(dial(t, c.w.serve(func(cfg *Config) { cfg.Engine = engine })))
		_, err := client.GetCharter(t.Context(), &governancev1.GetCharterRequest{Height: 5, Prove: true})
		return err
	}
	err := get(noBlocks{})
	if reason, _ := whyOf(err); status.Code(err) != codes.FailedPrecondition || reason != "PRUNED" {
		t.Errorf("headers that are gone: %v", err)
	}
	// A node must not give away what does not follow from what was signed.
	c.wrong = make([]byte, 32)
	if err := get(c); status.Code(err) != codes.Internal {
		t.Errorf("a header of another state: %v", err)
	}
}

// TestHeadersAreRemembered reads a header once for many proofs.
func TestHeadersAreRemembered(t *testing.T) {
	t.Parallel()
	c, conn := populated(t)
	client := governancev1.NewGovernanceServiceClient(conn)
	for range 20 {
		if _, err := client.GetCharter(t.Context(), &governancev1.GetCharterRequest{Height: 5, Prove: true}); err != nil {
			t.Fatal(err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked[5] != 1 || c.asked[6] != 1 {
		t.Errorf("the headers were read %d and %d times", c.asked[5], c.asked[6])
	}
}

// TestProofsStandInLine fills the line of the single reads with proofs; reads without proofs go by.
func TestProofsStandInLine(t *testing.T) {
	t.Parallel()
	c, _ := populated(t)
	r, err := newReads(c.w.app, c)
	if err != nil {
		t.Fatal(err)
	}
	r.proofs = newGate(1, 1)
	leave, err := r.proofs.enter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := &governanceServer{reads: r}
	_, err = s.GetCharter(t.Context(), &governancev1.GetCharterRequest{Prove: true})
	if reason, _ := whyOf(err); reason != "FULL" {
		t.Errorf("a proof too many: %v", err)
	}
	if _, err := s.GetCharter(t.Context(), new(governancev1.GetCharterRequest)); err != nil {
		t.Errorf("a read without a proof: %v", err)
	}
	leave()
	if _, err := s.GetCharter(t.Context(), &governancev1.GetCharterRequest{Prove: true}); err != nil {
		t.Errorf("when there is place: %v", err)
	}
}

// memory is a view of a state in memory.
type memory struct{ *statetest.Memory }

func (memory) Height() uint64       { return 1 }
func (memory) BlockTime() time.Time { return genesisTime }

// TestRecorderIsBounded reads more keys than a proof holds.
func TestRecorderIsBounded(t *testing.T) {
	t.Parallel()
	m := memory{new(statetest.Memory)}
	for i := range state.MaxProofKeys + 10 {
		m.Set(fmt.Appendf(nil, "k%06d", i), []byte("v"))
	}
	looked := 0
	r := &recorder{View: m, seen: make(map[string]struct{})}
	err := r.Scan([]byte("k"), nil, func(_, _ []byte) (bool, error) { looked++; return true, nil })
	if !errors.Is(err, errTooMuchToProve) || looked >= state.MaxProofKeys {
		t.Errorf("after %d keys: %v", looked, err)
	}
	if _, err := r.Get([]byte("k000000")); err != nil {
		t.Errorf("a key that was read before: %v", err)
	}
	if _, err := r.Get([]byte("another")); !errors.Is(err, errTooMuchToProve) {
		t.Errorf("another key: %v", err)
	}
	err = toStatus(err)
	if reason, _ := whyOf(err); status.Code(err) != codes.InvalidArgument || reason != "TOO_MUCH_TO_PROVE" || !strings.Contains(err.Error(), "smaller page") {
		t.Errorf("%v", err)
	}
}

// TestWhatIsRecordedSuffices reads random keys and ranges of random states and reads the same of the proof of what was
// recorded. What was not read is not proven by accident of the recorder.
func TestWhatIsRecordedSuffices(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
		store := statetest.New(t)
		key := func() []byte { return fmt.Appendf(nil, "%c%c", 'a'+random.IntN(4), 'a'+random.IntN(6)) }
		for range 1 + random.IntN(3) {
			statetest.Commit(t, store, func(o *state.Overlay) {
				o.Set([]byte("c"), []byte("always"))
				for range random.IntN(20) {
					o.Set(key(), key())
				}
			})
		}
		view := store.Latest()
		defer view.Release()
		type reading func(v exec.View) (string, error)
		var readings []reading
		for range 1 + random.IntN(4) {
			a, b, most := key(), key(), 1+random.IntN(10)
			if bytes.Compare(a, b) > 0 {
				a, b = b, a
			}
			if random.IntN(8) == 0 {
				b = nil
			}
			readings = append(readings, func(v exec.View) (string, error) {
				got, err := v.Get(a)
				return fmt.Sprintf("%q", got), err
			}, func(v exec.View) (string, error) {
				var text strings.Builder
				left := most
				err := v.Scan(a, b, func(key, value []byte) (bool, error) {
					left--
					fmt.Fprintf(&text, "%q=%q ", key, value)
					return left > 0, nil
				})
				return text.String(), err
			})
		}
		random.Shuffle(len(readings), func(i, j int) { readings[i], readings[j] = readings[j], readings[i] })
		used, unused := readings[:len(readings)/2], readings[len(readings)/2:]
		r := &recorder{View: view, seen: make(map[string]struct{})}
		want := make([]string, len(used))
		var err error
		for i, read := range used {
			if want[i], err = read(r); err != nil {
				rt.Fatal(err)
			}
		}
		encoded, err := view.Prove(r.keys)
		if err != nil {
			rt.Fatal(err)
		}
		w, err := witnessOf(view.Height(), view.AppHash(), encoded)
		if err != nil {
			rt.Fatal(err)
		}
		for i, read := range used {
			if got, err := read(w); err != nil || got != want[i] {
				rt.Fatalf("reading %d of the proof gives %s, %v; of the state %s", i, got, err, want[i])
			}
		}
		for i, read := range unused {
			// It may be covered by chance; then it is right.
			want, err := read(view)
			if err != nil {
				rt.Fatal(err)
			}
			if got, err := read(w); err == nil && got != want {
				rt.Fatalf("reading %d, which was not recorded, gives %s of the proof, %s of the state", i, got, want)
			}
		}
	})
}
