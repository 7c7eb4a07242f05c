package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"google.golang.org/grpc/codes"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/grpcapi"
	"github.com/althing-ledger/althing/internal/home"
	"github.com/althing-ledger/althing/mempool"
	"github.com/althing-ledger/althing/p2p"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// figures reads what the parts of a node count when Prometheus asks: nothing is counted twice.
type figures struct {
	app    *app.App
	store  *state.Store
	engine *engine
	gossip *mempool.Gossip
	api    *grpcapi.Server
}

// Describe implements prometheus.Collector. It says nothing, which lets Collect decide what there is.
func (f *figures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (f *figures) Collect(out chan<- prometheus.Metric) {
	f.consensus(sink{out})
	f.transactions(sink{out})
	f.state(sink{out})
}

// sink makes metrics of figures.
type sink struct{ out chan<- prometheus.Metric }

func (s sink) emit(kind prometheus.ValueType, name, help string, value float64, labels ...string) {
	var names, values []string
	for i := 0; i+1 < len(labels); i += 2 {
		names, values = append(names, labels[i]), append(values, labels[i+1])
	}
	s.out <- prometheus.MustNewConstMetric(prometheus.NewDesc("althing_"+name, help, names, nil), kind, value, values...)
}

func (s sink) gauge(name, help string, value float64, labels ...string) {
	s.emit(prometheus.GaugeValue, name, help, value, labels...)
}

func (s sink) total(name, help string, value uint64, labels ...string) {
	s.emit(prometheus.CounterValue, name, help, float64(value), labels...)
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (f *figures) consensus(s sink) {
	node := f.engine.node.Load()
	status := node.Status()
	base, height := node.BlockRange()
	reconciled := node.Reconciled()
	s.gauge("ready", "1 while the node follows the network and can be relied on.", flag(f.api.Ready()))
	s.gauge("block_height", "Height of the newest committed block.", float64(f.app.Height()))
	if !status.BlockTime.IsZero() {
		s.gauge("block_timestamp_seconds", "Time of the newest committed block, in seconds since 1970.", float64(status.BlockTime.UnixMilli())/1000)
	}
	s.gauge("stored_block_height", "Height of the newest stored block.", float64(height))
	s.gauge("oldest_block_height", "Height of the oldest stored block.", float64(base))
	s.gauge("validator", "1 while the node votes.", flag(status.Validator))
	s.gauge("peers", "Live connections to other nodes.", float64(len(status.Peers)))
	s.total("peer_dials_total", "Connections begun.", reconciled.Dials)
	s.total("peer_dial_failures_total", "Connections begun in vain.", reconciled.DialFailures)
	s.total("peer_evictions_total", "Connections closed because the ledger does not list the peer.", reconciled.Evictions)
	for _, e := range newestEvictions(node.Evictions()) {
		s.gauge("peer_eviction_timestamp_seconds", "When a peer's connection was closed because the ledger does not list it, of the newest ones.",
			float64(e.At.UnixMilli())/1000, "peer", e.ID, "node", e.Name, "org", e.Org, "reason", e.Reason)
	}
	refusals := node.Refusals()
	const refused = "Connections that were refused or closed."
	s.total("peer_refusals_total", refused, refusals.Strangers, "why", "not-listed")
	s.total("peer_refusals_total", refused, refusals.Handshakes, "why", "handshake")
	s.total("peer_refusals_total", refused, refusals.Misbehaved, "why", "misbehaved")
	ledger := f.engine.mesh.ledger.Load()
	s.gauge("members", "Nodes that the ledger lists and admits.", float64(len(ledger.Nodes)))
	for _, seat := range ledger.Validators(f.app.Height() + 1) {
		s.gauge("validator_power", "Voting power for the next block.", float64(seat.Power), "node", seat.Node)
	}
	if offset, known := f.gossip.ClockOffset(); known {
		s.gauge("clock_offset_seconds", "How far the peers' clocks are ahead of this node's, their median.", offset.Seconds())
	}
}

func (f *figures) transactions(s sink) {
	results := f.app.Stats()
	const committed = "Transactions in committed blocks."
	s.total("transactions_total", committed, results.Applied, "result", "applied")
	s.total("transactions_total", committed, results.Rejected, "result", "rejected")
	s.total("refused_proposals_total", "Proposed blocks that this node found invalid.", results.RefusedProposals)
	s.gauge("waiting_calls", "Calls that wait for the outcome of a transaction.", float64(f.app.Waiting()))
	watchers, lag := f.api.Watchers()
	s.gauge("watchers", "Calls that watch the ledger.", float64(watchers))
	s.gauge("watchers_lag_blocks", "Committed blocks that the slowest watcher has not been sent yet.", float64(lag))

	pool := f.app.Pool().Stats()
	s.gauge("mempool_transactions", "Pending transactions.", float64(pool.Txs))
	s.gauge("mempool_bytes", "Size of the pending transactions.", float64(pool.Bytes))
	s.gauge("mempool_orgs", "Organisations that have pending transactions.", float64(pool.Orgs))
	const queued = "Arrivals that wait for verification."
	s.gauge("mempool_queued_transactions", queued, float64(pool.QueuedFromClients), "from", "clients")
	s.gauge("mempool_queued_transactions", queued, float64(pool.QueuedFromPeers), "from", "peers")
	s.total("mempool_accepted_total", "Transactions that became pending.", pool.Accepted)
	s.emit(prometheus.CounterValue, "mempool_accept_seconds_total", "Time from arrival to acceptance, summed.", pool.Waited.Seconds())
	s.total("mempool_full_total", "Arrivals turned away because a bound was reached.", pool.Full)
	const left = "Pending transactions that left."
	s.total("mempool_left_total", left, pool.Committed, "why", "committed")
	s.total("mempool_left_total", left, pool.Expired, "why", "expired")
	s.total("mempool_left_total", left, pool.Dropped, "why", "dropped")
	s.total("mempool_discarded_total", "Transactions given up because their organisation is no active member any more.", pool.Discarded)
	s.gauge("mempool_sources", "Clients and peers whose arrivals wait for verification.", float64(pool.Sources))
	s.total("mempool_rechecked_total", "Pending transactions whose authority was looked at again.", pool.Rechecked)
	s.total("mempool_org_blocks_full_total", "Blocks for which an organisation had more than the charter lets it put in.", pool.OrgBlocksFull)
	for code, n := range pool.Refused {
		s.total("mempool_refused_total", "Arrivals refused, by code.", n, "code", tx.Reason(code))
	}
	for id, peer := range f.gossip.Peers() {
		s.total("gossip_sent_transactions_total", "Transactions offered to a peer since it connected.", peer.Sent, "peer", id)
		s.total("gossip_received_transactions_total", "Transactions that a peer has offered since it connected.", peer.Received, "peer", id)
		s.total("gossip_dropped_transactions_total", "Offers of a peer for which there was no room.", peer.Dropped, "peer", id)
		if peer.RoundTrip > 0 {
			s.gauge("peer_round_trip_seconds", "Time of a message to a peer and back.", peer.RoundTrip.Seconds(), "peer", id)
			s.gauge("peer_clock_offset_seconds", "How far a peer's clock is ahead of this node's.", peer.ClockOffset.Seconds(), "peer", id)
			s.gauge("peer_height", "Newest block that a peer says it has.", float64(peer.Height), "peer", id)
		}
	}
	s.total("signatures_verified_total", "Signatures checked.", pool.Verifier.Signatures)
	s.total("verdicts_remembered_total", "Verdicts on transactions given from memory.", pool.Verifier.Remembered)
	s.emit(prometheus.CounterValue, "verify_seconds_total", "Time spent on checking signatures, summed over cores.", pool.Verifier.Busy.Seconds())
}

func (f *figures) state(s sink) {
	m := f.store.Metrics()
	s.gauge("state_oldest_height", "Oldest height whose state can be read.", float64(m.Oldest))
	s.gauge("state_stage_duration_seconds", "Time that the tree took for the newest block.", m.StageDuration.Seconds())
	s.gauge("state_commit_duration_seconds", "Time that writing the newest block took.", m.CommitDuration.Seconds())
	s.gauge("state_prune_duration_seconds", "Time that pruning after the newest block took.", m.PruneDuration.Seconds())
	s.total("state_pruned_heights_total", "Heights pruned.", m.PrunedHeights)
	s.gauge("state_open_views", "Views that are being read.", float64(m.OpenViews))
	s.gauge("database_disk_bytes", "Size of the database's files.", float64(m.DiskBytes))
	s.gauge("database_memtable_bytes", "Memory for writes that are not in tables yet.", float64(m.MemTableBytes))
	s.gauge("database_cache_bytes", "Memory for cached blocks of tables.", float64(m.CacheBytes))
	s.total("database_cache_hits_total", "Reads of tables answered from memory.", uint64(m.CacheHits))
	s.total("database_cache_misses_total", "Reads of tables that went to the disk.", uint64(m.CacheMisses))
	s.gauge("value_cache_bytes", "Memory for values of the newest height.", float64(m.ValueCacheBytes))
	s.total("value_cache_hits_total", "Reads of the newest height answered from memory.", uint64(m.ValueCacheHits))
	s.total("value_cache_misses_total", "Reads of the newest height that went to the database.", uint64(m.ValueCacheMisses))
	s.total("database_compactions_total", "Compactions.", uint64(m.CompactionsTotal))
	s.gauge("database_compaction_debt_bytes", "What compaction has still to rewrite.", float64(m.CompactionDebtBytes))
	s.total("database_written_bytes_total", "Bytes written by flushes and compactions.", m.WrittenBytes)
	s.gauge("database_read_amplification", "Files that one read may have to look at.", float64(m.ReadAmplification))
}

// newestEvictions leaves one eviction of each peer: labels must not repeat.
func newestEvictions(all []p2p.Eviction) []p2p.Eviction {
	var newest []p2p.Eviction
	for _, e := range slices.Backward(all) {
		if !slices.ContainsFunc(newest, func(n p2p.Eviction) bool { return n.ID == e.ID }) {
			newest = append(newest, e)
		}
	}
	return newest
}

// latencies are what clients of this node experience.
type latencies struct {
	calls   *prometheus.HistogramVec
	commits prometheus.Histogram
}

func newLatencies(registry prometheus.Registerer) *latencies {
	l := &latencies{
		calls: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "althing_grpc_call_duration_seconds",
			Help:    "Time that calls took, waits included.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 14),
		}, []string{"method", "code"}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "althing_transaction_commit_duration_seconds",
			Help:    "Time from the arrival of a transaction in a waiting call to its outcome in a committed block.",
			Buckets: prometheus.ExponentialBuckets(0.01, 1.6, 18),
		}),
	}
	registry.MustRegister(l.calls, l.commits)
	return l
}

func (l *latencies) called(method string, code codes.Code, took time.Duration) {
	l.calls.WithLabelValues(strings.TrimPrefix(method, "/"), code.String()).Observe(took.Seconds())
}

func (l *latencies) committed(took time.Duration) { l.commits.Observe(took.Seconds()) }

// metricsPage serves what Prometheus reads, and /ready for whoever asks over HTTP. The zero page serves nothing.
type metricsPage struct {
	listener net.Listener
	server   *http.Server
}

func newMetricsPage(cfg home.Metrics, registry *prometheus.Registry, f *figures) (*metricsPage, error) {
	if cfg.Listen == "" {
		return &metricsPage{}, nil
	}
	registry.MustRegister(f, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Timeout: 10 * time.Second, MaxRequestsInFlight: 4}))
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if !f.api.Ready() {
			http.Error(w, "not ready", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ready")
	})
	if cfg.Profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return &metricsPage{listener: listener, server: &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}}, nil
}

func (p *metricsPage) address() string {
	if p.listener == nil {
		return "off"
	}
	return p.listener.Addr().String()
}

// run serves until the context ends.
func (p *metricsPage) run(ctx context.Context) error {
	if p.server == nil {
		return nil
	}
	stop := context.AfterFunc(ctx, func() { p.server.Close() })
	defer stop()
	if err := p.server.Serve(p.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve metrics on %s: %w", p.listener.Addr(), err)
	}
	return nil
}

// close frees the port of a page that never ran.
func (p *metricsPage) close() {
	if p.server != nil {
		p.server.Close()
		p.listener.Close()
	}
}
