package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	"github.com/althing-ledger/althing/client/verify"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// TestExamples runs what the examples show. The ledger of these tests proves nothing; receipts, and reads that are verified,
// are tested with real nodes.
func TestExamples(t *testing.T) {
	t.Parallel()
	n := clienttest.Start(t, 2)
	c, admin := n.Dial(t, client.Config{}), n.Signer(t, "acme/admin")
	result, err := issue(t.Context(), c, admin)
	if err != nil {
		t.Fatal(err)
	}
	if err := inSteps(t.Context(), c, n.Signer(t, "acme/treasury")); err != nil {
		t.Fatal(err)
	}
	if balance, err := read(t.Context(), c); err != nil || balance != "1250" {
		t.Fatalf("balance %s, %v", balance, err)
	}
	if err := watch(t.Context(), c, result.Height); err != nil {
		t.Fatal(err)
	}
	if err := pay(t.Context(), c, n.Signer(t, "acme/treasury"), 10); err != nil {
		t.Fatal(err)
	}
	if got := n.Ledger.Committed(); got != 12 {
		t.Errorf("the examples committed %d transactions, want 12", got)
	}
	if got := explain(result, err); got != "done" {
		t.Errorf("explained as %s", got)
	}
}

// Dialling connects to nothing yet. The network file, which `althing testnet up` writes, says which ledger it is.
func ExampleDial() {
	network, err := client.LoadNetwork("net")
	if err != nil {
		log.Print(err)
		return
	}
	c, err := client.Dial(network, client.Config{
		OnLie: func(lie *client.Lie) { log.Print(lie) },
	})
	if err != nil {
		log.Print(err)
		return
	}
	defer func() { _ = c.Close() }()
}

// A genesis document and the address of any node are enough: what the node answers is verified from that document on.
func ExampleNetworkFromGenesis() {
	genesis := []byte(`{"format": 1, "name": "demo"}`)
	network, err := client.NetworkFromGenesis(genesis, client.Node{Name: "acme-1", Org: "acme", GRPC: "127.0.0.1:9090"})
	fmt.Println(network.ChainID, err)
	// Output: demo-6d016f8b <nil>
}

// A ticket, which members give to those who join, is enough too.
func ExampleNetworkFromTicket() {
	ticket, err := os.ReadFile("ticket.json")
	if err != nil {
		log.Print(err)
		return
	}
	network, err := client.NetworkFromTicket(ticket)
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(network.ChainID)
}

// Send builds, signs, submits and waits. Both operations happen, or none.
func ExampleClient_Send() {
	c, network := dialled()
	defer func() { _ = c.Close() }()
	keys, err := network.Keys("acme/admin")
	if err != nil {
		log.Print(err)
		return
	}
	if _, err := issue(context.Background(), c, client.Signer{Account: "acme/admin", Keys: keys}); err != nil {
		log.Print(err)
	}
}

func issue(ctx context.Context, c *client.Client, admin client.Signer) (*client.Result, error) {
	result, err := c.Send(ctx, client.Draft{Operations: []*ledgerv1.Operation{
		{Account: "acme/admin", Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: "acme/usd", Decimals: 2}}},
		{Account: "acme/admin", Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{
			Asset: "acme/usd", To: "acme/treasury", Amount: "100000", // base units: 1000.00
		}}},
	}}, admin)
	if err == nil && !result.OK() {
		err = fmt.Errorf("%v: %s", result.Outcome.GetCode(), result.Outcome.GetMessage())
	}
	return result, err
}

// The same in steps, as when another machine signs. The bytes may be submitted again at any time, also by another program.
func ExampleClient_SubmitAndWait() {
	c, network := dialled()
	defer func() { _ = c.Close() }()
	keys, err := network.Keys("acme/treasury")
	if err != nil {
		log.Print(err)
		return
	}
	if err := inSteps(context.Background(), c, client.Signer{Account: "acme/treasury", Keys: keys}); err != nil {
		log.Print(err)
	}
}

func inSteps(ctx context.Context, c *client.Client, treasury client.Signer) error {
	t, err := c.Build(ctx, client.Draft{Operations: []*ledgerv1.Operation{transfer("1250")}})
	if err != nil {
		return err
	}
	if err := t.Sign(treasury.Account, treasury.Keys...); err != nil {
		return err
	}
	raw, err := t.Encode()
	if err != nil {
		return err
	}
	_, err = c.SubmitAndWait(ctx, raw)
	return err
}

func transfer(amount string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: "acme/treasury", Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{
		Asset: "acme/usd", To: "globex/treasury", Amount: amount,
	}}}
}

// Reads are verified, and never older than what this client has written or seen.
func ExampleClient_Assets() {
	c, _ := dialled()
	defer func() { _ = c.Close() }()
	balance, err := read(context.Background(), c)
	switch {
	case status.Code(err) == codes.NotFound:
		fmt.Println("it is proven that there is no such asset")
	case err != nil:
		log.Print(err)
	default:
		fmt.Println(balance)
	}
}

func read(ctx context.Context, c *client.Client) (string, error) {
	answer, err := c.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "globex/treasury"})
	return answer.GetHolding().GetBalance(), err
}

// Watch yields every block, without a gap, whatever happens to the nodes.
func ExampleClient_Watch() {
	c, _ := dialled()
	defer func() { _ = c.Close() }()
	if err := watch(context.Background(), c, 100); err != nil {
		log.Print(err)
	}
}

func watch(ctx context.Context, c *client.Client, until uint64) error {
	for block, err := range c.Watch(ctx, 1) {
		if err != nil {
			return err
		}
		if block.Height == until {
			break
		}
	}
	return nil
}

// A receipt proves a transaction to whoever knows the genesis hash, without a network, for ever.
func ExampleClient_Receipt() {
	c, network := dialled()
	defer func() { _ = c.Close() }()
	id, err := tx.ParseID("5f0c2b4e8d1a97360c5e4f3b2a190817263544f5e6d7c8b9aafbecdd0e1f2031")
	if err != nil {
		log.Print(err)
		return
	}
	file, err := c.Receipt(context.Background(), id, client.ReceiptOptions{})
	if err != nil {
		log.Print(err)
		return
	}

	// Years later, with nothing but the file and 64 digits:
	genesis, err := network.Hash()
	if err != nil {
		log.Print(err)
		return
	}
	report, err := verify.Receipt(file, verify.ReceiptOptions{GenesisHash: genesis})
	if err != nil {
		log.Print(err)
		return
	}
	fmt.Println(report.Transaction.Code, "in block", report.Transaction.Header.Height)
}

// SubmitAll keeps many transactions in flight and tells what became of each.
func ExampleClient_SubmitAll() {
	c, network := dialled()
	defer func() { _ = c.Close() }()
	keys, err := network.Keys("acme/treasury")
	if err != nil {
		log.Print(err)
		return
	}
	if err := pay(context.Background(), c, client.Signer{Account: "acme/treasury", Keys: keys}, 10_000); err != nil {
		log.Print(err)
	}
}

func pay(ctx context.Context, c *client.Client, treasury client.Signer, count int) error {
	batch := make([][]byte, count)
	for i := range batch {
		t, err := c.Build(ctx, client.Draft{Operations: []*ledgerv1.Operation{transfer("1")}})
		if err != nil {
			return err
		}
		if err := t.Sign(treasury.Account, treasury.Keys...); err != nil {
			return err
		}
		if batch[i], err = t.Encode(); err != nil {
			return err
		}
	}
	for done := range c.SubmitAll(ctx, slices.Values(batch), client.BatchOptions{}) {
		if done.Err != nil || !done.Result.OK() {
			return fmt.Errorf("payment %d: %v, %w", done.Index, done.Result, done.Err)
		}
	}
	return nil
}

// Errors say what to do next.
func ExampleErrorKind() {
	err := fmt.Errorf("pay: %w", &client.Undecided{ExpiresAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Err: context.DeadlineExceeded})
	fmt.Println(explain(nil, err))
	// Output: ask again, or send the same bytes again, until 03:04:05
}

func explain(result *client.Result, err error) string {
	var refused *client.Refused
	var undecided *client.Undecided
	var full *client.Full
	switch {
	case err == nil && result.OK():
		return "done"
	case err == nil:
		return "it stands in a block and changed nothing: " + result.Outcome.GetMessage()
	case errors.As(err, &refused):
		return "never ordered: " + refused.Reason
	case errors.As(err, &undecided):
		return "ask again, or send the same bytes again, until " + undecided.ExpiresAt.Format(time.TimeOnly)
	case errors.As(err, &full):
		return "come back in " + full.RetryAfter.String()
	case errors.Is(err, client.ErrLie):
		return "no node told the truth: do not use what they say"
	case errors.Is(err, client.ErrUnreachable):
		return "no node is there"
	default:
		return err.Error()
	}
}

// dialled stands for a program's own start.
func dialled() (*client.Client, *client.Network) {
	network, err := client.LoadNetwork("net")
	if err != nil {
		log.Fatal(err)
	}
	c, err := client.Dial(network, client.Config{})
	if err != nil {
		log.Fatal(err)
	}
	return c, network
}
