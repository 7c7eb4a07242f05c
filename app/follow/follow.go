package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/althing-ledger/althing/state"
)

// While a follower catches up, so many heights, or about so many bytes, share a write.
const (
	batchHeights = 256
	batchBytes   = 1 << 20
)

// Follower keeps something that follows from the blocks.
type Follower interface {
	// Name names its cursor. It never changes.
	Name() string
	// Follow returns what a committed block adds. It may be called again for the same height after a crash. An error that the
	// context has not caused ends the node.
	Follow(ctx context.Context, height uint64) ([]state.LocalWrite, error)
}

// Config says what to follow.
type Config struct {
	Store *state.Store
	// WaitHeight returns when the height is committed, or the context's error.
	WaitHeight func(ctx context.Context, height uint64) error
	// Lag is how many blocks the follower stays behind the newest: 1 for one that needs the next header.
	Lag uint64
	// Oldest returns the oldest height that a follower can be given, 0 where there is no block yet. One that begins on a node
	// whose first blocks are gone begins there. Nil: nothing is ever gone.
	Oldest func() uint64
	// Logger hears where a follower begins that misses the first blocks. Default: none.
	Logger *slog.Logger
}

// Followed is a follower and how far it has got.
type Followed struct {
	cfg      Config
	follower Follower
	first    uint64 // the height it began with

	mu      sync.Mutex
	last    uint64        // the height up to which it has written, first-1 before it began
	changed chan struct{} // closed and replaced whenever last changes
}

// New finds out where a follower stands, and completes a [Drop] that was interrupted. The heights that it has not seen must be
// kept from now on: [Retention].
func New(c Config, f Follower) (*Followed, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if err := finishDrop(c.Store, f.Name()); err != nil {
		return nil, fmt.Errorf("follow blocks for %s: %w", f.Name(), err)
	}
	view := c.Store.Latest()
	defer view.Release()
	reach, err := ReachOf(view, f.Name())
	if err != nil {
		return nil, err
	}
	if reach.First == 0 {
		reach.First = 1
		if c.Oldest != nil {
			reach.First = max(1, c.Oldest())
		}
		reach.Last = reach.First - 1
		if reach.First > 1 {
			c.Logger.Warn("the first blocks are not kept on this node: what follows from them is missing",
				"follower", f.Name(), "begins", reach.First)
		}
	}
	return &Followed{cfg: c, follower: f, first: reach.First, last: reach.Last, changed: make(chan struct{})}, nil
}

// Run follows until the context ends, and returns nil then. It must be called once.
func (f *Followed) Run(ctx context.Context) error {
	for {
		err := f.cfg.WaitHeight(ctx, f.Needs()+f.cfg.Lag)
		if err == nil {
			err = f.advance(ctx)
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("follow blocks for %s: %w", f.follower.Name(), err)
		}
	}
}

// advance follows what is committed, up to a batch, and writes it.
func (f *Followed) advance(ctx context.Context) error {
	first, newest := f.Needs(), f.cfg.Store.Height()
	var writes []state.LocalWrite
	height, size := first, 0
	for ; height+f.cfg.Lag <= newest && height < first+batchHeights && size < batchBytes; height++ {
		more, err := f.follower.Follow(ctx, height)
		if err != nil {
			return fmt.Errorf("block %d: %w", height, err)
		}
		for _, w := range more {
			size += len(w.Key) + len(w.Value)
		}
		writes = append(writes, more...)
	}
	if height == first {
		return errors.New("the height that was waited for is not in the store")
	}
	reach := Reach{First: f.first, Last: height - 1}
	writes = append(writes, state.LocalWrite{Key: cursorKey(f.follower.Name()), Value: reach.encode()})
	if err := f.cfg.Store.SetLocal(writes, false); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = reach.Last
	close(f.changed)
	f.changed = make(chan struct{})
	return nil
}

// Name returns the follower's name.
func (f *Followed) Name() string { return f.follower.Name() }

// First returns the height that the follower began with: 1, unless the blocks before were gone.
func (f *Followed) First() uint64 { return f.first }

// Height returns the height up to which the follower has got, 0 before it began.
func (f *Followed) Height() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.last < f.first {
		return 0
	}
	return f.last
}

// Needs returns the lowest height that the follower has not seen: it and all that follow must be kept.
func (f *Followed) Needs() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last + 1
}

// Wait returns when the follower has got to a height: views opened from then on show what it has written. Else it returns the
// context's error.
func (f *Followed) Wait(ctx context.Context, height uint64) error {
	for {
		f.mu.Lock()
		last, changed := f.last, f.changed
		f.mu.Unlock()
		if last >= height {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Run follows until the context ends, for a follower that nobody asks how far it has got and that needs no block to be kept.
func Run(ctx context.Context, c Config, f Follower) error {
	followed, err := New(c, f)
	if err != nil {
		return err
	}
	return followed.Run(ctx)
}

// Retention knows which heights followers still need. The zero value knows of none.
type Retention struct {
	mu       sync.Mutex
	followed []*Followed
}

// Add counts a follower in. It is called before the first block is committed.
func (r *Retention) Add(f *Followed) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.followed = append(r.followed, f)
}

// Lowest returns the lowest height that a follower still needs, 0 where there is none.
func (r *Retention) Lowest() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	lowest := uint64(0)
	for _, f := range r.followed {
		if needs := f.Needs(); lowest == 0 || needs < lowest {
			lowest = needs
		}
	}
	return lowest
}
