package p2p

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	// MaxMembers bounds a membership list: the 1,024 nodes that the ledger may list, and those
	// of its validators that are about to leave. Every member keeps a connection to every
	// other one, so a full mesh stops being sensible long before this.
	MaxMembers = 1152
	// MaxAddresses bounds the addresses of one member.
	MaxAddresses = 8
	// MaxGone bounds how many former ids a registry remembers; the oldest are forgotten first.
	MaxGone = 256

	// idBytes is the length of a node id before it is written in hex.
	idBytes = 20
)

// Member is one node that the ledger lists.
type Member struct {
	// Name is the node's name, for example "acme-1". Unique in a list.
	Name string
	// Org is the organisation the node belongs to, for example "acme".
	Org string
	// ID is the node id: 40 lower-case hex digits, see [NodeID]. Unique in a list, together with all FormerIDs.
	ID string
	// FormerID is the id of the node's previous key while both are admitted, or empty. A
	// connection under it is closed once there is one under ID.
	FormerID string
	// Addresses are where the node listens, as host:port in order of preference. Hosts may
	// be DNS names; they are resolved anew at every dial. A member without an address is
	// never dialled: it has to dial.
	Addresses []string
}

// has says whether the member is admitted under an id.
func (m Member) has(id string) bool { return id != "" && (m.ID == id || m.FormerID == id) }

func (m Member) equal(o Member) bool {
	return m.Name == o.Name && m.Org == o.Org && m.ID == o.ID && m.FormerID == o.FormerID &&
		slices.Equal(m.Addresses, o.Addresses)
}

// Gone is an id that was listed and is not any more.
type Gone struct {
	ID        string
	Name, Org string // as last listed
	// Reason says why in a few words, for the log: "org globex suspended: fraud".
	Reason string
}

// NodeID returns the id of the node with this Ed25519 public key (32 bytes): the first
// 20 bytes of the key's SHA-256 in lower-case hex.
func NodeID(ed25519PublicKey []byte) string {
	sum := sha256.Sum256(ed25519PublicKey)
	return hex.EncodeToString(sum[:idBytes])
}

// Registry is the set of members that may connect. All methods are safe for
// concurrent use; reads take no lock.
type Registry struct {
	write sync.Mutex // serialises Set
	now   atomic.Pointer[membership]
}

// membership is one immutable version of the list.
type membership struct {
	list    []Member       // sorted by id
	byID    map[string]int // ids and former ids
	gone    []Gone         // oldest first, at most MaxGone, none of them listed
	changed chan struct{}  // closed when a newer version replaces this one
}

// NewRegistry returns a registry that admits the given members. The list must satisfy
// the conditions of [Registry.Set].
func NewRegistry(members []Member) (*Registry, error) {
	m, err := newMembership(members)
	if err != nil {
		return nil, err
	}
	r := &Registry{}
	r.now.Store(m)
	return r, nil
}

// Set replaces the list. It returns an error that is [ErrNoMembers], [ErrTooManyMembers],
// [ErrDuplicateMember] or [ErrInvalidMember], and keeps the old list, when the new one
// is not usable. The slices are copied. A list equal to the present one changes nothing and
// wakes nobody.
//
// Every id of the old list that the new one lacks is remembered with a reason, so that an
// eviction can name it. The reasons given in gone count, matched by ID and, for those without
// an id, by Name; an id whose node is listed under another one has changed its key; any other
// has been removed.
func (r *Registry) Set(members []Member, gone ...Gone) error {
	r.write.Lock()
	defer r.write.Unlock()
	old := r.now.Load()
	if old.same(members) {
		return nil
	}
	m, err := newMembership(members)
	if err != nil {
		return err
	}
	m.gone = departed(old, m, gone)
	r.now.Store(m)
	close(old.changed)
	return nil
}

// Admitted returns the member with this node id or former node id, and whether there is one.
func (r *Registry) Admitted(id string) (Member, bool) {
	m := r.now.Load()
	i, ok := m.byID[id]
	if !ok {
		return Member{}, false
	}
	return m.list[i], true
}

// Gone returns what is remembered about an id that was listed and is not any more. It
// walks a list of at most [MaxGone].
func (r *Registry) Gone(id string) (Gone, bool) {
	return findGone(r.now.Load().gone, id)
}

// Members returns a copy of the list, sorted by id.
func (r *Registry) Members() []Member {
	return slices.Clone(r.now.Load().list)
}

// watch returns the current list, which must not be modified, and a channel that is
// closed as soon as the list is no longer current.
func (r *Registry) watch() (*membership, <-chan struct{}) {
	m := r.now.Load()
	return m, m.changed
}

// same says whether the list is the present one, in any order.
func (m *membership) same(members []Member) bool {
	if len(members) != len(m.list) {
		return false
	}
	var seen [(MaxMembers + 63) / 64]uint64 // a list with repetitions is no permutation of ours
	for _, member := range members {
		i, ok := m.byID[member.ID]
		if !ok || seen[i/64]&(1<<(i%64)) != 0 || !m.list[i].equal(member) {
			return false
		}
		seen[i/64] |= 1 << (i % 64)
	}
	return true
}

func findGone(gone []Gone, id string) (Gone, bool) {
	for i := len(gone) - 1; i >= 0; i-- {
		if gone[i].ID == id {
			return gone[i], true
		}
	}
	return Gone{}, false
}

// departed returns the ids to remember after a change of the list: those remembered before
// that have not come back, and those that have just gone.
func departed(old, now *membership, reasons []Gone) []Gone {
	var out []Gone
	for _, g := range old.gone {
		if _, back := now.byID[g.ID]; !back {
			out = append(out, g)
		}
	}
	for _, m := range old.list {
		for _, id := range []string{m.FormerID, m.ID} {
			if _, listed := now.byID[id]; id == "" || listed {
				continue
			}
			out = append(out, Gone{ID: id, Name: m.Name, Org: m.Org, Reason: reasonFor(id, m, now, reasons)})
		}
	}
	return slices.Clip(out[max(0, len(out)-MaxGone):])
}

func reasonFor(id string, m Member, now *membership, reasons []Gone) string {
	for _, g := range reasons {
		if g.Reason != "" && (g.ID == id || g.ID == "" && g.Name == m.Name) {
			return g.Reason
		}
	}
	for _, n := range now.list {
		if n.Name == m.Name {
			return "node key replaced"
		}
	}
	return "node removed"
}

func newMembership(members []Member) (*membership, error) {
	if len(members) == 0 {
		return nil, fmt.Errorf("set membership: %w", ErrNoMembers)
	}
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("set membership: %w: %d members, at most %d", ErrTooManyMembers, len(members), MaxMembers)
	}
	m := &membership{
		list:    slices.Clone(members),
		byID:    make(map[string]int, 2*len(members)),
		changed: make(chan struct{}),
	}
	total := 0
	for _, member := range m.list {
		if err := member.validate(); err != nil {
			return nil, fmt.Errorf("set membership: member %q: %w", member.Name, err)
		}
		total += len(member.Addresses)
	}
	addresses := make([]string, 0, total) // one array for all
	slices.SortFunc(m.list, func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
	names := make(map[string]bool, len(members))
	for i := range m.list {
		member := &m.list[i]
		from := len(addresses)
		addresses = append(addresses, member.Addresses...)
		member.Addresses = addresses[from:len(addresses):len(addresses)]
		for _, id := range [...]string{member.ID, member.FormerID} {
			if id == "" {
				continue
			}
			if _, ok := m.byID[id]; ok {
				return nil, fmt.Errorf("set membership: %w: id %s", ErrDuplicateMember, id)
			}
			m.byID[id] = i
		}
		if names[member.Name] {
			return nil, fmt.Errorf("set membership: %w: name %q", ErrDuplicateMember, member.Name)
		}
		names[member.Name] = true
	}
	return m, nil
}

func (m Member) validate() error {
	if m.Name == "" {
		return fmt.Errorf("%w: no name", ErrInvalidMember)
	}
	if !isNodeID(m.ID) {
		return fmt.Errorf("%w: id %q is not %d lower-case hex digits", ErrInvalidMember, m.ID, 2*idBytes)
	}
	if m.FormerID != "" && !isNodeID(m.FormerID) {
		return fmt.Errorf("%w: former id %q is not %d lower-case hex digits", ErrInvalidMember, m.FormerID, 2*idBytes)
	}
	if len(m.Addresses) > MaxAddresses {
		return fmt.Errorf("%w: %d addresses, at most %d", ErrInvalidMember, len(m.Addresses), MaxAddresses)
	}
	for _, address := range m.Addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil || host == "" {
			return fmt.Errorf("%w: address %q is not host:port", ErrInvalidMember, address)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("%w: address %q has no port between 1 and 65535", ErrInvalidMember, address)
		}
	}
	return nil
}

func isNodeID(id string) bool {
	return len(id) == 2*idBytes && strings.Trim(id, "0123456789abcdef") == ""
}
