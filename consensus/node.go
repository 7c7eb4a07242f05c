package consensus

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/store"
	"github.com/cometbft/cometbft/types"

	"github.com/althing-ledger/althing/p2p"
)

// Node is one node of a network.
type Node struct {
	cfg     Config
	id      string
	log     *slog.Logger
	genesis *types.GenesisDoc

	gates    map[string]*gate
	blocks   *store.BlockStore
	states   sm.Store // uncached: for the handshake and the evidence pool
	app      *application
	door     *p2p.Door
	roster   *roster
	watcher  *watcher
	engine   *engineLogger
	notifier *notifier

	ran       atomic.Bool
	phase     atomic.Value // Phase
	validator atomic.Bool
	mesh      atomic.Pointer[p2p.Reconciler]
	run       atomic.Pointer[engine]
	signings  signings

	failures chan error // capacity 1: the first reason to end; never closed
}

// databases are the names that Config.DB is asked for.
var databases = []string{"blockstore", "state", "evidence"}

// New checks the configuration and that the databases belong to this network. It writes
// the genesis into empty databases; it starts nothing and opens no socket. The error is
// [ErrInvalidConfig] or [ErrForeignData], or one of the databases or the file system.
func New(cfg Config) (*Node, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg.Genesis = cfg.Genesis.withDefaults()
	cfg.Profile = cfg.Profile.withDefaults()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	doc, err := cfg.Genesis.document()
	if err != nil {
		return nil, fmt.Errorf("%w: genesis: %w", ErrInvalidConfig, err)
	}
	n := &Node{
		cfg:      cfg,
		id:       p2p.NodeID(cfg.NodeKey.Public().(ed25519.PublicKey)),
		log:      cfg.Logger,
		genesis:  doc,
		gates:    make(map[string]*gate),
		door:     p2p.NewDoor(cfg.Registry, cfg.Logger),
		notifier: newNotifier(cfg.Pool),
		failures: make(chan error, 1),
	}
	if n.cfg.Name == "" {
		n.cfg.Name = n.id
	}
	n.phase.Store(PhaseStarting)
	n.roster = newRoster(cfg.Registry, n.door)
	n.app = newApplication(cfg.App, cfg.Genesis, n.fail)
	n.app.proofs = n.rawEvidence
	n.watcher = &watcher{diverged: n.diverged, rejected: n.door.HandshakeFailed}
	n.engine = newEngineLogger(cfg.Logger, n.watcher)
	if err := os.MkdirAll(walDir(cfg.Home), 0o700); err != nil {
		return nil, fmt.Errorf("create directory for the write-ahead log: %w", err)
	}
	if err := n.openStores(); err != nil {
		return nil, err
	}
	return n, nil
}

func walDir(home string) string { return filepath.Join(home, "wal") }

// openStores binds the databases to the genesis and opens the engine's stores on them. The
// engine panics on an unreadable database.
func (n *Node) openStores() (err error) {
	defer recovered(&err, "open databases")
	for _, name := range databases {
		n.gates[name] = &gate{db: n.cfg.DB(name)}
	}
	if err := bindGenesis(n.gates["state"], n.genesis); err != nil {
		return err
	}
	n.blocks = store.NewBlockStore(n.gates["blockstore"])
	n.states = sm.NewStore(n.gates["state"], sm.StoreOptions{DiscardABCIResponses: true})
	state, err := n.states.Load()
	if err != nil {
		return fmt.Errorf("load consensus state: %w", err)
	}
	if state.IsEmpty() && n.blocks.Height() > 0 {
		return fmt.Errorf("%w: there are %d blocks, but no state", ErrForeignData, n.blocks.Height())
	}
	return nil
}

// ID returns this node's id, as a [p2p.Member] lists it.
func (n *Node) ID() string { return n.id }

// Reconciled returns what the reconciler of connections has done so far.
func (n *Node) Reconciled() p2p.Counters {
	if r := n.mesh.Load(); r != nil {
		return r.Counters()
	}
	return p2p.Counters{}
}

// Evictions returns the newest connections that were closed because the registry ceased to
// list the peer, oldest first.
func (n *Node) Evictions() []p2p.Eviction {
	if r := n.mesh.Load(); r != nil {
		return r.Evictions()
	}
	return nil
}

// Refusals returns the connections that were not let in.
func (n *Node) Refusals() p2p.Refusals { return n.door.Refusals() }

// Run brings the application up to the stored blocks, connects, catches up and follows
// consensus until the context ends; then it stops everything, flushes the write-ahead
// log, waits for all goroutines that touch the application or the databases, and returns nil. It
// returns an error that is [ErrListen], [ErrReplay] or [ErrConsensusStopped] when it ends by
// itself. It must be called once.
func (n *Node) Run(ctx context.Context) error {
	if !n.ran.CompareAndSwap(false, true) {
		return ErrAlreadyRun
	}
	defer n.closed()
	if err := probe(n.cfg.Listen); err != nil {
		return err
	}
	if err := waitUntil(ctx, n.genesis.GenesisTime); err != nil {
		return nil
	}
	n.phase.Store(PhaseReplaying)
	state, err := n.replay(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return err
	}
	e, err := n.assemble(state)
	if err != nil {
		return err
	}
	n.run.Store(e)
	return e.run(ctx)
}

// closed ends the node's use of everything that is not its own.
func (n *Node) closed() {
	n.watcher.quiet.Store(true)
	n.notifier.end()
	for _, g := range n.gates {
		g.shut()
	}
	n.roster.clear()
	n.phase.Store(PhaseStopped)
}

// fail makes Run end with this error, if it is the first reason to end.
func (n *Node) fail(err error) {
	select {
	case n.failures <- err:
	default:
	}
}

// diverged ends a node that finds, while catching up, that two thirds have signed something
// else than what it has computed. The engine would blame the peer and try for ever.
func (n *Node) diverged(height int64, why any) {
	n.fail(fmt.Errorf("%w: this node's state contradicts block %d, which the network has decided: %v",
		ErrConsensusStopped, height, why))
}

// stopReason says why consensus ended by itself.
func (n *Node) stopReason() error {
	if err := n.app.failed(); err != nil {
		return fmt.Errorf("%w: %w", ErrConsensusStopped, err)
	}
	if why := n.watcher.reason.Load(); why != nil {
		return fmt.Errorf("%w: %s", ErrConsensusStopped, *why)
	}
	return fmt.Errorf("%w for an unknown reason", ErrConsensusStopped)
}

// probe reports early, before a long replay, that the address cannot be listened on.
func probe(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%w on %s: %w", ErrListen, address, err)
	}
	return l.Close()
}

// waitUntil returns nil at the given time, or the context's error.
func waitUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// recovered turns a panic of the engine into an error. The engine panics where other
// libraries return errors; where that happens on a goroutine of ours, the caller shall
// learn the reason and close its databases.
func recovered(err *error, doing string) {
	if v := recover(); v != nil {
		*err = fmt.Errorf("%s: %v", doing, v)
	}
}
