package node_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/testnet"
)

// single is a network of one validator that runs.
func single(t *testing.T, change func(*home.Config)) (*network, *member) {
	t.Helper()
	n := newNetworkOf(t, testnet.Options{Validators: 1, Name: "test"}, nil, change)
	n.startAll()
	return n, n.nodes[0]
}

func TestProfilesOnlyWhereConfigured(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{false, true} {
		_, m := single(t, func(c *home.Config) { c.Metrics.Profiles = on })
		want := http.StatusNotFound
		if on {
			want = http.StatusOK
		}
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/goroutine?debug=1", "/debug/pprof/profile?seconds=1"} {
			if status, _ := m.page(path); status != want {
				t.Errorf("with profiles %v, %s answers %d, want %d", on, path, status, want)
			}
		}
	}
}

// reasonOf returns the reason in an error's details.
func reasonOf(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.Domain == "althing" {
			return info.Reason
		}
	}
	return ""
}

// TestRefusals sends what must be refused before it is ordered: each has its own code and says what to do, and the node
// goes on.
func TestRefusals(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	pay := transfer("acme/treasury", "acme/usd", "acme/admin", "1")
	chainID := n.files.File.ChainID
	account := func(name string) keys.PrivateKey {
		list, err := n.files.File.Keys(name)
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	payer, stranger := account("acme/treasury"), account("acme/admin")
	build := func(change func(*ledgerv1.Body), sign func(*ledgerv1.Tx)) []byte {
		raw := new(bytes.Buffer)
		raw.Write([]byte("0123456789abcdef"))
		body, err := tx.NewBody(chainID, time.Now().Add(time.Minute), raw, pay)
		if err != nil {
			t.Fatal(err)
		}
		change(body)
		unsigned, _, err := tx.Unsigned(body)
		if err != nil {
			t.Fatal(err)
		}
		sign(unsigned)
		encoded, err := unsigned.MarshalVTStrict()
		if err != nil {
			t.Fatal(err)
		}
		return encoded
	}
	by := func(name string, key keys.PrivateKey) func(*ledgerv1.Tx) {
		return func(u *ledgerv1.Tx) {
			if err := tx.AddSignature(u, chainID, name, key); err != nil {
				t.Fatal(err)
			}
		}
	}
	signed, same := by("acme/treasury", payer), func(*ledgerv1.Body) {}
	good := build(same, signed)
	op := func(op *ledgerv1.Operation) func(*ledgerv1.Body) {
		return func(b *ledgerv1.Body) { b.Operations = []*ledgerv1.Operation{op} }
	}
	until := func(d time.Duration) func(*ledgerv1.Body) {
		return func(b *ledgerv1.Body) { b.ExpiresAt = timestamppb.New(time.Now().Add(d)) }
	}
	for _, c := range []struct {
		name   string
		raw    []byte
		reason string
	}{
		{"no bytes", nil, "MALFORMED"},
		{"bytes that are nothing", []byte("\xff\xff\xff"), "MALFORMED"},
		{"cut off", good[:len(good)-3], "MALFORMED"},
		{"too large", build(func(b *ledgerv1.Body) { b.Memo = strings.Repeat("x", 300<<10) }, signed), "TOO_LARGE"},
		{"a field that nobody knows", append(slices.Clone(good), 0x7a, 0), "UNKNOWN_FIELD"},
		{"the body twice", append(slices.Clone(good), 0x0a, 0), "REPEATED_FIELD"},
		{"another network", build(func(b *ledgerv1.Body) { b.ChainId = "other-12345678" }, signed), "WRONG_CHAIN"},
		{"expired", build(until(-time.Second), signed), "EXPIRED"},
		{"too distant", build(until(25*time.Hour), signed), "EXPIRY_TOO_DISTANT"},
		{"an unknown account", build(op(transfer("acme/nobody", "acme/usd", "acme/admin", "1")), by("acme/nobody", payer)), "UNKNOWN_ACCOUNT"},
		{"no signature", build(same, func(*ledgerv1.Tx) {}), "MISSING_SIGNATURE"},
		{"a surplus signature", build(same, func(u *ledgerv1.Tx) { signed(u); by("acme/admin", stranger)(u) }), "SURPLUS_SIGNATURE"},
		{"somebody else's key", build(same, by("acme/treasury", stranger)), "KEY_NOT_LISTED"},
		{"a signature of something else", build(same, func(u *ledgerv1.Tx) { signed(u); u.Signatures[0].Signature[40] ^= 1 }), "WRONG_SIGNATURE"},
		{"no operation", build(func(b *ledgerv1.Body) { b.Operations[0].Kind = nil }, signed), "UNKNOWN_OPERATION"},
		{"an amount of zero", build(op(transfer("acme/treasury", "acme/usd", "acme/admin", "0")), signed), "BAD_AMOUNT"},
		{"an amount beyond 128 bits", build(op(transfer("acme/treasury", "acme/usd", "acme/admin", strings.Repeat("9", 39))), signed), "BAD_AMOUNT"},
		{"a bad name", build(op(transfer("acme/treasury", "acme/USD", "acme/admin", "1")), signed), "BAD_NAME"},
		{"a short nonce", build(func(b *ledgerv1.Body) { b.Nonce = []byte{1} }, signed), "BAD_FIELD"},
	} {
		before := m.status(t).AppHash
		_, err := m.ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: c.raw, Wait: true})
		if got := reasonOf(err); got != c.reason {
			t.Errorf("%s: %q, want %s (%v)", c.name, got, c.reason, err)
		}
		if len(status.Convert(err).Message()) < 20 {
			t.Errorf("%s: %q does not say what to do", c.name, status.Convert(err).Message())
		}
		if !bytes.Equal(m.status(t).AppHash, before) {
			t.Errorf("%s: the state has changed", c.name)
		}
	}
	if _, err := m.ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: good, Wait: true}); err != nil {
		t.Errorf("after all that, a good one: %v", err)
	}
}

// TestRejections runs what is ordered and then refused: the outcome has a code of its own and nothing has changed but the
// memory of the id.
func TestRejections(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100"))
	for _, c := range []struct {
		op   *ledgerv1.Operation
		code ledgerv1.Code
	}{
		{transfer("acme/treasury", "acme/usd", "acme/admin", "101"), ledgerv1.Code_CODE_OVERDRAFT},
		{transfer("acme/treasury", "acme/eur", "acme/admin", "1"), ledgerv1.Code_CODE_NOT_FOUND},
		{transfer("acme/treasury", "acme/usd", "acme/nobody", "1"), ledgerv1.Code_CODE_NOT_FOUND},
		{mint("acme/treasury", "acme/usd", "acme/admin", "1"), ledgerv1.Code_CODE_ROLE_REQUIRED},
		{mint("acme/admin", "acme/usd", "acme/admin", "340282366920938463463374607431768211455"), ledgerv1.Code_CODE_OVERFLOW},
		{createAsset("acme/admin", "acme/usd"), ledgerv1.Code_CODE_ALREADY_EXISTS},
		{&ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record: "acme/docs/1", ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("x")}, ExpectVersion: new(uint64(4)),
		}}}, ledgerv1.Code_CODE_VERSION_MISMATCH},
		{&ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_AccountSetRoles{AccountSetRoles: &accountsv1.SetRoles{
			Name: "acme/admin", Roles: []string{"payer"},
		}}}, ledgerv1.Code_CODE_LAST_ADMIN},
	} {
		raw, id, _ := n.sign(time.Minute, c.op)
		res, err := m.ledger().Submit(t.Context(), &ledgerv1.SubmitRequest{Tx: raw, Wait: true})
		if err != nil || res.Status != ledgerv1.TxStatus_TX_STATUS_REJECTED || res.Outcome.Code != c.code || res.Outcome.Message == "" {
			t.Errorf("%v: %v %v, want %v", c.op, res, err, c.code)
			continue
		}
		again, err := m.ledger().GetTransaction(t.Context(), &ledgerv1.GetTransactionRequest{Id: id[:]})
		if err != nil || again.Status != res.Status || again.Outcome.Code != c.code {
			t.Errorf("%v: asked again: %v %v", c.op, again, err)
		}
	}
	if got := n.balance(m, "acme/usd", "acme/treasury"); got != "100" {
		t.Errorf("the balance is %s", got)
	}
}

// TestReads asks at heights that are kept, pruned and still to come, and for what is not there.
func TestReads(t *testing.T) {
	t.Parallel()
	n, m := single(t, func(c *home.Config) { c.State.KeepHeights, c.State.KeepFor = 3, 0 })
	first := n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100")).Height
	assets := assetsv1.NewAssetsServiceClient(m.conn)
	ask := func(height, least uint64, prove bool) (*assetsv1.GetBalanceResponse, error) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		return assets.GetBalance(ctx, &assetsv1.GetBalanceRequest{
			Asset: "acme/usd", Account: "acme/treasury", Height: height, MinHeight: least, Prove: prove,
		})
	}
	at, err := ask(first, 0, false)
	if err != nil || at.Height != first || at.Holding.Balance != "100" {
		t.Fatalf("at height %d: %v %v", first, at, err)
	}
	for range 4 {
		last := n.must(m, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
		if at, err = ask(0, last.Height, false); err != nil || at.Height < last.Height {
			t.Fatalf("after height %d: %v %v", last.Height, at, err)
		}
	}
	if at.Holding.Balance != "96" {
		t.Errorf("the balance is %s", at.Holding.Balance)
	}
	for _, c := range []struct {
		height, least uint64
		prove         bool
		code          codes.Code
		reason        string
	}{
		{height: first, code: codes.FailedPrecondition, reason: "PRUNED"},
		{height: 1 << 40, code: codes.OutOfRange, reason: "FUTURE"},
		{height: 5, least: 6, code: codes.InvalidArgument},
		{height: first, prove: true, code: codes.FailedPrecondition, reason: "PRUNED"},
		{height: 1 << 40, prove: true, code: codes.OutOfRange, reason: "FUTURE"},
	} {
		if _, err := ask(c.height, c.least, c.prove); status.Code(err) != c.code || reasonOf(err) != c.reason {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if _, err := assets.GetAsset(t.Context(), &assetsv1.GetAssetRequest{Asset: "acme/eur"}); status.Code(err) != codes.NotFound {
		t.Errorf("an asset that is not there: %v", err)
	}
	if _, err := m.ledger().GetBlock(t.Context(), &ledgerv1.GetBlockRequest{Height: 1 << 40}); status.Code(err) != codes.OutOfRange {
		t.Errorf("a block to come: %v", err)
	}
	// A read waits for the height it wants, within its deadline.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = assets.GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "acme/treasury", MinHeight: 1 << 40})
	if code := status.Code(err); code != codes.DeadlineExceeded {
		t.Errorf("a height that does not come: %v", err)
	}
}

// TestWatch streams blocks from the first one, across a restart, without a gap.
func TestWatch(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100"))
	next, seen := uint64(1), 0
	follow := func(until int) {
		stream, err := m.ledger().Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: next})
		if err != nil {
			t.Fatal(err)
		}
		for seen < until {
			res, err := stream.Recv()
			if err != nil {
				t.Fatal(err)
			}
			block := res.GetBlock()
			if block.GetHeight() != next || len(block.Txs) != len(block.Outcomes) || len(block.AppHash) != 32 {
				t.Fatalf("wanted block %d, got %v", next, block)
			}
			next++
			seen += len(block.Outcomes)
		}
	}
	follow(1)
	m.stop()
	m.start()
	m.waitReady()
	for range 3 {
		n.must(m, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
	}
	follow(4)
}

// TestWatchers watches more often than one client may, and ahead of the ledger.
func TestWatchers(t *testing.T) {
	t.Parallel()
	_, m := single(t, nil)
	ahead, err := m.ledger().Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 1 << 40})
	if err == nil {
		_, err = ahead.Recv()
	}
	if status.Code(err) != codes.OutOfRange || reasonOf(err) != "FUTURE" {
		t.Errorf("ahead of the ledger: %v", err)
	}
	// A quarter of a thousand; each has a block before the next one comes.
	const share = 250
	for i := range share + 1 {
		stream, err := m.ledger().Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 1})
		if err == nil {
			_, err = stream.Recv()
		}
		switch {
		case i < share && err != nil:
			t.Fatalf("watcher %d: %v", i, err)
		case i == share && (status.Code(err) != codes.ResourceExhausted || reasonOf(err) != "FULL"):
			t.Errorf("watcher %d: %v", i, err)
		}
	}
	if m.status(t).Height == 0 {
		t.Error("the others are not served")
	}
}

// TestStream submits many transactions on one stream, good and bad, and gets the answers in their order.
func TestStream(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "100000"))
	stream, err := m.ledger().SubmitStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const many = 50
	var ids []tx.ID
	for i := range many {
		raw, id, _ := n.sign(time.Minute, transfer("acme/treasury", "acme/usd", "acme/admin", "1"))
		if i%10 == 9 {
			raw = raw[:len(raw)-1]
		}
		ids = append(ids, id)
		if err := stream.Send(&ledgerv1.SubmitStreamRequest{Tx: raw, Wait: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		res, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if res.RefusedCode != uint32(ledgerv1.Code_CODE_MALFORMED) || res.RefusedReason != "MALFORMED" || res.RefusedMessage == "" {
				t.Errorf("answer %d: %v", i, res)
			}
		} else if !bytes.Equal(res.Id, ids[i][:]) || res.Status != ledgerv1.TxStatus_TX_STATUS_COMMITTED {
			t.Errorf("answer %d: %v", i, res)
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v", err)
	}
}

// TestHealthReflectionMetrics looks at what operators and tools look at.
func TestHealthReflectionMetrics(t *testing.T) {
	t.Parallel()
	n, m := single(t, nil)
	n.must(m, createAsset("acme/admin", "acme/usd"))
	health, err := grpc_health_v1.NewHealthClient(m.conn).Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	if err != nil || health.Status != grpc_health_v1.HealthCheckResponse_SERVING {
		t.Errorf("health: %v %v", health, err)
	}
	stream, err := grpc_reflection_v1.NewServerReflectionClient(m.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&grpc_reflection_v1.ServerReflectionRequest{
		MessageRequest: &grpc_reflection_v1.ServerReflectionRequest_ListServices{ListServices: "*"},
	}); err != nil {
		t.Fatal(err)
	}
	list, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"althing.ledger.v1.LedgerService", "althing.assets.v1.AssetsService", "grpc.health.v1.Health"} {
		if !strings.Contains(fmt.Sprint(list), service) {
			t.Errorf("reflection does not list %s", service)
		}
	}
	page := m.metrics()
	for _, name := range []string{
		"althing_block_height ", `althing_transactions_total{result="applied"} 1`, "althing_peers 0", "althing_ready 1",
		"althing_mempool_transactions 0", "althing_database_disk_bytes ", "althing_transaction_commit_duration_seconds_count 1",
		`althing_grpc_call_duration_seconds_count{code="OK",method="althing.ledger.v1.LedgerService/Submit"} 1`, "althing_consensus_call_duration_seconds_bucket",
	} {
		if !strings.Contains(page, name) {
			t.Errorf("the metrics have no %q", name)
		}
	}
}

// TestRateLimit lets one client call more often than it may.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	_, m := single(t, func(c *home.Config) { c.GRPC.RequestsPerSecond, c.GRPC.Burst = 1, 1000 })
	refused := 0
	for i := 0; refused == 0 && i < 100_000; i++ {
		_, err := m.ledger().GetStatus(t.Context(), &ledgerv1.GetStatusRequest{}, grpc.WaitForReady(true))
		if status.Code(err) == codes.ResourceExhausted {
			refused++
			retry := false
			for _, detail := range status.Convert(err).Details() {
				info, is := detail.(*errdetails.RetryInfo)
				retry = retry || is && info.RetryDelay.AsDuration() > 0
			}
			if !retry {
				t.Errorf("the refusal says nothing about when to come back: %v", err)
			}
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}
