package governance

import (
	"errors"
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/accounts"
	"github.com/althing-ledger/althing/app/membership"
	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30

	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// TxOverhead is what a block adds to the bytes of a transaction at most: the tag and the length that stand before it.
const TxOverhead = 8

// MaxReadRoles is how many roles may be allowed to read where reads are for members.
const MaxReadRoles = 16

// NoRoles stands alone in the read_roles of changes for none.
const NoRoles = "-"

// Defaults returns the charter of a network whose genesis document says nothing else.
func Defaults() *governancev1.Charter {
	return &governancev1.Charter{
		MaxBlockBytes:         4 * mib,
		MaxTxBytes:            256 * kib,
		MaxOperations:         100,
		MaxSignatures:         64,
		MaxExpirySeconds:      day,
		LongExpirySeconds:     10 * minute,
		LongExpiriesPerOrg:    10_000,
		StaleBlockSeconds:     30,
		BlockIntervalMs:       200,
		VotingPeriodSeconds:   7 * day,
		OrgBlockBytes:         288 * kib,
		OrgStoredBytes:        64 * gib,
		KeepHeights:           1000,
		KeepSeconds:           day,
		OrgPower:              membership.DefaultPower,
		OrgNodes:              4,
		NodeKeyOverlapSeconds: 10 * minute,
		MaxTokenSeconds:       15 * minute,
		ReadAccess:            governancev1.ReadAccess_READ_ACCESS_OPEN,
	}
}

// WithDefaults returns a copy of c, which may be nil, in which every zero is the default.
func WithDefaults(c *governancev1.Charter) *governancev1.Charter { return Merge(Defaults(), c) }

// Merge returns a copy of a complete charter in which changes, which may be nil, are made: a zero keeps what is, the roles
// replace the roles, [NoRoles] alone clears them, and each rule replaces that of its action. Lists come out in the order
// of the state. Whether what comes out is valid is for [Validate] to say.
func Merge(present, changes *governancev1.Charter) *governancev1.Charter {
	c := proto.CloneOf(present)
	for _, f := range fieldsOf(c, changes) {
		if f.given != 0 {
			f.set(f.given)
		}
	}
	switch roles := changes.GetReadRoles(); {
	case slices.Equal(roles, []string{NoRoles}):
		c.ReadRoles = nil
	case len(roles) > 0:
		c.ReadRoles = slices.Clone(roles)
		slices.Sort(c.ReadRoles)
	}
	c.Rules = mergeRules(c.Rules, changes.GetRules())
	return c
}

// Validate reports all problems of a complete charter at once.
func Validate(c *governancev1.Charter) error {
	var problems []error
	for _, f := range fieldsOf(&governancev1.Charter{}, c) {
		if f.given < f.min || f.given > f.max {
			problems = append(problems, f.outOfBounds())
		}
	}
	problems = append(problems, conflicts(c)...)
	problems = append(problems, checkReadRoles(c.GetReadRoles())...)
	if !slices.IsSorted(c.GetReadRoles()) {
		problems = append(problems, errors.New("read_roles are not in ascending order"))
	}
	problems = append(problems, checkRules(c.GetRules())...)
	if !slices.IsSortedFunc(c.GetRules(), compareActions) {
		problems = append(problems, errors.New("rules are not in ascending order of action"))
	}
	return errors.Join(problems...)
}

// checkChanges is [Validate] for changes of a charter, which leave things out: what they hold can be wrong whatever the
// charter is.
func checkChanges(c *governancev1.Charter) error {
	var problems []error
	empty := true
	for _, f := range fieldsOf(&governancev1.Charter{}, c) {
		if f.given == 0 {
			continue
		}
		empty = false
		if f.given < f.min || f.given > f.max {
			problems = append(problems, f.outOfBounds())
		}
	}
	problems = append(problems, conflicts(c)...)
	if !slices.Equal(c.GetReadRoles(), []string{NoRoles}) {
		problems = append(problems, checkReadRoles(c.GetReadRoles())...)
	}
	problems = append(problems, checkRules(c.GetRules())...)
	if empty && len(c.GetReadRoles()) == 0 && len(c.GetRules()) == 0 {
		problems = append(problems, errors.New("it changes nothing: set at least one field"))
	}
	return errors.Join(problems...)
}

// conflicts are the numbers of a charter that do not go together. A zero goes with everything.
func conflicts(c *governancev1.Charter) []error {
	var problems []error
	for _, room := range []struct {
		name  string
		bytes uint64
	}{{"max_block_bytes", c.GetMaxBlockBytes()}, {"org_block_bytes", c.GetOrgBlockBytes()}} {
		// Compared so that nothing can overflow, whatever the numbers are.
		if room.bytes != 0 && c.GetMaxTxBytes() != 0 && (room.bytes < TxOverhead || room.bytes-TxOverhead < c.GetMaxTxBytes()) {
			problems = append(problems, fmt.Errorf(
				"%s is %d: it is at least max_tx_bytes, %d, and %d more, so that every transaction fits",
				room.name, room.bytes, c.GetMaxTxBytes(), TxOverhead))
		}
	}
	if c.GetMaxExpirySeconds() != 0 && c.GetLongExpirySeconds() > c.GetMaxExpirySeconds() {
		problems = append(problems, fmt.Errorf("long_expiry_seconds is %d: it is at most max_expiry_seconds, %d",
			c.GetLongExpirySeconds(), c.GetMaxExpirySeconds()))
	}
	// A block is as old as the pause before the next one when that is made; were it stale by then, all blocks would stay empty.
	if least := 2*uint64(c.GetBlockIntervalMs())/1000 + 5; c.GetStaleBlockSeconds() >= 5 && c.GetBlockIntervalMs() != 0 && c.GetStaleBlockSeconds() < least {
		problems = append(problems, fmt.Errorf("stale_block_seconds is %d: it is at least twice block_interval_ms, %d, and 5 seconds more",
			c.GetStaleBlockSeconds(), c.GetBlockIntervalMs()))
	}
	return problems
}

// A field is a number of a charter: what was given, what it may be, and how to set it in another charter.
type field struct {
	name     string
	given    uint64
	min, max uint64
	set      func(uint64)
}

func (f field) outOfBounds() error {
	return fmt.Errorf("%s is %d: it is %d to %d", f.name, f.given, f.min, f.max)
}

// fieldsOf is the one list of the numbers of a charter, in the order of their numbers as fields.
func fieldsOf(to, c *governancev1.Charter) []field {
	u32 := func(p *uint32) func(uint64) { return func(v uint64) { *p = uint32(v) } }
	u64 := func(p *uint64) func(uint64) { return func(v uint64) { *p = v } }
	return []field{
		// A block of 64 KiB is what the engine needs; above 16 MiB it takes too long to reach everybody.
		{"max_block_bytes", c.GetMaxBlockBytes(), 64 * kib, 16 * mib, u64(&to.MaxBlockBytes)},
		// 4 KiB is enough for any one operation but a record with content, and for a vote with 16 signatures.
		{"max_tx_bytes", c.GetMaxTxBytes(), 4 * kib, 4 * mib, u64(&to.MaxTxBytes)},
		{"max_operations", uint64(c.GetMaxOperations()), 1, 1000, u32(&to.MaxOperations)},
		// An account whose threshold takes all of its keys must be able to act, or nobody might be able to vote.
		{"max_signatures", uint64(c.GetMaxSignatures()), accounts.MaxKeys, 256, u32(&to.MaxSignatures)},
		// Clients choose two minutes unless told otherwise.
		{"max_expiry_seconds", c.GetMaxExpirySeconds(), 2 * minute, 30 * day, u64(&to.MaxExpirySeconds)},
		{"long_expiry_seconds", c.GetLongExpirySeconds(), 1 * minute, 30 * day, u64(&to.LongExpirySeconds)},
		{"long_expiries_per_org", uint64(c.GetLongExpiriesPerOrg()), 1, 1_000_000, u32(&to.LongExpiriesPerOrg)},
		// Below a few seconds a busy network under a slow vote would propose empty blocks.
		{"stale_block_seconds", c.GetStaleBlockSeconds(), 5, hour, u64(&to.StaleBlockSeconds)},
		{"block_interval_ms", uint64(c.GetBlockIntervalMs()), 1, 10_000, u32(&to.BlockIntervalMs)},
		// A minute is enough for programs that vote.
		{"voting_period_seconds", c.GetVotingPeriodSeconds(), minute, 365 * day, u64(&to.VotingPeriodSeconds)},
		{"org_block_bytes", c.GetOrgBlockBytes(), 4*kib + TxOverhead, 16 * mib, u64(&to.OrgBlockBytes)},
		{"org_stored_bytes", c.GetOrgStoredBytes(), mib, 1 << 60, u64(&to.OrgStoredBytes)},
		// Fewer and a node that was away for a moment finds nothing to catch up from.
		{"keep_heights", c.GetKeepHeights(), 2, 1_000_000_000, u64(&to.KeepHeights)},
		{"keep_seconds", c.GetKeepSeconds(), 1, 100 * 365 * day, u64(&to.KeepSeconds)},
		{"org_power", c.GetOrgPower(), membership.MinPower, membership.MaxPower, u64(&to.OrgPower)},
		{"org_nodes", uint64(c.GetOrgNodes()), 1, 64, u32(&to.OrgNodes)},
		{"node_key_overlap_seconds", c.GetNodeKeyOverlapSeconds(), 10, 30 * day, u64(&to.NodeKeyOverlapSeconds)},
		{"max_token_seconds", c.GetMaxTokenSeconds(), 10, day, u64(&to.MaxTokenSeconds)},
		{
			"read_access", uint64(c.GetReadAccess()),
			uint64(governancev1.ReadAccess_READ_ACCESS_OPEN), uint64(governancev1.ReadAccess_READ_ACCESS_MEMBERS),
			func(v uint64) { to.ReadAccess = governancev1.ReadAccess(v) },
		},
	}
}

// checkReadRoles checks the roles that may read, in any order.
func checkReadRoles(roles []string) []error {
	if len(roles) > MaxReadRoles {
		return []error{fmt.Errorf("read_roles holds %d roles, at most %d are allowed", len(roles), MaxReadRoles)}
	}
	var problems []error
	for i, role := range roles {
		if err := names.Role(role); err != nil {
			problems = append(problems, fmt.Errorf("read_roles[%d]: %w", i, err))
		} else if slices.Contains(roles[:i], role) {
			problems = append(problems, fmt.Errorf("read_roles[%d]: %s is listed twice", i, role))
		}
	}
	return problems
}

// Limits returns what a charter allows a transaction to be.
func Limits(c *governancev1.Charter) tx.Limits {
	return tx.Limits{Bytes: c.GetMaxTxBytes(), Operations: c.GetMaxOperations(), Signatures: c.GetMaxSignatures()}
}
