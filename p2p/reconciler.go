package p2p

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// Mesh is the set of live connections of one node. The consensus package implements it
// over the engine's switch. Methods are called from several goroutines at once.
type Mesh interface {
	// Connected returns the peers whose connections are up, in any order. The slice belongs
	// to the caller.
	Connected() []Peer
	// Dial opens an authenticated connection to the node with this id at this address. It
	// blocks until the handshake has succeeded or failed, at most for some seconds, and
	// returns nil as well when such a connection is up already.
	Dial(ctx context.Context, id string, address netip.AddrPort) error
	// Disconnect closes the connection to a peer, if there is one.
	Disconnect(id string)
}

// Peer is one live connection.
type Peer struct {
	// ID is the authenticated node id of the other side.
	ID string
	// Address is the remote end of the connection, host:port.
	Address string
}

// ReconcilerConfig says what a [Reconciler] works on. The first three fields are required.
type ReconcilerConfig struct {
	// Self is the id that this node runs under, the present or the former one of its member.
	// That member is never dialled; its present id is the tie-breaker for who dials.
	Self string
	// Registry is the list to follow.
	Registry *Registry
	// Mesh opens and closes the connections.
	Mesh Mesh
	// Logger receives connections lost, members unreachable and evictions. Default: none.
	Logger *slog.Logger
	// Grace is how long the node with the higher id waits for the other one to dial first.
	// Default 1.5 s.
	Grace time.Duration
	// MinBackoff and MaxBackoff bound the pause after a failed dial, which doubles from the
	// first to the second and is then jittered by a quarter. Defaults 100 ms and 3 s.
	MinBackoff, MaxBackoff time.Duration
	// Settled is how long a connection must have lasted to count as a success; one that ends
	// sooner is a failed dial, or a member that refuses us would be dialled in a tight
	// loop. Default 5 s.
	Settled time.Duration
	// LookupNetIP resolves a host name. Default: the system's resolver.
	LookupNetIP func(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Counters counts what a reconciler has done since it was made.
type Counters struct {
	Dials        uint64 // dials begun
	DialFailures uint64 // dials that did not end in a connection
	Evictions    uint64 // connections closed because the peer is not listed
}

// Eviction is a connection that was closed because its peer is not listed.
type Eviction struct {
	ID        string
	Name, Org string // as last listed, empty if it never was
	Reason    string
	At        time.Time
}

// maxEvictions is how many evictions are remembered.
const maxEvictions = 100

// maxDials bounds the dials under way at the same time.
const maxDials = 16

// maxResolved bounds how many of a name's addresses one dial tries.
const maxResolved = 4

// Reconciler makes a [Mesh] equal to a [Registry]. Make one with [NewReconciler] and
// give it a goroutine with Run.
type Reconciler struct {
	cfg  ReconcilerConfig
	wake chan struct{} // capacity 1

	dials, failures, evictions atomic.Uint64

	mu      sync.Mutex
	evicted []Eviction // oldest first, at most maxEvictions

	// The rest belongs to the goroutine of Run.
	links   map[string]*link // by the member's present id
	self    string           // the present id of this node's member
	dialing int
	done    chan dialResult
}

// link is what the reconciler remembers about one member.
type link struct {
	member   Member // as last listed
	seen     bool   // listed in this pass
	moved    bool   // its addresses changed while a dial to an old one was under way
	up       bool
	upSince  time.Time
	dialing  bool
	attempts int       // failures since the last settled connection
	next     time.Time // not dialled before; zero when there is no appointment yet
}

type dialResult struct {
	id  string
	err error
}

// errNoAddress is the failure of a dial whose names resolve to nothing.
var errNoAddress = errors.New("none of its names resolve to an address")

// NewReconciler returns a reconciler that does nothing until it is run.
func NewReconciler(cfg ReconcilerConfig) *Reconciler {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	setDefault(&cfg.Grace, 1500*time.Millisecond)
	setDefault(&cfg.MinBackoff, 100*time.Millisecond)
	setDefault(&cfg.MaxBackoff, 3*time.Second)
	setDefault(&cfg.Settled, 5*time.Second)
	if cfg.LookupNetIP == nil {
		cfg.LookupNetIP = net.DefaultResolver.LookupNetIP
	}
	return &Reconciler{
		cfg:   cfg,
		wake:  make(chan struct{}, 1),
		links: make(map[string]*link),
		done:  make(chan dialResult, maxDials),
	}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d == 0 {
		*d = value
	}
}

// Wake asks for a pass soon. The mesh calls it when a connection has come up or gone
// down. It never blocks.
func (r *Reconciler) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Counters returns what the reconciler has done so far.
func (r *Reconciler) Counters() Counters {
	return Counters{
		Dials:        r.dials.Load(),
		DialFailures: r.failures.Load(),
		Evictions:    r.evictions.Load(),
	}
}

// Evictions returns the newest evictions, oldest first. Counters has their total.
func (r *Reconciler) Evictions() []Eviction {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.evicted)
}

// Run reconciles until the context ends, waits for the dials under way and returns nil.
// It must be called once.
func (r *Reconciler) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		list, changed := r.cfg.Registry.watch()
		next := r.pass(ctx, list, time.Now())
		timer.Reset(time.Until(next))
		select {
		case <-ctx.Done():
			for ; r.dialing > 0; r.dialing-- {
				<-r.done
			}
			return nil
		case <-changed:
		case <-r.wake:
		case <-timer.C:
		case result := <-r.done:
			r.finished(result, time.Now())
		}
	}
}

// pass compares the mesh with the list once, acts, and returns when the next pass is due
// if nothing happens before. Evictions come first: they wait for nothing.
func (r *Reconciler) pass(ctx context.Context, list *membership, now time.Time) time.Time {
	connected := r.evict(list, now)
	r.self = r.cfg.Self
	if i, ok := list.byID[r.self]; ok {
		r.self = list.list[i].ID
	}
	for _, l := range r.links {
		l.seen = false
	}
	for _, m := range list.list {
		l := r.link(m.ID)
		if !slices.Equal(l.member.Addresses, m.Addresses) && l.member.ID != "" {
			r.moved(l, now)
		}
		l.member, l.seen = m, true
	}

	// The fallback bounds what a missed wake-up can cost.
	due := now.Add(r.cfg.MaxBackoff)
	for id, l := range r.links {
		if !l.seen {
			if !l.dialing {
				delete(r.links, id)
			}
			continue
		}
		if connected[id] {
			if former := l.member.FormerID; connected[former] {
				r.cfg.Logger.Info("closing a connection under a former key", "peer", former,
					"name", l.member.Name, "org", l.member.Org)
				r.cfg.Mesh.Disconnect(former)
			}
		}
		if connected[id] || connected[l.member.FormerID] {
			if !l.up {
				l.up, l.upSince, l.next = true, now, time.Time{}
			}
			continue
		}
		if l.member.has(r.cfg.Self) || l.dialing || len(l.member.Addresses) == 0 {
			continue
		}
		if l.up {
			r.lost(l, now)
		}
		if l.next.IsZero() {
			l.next = now.Add(r.firstPause(id))
		}
		if l.next.After(now) {
			if l.next.Before(due) {
				due = l.next
			}
			continue
		}
		if r.dialing < maxDials { // otherwise the next dial that ends brings us back here
			r.dial(ctx, l)
		}
	}
	return due
}

// evict hangs up on every peer that the list does not name, and returns the ids of the others.
func (r *Reconciler) evict(list *membership, now time.Time) map[string]bool {
	connected := make(map[string]bool)
	for _, p := range r.cfg.Mesh.Connected() {
		if _, listed := list.byID[p.ID]; listed {
			connected[p.ID] = true
			continue
		}
		r.cfg.Mesh.Disconnect(p.ID)
		r.evictions.Add(1)
		e := Eviction{ID: p.ID, Reason: "never listed", At: now}
		if gone, ok := findGone(list.gone, p.ID); ok {
			e.Name, e.Org, e.Reason = gone.Name, gone.Org, gone.Reason
		}
		r.mu.Lock()
		r.evicted = append(r.evicted[max(0, len(r.evicted)-maxEvictions+1):], e)
		r.mu.Unlock()
		r.cfg.Logger.Warn("closed the connection of a node that is not listed", "peer", p.ID, "name", e.Name, "org", e.Org,
			"address", p.Address, "reason", e.Reason)
	}
	return connected
}

// moved makes a missing member be dialled at its new address at once, whoever's turn it is.
func (r *Reconciler) moved(l *link, now time.Time) {
	if l.up {
		return
	}
	l.attempts, l.next, l.moved = 0, now, l.dialing
}

func (r *Reconciler) link(id string) *link {
	l, ok := r.links[id]
	if !ok {
		l = &link{}
		r.links[id] = l
	}
	return l
}

// lost notes that a connection has gone. One that did not last counts as a failed dial.
func (r *Reconciler) lost(l *link, now time.Time) {
	l.up = false
	if now.Sub(l.upSince) >= r.cfg.Settled {
		l.attempts = 0
		r.cfg.Logger.Info("lost a member", "peer", l.member.ID, "name", l.member.Name, "org", l.member.Org)
		return
	}
	r.retry(l, now)
}

// retry makes an appointment after a failure.
func (r *Reconciler) retry(l *link, now time.Time) {
	pause := r.cfg.MaxBackoff
	if l.attempts < 16 {
		pause = min(pause, r.cfg.MinBackoff<<l.attempts)
	}
	if r.self > l.member.ID {
		pause = max(pause, r.cfg.Grace) // keep out of the other side's way here too
	}
	l.attempts++
	l.next = now.Add(jitter(pause))
}

// firstPause is how long a member that has just been found missing is left alone. The
// lower id dials at once; the higher one gives it time to, because two nodes that dial
// each other at the same moment each refuse the other's connection as a duplicate.
func (r *Reconciler) firstPause(id string) time.Duration {
	if r.self < id {
		return jitter(r.cfg.MinBackoff / 10)
	}
	return jitter(r.cfg.Grace)
}

// jitter returns a duration between d and 1.25 d.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration(rand.Int64N(int64(d)/4+1))
}

func (r *Reconciler) dial(ctx context.Context, l *link) {
	l.dialing = true
	r.dialing++
	r.dials.Add(1)
	member, attempt := l.member, l.attempts
	go func() { r.done <- dialResult{id: member.ID, err: r.reach(ctx, member, attempt)} }()
}

// reach tries one address of the member, another one at every attempt.
func (r *Reconciler) reach(ctx context.Context, m Member, attempt int) error {
	host, port, err := net.SplitHostPort(m.Addresses[attempt%len(m.Addresses)])
	if err != nil {
		return err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return err
	}
	lookup, cancel := context.WithTimeout(ctx, r.cfg.MaxBackoff)
	defer cancel()
	addresses, err := r.cfg.LookupNetIP(lookup, "ip", host)
	if err != nil {
		return err
	}
	// A node that has not changed its key yet can only be met under the former one.
	id := m.ID
	if m.FormerID != "" && attempt%2 == 1 {
		id = m.FormerID
	}
	err = errNoAddress
	for _, address := range addresses[:min(len(addresses), maxResolved)] {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err = r.cfg.Mesh.Dial(ctx, id, netip.AddrPortFrom(address.Unmap(), uint16(number)))
		if err == nil {
			return nil
		}
	}
	return err
}

// finished takes the outcome of a dial. A connection that came up is noticed by the next
// pass; until it is seen there, the appointment made here stands.
func (r *Reconciler) finished(result dialResult, now time.Time) {
	r.dialing--
	l, ok := r.links[result.id]
	if !ok {
		return
	}
	l.dialing = false
	if result.err == nil {
		l.moved = false
		l.next = now.Add(jitter(r.cfg.Grace))
		return
	}
	r.failures.Add(1)
	if l.moved {
		l.attempts, l.next, l.moved = 0, now, false
		return
	}
	r.retry(l, now)
	level := slog.LevelDebug
	if l.attempts == 5 || l.attempts%100 == 0 {
		level = slog.LevelWarn
	}
	r.cfg.Logger.Log(context.Background(), level, "cannot reach a member, still trying", "peer", l.member.ID,
		"name", l.member.Name, "org", l.member.Org, "attempts", l.attempts, "err", result.err)
}
