package app

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/state"
)

// BenchmarkBlock checks, executes and commits blocks of 2,000 transfers between 50,000 funded accounts, as a validator does with
// the proposal of another one when it knows the signatures. ns/op is for one block; each step has its own figure per transaction.
func BenchmarkBlock(b *testing.B) {
	const accounts, senders, perBlock = 50_000, 2_000, 2_000
	name := func(i int) string { return fmt.Sprintf("%s/a%06d", orgs[i%len(orgs)], i) }
	all := make(map[string]keys.PrivateKey, senders)
	w := newWorldWith(b, func(doc *genesisv1.Genesis) {
		shared := keyOf(b, keys.SchemeSchnorr, "nobody")
		for i := range accounts {
			key := shared
			if i < senders {
				key = keyOf(b, keys.SchemeSchnorr, name(i))
				all[name(i)] = key
			}
			doc.Accounts = append(doc.Accounts, &accountsv1.Account{Name: name(i), Keys: []*accountsv1.WeightedKey{listed(key)}, Threshold: 1, Roles: []string{"payer"}})
		}
		slices.SortFunc(doc.Accounts, func(x, y *accountsv1.Account) int { return strings.Compare(x.Name, y.Name) })
	})
	for account, key := range all {
		w.keys[account] = key
	}
	r := newReplica(b, w, state.Config{Dir: b.TempDir(), CacheBytes: 128 << 20, TreeCacheNodes: 500_000})
	height := uint64(1)
	r.decide(height, blockTime(height), w.sign(w.body(blockTime(height), createAsset("acme/admin", "acme/usd"))))
	for from := 0; from < accounts; {
		height++
		var txs [][]byte
		for ; len(txs) < 40 && from < accounts; from += 100 {
			var ops []*ledgerv1.Operation
			for i := from; i < from+100; i++ {
				ops = append(ops, mint("acme/admin", "acme/usd", name(i), "1000000"))
			}
			txs = append(txs, w.sign(w.body(blockTime(height), ops...)))
		}
		if codes := codesOf(r.decide(height, blockTime(height), txs...)); slices.Max(codes) != 0 {
			b.Fatalf("funding: %v", slices.Max(codes))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	var took [4]time.Duration
	step := func(i int, do func() error) {
		begin := time.Now()
		if err := do(); err != nil {
			b.Fatal(err)
		}
		took[i] += time.Since(begin)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		height++
		at := blockTime(height)
		txs := make([][]byte, perBlock)
		for i := range txs {
			txs[i] = w.sign(w.body(at, transfer(name(random.IntN(senders)), "acme/usd", name(random.IntN(accounts)), "1")))
		}
		limits := r.app.rules.Load().limits
		begin := time.Now()
		r.app.verifier.Verify(txs, limits)
		took[3] += time.Since(begin)
		hash := blockHash(height, at, txs)
		b.StartTimer()
		step(0, func() error {
			res, err := r.app.ProcessProposal(context.Background(), &abci.RequestProcessProposal{Height: int64(height), Time: at, Txs: txs, Hash: hash})
			if err == nil && res.Status != abci.ResponseProcessProposal_ACCEPT {
				err = fmt.Errorf("block %d was refused", height)
			}
			return err
		})
		step(1, func() error {
			res, err := r.app.FinalizeBlock(context.Background(), &abci.RequestFinalizeBlock{Height: int64(height), Time: at, Txs: txs, Hash: hash})
			if err == nil {
				if worst := slices.Max(codesOf(res)); worst != ledgerv1.Code_CODE_OK {
					err = fmt.Errorf("a transfer came to %v", worst)
				}
			}
			return err
		})
		step(2, func() error {
			_, err := r.app.Commit(context.Background(), &abci.RequestCommit{})
			return err
		})
	}
	for i, unit := range []string{"µs-process/tx", "µs-finalize/tx", "µs-commit/tx", "µs-verify/tx"} {
		b.ReportMetric(float64(took[i].Microseconds())/float64(b.N*perBlock), unit)
	}
}
