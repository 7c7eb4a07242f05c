package client_test

import (
	"context"
	"fmt"
	"log"
	"testing"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// exampleDir stands for the directory that `althing testnet up --dir DIR` makes.
func exampleDir(t *testing.T) string {
	n := clienttest.Start(t, 2)
	t.Cleanup(func() {
		if got := n.Ledger.Committed(); got != 2 {
			t.Errorf("the example committed %d transactions, want 2", got)
		}
	})
	return n.Dir
}

func TestExamples(t *testing.T) {
	t.Parallel()
	if err := issueAndRead(t.Context(), exampleDir(t)); err != nil {
		t.Fatal(err)
	}
}

// Example issues an asset, reads a balance, and sees the blocks it was done in.
func Example() {
	if err := issueAndRead(context.Background(), "DIR"); err != nil {
		log.Print(err)
	}
}

func issueAndRead(ctx context.Context, dir string) error {
	network, err := client.LoadNetwork(dir)
	if err != nil {
		return err
	}
	c, err := client.Dial(network, client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()

	// One transaction, two operations: both happen, or none.
	admin, err := network.Keys("acme/admin")
	if err != nil {
		return err
	}
	result, err := c.Send(ctx, client.Draft{Operations: []*ledgerv1.Operation{
		{Account: "acme/admin", Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: "acme/usd", Decimals: 2}}},
		{Account: "acme/admin", Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{
			Asset: "acme/usd", To: "acme/treasury", Amount: "100000", // base units: 1000.00
		}}},
	}}, client.Signer{Account: "acme/admin", Keys: admin})
	if err != nil {
		return err
	}
	if !result.OK() {
		return fmt.Errorf("%v: %s", result.Outcome.GetCode(), result.Outcome.GetMessage())
	}

	// The same in steps, as when another machine signs.
	t, err := c.Build(ctx, client.Draft{Operations: []*ledgerv1.Operation{
		{Account: "acme/treasury", Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{
			Asset: "acme/usd", To: "globex/treasury", Amount: "1250",
		}}},
	}})
	if err != nil {
		return err
	}
	treasury, err := network.Keys("acme/treasury")
	if err != nil {
		return err
	}
	if err := t.Sign("acme/treasury", treasury...); err != nil {
		return err
	}
	raw, err := t.Encode()
	if err != nil {
		return err
	}
	if result, err = c.SubmitAndWait(ctx, raw); err != nil {
		return err
	}

	// Reads are never older than what this client has written.
	balance, err := c.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "globex/treasury"})
	if err != nil {
		return err
	}
	if balance.Holding.Balance != "1250" {
		return fmt.Errorf("balance is %s", balance.Holding.Balance)
	}

	// Blocks from the first one to the one that the transfer is in.
	for block, err := range c.Watch(ctx, 1) {
		if err != nil {
			return err
		}
		if block.Height == result.Height {
			return nil
		}
	}
	return nil
}
