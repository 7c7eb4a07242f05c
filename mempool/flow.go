package mempool

import "container/heap"

// arrivalCost is what verifying an arrival takes apart from what its bytes take, in bytes.
const arrivalCost = 1024

// flow is a line of arrivals, or several flows that take turns. The queue is a tree of them: everything, the two lanes, in
// each lane a flow per source, and in each of those a line per organisation. It is not safe for concurrent use.
//
// Turns are taken by self-clocked fair queueing: an arrival is due when its flow's clock shows what the flow has used so
// far plus what the arrival costs, and the one that is due first is next. The clock shows when what went last was due, and
// whoever had nothing waiting begins there: nobody saves turns while away, and nobody overtakes for ever by coming anew.
type flow struct {
	parent *flow
	name   string
	parts  map[string]*flow // by name, those that hold anything; nil for a line
	turns  turns            // those of parts that have something waiting
	clock  int64            // when what went last was due, in bytes
	order  uint64           // of the last place in turns that was given out
	line   []*arrival       // what waits, oldest first; only in a line

	txs     int // that wait or are being verified
	bytes   int64
	waiting int // of txs

	used  int64  // by the clock of parent
	due   int64  // by the clock of parent, while something waits
	since uint64 // order in which this place was taken, between those that are due together
	place int    // in parent's turns, -1 if nothing waits
}

func newFlow(parent *flow, name string) *flow {
	return &flow{parent: parent, name: name, parts: map[string]*flow{}, place: -1}
}

// part returns the flow of a name, which is made if it holds nothing; leaf says whether that is a line.
func (f *flow) part(name string, leaf bool) *flow {
	p := f.parts[name]
	if p == nil {
		p = newFlow(f, name)
		if leaf {
			p.parts = nil
		}
		f.parts[name] = p
	}
	return p
}

// push puts an arrival at the end of a line.
func (f *flow) push(a *arrival) {
	f.line = append(f.line, a)
	for ; f != nil; f = f.parent {
		f.txs++
		f.bytes += int64(len(a.raw))
		f.waiting++
		f.update()
	}
}

// first returns what is next. Something must be waiting.
func (f *flow) first() *arrival {
	for f.parts != nil {
		f = f.turns[0]
	}
	return f.line[0]
}

// pop takes out what is next. It still counts until it is released.
func (f *flow) pop() arrival {
	for f.parts != nil {
		f = f.turns[0]
	}
	a := f.line[0]
	f.line[0] = nil // it must not live as long as the array
	f.line = f.line[1:]
	for ; f != nil; f = f.parent {
		f.waiting--
		if p := f.parent; p != nil {
			f.used += a.cost()
			p.clock = max(p.clock, f.used)
			p.order++
			f.since = p.order
		}
		f.update()
	}
	return *a
}

// empty takes out everything that waits in a line, released already.
func (f *flow) empty() []*arrival {
	all := f.line
	f.line = nil
	for g := f; g != nil; g = g.parent {
		g.waiting -= len(all)
		g.update()
	}
	for _, a := range all {
		f.release(len(a.raw))
	}
	return all
}

// release gives back the room of an arrival of a line. A flow that holds nothing is forgotten.
func (f *flow) release(size int) {
	for ; f != nil; f = f.parent {
		f.txs--
		f.bytes -= int64(size)
		if f.txs == 0 && f.parent != nil {
			delete(f.parent.parts, f.name)
		}
	}
}

// update finds the flow's place among those it takes turns with, after something has come or gone.
func (f *flow) update() {
	p := f.parent
	switch {
	case p == nil:
	case f.waiting == 0:
		if f.place >= 0 {
			heap.Remove(&p.turns, f.place)
		}
	case f.place < 0:
		f.used = p.clock
		f.due = f.used + f.first().cost()
		p.order++
		f.since = p.order
		heap.Push(&p.turns, f)
	default:
		f.due = f.used + f.first().cost()
		heap.Fix(&p.turns, f.place)
	}
}

// turns is a heap of flows, the one that is due first on top.
type turns []*flow

func (t turns) Len() int { return len(t) }
func (t turns) Less(i, j int) bool {
	if t[i].due != t[j].due {
		return t[i].due < t[j].due
	}
	return t[i].since < t[j].since
}
func (t turns) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].place, t[j].place = i, j
}

// Push implements heap.Interface.
func (t *turns) Push(x any) {
	f := x.(*flow)
	f.place = len(*t)
	*t = append(*t, f)
}

// Pop implements heap.Interface.
func (t *turns) Pop() any {
	last := len(*t) - 1
	f := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	f.place = -1
	return f
}
