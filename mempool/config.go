package mempool

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// MaxTxBytes is the size of the largest transaction that the protocol has room for, in bytes. A charter may allow less,
// never more: the size of gossip messages hangs on it.
const MaxTxBytes = 4 << 20

// Config is what a [Pool] needs. Functions are called from many goroutines at once and without any lock of the pool held.
type Config struct {
	// Verifier decodes and verifies. Required; the state machine should use the same one.
	Verifier *Verifier
	// Limits returns the bounds on transactions that are in force now. Required.
	Limits func() tx.Limits
	// Authorize judges a transaction against the newest state. It returns nil, a [*tx.Rejection], or any other error, which
	// is a failure of the machine: Submit returns it as it is, and Run ends with it. Required.
	Authorize func(*tx.Tx) error
	// Committed reports whether the id stands in the index of committed transactions; expiresAt is the expiry of the
	// transaction that has it, in nanoseconds since 1970. It must say so before [Pool.Commit] is called for the block. An error
	// is a failure of the machine, as with Authorize. Required.
	Committed func(id tx.ID, expiresAt int64) (bool, error)
	// Dropped hears of pending transactions that this node gives up without a block having decided: what [Pool.Reap],
	// [Pool.Discard] or [Pool.Ban] removed, and what is not authorised any more. Another node may still hold them. Must not
	// block. May be nil.
	Dropped func(id tx.ID, reason error)

	// MaxTxs and MaxBytes bound what is pending. Defaults 100,000 and 256 MiB. Clients are turned away long before, when more
	// is pending than blocks take in a second and a half, and at least 4,096.
	MaxTxs   int
	MaxBytes int64
	// MaxTxsPerOrg and MaxBytesPerOrg bound what one paying organisation may have pending. Whatever they say, no
	// organisation may hold more than is still free, so that the last room is never taken. Defaults 25,000 and 64 MiB.
	MaxTxsPerOrg   int
	MaxBytesPerOrg int64
	// QueueTxs and QueueBytes bound the arrivals that wait for verification or are being verified, for clients and for peers
	// separately. Clients get less when verification is slow: what it can do in a second, but at least 3,072. One client or
	// peer alone gets half, for one organisation a third. Defaults 16,384 and 32 MiB.
	QueueTxs   int
	QueueBytes int64
	// QuarantineTxs is how many transactions [Pool.Ban] remembers, for ten minutes each. Default 16,384.
	QuarantineTxs int

	// BatchTxs is how many arrivals are verified together at most. Default 1,024.
	BatchTxs int
	// BatchPace is the least time between the beginnings of two batches, unless one is full. It makes batches under load
	// and delays nothing on an idle node. Default 20 ms; negative: none.
	BatchPace time.Duration

	// MaxExpiry returns how far ahead an expiry may lie. Default: a day.
	MaxExpiry func() time.Duration
	// StaleBlock returns how old the newest block may be for the next one to hold transactions. Default: 30 s.
	StaleBlock func() time.Duration
	// Now is the wall clock. Default: time.Now.
	Now func() time.Time
	// Height and BlockTime are those of the newest block when the pool is made. Zero if there is none.
	Height    uint64
	BlockTime time.Time
	// Logger receives what peers do wrong and what is dropped. Default: none.
	Logger *slog.Logger
}

func (c Config) withDefaults() Config {
	count := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	size := func(v *int64, d int64) {
		if *v == 0 {
			*v = d
		}
	}
	count(&c.MaxTxs, 100_000)
	count(&c.MaxTxsPerOrg, 25_000)
	count(&c.QueueTxs, 16_384)
	count(&c.QuarantineTxs, 16_384)
	count(&c.BatchTxs, 1024)
	size(&c.MaxBytes, 256<<20)
	size(&c.MaxBytesPerOrg, 64<<20)
	size(&c.QueueBytes, 32<<20)
	if c.BatchPace == 0 {
		c.BatchPace = 20 * time.Millisecond
	}
	if c.MaxExpiry == nil {
		c.MaxExpiry = func() time.Duration { return 24 * time.Hour }
	}
	if c.StaleBlock == nil {
		c.StaleBlock = func() time.Duration { return 30 * time.Second }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Dropped == nil {
		c.Dropped = func(tx.ID, error) {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Validate reports all problems at once, as an error that is [ErrInvalidConfig].
func (c Config) Validate() error {
	var errs []error
	missing := func(name string, is bool) {
		if is {
			errs = append(errs, fmt.Errorf("%s is missing", name))
		}
	}
	missing("Verifier", c.Verifier == nil)
	missing("Limits", c.Limits == nil)
	missing("Authorize", c.Authorize == nil)
	missing("Committed", c.Committed == nil)
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"MaxTxs", int64(c.MaxTxs)}, {"MaxBytes", c.MaxBytes},
		{"MaxTxsPerOrg", int64(c.MaxTxsPerOrg)}, {"MaxBytesPerOrg", c.MaxBytesPerOrg},
		{"QueueTxs", int64(c.QueueTxs)}, {"QueueBytes", c.QueueBytes},
		{"QuarantineTxs", int64(c.QuarantineTxs)}, {"BatchTxs", int64(c.BatchTxs)},
	} {
		if bound.value < 0 {
			errs = append(errs, fmt.Errorf("%s is %d, want a positive number or 0 for the default", bound.name, bound.value))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
	}
	return nil
}
