package pgindex

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math/big"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
)

const chainID = "test-01020304"

var (
	genesisHash = sha256.Sum256([]byte("genesis"))
	genesisTime = time.Date(2026, 1, 1, 0, 0, 0, 123456789, time.UTC)
)

// chain is blocks that grow, as a network's would, and streams of them that break.
type chain struct {
	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever a block is added
	blocks  []*ledgerv1.Block
	// faults, if not nil, says whether a stream breaks before its next block.
	faults func() bool

	random *rand.Rand
	nonce  uint64
	// holdings are balance and held of each account and asset.
	holdings map[[2]string][2]*big.Int
	holds    []*assetsv1.Hold
}

func newChain(seed uint64) *chain {
	return &chain{changed: make(chan struct{}), random: rand.New(rand.NewPCG(seed, 1)), holdings: map[[2]string][2]*big.Int{}}
}

// watch streams as [client.Client.Watch] does.
func (c *chain) watch(ctx context.Context, from uint64) iter.Seq2[*ledgerv1.Block, error] {
	return func(yield func(*ledgerv1.Block, error) bool) {
		for next := from; ; next++ {
			block, err := c.wait(ctx, next)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(proto.CloneOf(block), nil) {
				return
			}
		}
	}
}

func (c *chain) wait(ctx context.Context, height uint64) (*ledgerv1.Block, error) {
	for {
		c.mu.Lock()
		broken, changed := c.faults != nil && c.faults(), c.changed
		var block *ledgerv1.Block
		if height <= uint64(len(c.blocks)) {
			block = c.blocks[height-1]
		}
		c.mu.Unlock()
		switch {
		case broken:
			return nil, status.Error(codes.Unavailable, "the node went away")
		case block != nil:
			return block, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *chain) height() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.blocks))
}

// grow adds blocks of random transactions.
func (c *chain) grow(blocks, transactions int) {
	for range blocks {
		c.mu.Lock()
		height := uint64(len(c.blocks) + 1)
		at := genesisTime.Add(time.Duration(height) * 1234567891)
		hash := sha256.Sum256(binary.BigEndian.AppendUint64(nil, height))
		block := &ledgerv1.Block{Height: height, Time: timestamppb.New(at), Hash: hash[:], AppHash: hash[:], Proposer: "acme-1"}
		if transactions > 0 {
			block.TxCount = uint32(c.random.IntN(transactions))
		}
		for i := range block.TxCount {
			raw, o := c.transaction()
			o.Height, o.Index, o.TimeUnixNano = height, i, at.UnixNano()
			block.Txs, block.Outcomes = append(block.Txs, raw), append(block.Outcomes, o)
		}
		c.blocks = append(c.blocks, block)
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// transaction makes one of random operations: applied, rejected, or no transaction at all.
func (c *chain) transaction() ([]byte, *ledgerv1.TxOutcome) {
	if c.random.IntN(20) == 0 {
		return []byte("garbage"), &ledgerv1.TxOutcome{Code: ledgerv1.Code_CODE_MALFORMED, FailedOperation: -1, Message: "no\x00thing"}
	}
	c.nonce++
	body := &ledgerv1.Body{
		ChainId: chainID, Nonce: binary.BigEndian.AppendUint64(make([]byte, 8), c.nonce), ExpiresAt: timestamppb.New(genesisTime.Add(time.Hour)),
		Memo: []string{"", "rent", "a zero \x00 in it", "\u00e6ther"}[c.random.IntN(4)],
	}
	o := &ledgerv1.TxOutcome{FailedOperation: -1}
	list := new(ledgerv1.EventList)
	rejected := c.random.IntN(8) == 0
	for i := range 1 + c.random.IntN(3) {
		op, event := c.operation(rejected)
		body.Operations = append(body.Operations, op)
		if event != nil {
			event.Operation = uint32(i)
			list.Events = append(list.Events, event)
		}
	}
	if rejected {
		o.Code, o.Message, o.FailedOperation = ledgerv1.Code_CODE_NOT_FOUND, "there is no asset acme/doubloon", 0
	} else {
		o.Events, _ = list.MarshalVTStrict()
	}
	encoded, _ := body.MarshalVTStrict()
	id := sha256.Sum256(encoded)
	o.Id = id[:]
	raw, _ := (&ledgerv1.Tx{Body: encoded, Signatures: []*ledgerv1.Signature{{Account: body.Operations[0].Account}}}).MarshalVTStrict()
	return raw, o
}

func (c *chain) account() string {
	return fmt.Sprintf("%s/customer-%d", []string{"acme", "globex"}[c.random.IntN(2)], c.random.IntN(9))
}

// move changes what the ledger would, and so the sum that the postings must have.
func (c *chain) move(account, asset string, amount, held *big.Int) {
	h, found := c.holdings[[2]string{account, asset}]
	if !found {
		h = [2]*big.Int{new(big.Int), new(big.Int)}
	}
	c.holdings[[2]string{account, asset}] = [2]*big.Int{new(big.Int).Add(h[0], amount), new(big.Int).Add(h[1], held)}
}

func (c *chain) operation(rejected bool) (*ledgerv1.Operation, *ledgerv1.Event) {
	from, to, asset := c.account(), c.account(), []string{"acme/usd", "globex/eur"}[c.random.IntN(2)]
	n := new(big.Int).Lsh(big.NewInt(1+c.random.Int64N(1e9)), uint(c.random.IntN(90)))
	zero, minus := new(big.Int), new(big.Int).Neg(n)
	op := &ledgerv1.Operation{Account: from}
	if rejected {
		op.Kind = &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{Asset: "acme/doubloon", To: to, Amount: n.String()}}
		return op, nil
	}
	switch kind := c.random.IntN(8); {
	case kind == 0:
		op.Kind = &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: asset, To: to, Amount: n.String()}}
		c.move(to, asset, n, zero)
		return op, &ledgerv1.Event{Kind: &ledgerv1.Event_AssetMinted{AssetMinted: &assetsv1.Minted{Asset: asset, To: to, Amount: n.String()}}}
	case kind == 1:
		op.Kind = &ledgerv1.Operation_AssetBurn{AssetBurn: &assetsv1.Burn{Asset: asset, Amount: n.String()}}
		c.move(from, asset, minus, zero)
		return op, &ledgerv1.Event{Kind: &ledgerv1.Event_AssetBurned{AssetBurned: &assetsv1.Burned{Asset: asset, From: from, Amount: n.String()}}}
	case kind == 2:
		record := fmt.Sprintf("acme/bills/%d", c.random.IntN(5))
		op.Kind = &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{Record: record, ContentType: "text/plain",
			Content: &recordsv1.Put_Data{Data: []byte{0, 1, 0xff}}}}
		return op, &ledgerv1.Event{Kind: &ledgerv1.Event_RecordWritten{RecordWritten: &recordsv1.Written{
			Record: record, Version: 1 << 60, ContentType: "text/plain", Sha256: genesisHash[:], Size: 3, Writer: from}}}
	case kind == 3:
		op.Kind = &ledgerv1.Operation_ProposalCreate{ProposalCreate: &ledgerv1.Propose{Title: "a \x00 title", Operations: []*ledgerv1.Operation{
			{Kind: &ledgerv1.Operation_CharterSet{CharterSet: &governancev1.SetCharter{Charter: &governancev1.Charter{MaxOperations: 7}}}}}}}
		return op, &ledgerv1.Event{Kind: &ledgerv1.Event_Proposed{Proposed: &governancev1.Proposed{}}}
	case kind == 4:
		id := sha256.Sum256(binary.BigEndian.AppendUint64(nil, c.random.Uint64()))
		hold := &assetsv1.Hold{Id: id[:], Asset: asset, From: from, To: to, Amount: n.String()}
		c.holds = append(c.holds, hold)
		op.Kind = &ledgerv1.Operation_AssetOpenHold{AssetOpenHold: &assetsv1.OpenHold{Asset: asset, To: to, Amount: n.String()}}
		c.move(from, asset, minus, n)
		return op, &ledgerv1.Event{Kind: &ledgerv1.Event_AssetHoldOpened{AssetHoldOpened: &assetsv1.HoldOpened{Hold: hold}}}
	case kind <= 6 && len(c.holds) > 0:
		hold := c.holds[0]
		c.holds = c.holds[1:]
		held, _ := new(big.Int).SetString(hold.Amount, 10)
		freed := new(big.Int).Neg(held)
		if kind == 5 {
			op.Kind = &ledgerv1.Operation_AssetReleaseHold{AssetReleaseHold: &assetsv1.ReleaseHold{HoldId: hold.Id}}
			c.move(hold.From, hold.Asset, zero, freed)
			c.move(hold.To, hold.Asset, held, zero)
			return op, &ledgerv1.Event{Kind: &ledgerv1.Event_AssetHoldReleased{AssetHoldReleased: &assetsv1.HoldReleased{Hold: hold}}}
		}
		op.Kind = &ledgerv1.Operation_AssetCancelHold{AssetCancelHold: &assetsv1.CancelHold{HoldId: hold.Id}}
		c.move(hold.From, hold.Asset, held, freed)
		return op, &ledgerv1.Event{Kind: &ledgerv1.Event_AssetHoldCancelled{AssetHoldCancelled: &assetsv1.HoldCancelled{Hold: hold}}}
	default:
		op.Kind = &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: n.String()}}
		c.move(from, asset, minus, zero)
		c.move(to, asset, n, zero)
		return op, &ledgerv1.Event{Kind: &ledgerv1.Event_AssetTransferred{AssetTransferred: &assetsv1.Transferred{
			Asset: asset, From: from, To: to, Amount: n.String()}}}
	}
}

// config is that of an indexer of the chain.
func (c *chain) config(db *cluster) Config {
	return Config{URL: db.url(), ChainID: chainID, GenesisHash: genesisHash[:], Watch: c.watch}
}

// run has an indexer write until it has all, and stops it.
func (c *chain) run(t *testing.T, cfg Config) {
	t.Helper()
	stop := c.begin(t, cfg)
	stop.until(c.height())
	stop.now()
}

// running is an indexer in a goroutine.
type running struct {
	t       *testing.T
	indexer *Indexer
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // of Run, after done
}

func (c *chain) begin(t *testing.T, cfg Config) *running {
	t.Helper()
	indexer, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return beginIndexer(t, indexer)
}

func beginIndexer(t *testing.T, indexer *Indexer) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, indexer: indexer, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = indexer.Run(ctx)
	}()
	t.Cleanup(func() { r.now() })
	return r
}

// until waits until a height is written.
func (r *running) until(height uint64) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("height %d is written", height), func(context.Context) error {
		select {
		case <-r.done:
			r.t.Fatalf("the indexer ended: %v", r.err)
		default:
		}
		if r.indexer.Height() < height {
			return fmt.Errorf("it has %d", r.indexer.Height())
		}
		return nil
	})
}

// now stops the indexer.
func (r *running) now() {
	r.t.Helper()
	r.cancel()
	select {
	case <-r.done:
		if r.err != nil {
			r.t.Errorf("the indexer ended: %v", r.err)
		}
	case <-time.After(patience):
		r.t.Error("the indexer does not stop")
	}
}
