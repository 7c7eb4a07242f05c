package consensus

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"sync"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
)

// ledger is a small honest application: its state is a hash chain over all transactions,
// kept in a database. It is also the pool of what is waiting.
type ledger struct {
	abci.BaseApplication
	db     dbm.DB
	retain int64                              // heights to keep, 0 for all
	spoil  func(height int64) ([]byte, error) // misbehaves in FinalizeBlock: another hash, an error, a panic

	wake chan struct{}

	mu        sync.Mutex
	height    int64
	hash      []byte
	next      struct{ hash []byte }
	nextTxs   [][]byte
	pending   [][]byte
	known     map[string]bool // pending or committed
	committed map[string]int64
	changed   chan struct{} // closed at every commit
}

func openLedger(db dbm.DB) (*ledger, error) {
	l := &ledger{
		db: db, wake: make(chan struct{}, 1), changed: make(chan struct{}),
		known: map[string]bool{}, committed: map[string]int64{},
	}
	saved, err := db.Get([]byte("state"))
	if err != nil {
		return nil, err
	}
	if len(saved) > 0 {
		l.height, l.hash = int64(binary.BigEndian.Uint64(saved)), saved[8:]
	}
	return l, nil
}

func (l *ledger) submit(tx []byte) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known[string(tx)] {
		return false
	}
	l.known[string(tx)] = true
	l.pending = append(l.pending, tx)
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

func (l *ledger) WantsBlock() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.pending) > 0
}

func (l *ledger) Wake() <-chan struct{} { return l.wake }

// committedAt returns the height of a transaction, 0 if it is not committed.
func (l *ledger) committedAt(tx string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.committed[tx]
}

func (l *ledger) Info(context.Context, *abci.RequestInfo) (*abci.ResponseInfo, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return &abci.ResponseInfo{LastBlockHeight: l.height, LastBlockAppHash: l.hash}, nil
}

func (l *ledger) InitChain(_ context.Context, req *abci.RequestInitChain) (*abci.ResponseInitChain, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sum := sha256.Sum256(req.AppStateBytes)
	l.hash = sum[:]
	return &abci.ResponseInitChain{AppHash: l.hash}, nil
}

func (l *ledger) PrepareProposal(_ context.Context, req *abci.RequestPrepareProposal) (*abci.ResponsePrepareProposal, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	res, size := &abci.ResponsePrepareProposal{}, int64(0)
	for _, tx := range l.pending {
		if size += int64(len(tx)) + 16; size > req.MaxTxBytes {
			break
		}
		res.Txs = append(res.Txs, tx)
	}
	return res, nil
}

func (l *ledger) FinalizeBlock(_ context.Context, req *abci.RequestFinalizeBlock) (*abci.ResponseFinalizeBlock, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next.hash, l.nextTxs = l.hash, req.Txs
	res := &abci.ResponseFinalizeBlock{}
	for _, tx := range req.Txs {
		sum := sha256.Sum256(append(l.next.hash[:len(l.next.hash):len(l.next.hash)], tx...))
		l.next.hash = sum[:]
		res.TxResults = append(res.TxResults, &abci.ExecTxResult{})
	}
	if l.spoil != nil {
		other, err := l.spoil(req.Height)
		if err != nil {
			return nil, err
		}
		if other != nil {
			l.next.hash = other
		}
	}
	res.AppHash = l.next.hash
	l.height = req.Height
	return res, nil
}

func (l *ledger) Commit(context.Context, *abci.RequestCommit) (*abci.ResponseCommit, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hash = l.next.hash
	if err := l.db.SetSync([]byte("state"), append(binary.BigEndian.AppendUint64(nil, uint64(l.height)), l.hash...)); err != nil {
		return nil, err
	}
	for _, tx := range l.nextTxs {
		l.known[string(tx)], l.committed[string(tx)] = true, l.height
	}
	var left [][]byte
	for _, tx := range l.pending {
		if l.committed[string(tx)] == 0 {
			left = append(left, tx)
		}
	}
	l.pending = left
	close(l.changed)
	l.changed = make(chan struct{})
	res := &abci.ResponseCommit{}
	if l.retain > 0 {
		res.RetainHeight = max(0, l.height-l.retain+1)
	}
	return res, nil
}

// chatter is the gossip of the tests: "T" and a transaction, "P" and a number that is
// answered by "Q" and the number.
type chatter struct {
	ledger *ledger
	pongs  chan uint64

	mu       sync.Mutex
	peers    map[string]chan []byte
	senders  sync.WaitGroup
	met      map[string]bool // every peer there ever was
	received int
}

var errBadMessage = errors.New("bad message")

func newChatter(l *ledger) *chatter {
	return &chatter{ledger: l, pongs: make(chan uint64, 16), peers: map[string]chan []byte{}, met: map[string]bool{}}
}

func (c *chatter) MaxMessageBytes() int { return 64 << 10 }

func (c *chatter) Run(ctx context.Context) error {
	<-ctx.Done()
	c.senders.Wait()
	return nil
}

func (c *chatter) AddPeer(id string, send func([]byte) bool) {
	queue := make(chan []byte, 256)
	c.mu.Lock()
	c.peers[id], c.met[id] = queue, true
	c.mu.Unlock()
	c.senders.Go(func() {
		for msg := range queue {
			send(msg)
		}
	})
	c.ledger.mu.Lock()
	pending := append([][]byte(nil), c.ledger.pending...)
	c.ledger.mu.Unlock()
	for _, tx := range pending {
		c.say(id, append([]byte("T"), tx...))
	}
}

func (c *chatter) RemovePeer(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if queue, ok := c.peers[id]; ok {
		close(queue)
		delete(c.peers, id)
	}
}

// say sends to one peer, or to all when id is empty.
func (c *chatter) say(id string, msg []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for peer, queue := range c.peers {
		if id == "" || id == peer {
			select {
			case queue <- msg:
			default:
			}
		}
	}
}

func (c *chatter) Receive(id string, msg []byte) error {
	c.mu.Lock()
	c.received++
	c.mu.Unlock()
	switch {
	case len(msg) > 1 && msg[0] == 'T':
		c.ledger.submit(msg[1:])
	case len(msg) == 9 && msg[0] == 'P':
		c.say(id, append([]byte("Q"), msg[1:]...))
	case len(msg) == 9 && msg[0] == 'Q':
		select {
		case c.pongs <- binary.BigEndian.Uint64(msg[1:]):
		default:
		}
	default:
		return errBadMessage
	}
	return nil
}

func (c *chatter) hasMet(id string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.met[id]
}

func (c *chatter) messages() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received
}
