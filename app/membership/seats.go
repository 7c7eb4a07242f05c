package membership

import (
	"bytes"
	"cmp"
	"slices"

	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
)

// What block H decides about validators acts at H+2: the engine has the sets of H and H+1 already.
const delay = 2

// seatAt reports whether the seat is one of the set of a height.
func seatAt(seat *membershipv1.Seat, height uint64) bool {
	return seat.FromHeight <= height && (seat.UntilHeight == 0 || height < seat.UntilHeight)
}

// SeatsAt returns the set of validators of a height, in the order of their keys. It is exact for the height of the block
// that wrote the seats last and all later ones.
func SeatsAt(seats *membershipv1.Seats, height uint64) []*membershipv1.Seat {
	var set []*membershipv1.Seat
	for _, seat := range seats.GetSeats() {
		if seatAt(seat, height) {
			set = append(set, seat)
		}
	}
	return set
}

// endSeat ends the seat of a key with block H, if it has one in the set of H+2. A seat that the same block made was never
// there. It returns the power of the seat, 0 for none.
func endSeat(seats *membershipv1.Seats, height uint64, key []byte) uint64 {
	for i, seat := range seats.Seats {
		if seat.UntilHeight != 0 || !bytes.Equal(seat.ValidatorKey, key) {
			continue
		}
		power := seat.Power
		if seat.FromHeight == height+delay {
			seats.Seats = slices.Delete(seats.Seats, i, i+1)
		} else {
			seat.UntilHeight = height + delay
		}
		return power
	}
	return 0
}

// giveSeat gives a key a seat from H+2 on. It has none in that set. What the same block took is given back, so that several
// changes of one block are one change.
func giveSeat(seats *membershipv1.Seats, height uint64, key []byte, node string, power uint64) {
	for _, seat := range seats.Seats {
		if seat.UntilHeight == height+delay && seat.Power == power && bytes.Equal(seat.ValidatorKey, key) {
			seat.UntilHeight = 0
			return
		}
	}
	seats.Seats = append(seats.Seats, &membershipv1.Seat{
		ValidatorKey: key, Node: node, Power: power, FromHeight: height + delay,
	})
}

// tidy puts the seats in order and drops those that no set from H on has.
func tidy(seats *membershipv1.Seats, height uint64) {
	seats.Seats = slices.DeleteFunc(seats.Seats, func(s *membershipv1.Seat) bool {
		return s.UntilHeight != 0 && s.UntilHeight <= height
	})
	slices.SortFunc(seats.Seats, func(a, b *membershipv1.Seat) int {
		return cmp.Or(bytes.Compare(a.ValidatorKey, b.ValidatorKey), cmp.Compare(a.FromHeight, b.FromHeight))
	})
	seats.Height = height
}

// sits reports whether a node has a seat in the set of a height.
func sits(seats *membershipv1.Seats, node string, height uint64) bool {
	return slices.ContainsFunc(seats.Seats, func(s *membershipv1.Seat) bool {
		return s.Node == node && seatAt(s, height)
	})
}

// Update is what the engine is told about a key: its power from now on, 0 when it leaves.
type Update struct {
	PublicKey []byte // Ed25519, 32 bytes
	Power     uint64
}

// Updates returns what makes the set of H+2 out of the set of H+1, in the order of the keys: what the engine is told at the
// end of block H, where height is H. before is what [Reader.Seats] returned before the block, or nil; after is what it returns
// with the block.
func Updates(before, after *membershipv1.Seats, height uint64) []Update {
	if after == nil {
		return nil
	}
	if before == nil {
		before = after
	}
	was, will := SeatsAt(before, height+1), SeatsAt(after, height+delay)
	var updates []Update
	for len(was) > 0 || len(will) > 0 {
		order := 0
		switch {
		case len(was) == 0:
			order = 1
		case len(will) == 0:
			order = -1
		default:
			order = bytes.Compare(was[0].ValidatorKey, will[0].ValidatorKey)
		}
		switch {
		case order < 0:
			updates = append(updates, Update{PublicKey: was[0].ValidatorKey})
			was = was[1:]
		case order > 0:
			updates = append(updates, Update{will[0].ValidatorKey, will[0].Power})
			will = will[1:]
		default:
			if was[0].Power != will[0].Power {
				updates = append(updates, Update{will[0].ValidatorKey, will[0].Power})
			}
			was, will = was[1:], will[1:]
		}
	}
	return updates
}
