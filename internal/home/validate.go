package home

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/althing-ledger/althing/proto/names"
)

// Limits that keep a typing error from taking the machine or halting the network.
const (
	maxTLSNames     = 32
	maxMessageBytes = 64 << 20
	minMessageBytes = 64 << 10
	minCacheBytes   = 1 << 20
	minValueCache   = 32 << 20
	maxTimeout      = time.Minute
	maxGossipSleep  = time.Second
)

// Validate reports all problems at once, as an error that is [ErrConfig].
func (c Config) Validate() error {
	if err := errors.Join(c.problems()...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

func (c Config) problems() []error {
	var problems []error
	bad := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if c.Format != configFormat {
		bad("format is %d, want %d", c.Format, configFormat)
	}
	if err := names.Node(c.Name); err != nil {
		bad("name: %w", err)
	}
	if err := names.Org(c.Org); err != nil {
		bad("org: %w", err)
	}
	problems = append(problems, c.addressProblems()...)
	problems = append(problems, c.GRPC.problems()...)
	problems = append(problems, c.HTTP.problems()...)
	problems = append(problems, c.State.problems()...)
	problems = append(problems, c.Mempool.problems()...)
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, c.Log.Level) {
		bad("log.level is %q, want one of %v", c.Log.Level, levels)
	}
	if formats := []string{"text", "json"}; !slices.Contains(formats, c.Log.Format) {
		bad("log.format is %q, want one of %v", c.Log.Format, formats)
	}
	problems = append(problems, c.Consensus.problems()...)
	return append(problems, c.Signer.problems()...)
}

// addressProblems checks that every address can be listened on and that no two are the same.
func (c Config) addressProblems() []error {
	var problems []error
	taken := map[netip.AddrPort]string{}
	check := func(key, address string) {
		at, err := netip.ParseAddrPort(address)
		if err != nil || at.Port() == 0 {
			problems = append(problems, fmt.Errorf("%s is %q, want IP:PORT such as 127.0.0.1:9090", key, address))
			return
		}
		if other := taken[at]; other != "" {
			problems = append(problems, fmt.Errorf("%s and %s are both %q", other, key, address))
		}
		taken[at] = key
	}
	check("p2p.listen", c.P2P.Listen)
	check("grpc.listen", c.GRPC.Listen)
	if c.HTTP.Listen != "" {
		check("http.listen", c.HTTP.Listen)
	}
	if c.Metrics.Listen != "" {
		check("metrics.listen", c.Metrics.Listen)
	}
	if at, err := netip.ParseAddrPort(c.Metrics.Listen); c.Metrics.Profiles && (err != nil || !at.Addr().IsLoopback()) {
		problems = append(problems, fmt.Errorf("metrics.profiles needs a loopback address in metrics.listen, which is %q", c.Metrics.Listen))
	}
	return problems
}

func (g GRPC) problems() []error {
	var problems []error
	within := bounds(&problems, "grpc.")
	within("requests_per_second", int64(g.RequestsPerSecond), 1, 10_000_000)
	within("burst", int64(g.Burst), 1, 10_000_000)
	within("max_message_bytes", int64(g.MaxMessageBytes), minMessageBytes, maxMessageBytes)
	within("max_streams", int64(g.MaxStreams), 1, 100_000)
	if len(g.TLSNames) > maxTLSNames {
		problems = append(problems, fmt.Errorf("grpc.tls_names has %d names, at most %d", len(g.TLSNames), maxTLSNames))
	}
	for _, name := range g.TLSNames {
		if name == "" || len(name) > 253 {
			problems = append(problems, fmt.Errorf("grpc.tls_names: %.60q is not a name of 1 to 253 bytes", name))
		}
	}
	return problems
}

func (h HTTP) problems() []error {
	var problems []error
	if len(h.Hosts) > maxTLSNames || len(h.Origins) > maxTLSNames {
		problems = append(problems, fmt.Errorf("http has %d hosts and %d origins, at most %d each", len(h.Hosts), len(h.Origins), maxTLSNames))
	}
	for _, name := range h.Hosts {
		if name == "" || len(name) > 253 || strings.ContainsAny(name, ":/ ") {
			problems = append(problems, fmt.Errorf("http.hosts: %.60q is not a name of 1 to 253 bytes, without port", name))
		}
	}
	for _, origin := range h.Origins {
		at, err := url.Parse(origin)
		if origin != "*" && (err != nil || (at.Scheme != "http" && at.Scheme != "https") || at.Host == "" || origin != at.Scheme+"://"+at.Host) {
			problems = append(problems, fmt.Errorf("http.origins: %.60q is not SCHEME://HOST[:PORT] such as https://app.example.com, nor *", origin))
		}
	}
	return problems
}

func (s State) problems() []error {
	var problems []error
	if s.KeepHeights == 1 {
		problems = append(problems, errors.New("state.keep_heights is 1, want 0 (no limit) or at least 2"))
	}
	if s.KeepFor < 0 {
		problems = append(problems, fmt.Errorf("state.keep_for is %s, want 0 (no limit) or more", s.KeepFor))
	}
	within := bounds(&problems, "state.")
	within("cache_bytes", s.CacheBytes, minCacheBytes, 1<<40)
	within("value_cache_bytes", s.ValueCacheBytes, minValueCache, 1<<40)
	within("tree_cache_nodes", int64(s.TreeCacheNodes), 1, 1<<30)
	return problems
}

func (m Mempool) problems() []error {
	var problems []error
	within := bounds(&problems, "mempool.")
	within("max_txs", int64(m.MaxTxs), 1, 10_000_000)
	within("max_bytes", m.MaxBytes, 1<<20, 1<<36)
	within("max_txs_per_org", int64(m.MaxTxsPerOrg), 1, int64(max(m.MaxTxs, 1)))
	within("max_bytes_per_org", m.MaxBytesPerOrg, 1<<20, max(m.MaxBytes, 1<<20))
	return problems
}

func (c Consensus) problems() []error {
	var problems []error
	within := func(key string, d Duration, most time.Duration) {
		if time.Duration(d) < time.Millisecond || time.Duration(d) > most {
			problems = append(problems, fmt.Errorf("consensus.%s is %s, want 1ms to %s", key, d, Duration(most)))
		}
	}
	within("timeout_propose", c.TimeoutPropose, maxTimeout)
	within("timeout_propose_delta", c.TimeoutProposeDelta, maxTimeout)
	within("timeout_vote", c.TimeoutVote, maxTimeout)
	within("timeout_vote_delta", c.TimeoutVoteDelta, maxTimeout)
	within("peer_gossip_sleep", c.PeerGossipSleep, maxGossipSleep)
	within("ping_interval", c.PingInterval, maxTimeout)
	within("pong_timeout", c.PongTimeout, maxTimeout)
	if c.PongTimeout >= c.PingInterval {
		problems = append(problems, fmt.Errorf("consensus.pong_timeout %s is not below ping_interval %s", c.PongTimeout, c.PingInterval))
	}
	return problems
}

func (s Signer) problems() []error {
	var problems []error
	if s.Address == "" && s.PublicKey == "" {
		return nil
	}
	if host, port, err := net.SplitHostPort(s.Address); err != nil || host == "" || port == "" || len(s.Address) > 260 {
		problems = append(problems, fmt.Errorf("signer.address is %.60q, want HOST:PORT such as 10.0.0.5:26670", s.Address))
	}
	if key, err := hex.DecodeString(s.PublicKey); err != nil || len(key) != ed25519.PublicKeySize {
		problems = append(problems, fmt.Errorf("signer.public_key is %.80q, want the 64 hex digits that `althing signer show` prints", s.PublicKey))
	}
	return problems
}

// bounds returns a function that adds a problem when a value is out of its range.
func bounds(problems *[]error, prefix string) func(key string, value, least, most int64) {
	return func(key string, value, least, most int64) {
		if value < least || value > most {
			*problems = append(*problems, fmt.Errorf("%s%s is %d, want %d to %d", prefix, key, value, least, most))
		}
	}
}

// NeedsTLS says whether the server must not speak plaintext: its address can be reached from other machines.
func (g GRPC) NeedsTLS() bool { return needsTLS(g.Listen, g.PublishedOnLoopback) }

// NeedsTLS says whether the server must not speak plaintext, as over gRPC. One that is off needs none.
func (h HTTP) NeedsTLS() bool { return h.Listen != "" && needsTLS(h.Listen, h.PublishedOnLoopback) }

func needsTLS(listen string, publishedOnLoopback bool) bool {
	at, err := netip.ParseAddrPort(listen)
	return err != nil || (!at.Addr().IsLoopback() && !publishedOnLoopback)
}

// Dial returns the address under which this machine reaches the server: loopback, where it listens on all interfaces.
func (g GRPC) Dial() string {
	at, err := netip.ParseAddrPort(g.Listen)
	if err != nil || !at.Addr().IsUnspecified() {
		return g.Listen
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(at.Port())))
}
