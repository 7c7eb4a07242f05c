package membership

import (
	"fmt"

	"github.com/althing-ledger/althing/app/exec"
	membershipv1 "github.com/althing-ledger/althing/proto/gen/althing/membership/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Misbehaviour is what the engine has proven about a validator.
type Misbehaviour struct {
	Address    []byte // of the validator key, 20 bytes
	Kind       string // `duplicate-vote` or `light-client-attack`
	Height     uint64 // of the misdeed
	Time       int64  // of the misdeed, nanoseconds since 1970, UTC
	Power      uint64 // of the validator at that height
	TotalPower uint64 // of all at that height
}

// Conviction is what became of a piece of evidence.
type Conviction struct {
	// Recorded says whether it convicted a node and stands in the state, as evidence Number of its block. What a node did
	// before it was convicted convicts it once: more of that would let the owner of an old key fill the state.
	Recorded bool
	Number   uint64
	// Org and Power are whose voting power was taken, and how much.
	Org   string
	Power uint64
}

// Convict records what a validator did in the block of the given height and time, and takes its power and its key: it gets
// them back only by a vote. Where nobody else would be left, the last validator keeps both, and the evidence stands. The
// caller takes the power from the org's allotment: otherwise the org could give it to another node.
//
// Convict comes before the transactions of the block, whose checks of the quorum then see the seats without it. It is no
// operation and refuses nothing: an error is an I/O failure or corruption.
func Convict(s Store, height uint64, time int64, m Misbehaviour) (Conviction, error) {
	use, err := s.KeyUse(m.Address)
	if err != nil || use == nil || use.Use != string(tx.UseValidator) {
		return Conviction{}, err
	}
	node, err := s.requireNode(use.Node)
	if err != nil || node.ConvictedHeight != 0 && m.Height <= node.ConvictedHeight {
		return Conviction{}, err
	}
	c := Conviction{Recorded: true, Org: node.Org}
	if c.Power, err = s.convict(height, time, node); err != nil {
		return Conviction{}, err
	}
	if c.Number, err = s.firstFree(evidenceOf(height)); err != nil {
		return Conviction{}, err
	}
	return c, exec.Put(s.out, keyspace.Uint64(evidenceOf(height), c.Number), &membershipv1.Evidence{
		Height: height, Power: m.Power, OffenceHeight: m.Height, OffenceTimeUnixNano: m.Time,
		TotalPower: m.TotalPower, Kind: m.Kind, Node: node.Name, Org: node.Org, ValidatorKey: use.Key,
	})
}

// KeepRaw adds to the evidence of a block what the engine handed over when the block was decided: the raw votes of its
// item n, which is [Conviction.Number].
func KeepRaw(s Store, height, n uint64, raw []byte) error {
	key := keyspace.Uint64(evidenceOf(height), n)
	evidence := new(membershipv1.Evidence)
	found, err := exec.Get(s.kv, key, evidence)
	if err != nil {
		return err
	}
	if !found {
		return fmt.Errorf("membership: evidence %d of block %d is missing", n, height)
	}
	evidence.Raw = raw
	return exec.Put(s.out, key, evidence)
}

func (s Store) convict(height uint64, time int64, node *membershipv1.Node) (power uint64, err error) {
	seats, err := s.requireSeats()
	if err != nil {
		return 0, err
	}
	node.ConvictedHeight = height
	c := &membershipv1.Change{
		Height: height, EffectiveHeight: height + delay, TimeUnixNano: time, Kind: kindConvicted, Org: node.Org, Node: node,
	}
	switch next := SeatsAt(seats, height+delay); {
	case len(next) == 1 && next[0].Node == node.Name:
		c.Reason = "it is the last validator and keeps its power"
	case node.RemovedHeight != 0:
		// Its power and keys have gone already; the entry stays as it was.
	case len(node.ValidatorKey) > 0:
		endSeat(seats, height, node.ValidatorKey)
		if err := s.setSeats(seats, height); err != nil {
			return 0, err
		}
		if err := s.retireKey(node.ValidatorKey, height+delay); err != nil {
			return 0, err
		}
		power, node.ValidatorKey, node.Power = node.Power, nil, 0
	}
	if err := s.remember(ofNode, node.Name, c); err != nil {
		return 0, err
	}
	return power, s.setNode(node)
}
