package grpcapi

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/token"
	"github.com/althing-ledger/althing/proto/tx"
)

const auditor = "acme/auditor"

// closed is a world whose reads are for those who hold the role auditor, with a server and a clock that the test sets.
type closed struct {
	*world
	tokenKey keys.PrivateKey // of acme/auditor
	now      atomic.Int64    // the server's clock, nanoseconds since 1970
	conn     *grpc.ClientConn
}

func newClosed(t testing.TB) *closed {
	t.Helper()
	c := &closed{tokenKey: generate(t)}
	c.world = newWorldOf(t, mempool.Config{}, func(doc *genesisv1.Genesis) {
		doc.Charter = &governancev1.Charter{
			ReadAccess: governancev1.ReadAccess_READ_ACCESS_MEMBERS, ReadRoles: []string{"auditor"}, MaxTokenSeconds: 600,
		}
		doc.Accounts = append(doc.Accounts, &accountsv1.Account{
			Name: auditor, Threshold: 1, Roles: []string{"auditor"}, TokenKeys: []*keysv1.PublicKey{wireKey(c.tokenKey)},
			Keys: doc.Accounts[0].Keys,
		})
	})
	c.now.Store(genesisTime.Add(time.Hour).UnixNano())
	address := c.serve(func(cfg *Config) {
		cfg.Engine, cfg.Now = emptyBlocks{}, c.clock
	})
	c.conn = dial(t, address)
	return c
}

func (c *closed) clock() time.Time { return time.Unix(0, c.now.Load()) }

// emptyBlocks is an engine that has all blocks, without transactions.
type emptyBlocks struct{ noBlocks }

func (emptyBlocks) Block(height uint64) (Block, error) { return Block{Time: blockTime(height)}, nil }

// token returns a good token of acme/auditor, changed.
func (c *closed) token(change func(*token.Claims)) string {
	c.t.Helper()
	claims := token.Claims{Account: auditor, ChainID: c.chainID, IssuedAt: c.clock(), ExpiresAt: c.clock().Add(5 * time.Minute)}
	change(&claims)
	text, err := token.Sign(c.tokenKey, claims)
	if err != nil {
		c.t.Fatal(err)
	}
	return text
}

func asIs(*token.Claims) {}

func with(ctx context.Context, text string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+text)
}

// read asks for an account and returns the reason of a refusal, or the empty text.
func (c *closed) read(ctx context.Context) string {
	c.t.Helper()
	_, err := accountsv1.NewAccountsServiceClient(c.conn).GetAccount(ctx, &accountsv1.GetAccountRequest{Name: admin})
	reason, _ := whyOf(err)
	want := codes.OK
	switch reason {
	case "FORBIDDEN":
		want = codes.PermissionDenied
	case "TOKEN_REQUIRED", "TOKEN_INVALID", "TOKEN_EXPIRED":
		want = codes.Unauthenticated
	}
	if status.Code(err) != want {
		c.t.Errorf("%s: %v", reason, err)
	}
	return reason
}

// TestMayRead is the decision, row by row.
func TestMayRead(t *testing.T) {
	t.Parallel()
	const (
		active, suspended, removed = accountsv1.OrgStatus_ORG_STATUS_ACTIVE, accountsv1.OrgStatus_ORG_STATUS_SUSPENDED, accountsv1.OrgStatus_ORG_STATUS_REMOVED
	)
	for name, c := range map[string]struct {
		wanted []string // roles
		org    accountsv1.OrgStatus
		holds  []string
		may    bool
	}{
		"anybody of an active org":     {nil, active, nil, true},
		"a role where none is asked":   {nil, active, []string{"payer"}, true},
		"anybody of a suspended org":   {nil, suspended, nil, false},
		"anybody of a removed org":     {nil, removed, nil, false},
		"an org of no status":          {nil, 0, nil, false},
		"an admin of a suspended org":  {nil, suspended, []string{"admin"}, false},
		"the role":                     {[]string{"auditor"}, active, []string{"auditor"}, true},
		"one of the roles":             {[]string{"auditor", "reader"}, active, []string{"payer", "reader"}, true},
		"another role":                 {[]string{"auditor"}, active, []string{"payer"}, false},
		"no role":                      {[]string{"auditor"}, active, nil, false},
		"an admin without the role":    {[]string{"auditor"}, active, []string{"admin"}, true},
		"the role in a suspended org":  {[]string{"auditor"}, suspended, []string{"auditor"}, false},
		"the role, but for a letter":   {[]string{"auditor"}, active, []string{"auditors"}, false},
		"an admin, but for the case":   {[]string{"auditor"}, active, []string{"Admin"}, false},
		"an empty role is no wildcard": {[]string{""}, active, []string{"payer"}, false},
	} {
		err := mayRead(&governancev1.Charter{ReadRoles: c.wanted}, &accountsv1.Org{Status: c.org}, &accountsv1.Account{Name: auditor, Roles: c.holds})
		if (err == nil) != c.may {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && status.Code(toStatus(err)) != codes.PermissionDenied {
			t.Errorf("%s: %v", name, toStatus(err))
		}
	}
	if mayRead(&governancev1.Charter{}, nil, nil) == nil {
		t.Error("nobody of no org")
	}
}

// TestWhatIsOpen calls every method that the server has, without a token: all but a few ask for one.
func TestWhatIsOpen(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	open := map[string]bool{
		ledgerv1.LedgerService_Submit_FullMethodName:       true,
		ledgerv1.LedgerService_SubmitStream_FullMethodName: true,
		ledgerv1.LedgerService_GetStatus_FullMethodName:    true,
	}
	methods := 0
	for service, info := range c.server.grpc.GetServiceInfo() {
		for _, m := range info.Methods {
			methods++
			method := "/" + service + "/" + m.Name
			// A call that is let in may wait for more than a moment.
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			err := call(ctx, c.conn, method, m)
			cancel()
			refused := status.Code(err) == codes.Unauthenticated
			if refused == (open[method] || strings.HasPrefix(service, "grpc.")) {
				t.Errorf("%s: %v", method, err)
			}
			if reason, _ := whyOf(err); refused && reason != "TOKEN_REQUIRED" {
				t.Errorf("%s: %v", method, err)
			}
		}
	}
	if methods < 30 {
		t.Errorf("the server has only %d methods", methods)
	}
	if !readsLedger("/althing.later.v1.LaterService/Get") || !readsLedger("nonsense") || !readsLedger("") {
		t.Error("what nobody has thought about is open")
	}
}

// call sends an empty request and returns the error of the first answer.
func call(ctx context.Context, conn *grpc.ClientConn, method string, m grpc.MethodInfo) error {
	if !m.IsClientStream && !m.IsServerStream {
		return conn.Invoke(ctx, method, &emptypb.Empty{}, &emptypb.Empty{})
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(&emptypb.Empty{}); err != nil {
		return err
	}
	return errors.Join(stream.CloseSend(), stream.RecvMsg(&emptypb.Empty{}))
}

// TestTokens sends tokens of all kinds.
func TestTokens(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	good := c.token(asIs)
	stranger, err := token.Sign(generate(t), token.Claims{
		Account: auditor, ChainID: c.chainID, IssuedAt: c.clock(), ExpiresAt: c.clock().Add(time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	none := "eyJhbGciOiJub25lIn0." + parts[1] + "." + parts[2]
	for name, sent := range map[string]struct{ text, want string }{
		"good":                {good, ""},
		"good again":          {good, ""},
		"nothing":             {"", "TOKEN_INVALID"},
		"rubbish":             {"a.b.c", "TOKEN_INVALID"},
		"unsigned":            {none, "TOKEN_INVALID"},
		"for another network": {c.token(func(s *token.Claims) { s.ChainID = "test-00000000" }), "TOKEN_INVALID"},
		"of the future":       {c.token(func(s *token.Claims) { s.IssuedAt = s.IssuedAt.Add(2 * time.Minute) }), "TOKEN_INVALID"},
		"too long":            {c.token(func(s *token.Claims) { s.ExpiresAt = s.IssuedAt.Add(601 * time.Second) }), "TOKEN_INVALID"},
		"as long as allowed":  {c.token(func(s *token.Claims) { s.ExpiresAt = s.IssuedAt.Add(600 * time.Second) }), ""},
		"over":                {c.token(func(s *token.Claims) { s.ExpiresAt = s.IssuedAt }), "TOKEN_EXPIRED"},
		"of a key not listed": {stranger, "TOKEN_INVALID"},
		"of no account":       {c.token(func(s *token.Claims) { s.Account = "acme/nobody" }), "TOKEN_INVALID"},
		"of no org":           {c.token(func(s *token.Claims) { s.Account = "globex/auditor" }), "TOKEN_INVALID"},
		"of another account":  {c.token(func(s *token.Claims) { s.Account = admin }), "TOKEN_INVALID"},
		"changed":             {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])), "TOKEN_INVALID"},
	} {
		if got := c.read(with(t.Context(), sent.text)); got != sent.want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, headers := range map[string][]string{
		"two tokens":     {"authorization", "Bearer " + good, "authorization", "Bearer " + good},
		"another scheme": {"authorization", "Basic " + good},
		"no scheme":      {"authorization", good},
	} {
		if got := c.read(metadata.AppendToOutgoingContext(t.Context(), headers...)); got != "TOKEN_INVALID" {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := c.read(metadata.AppendToOutgoingContext(t.Context(), "Authorization", "bearer "+good)); got != "" {
		t.Errorf("in small letters: %q", got)
	}
	// The words about an account that there is and one that there is not are the same.
	var words []string
	for _, account := range []string{admin, "acme/nobody", "globex/nobody"} {
		text := c.token(func(s *token.Claims) { s.Account = account })
		_, err := c.server.readers.check(metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+text)))
		words = append(words, strings.ReplaceAll(err.Error(), account, "NAME"))
	}
	if words[0] != words[1] || words[0] != words[2] {
		t.Errorf("%q", words)
	}
}

// TestVerifiedOnce remembers a token whose signature is right, forgets it when it ends, and remembers no other.
func TestVerifiedOnce(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	good := c.token(asIs)
	for range 3 {
		c.read(with(t.Context(), good))
	}
	c.read(with(t.Context(), c.token(func(s *token.Claims) { s.Account = admin })))
	if got := c.server.readers.verified.Len(); got != 1 {
		t.Errorf("%d tokens are remembered", got)
	}
	c.now.Add(int64(5 * time.Minute))
	if got := c.read(with(t.Context(), good)); got != "TOKEN_EXPIRED" || c.server.readers.verified.Len() != 0 {
		t.Errorf("after its end: %q, %d remembered", got, c.server.readers.verified.Len())
	}
}

// TestRightsFollowTheLedger changes what counts while a token is good: each change counts from its block on.
func TestRightsFollowTheLedger(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	ctx := with(t.Context(), c.token(asIs))
	want := func(what, reason string) {
		t.Helper()
		if got := c.read(ctx); got != reason {
			t.Errorf("%s: %q, want %q", what, got, reason)
		}
	}
	roles := func(roles ...string) *ledgerv1.Operation {
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetRoles{AccountSetRoles: &accountsv1.SetRoles{Name: auditor, Roles: roles}}}
	}
	tokenKeys := func(listed ...*keysv1.PublicKey) *ledgerv1.Operation {
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetTokenKeys{AccountSetTokenKeys: &accountsv1.SetTokenKeys{Name: auditor, TokenKeys: listed}}}
	}
	charter := func(changed *governancev1.Charter) *ledgerv1.Operation {
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: &ledgerv1.Propose{Operations: []*ledgerv1.Operation{
			{Kind: &ledgerv1.Operation_CharterSet{CharterSet: &governancev1.SetCharter{Charter: changed}}},
		}}}}
	}
	want("at first", "")
	c.do(roles("payer"))
	want("without the role", "FORBIDDEN")
	c.do(roles("auditor"))
	want("with the role again", "")
	c.do(tokenKeys(wireKey(generate(t))))
	want("with another key listed", "TOKEN_INVALID")
	c.do(tokenKeys())
	want("with no key listed", "TOKEN_INVALID")
	c.do(tokenKeys(wireKey(c.tokenKey)))
	want("with the key listed again", "")
	c.do(charter(&governancev1.Charter{MaxTokenSeconds: 60}))
	want("when tokens are to be shorter", "TOKEN_INVALID")
	c.do(charter(&governancev1.Charter{ReadAccess: governancev1.ReadAccess_READ_ACCESS_OPEN}))
	want("when reads are open, with a token that is too long", "")
	if got := c.read(with(t.Context(), "rubbish")); got != "" {
		t.Errorf("when reads are open, with rubbish: %q", got)
	}
	if got := c.read(t.Context()); got != "" {
		t.Errorf("when reads are open, without a token: %q", got)
	}
	c.do(charter(&governancev1.Charter{ReadAccess: governancev1.ReadAccess_READ_ACCESS_MEMBERS}))
	if got := c.read(t.Context()); got != "TOKEN_REQUIRED" {
		t.Errorf("when reads are closed again: %q", got)
	}
}

// TestStatusForStrangers tells strangers, and those whose token is not good, where they are, and no more.
func TestStatusForStrangers(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	client := ledgerv1.NewLedgerServiceClient(c.conn)
	ask := func(ctx context.Context) *ledgerv1.GetStatusResponse {
		t.Helper()
		answer, err := client.GetStatus(ctx, &ledgerv1.GetStatusRequest{Why: true})
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	full := ask(with(t.Context(), c.token(asIs)))
	if full.Height != 1 || len(full.AppHash) == 0 || full.Progress == nil || full.BlockTime == nil {
		t.Errorf("a reader gets %v", full)
	}
	for name, ctx := range map[string]context.Context{
		"a stranger":      t.Context(),
		"a bad token":     with(t.Context(), "rubbish"),
		"a token of late": with(t.Context(), c.token(func(s *token.Claims) { s.ExpiresAt = s.IssuedAt })),
	} {
		got := ask(ctx)
		if got.ChainId != c.chainID || len(got.GenesisHash) != 32 || got.Now == nil || got.FeatureLevel == 0 || !got.Ready {
			t.Errorf("%s does not learn where it is: %v", name, got)
		}
		got.ChainId, got.GenesisHash, got.Node, got.Org, got.Phase, got.Ready, got.Version, got.Now, got.FeatureLevel, got.Waiting =
			"", nil, "", "", "", false, "", nil, 0, ""
		if got.SizeVT() != 0 {
			t.Errorf("%s learns also %v", name, got)
		}
	}
}

func (c *closed) watch(ctx context.Context) ledgerv1.LedgerService_WatchClient {
	c.t.Helper()
	stream, err := ledgerv1.NewLedgerServiceClient(c.conn).Watch(ctx, &ledgerv1.WatchRequest{FromHeight: 1})
	if err != nil {
		c.t.Fatal(err)
	}
	if res, err := stream.Recv(); err != nil || res.GetBlock().GetHeight() != 1 {
		c.t.Fatalf("the first block: %v %v", res, err)
	}
	return stream
}

// TestWatchEndsWithTheRight takes the role from whoever watches: the block that does it is not sent.
func TestWatchEndsWithTheRight(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	stream := c.watch(with(t.Context(), c.token(asIs)))
	c.decide(2)
	if res, err := stream.Recv(); err != nil || res.GetBlock().GetHeight() != 2 {
		t.Fatalf("the second block: %v %v", res, err)
	}
	c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetRoles{AccountSetRoles: &accountsv1.SetRoles{Name: auditor}}})
	_, err := stream.Recv()
	if reason, _ := whyOf(err); reason != "FORBIDDEN" || status.Code(err) != codes.PermissionDenied {
		t.Errorf("without the role: %v", err)
	}
}

// TestWatchEndsWithTheToken lets a token end while nothing happens on the ledger, and another one when a block comes.
func TestWatchEndsWithTheToken(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	ends := c.clock().Add(time.Minute)
	text := c.token(func(s *token.Claims) { s.ExpiresAt = ends })
	stream := c.watch(with(t.Context(), text))
	c.now.Store(ends.UnixNano())
	c.decide(2)
	_, err := stream.Recv()
	if reason, _ := whyOf(err); reason != "TOKEN_EXPIRED" || status.Code(err) != codes.Unauthenticated {
		t.Errorf("at the next block: %v", err)
	}
	c.now.Store(ends.Add(-20 * time.Millisecond).UnixNano())
	idle, err := ledgerv1.NewLedgerServiceClient(c.conn).Watch(with(t.Context(), text), &ledgerv1.WatchRequest{FromHeight: 2})
	if err != nil {
		t.Fatal(err)
	}
	if res, err := idle.Recv(); err != nil || res.GetBlock().GetHeight() != 2 {
		t.Fatalf("the second block: %v %v", res, err)
	}
	c.now.Store(ends.UnixNano())
	_, err = idle.Recv()
	if reason, _ := whyOf(err); reason != "TOKEN_EXPIRED" {
		t.Errorf("while nothing happens: %v", err)
	}
}

// TestRateComesFirst sends bad tokens more often than the rate allows: nothing is looked at then.
func TestRateComesFirst(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	conn := dial(t, c.serve(func(cfg *Config) { cfg.RatePerClient, cfg.Burst = 0.001, 1 }))
	client := accountsv1.NewAccountsServiceClient(conn)
	for _, want := range []string{"TOKEN_INVALID", "RATE"} {
		_, err := client.GetAccount(with(t.Context(), "rubbish"), &accountsv1.GetAccountRequest{Name: admin})
		if reason, _ := whyOf(err); reason != want {
			t.Errorf("want %s: %v", want, err)
		}
	}
}

// TestVerificationsWait has no turn free: a call waits for one no longer than its deadline, and without a key to try it
// does not wait.
func TestVerificationsWait(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	for range verifiesAtOnce {
		c.server.readers.turns <- struct{}{}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := accountsv1.NewAccountsServiceClient(c.conn).GetAccount(with(ctx, c.token(asIs)), &accountsv1.GetAccountRequest{Name: admin})
	if status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("without a turn: %v", err)
	}
	if got := c.read(with(t.Context(), c.token(func(s *token.Claims) { s.Account = admin }))); got != "TOKEN_INVALID" {
		t.Errorf("of an account without token keys: %q", got)
	}
	<-c.server.readers.turns
	if got := c.read(with(t.Context(), c.token(asIs))); got != "" {
		t.Errorf("with a turn: %q", got)
	}
}

// TestRefusedStrangers submits for accounts that exist and for ones that do not, with a key that the ledger does not list. A stranger
// hears the same of all; a member hears which it is.
func TestRefusedStrangers(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	ledger, stranger := ledgerv1.NewLedgerServiceClient(c.conn), generate(t)
	signed := func(actors ...string) []byte {
		var ops []*ledgerv1.Operation
		for _, actor := range actors {
			ops = append(ops, &ledgerv1.Operation{Account: actor, Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: "acme/usd"}}})
		}
		body, err := tx.NewBody(c.chainID, blockTime(1).Add(time.Minute), rand.Reader, ops...)
		if err != nil {
			t.Fatal(err)
		}
		unsigned, _, err := tx.Unsigned(body)
		if err != nil {
			t.Fatal(err)
		}
		for _, actor := range actors {
			if err := tx.AddSignature(unsigned, c.chainID, actor, stranger); err != nil {
				t.Fatal(err)
			}
		}
		raw, err := unsigned.MarshalVTStrict()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	refusal := func(ctx context.Context, raw []byte) (reason, text string) {
		_, err := ledger.Submit(ctx, &ledgerv1.SubmitRequest{Tx: raw})
		if reason, _ = whyOf(err); status.Code(err) != codes.PermissionDenied {
			t.Errorf("refused with %v", err)
		}
		stream, streamErr := ledger.SubmitStream(ctx)
		if streamErr != nil {
			t.Fatal(streamErr)
		}
		if err := stream.Send(&ledgerv1.SubmitStreamRequest{Tx: raw}); err != nil {
			t.Fatal(err)
		}
		text = status.Convert(err).Message()
		if got, err := stream.Recv(); err != nil || got.RefusedReason != reason || got.RefusedMessage != text {
			t.Errorf("on a stream: %v %v", got, err)
		}
		return reason, text
	}
	_, want := refusal(t.Context(), signed(admin))
	for name, tried := range map[string]struct {
		raw []byte
		of  string // what a member hears
	}{
		"an account":                        {signed(auditor), "KEY_NOT_LISTED"},
		"an account that is not there":      {signed("acme/nobody"), "UNKNOWN_ACCOUNT"},
		"an org that is not there":          {signed("globex/nobody"), "UNKNOWN_ACCOUNT"},
		"an account and one that is not":    {signed(admin, "acme/zoe"), "KEY_NOT_LISTED"},
		"one that is not before an account": {signed(admin, "acme/aaron"), "UNKNOWN_ACCOUNT"},
	} {
		if reason, text := refusal(t.Context(), tried.raw); reason != "KEY_NOT_LISTED" || text != want {
			t.Errorf("%s: a stranger hears %s: %s", name, reason, text)
		}
		if reason, _ := refusal(with(t.Context(), "no token"), tried.raw); reason != "KEY_NOT_LISTED" {
			t.Errorf("%s: a bad token hears %s", name, reason)
		}
		if reason, text := refusal(with(t.Context(), c.token(asIs)), tried.raw); reason != tried.of || text == want {
			t.Errorf("%s: a member hears %s: %s", name, reason, text)
		}
	}
}
