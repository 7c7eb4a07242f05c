package mempool

import "time"

const (
	// conductWindow is over how many judged offers a peer's conduct is looked at, conductLeast how many suffice for a view.
	conductWindow = 1000
	conductLeast  = 200
	// poorRate is how many offers per second are taken from a peer most of whose offers are refused, poorBurst how many at
	// once.
	poorRate  = 100
	poorBurst = 100
)

// conduct says how much is taken from a peer: less while more than half of what was judged of it lately was refused. What
// was known already or found no room says nothing, because it costs next to nothing. It is guarded by the queue's mutex.
type conduct struct {
	judged, refused uint64 // of the peer's offers ever, when the window began
	poor            bool
	tokens          float64   // offers that may be taken now; only while poor
	at              time.Time // that this was so
}

// allowance returns how many of n offers may be taken now from a peer of whose offers so many were judged and refused so
// far.
func (c *conduct) allowance(n int, judged, refused uint64, now time.Time) int {
	seen, bad := judged-c.judged, refused-c.refused
	if seen >= conductLeast {
		poor := 2*bad > seen
		if poor && !c.poor {
			c.tokens, c.at = poorBurst, now
		}
		c.poor = poor
	}
	if seen >= conductWindow {
		c.judged, c.refused = judged, refused
	}
	if !c.poor {
		return n
	}
	c.tokens = min(c.tokens+poorRate*max(now.Sub(c.at), 0).Seconds(), poorBurst)
	c.at = now
	n = min(n, int(c.tokens))
	c.tokens -= float64(n)
	return n
}
