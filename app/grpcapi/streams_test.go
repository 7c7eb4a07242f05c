package grpcapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"google.golang.org/grpc/codes"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/client"
	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

// twin returns a second state machine that has executed the same blocks.
func (s *story) twin() *app.App {
	s.t.Helper()
	store, err := state.Open(statetest.Config(s.t.TempDir()))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = store.Close() })
	a, err := app.New(app.Config{Genesis: s.app.Genesis(), Store: store, Pool: mempool.Config{Now: func() time.Time { return blockTime(1) }}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(a.Close)
	if _, err = a.InitChain(s.t.Context(), &abci.RequestInitChain{ChainId: s.chainID}); err != nil {
		s.t.Fatal(err)
	}
	return a
}

// catchUp executes on a twin the blocks that it has not executed yet.
func (s *story) catchUp(a *app.App) {
	s.t.Helper()
	for height := a.Height() + 1; height <= s.height; height++ {
		hash := sha256.Sum256([]byte{byte(height)})
		if _, err := a.FinalizeBlock(s.t.Context(), &abci.RequestFinalizeBlock{
			Height: int64(height), Time: blockTime(height), Txs: s.blocks[height-1].Txs, Hash: hash[:],
		}); err != nil {
			s.t.Fatal(err)
		}
		if _, err := a.Commit(s.t.Context(), &abci.RequestCommit{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// outpost serves a state machine at one address, across restarts.
type outpost struct {
	s       *story
	app     *app.App
	address string
	watched *atomic.Int64 // calls of Watch that have ended
	server  *Server
	stop    context.CancelFunc
	done    chan error
	conns   *cuttable
}

// cuttable is a listener whose connections can be cut.
type cuttable struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cuttable) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cuttable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		_ = conn.Close()
	}
	c.conns = nil
}

func (o *outpost) start() {
	o.s.t.Helper()
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		o.s.t.Fatal(err)
	}
	o.address, o.conns = listener.Addr().String(), &cuttable{Listener: listener}
	o.server, err = New(Config{App: o.app, Engine: o.s, Listener: o.conns, Called: func(method string, _ codes.Code, _ time.Duration) {
		if method == ledgerv1.LedgerService_Watch_FullMethodName {
			o.watched.Add(1)
		}
	}})
	if err != nil {
		o.s.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	server, done := o.server, make(chan error, 1)
	o.stop, o.done = cancel, done
	go func() { done <- server.Run(ctx) }()
}

// kill ends the server without letting calls finish.
func (o *outpost) kill() {
	o.s.t.Helper()
	o.conns.cut()
	o.stop()
	if err := <-o.done; err != nil {
		o.s.t.Errorf("the server ended: %v", err)
	}
}

// follower takes what a stream yields.
type follower struct {
	options client.WatchOptions
	taken   atomic.Int64
	want    []string
	got     []string
}

func (f *follower) run(ctx context.Context, t *testing.T, c *client.Client) {
	for item, err := range c.Stream(ctx, f.options) {
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			t.Errorf("%v: %v", f.options.Detail, err)
			return
		}
		r := &ledgerv1.WatchResponse{}
		switch {
		case item.Block != nil:
			r.Item = &ledgerv1.WatchResponse_Block{Block: item.Block}
		case item.Transaction != nil:
			r.Item = &ledgerv1.WatchResponse_Transaction{Transaction: item.Transaction}
		default:
			r.Item = &ledgerv1.WatchResponse_Event{Event: item.Event}
		}
		f.got = append(f.got, shown(r))
		f.taken.Add(1)
	}
}

// TestAThousandCuts follows the ledger in every detail, with and without a filter, at two nodes whose connections are cut and
// which are killed and started again a thousand times, while blocks are made; then it compares with the blocks.
func TestAThousandCuts(t *testing.T) {
	t.Parallel()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	s := newStory(t, seed)
	var watched atomic.Int64
	posts := []*outpost{
		{s: s, app: s.app, address: "127.0.0.1:0", watched: &watched}, {s: s, app: s.twin(), address: "127.0.0.1:0", watched: &watched},
	}
	genesis := s.app.Genesis()
	network := &client.Network{ChainID: s.chainID, GenesisHash: hex.EncodeToString(genesis.Hash[:]), KeysDir: "keys"}
	for i, o := range posts {
		o.start()
		network.Nodes = append(network.Nodes, client.Node{Name: fmt.Sprintf("acme-%d", i+1), Org: "acme", GRPC: o.address})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Second)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	var followers []*follower
	first := s.height
	for _, detail := range []ledgerv1.Detail{0, 1, 2} {
		for _, filter := range []*ledgerv1.Filter{
			nil, {Orgs: []string{"acme"}, Kinds: []string{"asset_transfer", "asset_minted", "record_written"}},
		} {
			f := &follower{options: client.WatchOptions{From: first + 1, Detail: detail, Filter: filter}}
			followers = append(followers, f)
			c, err := client.Dial(network, client.Config{Unverified: true, AttemptTimeout: 5 * time.Second})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = c.Close() })
			group.Go(func() { f.run(ctx, t, c) })
		}
	}
	settle := func() {
		for _, f := range followers {
			for f.taken.Load() < int64(len(f.want)) && ctx.Err() == nil && !t.Failed() {
				<-time.After(100 * time.Microsecond)
			}
		}
	}
	const cuts = 1000
	for range cuts {
		from := s.height + 1
		s.tell(2)
		s.catchUp(posts[1].app)
		for _, f := range followers {
			f.want = append(f.want, s.expected(f.options.Detail, f.options.Filter, from, s.height)...)
		}
		// Some follower stands anywhere in the new blocks when the cut comes.
		some := followers[s.random.IntN(len(followers))]
		for some.taken.Load() < int64(len(some.want)-s.random.IntN(8)) && ctx.Err() == nil && !t.Failed() {
			<-time.After(100 * time.Microsecond)
		}
		o := posts[s.random.IntN(len(posts))]
		if s.random.IntN(10) > 0 {
			o.conns.cut()
		} else {
			o.kill()
			o.start()
		}
		settle()
		if ctx.Err() != nil || t.Failed() {
			t.Fatalf("after %d broken streams", watched.Load())
		}
	}
	settle()
	broken := watched.Load()
	cancel()
	group.Wait()
	for _, o := range posts {
		o.kill()
	}
	items := 0
	for _, f := range followers {
		items += len(f.got)
		if len(f.got) != len(f.want) {
			t.Errorf("%v of %v: %d items, want %d", f.options.Detail, f.options.Filter, len(f.got), len(f.want))
		}
		for i := range min(len(f.got), len(f.want)) {
			if f.got[i] != f.want[i] {
				t.Fatalf("%v of %v: item %d is %s, want %s", f.options.Detail, f.options.Filter, i, f.got[i], f.want[i])
			}
		}
	}
	t.Logf("%d broken streams, %d items", broken, items)
	if broken < cuts {
		t.Errorf("only %d streams broke", broken)
	}
}
