package mempool

import (
	"container/heap"
	"container/list"
	"time"

	"github.com/althing-ledger/althing/proto/tx"
)

// entry is a transaction that the pool holds, or still has to see expire. Its fields are guarded by the pool's mutex;
// tx, own, from and expiresAt never change.
type entry struct {
	tx        *tx.Tx // nil for a request to settle
	size      int64  // in a block
	own       bool   // a client of this node handed it in
	from      *source
	expiresAt int64 // nanoseconds since 1970

	line    *line         // of the organisation that pays; nil for a ghost
	element *list.Element // in pending.byCheck; nil for a ghost
	clock   *clock        // that holds it
	place   int           // in clock

	checked uint64    // height of the state that authorised it last
	round   uint64    // call of Recheck that it was authorised after
	seq     uint64    // place in the list of own transactions; 0 if not own
	offerAt time.Time // when peers should be offered it again
	offers  int       // how often they were
	gone    bool      // not pending any more
}

// newerThan reports whether an entry was authorised on a newer state than that of a height, or in a later round.
func (e *entry) newerThan(height, round uint64) bool { return e.checked > height || e.round > round }

// line is what one organisation has pending, oldest first.
type line struct {
	org     string
	entries []*entry // some may be gone
	txs     int
	bytes   int64
	credit  int64 // bytes this organisation was owed at the end of the last block, see Reap
}

// pending is the set of pending transactions with the orders in which it is looked at. It has no lock of its own.
type pending struct {
	byID   map[tx.ID]*entry
	byHash map[[32]byte]*entry
	lines  map[string]*line
	// byCheck holds all of byID, those first that were authorised longest ago.
	byCheck *list.List
	round   uint64 // calls of Recheck
	stale   int    // of byID were authorised in an earlier round
	bytes   int64

	own     []*entry // accepted from clients, by seq; some may be gone
	ownGone int
	lastSeq uint64

	// What is pending, and what is not but must be seen to expire: before its expiry by wall clock in future, from then on,
	// until a block's time has passed it, in overdue if it was accepted once, in asked if it is a request to settle.
	future, overdue, asked clock
	// live counts the pending ones among future.
	live int
	// ghosts are the entries in future and overdue that are not pending but accepted once, by id.
	ghosts map[tx.ID]*entry
	// requests are the entries that stand for a request to settle, by expiry.
	requests map[int64]*entry
}

func newPending() *pending {
	return &pending{
		byID: map[tx.ID]*entry{}, byHash: map[[32]byte]*entry{}, lines: map[string]*line{}, byCheck: list.New(),
		ghosts: map[tx.ID]*entry{}, requests: map[int64]*entry{},
	}
}

// insert adds a transaction whose id is not pending.
func (s *pending) insert(e *entry) {
	if ghost := s.ghosts[e.tx.ID]; ghost != nil {
		s.forget(ghost)
	}
	org := e.tx.PayerOrg
	l := s.lines[org]
	if l == nil {
		l = &line{org: org}
		s.lines[org] = l
	}
	l.entries = append(l.entries, e)
	l.txs++
	l.bytes += int64(len(e.tx.Raw))
	e.line = l
	s.bytes += int64(len(e.tx.Raw))
	s.byID[e.tx.ID] = e
	s.byHash[e.tx.Hash] = e
	if e.round < s.round {
		s.stale++
	}
	if older := s.checkedBefore(e.checked, e.round); older != nil {
		e.element = s.byCheck.InsertAfter(e, older)
	} else {
		e.element = s.byCheck.PushFront(e)
	}
	if e.own {
		s.lastSeq++
		e.seq = s.lastSeq
		s.own = append(s.own, e)
	}
	s.wait(e, &s.future)
}

// checkedBefore returns the last element of byCheck that was not authorised on a newer state than that of a height, nor in a later
// round; nil if there is none. It looks from the end, where nearly everything belongs.
func (s *pending) checkedBefore(height, round uint64) *list.Element {
	el := s.byCheck.Back()
	for el != nil && el.Value.(*entry).newerThan(height, round) {
		el = el.Prev()
	}
	return el
}

// remove takes a pending transaction out of everything but, if haunt is set, the wait for its expiry.
func (s *pending) remove(e *entry, haunt bool) {
	e.gone = true
	delete(s.byID, e.tx.ID)
	delete(s.byHash, e.tx.Hash)
	s.byCheck.Remove(e.element)
	if e.round < s.round {
		s.stale--
	}
	s.bytes -= int64(len(e.tx.Raw))
	l := e.line
	l.txs--
	l.bytes -= int64(len(e.tx.Raw))
	if l.txs == 0 {
		delete(s.lines, l.org)
	} else if len(l.entries) > 2*l.txs+16 {
		l.entries = present(l.entries, l.txs)
	}
	if e.own {
		s.ownGone++
		if len(s.own) > 2*(len(s.own)-s.ownGone)+16 {
			s.own = present(s.own, len(s.own)-s.ownGone)
			s.ownGone = 0
		}
	}
	if e.clock == &s.future {
		s.live--
	}
	e.line, e.element = nil, nil
	if haunt && len(s.ghosts) < maxGhosts {
		s.ghosts[e.tx.ID] = e
		return
	}
	e.clock.remove(e)
}

// present returns a copy of entries without those that are gone.
func present(entries []*entry, n int) []*entry {
	kept := make([]*entry, 0, n)
	for _, e := range entries {
		if !e.gone {
			kept = append(kept, e)
		}
	}
	return kept
}

// wait puts an entry into the clock from which it will be seen to expire.
func (s *pending) wait(e *entry, c *clock) {
	if e.clock != nil {
		e.clock.remove(e)
	}
	heap.Push(c, e)
	e.clock = c
	if e.tx != nil && !e.gone {
		if c == &s.future {
			s.live++
		}
	}
}

// pass moves what has expired by wall clock from future to overdue and asked.
func (s *pending) pass(now int64) {
	for len(s.future) > 0 && s.future[0].expiresAt <= now {
		e := s.future[0]
		if e.tx == nil {
			s.wait(e, &s.asked)
			continue
		}
		if !e.gone {
			s.live--
		}
		s.wait(e, &s.overdue)
	}
}

// expire removes everything that no block can hold any more, now that one with the given time is committed, and returns
// the ids.
func (s *pending) expire(blockTime int64) (ids []tx.ID) {
	for _, c := range []*clock{&s.overdue, &s.asked, &s.future} {
		for len(*c) > 0 && (*c)[0].expiresAt <= blockTime {
			e := (*c)[0]
			switch {
			case e.tx == nil:
				delete(s.requests, e.expiresAt)
				c.remove(e)
			case e.gone:
				ids = append(ids, e.tx.ID)
				s.forget(e)
			default:
				ids = append(ids, e.tx.ID)
				s.remove(e, false)
			}
		}
	}
	return ids
}

// forget removes a ghost.
func (s *pending) forget(e *entry) {
	delete(s.ghosts, e.tx.ID)
	e.clock.remove(e)
}

// clock is a heap of entries, the one that expires first on top.
type clock []*entry

func (c clock) Len() int           { return len(c) }
func (c clock) Less(i, j int) bool { return c[i].expiresAt < c[j].expiresAt }
func (c clock) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].place, c[j].place = i, j
}

// Push implements heap.Interface.
func (c *clock) Push(x any) {
	e := x.(*entry)
	e.place = len(*c)
	*c = append(*c, e)
}

// Pop implements heap.Interface.
func (c *clock) Pop() any {
	last := len(*c) - 1
	e := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	return e
}

// last returns the latest expiry in nanoseconds since 1970, 0 if there is none.
func (c clock) last() (expiresAt int64) {
	for _, e := range c {
		expiresAt = max(expiresAt, e.expiresAt)
	}
	return expiresAt
}

func (c *clock) remove(e *entry) {
	heap.Remove(c, e.place)
	e.clock = nil
}
