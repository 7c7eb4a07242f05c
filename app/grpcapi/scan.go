package grpcapi

import (
	"context"

	"github.com/althing-ledger/althing/state"
)

// A gate lets a few expensive reads through at a time. The others stand in a line of bounded length, in which no client
// has more than its share of the places.
type gate struct {
	line *shares       // those who wait and those who are through
	open chan struct{} // holds one token for each who is through
}

func newGate(atOnce, line int) *gate {
	return &gate{line: newShares(line), open: make(chan struct{}, atOnce)}
}

// enter waits for its turn within the context. Who gets through calls leave.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	free, ok := g.line.take(clientOf(ctx))
	if !ok {
		return nil, errLongLine
	}
	select {
	case g.open <- struct{}{}:
		return func() { <-g.open; free() }, nil
	case <-ctx.Done():
		free()
		return nil, ctx.Err()
	}
}

// attendedView is a view whose scans end when the call that asked has ended.
type attendedView struct {
	*state.View
	ended func() error // the Err of the call's context
}

// Scan is [state.View.Scan]; it also returns the error of the call's context.
func (v attendedView) Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	return v.View.Scan(start, end, func(key, value []byte) (bool, error) {
		if err := v.ended(); err != nil {
			return false, err
		}
		return fn(key, value)
	})
}
