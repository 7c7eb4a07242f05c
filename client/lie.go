package client

import (
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// How long a node is not asked after it was caught lying: longer each time that it is caught again.
const (
	shortestDistrust = 5 * time.Second
	longestDistrust  = 5 * time.Minute
)

// Lie says that a node's answer contradicts the ledger, the question, or its own proof. Nothing of the answer was used. It need
// not be malice: a bug, a broken disk or a half-restored backup look the same from here.
type Lie struct {
	// Node is its name, or `node` where it has none, and Address where it was asked.
	Node, Address string
	// Method is what it was asked: `/althing.assets.v1.AssetsService/GetBalance`.
	Method string
	// What is wrong, for people, in a few words.
	What string
	// Err says it in detail, where there is more to say; else nil.
	Err error
}

func (e *Lie) Error() string {
	text := fmt.Sprintf("%v: %s (%s) to %s: %s", ErrLie, e.Node, e.Address, e.Method, e.What)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is reports whether target is [ErrLie].
func (e *Lie) Is(target error) bool { return target == ErrLie }

// Unwrap returns what is wrong in detail.
func (e *Lie) Unwrap() error { return e.Err }

// GRPCStatus returns DATA_LOSS: what came cannot be used.
func (e *Lie) GRPCStatus() *status.Status { return status.New(codes.DataLoss, e.Error()) }

// distrust is what a client remembers of a node that lied to it.
type distrust struct {
	mu    sync.Mutex
	last  *Lie          // the newest; nil for a node that has not lied since it last told the truth
	pause time.Duration // how long it was not asked after that
	until time.Time
}

// now returns the lie for which the node is not asked at present, or nil.
func (d *distrust) now() *Lie {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil || !time.Now().Before(d.until) {
		return nil
	}
	return d.last
}

func (d *distrust) caught(lie *Lie) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pause = min(max(2*d.pause, shortestDistrust), longestDistrust)
	d.last, d.until = lie, time.Now().Add(d.pause)
}

// cleared forgets the lies of a node that has told the truth again, once the time is over in which it is not asked: an answer
// that was under way when it was caught clears nothing.
func (d *distrust) cleared() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil && !time.Now().Before(d.until) {
		d.last, d.pause = nil, 0
	}
}

// blame makes the error of an answer that is not true, tells the one who wants to know, and leaves the node alone for a while.
func (p *pool) blame(n *node, method, what string, err error) error {
	lie := &Lie{Node: n.label(), Address: n.GRPC, Method: method, What: what, Err: err}
	n.distrust.caught(lie)
	if p.onLie != nil {
		p.onLie(lie)
	}
	return lie
}
