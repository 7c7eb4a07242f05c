package client_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/token"
)

// register makes a token key of an account and has the ledger list it.
func register(t *testing.T, n *clienttest.Network, account string, scheme keys.Scheme) *client.TokenSource {
	t.Helper()
	source, err := n.Load(t).CreateTokenKey(account, scheme, nil)
	if err != nil {
		t.Fatal(err)
	}
	result, err := n.Dial(t, client.Config{}).Send(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{
		client.SetTokenKeys("acme/admin", account, source.Public()),
	}}, n.Signer(t, "acme/admin"))
	if err != nil || !result.OK() {
		t.Fatalf("register: %+v %v", result, err)
	}
	return source
}

// readsAs asks for an account.
func readsAs(ctx context.Context, c *client.Client) error {
	_, err := c.Accounts().GetAccount(ctx, &accountsv1.GetAccountRequest{Name: "acme/admin"})
	return err
}

func TestClosedReads(t *testing.T) {
	t.Parallel()
	for _, scheme := range []keys.Scheme{keys.SchemeECDSA, keys.SchemeEd25519} {
		n := clienttest.StartTLS(t, 2)
		source := register(t, n, "acme/treasury", scheme)
		n.Ledger.CloseReads(15 * time.Minute)
		reader := n.Dial(t, client.Config{Token: source})
		if err := readsAs(t.Context(), reader); err != nil {
			t.Errorf("%v: with a token: %v", scheme, err)
		}
		if s, err := reader.Status(t.Context()); err != nil || s.Height == 0 {
			t.Errorf("%v: the status with a token: %v %v", scheme, s, err)
		}
		for _, s := range reader.Statuses(t.Context()) {
			if s.Err != nil || s.Status.Height == 0 {
				t.Errorf("%v: the status of %s with a token: %v %v", scheme, s.Node.Name, s.Status, s.Err)
			}
		}
		n.Ledger.CloseReads(15*time.Minute, "auditor")
		if err := readsAs(t.Context(), reader); !errors.Is(err, client.ErrForbidden) || status.Code(err) != codes.PermissionDenied {
			t.Errorf("%v: without the role: %v", scheme, err)
		}
	}
}

func TestClosedReadsWithoutAToken(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	raw := encoded(t, n, client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
	n.Ledger.CloseReads(15 * time.Minute)
	stranger := n.Dial(t, client.Config{})
	err := readsAs(t.Context(), stranger)
	var denied *client.Denied
	if !errors.Is(err, client.ErrTokenRequired) || !errors.As(err, &denied) || denied.Reason != "TOKEN_REQUIRED" || status.Code(err) != codes.Unauthenticated {
		t.Errorf("a read: %v", err)
	}
	if s, err := stranger.Status(t.Context()); err != nil || s.ChainId != n.Ledger.ChainID || s.Height != 0 {
		t.Errorf("the status: %v %v", s, err)
	}
	// A transaction carries its own signatures.
	if result, err := stranger.SubmitAndWait(t.Context(), raw); err != nil || !result.OK() {
		t.Errorf("submitted: %+v %v", result, err)
	}
	for _, from := range []uint64{0, 1} {
		for block, err := range stranger.Watch(t.Context(), from) {
			if block != nil || !errors.Is(err, client.ErrTokenRequired) {
				t.Errorf("a watch from %d: %v %v", from, block, err)
			}
		}
	}
	other, err := client.NewTokenSource("acme/admin", newKey(t, keys.SchemeEd25519))
	if err != nil {
		t.Fatal(err)
	}
	if err := readsAs(t.Context(), n.Dial(t, client.Config{Token: other})); !errors.Is(err, client.ErrTokenInvalid) {
		t.Errorf("with a key that is not listed: %v", err)
	}
}

// TestTokenIsRenewed has a node refuse tokens: another one is signed, once.
func TestTokenIsRenewed(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	source := register(t, n, "acme/admin", keys.SchemeEd25519)
	n.Ledger.CloseReads(15 * time.Minute)
	node := n.Nodes[0]
	c := n.Dial(t, client.Config{Token: source})
	node.Set(clienttest.Faults{TokensExpired: 1})
	if err := readsAs(t.Context(), c); err != nil {
		t.Errorf("a token that had ended: %v", err)
	}
	before := node.Calls(accountMethod)
	node.Set(clienttest.Faults{TokensExpired: 10})
	if err := readsAs(t.Context(), c); !errors.Is(err, client.ErrTokenInvalid) || node.Calls(accountMethod) != before+2 {
		t.Errorf("tokens that always have ended, %d calls: %v", node.Calls(accountMethod)-before, err)
	}
	node.Set(clienttest.Faults{ClockOffset: time.Hour})
	if err := readsAs(t.Context(), c); !errors.Is(err, client.ErrTokenInvalid) {
		t.Errorf("with a clock that is an hour behind: %v", err)
	}
	for block, err := range c.Watch(t.Context(), 0) {
		if block != nil || !errors.Is(err, client.ErrTokenInvalid) {
			t.Errorf("watching with a clock that is an hour behind: %v %v", block, err)
		}
	}
	// A charter that wants shorter tokens gets them.
	node.Set(clienttest.Faults{})
	n.Ledger.CloseReads(10 * time.Second)
	for range 2 {
		if err := readsAs(t.Context(), c); err != nil {
			t.Errorf("with a shorter token: %v", err)
		}
	}
	watching := n.Dial(t, client.Config{Token: source})
	if got := heights(t.Context(), t, watching, 1, 2); len(got) != 2 {
		t.Errorf("watching with a shorter token: %v", got)
	}
}

// TestTokensInTime lets a clock run: a token is used for most of its life, and never after.
func TestTokensInTime(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	source := register(t, n, "acme/admin", keys.SchemeECDSA)
	n.Ledger.CloseReads(15 * time.Minute)
	var mu sync.Mutex
	clock := time.Now()
	c := n.Dial(t, client.Config{Token: source, Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return clock
	}})
	for range 20 {
		mu.Lock()
		clock = clock.Add(50 * time.Second)
		offset := time.Until(clock)
		mu.Unlock()
		n.Nodes[0].Set(clienttest.Faults{ClockOffset: offset})
		before := n.Nodes[0].Calls(accountMethod)
		if err := readsAs(t.Context(), c); err != nil || n.Nodes[0].Calls(accountMethod) != before+1 {
			t.Fatalf("%v later: %v", offset, err)
		}
	}
}

// TestManyReadersAtOnce shares one client and its tokens.
func TestManyReadersAtOnce(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	source := register(t, n, "acme/admin", keys.SchemeEd25519)
	n.Ledger.CloseReads(15 * time.Minute)
	c := n.Dial(t, client.Config{Token: source})
	n.Nodes[0].Set(clienttest.Faults{TokensExpired: 3})
	var wg sync.WaitGroup
	var failed sync.Map
	for i := range 30 {
		wg.Go(func() {
			if err := readsAs(t.Context(), c); err != nil {
				failed.Store(i, err)
			}
		})
	}
	wg.Wait()
	// Whoever is refused twice of the three times is told so.
	many := 0
	failed.Range(func(_, err any) bool {
		if many++; !errors.Is(err.(error), client.ErrTokenInvalid) {
			t.Error(err)
		}
		return true
	})
	if many > 1 {
		t.Errorf("%d readers failed", many)
	}
}

// TestTokensGoNowhereElse gives no token to a node of another network.
func TestTokensGoNowhereElse(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	source := register(t, n, "acme/admin", keys.SchemeEd25519)
	n.Ledger.CloseReads(15 * time.Minute)
	n.Nodes[0].Set(clienttest.Faults{ChainID: "other-00000000"})
	c := n.Dial(t, client.Config{Token: source})
	if err := readsAs(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	c.Statuses(t.Context())
	if n.Nodes[0].Tokens() != 0 || n.Nodes[1].Tokens() == 0 {
		t.Errorf("the node of another network saw %d tokens, ours %d", n.Nodes[0].Tokens(), n.Nodes[1].Tokens())
	}
}

// TestWatchGoesOnWithAnotherToken has every stream end after two blocks because of its token.
func TestWatchGoesOnWithAnotherToken(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	source := register(t, n, "acme/admin", keys.SchemeEd25519)
	n.Ledger.CloseReads(15 * time.Minute)
	for range 6 {
		n.Ledger.EmptyBlock()
	}
	n.Nodes[0].Set(clienttest.Faults{ExpireWatchAfter: 2})
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	got := heights(ctx, t, n.Dial(t, client.Config{Token: source}), 1, 8)
	for i, h := range got {
		if h != uint64(i+1) {
			t.Fatalf("blocks %v", got)
		}
	}
	if calls := n.Nodes[0].Calls("/althing.ledger.v1.LedgerService/Watch"); calls != 4 {
		t.Errorf("%d streams for 8 blocks, two each", calls)
	}
}

func TestTokenKeyFiles(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	network := n.Load(t)
	if _, err := network.TokenSource("acme/admin"); !errors.Is(err, client.ErrNoKey) {
		t.Errorf("before there is one: %v", err)
	}
	made, err := network.CreateTokenKey("acme/admin", keys.SchemeECDSA, nil)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := network.TokenSource("acme/admin")
	if err != nil || !loaded.Public().Equal(made.Public()) || loaded.Account() != "acme/admin" {
		t.Errorf("loaded %v: %v", loaded, err)
	}
	if _, err := network.CreateTokenKey("acme/admin", keys.SchemeECDSA, nil); !errors.Is(err, keys.ErrFileExists) {
		t.Errorf("a second one: %v", err)
	}
	if _, err := network.CreateTokenKey("newcomer/admin", keys.SchemeEd25519, nil); err != nil {
		t.Errorf("of an org without a directory: %v", err)
	}
	if _, err := network.CreateTokenKey("globex/admin", keys.SchemeSchnorr, nil); !errors.Is(err, client.ErrNoKey) {
		t.Errorf("a Schnorr key: %v", err)
	}
	if _, err := client.NewTokenSource("acme", newKey(t, keys.SchemeEd25519)); err == nil {
		t.Error("a source of tokens of an org")
	}
	signing, err := network.Keys("acme/admin")
	if err != nil || len(signing) != 1 || signing[0].Public().Equal(made.Public()) {
		t.Errorf("the keys that sign transactions are %v: %v", signing, err)
	}
	now := time.Now()
	text, err := made.Sign(network.ChainID, now, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	read, err := token.Parse(text)
	if err != nil || read.Verify(made.Public()) != nil || read.Check(network.ChainID, now, time.Minute) != nil {
		t.Errorf("signed %+v: %v", read, err)
	}
}
