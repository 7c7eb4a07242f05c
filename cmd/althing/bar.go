package main

import (
	"fmt"
	"strings"
	"time"
)

// barWidth is how many characters the bar itself has.
const barWidth = 30

// barPause is how often it is drawn at most.
const barPause = 100 * time.Millisecond

// bar shows on a terminal how far something is, and nothing elsewhere.
type bar struct {
	*streams
	drawn time.Time
	phase string
}

func newBar(s *streams) *bar { return &bar{streams: s} }

// show says how much of a phase is done; total is 0 where that is not known.
func (b *bar) show(phase string, done, total int) {
	now := time.Now()
	if !b.terminal || (phase == b.phase && now.Sub(b.drawn) < barPause) {
		return
	}
	b.drawn, b.phase = now, phase
	if total <= 0 {
		fmt.Fprintf(b.err, "\r\x1b[K%s …", phase)
		return
	}
	part := min(max(float64(done)/float64(total), 0), 1)
	full := int(part * barWidth)
	fmt.Fprintf(b.err, "\r\x1b[K%-18s %s%s %3.0f %%", phase, strings.Repeat("█", full), strings.Repeat("░", barWidth-full), 100*part)
}

// clear takes the bar away.
func (b *bar) clear() {
	if b.phase != "" {
		fmt.Fprint(b.err, "\r\x1b[K")
	}
}
