// Payments makes the payments of a CSV file, many at a time: there are no sequence numbers, so the transactions of one account
// need not wait for one another. run.sh, beside it, sets the stage and checks the balances.
//
//	payments -network DIR -asset acme/usd -file payments.csv
//
// The columns are from, to, amount and memo; the amount has the asset's decimals.
package main

import (
	"context"
	"encoding/csv"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/signal"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/amount"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// A payment is a line of the file.
type payment struct {
	line           int
	from, to, memo string
	amount         amount.Amount
}

func main() {
	log.SetFlags(0)
	dir := flag.String("network", os.Getenv("ALTHING_NETWORK"), "directory or network file")
	asset := flag.String("asset", "acme/usd", "what is paid")
	file := flag.String("file", "payments.csv", "the payments")
	together := flag.Int("together", 32, "how many transactions wait for their commit at a time")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := run(ctx, *dir, *asset, *file, *together); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, dir, asset, file string, together int) error {
	network, err := client.LoadNetwork(dir)
	if err != nil {
		return err
	}
	c, err := client.Dial(network, client.Config{})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	definition, err := c.Assets().GetAsset(ctx, &assetsv1.GetAssetRequest{Asset: asset})
	if err != nil {
		return err
	}
	payments, err := load(file, definition.Asset.GetDecimals())
	if err != nil {
		return err
	}
	signers, err := signersOf(network, payments)
	if err != nil {
		return err
	}

	began := time.Now()
	var last atomic.Uint64 // the highest block
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(together)
	for _, p := range payments {
		group.Go(func() error {
			result, err := c.Send(ctx, client.Draft{Memo: p.memo, Operations: []*ledgerv1.Operation{{Account: p.from,
				Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{
					Asset: asset, To: p.to, Amount: p.amount.String()}}}}},
				client.Signer{Account: p.from, Keys: signers[p.from]})
			if err != nil {
				return fmt.Errorf("line %d: %w", p.line, err)
			}
			if !result.OK() {
				return fmt.Errorf("line %d: rejected in block %d: %s", p.line, result.Height, result.Outcome.GetMessage())
			}
			for seen := last.Load(); seen < result.Height && !last.CompareAndSwap(seen, result.Height); {
				seen = last.Load()
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	took := time.Since(began)
	fmt.Printf("%d payments committed in %s, the last in block %d\n", len(payments), took.Round(time.Millisecond), last.Load())
	return nil
}

// load reads the file. Nothing is paid unless all of it can be read.
func load(file string, decimals uint32) ([]payment, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	reader := csv.NewReader(f)
	reader.FieldsPerRecord = 4
	if _, err := reader.Read(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var payments []payment
	for {
		fields, err := reader.Read()
		if err == io.EOF {
			return payments, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		line, _ := reader.FieldPos(0)
		much, err := amount.ParseDecimal(fields[2], decimals)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", file, line, err)
		}
		payments = append(payments, payment{line: line, from: fields[0], to: fields[1], amount: much, memo: fields[3]})
	}
}

func signersOf(network *client.Network, payments []payment) (map[string][]keys.PrivateKey, error) {
	signers := map[string][]keys.PrivateKey{}
	for _, p := range payments {
		if signers[p.from] != nil {
			continue
		}
		own, err := network.Keys(p.from)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", p.line, err)
		}
		signers[p.from] = own
	}
	return signers, nil
}
