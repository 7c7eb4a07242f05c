package consensus

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cometbft/cometbft/blocksync"
	"github.com/cometbft/cometbft/config"
	cs "github.com/cometbft/cometbft/consensus"
	"github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	"github.com/cometbft/cometbft/evidence"
	"github.com/cometbft/cometbft/mempool"
	cmtp2p "github.com/cometbft/cometbft/p2p"
	sm "github.com/cometbft/cometbft/state"
	"github.com/cometbft/cometbft/types"
	"github.com/cometbft/cometbft/version"

	"github.com/althing-ledger/althing/p2p"
)

// engine is the assembled CometBFT of one run.
type engine struct {
	node       *Node
	bus        *types.EventBus
	signer     *engineSigner // nil for an observer
	consensus  *cs.State
	reactor    *cs.Reactor
	blocksync  *blocksync.Reactor
	transport  *cmtp2p.MultiplexTransport
	sw         *cmtp2p.Switch
	reconciler *p2p.Reconciler
	states     *stateStore
	observer   *observer
	syncs      bool // block sync runs first

	watching sync.WaitGroup // the goroutine that waits for consensus to end
}

// replay lets the engine compare the application with the stored blocks and re-execute
// what the application lacks, and returns the state after the last block.
func (n *Node) replay(ctx context.Context) (state sm.State, err error) {
	defer func() {
		if failure := n.app.failed(); failure != nil {
			err = failure // the engine reports it without its cause
		}
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrReplay, err)
		}
	}()
	defer recovered(&err, "compare the application with the stored blocks")
	before, err := n.states.LoadFromDBOrGenesisDoc(n.genesis)
	if err != nil {
		return state, fmt.Errorf("load state: %w", err)
	}
	handshaker := cs.NewHandshaker(n.states, before, n.blocks, n.genesis)
	handshaker.SetLogger(n.engine.module("replay", slog.LevelError))
	if err := handshaker.HandshakeWithContext(ctx, n.app.connect()); err != nil {
		return state, err
	}
	if state, err = n.states.Load(); err != nil {
		return state, fmt.Errorf("load state after replay: %w", err)
	}
	n.app.committed.Store(&progress{state.LastBlockHeight, state.LastBlockTime, state.AppHash})
	return state, nil
}

// assemble does what the engine's own node does when it is made, in the same order, with
// our parts where it has none to offer.
func (n *Node) assemble(state sm.State) (e *engine, err error) {
	defer recovered(&err, "assemble consensus")
	e = &engine{node: n}
	conns := n.app.connect()
	cached := &stateStore{Store: n.states, signer: n.cfg.Signer, validator: &n.validator}
	cached.remember(state)
	e.states = cached
	// Block sync wants to know whether the chain can go on without this node, which is decided by the key that votes next.
	var address crypto.Address
	if n.cfg.Signer != nil {
		e.signer = &engineSigner{signer: n.cfg.Signer, next: cached.next, now: n.cfg.Now, fail: n.fail, log: n.log}
		if public := e.signer.pick(); public != nil {
			address = public.Address()
		}
		if !n.validator.Load() {
			n.log.Warn("this node has a signer, but is not a validator", "address", address.String())
		}
	}
	// Alone, a validator has nobody to fetch blocks from and would wait for ever.
	e.syncs = !(state.Validators.Size() == 1 && n.validator.Load())
	n.app.syncing.Store(e.syncs)

	pool, err := evidence.NewPool(n.gates["evidence"], n.states, n.blocks)
	if err != nil {
		return nil, fmt.Errorf("open evidence pool: %w", err)
	}
	evidenceReactor := evidence.NewReactor(pool)
	evidenceReactor.SetLogger(n.engine.module("evidence", slog.LevelWarn)) // also the pool's
	proofs := &evidencePool{Pool: pool, changed: n.notifier.poke}
	n.notifier.evidence = proofs.pending

	executor := sm.NewBlockExecutor(cached, n.engine.module("state", slog.LevelError), conns.Consensus(),
		n.notifier, proofs, n.blocks, sm.BlockExecutorWithBlockTimeTolerance(n.cfg.Profile.BlockTimeTolerance))

	e.blocksync = blocksync.NewReactor(e.syncs, false, state.Copy(), executor, n.blocks, address, 0, blocksync.NopMetrics())
	e.blocksync.SetLogger(n.engine.module("blocksync", slog.LevelWarn))

	knobs := n.consensusConfig()
	cached.saved = func(proposer []byte) {
		n.pace(knobs)
		n.await(knobs, proposer)
	}
	cached.saved(state.Validators.GetProposer().Address)
	e.consensus = cs.NewState(knobs, state.Copy(), executor, n.blocks, n.notifier, proofs)
	e.observer = &observer{consensus: e.consensus}
	e.consensus.SetLogger(n.engine.module("consensus", slog.LevelError))
	if e.signer != nil {
		e.consensus.SetPrivValidator(e.signer)
	}
	e.reactor = cs.NewReactor(e.consensus, e.syncs)
	e.reactor.SetLogger(n.engine.module("consensus", slog.LevelError))
	e.bus = types.NewEventBus()
	e.bus.SetLogger(n.engine.module("events", slog.LevelWarn))
	// The reactor gives its bus to the executor as well; take it away again, or every
	// transaction is published to nobody.
	e.reactor.SetEventBus(e.bus)
	executor.SetEventBus(types.NopEventBus{})

	if err := e.connect(state, evidenceReactor); err != nil {
		return nil, err
	}
	return e, nil
}

// pace takes over the pause between blocks. The engine keeps this very struct and reads the
// pause when it has applied a block, on the goroutine that has just saved the state after it.
func (n *Node) pace(knobs *config.ConsensusConfig) {
	if n.cfg.BlockInterval != nil {
		knobs.TimeoutCommit = min(max(n.cfg.BlockInterval(), time.Millisecond), maxTimeout)
	}
}

func (n *Node) consensusConfig() *config.ConsensusConfig {
	p := n.cfg.Profile
	c := config.DefaultConsensusConfig()
	c.SetWalFile(filepath.Join(walDir(n.cfg.Home), "wal"))
	c.TimeoutPropose, c.TimeoutProposeDelta = p.TimeoutPropose, p.TimeoutProposeDelta
	c.TimeoutPrevote, c.TimeoutPrevoteDelta = p.TimeoutVote, p.TimeoutVoteDelta
	c.TimeoutPrecommit, c.TimeoutPrecommitDelta = p.TimeoutVote, p.TimeoutVoteDelta
	c.TimeoutCommit, c.SkipTimeoutCommit = p.TimeoutCommit, false
	c.CreateEmptyBlocks, c.CreateEmptyBlocksInterval = false, 0
	c.PeerGossipSleepDuration = p.PeerGossipSleep
	c.BlockTimeTolerance = p.BlockTimeTolerance
	return c
}

// connect makes transport and switch and hangs the reactors into it.
func (e *engine) connect(state sm.State, evidenceReactor *evidence.Reactor) error {
	n := e.node
	key := cmtp2p.NodeKey{PrivKey: cmted25519.PrivKey(n.cfg.NodeKey)}
	info := cmtp2p.DefaultNodeInfo{
		ProtocolVersion: cmtp2p.NewProtocolVersion(version.P2PProtocol, state.Version.Consensus.Block, state.Version.Consensus.App),
		DefaultNodeID:   key.ID(),
		ListenAddr:      n.cfg.Listen,
		Network:         n.genesis.ChainID,
		Version:         cmp.Or(n.cfg.Version, version.TMCoreSemVer),
		Channels: []byte{
			blocksync.BlocksyncChannel, cs.StateChannel, cs.DataChannel, cs.VoteChannel, cs.VoteSetBitsChannel,
			mempool.MempoolChannel, evidence.EvidenceChannel,
		},
		Moniker: n.cfg.Name,
		Other:   cmtp2p.DefaultNodeInfoOther{TxIndex: "off"},
	}
	if err := info.Validate(); err != nil {
		return fmt.Errorf("%w: describe this node to its peers: %w", ErrInvalidConfig, err)
	}

	p := n.cfg.Profile
	c := config.DefaultP2PConfig()
	c.PexReactor = false
	c.AllowDuplicateIP = true // several nodes of one organisation share an address behind NAT
	c.MaxNumInboundPeers = p2p.MaxMembers
	c.SendRate, c.RecvRate = p.BandwidthBytes, p.BandwidthBytes
	c.FlushThrottleTimeout = p.FlushThrottle
	c.MaxPacketMsgPayloadSize = p.PacketBytes
	connection := cmtp2p.MConnConfig(c)
	connection.PingInterval, connection.PongTimeout = p.PingInterval, p.PongTimeout

	e.transport = cmtp2p.NewMultiplexTransport(info, key, connection)
	cmtp2p.MultiplexTransportMaxIncomingConnections(p2p.MaxMembers + handshakeSlots)(e.transport)
	e.sw = cmtp2p.NewSwitch(c, e.transport, cmtp2p.SwitchPeerFilters(n.roster.admit))
	// A lost connection is an error to the switch and an ordinary day to a mesh.
	e.sw.SetLogger(n.engine.module("p2p", slog.LevelDebug))
	e.reconciler = p2p.NewReconciler(p2p.ReconcilerConfig{
		Self: n.id, Registry: n.cfg.Registry, Mesh: mesh{e.sw, p.PingInterval + p.PongTimeout}, Logger: n.log,
	})
	n.mesh.Store(e.reconciler)
	gossip := newGossipReactor(n.cfg.Gossip, n.roster, e.reconciler.Wake, e.following)
	gossip.SetLogger(n.engine.module("gossip", slog.LevelWarn))
	e.sw.AddReactor("MEMPOOL", gossip)
	e.sw.AddReactor("BLOCKSYNC", &guardedBlocksync{e.blocksync, guard{n.door}})
	e.sw.AddReactor("CONSENSUS", &guardedConsensus{e.reactor, guard{n.door}})
	e.sw.AddReactor("EVIDENCE", &guardedEvidence{evidenceReactor, guard{n.door}, n.notifier.poke})
	e.sw.SetNodeInfo(info)
	e.sw.SetNodeKey(&key)
	e.sw.SetAddrBook(noAddrBook{})
	return nil
}

// handshakeSlots is how many strangers may be in a handshake at once, on top of all the
// members there can be. A handshake is over after at most six seconds.
const handshakeSlots = 64

// following is called when consensus is about to start.
func (e *engine) following() {
	e.node.app.syncing.Store(false)
	e.node.phase.Store(PhaseFollowing)
	e.watching.Go(func() {
		e.consensus.Wait()
		e.node.fail(e.node.stopReason())
	})
}

// run starts everything, waits for the context or a failure, and stops everything.
func (e *engine) run(ctx context.Context) (err error) {
	n := e.node
	gossip, stopGossip := context.WithCancel(context.WithoutCancel(ctx))
	defer stopGossip()
	rest, stopRest := context.WithCancel(ctx)
	defer stopRest()

	var gossiping, others sync.WaitGroup
	gossiping.Go(func() {
		if err := n.cfg.Gossip.Run(gossip); err != nil && gossip.Err() == nil {
			n.fail(fmt.Errorf("gossip ended: %w", err))
		}
	})
	if err = e.start(); err == nil {
		others.Go(func() { n.notifier.run(rest) })
		if e.signer != nil {
			others.Go(func() { e.signer.run(rest, func(v *types.Vote) { _, _ = e.consensus.AddVote(v, "") }) })
		}
		others.Go(func() { _ = e.reconciler.Run(rest) }) // returns nil only
		others.Go(func() { _ = e.observer.follow(rest, e.bus) })
		select {
		case <-ctx.Done():
		case err = <-n.failures:
		}
	}

	// The reconciler ends first, so that nobody dials while we hang up; gossip last, so
	// that it sees every peer go.
	n.watcher.quiet.Store(true)
	stopRest()
	others.Wait()
	e.stop()
	stopGossip()
	gossiping.Wait()
	return err
}

func (e *engine) start() error {
	n := e.node
	n.phase.Store(PhaseCatchingUp)
	if err := e.bus.Start(); err != nil {
		return fmt.Errorf("start event bus: %w", err)
	}
	address, err := cmtp2p.NewNetAddressString(cmtp2p.IDAddressString(cmtp2p.ID(n.id), n.cfg.Listen))
	if err != nil {
		return fmt.Errorf("%w on %s: %w", ErrListen, n.cfg.Listen, err)
	}
	if err := e.transport.Listen(*address); err != nil {
		return fmt.Errorf("%w on %s: %w", ErrListen, n.cfg.Listen, err)
	}
	if err := e.sw.Start(); err != nil {
		return fmt.Errorf("%w: start: %w", ErrConsensusStopped, err)
	}
	if !e.syncs {
		e.following()
	}
	return nil
}

// stop ends the engine and waits for the goroutines that execute blocks. Errors are about
// parts that have not been started or have stopped already; nothing follows from them.
func (e *engine) stop() {
	_ = e.transport.Close()
	// Block sync first and by hand: stopped after consensus, as the switch may do, it could
	// start consensus again.
	_ = e.blocksync.Stop()
	_ = e.sw.Stop()
	_ = e.reactor.Stop() // when the switch did not start completely
	for _, peer := range e.sw.Peers().Copy() {
		e.sw.StopPeerGracefully(peer) // accepted while the switch was stopping
	}
	e.watching.Wait()
	_ = e.bus.Stop()
}
