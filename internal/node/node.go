package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	abci "github.com/cometbft/cometbft/abci/types"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/app/membership"
	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/mempool"
	"github.com/althing-ledger/althing/state"
)

// Options are what a node is told besides its home.
type Options struct {
	// Version is what the node says it is.
	Version string
	// Log takes the node's log, in the format and from the level that the home's configuration says.
	Log io.Writer
	// Now is the clock of everything but the engine's timers. Default time.Now. Tests simulate idle weeks with it.
	Now func() time.Time
	// WriteHook sees every write of the state. Tests make writes fail with it.
	WriteHook state.WriteHook
	// Application stands between consensus and the state machine. Tests make a node dishonest with it.
	Application func(abci.Application) abci.Application
}

// Run runs the node of a home until the context ends, and then returns nil, or until a part of it fails, and then returns
// the reason. Everything it opened is closed when it returns.
func Run(ctx context.Context, h *home.Home, options Options) (err error) {
	closing := func(what string, close func() error) {
		if failed := close(); failed != nil {
			err = errors.Join(err, fmt.Errorf("close %s: %w", what, failed))
		}
	}
	log, err := newLogger(h.Config, options.Log)
	if err != nil {
		return err
	}
	genesis, err := app.ParseGenesis(h.Genesis)
	if err != nil {
		return err
	}
	seeds, err := home.ReadMembers(h.Dir)
	if err != nil {
		return err
	}
	lock, err := h.Lock()
	if err != nil {
		return err
	}
	defer closing("the lock", lock.Close)

	store, err := state.Open(stateConfig(h, options, log))
	if err != nil {
		return err
	}
	defer closing("the state", store.Close)
	mesh := &mesh{log: log.With("part", "mesh"), seeds: seeds}
	retention := new(follow.Retention)
	machine, err := app.New(appConfig(h, options, genesis, store, mesh, retention, log))
	if err != nil {
		return err
	}
	defer machine.Close()
	mesh.machine.Store(machine)
	if err := checkListed(h, mesh.ledger.Load()); err != nil {
		return err
	}

	gossip, err := mempool.NewGossip(mempool.GossipConfig{
		Pool: machine.Pool(), Version: options.Version, Height: machine.Height, Now: options.Now, Logger: log.With("part", "gossip"),
	})
	if err != nil {
		return err
	}
	voter, err := openVoter(h, machine, log.With("part", "signer"))
	if err != nil {
		return err
	}
	defer closing("the signer", voter.close)
	metrics := prometheus.NewRegistry()
	var application abci.Application = observe(machine, voter, log, metrics)
	if options.Application != nil {
		application = options.Application(application)
	}
	engine := &engine{mesh: mesh, gossip: gossip, machine: machine, self: h.Config.Name}
	orderer := &orderer{
		home: h, self: h.Config.Name, current: h.NodeKey, engine: engine, log: log.With("part", "mesh"),
		config: consensus.Config{
			Home:          string(h.Dir.Consensus()),
			Genesis:       consensusGenesis(genesis),
			App:           application,
			Pool:          machine.Pool(),
			Gossip:        gossip,
			DB:            store.CometDB,
			Signer:        voter.signer(),
			Now:           options.Now,
			Registry:      mesh.registry,
			Listen:        h.Config.P2P.Listen,
			Name:          h.Config.Name,
			Profile:       h.Config.Consensus.Profile(),
			BlockInterval: func() time.Duration { return time.Duration(machine.Charter().BlockIntervalMs) * time.Millisecond },
			Logger:        log.With("part", "consensus"),
		},
	}
	if err := orderer.prepare(); err != nil {
		return err
	}
	lineage, err := followLineage(store, machine, engine, log.With("part", "lineage"))
	if err != nil {
		return err
	}
	retention.Add(lineage)
	history, err := followHistory(h, store, engine, retention, log.With("part", "history"))
	if err != nil {
		return err
	}

	latencies := newLatencies(metrics)
	tls, err := h.TLS()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", h.Config.GRPC.Listen)
	if err != nil {
		return fmt.Errorf("listen for clients: %w", err)
	}
	defer listener.Close()
	api, err := grpcapi.New(grpcapi.Config{
		App:           machine,
		Engine:        engine,
		Self:          grpcapi.Self{Name: h.Config.Name, Org: h.Config.Org, Version: options.Version},
		Listener:      listener,
		TLS:           tls,
		RatePerClient: float64(h.Config.GRPC.RequestsPerSecond),
		Burst:         h.Config.GRPC.Burst,
		MaxMessage:    h.Config.GRPC.MaxMessageBytes,
		MaxStreams:    uint32(h.Config.GRPC.MaxStreams),
		Logger:        log.With("part", "grpc"),
		Now:           options.Now,
		Called:        latencies.called,
		Committed:     latencies.committed,
		Lineage:       lineage,
		History:       history,
		Attester:      orderer.attester,
	})
	if err != nil {
		return err
	}
	page, err := newMetricsPage(h.Config.Metrics, metrics, &figures{app: machine, store: store, engine: engine, gossip: gossip, api: api})
	if err != nil {
		return err
	}
	defer page.close()
	web, err := newHTTPServer(h, genesis.ChainID, api, log.With("part", "http"))
	if err != nil {
		return err
	}
	defer web.close()

	log.Info("starting", "chain_id", genesis.ChainID, "height", store.Height(), "p2p", h.Config.P2P.Listen,
		"grpc", listener.Addr(), "http", web.address(), "metrics", page.address(), "tls", tls != nil, "version", options.Version)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return store.Run(ctx) })
	group.Go(func() error { return machine.Pool().Run(ctx) })
	group.Go(func() error { return orderer.run(ctx) })
	group.Go(func() error { return voter.run(ctx) })
	group.Go(func() error { return lineage.Run(ctx) })
	if history != nil {
		group.Go(func() error { return history.Run(ctx) })
	}
	group.Go(func() error { return mesh.run(ctx, engine, h.Config.Name) })
	group.Go(func() error { return api.Run(ctx) })
	group.Go(func() error { return web.run(ctx) })
	group.Go(func() error { return page.run(ctx) })
	group.Go(func() error { return announce(ctx, api, engine, log) })
	if err := group.Wait(); err != nil {
		log.Error("stopping", "reason", err.Error())
		return err
	}
	log.Info("stopped", "height", store.Height())
	return nil
}

// checkListed refuses a home that the ledger contradicts. One that it does not list, or not any more under this key, may wait
// or find out more: what this node knows of the ledger may be old.
func checkListed(h *home.Home, ledger *membership.Registry) error {
	n := ledger.Listed(h.Config.Name)
	if n == nil {
		return nil
	}
	if n.Org != h.Config.Org {
		return fmt.Errorf("%w: the ledger lists %s under %s, althing.toml under %s", home.ErrConfig, n.Name, n.Org, h.Config.Org)
	}
	next, err := h.LoadNextNodeKey()
	if err != nil {
		return err
	}
	for _, listed := range [][]byte{n.NodeKey, n.FormerNodeKey} {
		for _, have := range []keys.PrivateKey{h.NodeKey, next} {
			if !have.IsZero() && bytes.Equal(listed, have.Public().Bytes()) {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: the ledger lists another node key for %s than the one in %s", home.ErrKey, n.Name, h.Dir.NodeKey())
}

func stateConfig(h *home.Home, options Options, log *slog.Logger) state.Config {
	cfg := state.Config{
		Dir:             string(h.Dir.Data()),
		CacheBytes:      h.Config.State.CacheBytes,
		ValueCacheBytes: h.Config.State.ValueCacheBytes,
		TreeCacheNodes:  h.Config.State.TreeCacheNodes,
		Logger:          log.With("part", "state"),
		WriteHook:       options.WriteHook,
	}
	if !h.Config.State.Archive {
		cfg.KeepHeights, cfg.KeepFor = h.Config.State.KeepHeights, time.Duration(h.Config.State.KeepFor)
	}
	return cfg
}

func appConfig(h *home.Home, options Options, genesis app.Genesis, store *state.Store, mesh *mesh, retention *follow.Retention,
	log *slog.Logger) app.Config {
	return app.Config{
		Genesis:        genesis,
		Store:          store,
		MembersChanged: mesh.publish,
		Retain:         retention.Lowest,
		Logger:         log.With("part", "app"),
		Pool: mempool.Config{
			MaxTxs:         h.Config.Mempool.MaxTxs,
			MaxBytes:       h.Config.Mempool.MaxBytes,
			MaxTxsPerOrg:   h.Config.Mempool.MaxTxsPerOrg,
			MaxBytesPerOrg: h.Config.Mempool.MaxBytesPerOrg,
			Now:            options.Now,
			Logger:         log.With("part", "mempool"),
		},
	}
}

// announce says in one line when the node has become ready, and when it is no longer.
func announce(ctx context.Context, api *grpcapi.Server, engine *engine, log *slog.Logger) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	was, said := false, ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		why := engine.Status().Waiting
		if is := api.Ready(); is != was {
			was = is
			if is {
				log.Info("ready")
			} else {
				log.Warn("not ready", "reason", why)
			}
		} else if !is && why != said {
			log.Info("waiting", "for", why)
		}
		said = why
	}
}

// newLogger returns a logger as the configuration wants it.
func newLogger(c home.Config, out io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return nil, fmt.Errorf("%w: log level: %w", home.ErrConfig, err)
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(out, options)).With("node", c.Name), nil
	}
	return slog.New(slog.NewTextHandler(out, options)).With("node", c.Name), nil
}
