package pgindex

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/big"
	"math/rand/v2"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/client/clienttest"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

// cutting is a connection that breaks once so many bytes have gone through it, in the middle of whatever it was carrying.
type cutting struct {
	net.Conn
	left *atomic.Int64
}

var errCut = errors.New("the connection was cut")

func (c cutting) pass(b []byte, do func([]byte) (int, error)) (int, error) {
	if int64(len(b)) > c.left.Load() {
		b = b[:max(0, c.left.Load())]
	}
	n, err := 0, error(nil)
	if len(b) > 0 {
		n, err = do(b)
	}
	if c.left.Add(-int64(n)) <= 0 {
		return n, errors.Join(errCut, c.Close())
	}
	return n, err
}

func (c cutting) Read(b []byte) (int, error)  { return c.pass(b, c.Conn.Read) }
func (c cutting) Write(b []byte) (int, error) { return c.pass(b, c.Conn.Write) }

// TestEveryBlockOnce cuts connections to the database at random bytes, also while a commit is being confirmed, breaks streams,
// crashes the database, stops indexers and has two of them write to one schema: in the end every row is there once.
func TestEveryBlockOnce(t *testing.T) {
	t.Parallel()
	db := newCluster(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c := newChain(seed)
	c.grow(400, 8)
	random := rand.New(rand.NewPCG(seed, 2))
	c.faults = func() bool { return random.IntN(300) == 0 } // under the chain's lock

	cfg := c.config(db)
	cfg.BatchBlocks = 7
	var cuts atomic.Int64
	unstable := func(seed uint64) *Indexer {
		indexer, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex // pgx also dials to cancel what runs, from another goroutine
		random := rand.New(rand.NewPCG(seed, 3))
		dial := indexer.database.DialFunc
		indexer.database.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dial(ctx, network, address)
			left := new(atomic.Int64)
			mu.Lock()
			left.Store(3000 + random.Int64N(200_000))
			mu.Unlock()
			cuts.Add(1)
			return cutting{conn, left}, err
		}
		// As if the database had been reached before: the first connection may be cut too.
		indexer.reached, indexer.longest = true, 400*time.Millisecond
		return indexer
	}
	first, second := beginIndexer(t, unstable(seed)), beginIndexer(t, unstable(seed+1))
	first.until(100)
	second.now() // in the middle of what it does
	c.grow(100, 8)
	db.stop(syscall.SIGQUIT)
	c.grow(50, 8)
	db.start()
	third := beginIndexer(t, unstable(seed+2))
	first.until(300)
	if _, err := db.connect().Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'althing'"); err != nil {
		t.Fatal(err)
	}
	c.grow(50, 0)
	c.grow(50, 8)
	first.until(c.height())
	third.until(c.height())
	first.now()
	third.now()
	if cuts.Load() < 6 {
		t.Errorf("only %d connections were made", cuts.Load())
	}
	t.Logf("%d connections", cuts.Load())
	conn := db.connect()
	compare(t, conn, c.blocks)
	holdings(t, conn, c.holdings)
}

// TestRefusals begins where it must not go on.
func TestRefusals(t *testing.T) {
	t.Parallel()
	db := newCluster(t)
	conn := db.connect()
	c := newChain(1)
	c.grow(5, 3)
	c.run(t, c.config(db))
	must := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	fails := func(what string, want error, change func(*Config)) {
		t.Helper()
		cfg := c.config(db)
		change(&cfg)
		indexer, err := New(cfg)
		if err == nil {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err = indexer.Run(ctx)
		}
		if err == nil || (want != nil && !errors.Is(err, want)) {
			t.Errorf("%s: %v", what, err)
		}
	}
	fails("another genesis", ErrOtherNetwork, func(c *Config) { c.GenesisHash = make([]byte, 32) })
	fails("another chain", ErrOtherNetwork, func(c *Config) { c.ChainID = "prod-01020304" })
	fails("another beginning", ErrConfig, func(c *Config) { c.From = 3 })
	fails("a bad name", ErrConfig, func(c *Config) { c.Schema = `x"; DROP SCHEMA althing` })
	fails("a bad URL", ErrConfig, func(c *Config) { c.URL = "postgres://%zz" })
	fails("no genesis", ErrConfig, func(c *Config) { c.GenesisHash = nil })
	fails("no database of that name", nil, func(c *Config) { c.URL += " dbname=nowhere" })
	empty := t.TempDir() // where a server's socket would be
	fails("no server", nil, func(c *Config) { c.URL = "host=" + empty + " user=x" })
	must("CREATE SCHEMA other; CREATE TABLE other.accounts (n int)")
	fails("somebody else's schema", ErrForeignSchema, func(c *Config) { c.Schema = "other" })
	stream := func(err error) func(context.Context, uint64) iter.Seq2[*ledgerv1.Block, error] {
		return func(context.Context, uint64) iter.Seq2[*ledgerv1.Block, error] {
			return func(yield func(*ledgerv1.Block, error) bool) { yield(nil, err) }
		}
	}
	pruned := status.Error(codes.FailedPrecondition, "the block is no longer kept")
	fails("pruned blocks", pruned, func(c *Config) { c.Watch = stream(pruned) })
	for what, change := range map[string]func(*ledgerv1.Block){
		"a height left out":       func(b *ledgerv1.Block) { b.Height++ },
		"outcomes left out":       func(b *ledgerv1.Block) { b.TxCount++ },
		"outcomes of others":      func(b *ledgerv1.Block) { b.Outcomes[0].Index++ },
		"damaged transactions":    func(b *ledgerv1.Block) { b.Txs[0] = []byte{1} },
		"events that are none":    func(b *ledgerv1.Block) { b.Outcomes[0].Events = []byte{1} },
		"an amount that is none":  func(b *ledgerv1.Block) { b.Outcomes[0].Events = minted(t, "1e9") },
		"an amount without bound": func(b *ledgerv1.Block) { b.Outcomes[0].Events = minted(t, strings.Repeat("9", 40)) },
	} {
		fails(what, ErrBlock, func(cfg *Config) {
			cfg.Watch = func(context.Context, uint64) iter.Seq2[*ledgerv1.Block, error] {
				raw, o := newChain(2).transaction()
				for o.Id == nil {
					raw, o = c.transaction()
				}
				o.Height = 6
				block := &ledgerv1.Block{Height: 6, Txs: [][]byte{raw}, Outcomes: []*ledgerv1.TxOutcome{o}, TxCount: 1}
				change(block)
				return func(yield func(*ledgerv1.Block, error) bool) { yield(block, nil) }
			}
		})
	}
	compare(t, conn, c.blocks)
	must("UPDATE althing.network SET version = 99")
	fails("a newer schema", ErrNewerSchema, func(*Config) {})
}

func minted(t *testing.T, amount string) []byte {
	t.Helper()
	list := &ledgerv1.EventList{Events: []*ledgerv1.Event{{Kind: &ledgerv1.Event_AssetMinted{
		AssetMinted: &assetsv1.Minted{Asset: "acme/usd", To: "acme/alice", Amount: amount}}}}}
	events, err := list.MarshalVTStrict()
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// TestLateBeginning begins a schema where the first blocks are gone, and finds it again.
func TestLateBeginning(t *testing.T) {
	t.Parallel()
	db := newCluster(t)
	c := newChain(3)
	c.grow(10, 3)
	cfg := c.config(db)
	cfg.From, cfg.Schema = 8, "late_1"
	c.run(t, cfg)
	cfg.From = 0
	c.grow(2, 3)
	c.run(t, cfg)
	var least, most, count int
	if err := db.connect().QueryRow(t.Context(), "SELECT min(height), max(height), count(*) FROM late_1.blocks").Scan(&least, &most, &count); err != nil {
		t.Fatal(err)
	}
	if least != 8 || most != 12 || count != 5 {
		t.Errorf("heights %d to %d, %d of them", least, most, count)
	}
}

// TestDocs runs the examples of docs/postgres.md.
func TestDocs(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/postgres.md")
	if err != nil {
		t.Fatal(err)
	}
	examples := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllSubmatch(docs, -1)
	if len(examples) < 5 {
		t.Fatalf("%d examples", len(examples))
	}
	db := newCluster(t)
	c := newChain(5)
	c.grow(20, 5)
	c.run(t, c.config(db))
	conn := db.connect()
	for _, example := range examples {
		if _, err := conn.Exec(t.Context(), string(example[1])); err != nil {
			t.Errorf("%v\n%s", err, example[1])
		}
	}
}

// TestNetwork indexes a network over its API while clients write and a node goes away.
func TestNetwork(t *testing.T) {
	t.Parallel()
	db := newCluster(t)
	network := clienttest.Start(t, 2)
	c := network.Dial(t, client.Config{})
	genesis, err := hex.DecodeString(c.Network().GenesisHash)
	if err != nil {
		t.Fatal(err)
	}
	indexer, err := New(Config{URL: db.url(), ChainID: c.Network().ChainID, GenesisHash: genesis, Watch: c.Watch})
	if err != nil {
		t.Fatal(err)
	}
	running := beginIndexer(t, indexer)
	admin, treasury := network.Signer(t, "acme/admin"), network.Signer(t, "acme/treasury")
	send := func(signer client.Signer, op *ledgerv1.Operation) {
		t.Helper()
		op.Account = signer.Account
		if _, err := c.Send(t.Context(), client.Draft{Operations: []*ledgerv1.Operation{op}}, signer); err != nil {
			t.Fatal(err)
		}
	}
	send(admin, &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: "acme/usd", Decimals: 2}}})
	send(admin, &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: "acme/usd", To: "acme/treasury", Amount: "1000"}}})
	pay := func(amount string) *ledgerv1.Operation {
		return &ledgerv1.Operation{Kind: &ledgerv1.Operation_AssetTransfer{
			AssetTransfer: &assetsv1.Transfer{Asset: "acme/usd", To: "globex/treasury", Amount: amount}}}
	}
	for i := range 20 {
		switch i {
		case 5:
			network.Nodes[0].Stop()
		case 10:
			network.Nodes[0].Start(t)
			running.now()
			if indexer, err = New(Config{URL: db.url(), ChainID: c.Network().ChainID, GenesisHash: genesis, Watch: c.Watch}); err != nil {
				t.Fatal(err)
			}
			running = beginIndexer(t, indexer)
		case 15:
			send(treasury, pay("5000")) // is rejected
		}
		send(treasury, pay(fmt.Sprint(i+1)))
	}
	send(admin, &ledgerv1.Operation{Kind: &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
		Record: "acme/bills/2026-001", ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("pay me")}}}})
	running.until(network.Ledger.Height())
	running.now()

	var blocks []*ledgerv1.Block
	for height := uint64(1); height <= network.Ledger.Height(); height++ {
		block, err := c.Block(t.Context(), height)
		if err != nil {
			t.Fatal(err)
		}
		blocks = append(blocks, block)
	}
	conn := db.connect()
	compare(t, conn, blocks)
	holdings(t, conn, map[[2]string][2]*big.Int{
		{"acme/treasury", "acme/usd"}:   {big.NewInt(790), new(big.Int)},
		{"globex/treasury", "acme/usd"}: {big.NewInt(210), new(big.Int)},
	})
}

// TestText is about what PostgreSQL does not take.
func TestText(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"": "", "æ": "æ", "a\x00b\x00": "a\ufffdb\ufffd", "a\xff\xfe": "a\ufffd"} {
		if got := text(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

// TestTransient says which errors are waited out.
func TestTransient(t *testing.T) {
	t.Parallel()
	again := []error{io.ErrUnexpectedEOF, context.DeadlineExceeded, errMoved, streamError{status.Error(codes.Unavailable, "gone")},
		streamError{client.ErrUnreachable}, streamError{status.Error(codes.OutOfRange, "not yet")}}
	never := []error{ErrBlock, ErrOtherNetwork, ErrNewerSchema, streamError{status.Error(codes.FailedPrecondition, "pruned")},
		streamError{client.ErrTokenRequired}, streamError{client.ErrWrongNetwork}}
	for i, err := range slices.Concat(again, never) {
		if transient(fmt.Errorf("wrapped: %w", err)) != (i < len(again)) {
			t.Errorf("%v", err)
		}
	}
}

// BenchmarkCatchUp says how many transactions of one operation each are written in a second, with the server beside it.
func BenchmarkCatchUp(b *testing.B) {
	db := newCluster(b)
	c := newChain(4)
	c.grow(200, 400)
	transactions := 0
	for _, block := range c.blocks {
		transactions += len(block.Txs)
	}
	rounds := 0
	for b.Loop() {
		cfg := c.config(db)
		cfg.Schema = fmt.Sprintf("round_%d", rounds)
		rounds++
		ctx, cancel := context.WithCancel(b.Context())
		cfg.Written = func(height uint64) {
			if height == c.height() {
				cancel()
			}
		}
		indexer, err := New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := indexer.Run(ctx); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(transactions*rounds)/b.Elapsed().Seconds(), "tx/s")
	var size float64
	if err := db.connect().QueryRow(b.Context(), `SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
		WHERE nspname = 'round_0' AND relkind = 'r'`).Scan(&size); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(size/float64(transactions), "B/tx")
}
