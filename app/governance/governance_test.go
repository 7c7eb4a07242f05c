package governance_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/governance"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

func TestDefaultsAreValidAndFillZeros(t *testing.T) {
	t.Parallel()
	if err := governance.Validate(governance.Defaults()); err != nil {
		t.Error(err)
	}
	if got := governance.WithDefaults(nil); !proto.Equal(got, governance.Defaults()) {
		t.Error(got)
	}
	given := &governancev1.Charter{MaxTxBytes: 1 << 20, BlockIntervalMs: 7}
	want := governance.Defaults()
	want.MaxTxBytes, want.BlockIntervalMs = 1<<20, 7
	if got := governance.WithDefaults(given); !proto.Equal(got, want) || given.MaxOperations != 0 {
		t.Error(got, given)
	}
	full := &governancev1.Charter{
		MaxBlockBytes: 1, MaxTxBytes: 2, MaxOperations: 3, MaxSignatures: 4, MaxExpirySeconds: 5, LongExpirySeconds: 6,
		LongExpiriesPerOrg: 7, StaleBlockSeconds: 8, BlockIntervalMs: 9,
	}
	if fields := full.ProtoReflect().Descriptor().Fields().Len(); fields != 9 {
		t.Errorf("a charter has %d fields, this test knows 9", fields)
	}
	if got := governance.WithDefaults(full); !proto.Equal(got, full) {
		t.Error(got)
	}
}

func TestValidateReportsAllProblems(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*governancev1.Charter)
		want   []string
	}{
		"small block":      {func(c *governancev1.Charter) { c.MaxBlockBytes, c.MaxTxBytes = 65535, 4096 }, []string{"max_block_bytes is 65535"}},
		"large block":      {func(c *governancev1.Charter) { c.MaxBlockBytes = 16<<20 + 1 }, []string{"max_block_bytes"}},
		"small tx":         {func(c *governancev1.Charter) { c.MaxTxBytes = 4095 }, []string{"max_tx_bytes is 4095: it is 4096 to 4194304"}},
		"large tx":         {func(c *governancev1.Charter) { c.MaxTxBytes = 4<<20 + 1 }, []string{"max_tx_bytes is", "at least max_tx_bytes"}},
		"tx fills block":   {func(c *governancev1.Charter) { c.MaxTxBytes = c.MaxBlockBytes }, []string{"at least max_tx_bytes and 8"}},
		"no operations":    {func(c *governancev1.Charter) { c.MaxOperations = 0 }, []string{"max_operations is 0: it is 1 to 1000"}},
		"many operations":  {func(c *governancev1.Charter) { c.MaxOperations = 1001 }, []string{"max_operations"}},
		"many signatures":  {func(c *governancev1.Charter) { c.MaxSignatures = 257 }, []string{"max_signatures"}},
		"short expiry":     {func(c *governancev1.Charter) { c.MaxExpirySeconds = 119 }, []string{"max_expiry_seconds is 119", "long_expiry_seconds is 600"}},
		"long expiry":      {func(c *governancev1.Charter) { c.MaxExpirySeconds = 30*86400 + 1 }, []string{"max_expiry_seconds"}},
		"never long":       {func(c *governancev1.Charter) { c.LongExpirySeconds = 86401 }, []string{"at most max_expiry_seconds, 86400"}},
		"no long expiries": {func(c *governancev1.Charter) { c.LongExpiriesPerOrg = 0 }, []string{"long_expiries_per_org"}},
		"always stale":     {func(c *governancev1.Charter) { c.StaleBlockSeconds = 4 }, []string{"stale_block_seconds"}},
		"slow blocks":      {func(c *governancev1.Charter) { c.BlockIntervalMs = 10001 }, []string{"block_interval_ms"}},
		"numbers without end": {func(c *governancev1.Charter) { c.MaxBlockBytes, c.MaxTxBytes = 1<<64-1, 1<<64-1 }, []string{
			"max_block_bytes is 18446744073709551615: it is 65536 to 16777216", "max_tx_bytes is 18446744073709551615",
			"at least max_tx_bytes",
		}},
	} {
		charter := governance.Defaults()
		test.change(charter)
		err := governance.Validate(charter)
		if err == nil {
			t.Errorf("%s: valid", name)
			continue
		}
		if lines := strings.Split(err.Error(), "\n"); len(lines) != len(test.want) {
			t.Errorf("%s: %d problems, want %d: %v", name, len(lines), len(test.want), err)
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", name, err, want)
			}
		}
	}
	if err := governance.Validate(nil); err == nil || strings.Count(err.Error(), "\n") != 9 {
		t.Error(err)
	}
}

func TestGenesisWritesACompleteCharter(t *testing.T) {
	t.Parallel()
	store := statetest.New(t)
	statetest.Commit(t, store, func(o *state.Overlay) {
		if err := governance.Genesis(o, &governancev1.Charter{MaxOperations: 5}, 3); err != nil {
			t.Fatal(err)
		}
	})
	view := store.Latest()
	defer view.Release()
	answer, err := governance.GetCharter(view, &governancev1.GetCharterRequest{})
	if err != nil || answer.Height != 1 || answer.FeatureLevel != 3 || answer.Charter.MaxOperations != 5 || answer.Charter.MaxTxBytes != 256<<10 {
		t.Fatal(answer, err)
	}
	limits := governance.Limits(answer.Charter)
	if limits.Bytes != 256<<10 || limits.Operations != 5 || limits.Signatures != 64 {
		t.Error(limits)
	}
}

func TestGenesisRefuses(t *testing.T) {
	t.Parallel()
	var kv statetest.Memory
	err := governance.Genesis(&kv, &governancev1.Charter{MaxOperations: 5000, MaxSignatures: 5000}, 0)
	for _, want := range []string{"max_operations is 5000", "max_signatures is 5000", "feature_level is 0"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if kv.Len() != 0 {
		t.Error("something was written")
	}
}

func TestReaderNeverInventsRules(t *testing.T) {
	t.Parallel()
	ask := func(_ any, err error) error { return err }
	var kv statetest.Memory
	r := governance.Read(&kv)
	if _, err := r.Charter(); !errors.Is(err, governance.ErrNoGenesis) {
		t.Error(err)
	}
	if err := ask(r.FeatureLevel()); !errors.Is(err, governance.ErrNoGenesis) {
		t.Error(err)
	}
	kv.Fail = statetest.ErrInjected
	if err := ask(r.Charter()); !errors.Is(err, statetest.ErrInjected) {
		t.Error(err)
	}
	if err := ask(r.FeatureLevel()); !errors.Is(err, statetest.ErrInjected) {
		t.Error(err)
	}
	kv.Fail = nil
	for _, value := range [][]byte{{1}, make([]byte, 9), {1, 0, 0, 0, 0, 0, 0, 0, 0}, {2, 0, 0, 0, 0, 0, 0, 0, 1}} {
		kv.Set(state.Key(state.PrefixChain, "feature-level"), value)
		if level, err := r.FeatureLevel(); err == nil {
			t.Errorf("%x is read as %d", value, level)
		}
	}
}
