package client_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

const (
	submitMethod  = "/althing.ledger.v1.LedgerService/Submit"
	statusMethod  = "/althing.ledger.v1.LedgerService/GetStatus"
	accountMethod = "/althing.accounts.v1.AccountsService/GetAccount"
)

// fast makes failing over quick enough for tests.
var fast = client.Config{AttemptTimeout: 300 * time.Millisecond, IdleProbe: 100 * time.Millisecond}

func createAsset(name string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: name, Decimals: 2}}}
}

func mint(asset, to, amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: asset, To: to, Amount: amount}}}
}

// encoded returns a signed transaction of acme/admin.
func encoded(t *testing.T, n *clienttest.Network, draft client.Draft) []byte {
	t.Helper()
	c := n.Dial(t, client.Config{})
	built, err := c.Build(t.Context(), draft)
	if err != nil {
		t.Fatal(err)
	}
	if err := built.Sign("acme/admin", n.Signer(t, "acme/admin").Keys...); err != nil {
		t.Fatal(err)
	}
	raw, err := built.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestSend(t *testing.T) {
	t.Parallel()
	n := clienttest.StartTLS(t, 2)
	c := n.Dial(t, client.Config{})
	result, err := c.Send(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{
		createAsset("acme/usd"), mint("acme/usd", "acme/treasury", "1250"),
	}}, n.Signer(t, "acme/admin"))
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK() || !result.Final() || result.Height != 2 || c.SeenHeight() != 2 {
		t.Fatalf("result %+v, seen height %d", result, c.SeenHeight())
	}
	events, err := result.Events()
	if err != nil || len(events) != 2 || events[1].GetAssetMinted().GetAmount() != "1250" || events[1].Operation != 1 {
		t.Fatalf("events %v, %v", events, err)
	}
	balance, err := c.Assets().GetBalance(t.Context(), &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "acme/treasury"})
	if err != nil || balance.Holding.Balance != "1250" || balance.Decimals != 2 {
		t.Fatalf("balance %v, %v", balance, err)
	}
	block, err := c.Block(t.Context(), result.Height)
	if err != nil || block.TxCount != 1 {
		t.Fatalf("block %v, %v", block, err)
	}
	if _, err := c.Block(t.Context(), 99); status.Code(err) != codes.OutOfRange {
		t.Fatalf("block of the future: %v", err)
	}
}

func TestRejectedIsNoError(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	result, err := n.Dial(t, client.Config{}).Send(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{
		mint("acme/nothing", "acme/treasury", "1"),
	}}, n.Signer(t, "acme/admin"))
	if err != nil || result.OK() || !result.Final() || result.Outcome.Code != ledgerv1.Code_CODE_NOT_FOUND {
		t.Fatalf("result %+v, %v", result, err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	c := n.Dial(t, client.Config{})
	built, err := c.Build(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := built.Sign("acme/admin", n.Signer(t, "globex/admin").Keys...); err != nil {
		t.Fatal(err)
	}
	raw, err := built.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, submit := range []func(context.Context, []byte) (*client.Result, error){c.Submit, c.SubmitAndWait} {
		var refused *client.Refused
		if _, err = submit(t.Context(), raw); !errors.As(err, &refused) {
			t.Fatalf("got %v, want a refusal", err)
		}
		if refused.Code != ledgerv1.Code_CODE_KEY_NOT_LISTED || refused.Reason != "KEY_NOT_LISTED" || refused.Message == "" {
			t.Fatalf("refused %+v", refused)
		}
		if status.Code(err) != codes.InvalidArgument {
			t.Fatalf("status of a refusal: %v", status.Code(err))
		}
	}
	if _, err := c.Submit(t.Context(), []byte("junk")); !errors.Is(err, client.ErrTransaction) {
		t.Fatalf("junk: %v", err)
	}
}

func TestListedKeys(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	c := n.Dial(t, client.Config{})
	own, other := n.Signer(t, "acme/admin").Keys, n.Signer(t, "globex/admin").Keys
	listed, err := c.Listed(t.Context(), "acme/admin", append(other, own...))
	if err != nil || len(listed) != 1 || !listed[0].Public().Equal(own[0].Public()) {
		t.Fatalf("listed %v, %v", listed, err)
	}
	if _, err := c.Listed(t.Context(), "acme/admin", other); !errors.Is(err, client.ErrNoKey) {
		t.Fatalf("foreign key: %v", err)
	}
	if _, err := c.Listed(t.Context(), "acme/nobody", other); status.Code(err) != codes.NotFound {
		t.Fatalf("unknown account: %v", err)
	}
}

// TestStarting asks nodes that have no block yet: the call waits for one, within its time.
func TestStarting(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	c := n.Dial(t, fast)
	for _, node := range n.Nodes {
		node.Set(clienttest.Faults{Starting: 2})
	}
	if _, err := c.Accounts().GetAccount(t.Context(), &accountsv1.GetAccountRequest{Name: "acme/admin"}); err != nil {
		t.Errorf("after a while: %v", err)
	}
	for _, node := range n.Nodes {
		node.Set(clienttest.Faults{Starting: 1 << 20})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	var unreachable *client.Unreachable
	if _, err := c.Accounts().GetAccount(ctx, &accountsv1.GetAccountRequest{Name: "acme/admin"}); !errors.As(err, &unreachable) {
		t.Errorf("for ever: %v", err)
	}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 3)
	c := n.Dial(t, fast)
	n.Nodes[0].Stop()
	n.Nodes[1].Set(clienttest.Faults{Unavailable: true})
	if s, err := c.Status(t.Context()); err != nil || s.Node != n.Nodes[2].Name {
		t.Fatalf("status %v, %v", s, err)
	}
	before := n.Nodes[1].Calls(statusMethod)
	if _, err := c.Status(t.Context()); err != nil || n.Nodes[1].Calls(statusMethod) != before {
		t.Fatalf("the good node was not remembered: %v", err)
	}
	n.Nodes[2].Set(clienttest.Faults{Silent: true})
	var unreachable *client.Unreachable
	_, err := c.Status(t.Context())
	if !errors.As(err, &unreachable) || len(unreachable.Attempts) != 3 || status.Code(err) != codes.Unavailable {
		t.Fatalf("nobody there: %v", err)
	}
	for _, part := range []string{"acme-1", "connection refused", "globex-1 is not available", "did not answer in time"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
	n.Nodes[0].Start(t)
	for deadline := time.Now().Add(10 * time.Second); ; {
		if s, err := c.Status(t.Context()); err == nil && s.Node == n.Nodes[0].Name {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the node that came back is not found: %v", err)
		}
	}
}

// TestTimeIsLeftForTheOthers gives a call less time than one try may take: the node that says nothing must not use it up.
func TestTimeIsLeftForTheOthers(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	n.Nodes[0].Set(clienttest.Faults{Silent: true})
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if s, err := n.Dial(t, client.Config{}).Status(ctx); err != nil || s.Node != n.Nodes[1].Name {
		t.Fatalf("status %v, %v", s, err)
	}
}

func TestPinnedNode(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	for _, pin := range []string{n.Nodes[1].Name, n.Nodes[1].Address} {
		c := n.Dial(t, client.Config{Node: pin, AttemptTimeout: fast.AttemptTimeout})
		if s, err := c.Status(t.Context()); err != nil || s.Node != n.Nodes[1].Name {
			t.Fatalf("pinned to %s: %v, %v", pin, s, err)
		}
	}
	c := n.Dial(t, client.Config{Node: n.Nodes[1].Name})
	n.Nodes[1].Stop()
	if _, err := c.Status(t.Context()); !errors.Is(err, client.ErrUnreachable) {
		t.Fatalf("the other node answered for the pinned one: %v", err)
	}
	for _, pin := range []string{"nobody-1", "192.0.2.1:26657"} {
		if _, err := client.Dial(n.Load(t), client.Config{Node: pin}); !errors.Is(err, client.ErrNetworkFile) {
			t.Errorf("dial %s: %v", pin, err)
		}
	}
}

func TestWrongNetwork(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	n.Nodes[0].Set(clienttest.Faults{ChainID: "other-00000000"})
	raw := encoded(t, n, client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}})
	c := n.Dial(t, fast)
	if s, err := c.Status(t.Context()); err != nil || s.Node != n.Nodes[1].Name {
		t.Fatalf("status %v, %v", s, err)
	}
	pinned := n.Dial(t, client.Config{Node: n.Nodes[0].Name})
	if _, err := pinned.Submit(t.Context(), raw); !errors.Is(err, client.ErrWrongNetwork) {
		t.Fatalf("submit to another network: %v", err)
	}
	if n.Nodes[0].Calls(submitMethod) != 0 {
		t.Fatal("a transaction was sent to another network")
	}
	all := c.Statuses(t.Context())
	if !errors.Is(all[0].Err, client.ErrWrongNetwork) || all[1].Err != nil || all[1].Status.Node != n.Nodes[1].Name {
		t.Fatalf("statuses %+v", all)
	}
}

func TestAnotherCertificateIsRefused(t *testing.T) {
	t.Parallel()
	n := clienttest.StartTLS(t, 2)
	network := n.Load(t)
	network.Nodes[0].TLSCertificate = network.Nodes[1].TLSCertificate
	c, err := client.Dial(network, client.Config{Node: "acme-1", AttemptTimeout: time.Second, Unverified: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "another certificate") {
		t.Fatalf("got %v", err)
	}
}

func TestReadsAreNotOlderThanWhatWasSeen(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	c := n.Dial(t, fast)
	// The status is ahead of what the ledger can read: a read must wait for it rather than answer.
	if _, err := c.Send(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}}, n.Signer(t, "acme/admin")); err != nil {
		t.Fatal(err)
	}
	resp, err := c.Accounts().GetAccount(t.Context(), &accountsv1.GetAccountRequest{Name: "acme/admin"})
	if err != nil || resp.Height < c.SeenHeight() {
		t.Fatalf("answer of height %d, seen %d: %v", resp.GetHeight(), c.SeenHeight(), err)
	}
	request := &accountsv1.GetAccountRequest{Name: "acme/admin", MinHeight: 99}
	if _, err := c.Accounts().GetAccount(t.Context(), request); !errors.Is(err, client.ErrUnreachable) {
		t.Fatalf("a height that never comes: %v", err)
	}
	before := n.Nodes[0].LastMinHeight()
	request = &accountsv1.GetAccountRequest{Name: "acme/admin"}
	if _, err := c.Accounts().GetAccount(t.Context(), request); err != nil || request.MinHeight != 0 {
		t.Fatalf("the caller's request was changed: %v, %v", request, err)
	}
	if got := n.Nodes[0].LastMinHeight(); got != c.SeenHeight() || got == before {
		t.Fatalf("asked for min_height %d, seen %d", got, c.SeenHeight())
	}
	request = &accountsv1.GetAccountRequest{Name: "acme/admin", Height: 1}
	if _, err := c.Accounts().GetAccount(t.Context(), request); err != nil || n.Nodes[0].LastMinHeight() != 0 {
		t.Fatalf("a read of the past was asked to be new: %v", err)
	}
}

func TestClockSkew(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 1)
	c := n.Dial(t, client.Config{})
	draft := client.Draft{Operations: []*ledgerv1.Operation{createAsset("acme/usd")}}
	for offset, want := range map[time.Duration]string{
		31 * time.Second: "behind", -31 * time.Second: "ahead", 24 * time.Hour: "behind", 28 * time.Second: "", -28 * time.Second: "",
	} {
		n.Nodes[0].Set(clienttest.Faults{ClockOffset: offset})
		_, err := c.Build(t.Context(), draft)
		switch {
		case want == "" && err != nil:
			t.Errorf("offset %v: %v", offset, err)
		case want != "" && (!errors.Is(err, client.ErrClock) || !strings.Contains(err.Error(), want)):
			t.Errorf("offset %v: got %v, want one that says %q", offset, err, want)
		}
	}
}
