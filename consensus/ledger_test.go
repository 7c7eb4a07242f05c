package consensus

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	dbm "github.com/cometbft/cometbft-db"
	abci "github.com/cometbft/cometbft/abci/types"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
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
	kept      []conviction  // misbehaviour that was executed
	proofs    [][]byte      // handed over for the next block
}

// conviction is a misbehaviour and its proof.
type conviction struct {
	height      int64
	misbehavior abci.Misbehavior
	proof       []byte
}

// KeepEvidence implements [EvidenceKeeper].
func (l *ledger) KeepEvidence(height int64, evidence [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if height == l.height+1 {
		l.proofs = evidence
	}
}

func (l *ledger) convictions() []conviction {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.kept)
}

// setPower is a transaction that changes a validator, setSize one that changes the size of blocks, and
// setLevel one that changes the feature level.
func setPower(validator ed25519.PrivateKey, power int64) string {
	return fmt.Sprintf("power %x %d", validator.Public(), power)
}

func setSize(bytes int64) string   { return fmt.Sprintf("size %d", bytes) }
func setLevel(level uint64) string { return fmt.Sprintf("level %d", level) }

// update adds what a transaction asks of the engine.
func update(res *abci.ResponseFinalizeBlock, tx string) {
	var key []byte
	var number int64
	params := func() *cmtproto.ConsensusParams {
		if res.ConsensusParamUpdates == nil {
			res.ConsensusParamUpdates = &cmtproto.ConsensusParams{}
		}
		return res.ConsensusParamUpdates
	}
	if n, _ := fmt.Sscanf(tx, "power %x %d", &key, &number); n == 2 {
		res.ValidatorUpdates = append(res.ValidatorUpdates, abci.UpdateValidator(key, number, "ed25519"))
	} else if n, _ := fmt.Sscanf(tx, "size %d", &number); n == 1 {
		params().Block = &cmtproto.BlockParams{MaxBytes: number, MaxGas: -1}
	} else if n, _ := fmt.Sscanf(tx, "level %d", &number); n == 1 {
		params().Version = &cmtproto.VersionParams{App: uint64(number)}
	}
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
	var other []byte
	if l.spoil != nil {
		var err error
		if other, err = l.spoil(req.Height); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next.hash, l.nextTxs = l.hash, req.Txs
	res := &abci.ResponseFinalizeBlock{}
	for _, tx := range req.Txs {
		sum := sha256.Sum256(append(l.next.hash[:len(l.next.hash):len(l.next.hash)], tx...))
		l.next.hash = sum[:]
		res.TxResults = append(res.TxResults, &abci.ExecTxResult{})
		update(res, string(tx))
	}
	if len(l.proofs) != len(req.Misbehavior) {
		return nil, fmt.Errorf("%d proofs for %d misbehaviours", len(l.proofs), len(req.Misbehavior))
	}
	for i, m := range req.Misbehavior {
		l.kept = append(l.kept, conviction{req.Height, m, l.proofs[i]})
	}
	l.proofs = nil
	if other != nil {
		l.next.hash = other
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
