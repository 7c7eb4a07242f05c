package mempool

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/althing-ledger/althing/keys"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const testChain = "test-01234567"

var testLimits = tx.Limits{Bytes: MaxTxBytes, Operations: 100, Signatures: 64}

// newKey derives a key from a name.
func newKey(tb testing.TB, scheme keys.Scheme, name string) keys.PrivateKey {
	tb.Helper()
	seed := sha256.Sum256([]byte(name))
	key, err := keys.Generate(scheme, bytes.NewReader(bytes.Repeat(seed[:], 4)))
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// transfer returns a transaction of org/alice with the given memo, signed with key. The nonce derives from the memo.
func transfer(tb testing.TB, org, memo string, expires time.Time, key keys.PrivateKey) []byte {
	tb.Helper()
	nonce := sha256.Sum256([]byte(org + "/" + memo))
	body, err := tx.NewBody(testChain, expires, bytes.NewReader(nonce[:]), &ledgerv1.Operation{
		Account: org + "/alice",
		Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{
			Asset: "acme/usd", To: "globex/bob", Amount: "1",
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	body.Memo = memo
	return signBody(tb, body, org+"/alice", key)
}

func signBody(tb testing.TB, body *ledgerv1.Body, account string, key keys.PrivateKey) []byte {
	tb.Helper()
	unsigned, _, err := tx.Unsigned(body)
	if err != nil {
		tb.Fatal(err)
	}
	if err := tx.AddSignature(unsigned, testChain, account, key); err != nil {
		tb.Fatal(err)
	}
	raw, err := unsigned.MarshalVTStrict()
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

func decode(tb testing.TB, raw []byte) *tx.Tx {
	tb.Helper()
	t, err := tx.Decode(testChain, raw, testLimits)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func newVerifier(tb testing.TB, cfg VerifierConfig) *Verifier {
	tb.Helper()
	cfg.ChainID = testChain
	v, err := NewVerifier(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// ledger is the state that a pool asks: which transactions are committed and who may act. It is safe for concurrent use.
type ledger struct {
	mu         sync.Mutex
	committed  map[tx.ID]bool
	revoked    map[string]bool // accounts that may not act
	broken     error           // what Authorize fails with
	unreadable error           // what Committed fails with
}

func newLedger() *ledger { return &ledger{committed: map[tx.ID]bool{}, revoked: map[string]bool{}} }

func (l *ledger) authorize(t *tx.Tx) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	if l.revoked[t.Payer] {
		return tx.Reject(ledgerv1.Code_CODE_KEY_NOT_LISTED, "the key is not listed for %s", t.Payer)
	}
	return nil
}

func (l *ledger) has(id tx.ID, _ int64) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed[id], l.unreadable
}

func (l *ledger) commit(ids ...tx.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.committed[id] = true
	}
}

func (l *ledger) set(f func(*ledger)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l)
}

// config fills in what tests need of a Config.
func (l *ledger) config(tb testing.TB, cfg Config) Config {
	if cfg.Verifier == nil {
		cfg.Verifier = newVerifier(tb, VerifierConfig{})
	}
	cfg.Limits = func() tx.Limits { return testLimits }
	cfg.Authorize = l.authorize
	cfg.Committed = l.has
	return cfg
}

// startPool runs a pool until the test ends or stop is called.
func startPool(tb testing.TB, cfg Config) (p *Pool, stop func() error) {
	tb.Helper()
	p, err := NewPool(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return p, run(tb, p.Run)
}

// run calls f on a goroutine until the test ends or stop is called, which returns what f returned.
func run(tb testing.TB, f func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	tb.Cleanup(func() {
		if err := stop(); err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	return stop
}

// describe says in a line what Submit came to.
func describe(err error) string {
	if err == nil {
		return "pending"
	}
	if code, rejected := tx.CodeOf(err); rejected {
		return fmt.Sprintf("refused, %s: %s", tx.Reason(code), err)
	}
	return err.Error()
}

// take is a usable that takes everything.
func take(*tx.Tx) (Use, error) { return Take, nil }

func memos(tb testing.TB, raws [][]byte) string {
	var names []string
	for _, raw := range raws {
		names = append(names, decode(tb, raw).Body.Memo)
	}
	return strings.Join(names, " ")
}

// randomBytes returns n random bytes.
func randomBytes(tb testing.TB, n int) []byte {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		tb.Fatal(err)
	}
	return b
}
