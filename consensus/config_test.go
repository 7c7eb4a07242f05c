package consensus

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestValidateReportsAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	err := Config{Profile: Profile{TimeoutCommit: 3 * time.Hour}}.Validate()
	if !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("Validate: %v", err)
	}
	for _, part := range []string{
		"Home", "App", "Pool", "Gossip", "DB", "Registry", "NodeKey", "Listen", "chain id", "time is missing", "validators", "TimeoutCommit",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("the error does not mention %s: %v", part, err)
		}
	}
	if _, err := New(Config{}); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("New: %v", err)
	}
}

func TestValidateRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 0)
	good := w.hosts[0].config()
	t.Cleanup(w.hosts[0].release)
	if err := good.Validate(); err != nil {
		t.Fatalf("Validate of a good configuration: %v", err)
	}
	tests := map[string]struct {
		change func(*Config)
		says   string
	}{
		"half a node key":         {func(c *Config) { c.NodeKey = c.NodeKey[:32] }, "NodeKey"},
		"a node key of two":       {func(c *Config) { c.NodeKey = append(c.NodeKey[:32:32], key("x")[32:]...) }, "NodeKey"},
		"no port":                 {func(c *Config) { c.Listen = "127.0.0.1" }, "Listen"},
		"no host":                 {func(c *Config) { c.Listen = ":26656" }, "Listen"},
		"long chain id":           {func(c *Config) { c.Genesis.ChainID = strings.Repeat("x", 51) }, "chain id"},
		"short validator key":     {func(c *Config) { c.Genesis.Validators = []Validator{{PublicKey: []byte{1}, Power: 1}} }, "public key"},
		"validator without power": {func(c *Config) { c.Genesis.Validators = []Validator{{PublicKey: make([]byte, 32)}} }, "power"},
		"too much power": {func(c *Config) {
			c.Genesis.Validators = []Validator{{PublicKey: make([]byte, 32), Power: 1 << 62}}
		}, "power"},
		"validator twice": {func(c *Config) {
			c.Genesis.Validators = append(c.Genesis.Validators[:1:1], c.Genesis.Validators[0])
		}, "twice"},
		"tiny blocks":       {func(c *Config) { c.Genesis.MaxBlockBytes = 1 }, "MaxBlockBytes"},
		"negative evidence": {func(c *Config) { c.Genesis.EvidenceMaxAge = -1 }, "evidence"},
		"negative timeout":  {func(c *Config) { c.Profile.TimeoutPropose = -1 }, "TimeoutPropose"},
		"busy gossip":       {func(c *Config) { c.Profile.PeerGossipSleep = 1 }, "PeerGossipSleep"},
		"slow pong":         {func(c *Config) { c.Profile.PongTimeout = c.Profile.PingInterval + time.Minute }, "PongTimeout"},
		"narrow band":       {func(c *Config) { c.Profile.BandwidthBytes = 1 }, "BandwidthBytes"},
		"tiny packets":      {func(c *Config) { c.Profile.PacketBytes = 1 }, "PacketBytes"},
		"no clock skew":     {func(c *Config) { c.Profile.BlockTimeTolerance = 1 }, "BlockTimeTolerance"},
		"slow flush":        {func(c *Config) { c.Profile.FlushThrottle = time.Hour }, "FlushThrottle"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := good
			tt.change(&cfg)
			if err := cfg.Validate(); !errors.Is(err, ErrInvalidConfig) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Validate: %v, want one about %s", err, tt.says)
			}
		})
	}
}
