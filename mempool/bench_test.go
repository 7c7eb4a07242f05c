package mempool

import (
	"context"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/althing-ledger/althing/keys"
)

func transfers(b *testing.B, scheme keys.Scheme, n int) [][]byte {
	raws := make([][]byte, n)
	signers := make([]keys.PrivateKey, 64)
	for i := range signers {
		signers[i] = newKey(b, scheme, strconv.Itoa(i))
	}
	for i := range raws {
		raws[i] = transfer(b, "org"+strconv.Itoa(i%4), strconv.Itoa(i), time.Now().Add(23*time.Hour), signers[i%len(signers)])
	}
	return raws
}

// BenchmarkVerify verifies transactions that nobody has seen, per transaction and in batches of several sizes.
func BenchmarkVerify(b *testing.B) {
	for _, scheme := range []keys.Scheme{keys.SchemeSchnorr, keys.SchemeECDSA, keys.SchemeEd25519} {
		raws := transfers(b, scheme, 1024)
		for _, size := range []int{1, 64, 1024} {
			b.Run(scheme.String()+"/"+strconv.Itoa(size), func(b *testing.B) {
				for i := 0; i < b.N; i += size {
					if i%len(raws) == 0 {
						b.StopTimer()
						v := newVerifier(b, VerifierConfig{})
						b.StartTimer()
						for k := 0; k < len(raws) && i+k < b.N; k += size {
							for _, verdict := range v.Verify(raws[k:k+size], testLimits) {
								if verdict.Err != nil {
									b.Fatal(verdict.Err)
								}
							}
						}
					}
				}
			})
		}
	}
}

// BenchmarkSubmit hands in verified transactions from many goroutines: what the pool itself costs.
func BenchmarkSubmit(b *testing.B) {
	raws := transfers(b, keys.SchemeEd25519, 4096)
	v := newVerifier(b, VerifierConfig{})
	v.Verify(raws, testLimits)
	for b.Loop() {
		l := newLedger()
		p, stop := startPool(b, l.config(b, Config{Verifier: v, BatchPace: -1}))
		var next atomic.Int64
		done := make(chan error)
		const clients = 256
		for range clients {
			go func() {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(raws) {
						done <- nil
						return
					}
					if _, err := p.Submit(context.Background(), raws[i]); err != nil {
						done <- err
						return
					}
				}
			}()
		}
		for range clients {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
		if err := stop(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(raws)), "ns/tx")
}

// BenchmarkReap fills a block of 4 MiB from a full pool of small transactions.
func BenchmarkReap(b *testing.B) {
	p, err := NewPool(newLedger().config(b, Config{}))
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for i := range 20 {
		fill(p, random, "org"+strconv.Itoa(i), 5000, 300)
	}
	taken := 0
	for b.Loop() {
		taken = len(p.Reap(4<<20, time.Now(), take))
	}
	b.ReportMetric(float64(taken), "txs")
}
