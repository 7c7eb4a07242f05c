package p2p

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Refusals counts the connections that were not let in, or not kept.
type Refusals struct {
	// Strangers proved a key that is not listed.
	Strangers uint64
	// Handshakes failed before a key was proven, or with a node of another network.
	Handshakes uint64
	// Misbehaved were members that sent what no honest one sends.
	Misbehaved uint64
	// Newest is the last stranger; its time is zero when there was none.
	Newest Refusal
}

// Refusal is a connection that was not let in.
type Refusal struct {
	ID        string
	Name, Org string // as last listed, empty if it never was
	Reason    string
	Address   string // remote end, host:port
	At        time.Time
}

// quietFor is how long the door says nothing about strangers, or about one member, after it has
// spoken. Whoever knocks may knock as often as it likes; the log is not its to fill.
const quietFor = 10 * time.Second

// Door decides about connections and counts those it refuses. All methods are safe for
// concurrent use.
type Door struct {
	registry *Registry
	log      *slog.Logger

	mu         sync.Mutex
	refusals   Refusals
	strangers  pace
	handshakes pace
	members    map[string]*pace // by id, at most MaxMembers
}

// pace is how often the door has spoken about something.
type pace struct {
	spoke  time.Time // when it spoke last
	unsaid uint64    // events since then
}

// tick counts an event and returns how many events a line about it stands for, or 0 when it is
// too soon for a line.
func (p *pace) tick(now time.Time) uint64 {
	p.unsaid++
	if !p.spoke.IsZero() && now.Sub(p.spoke) < quietFor {
		return 0
	}
	count := p.unsaid
	p.unsaid, p.spoke = 0, now
	return count
}

// NewDoor returns a door that lets in whom the registry lists. A nil logger means none.
func NewDoor(registry *Registry, logger *slog.Logger) *Door {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Door{registry: registry, log: logger, members: make(map[string]*pace)}
}

// Lists says whether an id is listed. It takes no lock.
func (d *Door) Lists(id string) bool {
	_, ok := d.registry.Admitted(id)
	return ok
}

// Admit is asked about a connection whose id has been proven. It returns nil, or an error
// that is [ErrNotMember] and says why.
func (d *Door) Admit(id, address string) error {
	if d.Lists(id) {
		return nil
	}
	refusal := Refusal{ID: id, Reason: "never listed", Address: address, At: time.Now()}
	if gone, ok := d.registry.Gone(id); ok {
		refusal.Name, refusal.Org, refusal.Reason = gone.Name, gone.Org, gone.Reason
	}
	d.mu.Lock()
	d.refusals.Strangers++
	d.refusals.Newest = refusal
	count := d.strangers.tick(refusal.At)
	d.mu.Unlock()
	if count > 0 {
		d.log.Warn("refused a connection: the node is not listed", "peer", id, "name", refusal.Name, "org", refusal.Org,
			"address", address, "reason", refusal.Reason, "refused", count)
	}
	return fmt.Errorf("%w: %s", ErrNotMember, refusal.Reason)
}

// HandshakeFailed is told of an inbound connection that ended before anybody was known.
func (d *Door) HandshakeFailed(why error) {
	now := time.Now()
	d.mu.Lock()
	d.refusals.Handshakes++
	count := d.handshakes.tick(now)
	d.mu.Unlock()
	if count > 0 {
		d.log.Warn("refused a connection: the handshake failed", "reason", why, "refused", count)
	}
}

// Misbehaved is told that a peer's connection was closed because of what it sent. m is how it
// is listed, or was.
func (d *Door) Misbehaved(id string, m Member, address, why string) {
	now := time.Now()
	d.mu.Lock()
	d.refusals.Misbehaved++
	p, ok := d.members[id]
	if !ok {
		if len(d.members) >= MaxMembers {
			clear(d.members)
		}
		p = &pace{}
		d.members[id] = p
	}
	count := p.tick(now)
	d.mu.Unlock()
	if count > 0 {
		d.log.Warn("closed the connection of a member that misbehaved", "peer", id, "name", m.Name, "org", m.Org,
			"address", address, "reason", why, "closed", count)
	}
}

// Refusals returns what was refused since the door was made.
func (d *Door) Refusals() Refusals {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.refusals
}
