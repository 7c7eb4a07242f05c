package mempool

import (
	"bytes"
	"crypto/sha256"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/keys"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// repeated returns n times the same.
func repeated[T any](n int, one T) []T {
	all := make([]T, n)
	for i := range all {
		all[i] = one
	}
	return all
}

// heavy is how to make transactions that take much memory for their size.
var heavy = map[string]func(i int) []*ledgerv1.Operation{
	"a transfer": func(int) []*ledgerv1.Operation {
		return []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AssetTransfer{
			AssetTransfer: &assetsv1.Transfer{Asset: "acme/usd", To: "globex/bob", Amount: "1"},
		}}}
	},
	"short transfers": func(int) []*ledgerv1.Operation {
		return repeated(100, &ledgerv1.Operation{Account: "acme/alice", Kind: &ledgerv1.Operation_AssetTransfer{
			AssetTransfer: &assetsv1.Transfer{Asset: "a", To: "b", Amount: "1"},
		}})
	},
	"empty holds": func(int) []*ledgerv1.Operation {
		return repeated(100, &ledgerv1.Operation{Account: "acme/alice", Kind: &ledgerv1.Operation_AssetOpenHold{
			AssetOpenHold: &assetsv1.OpenHold{},
		}})
	},
	"empty keys": func(i int) []*ledgerv1.Operation {
		return []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AccountCreate{
			AccountCreate: &accountsv1.Create{Keys: repeated(5000+20*i, &accountsv1.WeightedKey{})},
		}}}
	},
	"empty public keys": func(i int) []*ledgerv1.Operation {
		return []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AccountCreate{
			AccountCreate: &accountsv1.Create{Keys: repeated(5000+20*i, &accountsv1.WeightedKey{PublicKey: &keysv1.PublicKey{}})},
		}}}
	},
	"public keys of a byte": func(i int) []*ledgerv1.Operation {
		return []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AccountCreate{
			AccountCreate: &accountsv1.Create{Keys: repeated(5000+20*i,
				&accountsv1.WeightedKey{PublicKey: &keysv1.PublicKey{Key: []byte{1}}})},
		}}}
	},
	"empty roles": func(i int) []*ledgerv1.Operation {
		return []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AccountSetRoles{
			AccountSetRoles: &accountsv1.SetRoles{Roles: repeated(10_000+50*i, "")},
		}}}
	},
	"roles of a letter": func(i int) []*ledgerv1.Operation {
		return []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AccountSetRoles{
			AccountSetRoles: &accountsv1.SetRoles{Roles: repeated(10_000+50*i, "r")},
		}}}
	},
	"one long name": func(i int) []*ledgerv1.Operation {
		return []*ledgerv1.Operation{{Account: "acme/alice", Kind: &ledgerv1.Operation_AccountSetRoles{
			AccountSetRoles: &accountsv1.SetRoles{Name: strings.Repeat("n", 100_000+1000*i)},
		}}}
	},
}

// TestVerdictsAreCharged compares what verdicts count in a cache with what they take in memory. It measures the heap, so it
// must be alone and is not parallel.
func TestVerdictsAreCharged(t *testing.T) {
	key := newKey(t, keys.SchemeEd25519, "acme")
	measure := func(name string, raws [][]byte) {
		v := newVerifier(t, VerifierConfig{CacheEntries: 4 * len(raws), CacheBytes: 4 << 30, Workers: 1, KeyCache: 1})
		before := reachable()
		v.Verify(raws, testLimits)
		taken := reachable() - before
		s := v.Stats()
		if s.Entries != len(raws) {
			t.Fatalf("%s: %d of %d are remembered", name, s.Entries, len(raws))
		}
		ratio := float64(taken) / float64(s.Bytes)
		t.Logf("%s: %d bytes each, %d in memory, charged %d: %.2f", name, len(raws[0]), taken/int64(len(raws)),
			s.Bytes/int64(len(raws)), ratio)
		if ratio > 1.5 || ratio < 0.15 {
			t.Errorf("%s: verdicts take %.2f times what they count", name, ratio)
		}
		runtime.KeepAlive(v)
		runtime.KeepAlive(raws)
	}
	for name, operations := range heavy {
		n := 40
		if name == "a transfer" {
			n = 2000
		}
		var raws [][]byte
		for i := range n {
			nonce := sha256.Sum256([]byte(strconv.Itoa(i)))
			body, err := tx.NewBody(testChain, time.Now().Add(time.Hour), bytes.NewReader(nonce[:]), operations(i%40)...)
			if err != nil {
				t.Fatal(err)
			}
			raws = append(raws, signBody(t, body, "acme/alice", key))
		}
		measure(name, raws)
		for _, raw := range raws {
			raw[len(raw)-1] ^= 1
		}
		measure(name+", spoilt", raws)
	}
	var garbage [][]byte
	for i := range 2000 {
		garbage = append(garbage, []byte(strconv.Itoa(i)))
	}
	measure("garbage", garbage)
}

// reachable returns the bytes that are reachable.
func reachable() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
