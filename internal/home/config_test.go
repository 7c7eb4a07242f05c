package home

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/althing-ledger/althing/consensus"
)

// unlike returns a configuration in which every value differs from its default.
func unlike() Config {
	return Config{
		Format: 1,
		Name:   "globex-2",
		Org:    "globex",
		P2P:    P2P{Listen: "10.1.2.3:1000"},
		GRPC: GRPC{
			Listen: "[::]:1001", PublishedOnLoopback: true, TLSNames: []string{"a.example", "10.0.0.9"},
			RequestsPerSecond: 2, Burst: 3, MaxMessageBytes: 1 << 17, MaxStreams: 4,
		},
		HTTP: HTTP{
			Listen: "[::]:1002", PublishedOnLoopback: true, Hosts: []string{"ledger.example"}, Origins: []string{"https://app.example:8443", "*"},
		},
		Metrics: Metrics{Listen: "127.0.0.1:1003", Profiles: true},
		State:   State{KeepHeights: 0, KeepFor: Duration(90 * time.Minute), Archive: true, CacheBytes: 1 << 21, ValueCacheBytes: 1 << 26, TreeCacheNodes: 5},
		Mempool: Mempool{MaxTxs: 7, MaxBytes: 2 << 20, MaxTxsPerOrg: 6, MaxBytesPerOrg: 1 << 20},
		Log:     Log{Level: "debug", Format: "json"},
		Consensus: Consensus{
			TimeoutPropose: Duration(2 * time.Second), TimeoutProposeDelta: Duration(time.Second),
			TimeoutVote: Duration(3 * time.Second), TimeoutVoteDelta: Duration(4 * time.Second),
			PeerGossipSleep: Duration(time.Millisecond),
			PingInterval:    Duration(20 * time.Second), PongTimeout: Duration(6 * time.Second),
		},
		Signer: Signer{Address: "signer.example:26670", PublicKey: strings.Repeat("ab", 32), PassphraseFile: "/run/passphrase"},
	}
}

func TestConfigSurvivesItsFile(t *testing.T) {
	t.Parallel()
	for _, want := range []Config{Default("acme-1", "acme"), unlike()} {
		file, err := want.Encode()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseConfig(file)
		if err != nil {
			t.Fatalf("%v\n%s", err, file)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v\nwant\n%+v", got, want)
		}
	}
}

// TestFileHasEveryKey finds a field that was added to Config and not to the template.
func TestFileHasEveryKey(t *testing.T) {
	t.Parallel()
	file, err := unlike().Encode()
	if err != nil {
		t.Fatal(err)
	}
	var inFile map[string]any
	if err := toml.Unmarshal(file, &inFile); err != nil {
		t.Fatal(err)
	}
	plain, err := toml.Marshal(unlike())
	if err != nil {
		t.Fatal(err)
	}
	var inConfig map[string]any
	if err := toml.Unmarshal(plain, &inConfig); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(inFile, inConfig) {
		t.Errorf("the template writes\n%v\nthe configuration is\n%v", inFile, inConfig)
	}
}

func TestMissingKeysHaveDefaults(t *testing.T) {
	t.Parallel()
	got, err := ParseConfig([]byte("format = 1\nname = 'acme-1'\norg = 'acme'\n[log]\nlevel = 'warn'\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := Default("acme-1", "acme")
	want.Log.Level = "warn"
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	file := `format = 1
name = "Acme"
org = "althing"
colour = "red"
[grpc]
listen = "localhost:9090"
burst = 0
max_mesage_bytes = 1
[http]
listen = "8080"
hosts = ["ledger.example:80"]
origins = ["https://app.example/"]
[metrics]
listen = "0.0.0.0:26656"
profiles = true
[state]
keep_heights = 1
cache_bytes = 10
[mempool]
max_txs = 10
max_txs_per_org = 11
[log]
level = "loud"
[consensus]
pong_timeout = "11s"
timeout_vote = "0s"
[signer]
address = "signer"
public_key = "abc"
`
	_, err := ParseConfig([]byte(file))
	if !errors.Is(err, ErrConfig) {
		t.Fatalf("error is %v, want ErrConfig", err)
	}
	for _, want := range []string{
		"line 4: unknown key colour", "line 8: unknown key grpc.max_mesage_bytes", "name: ", "org: ",
		`grpc.listen is "localhost:9090"`, "grpc.burst is 0", `http.listen is "8080"`, "http.hosts", "http.origins", `p2p.listen and metrics.listen are both "0.0.0.0:26656"`,
		"metrics.profiles needs a loopback address", "state.keep_heights is 1", "state.cache_bytes is 10", "mempool.max_txs_per_org is 11, want 1 to 10",
		`log.level is "loud"`, "consensus.pong_timeout 11s is not below", "consensus.timeout_vote is 0s, want 1ms to 1m",
		`signer.address is "signer"`, `signer.public_key is "abc"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
}

func TestConfigRefusals(t *testing.T) {
	t.Parallel()
	base := "format = 1\nname = 'acme-1'\norg = 'acme'\n"
	for name, c := range map[string]struct {
		file, says string
		kind       ErrorKind
	}{
		"no TOML":         {base + "[grpc", "line 4", ErrConfig},
		"wrong type":      {base + "[grpc]\nburst = 'many'\n", "line 5", ErrConfig},
		"bad duration":    {base + "[state]\nkeep_for = '1 week'\n", "is not a duration", ErrConfig},
		"twice":           {base + "name = 'acme-2'\n", "line 4", ErrConfig},
		"newer":           {"format = 2\nshape = 'round'\n", "format 2, this program knows 1", ErrNewer},
		"old":             {"format = 0\nname = 'acme-1'\norg = 'acme'\n", "format is 0", ErrConfig},
		"too large":       {strings.Repeat("#", maxConfigBytes+1), "bytes", ErrConfig},
		"negative number": {base + "[state]\nkeep_heights = -1\n", "keep_heights", ErrConfig},
	} {
		_, err := ParseConfig([]byte(c.file))
		if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error is %v, want %q and %q", name, err, c.kind, c.says)
		}
		var kind ErrorKind
		if !errors.As(err, &kind) {
			t.Errorf("%s: no kind found in %v", name, err)
		}
	}
}

// TestDefaultsAreTheEngines keeps the timeouts in the file equal to those of an empty profile.
func TestDefaultsAreTheEngines(t *testing.T) {
	t.Parallel()
	want := consensus.Profile{
		TimeoutPropose: time.Second, TimeoutProposeDelta: 500 * time.Millisecond,
		TimeoutVote: 500 * time.Millisecond, TimeoutVoteDelta: 250 * time.Millisecond,
		PeerGossipSleep: 5 * time.Millisecond, PingInterval: 10 * time.Second, PongTimeout: 5 * time.Second,
	}
	if got := Default("acme-1", "acme").Consensus.Profile(); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestPlaintextOnlyOnLoopback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		grpc GRPC
		tls  bool
		dial string
	}{
		{GRPC{Listen: "127.0.0.1:9090"}, false, "127.0.0.1:9090"},
		{GRPC{Listen: "[::1]:9090"}, false, "[::1]:9090"},
		{GRPC{Listen: "0.0.0.0:9090"}, true, "127.0.0.1:9090"},
		{GRPC{Listen: "[::]:9090"}, true, "127.0.0.1:9090"},
		{GRPC{Listen: "10.0.0.1:9090"}, true, "10.0.0.1:9090"},
		{GRPC{Listen: "0.0.0.0:9090", PublishedOnLoopback: true}, false, "127.0.0.1:9090"},
		{GRPC{Listen: "nonsense"}, true, "nonsense"},
	} {
		if c.grpc.NeedsTLS() != c.tls || c.grpc.Dial() != c.dial {
			t.Errorf("%+v: TLS %v, dialled at %s; want %v, %s", c.grpc, c.grpc.NeedsTLS(), c.grpc.Dial(), c.tls, c.dial)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	good, err := unlike().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("format = 1\nname = 'acme-1'\norg = 'acme'\n"))
	f.Add([]byte("format = 2\n[state]\nkeep_for = '1h'\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		c, err := ParseConfig(file)
		var kind ErrorKind
		if err != nil && !errors.As(err, &kind) {
			t.Fatalf("an error without a kind: %v", err)
		}
		if err != nil {
			return
		}
		again, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseConfig(again); err != nil || !sameConfig(back, c) {
			t.Fatalf("encoded and parsed again: %v\n%+v\n%+v", err, back, c)
		}
	})
}

// sameConfig compares as people would: no names and an empty list of names are the same.
func sameConfig(a, b Config) bool {
	if len(a.GRPC.TLSNames) == 0 && len(b.GRPC.TLSNames) == 0 {
		a.GRPC.TLSNames, b.GRPC.TLSNames = nil, nil
	}
	if len(a.HTTP.Hosts) == 0 && len(b.HTTP.Hosts) == 0 {
		a.HTTP.Hosts, b.HTTP.Hosts = nil, nil
	}
	if len(a.HTTP.Origins) == 0 && len(b.HTTP.Origins) == 0 {
		a.HTTP.Origins, b.HTTP.Origins = nil, nil
	}
	return reflect.DeepEqual(a, b)
}

func mustWrite(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
