package app

import (
	"sync"
	"time"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// Executed is a committed block as it was executed. It is shared: nobody may change it.
type Executed struct {
	Time     time.Time
	Txs      [][]byte
	Outcomes []*ledgerv1.TxOutcome // one for each of Txs, in their order
}

// recentBlocks is how many blocks are remembered: who follows them has usually seen each before the next is committed.
const recentBlocks = 3

// recent remembers the newest blocks, for whoever would otherwise read at once what has just been written.
type recent struct {
	mu     sync.Mutex
	newest uint64 // height
	blocks [recentBlocks]*Executed
}

// add remembers the block of a height, which becomes the newest.
func (r *recent) add(height uint64, at time.Time, txs [][]byte, outcomes []outcome) {
	block := &Executed{Time: at.UTC(), Txs: txs, Outcomes: make([]*ledgerv1.TxOutcome, len(outcomes))}
	for i, o := range outcomes {
		block.Outcomes[i] = o.TxOutcome
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.newest = height
	r.blocks[height%recentBlocks] = block
}

// find returns the block of a height, nil if it is not remembered.
func (r *recent) find(height uint64) *Executed {
	r.mu.Lock()
	defer r.mu.Unlock()
	if height > r.newest || height+recentBlocks <= r.newest {
		return nil
	}
	return r.blocks[height%recentBlocks]
}

// Recent returns a block that was committed just now, nil for any other one: the newest few since the start are remembered.
func (a *App) Recent(height uint64) *Executed { return a.recent.find(height) }
