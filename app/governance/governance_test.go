package governance_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/governance"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
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
		LongExpiriesPerOrg: 7, StaleBlockSeconds: 8, BlockIntervalMs: 9, VotingPeriodSeconds: 10, OrgBlockBytes: 11,
		OrgStoredBytes: 12, KeepHeights: 13, KeepSeconds: 14, OrgPower: 15, OrgNodes: 16, NodeKeyOverlapSeconds: 17,
		MaxTokenSeconds: 18, ReadAccess: governancev1.ReadAccess_READ_ACCESS_MEMBERS, ReadRoles: []string{"auditor"},
		Rules: []*governancev1.Rule{{Numerator: 1, Denominator: 2}},
	}
	if fields := full.ProtoReflect().Descriptor().Fields(); fields.Len() != 21 {
		t.Errorf("a charter has %d fields, this test knows 21", fields.Len())
	} else {
		for i := range fields.Len() {
			if !full.ProtoReflect().Has(fields.Get(i)) {
				t.Errorf("this test leaves %s out", fields.Get(i).Name())
			}
		}
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
		"large tx":         {func(c *governancev1.Charter) { c.MaxTxBytes = 4<<20 + 1 }, []string{"max_tx_bytes is", "at least max_tx_bytes", "org_block_bytes"}},
		"tx fills block":   {func(c *governancev1.Charter) { c.MaxTxBytes = c.MaxBlockBytes }, []string{"max_block_bytes is 4194304: it is at least max_tx_bytes, 4194304, and 8", "org_block_bytes"}},
		"tx fills share":   {func(c *governancev1.Charter) { c.MaxTxBytes = c.OrgBlockBytes - 7 }, []string{"org_block_bytes is 294912: it is at least max_tx_bytes, 294905, and 8 more"}},
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
			"max_block_bytes is 18446744073709551615: it is at least max_tx_bytes", "org_block_bytes is 294912: it is at least max_tx_bytes",
		}},
		"few signatures":    {func(c *governancev1.Charter) { c.MaxSignatures = 15 }, []string{"max_signatures is 15: it is 16 to 256"}},
		"hasty votes":       {func(c *governancev1.Charter) { c.VotingPeriodSeconds = 59 }, []string{"voting_period_seconds is 59: it is 60 to 31536000"}},
		"endless votes":     {func(c *governancev1.Charter) { c.VotingPeriodSeconds = 365*86400 + 1 }, []string{"voting_period_seconds"}},
		"small share":       {func(c *governancev1.Charter) { c.OrgBlockBytes, c.MaxTxBytes = 4103, 4096 }, []string{"org_block_bytes is 4103: it is 4104", "at least max_tx_bytes"}},
		"large share":       {func(c *governancev1.Charter) { c.OrgBlockBytes = 16<<20 + 1 }, []string{"org_block_bytes"}},
		"no room":           {func(c *governancev1.Charter) { c.OrgStoredBytes = 1<<20 - 1 }, []string{"org_stored_bytes"}},
		"all the room":      {func(c *governancev1.Charter) { c.OrgStoredBytes = 1<<60 + 1 }, []string{"org_stored_bytes"}},
		"short memory":      {func(c *governancev1.Charter) { c.KeepHeights = 1 }, []string{"keep_heights is 1"}},
		"long memory":       {func(c *governancev1.Charter) { c.KeepHeights = 1_000_000_001 }, []string{"keep_heights"}},
		"stale by pause":    {func(c *governancev1.Charter) { c.BlockIntervalMs, c.StaleBlockSeconds = 10_000, 24 }, []string{"stale_block_seconds is 24: it is at least twice"}},
		"no memory":         {func(c *governancev1.Charter) { c.KeepSeconds = 0 }, []string{"keep_seconds is 0: it is 1"}},
		"little power":      {func(c *governancev1.Charter) { c.OrgPower = 9 }, []string{"org_power is 9: it is 10 to 1000000"}},
		"much power":        {func(c *governancev1.Charter) { c.OrgPower = 1_000_001 }, []string{"org_power"}},
		"no nodes":          {func(c *governancev1.Charter) { c.OrgNodes = 0 }, []string{"org_nodes"}},
		"many nodes":        {func(c *governancev1.Charter) { c.OrgNodes = 65 }, []string{"org_nodes is 65: it is 1 to 64"}},
		"no overlap":        {func(c *governancev1.Charter) { c.NodeKeyOverlapSeconds = 9 }, []string{"node_key_overlap_seconds is 9"}},
		"short tokens":      {func(c *governancev1.Charter) { c.MaxTokenSeconds = 9 }, []string{"max_token_seconds is 9: it is 10 to 86400"}},
		"long tokens":       {func(c *governancev1.Charter) { c.MaxTokenSeconds = 86401 }, []string{"max_token_seconds"}},
		"no access":         {func(c *governancev1.Charter) { c.ReadAccess = 0 }, []string{"read_access is 0: it is 1 to 2"}},
		"strange access":    {func(c *governancev1.Charter) { c.ReadAccess = 3 }, []string{"read_access is 3"}},
		"negative access":   {func(c *governancev1.Charter) { c.ReadAccess = -1 }, []string{"read_access"}},
		"no role":           {func(c *governancev1.Charter) { c.ReadRoles = []string{"-"} }, []string{`read_roles[0]: "-" is not the name of a role`}},
		"role twice":        {func(c *governancev1.Charter) { c.ReadRoles = []string{"aa", "aa"} }, []string{"read_roles[1]: aa is listed twice"}},
		"disorderly roles":  {func(c *governancev1.Charter) { c.ReadRoles = []string{"bb", "aa"} }, []string{"read_roles are not in ascending order"}},
		"17 roles":          {func(c *governancev1.Charter) { c.ReadRoles = roles(17) }, []string{"read_roles holds 17 roles, at most 16"}},
		"less than a half":  {func(c *governancev1.Charter) { c.Rules = rule(499, 999) }, []string{"rules[0] (UNSPECIFIED): 499/999 is not a share"}},
		"unanimous":         {func(c *governancev1.Charter) { c.Rules = rule(3, 3) }, []string{"3/3 is not a share"}},
		"more than all":     {func(c *governancev1.Charter) { c.Rules = rule(1<<32-1, 2) }, []string{"4294967295/2 is not a share"}},
		"no denominator":    {func(c *governancev1.Charter) { c.Rules = rule(0, 0) }, []string{"denominator is 0: it is 2 to 1000"}},
		"large denominator": {func(c *governancev1.Charter) { c.Rules = rule(1000, 1001) }, []string{"denominator is 1001"}},
		"65 proposers":      {func(c *governancev1.Charter) { c.Rules = rule(1, 2, roles(65)...) }, []string{"65 proposers, at most 64"}},
		"bad proposer":      {func(c *governancev1.Charter) { c.Rules = rule(1, 2, "a", "bb", "bb") }, []string{"proposers[0]: \"a\" is not", "proposers[2]: bb is listed twice"}},
		"rule twice":        {func(c *governancev1.Charter) { c.Rules = append(rule(1, 2), rule(1, 2)...) }, []string{"rules[1] (UNSPECIFIED): the action has a rule already"}},
		"disorderly rules": {func(c *governancev1.Charter) {
			c.Rules = append(rule(1, 2), rule(1, 2)...)
			c.Rules[0].Action = governancev1.Action_ACTION_NODES
		}, []string{"rules are not in ascending order"}},
		"strange action": {func(c *governancev1.Charter) { c.Rules = rule(1, 2); c.Rules[0].Action = 8 }, []string{"rules[0] (8): this version does not know the action"}},
		"nine rules":     {func(c *governancev1.Charter) { c.Rules = make([]*governancev1.Rule, 9) }, []string{"rules holds 9 rules, there are 8 actions"}},
		"nil rule":       {func(c *governancev1.Charter) { c.Rules = []*governancev1.Rule{nil} }, []string{"denominator is 0"}},
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
	if err := governance.Validate(nil); err == nil || strings.Count(err.Error(), "\n") != 18 {
		t.Error(err)
	}
}

func roles(n int) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf("role-%02d", i))
	}
	return list
}

func rule(numerator, denominator uint32, proposers ...string) []*governancev1.Rule {
	return []*governancev1.Rule{{Numerator: numerator, Denominator: denominator, Proposers: proposers}}
}

func TestBoundsAreValid(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*governancev1.Charter){
		"least": func(c *governancev1.Charter) {
			proto.Merge(c, &governancev1.Charter{
				MaxTxBytes: 4096, MaxBlockBytes: 64 << 10, OrgBlockBytes: 4104, MaxOperations: 1, MaxSignatures: 16, MaxExpirySeconds: 120,
				LongExpirySeconds: 60, LongExpiriesPerOrg: 1, StaleBlockSeconds: 5, BlockIntervalMs: 1, VotingPeriodSeconds: 60,
				OrgStoredBytes: 1 << 20, KeepHeights: 100, KeepSeconds: 1, OrgPower: 10, OrgNodes: 1, NodeKeyOverlapSeconds: 10,
				MaxTokenSeconds: 10, Rules: rule(1, 2),
			})
		},
		"most": func(c *governancev1.Charter) {
			proto.Merge(c, &governancev1.Charter{
				MaxTxBytes: 4 << 20, MaxBlockBytes: 16 << 20, OrgBlockBytes: 16 << 20, MaxOperations: 1000, MaxSignatures: 256,
				MaxExpirySeconds: 30 * 86400, LongExpirySeconds: 30 * 86400, LongExpiriesPerOrg: 1_000_000, StaleBlockSeconds: 3600,
				BlockIntervalMs: 10_000, VotingPeriodSeconds: 365 * 86400, OrgStoredBytes: 1 << 60, KeepHeights: 1_000_000_000,
				KeepSeconds: 36500 * 86400, OrgPower: 1_000_000, OrgNodes: 64, NodeKeyOverlapSeconds: 30 * 86400, MaxTokenSeconds: 86400,
				ReadAccess: governancev1.ReadAccess_READ_ACCESS_MEMBERS, ReadRoles: roles(16), Rules: rule(999, 1000, roles(64)...),
			})
		},
	} {
		charter := governance.Defaults()
		change(charter)
		if err := governance.Validate(charter); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	present := governance.WithDefaults(&governancev1.Charter{
		MaxOperations: 5, ReadRoles: []string{"writer", "auditor"},
		Rules: []*governancev1.Rule{
			{Action: governancev1.Action_ACTION_NODES, Numerator: 1, Denominator: 2, Proposers: []string{"globex", "acme"}},
			{Numerator: 3, Denominator: 4},
		},
	})
	before := proto.CloneOf(present)
	for name, test := range map[string]struct {
		changes *governancev1.Charter
		want    func(*governancev1.Charter)
	}{
		"nil":     {nil, func(*governancev1.Charter) {}},
		"nothing": {&governancev1.Charter{}, func(*governancev1.Charter) {}},
		"number":  {&governancev1.Charter{KeepHeights: 500}, func(c *governancev1.Charter) { c.KeepHeights = 500 }},
		"access": {
			&governancev1.Charter{ReadAccess: governancev1.ReadAccess_READ_ACCESS_MEMBERS},
			func(c *governancev1.Charter) { c.ReadAccess = governancev1.ReadAccess_READ_ACCESS_MEMBERS },
		},
		"roles": {
			&governancev1.Charter{ReadRoles: []string{"zz", "bb"}},
			func(c *governancev1.Charter) { c.ReadRoles = []string{"bb", "zz"} },
		},
		"no roles": {&governancev1.Charter{ReadRoles: []string{"-"}}, func(c *governancev1.Charter) { c.ReadRoles = nil }},
		"rule replaced": {
			&governancev1.Charter{Rules: rule(1, 2, "zz", "bb")},
			func(c *governancev1.Charter) { c.Rules[0] = rule(1, 2, "bb", "zz")[0] },
		},
		"rules added": {
			&governancev1.Charter{Rules: []*governancev1.Rule{
				{Action: governancev1.Action_ACTION_UPGRADE, Numerator: 4, Denominator: 5},
				{Action: governancev1.Action_ACTION_ADMIT_ORG, Numerator: 1, Denominator: 2},
			}},
			func(c *governancev1.Charter) {
				c.Rules = []*governancev1.Rule{
					c.Rules[0], {Action: governancev1.Action_ACTION_ADMIT_ORG, Numerator: 1, Denominator: 2},
					c.Rules[1], {Action: governancev1.Action_ACTION_UPGRADE, Numerator: 4, Denominator: 5},
				}
			},
		},
	} {
		given := proto.Clone(test.changes)
		got := governance.Merge(present, test.changes)
		want := proto.CloneOf(before)
		test.want(want)
		if !proto.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
		if err := governance.Validate(got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !proto.Equal(present, before) || !proto.Equal(test.changes, given) {
			t.Errorf("%s: an argument was changed", name)
		}
	}
	// What is listed twice stays for Validate to find.
	if err := governance.Validate(governance.Merge(present, &governancev1.Charter{Rules: append(rule(1, 2), nil)})); err == nil {
		t.Error("an action with two rules is valid")
	}
}

func TestRulesOfActions(t *testing.T) {
	t.Parallel()
	listed := governance.WithDefaults(&governancev1.Charter{Rules: []*governancev1.Rule{
		{Action: governancev1.Action_ACTION_NODES, Numerator: 1, Denominator: 2},
		{Numerator: 3, Denominator: 4},
	}})
	for _, test := range []struct {
		charter *governancev1.Charter
		action  governancev1.Action
		want    string
	}{
		{governance.Defaults(), governancev1.Action_ACTION_NODES, "2/3"},
		{governance.Defaults(), governancev1.Action_ACTION_UNSPECIFIED, "2/3"},
		{listed, governancev1.Action_ACTION_NODES, "1/2"},
		{listed, governancev1.Action_ACTION_CHARTER, "3/4"},
		{listed, governancev1.Action_ACTION_UNSPECIFIED, "3/4"},
	} {
		rule := governance.Rule(test.charter, test.action)
		if got := fmt.Sprintf("%d/%d", rule.Numerator, rule.Denominator); got != test.want {
			t.Errorf("%s: %s, want %s", test.action, got, test.want)
		}
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
	err := governance.Genesis(&kv, &governancev1.Charter{
		MaxOperations: 5000, MaxSignatures: 5000, ReadRoles: []string{"aa", "aa"}, Rules: append(rule(1, 2), rule(2, 3)...),
	}, 0)
	for _, want := range []string{
		"max_operations is 5000", "max_signatures is 5000", "aa is listed twice", "the action has a rule already", "feature_level is 0",
	} {
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
	if err := ask(r.LevelAt(1)); !errors.Is(err, governance.ErrNoGenesis) {
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
		kv.Set(keyspace.Key(keyspace.PrefixChain, "feature-level"), value)
		if level, err := r.FeatureLevel(); err == nil {
			t.Errorf("%x is read as %d", value, level)
		}
		if level, err := r.LevelAt(5); err == nil {
			t.Errorf("%x is read as %d", value, level)
		}
	}
}
