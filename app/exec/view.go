package exec

import "time"

// View is what a query reads: the state at one height. A view of the store implements it, and so does one that stops
// scanning when nobody waits for the answer any more.
type View interface {
	Scanner
	// Height returns the height of the view.
	Height() uint64
	// BlockTime returns the time of the block of that height.
	BlockTime() time.Time
}
