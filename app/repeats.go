package app

import (
	"encoding/binary"
	"maps"
	"math"
	"sync"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// repeats knows in memory which transactions are surely not in the index: nearly all that are asked about are new, and each is
// asked about several times. It holds the first bytes of the ids of all committed transactions that have not expired, by the
// minute of their expiry, which the body fixes with the id. It may know of a block before the views show it, never after.
type repeats struct {
	mu      sync.RWMutex
	time    int64 // of the newest block: what has expired by then is forgotten
	minutes map[int64]map[uint32]struct{}
}

func minuteOf(nanoseconds int64) int64 { return nanoseconds / int64(time.Minute) }

// short returns what is kept of an id. Of ten million of them one in four hundred new ids meets one by chance, and costs a look into the index.
func short(id tx.ID) uint32 { return binary.BigEndian.Uint32(id[:]) }

// loadRepeats reads what a state remembers.
func loadRepeats(view *state.View) (*repeats, error) {
	r := &repeats{minutes: map[int64]map[uint32]struct{}{}}
	if view.Height() == 0 {
		r.time = math.MinInt64
		return r, nil
	}
	r.time = view.BlockTime().UnixNano()
	_, end := keyspace.PrefixRange(keyspace.Key(keyspace.PrefixBlockIDs))
	var heights []uint64
	err := view.Scan(idsKey(r.time, 0), end, func(key, _ []byte) (bool, error) {
		heights = append(heights, binary.BigEndian.Uint64(key[9:]))
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	for _, height := range heights {
		ids, err := indexedIDs(view, height)
		if err != nil {
			return nil, err
		}
		for _, known := range ids {
			r.add(known.id, known.expiresAt)
		}
	}
	return r, nil
}

func (r *repeats) add(id tx.ID, expiresAt int64) {
	if expiresAt <= r.time {
		return
	}
	minute := minuteOf(expiresAt)
	ids := r.minutes[minute]
	if ids == nil {
		ids = map[uint32]struct{}{}
		r.minutes[minute] = ids
	}
	ids[short(id)] = struct{}{}
}

// advance takes over a block that is about to be committed.
func (r *repeats) advance(at int64, outcomes []outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, o := range outcomes {
		if o.admitted {
			r.add(tx.ID(o.Id), o.expiresAt)
		}
	}
	r.time = at
	maps.DeleteFunc(r.minutes, func(minute int64, _ map[uint32]struct{}) bool { return minute < minuteOf(at) })
}

// rulesOut says that no view opened so far shows the transaction. expiresAt must be the one in its body.
func (r *repeats) rulesOut(id tx.ID, expiresAt int64) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if expiresAt <= r.time {
		return false
	}
	_, may := r.minutes[minuteOf(expiresAt)][short(id)]
	return !may
}
