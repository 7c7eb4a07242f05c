package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/consensus"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/mempool"
	"github.com/althing-ledger/althing/p2p"
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
	if err := checkListed(h, genesis); err != nil {
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
	machine, err := app.New(appConfig(h, options, genesis, store, log))
	if err != nil {
		return err
	}
	defer machine.Close()

	registry, err := p2p.NewRegistry(members(genesis.Doc.Nodes))
	if err != nil {
		return err
	}
	gossip, err := mempool.NewGossip(mempool.GossipConfig{Pool: machine.Pool(), Logger: log.With("part", "gossip")})
	if err != nil {
		return err
	}
	signer, err := openSigner(h, options)
	if err != nil {
		return err
	}
	if signer != nil {
		defer closing("the signer", signer.Close)
	}
	metrics := prometheus.NewRegistry()
	profile := h.Config.Consensus.Profile()
	profile.TimeoutCommit = time.Duration(machine.Charter().BlockIntervalMs) * time.Millisecond
	orderer, err := consensus.New(consensus.Config{
		Home:     string(h.Dir.Consensus()),
		Genesis:  consensusGenesis(genesis),
		App:      observe(machine, log, metrics),
		Pool:     machine.Pool(),
		Gossip:   gossip,
		DB:       store.CometDB,
		NodeKey:  home.Ed25519(h.NodeKey),
		Signer:   signer,
		Registry: registry,
		Listen:   h.Config.P2P.Listen,
		Name:     h.Config.Name,
		Profile:  profile,
		Logger:   log.With("part", "consensus"),
	})
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
	engine := &engine{node: orderer, self: h.Config.Name, nodes: genesis.Doc.Nodes}
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
	})
	if err != nil {
		return err
	}
	page, err := newMetricsPage(h.Config.Metrics.Listen, metrics, &figures{app: machine, store: store, orderer: orderer, gossip: gossip, api: api})
	if err != nil {
		return err
	}
	defer page.close()

	log.Info("starting", "chain_id", genesis.ChainID, "height", store.Height(), "p2p", h.Config.P2P.Listen,
		"grpc", listener.Addr(), "metrics", page.address(), "tls", tls != nil, "version", options.Version)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return store.Run(ctx) })
	group.Go(func() error { return machine.Pool().Run(ctx) })
	group.Go(func() error { return orderer.Run(ctx) })
	group.Go(func() error { return api.Run(ctx) })
	group.Go(func() error { return page.run(ctx) })
	group.Go(func() error { return announce(ctx, api, log) })
	if err := group.Wait(); err != nil {
		log.Error("stopping", "reason", err.Error())
		return err
	}
	log.Info("stopped", "height", store.Height())
	return nil
}

// checkListed refuses a home whose keys the network does not know: it could not connect to anybody, and would say nothing.
func checkListed(h *home.Home, genesis app.Genesis) error {
	for _, n := range genesis.Doc.Nodes {
		if n.Name != h.Config.Name {
			continue
		}
		if string(n.NodeKey) != string(h.NodeKey.Public().Bytes()) {
			return fmt.Errorf("%w: the network lists another node key for %s than the one in %s", home.ErrKey, n.Name, h.Dir.NodeKey())
		}
		if !h.Observer() && string(n.ValidatorKey) != string(h.ValidatorKey.Public().Bytes()) {
			return fmt.Errorf("%w: the network lists another validator key for %s than the one in %s", home.ErrKey, n.Name, h.Dir.ValidatorKey())
		}
		if n.Org != h.Config.Org {
			return fmt.Errorf("%w: the network lists %s under %s, althing.toml under %s", home.ErrConfig, n.Name, n.Org, h.Config.Org)
		}
		return nil
	}
	return fmt.Errorf("%w: the network %s lists no node %s; set name in althing.toml", home.ErrConfig, genesis.ChainID, h.Config.Name)
}

func stateConfig(h *home.Home, options Options, log *slog.Logger) state.Config {
	cfg := state.Config{
		Dir:            string(h.Dir.Data()),
		CacheBytes:     h.Config.State.CacheBytes,
		TreeCacheNodes: h.Config.State.TreeCacheNodes,
		Logger:         log.With("part", "state"),
		WriteHook:      options.WriteHook,
	}
	if !h.Config.State.Archive {
		cfg.KeepHeights, cfg.KeepFor = h.Config.State.KeepHeights, time.Duration(h.Config.State.KeepFor)
	}
	return cfg
}

func appConfig(h *home.Home, options Options, genesis app.Genesis, store *state.Store, log *slog.Logger) app.Config {
	return app.Config{
		Genesis: genesis,
		Store:   store,
		Logger:  log.With("part", "app"),
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

func openSigner(h *home.Home, options Options) (*consensus.Signer, error) {
	if h.Observer() {
		return nil, nil
	}
	signer, err := consensus.OpenSigner(h.Dir.SignerState(), home.Ed25519(h.ValidatorKey))
	if err != nil {
		return nil, err
	}
	// Unset, the engine keeps its own rules for the time of votes.
	signer.Now = options.Now
	return signer, nil
}

// announce says in one line when the node has become ready, and when it is no longer.
func announce(ctx context.Context, api *grpcapi.Server, log *slog.Logger) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	was := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if is := api.Ready(); is != was {
			was = is
			if is {
				log.Info("ready")
			} else {
				log.Warn("not ready: behind, or connected to too few nodes")
			}
		}
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
