package mempool

import "time"

// wish is what this node told its peers last that it wants settled, and when it says so again: a peer may have missed it,
// and one that does not know of it does not move. The zero value wishes for nothing. It belongs to the goroutine of Gossip.Run.
type wish struct {
	expiresAt int64 // nanoseconds since 1970; 0: nothing
	pause     time.Duration
	timer     *time.Timer
}

// grows takes note of what is to be settled now, 0 for nothing, and reports whether peers must be told at once.
func (w *wish) grows(expiresAt int64) bool {
	if expiresAt <= w.expiresAt {
		return false
	}
	w.end()
	w.expiresAt, w.pause = expiresAt, wishPeriod
	w.timer = time.NewTimer(w.pause)
	return true
}

// repeats does the same when it is time to tell peers again.
func (w *wish) repeats(expiresAt int64) bool {
	w.end()
	w.expiresAt = expiresAt
	if expiresAt == 0 {
		return false
	}
	w.pause = min(2*w.pause, wishMost)
	w.timer = time.NewTimer(w.pause)
	return true
}

// again returns a channel that yields when peers are to be told again, nil if there is nothing to tell.
func (w *wish) again() <-chan time.Time {
	if w.timer == nil {
		return nil
	}
	return w.timer.C
}

func (w *wish) end() {
	if w.timer != nil {
		w.timer.Stop()
		w.timer = nil
	}
}

// askToSettle has the senders tell peers what this node wants settled, if anything. A wish moves only the node that has it:
// alone it would wait for a block that nobody proposes.
func askToSettle(peers []*peer, expiresAt int64) {
	if expiresAt == 0 {
		return
	}
	for _, p := range peers {
		p.mu.Lock()
		p.settle = expiresAt
		p.mu.Unlock()
		notify(p.more)
	}
}

// takeSettle returns what the peer is to be asked to settle, 0 for nothing.
func (p *peer) takeSettle() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	expiresAt := p.settle
	p.settle = 0
	return expiresAt
}
