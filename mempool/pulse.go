package mempool

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// defaultPulse is how often a peer is sent a pulse, leastPulse the most often that is allowed.
	defaultPulse = 5 * time.Second
	leastPulse   = 2 * time.Second
	// pulseRate is how many pulses a second are taken from a peer, pulseBurst how many at once: after a connection or this
	// process has stood still, several come together.
	pulseRate  = 1
	pulseBurst = 30
	// pulsesKept is how many pulses that were sent can still be echoed.
	pulsesKept = 4
	// pulsesMissed is how many periods after its last pulse a peer's clock says nothing any more.
	pulsesMissed = 4
	// MaxVersion is the length of the longest version in a pulse, in bytes.
	MaxVersion = 64

	pulseHeadBytes = 33
)

// pulse is what nodes tell each other regularly, so that both know how they stand.
type pulse struct {
	clock  int64  // the sender's, nanoseconds since 1970
	height uint64 // of its newest block
	// echo is the clock of the last pulse that the sender has from the receiver, 0 if none, and age how many nanoseconds ago
	// that came.
	echo, age int64
	version   string // of the program: printable ASCII
}

// encode returns the message: a pulse's kind, its numbers, eight bytes each, big endian, and the version in the rest.
func (p pulse) encode() []byte {
	msg := append(make([]byte, 0, pulseHeadBytes+len(p.version)), kindPulse)
	for _, n := range []uint64{uint64(p.clock), p.height, uint64(p.echo), uint64(p.age)} {
		msg = binary.BigEndian.AppendUint64(msg, n)
	}
	return append(msg, p.version...)
}

// decodePulse returns the pulse in a message, or [ErrMalformedMessage].
func decodePulse(msg []byte) (p pulse, err error) {
	if len(msg) < pulseHeadBytes || len(msg) > pulseHeadBytes+MaxVersion {
		return pulse{}, fmt.Errorf("%w: a pulse of %d bytes, want %d to %d", ErrMalformedMessage, len(msg), pulseHeadBytes, pulseHeadBytes+MaxVersion)
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(msg[1+8*i:]) }
	p = pulse{
		clock: int64(number(0)), height: number(1), echo: int64(number(2)), age: int64(number(3)), version: string(msg[pulseHeadBytes:]),
	}
	if p.clock <= 0 || p.echo < 0 || p.age < 0 || p.echo == 0 && p.age != 0 {
		return pulse{}, fmt.Errorf("%w: a pulse with a time before 1970", ErrMalformedMessage)
	}
	if !validVersion(p.version) {
		return pulse{}, fmt.Errorf("%w: a pulse with a version that is no printable ASCII", ErrMalformedMessage)
	}
	return p, nil
}

// validVersion reports whether a version may stand in a pulse.
func validVersion(version string) bool {
	for _, c := range []byte(version) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return len(version) <= MaxVersion
}

// pulses is what passed between this node and a peer. It is guarded by the peer's mutex.
type pulses struct {
	sent     [pulsesKept]moment // the last ones, in a ring
	next     int                // place in sent
	received pulse              // the last one
	at       time.Time          // when it came, zero if none has
	count    uint64

	tokens float64 // pulses that are taken now
	full   time.Time

	roundTrip time.Duration // 0: unknown
	offset    time.Duration // of the peer's clock, if it is ahead; unknown without a round trip
	measured  time.Time
}

// moment is a time as a pulse has it, and as this node measures time that passes.
type moment struct {
	clock int64
	at    time.Time
}

// make returns the next pulse to the peer.
func (s *pulses) make(now time.Time, height uint64, version string) pulse {
	p := pulse{clock: max(now.UnixNano(), 1), height: height, version: version}
	if !s.at.IsZero() {
		p.echo, p.age = s.received.clock, int64(max(now.Sub(s.at), 0))
	}
	s.sent[s.next%pulsesKept] = moment{p.clock, now}
	s.next++
	return p
}

// take takes note of a pulse from the peer. It reports whether the peer may send so many.
//
// The pulse that is echoed left at a and came to the peer at b; the answer left there at c and came here at d. The round
// trip took (d-a) - (c-b). If both ways took as long, the answer was under way for half of it, and the peer's clock shows
// c plus that half now.
func (s *pulses) take(p pulse, now time.Time) bool {
	if s.count > 0 {
		s.tokens += pulseRate * max(now.Sub(s.full), 0).Seconds()
	} else {
		s.tokens = pulseBurst
	}
	s.tokens, s.full = min(s.tokens, pulseBurst), now
	s.count++
	if s.tokens < 1 {
		return false
	}
	s.tokens--
	s.received, s.at = p, now
	for _, sent := range s.sent {
		if p.echo == 0 || sent.clock != p.echo {
			continue
		}
		// A peer whose time passes unlike ours would have got its answer before it was asked.
		if trip := now.Sub(sent.at) - time.Duration(p.age); trip >= 0 {
			s.roundTrip = max(trip, 1)
			s.offset = time.Duration(p.clock-now.UnixNano()) + trip/2
			s.measured = now
		}
	}
	return true
}

// certain returns what remains of the offset if the way was all in one direction.
func (s *pulses) certain() time.Duration {
	if s.offset < 0 {
		return min(s.offset+s.roundTrip/2, 0)
	}
	return max(s.offset-s.roundTrip/2, 0)
}

// jitter returns about a period, so that the pulses of a mesh do not come together.
func jitter(period time.Duration) time.Duration {
	return period - period/10 + rand.N(period/5)
}

// pulse sends a pulse to a peer.
func (g *Gossip) pulse(p *peer) {
	height := g.cfg.Height()
	p.mu.Lock()
	msg := p.pulses.make(g.cfg.Now(), height, g.cfg.Version).encode()
	p.mu.Unlock()
	if !p.send(msg) {
		p.failed.Add(1) // the next one comes soon
	}
}

// receivePulse takes note of a pulse, if the peer is announced.
func (g *Gossip) receivePulse(p *peer, msg []byte) error {
	got, err := decodePulse(msg)
	if err != nil || p == nil {
		return err
	}
	now := g.cfg.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.pulses.take(got, now) {
		return fmt.Errorf("%w: more than %d a second", ErrTooManyPulses, pulseRate)
	}
	return nil
}

// ClockOffset returns by how much the clocks of this node's peers are ahead of its own, at least: the median over those that
// have pulsed lately and this node itself, which counts as 0, so that a minority that lies moves nothing. Of what is
// measured, half the round trip is taken for the way. It is not known while there is no such peer.
func (g *Gossip) ClockOffset() (offset time.Duration, known bool) {
	since := g.cfg.Now().Add(-pulsesMissed * g.cfg.Pulse)
	offsets := []time.Duration{0}
	for _, p := range g.connected() {
		p.mu.Lock()
		if p.pulses.roundTrip > 0 && p.pulses.measured.After(since) {
			offsets = append(offsets, p.pulses.certain())
		}
		p.mu.Unlock()
	}
	slices.Sort(offsets)
	n := len(offsets)
	return offsets[(n-1)/2]/2 + offsets[n/2]/2, n > 1
}
