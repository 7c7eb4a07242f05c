package grpcapi

import (
	"fmt"
	"sync"

	"golang.org/x/sync/singleflight"

	"github.com/althing-ledger/althing/proto/blocks"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

const (
	// feedBytes bounds the memory of the blocks that watchers share, and feedBlocks their number.
	feedBytes  = 64 << 20
	feedBlocks = 1024
	// loadsAtOnce bounds the blocks that are read for watchers at a time, so that many that catch up leave the disk to
	// consensus.
	loadsAtOnce = 4
)

// feed hands blocks to the watchers of a node. A block is read and decoded once for all that are near each other; it keeps
// the newest of those that were asked for. It also knows the watchers.
type feed struct {
	loading singleflight.Group
	turns   chan struct{} // holds one token for each block that is being read

	mu       sync.Mutex
	kept     map[uint64]*feedBlock // by height
	bytes    int                   // of those
	watches  map[*watch]func()     // with what ends each
	stopping bool
}

func newFeed() *feed {
	return &feed{turns: make(chan struct{}, loadsAtOnce), kept: make(map[uint64]*feedBlock), watches: make(map[*watch]func())}
}

// feedBlock is a block, and its proof once somebody has asked for it.
type feedBlock struct {
	*blocks.Block
	size int // in memory, estimated

	proving sync.Mutex // over the making of proven
	proven  *proofv1.BlockProof
}

// proof returns the proof of the block, which one of those who ask for it makes. A failure is not remembered.
func (b *feedBlock) proof(prove func() (*proofv1.BlockProof, error)) (*proofv1.BlockProof, error) {
	b.proving.Lock()
	defer b.proving.Unlock()
	if b.proven != nil {
		return b.proven, nil
	}
	var err error
	b.proven, err = prove()
	return b.proven, err
}

// block returns the block of a height. It is loaded by one of those who ask for it at the same time.
func (f *feed) block(height uint64, load func() (*ledgerv1.Block, error)) (*feedBlock, error) {
	if b := f.find(height); b != nil {
		return b, nil
	}
	value, err, _ := f.loading.Do(fmt.Sprint(height), func() (any, error) {
		if b := f.find(height); b != nil {
			return b, nil
		}
		f.turns <- struct{}{}
		defer func() { <-f.turns }()
		loaded, err := load()
		if err != nil {
			return nil, err
		}
		block, err := blocks.New(loaded)
		if err != nil {
			return nil, err
		}
		b := &feedBlock{Block: block, size: block.Size()}
		f.keep(b)
		return b, nil
	})
	if err != nil {
		return nil, err
	}
	return value.(*feedBlock), nil
}

func (f *feed) find(height uint64) *feedBlock {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept[height]
}

// keep remembers a block and forgets the oldest ones beyond the bounds, which may be this one.
func (f *feed) keep(b *feedBlock) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[b.Height] = b
	f.bytes += b.size
	for f.bytes > feedBytes || len(f.kept) > feedBlocks {
		oldest := b
		for _, other := range f.kept {
			if other.Height < oldest.Height {
				oldest = other
			}
		}
		delete(f.kept, oldest.Height)
		f.bytes -= oldest.size
		if oldest == b {
			return
		}
	}
}

// enter lists a watch, and what ends it, until leave is called.
func (f *feed) enter(w *watch, end func()) (leave func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watches[w] = end
	if f.stopping {
		end()
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.watches, w)
	}
}

// stop ends all watches, and those that come later at once.
func (f *feed) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopping = true
	for _, end := range f.watches {
		end()
	}
}

// lag returns how many watches there are, and how many blocks up to a height the slowest of them has still to be sent.
func (f *feed) lag(height uint64) (count int, most uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for w := range f.watches {
		if next := w.height.Load(); next > 0 && next <= height {
			most = max(most, height+1-next)
		}
	}
	return len(f.watches), most
}
