package verify_test

import (
	"fmt"
	"testing"

	"github.com/althing-ledger/althing/client/verify"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// BenchmarkState verifies proofs against a state of 200,000 keys under seven validators. "fresh" checks the signatures too.
func BenchmarkState(b *testing.B) {
	c := newChain(b, 0, 1, 2, 3, 4, 5, 6)
	account := func(i int) []byte { return keyspace.Key(keyspace.PrefixAccounts, "acme", fmt.Sprintf("a%06d", i)) }
	c.add(content{write: func(o *state.Overlay) {
		for i := range 200_000 {
			o.Set(account(i), make([]byte, 64))
		}
	}})
	c.add(content{})
	var page [][]byte
	for i := range 100 {
		page = append(page, account(5000+i))
	}
	for _, test := range []struct {
		name  string
		proof *proofv1.StateProof
	}{
		{"1key", c.state(1, account(77_777))},
		{"100keys", c.state(1, page...)},
	} {
		size, err := test.proof.MarshalVTStrict()
		c.must(err)
		b.Run(test.name+"/known", func(b *testing.B) {
			b.ReportAllocs()
			trust := c.trust(1)
			for b.Loop() {
				if _, err := trust.State(test.proof); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(size)), "B/proof")
		})
		b.Run(test.name+"/fresh", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				trust := c.trust(1)
				b.StartTimer()
				if _, err := trust.State(test.proof); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkReceipt verifies whole files: lineage, headers, transaction.
func BenchmarkReceipt(b *testing.B) {
	for name, file := range receiptKinds(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := verify.Receipt(file, verify.ReceiptOptions{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(file)), "B/file")
		})
	}
}
