package p2p

import (
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
	// MaxMembers bounds a membership list. Every member keeps a connection to every
	// other one, so a full mesh stops being sensible long before this.
	MaxMembers = 1024
	// MaxAddresses bounds the addresses of one member.
	MaxAddresses = 8

	// idBytes is the length of a node id before it is written in hex.
	idBytes = 20
)

// Member is one node that the ledger lists.
type Member struct {
	// Name is the node's name, for example "acme-1". Unique in a list.
	Name string
	// Org is the organisation the node belongs to, for example "acme".
	Org string
	// ID is the node id: 40 lower-case hex digits, see [NodeID]. Unique in a list.
	ID string
	// Addresses are where the node listens, as host:port in order of preference. Hosts may
	// be DNS names; they are resolved anew at every dial. A member without an address is
	// never dialled: it has to dial.
	Addresses []string
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
	list    []Member // sorted by id
	byID    map[string]int
	changed chan struct{} // closed when a newer version replaces this one
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
// is not usable. The slice is copied.
func (r *Registry) Set(members []Member) error {
	m, err := newMembership(members)
	if err != nil {
		return err
	}
	r.write.Lock()
	defer r.write.Unlock()
	old := r.now.Swap(m)
	close(old.changed)
	return nil
}

// Admitted returns the member with this node id, and whether there is one.
func (r *Registry) Admitted(id string) (Member, bool) {
	m := r.now.Load()
	i, ok := m.byID[id]
	if !ok {
		return Member{}, false
	}
	return m.list[i], true
}

// Members returns a copy of the list, sorted by id.
func (r *Registry) Members() []Member {
	return slices.Clone(r.now.Load().list)
}

// watch returns the current list, which must not be modified, and a channel that is
// closed as soon as the list is no longer current.
func (r *Registry) watch() ([]Member, <-chan struct{}) {
	m := r.now.Load()
	return m.list, m.changed
}

func newMembership(members []Member) (*membership, error) {
	if len(members) == 0 {
		return nil, fmt.Errorf("set membership: %w", ErrNoMembers)
	}
	if len(members) > MaxMembers {
		return nil, fmt.Errorf("set membership: %w: %d members, at most %d", ErrTooManyMembers, len(members), MaxMembers)
	}
	m := &membership{
		list:    make([]Member, len(members)),
		byID:    make(map[string]int, len(members)),
		changed: make(chan struct{}),
	}
	for i, member := range members {
		if err := member.validate(); err != nil {
			return nil, fmt.Errorf("set membership: member %q: %w", member.Name, err)
		}
		member.Addresses = slices.Clone(member.Addresses)
		m.list[i] = member
	}
	slices.SortFunc(m.list, func(a, b Member) int { return strings.Compare(a.ID, b.ID) })
	names := make(map[string]bool, len(members))
	for i, member := range m.list {
		if _, ok := m.byID[member.ID]; ok {
			return nil, fmt.Errorf("set membership: %w: id %s", ErrDuplicateMember, member.ID)
		}
		if names[member.Name] {
			return nil, fmt.Errorf("set membership: %w: name %q", ErrDuplicateMember, member.Name)
		}
		m.byID[member.ID] = i
		names[member.Name] = true
	}
	return m, nil
}

func (m Member) validate() error {
	if m.Name == "" {
		return fmt.Errorf("%w: no name", ErrInvalidMember)
	}
	if b, err := hex.DecodeString(m.ID); err != nil || len(b) != idBytes || m.ID != strings.ToLower(m.ID) {
		return fmt.Errorf("%w: id %q is not %d lower-case hex digits", ErrInvalidMember, m.ID, 2*idBytes)
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
