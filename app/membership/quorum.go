package membership

import (
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// smallNetwork is how many validators a set has at most for newcomers to be allowed any share of the next: one network out
// of one validator, or two, cannot grow otherwise.
const smallNetwork = 2

// checkSuccessors rejects with QUORUM_LOST or LIMIT_REACHED when block H, the height, may not leave these seats: the set of
// H+2 must not be empty nor too large, and once a network has three validators, those nodes that already have a seat in the
// set of H+1 hold more than two thirds of the power of the set of H+2. Whoever is new may not be running.
func checkSuccessors(seats *membershipv1.Seats, height uint64) error {
	next := SeatsAt(seats, height+delay)
	if len(next) == 0 {
		return tx.Reject(ledgerv1.Code_CODE_QUORUM_LOST,
			"no validator would be left at height %d: make another node a validator first, then repeat this", height+delay)
	}
	if len(next) > MaxValidators {
		return tx.Reject(ledgerv1.Code_CODE_LIMIT_REACHED,
			"there would be %d validators at height %d, at most %d are allowed: list the node as an observer, with power 0",
			len(next), height+delay, MaxValidators)
	}
	fixed := SeatsAt(seats, height+1)
	if len(fixed) <= smallNetwork {
		return nil
	}
	seated := make(map[string]bool, len(fixed))
	for _, seat := range fixed {
		seated[seat.Node] = true
	}
	var known, total uint64
	for _, seat := range next {
		total += seat.Power
		if seated[seat.Node] {
			known += seat.Power
		}
	}
	if !moreThanTwoThirds(known, total) {
		return tx.Reject(ledgerv1.Code_CODE_QUORUM_LOST,
			"validators that have no seat at height %d would hold %d of the voting power %d at height %d, and if they were not "+
				"running, the network would stop: let less than a third of the power join in one block, the rest in later ones",
			height+1, total-known, total, height+delay)
	}
	return nil
}

// checkReach rejects with QUORUM_LOST when block H, the height, may not cut off the nodes that are away after it: in each of
// the sets of H, H+1 and H+2, those who stay connected hold more than two thirds of the power. In the set of H, a node
// whose power the block before has taken counts as connected: it leaves in order, and was there while H was decided. remedy
// says what to do instead.
func checkReach(seats *membershipv1.Seats, height uint64, away map[string]bool, remedy string) error {
	for h := height; h <= height+delay; h++ {
		var connected, total uint64
		for _, seat := range SeatsAt(seats, h) {
			total += seat.Power
			if !away[seat.Node] || (h == height && !sits(seats, seat.Node, height+1)) {
				connected += seat.Power
			}
		}
		if !moreThanTwoThirds(connected, total) {
			return tx.Reject(ledgerv1.Code_CODE_QUORUM_LOST,
				"those who stay connected would hold %d of the voting power %d at height %d, more than two thirds are needed: %s",
				connected, total, h, remedy)
		}
	}
	return nil
}

// moreThanTwoThirds cannot overflow: powers are at most a million, and sets of a hundred.
func moreThanTwoThirds(part, total uint64) bool { return 3*part > 2*total }
