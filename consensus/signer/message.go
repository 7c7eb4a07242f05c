package signer

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"fmt"
	"math"
	"time"

	"github.com/cometbft/cometbft/libs/protoio"
	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cosmos/gogoproto/proto"
)

// Steps of a round in the order in which a validator signs.
const (
	stepNone int8 = iota
	stepProposal
	stepPrevote
	stepPrecommit
)

// position is a place in the life of a chain at which a validator signs one message.
type position struct {
	height int64
	round  int32
	step   int8
}

// compare orders two positions as a chain goes through them.
func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.height, q.height), cmp.Compare(p.round, q.round), cmp.Compare(p.step, q.step))
}

func (p position) String() string { return fmt.Sprintf("%d/%d/%d", p.height, p.round, p.step) }

// message is a vote or a proposal that somebody wants to have signed.
type message struct {
	position
	chainID string
	at      time.Time
	rest    []byte // everything but the time; two messages with the same rest say the same
}

// The kinds of messages, as the first field of each names them, and where it does.
const (
	kindTag      = 1 << 3 // field 1, a number
	kindPrevote  = byte(cmtproto.PrevoteType)
	kindCommit   = byte(cmtproto.PrecommitType)
	kindProposal = byte(cmtproto.ProposalType)
)

// Times that nanoseconds since 1970 can tell, in 64 bits.
var (
	earliest = time.Unix(0, 1)
	latest   = time.Unix(0, math.MaxInt64)
)

// parse reads the bytes that a validator of CometBFT signs. It is strict: what does not come out again byte for byte is not
// signed, so that nobody can hide a second meaning in a field that is not looked at.
func parse(b []byte) (message, error) {
	if len(b) > maxSigned {
		return message{}, fmt.Errorf("%w: %d bytes, at most %d", ErrMessage, len(b), maxSigned)
	}
	kind, err := kindOf(b)
	if err != nil {
		return message{}, err
	}
	if kind == kindProposal {
		return parseProposal(b)
	}
	return parseVote(b, kind)
}

// kindOf looks at the first field, which says what the others mean. Its number has one byte, and so has or have the length
// before it.
func kindOf(b []byte) (byte, error) {
	for skip := 1; skip <= 2; skip++ {
		if len(b) < skip+2 {
			break
		}
		if b[skip-1] >= 0x80 {
			continue // the length goes on
		}
		if kind := b[skip+1]; b[skip] == kindTag && (kind == kindPrevote || kind == kindCommit || kind == kindProposal) {
			return kind, nil
		}
		break
	}
	return 0, fmt.Errorf("%w: of no known kind", ErrMessage)
}

func parseVote(b []byte, kind byte) (message, error) {
	var v cmtproto.CanonicalVote
	if err := unmarshal(b, &v); err != nil {
		return message{}, err
	}
	if v.BlockID != nil && !complete(v.BlockID) {
		return message{}, fmt.Errorf("%w: half a block", ErrMessage)
	}
	step := stepPrevote
	if kind == kindCommit {
		step = stepPrecommit
	}
	m := message{chainID: v.ChainID, at: v.Timestamp}
	v.Timestamp = time.Time{}
	return m.finish(v.Height, v.Round, step, &v)
}

func parseProposal(b []byte) (message, error) {
	var p cmtproto.CanonicalProposal
	if err := unmarshal(b, &p); err != nil {
		return message{}, err
	}
	if p.BlockID == nil || !complete(p.BlockID) {
		return message{}, fmt.Errorf("%w: no block is proposed", ErrMessage)
	}
	if p.POLRound < -1 || p.POLRound > math.MaxInt32 {
		return message{}, fmt.Errorf("%w: earlier round %d", ErrMessage, p.POLRound)
	}
	m := message{chainID: p.ChainID, at: p.Timestamp}
	p.Timestamp = time.Time{}
	return m.finish(p.Height, p.Round, stepProposal, &p)
}

// complete says whether these are the hashes of a block.
func complete(id *cmtproto.CanonicalBlockID) bool {
	const size = sha256.Size
	return len(id.Hash) == size && len(id.PartSetHeader.Hash) == size && id.PartSetHeader.Total > 0
}

// unmarshal decodes a message behind its length and checks that these are the only bytes that say so.
func unmarshal(b []byte, into proto.Message) error {
	if err := protoio.UnmarshalDelimited(b, into); err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	again, err := protoio.MarshalDelimited(into)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMessage, err)
	}
	if !bytes.Equal(again, b) {
		return fmt.Errorf("%w: not in canonical form", ErrMessage)
	}
	return nil
}

// finish adds the position and what is left without the time.
func (m message) finish(height, round int64, step int8, timeless proto.Message) (message, error) {
	if height < 1 || round < 0 || round > math.MaxInt32 {
		return message{}, fmt.Errorf("%w: height %d, round %d", ErrMessage, height, round)
	}
	if m.at.Before(earliest) || m.at.After(latest) {
		return message{}, fmt.Errorf("%w: at %v", ErrMessage, m.at)
	}
	rest, err := proto.Marshal(timeless)
	if err != nil {
		return message{}, fmt.Errorf("%w: %w", ErrMessage, err)
	}
	m.position, m.rest = position{height, int32(round), step}, rest
	return m, nil
}
