package governance

import (
	"errors"
	"fmt"

	governancev1 "github.com/althing-ledger/althing/proto/gen/althing/governance/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

const (
	kib = 1 << 10
	mib = 1 << 20

	minute = 60
	hour   = 60 * minute
	day    = 24 * hour
)

// TxOverhead is what a block adds to the bytes of a transaction at most: the tag and the length that stand before it.
const TxOverhead = 8

// Defaults returns the charter of a network whose genesis document says nothing else.
func Defaults() *governancev1.Charter {
	return &governancev1.Charter{
		MaxBlockBytes:      4 * mib,
		MaxTxBytes:         256 * kib,
		MaxOperations:      100,
		MaxSignatures:      64,
		MaxExpirySeconds:   day,
		LongExpirySeconds:  10 * minute,
		LongExpiriesPerOrg: 10_000,
		StaleBlockSeconds:  30,
		BlockIntervalMs:    200,
	}
}

// WithDefaults returns a copy of c, which may be nil, in which every zero is the default.
func WithDefaults(c *governancev1.Charter) *governancev1.Charter {
	full := Defaults()
	for _, f := range fieldsOf(full, c) {
		if f.given != 0 {
			f.set(f.given)
		}
	}
	return full
}

// Validate reports all problems of a complete charter at once.
func Validate(c *governancev1.Charter) error {
	var problems []error
	for _, f := range fieldsOf(&governancev1.Charter{}, c) {
		if f.given < f.min || f.given > f.max {
			problems = append(problems, fmt.Errorf("%s is %d: it is %d to %d", f.name, f.given, f.min, f.max))
		}
	}
	// Compared so that nothing can overflow, whatever the numbers are.
	if c.GetMaxBlockBytes() < TxOverhead || c.GetMaxBlockBytes()-TxOverhead < c.GetMaxTxBytes() {
		problems = append(problems, fmt.Errorf(
			"max_block_bytes is %d: it is at least max_tx_bytes and %d, %d here, so that every transaction fits",
			c.GetMaxBlockBytes(), TxOverhead, c.GetMaxTxBytes()+TxOverhead))
	}
	if c.GetLongExpirySeconds() > c.GetMaxExpirySeconds() {
		problems = append(problems, fmt.Errorf("long_expiry_seconds is %d: it is at most max_expiry_seconds, %d",
			c.GetLongExpirySeconds(), c.GetMaxExpirySeconds()))
	}
	return errors.Join(problems...)
}

// A field of a charter: what was given, what it may be, and how to set it in another charter.
type field struct {
	name     string
	given    uint64
	min, max uint64
	set      func(uint64)
}

// fieldsOf is the one list of the fields of a charter, in the order of their numbers.
func fieldsOf(to, c *governancev1.Charter) []field {
	u32 := func(p *uint32) func(uint64) { return func(v uint64) { *p = uint32(v) } }
	u64 := func(p *uint64) func(uint64) { return func(v uint64) { *p = v } }
	return []field{
		// A block of 64 KiB is what the engine needs; above 16 MiB it takes too long to reach everybody.
		{"max_block_bytes", c.GetMaxBlockBytes(), 64 * kib, 16 * mib, u64(&to.MaxBlockBytes)},
		// 4 KiB is enough for any one operation but a record with content.
		{"max_tx_bytes", c.GetMaxTxBytes(), 4 * kib, 4 * mib, u64(&to.MaxTxBytes)},
		{"max_operations", uint64(c.GetMaxOperations()), 1, 1000, u32(&to.MaxOperations)},
		// One operation can need two accounts and a payer, with all their keys.
		{"max_signatures", uint64(c.GetMaxSignatures()), 1, 256, u32(&to.MaxSignatures)},
		// Clients choose two minutes unless told otherwise.
		{"max_expiry_seconds", c.GetMaxExpirySeconds(), 2 * minute, 30 * day, u64(&to.MaxExpirySeconds)},
		{"long_expiry_seconds", c.GetLongExpirySeconds(), 1 * minute, 30 * day, u64(&to.LongExpirySeconds)},
		{"long_expiries_per_org", uint64(c.GetLongExpiriesPerOrg()), 1, 1_000_000, u32(&to.LongExpiriesPerOrg)},
		// Below a few seconds a busy network under a slow vote would propose empty blocks.
		{"stale_block_seconds", c.GetStaleBlockSeconds(), 5, hour, u64(&to.StaleBlockSeconds)},
		{"block_interval_ms", uint64(c.GetBlockIntervalMs()), 1, 10_000, u32(&to.BlockIntervalMs)},
	}
}

// Limits returns what a charter allows a transaction to be.
func Limits(c *governancev1.Charter) tx.Limits {
	return tx.Limits{Bytes: c.GetMaxTxBytes(), Operations: c.GetMaxOperations(), Signatures: c.GetMaxSignatures()}
}
