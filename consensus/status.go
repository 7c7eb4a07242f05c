package consensus

import "time"

// Phase is where a node is in its life.
type Phase string

// The phases in the order in which a node goes through them.
const (
	PhaseStarting   Phase = "starting"    // made, not running yet
	PhaseReplaying  Phase = "replaying"   // bringing the application up to the stored blocks
	PhaseCatchingUp Phase = "catching-up" // fetching blocks from peers, or waiting for a peer
	PhaseFollowing  Phase = "following"   // taking part in consensus, or watching it
	PhaseStopped    Phase = "stopped"     // Run has returned
)

// Status is what a node knows about itself at one moment.
type Status struct {
	Phase Phase
	// Height, BlockTime and AppHash are of the last block that the application committed;
	// AppHash is the state after that block. Height is 0 before the first one.
	Height    int64
	BlockTime time.Time
	AppHash   []byte
	// CaughtUp is true while the node follows consensus and knows from peers that it is not
	// behind: at least one has told its height, and at most half of those that have claim to be
	// more than one block ahead. One that lies among many cannot turn it. A validator that is
	// the whole set needs no peer.
	CaughtUp bool
	// Validator is true when the node's signer is in the validator set of the next block.
	Validator bool
	// Peers are the live connections, by name.
	Peers []PeerStatus
}

// PeerStatus is one live connection.
type PeerStatus struct {
	ID        string // node id, authenticated
	Name, Org string // as the registry lists it now; as it did when it connected once it does no more
	Address   string // remote end, host:port
	Since     time.Time
	Outbound  bool   // we dialled
	Height    int64  // the last block it claims to have, 0 if unknown
	Version   string // of the program it says it runs
}

// Status returns the node's state. It is safe at any time and never waits for consensus.
func (n *Node) Status() Status {
	s := Status{Phase: n.phase.Load().(Phase), Validator: n.validator.Load()}
	var next []int64
	s.Peers, next = n.roster.status()
	done := n.app.committed.Load()
	s.Height, s.BlockTime, s.AppHash = done.height, done.time, done.appHash
	s.CaughtUp = s.Phase == PhaseFollowing && (abreast(s.Height, next) || s.Validator && n.solitary())
	return s
}

// solitary says whether the set of the next block has one validator only.
func (n *Node) solitary() bool {
	e := n.run.Load()
	if e == nil {
		return false
	}
	_, set := e.states.next()
	return set.Size() == 1
}

// abreast says whether a node at a height keeps up with its peers, given the heights that
// those work on which have told.
func abreast(height int64, next []int64) bool {
	ahead := 0
	for _, h := range next {
		if h > height+2 {
			ahead++
		}
	}
	return len(next) > 0 && 2*ahead <= len(next)
}
