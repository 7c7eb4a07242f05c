package mempool

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/errgroup"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	// maxBatchBytes bounds the arrivals that are verified together.
	maxBatchBytes = 8 << 20
	// maxGhosts bounds the transactions that are not pending any more but must still be seen to expire, and the requests to
	// settle, each.
	maxGhosts = 16_384
	// quarantine is how long a transaction is refused after Ban.
	quarantine = 10 * time.Minute
	// maxReason bounds what is remembered of why, in bytes.
	maxReason = 300
)

// Pool holds pending transactions. It is safe for concurrent use; see the package's comment for who calls what.
type Pool struct {
	cfg     Config
	queue   *queue
	wake    chan struct{} // capacity 1, for consensus
	rearm   chan struct{} // capacity 1: the next moment to look at the clock may have changed
	recheck chan struct{} // capacity 1: what is pending should be authorised again
	unrest  chan struct{} // capacity 1: this node wants to settle something, for Gossip

	mu        sync.Mutex // guards everything below; never held while a function of cfg runs
	pending   *pending
	height    uint64
	authority uint64 // the newest height whose block changed who may act for an account, as far as Commit was told
	blockTime time.Time
	hungry    appetite // for blocks with what is pending
	settling  appetite // for blocks that are late enough for what was accepted and has expired
	answering appetite // for blocks that are late enough for requests to settle, which anybody can invent
	// admitting holds the ids committed since the worker began to judge a batch, nil between batches.
	admitting map[tx.ID]struct{}
	// discarding holds the organisations that were discarded since then, with the reason.
	discarding map[string]error
	// quarantine holds the hashes and the ids of banned transactions: a hash is no id, and no id a hash.
	quarantine *simplelru.LRU[[32]byte, banned]
	turn       int           // whose line Reap looks at first
	news       chan struct{} // closed and replaced when something was inserted
	since      time.Time     // when the first transaction came after nothing was pending
	drain      meter         // transactions committed
	ownDrain   meter         // those among them that clients of this node handed in, since the first of them was turned away
	takings    takings       // of each organisation
	tempo      tempo         // of blocks
	nextReturn time.Time     // when the next client that is turned away should come back
	counts     Counts
}

// banned says why and for how long this node refuses a transaction.
type banned struct {
	reason error
	until  time.Time
}

// NewPool returns an empty pool, or [ErrInvalidConfig].
func NewPool(cfg Config) (*Pool, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	bans, err := simplelru.NewLRU[[32]byte, banned](2*cfg.QuarantineTxs, nil)
	if err != nil {
		return nil, fmt.Errorf("make the quarantine: %w", err)
	}
	return &Pool{
		cfg:        cfg,
		queue:      newQueue(cfg),
		wake:       make(chan struct{}, 1),
		rearm:      make(chan struct{}, 1),
		recheck:    make(chan struct{}, 1),
		unrest:     make(chan struct{}, 1),
		pending:    newPending(),
		height:     cfg.Height,
		blockTime:  cfg.BlockTime,
		hungry:     appetite{ration: 1, least: minPause, most: maxPause},
		settling:   appetite{ration: 2, blocks: 2, least: settlePause, most: settleMost},
		answering:  appetite{ration: 2, blocks: 2, least: minPause, most: maxPause},
		quarantine: bans,
		takings:    takings{},
		news:       make(chan struct{}),
	}, nil
}

// Run works until the context ends; then it returns nil, and whoever waits gets [ErrClosed]. It returns an error earlier
// when Authorize or Committed fails: the node must stop. It may run once.
func (p *Pool) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.admitArrivals(ctx) })
	group.Go(func() error { return p.recheckPending(ctx) })
	group.Go(func() error { return p.watchClock(ctx) })
	err := group.Wait()
	for _, a := range p.queue.close() {
		if a.reply != nil {
			a.reply(nil, ErrClosed)
		}
	}
	return err
}

// Submit hands in a transaction and waits for the verdict on it. A nil error means that it is pending on this node, perhaps
// since before; nothing more is promised. Otherwise it returns
//
//   - a [*tx.Rejection]: these bytes are refused, and nothing is recorded under their id;
//   - [ErrCommitted]: a block holds the transaction, its outcome is in the index;
//   - [*FullError]: a bound is reached, try again;
//   - [ErrClosed], the context's error, in which case the transaction may become pending all the same, or whatever error
//     Authorize or Committed failed with.
//
// The decoded transaction is returned with a nil error and with ErrCommitted. raw must not be modified before Submit
// returns, and not afterwards either if it returned the context's error: it may still wait to be read.
//
// Where many clients hand in, [Pool.From] keeps them out of each other's way.
func (p *Pool) Submit(ctx context.Context, raw []byte) (*tx.Tx, error) {
	return p.From("").Submit(ctx, raw)
}

// SubmitAsync is Submit for streams: it returns at once. If it returns nil, reply is called exactly once with what Submit
// would have returned, maybe before SubmitAsync returns; it must not block. If it returns an error ([*FullError],
// [ErrClosed] or a [*tx.Rejection]) reply is not called. raw must not be modified before reply is called.
func (p *Pool) SubmitAsync(raw []byte, reply func(*tx.Tx, error)) error {
	return p.From("").SubmitAsync(raw, reply)
}

// Client hands in for one source, see [Pool.From].
type Client struct {
	pool   *Pool
	source string
}

// From returns what hands in for a source of transactions, for instance an address. Sources take turns at verification, and
// none may occupy all of the queue. It must be a name that the client cannot choose freely.
func (p *Pool) From(source string) Client { return Client{p, source} }

// Submit is [Pool.Submit] for the client's source.
func (c Client) Submit(ctx context.Context, raw []byte) (*tx.Tx, error) {
	type answer struct {
		tx  *tx.Tx
		err error
	}
	answers := make(chan answer, 1)
	if err := c.SubmitAsync(raw, func(t *tx.Tx, err error) { answers <- answer{t, err} }); err != nil {
		return nil, err
	}
	select {
	case a := <-answers:
		return a.tx, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// SubmitAsync is [Pool.SubmitAsync] for the client's source.
func (c Client) SubmitAsync(raw []byte, reply func(*tx.Tx, error)) error {
	p := c.pool
	if len(raw) > MaxTxBytes {
		return tx.Reject(ledgerv1.Code_CODE_TOO_LARGE, "the transaction has %d bytes, no more than %d are possible: split it",
			len(raw), MaxTxBytes)
	}
	org := claimedOrg(raw)
	known, free, err := p.preview(sha256.Sum256(raw), org)
	if err != nil {
		return err
	}
	if known != nil {
		reply(known, nil)
		return nil
	}
	err = p.queue.submit(c.source, org, free, arrival{raw: raw, reply: reply, at: p.cfg.Now()})
	if _, full := err.(*FullError); full {
		p.mu.Lock()
		p.counts.Full++
		p.mu.Unlock()
	}
	return err
}

// preview answers what needs no verification: the transaction if exactly these bytes are pending, an error if they are in
// quarantine or there is no room for what an organisation pays for. free is how many more clients may hand in.
func (p *Pool) preview(hash [32]byte, org string) (known *tx.Tx, free int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e := p.pending.byHash[hash]; e != nil {
		p.counts.Known++
		return e.tx, 0, nil
	}
	if err := p.bannedLocked(hash); err != nil {
		p.counts.refuse(err)
		return nil, 0, err
	}
	if err = p.roomLocked(); err == nil {
		free, err = p.freeLocked(org)
	}
	if err != nil {
		p.counts.Full++
	}
	return nil, free, err
}

// bannedLocked returns the reason if a hash or an id is in quarantine.
func (p *Pool) bannedLocked(name [32]byte) error {
	b, found := p.quarantine.Get(name)
	if !found {
		return nil
	}
	if !p.cfg.Now().Before(b.until) {
		p.quarantine.Remove(name)
		return nil
	}
	return b.reason
}

// Pending reports whether a transaction with this id is pending here.
func (p *Pool) Pending(id tx.ID) bool {
	pending, _ := p.PendingAt(id)
	return pending
}

// PendingAt is Pending, and names the newest block that the pool has been told of: what is pending is in none up to it.
func (p *Pool) PendingAt(id tx.ID) (pending bool, height uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pending.byID[id] != nil, p.height
}

// Ban removes a transaction and refuses it for ten minutes, however it is signed and encoded, with the reason, which should
// be a [*tx.Rejection]. It is for transactions that this program cannot process. Nothing banned is pending, so Reap never
// meets it.
func (p *Pool) Ban(t *tx.Tx, reason error) {
	if code, rejected := tx.CodeOf(reason); !rejected || code == ledgerv1.Code_CODE_OK {
		reason = tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "this node cannot process the transaction: sign a different one (%.*s)",
			maxReason, fmt.Sprint(reason))
	}
	p.mu.Lock()
	ban := banned{reason, p.cfg.Now().Add(quarantine)}
	p.quarantine.Add(t.Hash, ban)
	p.quarantine.Add(t.ID, ban)
	e := p.pending.byID[t.ID]
	if e != nil {
		p.pending.remove(e, true)
		p.counts.Dropped++
	}
	p.mu.Unlock()
	if e != nil {
		p.dropped(e, reason)
	}
}

// dropped tells whoever waits that this node has given up a transaction.
func (p *Pool) dropped(e *entry, reason error) {
	p.cfg.Logger.Debug("dropped a pending transaction", "id", e.tx.ID, "reason", reason)
	p.cfg.Dropped(e.tx.ID, reason)
}

// Wake returns a channel that can be received from after WantsBlock may have become true. It is never closed.
func (p *Pool) Wake() <-chan struct{} { return p.wake }

// newest returns the height of the newest block.
func (p *Pool) newest() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.height
}
