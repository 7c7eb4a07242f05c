// Package cursor says where a watch stands in the ledger: before which block, transaction or event. A cursor means the same
// on every node, because it follows from the blocks alone.
package cursor

import (
	"cmp"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Position is the place of the first thing that was not seen. Transactions and events count from 0, within their block and
// their transaction; a position behind the last of them stands for what follows. The zero Position stands before everything.
type Position struct {
	Height uint64
	Tx     uint32
	Event  uint32
}

// Block returns the position before a block.
func Block(height uint64) Position { return Position{Height: height} }

// AfterTransaction returns the position behind a transaction.
func AfterTransaction(height uint64, tx uint32) Position { return Position{Height: height, Tx: tx + 1} }

// AfterEvent returns the position behind an event.
func AfterEvent(height uint64, tx, event uint32) Position {
	return Position{Height: height, Tx: tx, Event: event + 1}
}

// String returns the shortest of HEIGHT, HEIGHT.TX and HEIGHT.TX.EVENT that says it.
func (p Position) String() string {
	switch {
	case p.Event != 0:
		return fmt.Sprintf("%d.%d.%d", p.Height, p.Tx, p.Event)
	case p.Tx != 0:
		return fmt.Sprintf("%d.%d", p.Height, p.Tx)
	default:
		return strconv.FormatUint(p.Height, 10)
	}
}

// Compare returns a negative number, zero or a positive one as p stands before q, at q or behind it.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Height, q.Height), cmp.Compare(p.Tx, q.Tx), cmp.Compare(p.Event, q.Event))
}

// An Error says which cursor makes no sense.
type Error struct {
	Cursor string // as given, shortened
}

func (e *Error) Error() string {
	return fmt.Sprintf("%q is no cursor: HEIGHT, HEIGHT.TX or HEIGHT.TX.EVENT, as it came with an item", e.Cursor)
}

// Parse reads what [Position.String] writes, and nothing else. The error is an [*Error].
func Parse(text string) (Position, error) {
	var p Position
	parts := strings.SplitN(text, ".", 4)
	numbers := [3]uint64{}
	bad := len(parts) > len(numbers)
	for i := 0; i < len(parts) && !bad; i++ {
		bits := 32
		if i == 0 {
			bits = 63 // heights are signed numbers in the engine
		}
		n, err := strconv.ParseUint(parts[i], 10, bits)
		bad, numbers[i] = err != nil, n
	}
	p = Position{Height: numbers[0], Tx: uint32(numbers[1]), Event: uint32(numbers[2])}
	// The last index of all has no place behind it.
	if bad || p.Height == 0 || p.Tx == math.MaxUint32 || p.Event == math.MaxUint32 || p.String() != text {
		return Position{}, &Error{Cursor: text[:min(len(text), 60)]}
	}
	return p, nil
}
