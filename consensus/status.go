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
	// CaughtUp is true while the node follows consensus, unless more than half of its peers
	// claim to be more than one block ahead. One that lies cannot turn it.
	CaughtUp bool
	// Validator is true when the node's signer is in the validator set of the next block.
	Validator bool
	// Peers are the live connections, by name.
	Peers []PeerStatus
}

// PeerStatus is one live connection.
type PeerStatus struct {
	ID        string // node id, authenticated
	Name, Org string // as the registry listed it when it connected
	Address   string // remote end, host:port
	Since     time.Time
	Outbound  bool  // we dialled
	Height    int64 // the last block it claims to have, 0 if unknown
}

// Status returns the node's state. It is safe at any time and never waits for consensus.
func (n *Node) Status() Status {
	s := Status{
		Phase:     n.phase.Load().(Phase),
		Validator: n.validator.Load(),
		Peers:     n.roster.status(),
	}
	done := n.app.committed.Load()
	s.Height, s.BlockTime, s.AppHash = done.height, done.time, done.appHash
	ahead := 0
	for _, p := range s.Peers {
		if p.Height > s.Height+1 {
			ahead++
		}
	}
	s.CaughtUp = s.Phase == PhaseFollowing && 2*ahead <= len(s.Peers)
	return s
}
