package node_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/internal/home"
	schema "github.com/althing-ledger/althing/proto"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	proposalsv1 "github.com/althing-ledger/althing/proto/gen/althing/proposals/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// httpAddress is where the node serves HTTP.
func (m *member) httpAddress() string {
	m.t.Helper()
	h, err := home.Load(m.home)
	if err != nil {
		m.t.Fatal(err)
	}
	return h.Config.HTTP.Listen
}

// open sends a request for a path of the node's API.
func (m *member) open(ctx context.Context, path string, headers ...string) *http.Response {
	m.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.httpAddress()+path, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		m.t.Fatal(err)
	}
	return res
}

// TestHTTPIsGRPC asks each route, and compares with what gRPC answers.
func TestHTTPIsGRPC(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	hold := n.must(m, &ledgerv1.Operation{Account: "acme/treasury", Kind: &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: &assetsv1.OpenHold{
		Asset: "acme/usd", To: "acme/admin", Amount: "5", Deadline: timestamppb.New(time.Now().Add(time.Hour)),
	}}})
	height := n.must(m, &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
		Record: "acme/invoices/2026-001", ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("one")},
	}}}).Height
	// The empty block that proves the last change is the last one: nothing moves between two calls that are compared.
	n.sameState(height + 1)
	at := fmt.Sprintf("?height=%d", height)
	outcome := hex.EncodeToString(hold.Id)

	accounts, assets := accountsv1.NewAccountsServiceClient(m.conn), assetsv1.NewAssetsServiceClient(m.conn)
	records, members := recordsv1.NewRecordsServiceClient(m.conn), membershipv1.NewMembershipServiceClient(m.conn)
	charter, proposals := governancev1.NewGovernanceServiceClient(m.conn), proposalsv1.NewProposalsServiceClient(m.conn)
	history := historyv1.NewHistoryServiceClient(m.conn)
	holds, err := assets.ListHolds(t.Context(), &assetsv1.ListHoldsRequest{})
	if err != nil || len(holds.GetHolds()) != 1 {
		t.Fatal(holds, err)
	}
	holdID := holds.GetHolds()[0].GetId()

	covered := map[string]bool{"/v1/watch": true, "/v1/transactions": true, "/v1/proposals/{id}": true}
	for _, c := range []struct {
		route, path string
		ask         func(context.Context) (proto.Message, error)
	}{
		{"/v1/orgs", "/v1/orgs" + at, func(ctx context.Context) (proto.Message, error) {
			return accounts.ListOrgs(ctx, &accountsv1.ListOrgsRequest{Height: height})
		}},
		{"/v1/orgs/{name}", "/v1/orgs/acme" + at, func(ctx context.Context) (proto.Message, error) {
			return accounts.GetOrg(ctx, &accountsv1.GetOrgRequest{Height: height, Name: "acme"})
		}},
		{"/v1/accounts", "/v1/accounts" + at + "&page_size=1&org=acme", func(ctx context.Context) (proto.Message, error) {
			return accounts.ListAccounts(ctx, &accountsv1.ListAccountsRequest{Height: height, PageSize: 1, Org: "acme"})
		}},
		{"/v1/accounts/{name}", "/v1/accounts/acme/treasury" + at, func(ctx context.Context) (proto.Message, error) {
			return accounts.GetAccount(ctx, &accountsv1.GetAccountRequest{Height: height, Name: "acme/treasury"})
		}},
		{"/v1/assets", "/v1/assets" + at, func(ctx context.Context) (proto.Message, error) {
			return assets.ListAssets(ctx, &assetsv1.ListAssetsRequest{Height: height})
		}},
		{"/v1/assets/{asset}", "/v1/assets/acme/usd" + at, func(ctx context.Context) (proto.Message, error) {
			return assets.GetAsset(ctx, &assetsv1.GetAssetRequest{Height: height, Asset: "acme/usd"})
		}},
		{"/v1/balances", "/v1/balances" + at + "&account=acme/treasury", func(ctx context.Context) (proto.Message, error) {
			return assets.ListBalances(ctx, &assetsv1.ListBalancesRequest{Height: height, Account: "acme/treasury"})
		}},
		{"/v1/balances/{account}/{asset}", "/v1/balances/acme/treasury/acme/usd" + at, func(ctx context.Context) (proto.Message, error) {
			return assets.GetBalance(ctx, &assetsv1.GetBalanceRequest{Height: height, Account: "acme/treasury", Asset: "acme/usd"})
		}},
		{"/v1/holds", "/v1/holds" + at, func(ctx context.Context) (proto.Message, error) {
			return assets.ListHolds(ctx, &assetsv1.ListHoldsRequest{Height: height})
		}},
		{"/v1/holds/{hold_id}", "/v1/holds/" + hex.EncodeToString(holdID) + at, func(ctx context.Context) (proto.Message, error) {
			return assets.GetHold(ctx, &assetsv1.GetHoldRequest{Height: height, HoldId: holdID})
		}},
		{"/v1/supply", "/v1/supply" + at, func(ctx context.Context) (proto.Message, error) {
			return assets.CheckSupply(ctx, &assetsv1.CheckSupplyRequest{Height: height})
		}},
		{"/v1/collections/{collection}", "/v1/collections/acme/invoices" + at, func(ctx context.Context) (proto.Message, error) {
			return records.GetCollection(ctx, &recordsv1.GetCollectionRequest{Height: height, Collection: "acme/invoices"})
		}},
		{"/v1/collections/{collection}/records", "/v1/collections/acme/invoices/records" + at, func(ctx context.Context) (proto.Message, error) {
			return records.ListRecords(ctx, &recordsv1.ListRecordsRequest{Height: height, Collection: "acme/invoices"})
		}},
		{"/v1/records/{record}", "/v1/records/acme/invoices/2026-001" + at + "&version=1", func(ctx context.Context) (proto.Message, error) {
			return records.GetRecord(ctx, &recordsv1.GetRecordRequest{Height: height, Record: "acme/invoices/2026-001", Version: 1})
		}},
		{"/v1/records/{record}/history", "/v1/records/acme/invoices/2026-001/history" + at, func(ctx context.Context) (proto.Message, error) {
			return records.GetHistory(ctx, &recordsv1.GetHistoryRequest{Height: height, Record: "acme/invoices/2026-001"})
		}},
		{"/v1/nodes", "/v1/nodes" + at + "&removed=true", func(ctx context.Context) (proto.Message, error) {
			return members.ListNodes(ctx, &membershipv1.ListNodesRequest{Height: height, Removed: true})
		}},
		{"/v1/nodes/{name}", "/v1/nodes/acme-1" + at, func(ctx context.Context) (proto.Message, error) {
			return members.GetNode(ctx, &membershipv1.GetNodeRequest{Height: height, Name: "acme-1"})
		}},
		{"/v1/validators", "/v1/validators" + at, func(ctx context.Context) (proto.Message, error) {
			return members.ListValidators(ctx, &membershipv1.ListValidatorsRequest{Height: height})
		}},
		{"/v1/changes", "/v1/changes" + at + "&node=acme-1", func(ctx context.Context) (proto.Message, error) {
			return members.ListChanges(ctx, &membershipv1.ListChangesRequest{Height: height, Node: "acme-1"})
		}},
		{"/v1/evidence", "/v1/evidence" + at, func(ctx context.Context) (proto.Message, error) {
			return members.ListEvidence(ctx, &membershipv1.ListEvidenceRequest{Height: height})
		}},
		{"/v1/charter", "/v1/charter" + at, func(ctx context.Context) (proto.Message, error) {
			return charter.GetCharter(ctx, &governancev1.GetCharterRequest{Height: height})
		}},
		{"/v1/proposals", "/v1/proposals" + at + "&status=PROPOSAL_STATUS_OPEN", func(ctx context.Context) (proto.Message, error) {
			return proposals.ListProposals(ctx, &proposalsv1.ListProposalsRequest{Height: height, Status: governancev1.ProposalStatus_PROPOSAL_STATUS_OPEN})
		}},
		{"/v1/history", "/v1/history?account=acme/treasury&page_size=1&min_height=" + fmt.Sprint(hold.Height), func(ctx context.Context) (proto.Message, error) {
			return history.ListTransactions(ctx, &historyv1.ListTransactionsRequest{
				Subject: &historyv1.ListTransactionsRequest_Account{Account: "acme/treasury"}, PageSize: 1, MinHeight: hold.Height,
			})
		}},
		{"/v1/status", "/v1/status", func(ctx context.Context) (proto.Message, error) {
			return m.ledger().GetStatus(ctx, &ledgerv1.GetStatusRequest{})
		}},
		{"/v1/transactions/{id}", "/v1/transactions/" + outcome, func(ctx context.Context) (proto.Message, error) {
			return m.ledger().GetTransaction(ctx, &ledgerv1.GetTransactionRequest{Id: hold.Id})
		}},
		{"/v1/transactions/{id}", "/v1/transactions/" + outcome + "?prove=true", func(ctx context.Context) (proto.Message, error) {
			return m.ledger().GetTransaction(ctx, &ledgerv1.GetTransactionRequest{Id: hold.Id, Prove: true})
		}},
		{"/v1/transactions/{id}/wait", "/v1/transactions/" + outcome + "/wait", func(ctx context.Context) (proto.Message, error) {
			return m.ledger().WaitTransaction(ctx, &ledgerv1.WaitTransactionRequest{Id: hold.Id})
		}},
		{"/v1/transactions/{id}/attestation", "/v1/transactions/" + outcome + "/attestation", func(ctx context.Context) (proto.Message, error) {
			return m.ledger().Attest(ctx, &ledgerv1.AttestRequest{Id: hold.Id})
		}},
		{"/v1/blocks/{height}", fmt.Sprintf("/v1/blocks/%d", hold.Height), func(ctx context.Context) (proto.Message, error) {
			return m.ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: hold.Height})
		}},
		{"/v1/blocks/{height}", fmt.Sprintf("/v1/blocks/%d?header_only=true&prove=true", hold.Height), func(ctx context.Context) (proto.Message, error) {
			return m.ledger().GetBlock(ctx, &ledgerv1.GetBlockRequest{Height: hold.Height, HeaderOnly: true, Prove: true})
		}},
		{"/v1/lineage", "/v1/lineage?genesis=true", func(ctx context.Context) (proto.Message, error) {
			return m.ledger().GetLineage(ctx, &ledgerv1.GetLineageRequest{Genesis: true})
		}},
		{"/v1/accounts/{name}", "/v1/accounts/acme/nobody?prove=true", func(ctx context.Context) (proto.Message, error) {
			return accounts.GetAccount(ctx, &accountsv1.GetAccountRequest{Name: "acme/nobody", Prove: true})
		}},
	} {
		covered[c.route] = true
		want, err := c.ask(t.Context())
		if err != nil {
			t.Errorf("%s: gRPC answers %v", c.path, err)
			continue
		}
		res := m.open(t.Context(), c.path)
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s %v %s", c.path, res.Status, err, body)
			continue
		}
		got := want.ProtoReflect().New().Interface()
		if err := protojson.Unmarshal(body, got); err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		if volatile(got, want); !proto.Equal(got, want) {
			t.Errorf("%s\n%v\nover gRPC\n%v", c.path, got, want)
		}
	}
	var document struct{ Paths map[string]any }
	if err := json.Unmarshal([]byte(schema.OpenAPI), &document); err != nil {
		t.Fatal(err)
	}
	for path := range document.Paths {
		if !covered[path] {
			t.Errorf("%s is not compared", path)
		}
	}
}

// volatile takes out of two answers what differs from call to call.
func volatile(answers ...proto.Message) {
	for _, answer := range answers {
		switch a := answer.(type) {
		case *ledgerv1.GetStatusResponse:
			*a = ledgerv1.GetStatusResponse{ChainId: a.ChainId, GenesisHash: a.GenesisHash, Height: a.Height, AppHash: a.AppHash}
		case *ledgerv1.AttestResponse:
			a.Cose = a.Cose[:min(16, len(a.Cose))] // it may say when it was signed
		}
	}
}

// event is one of Server-Sent Events.
type event struct {
	id, kind string
	data     []byte
}

// events reads a stream as browsers do.
type events struct {
	t    testing.TB
	scan *bufio.Scanner
	last string // the id that a browser would come back with
}

func newEvents(t testing.TB, body io.Reader) *events {
	scan := bufio.NewScanner(body)
	scan.Buffer(nil, 16<<20)
	return &events{t: t, scan: scan}
}

// next returns the next event. Comments and events without data are none, but the latter move the id.
func (e *events) next() event {
	e.t.Helper()
	var now event
	for e.scan.Scan() {
		line := e.scan.Text()
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && now.data != nil:
			now.id = e.last
			return now
		case field == "id":
			e.last = value
		case field == "event":
			now.kind = value
		case field == "data":
			now.data = append(now.data, value...)
		}
	}
	e.t.Fatalf("the stream ended: %v", e.scan.Err())
	return event{}
}

// TestEventsResume cuts a stream of events after each of them and goes on as a browser does: with the id of the last one.
func TestEventsResume(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	for range 5 {
		n.must(m, transfer("acme/treasury", "acme/usd", "acme/admin", "1"), transfer("acme/treasury", "acme/usd", "acme/admin", "2"))
	}
	newest := m.status(t).Height
	for _, c := range []struct {
		query, kind string
		items       int
	}{
		{"detail=DETAIL_EVENTS&filter.assets=acme/usd", "event", 10},
		{"detail=DETAIL_TRANSACTIONS&filter.accounts=acme/treasury&filter.kinds=asset_transfer", "transaction", 5},
		{"", "block", int(newest)},
	} {
		stream, err := m.ledger().Watch(t.Context(), watchRequest(t, c.query))
		if err != nil {
			t.Fatal(err)
		}
		path, last := "/v1/watch?from_height=1", ""
		if c.query != "" {
			path += "&" + c.query
		}
		for range c.items {
			want, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			headers := []string{"Accept", "text/event-stream"}
			if last != "" {
				headers = append(headers, "Last-Event-ID", last)
			}
			res := m.open(ctx, path, headers...)
			if got := res.Header.Get("Content-Type"); res.StatusCode != http.StatusOK || got != "text/event-stream" {
				t.Fatalf("%s: %s, %s", path, res.Status, got)
			}
			got := newEvents(t, res.Body).next()
			cancel()
			res.Body.Close()
			item := new(ledgerv1.WatchResponse)
			if err := protojson.Unmarshal(got.data, item); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(item, want) || got.kind != c.kind || got.id != want.Cursor {
				t.Fatalf("%s, %s after %q:\n%v\nover gRPC\n%v", c.query, got.kind, last, item, want)
			}
			last = got.id
		}
	}
}

// watchRequest is what a query asks for, from the first block on.
func watchRequest(t testing.TB, query string) *ledgerv1.WatchRequest {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	q := &ledgerv1.WatchRequest{FromHeight: 1, Detail: ledgerv1.Detail(ledgerv1.Detail_value[values.Get("detail")])}
	if len(values) > 1 {
		q.Filter = &ledgerv1.Filter{Assets: values["filter.assets"], Accounts: values["filter.accounts"], Kinds: values["filter.kinds"]}
	}
	return q
}

// TestEventsLive follows the tip: a heartbeat while nothing happens moves the id on, a new block comes at once, and a node that
// stops says so.
func TestEventsLive(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	res := m.open(t.Context(), "/v1/watch?heartbeat_ms=1000")
	defer res.Body.Close()
	stream := newEvents(t, res.Body)
	for beat := false; !beat; {
		if !stream.scan.Scan() {
			t.Fatal(stream.scan.Err())
		}
		line := stream.scan.Text()
		if id, is := strings.CutPrefix(line, "id: "); is {
			stream.last = id
		}
		beat = strings.HasPrefix(line, ": everything up to block")
	}
	if stream.last == "" {
		t.Error("the heartbeat has no id")
	}
	outcome := n.must(m, createAsset("acme/admin", "acme/usd"))
	for {
		item := new(ledgerv1.WatchResponse)
		if err := protojson.Unmarshal(stream.next().data, item); err != nil {
			t.Fatal(err)
		}
		if item.GetBlock().GetHeight() == outcome.Height {
			break
		}
	}
	m.stop()
	for {
		last := stream.next()
		if last.kind == "block" {
			continue
		}
		if last.kind != "failed" || !bytes.Contains(last.data, []byte("the node stops")) {
			t.Errorf("%s %s", last.kind, last.data)
		}
		return
	}
}

// TestHTTPOverTLS serves beyond loopback, with the certificate of gRPC.
func TestHTTPOverTLS(t *testing.T) {
	t.Parallel()
	_, m := single(t, func(c *home.Config) {
		_, port, _ := strings.Cut(c.HTTP.Listen, ":")
		c.HTTP.Listen = "0.0.0.0:" + port
	})
	h, err := home.Load(m.home)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := os.ReadFile(h.Dir.Certificate())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	_, port, _ := strings.Cut(h.Config.HTTP.Listen, ":")
	res, err := client.Get("https://localhost:" + port + "/v1/status")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK || res.ProtoMajor != 2 {
		t.Errorf("%s over %s", res.Status, res.Proto)
	}
	if res, err := http.Get("http://localhost:" + port + "/v1/status"); err == nil {
		res.Body.Close()
		if res.StatusCode == http.StatusOK {
			t.Error("it also speaks plain text")
		}
	}
}
