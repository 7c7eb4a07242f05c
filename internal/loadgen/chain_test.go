package loadgen

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// chain is a network in memory: its nodes put what they are sent into common blocks.
type chain struct {
	nodes int
	// judge, where it is set, decides about a transaction in place of the chain: false leaves it to the chain.
	judge func(node int, tag uint64, raw []byte) (Answer, bool)
	// breaks says after how many transactions a stream breaks; 0 for never.
	breaks int
	// differ makes the app hash of the last node another one.
	differ bool
	// lose makes acknowledged transactions of every so many be missing in blocks; 0 for none.
	lose int

	mu     sync.Mutex
	blocks []Block
	seen   map[ID]uint64 // height
	opened int
	away   map[int]bool // nodes that are down
}

func newChain(nodes int) *chain {
	return &chain{nodes: nodes, seen: map[ID]uint64{}, away: map[int]bool{}}
}

func (c *chain) Nodes() (nodes []Node) {
	for i := range c.nodes {
		nodes = append(nodes, Node{Name: fmt.Sprintf("node-%d", i)})
	}
	return nodes
}

func (c *chain) Height(context.Context) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return uint64(len(c.blocks)), nil
}

func (c *chain) Blocks(_ context.Context, from, to uint64) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		for h := from; h <= to; h++ {
			c.mu.Lock()
			b := c.blocks[h-1]
			c.mu.Unlock()
			if !yield(b, nil) {
				return
			}
		}
	}
}

func (c *chain) AppHashes(_ context.Context, least uint64) (uint64, [][]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if uint64(len(c.blocks)) < least {
		return 0, nil, errors.New("there is no such block")
	}
	hashes := make([][]byte, c.nodes)
	missing := &Missing{Why: map[int]error{}}
	for i := range hashes {
		if hashes[i] = []byte{1}; c.away[i] {
			hashes[i], missing.Why[i] = nil, errAway
		}
	}
	if c.differ {
		hashes[c.nodes-1] = []byte{2}
	}
	if len(missing.Why) > 0 {
		return uint64(len(c.blocks)), hashes, missing
	}
	return uint64(len(c.blocks)), hashes, nil
}

// commit puts a transaction into a block of its own, once.
func (c *chain) commit(id ID, code uint32, size int) uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if height := c.seen[id]; height > 0 {
		return height
	}
	height := uint64(len(c.blocks) + 1)
	b := Block{Height: height, Time: time.Now(), Bytes: int64(size)}
	if c.lose == 0 || int(height)%c.lose != 0 {
		b.Txs = []BlockTx{{ID: id, Code: code}}
	}
	c.blocks = append(c.blocks, b)
	c.seen[id] = height
	return height
}

// codes returns how many transactions of blocks have code 0, and how many another one.
func (c *chain) codes() (good, bad uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, b := range c.blocks {
		for _, t := range b.Txs {
			if t.Code == 0 {
				good++
			} else {
				bad++
			}
		}
	}
	return good, bad
}

func (c *chain) Open(ctx context.Context, node int) (Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away[node] {
		return nil, errAway
	}
	c.opened++
	return &chainStream{chain: c, ctx: ctx, node: node, answers: make(chan Answer, maxInFlight), broken: make(chan struct{})}, nil
}

type chainStream struct {
	*chain
	ctx     context.Context
	node    int
	sent    int
	answers chan Answer
	broken  chan struct{}
}

var errAway = errors.New("the node is down")

// stop takes a node down, by its name.
func (c *chain) stop(_ context.Context, name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, n := range c.Nodes() {
		if n.Name == name {
			c.away[i] = true
			return nil
		}
	}
	return fmt.Errorf("there is no node %s", name)
}

// limited makes the chain commit no more than so many transactions in any ten milliseconds; the rest is to come again.
func (c *chain) limited(most int) {
	var mu sync.Mutex
	var begun time.Time
	taken := 0
	c.judge = func(_ int, tag uint64, _ []byte) (Answer, bool) {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now(); now.Sub(begun) > 10*time.Millisecond {
			begun, taken = now, 0
		}
		taken++
		return Answer{Tag: tag, Status: Busy, Reason: "FULL", RetryAfter: 20 * time.Millisecond}, taken > most
	}
}

var errBroken = errors.New("the stream is broken")

func (s *chainStream) Send(tag uint64, raw []byte) error {
	if s.sent++; s.breaks > 0 && s.sent > s.breaks {
		close(s.broken)
		return errBroken
	}
	id := ID(sha256.Sum256(raw))
	if s.judge != nil {
		if a, decided := s.judge(s.node, tag, raw); decided {
			if a.Status == Committed {
				a.Height = s.commit(id, a.Code, len(raw))
			}
			if a.Status != 0 {
				s.answers <- a
			}
			return nil
		}
	}
	s.answers <- Answer{Tag: tag, Status: Committed, Height: s.commit(id, 0, len(raw))}
	return nil
}

func (s *chainStream) CloseSend() error {
	close(s.answers)
	return nil
}

func (s *chainStream) Recv() (Answer, error) {
	select {
	case a, more := <-s.answers:
		if !more {
			return Answer{}, io.EOF
		}
		return a, nil
	case <-s.broken:
		return Answer{}, errBroken
	case <-s.ctx.Done():
		return Answer{}, s.ctx.Err()
	}
}

// numbers is a workload of numbered transactions. Half of the senders are of org a, half of b.
type numbers struct {
	senders int
	next    atomic.Uint64
}

func (*numbers) Describe() string                                { return "numbers" }
func (*numbers) Prepare(context.Context, Target, Progress) error { return nil }
func (n *numbers) Senders() int                                  { return n.senders }

func (n *numbers) Sender(i int) Sender {
	return Sender{Org: []string{"a", "b"}[i%2], Node: i}
}

func (n *numbers) Make(sender int, _ time.Time) (Tx, error) {
	raw := binary.BigEndian.AppendUint64([]byte{byte(sender)}, n.next.Add(1))
	return Tx{ID: sha256.Sum256(raw), Raw: raw}, nil
}

// brief is a run that is as short as can be.
func brief() Config {
	return Config{InFlight: 8, For: 300 * time.Millisecond, Warmup: 50 * time.Millisecond, Ramp: 50 * time.Millisecond, Drain: 2 * time.Second, Guess: 100}
}

func mustRun(t *testing.T, ctx context.Context, c *chain, config Config) *Result {
	t.Helper()
	r, err := Run(ctx, c, &numbers{senders: 12}, config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
