package consensus

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	dbm "github.com/cometbft/cometbft-db"

	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/p2p"
)

// world is a network of the test.
type world struct {
	t       *testing.T
	genesis Genesis
	hosts   []*host
	offset  atomic.Int64 // added to the clock that stamps votes
}

// host is one node of a world with everything it owns, across restarts.
type host struct {
	world    *world
	member   p2p.Member
	nodeKey  ed25519.PrivateKey
	voteKey  ed25519.PrivateKey // nil for an observer
	home     string
	registry *p2p.Registry
	spoil    func(int64) ([]byte, error)
	retain   int64
	tweak    func(*Config) // changes the configuration at every start

	node    *Node
	ledger  *ledger
	chatter *chatter
	cancel  context.CancelFunc
	result  chan error // of Run; receives once
	close   []func() error
}

// key derives a key pair from a name, the same in every run.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

// newWorld makes a network of validators and observers that all list each other. Nothing
// runs yet.
func newWorld(t *testing.T, validators, observers int) *world {
	t.Helper()
	w := &world{t: t, genesis: Genesis{
		ChainID: "test-" + fmt.Sprintf("%08x", sha256.Sum256([]byte(t.Name())))[:8], Time: time.Now().Add(-time.Minute),
		AppState: []byte("the beginning"), FeatureLevel: 1,
	}}
	for i := range validators + observers {
		name := fmt.Sprintf("org%d-1", i)
		h := w.newHost(name)
		if i < validators {
			h.voteKey = key("vote " + name)
			w.genesis.Validators = append(w.genesis.Validators,
				Validator{Name: name, PublicKey: h.voteKey.Public().(ed25519.PublicKey), Power: 10})
		}
		w.hosts = append(w.hosts, h)
	}
	for _, h := range w.hosts {
		h.list(w.members()...)
	}
	return w
}

func (w *world) newHost(name string) *host {
	nodeKey := key("node " + name + w.t.Name())
	return &host{
		world: w, nodeKey: nodeKey, home: w.t.TempDir(),
		member: p2p.Member{
			Name: name, Org: name[:len(name)-2], ID: p2p.NodeID(nodeKey.Public().(ed25519.PublicKey)),
			Addresses: []string{freeAddress(w.t)},
		},
	}
}

func (w *world) members() []p2p.Member {
	var out []p2p.Member
	for _, h := range w.hosts {
		out = append(out, h.member)
	}
	return out
}

func (h *host) list(members ...p2p.Member) {
	h.world.t.Helper()
	var err error
	if h.registry == nil {
		h.registry, err = p2p.NewRegistry(members)
	} else {
		err = h.registry.Set(members)
	}
	if err != nil {
		h.world.t.Fatal(err)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// config opens what the node needs from disk.
func (h *host) config() Config {
	t := h.world.t
	t.Helper()
	open := func(name string) dbm.DB {
		db, err := dbm.NewGoLevelDB(name, filepath.Join(h.home, "data"))
		if err != nil {
			t.Fatal(err)
		}
		h.close = append(h.close, db.Close)
		return db
	}
	var err error
	if h.ledger, err = openLedger(open("app")); err != nil {
		t.Fatal(err)
	}
	h.ledger.spoil, h.ledger.retain = h.spoil, h.retain
	h.chatter = newChatter(h.ledger)
	var votes Signer
	if h.voteKey != nil {
		path := filepath.Join(h.home, "signer")
		err := signer.Create(path, h.voteKey.Public().(ed25519.PublicKey))
		if err != nil && !errors.Is(err, signer.ErrRecordExists) {
			t.Fatal(err)
		}
		ring, err := signer.Open(path, h.world.genesis.ChainID, h.voteKey)
		if err != nil {
			t.Fatal(err)
		}
		votes = ring
		h.close = append(h.close, ring.Close)
	}
	out := io.Discard
	if testing.Verbose() {
		out = os.Stderr
	}
	return Config{
		Home: h.home, Genesis: h.world.genesis, App: h.ledger, Pool: h.ledger, Gossip: h.chatter, DB: open,
		Now:     func() time.Time { return time.Now().Add(time.Duration(h.world.offset.Load())) },
		NodeKey: h.nodeKey, Signer: votes, Registry: h.registry, Listen: h.member.Addresses[0], Name: h.member.Name,
		Logger: slog.New(slog.NewTextHandler(out, nil)).With("node", h.member.Name),
	}
}

// start runs the node from what is on its disk.
func (h *host) start() {
	t := h.world.t
	t.Helper()
	cfg := h.config()
	if h.tweak != nil {
		h.tweak(&cfg)
	}
	var err error
	if h.node, err = New(cfg); err != nil {
		t.Fatalf("%s: %v", h.member.Name, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel, h.result = cancel, make(chan error, 1)
	node, result := h.node, h.result
	go func() { result <- node.Run(ctx) }()
	t.Cleanup(h.stop)
}

// stop ends the node if it runs, and closes everything it used.
func (h *host) stop() {
	if h.cancel == nil {
		return
	}
	h.cancel()
	select {
	case err := <-h.result:
		if err != nil {
			h.world.t.Errorf("%s: Run: %v", h.member.Name, err)
		}
	case <-time.After(patience):
		panic(h.member.Name + ": Run did not return") // shows where everybody hangs
	}
	h.release()
}

// failed waits for Run to end by itself and returns its error.
func (h *host) failed() error {
	t := h.world.t
	t.Helper()
	select {
	case err := <-h.result:
		h.cancel()
		h.release()
		return err
	case <-time.After(patience):
		t.Fatalf("%s: Run did not return", h.member.Name)
		return nil
	}
}

func (h *host) release() {
	h.cancel = nil
	for _, f := range h.close {
		if err := f(); err != nil {
			h.world.t.Errorf("%s: close: %v", h.member.Name, err)
		}
	}
	h.close = nil
}

func (w *world) start() {
	w.t.Helper()
	for _, h := range w.hosts {
		h.start()
	}
}

// patience bounds every wait: the machine may be busy.
const patience = 45 * time.Second

// eventually waits for a condition.
func (w *world) eventually(what string, condition func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			for _, h := range w.hosts {
				if h.node != nil {
					w.t.Logf("%s: %+v", h.member.Name, h.node.Status())
				}
			}
			w.t.Fatalf("timed out waiting until %s", what)
		}
	}
}

// submit gives a transaction to one node, which tells the others.
func (h *host) submit(tx string) {
	if h.ledger.submit([]byte(tx)) {
		h.chatter.say("", append([]byte("T"), tx...))
	}
}

// commits waits until all given nodes have committed the transaction.
func (w *world) commits(tx string, hosts ...*host) {
	w.t.Helper()
	for _, h := range hosts {
		w.eventually(h.member.Name+" has committed "+tx, func() bool { return h.ledger.committedAt(tx) > 0 })
	}
}

// settled waits until all given nodes are at one height with the proof block of the last
// transaction behind them, and returns the height.
func (w *world) settled(hosts ...*host) int64 {
	w.t.Helper()
	var height int64
	w.eventually("all nodes are at the same settled height", func() bool {
		first := hosts[0].node.Status()
		height = first.Height
		if height == 0 {
			return false
		}
		for _, h := range hosts {
			s := h.node.Status()
			// The header of the newest block carries the state before it: equal to the
			// state after it only if that block changed nothing.
			b, err := h.node.Block(height)
			if s.Height != height || err != nil || string(b.AppHash) != string(s.AppHash) || string(s.AppHash) != string(first.AppHash) {
				return false
			}
		}
		return true
	})
	return height
}

// rounds sends messages back and forth between two nodes, one after the other.
func (w *world) rounds(from *host, n int) {
	w.t.Helper()
	for i := range n {
		from.chatter.say("", binary.BigEndian.AppendUint64([]byte("P"), uint64(i)))
		for {
			select {
			case got := <-from.chatter.pongs:
				if got != uint64(i) {
					continue // a slower peer's answer to an earlier round
				}
			case <-time.After(patience):
				w.t.Fatal("no answer")
			}
			break
		}
	}
}
