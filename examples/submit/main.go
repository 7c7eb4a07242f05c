// Submit pays somebody: it builds a transaction, signs it, submits it over gRPC and prints what became of it. It is the
// shortest program that does so, and a place to start from.
//
//	go run ./examples/submit -network DIR -asset acme/usd -from acme/treasury -to globex/treasury -amount 1250
//
// DIR is what `althing testnet up --dir DIR` made. The amount is in base units: 1250 of an asset with two decimals are 12.50.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/althing-ledger/althing/client"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

func main() {
	log.SetFlags(0)
	dir := flag.String("network", os.Getenv("ALTHING_NETWORK"), "directory or network file")
	payment := assetsv1.Transfer{}
	flag.StringVar(&payment.Asset, "asset", "acme/usd", "what is paid")
	from := flag.String("from", "acme/treasury", "who pays, and signs")
	flag.StringVar(&payment.To, "to", "globex/treasury", "who is paid")
	flag.StringVar(&payment.Amount, "amount", "1250", "how much, in base units")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := pay(ctx, *dir, *from, &payment); err != nil {
		log.Fatal(err)
	}
}

func pay(ctx context.Context, dir, from string, payment *assetsv1.Transfer) error {
	network, err := client.LoadNetwork(dir)
	if err != nil {
		return err
	}
	c, err := client.Dial(network, client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	keys, err := network.Keys(from)
	if err != nil {
		return err
	}

	// Send builds, signs, submits and waits. Where it was sent before it is not applied again, so it is retried for as long as
	// ctx lives, at whichever node answers.
	operation := &ledgerv1.Operation{Account: from, Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: payment}}
	result, err := c.Send(ctx, client.Draft{Operations: []*ledgerv1.Operation{operation}, Memo: "an example"},
		client.Signer{Account: from, Keys: keys})
	if err != nil {
		return err
	}
	if !result.OK() {
		return fmt.Errorf("%s is in block %d and was rejected: %s", result.ID, result.Height, result.Outcome.GetMessage())
	}
	fmt.Printf("%s is committed in block %d\n", result.ID, result.Height)

	// This client reads its own writes, whichever node it asks.
	answer, err := c.Assets().GetBalance(ctx, &assetsv1.GetBalanceRequest{Asset: payment.Asset, Account: payment.To})
	if err != nil {
		return err
	}
	fmt.Printf("%s has %s base units of %s at height %d\n", payment.To, answer.Holding.GetBalance(), payment.Asset, answer.Height)
	return nil
}
