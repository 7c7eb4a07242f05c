package home

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"text/template"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/althing-ledger/althing/consensus"
)

// configFormat is the version of homes that this program makes and reads.
const configFormat = 1

// maxConfigBytes bounds a configuration file. The one Init writes has about 6 KB.
const maxConfigBytes = 1 << 20

// Config is the configuration of one node. It holds what a node may decide for itself; what all nodes must agree on is
// in the charter on the ledger. The reasons for the defaults stand in the file that [Config.Encode] writes.
type Config struct {
	// Format is the version of the home, 1.
	Format int `toml:"format"`
	// Name is the node's name on the ledger, such as acme-1. Required.
	Name string `toml:"name"`
	// Org is the organisation the node belongs to. Required.
	Org string `toml:"org"`

	P2P       P2P       `toml:"p2p"`
	GRPC      GRPC      `toml:"grpc"`
	HTTP      HTTP      `toml:"http"`
	Metrics   Metrics   `toml:"metrics"`
	State     State     `toml:"state"`
	History   History   `toml:"history"`
	Mempool   Mempool   `toml:"mempool"`
	Log       Log       `toml:"log"`
	Consensus Consensus `toml:"consensus"`
	Signer    Signer    `toml:"signer"`
}

// P2P configures the mesh between nodes.
type P2P struct {
	// Listen is where other nodes connect, IP:PORT. Default 0.0.0.0:26656.
	Listen string `toml:"listen"`
}

// GRPC configures the server for clients.
type GRPC struct {
	// Listen is where clients connect, IP:PORT. Default 127.0.0.1:9090.
	Listen string `toml:"listen"`
	// PublishedOnLoopback promises that an address that is not loopback can be reached from this machine only, as in
	// a container whose port is published on 127.0.0.1. The server then speaks plaintext. Default false.
	PublishedOnLoopback bool `toml:"published_on_loopback"`
	// TLSNames are names and IP addresses that clients use for this node, for the certificate that is made when there
	// is none. At most 32. Default none besides localhost, the machine's name, the node's and the address of Listen.
	TLSNames []string `toml:"tls_names"`
	// RequestsPerSecond is how many requests one client address may make in the long run, and Burst how many at once.
	// A message on a stream counts as one. Defaults 20,000 and 40,000.
	RequestsPerSecond int `toml:"requests_per_second"`
	Burst             int `toml:"burst"`
	// MaxMessageBytes is the size of the largest request. Default 5 MiB.
	MaxMessageBytes int `toml:"max_message_bytes"`
	// MaxStreams is how many calls one connection may have open. Default 256.
	MaxStreams int `toml:"max_streams"`
}

// HTTP configures the same API over HTTP, as JSON. Rates and the size of requests are those of GRPC.
type HTTP struct {
	// Listen is where clients connect, IP:PORT. Empty turns it off, which is the default.
	Listen string `toml:"listen"`
	// PublishedOnLoopback is that of GRPC. Default false.
	PublishedOnLoopback bool `toml:"published_on_loopback"`
	// Hosts are names besides localhost under which plaintext is asked for, such as that of a proxy before it. At most 32.
	// Default none.
	Hosts []string `toml:"hosts"`
	// Origins are the web pages whose scripts may read answers, SCHEME://HOST[:PORT], or * for all. At most 32. Default none.
	Origins []string `toml:"origins"`
}

// Metrics configures the page that Prometheus reads.
type Metrics struct {
	// Listen is where it is served, over HTTP without TLS, IP:PORT. Empty turns it off. Default 127.0.0.1:26660.
	Listen string `toml:"listen"`
	// Profiles serves Go's profiles at /debug/pprof as well; Listen must be a loopback address then. Default false.
	Profiles bool `toml:"profiles"`
}

// State configures how much of the past is kept, and the memory of the store.
type State struct {
	// KeepHeights is how many heights of state and blocks stay readable, and KeepFor how long one stays so in block
	// time. A height goes when both allow it; zero does not limit. Defaults 100,000 and 168h.
	KeepHeights uint64   `toml:"keep_heights"`
	KeepFor     Duration `toml:"keep_for"`
	// Archive keeps everything, whatever the other two say. Default false.
	Archive bool `toml:"archive"`
	// CacheBytes is the memory for uncompressed blocks of the database. Default 128 MiB.
	CacheBytes int64 `toml:"cache_bytes"`
	// ValueCacheBytes is the memory for values of the newest height. Default 64 MiB.
	ValueCacheBytes int64 `toml:"value_cache_bytes"`
	// TreeCacheNodes is how many tree nodes stay in memory, at about 130 bytes each. Default 1,000,000.
	TreeCacheNodes int `toml:"tree_cache_nodes"`
}

// History configures the index of which transactions touched what.
type History struct {
	// Enabled keeps it and answers questions from it. It is built from the blocks that are kept when it begins, and it outlives
	// them. Default true.
	Enabled bool `toml:"enabled"`
}

// Mempool bounds the pending transactions.
type Mempool struct {
	// MaxTxs and MaxBytes bound all pending transactions together. Defaults 100,000 and 256 MiB.
	MaxTxs   int   `toml:"max_txs"`
	MaxBytes int64 `toml:"max_bytes"`
	// MaxTxsPerOrg and MaxBytesPerOrg bound those of one paying organisation. Defaults 25,000 and 64 MiB.
	MaxTxsPerOrg   int   `toml:"max_txs_per_org"`
	MaxBytesPerOrg int64 `toml:"max_bytes_per_org"`
}

// Log configures what the node says about itself.
type Log struct {
	// Level is the least important level that is written: debug, info, warn or error. Default info.
	Level string `toml:"level"`
	// Format is text or json. Default text.
	Format string `toml:"format"`
}

// Consensus tunes the engine of this node. The pause between blocks is not here: it is in the charter.
type Consensus struct {
	// TimeoutPropose and its fellows are those of [consensus.Profile]; they should be the same on all nodes.
	TimeoutPropose      Duration `toml:"timeout_propose"`
	TimeoutProposeDelta Duration `toml:"timeout_propose_delta"`
	TimeoutVote         Duration `toml:"timeout_vote"`
	TimeoutVoteDelta    Duration `toml:"timeout_vote_delta"`
	// PeerGossipSleep is how often each peer is looked at for something to send.
	PeerGossipSleep Duration `toml:"peer_gossip_sleep"`
	// PingInterval is how often an idle connection is checked, PongTimeout how long the answer may take.
	PingInterval Duration `toml:"ping_interval"`
	PongTimeout  Duration `toml:"pong_timeout"`
}

// Signer says where the keys are that the node votes with. By default they lie in files of the home, in plain text.
type Signer struct {
	// Address is host:port of a signer process, and PublicKey its identity: 64 hex digits, as `althing signer init` prints
	// them. Both or neither. Default neither: the home has the key.
	Address   string `toml:"address"`
	PublicKey string `toml:"public_key"`
	// PassphraseFile holds the passphrase of the home's key files, where they are encrypted; a path in the home or an absolute
	// one. The variable ALTHING_PASSPHRASE_FILE comes before it. Default none.
	PassphraseFile string `toml:"passphrase_file"`
}

// Remote says whether a signer process has the keys.
func (s Signer) Remote() bool { return s.Address != "" }

// Default returns the configuration of a node that says nothing but its name and its organisation.
func Default(name, org string) Config {
	return Config{
		Format: configFormat,
		Name:   name,
		Org:    org,
		P2P:    P2P{Listen: "0.0.0.0:26656"},
		GRPC: GRPC{
			Listen:            "127.0.0.1:9090",
			TLSNames:          []string{},
			RequestsPerSecond: 20_000,
			Burst:             40_000,
			MaxMessageBytes:   5 << 20,
			MaxStreams:        256,
		},
		HTTP:    HTTP{Hosts: []string{}, Origins: []string{}},
		Metrics: Metrics{Listen: "127.0.0.1:26660"},
		State: State{
			KeepHeights:     100_000,
			KeepFor:         Duration(168 * time.Hour),
			CacheBytes:      128 << 20,
			ValueCacheBytes: 64 << 20,
			TreeCacheNodes:  1_000_000,
		},
		History: History{Enabled: true},
		Mempool: Mempool{
			MaxTxs:         100_000,
			MaxBytes:       256 << 20,
			MaxTxsPerOrg:   25_000,
			MaxBytesPerOrg: 64 << 20,
		},
		Log: Log{Level: "info", Format: "text"},
		Consensus: Consensus{
			TimeoutPropose:      Duration(time.Second),
			TimeoutProposeDelta: Duration(500 * time.Millisecond),
			TimeoutVote:         Duration(500 * time.Millisecond),
			TimeoutVoteDelta:    Duration(250 * time.Millisecond),
			PeerGossipSleep:     Duration(5 * time.Millisecond),
			PingInterval:        Duration(10 * time.Second),
			PongTimeout:         Duration(5 * time.Second),
		},
	}
}

// Profile returns the engine's profile. Its TimeoutCommit is zero: the caller sets it from the charter.
func (c Consensus) Profile() consensus.Profile {
	return consensus.Profile{
		TimeoutPropose:      time.Duration(c.TimeoutPropose),
		TimeoutProposeDelta: time.Duration(c.TimeoutProposeDelta),
		TimeoutVote:         time.Duration(c.TimeoutVote),
		TimeoutVoteDelta:    time.Duration(c.TimeoutVoteDelta),
		PeerGossipSleep:     time.Duration(c.PeerGossipSleep),
		PingInterval:        time.Duration(c.PingInterval),
		PongTimeout:         time.Duration(c.PongTimeout),
	}
}

//go:embed althing.toml.tmpl
var configTemplate string

// Encode returns the file for the configuration: every key, with a comment that says what it does and why its
// default is what it is.
func (c Config) Encode() ([]byte, error) {
	parsed, err := template.New("althing.toml").Parse(configTemplate)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, c); err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	return out.Bytes(), nil
}

// ParseConfig decodes a configuration file; keys that are missing have their defaults. The error names all problems at
// once, unknown keys included, and is [ErrConfig], or [ErrNewer] if the file says that it is of a newer format.
func ParseConfig(file []byte) (Config, error) {
	if len(file) > maxConfigBytes {
		return Config{}, fmt.Errorf("%w: the file has %d bytes, at most %d", ErrConfig, len(file), maxConfigBytes)
	}
	// The format comes first: what else a newer file says is not ours to judge.
	var version struct {
		Format int `toml:"format"`
	}
	if err := toml.Unmarshal(file, &version); err == nil && version.Format > configFormat {
		return Config{}, fmt.Errorf("%w: format %d, this program knows %d", ErrNewer, version.Format, configFormat)
	}
	c := Default("", "")
	err := toml.NewDecoder(bytes.NewReader(file)).DisallowUnknownFields().Decode(&c)
	var unknown *toml.StrictMissingError
	if err != nil && !errors.As(err, &unknown) {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, located(err))
	}
	var problems []error
	if unknown != nil {
		for i := range unknown.Errors {
			line, _ := unknown.Errors[i].Position()
			problems = append(problems, fmt.Errorf("line %d: unknown key %s", line, strings.Join(unknown.Errors[i].Key(), ".")))
		}
	}
	if err := errors.Join(append(problems, c.problems()...)...); err != nil {
		return Config{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

// located puts the line in front of a decoder's error.
func located(err error) error {
	var decode *toml.DecodeError
	if !errors.As(err, &decode) {
		return err
	}
	line, _ := decode.Position()
	if key := strings.Join(decode.Key(), "."); key != "" {
		return fmt.Errorf("line %d: %s: %w", line, key, err)
	}
	return fmt.Errorf("line %d: %w", line, err)
}

// Duration is a time.Duration that is written as text, such as "168h" or "250ms".
type Duration time.Duration

// UnmarshalText decodes what time.ParseDuration understands.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%.40q is not a duration such as 250ms, 1m30s or 168h", text)
	}
	*d = Duration(parsed)
	return nil
}

// MarshalText is the inverse of UnmarshalText.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the duration without units that are zero: "168h", not "168h0m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
