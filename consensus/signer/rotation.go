package signer

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Holder is who has the keys: [Local] or [Remote]. Its methods are called from several goroutines.
type Holder interface {
	PublicKeys() [][]byte
	Sign(publicKey, message []byte) (signature []byte, at time.Time, err error)
	// Expect says that the ledger lists this key, so that it is there when it shall vote. It is called while a block is
	// committed and must not wait for a network. The error is [ErrUnknownKey] if there is no such key.
	Expect(publicKey []byte) error
	// Keep destroys the key before this one, which votes from a height on, and keeps one that was prepared to follow
	// it. Doing it again does nothing.
	Keep(ctx context.Context, publicKey []byte, from int64) error
	Run(ctx context.Context) error
	Close() error
}

// The pause before destroying a key is tried again, which doubles each time.
const (
	keepPause    = 500 * time.Millisecond
	maxKeepPause = time.Minute
)

// Rotator is a validator's signer with the policy of its rotation: load the key that the ledger lists, and destroy the one
// before as soon as it has no more to say.
type Rotator struct {
	Holder
	log  *slog.Logger
	wake chan struct{} // capacity 1: due may have changed

	mu      sync.Mutex
	listed  []byte // the key that the ledger lists; nil before the first Rotate
	unknown bool   // it was logged that the listed key is not there
	from    uint64 // the first height that it votes at
	height  uint64 // what the node works on next
	kept    bool   // the keys before it are destroyed
}

// NewRotator wraps a holder, which it closes in Close.
func NewRotator(holder Holder, log *slog.Logger) *Rotator {
	if log == nil {
		log = discard()
	}
	return &Rotator{Holder: holder, log: log, wake: make(chan struct{}, 1)}
}

// Rotate takes notice of the validator key that the ledger lists for this node, of the first height that it votes at, and
// of the height that the node works on next. It is called before the engine starts and with every commit, before that
// returns, so that the key is there when the engine looks for it; nil says that the ledger lists none. It waits for a key file
// at most, once for a key. Run does what takes longer.
func (r *Rotator) Rotate(listed []byte, effective, height uint64) {
	if len(listed) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !bytes.Equal(listed, r.listed) {
		r.listed, r.unknown, r.kept = bytes.Clone(listed), false, false
	}
	r.from, r.height = effective, height
	r.expect()
	if r.due() {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

// due says whether the keys before the listed one have no more to say. The caller holds the lock.
func (r *Rotator) due() bool { return r.listed != nil && !r.unknown && !r.kept && r.height >= r.from }

// expect makes the holder load the listed key, and says so in the log where it cannot. The caller holds the lock.
func (r *Rotator) expect() {
	before := len(r.PublicKeys())
	err := r.Expect(r.listed)
	key := fmt.Sprintf("%x", r.listed)
	switch {
	case err == nil && r.unknown:
		r.unknown = false
		r.log.Info("the validator key that the ledger lists has turned up", "public_key", key)
	case err == nil && before > 0 && len(r.PublicKeys()) > before:
		r.log.Info("the next validator key is at hand", "public_key", key, "votes_from", r.from, "height", r.height)
	case err != nil && !r.unknown:
		r.unknown = true
		r.log.Error("this node does not have the validator key that the ledger lists for it: it will not vote with it",
			"public_key", key, "votes_from", r.from, "err", err)
	}
}

// Run destroys keys that have been replaced, and runs the holder. It returns nil when the context ends.
func (r *Rotator) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return r.Holder.Run(ctx) })
	group.Go(func() error { r.keep(ctx); return nil })
	return group.Wait()
}

// keep waits for a key to destroy and tries until it is done.
func (r *Rotator) keep(ctx context.Context) {
	pause := time.Duration(0)
	for {
		if pause == 0 {
			select {
			case <-ctx.Done():
				return
			case <-r.wake:
			}
		} else {
			timer := time.NewTimer(pause)
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
		}
		switch err := r.keepOnce(ctx); {
		case ctx.Err() != nil:
			return
		case err == nil:
			pause = 0
		default:
			pause = min(max(2*pause, keepPause), maxKeepPause)
			r.log.Warn("the former validator key is not destroyed yet", "err", err, "again_in", pause)
		}
	}
}

// keepOnce destroys what the listed key has replaced. The key in question is the one listed at this moment.
func (r *Rotator) keepOnce(ctx context.Context) error {
	r.mu.Lock()
	listed, from, due := r.listed, r.from, r.due()
	r.mu.Unlock()
	if !due {
		return nil
	}
	if err := r.Keep(ctx, listed, int64(min(from, math.MaxInt64))); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if bytes.Equal(listed, r.listed) {
		r.kept = true
		r.log.Info("the validator key is in its place, and none before it is left", "public_key", fmt.Sprintf("%x", listed), "votes_from", from)
	}
	return nil
}
