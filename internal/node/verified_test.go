package node_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/internal/home"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// BenchmarkVerifiedBalance reads a balance over loopback from a state of 100,000 records, believed and verified. The node runs in
// the same process: what a verified read takes more is the work of both sides.
func BenchmarkVerifiedBalance(b *testing.B) {
	n := newNetwork(b, nil, func(c *home.Config) { c.State.KeepHeights, c.State.KeepFor = 1000, home.Duration(time.Hour) })
	n.startAll()
	n.must(n.nodes[0], createAsset("acme/admin", "acme/usd"), mint("acme/admin", "acme/usd", "acme/treasury", "1000"))
	c, err := client.Dial(n.files.File, client.Config{})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var height uint64
	for r := range c.SubmitAll(b.Context(), n.records(2000, 50), client.BatchOptions{InFlight: 64}) {
		if r.Err != nil || !r.Result.OK() {
			b.Fatalf("transaction %d: %+v, %v", r.Index, r.Result, r.Err)
		}
		height = max(height, r.Result.Height)
	}
	n.sameState(height + 1)
	q := &assetsv1.GetBalanceRequest{Asset: "acme/usd", Account: "acme/treasury"}
	for name, config := range map[string]client.Config{"verified": {}, "believed": {Unverified: true}} {
		b.Run(name, func(b *testing.B) {
			c, err := client.Dial(n.files.File, config)
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			for b.Loop() {
				if _, err := c.Assets().GetBalance(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
			asked := proto.CloneOf(q)
			asked.Prove = !config.Unverified
			answer, err := assetsv1.NewAssetsServiceClient(n.nodes[0].conn).GetBalance(context.Background(), asked)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(proto.Size(answer)), "bytes/answer")
		})
	}
}

// records yields transactions that put so many records each.
func (n *network) records(transactions, each int) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for i := range transactions {
			var ops []*ledgerv1.Operation
			for j := range each {
				ops = append(ops, &ledgerv1.Operation{Account: "acme/admin", Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
					Record: fmt.Sprintf("acme/docs/%d-%d", i, j), ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("x")},
				}}})
			}
			raw, _, _ := n.sign(2*time.Minute, ops...)
			if !yield(raw) {
				return
			}
		}
	}
}
