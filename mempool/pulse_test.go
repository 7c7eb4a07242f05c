package mempool

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPulseMessages(t *testing.T) {
	t.Parallel()
	for _, p := range []pulse{
		{clock: 1},
		{clock: 1_800_000_000_000_000_000, height: 1<<64 - 1, echo: 1<<63 - 1, age: 1<<63 - 1, version: "v1.2.3 (abc)"},
		{clock: 5, echo: 6, version: strings.Repeat("~", MaxVersion)},
	} {
		if got, err := decodePulse(p.encode()); err != nil || got != p {
			t.Errorf("%+v became %+v, %v", p, got, err)
		}
	}
	for name, msg := range malformedPulses {
		if got, err := decodePulse(msg); !errors.Is(err, ErrMalformedMessage) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// malformedPulses are pulses that no node sends.
var malformedPulses = map[string][]byte{
	"kind only":         {kindPulse},
	"cut off":           pulse{clock: 1}.encode()[:pulseHeadBytes-1],
	"before 1970":       pulse{clock: -1}.encode(),
	"no clock":          pulse{height: 1}.encode(),
	"echo before 1970":  pulse{clock: 1, echo: -1}.encode(),
	"echo of to-morrow": pulse{clock: 1, echo: 1, age: -1}.encode(),
	"age of nothing":    pulse{clock: 1, age: 1}.encode(),
	"version too long":  pulse{clock: 1, version: strings.Repeat("v", MaxVersion+1)}.encode(),
	"line feed":         pulse{clock: 1, version: "v1\n"}.encode(),
	"no ASCII":          pulse{clock: 1, version: "v1\u00e4"}.encode(),
}

// TestPulsesTaken: what is learnt from one answer, by the formulas of NTP, and what is not.
func TestPulsesTaken(t *testing.T) {
	t.Parallel()
	began := time.Unix(1_800_000_000, 0)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	clock := func(ms int) int64 { return at(ms).UnixNano() }
	const ms = int64(time.Millisecond)
	for _, test := range []struct {
		name         string
		sent         []int // when we sent pulses
		got          pulse
		came         int
		trip, offset time.Duration
	}{
		{"nothing to echo", nil, pulse{clock: clock(30)}, 50, 0, 0},
		{"an answer at once", []int{0}, pulse{clock: clock(20), echo: clock(0)}, 40, 40 * time.Millisecond, 0},
		{"an answer later", []int{0}, pulse{clock: clock(4020), echo: clock(0), age: 4000 * ms}, 4040, 40 * time.Millisecond, 0},
		{"a clock that is ahead", []int{0}, pulse{clock: clock(60_020), echo: clock(0)}, 40, 40 * time.Millisecond, time.Minute},
		{"a clock that is behind", []int{0}, pulse{clock: clock(-59_980), echo: clock(0)}, 40, 40 * time.Millisecond, -time.Minute},
		{"no time passed", []int{0}, pulse{clock: clock(0), echo: clock(0)}, 0, 1, 0},
		{"of the last but one", []int{0, 1000}, pulse{clock: clock(1020), echo: clock(0), age: 1000 * ms}, 1040, 40 * time.Millisecond, 0},
		{"of none that was sent", []int{0}, pulse{clock: clock(20), echo: clock(1)}, 40, 0, 0},
		{"of one long ago", []int{0, 1, 2, 3, 4}, pulse{clock: clock(20), echo: clock(0)}, 40, 0, 0},
		{"older than the question", []int{0}, pulse{clock: clock(20), echo: clock(0), age: 41 * ms}, 40, 0, 0},
		{"the end of time", []int{0}, pulse{clock: 1<<63 - 1, echo: clock(0)}, 40, 40 * time.Millisecond,
			time.Duration(1<<63-1-clock(40)) + 20*time.Millisecond},
	} {
		var s pulses
		for _, sent := range test.sent {
			s.make(at(sent), 1, "")
		}
		if !s.take(test.got, at(test.came)) {
			t.Errorf("%s: too many", test.name)
		}
		if s.roundTrip != test.trip || s.offset != test.offset {
			t.Errorf("%s: round trip %v, offset %v, want %v, %v", test.name, s.roundTrip, s.offset, test.trip, test.offset)
		}
	}
}

// TestPulses: two nodes whose clocks differ learn of each other, over a slow line, and go on doing so.
func TestPulses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const ahead, way = 40 * time.Second, 30 * time.Millisecond
		later := func() time.Time { return time.Now().Add(ahead) }
		a := newNodeWith(t, "a", Config{Height: 7}, GossipConfig{Version: "v1"})
		b := newNodeWith(t, "b", Config{Now: later}, GossipConfig{Version: "v2", Height: func() uint64 { return 9 }})
		a.gossip.AddPeer("b", func(msg []byte) bool {
			time.AfterFunc(way, func() { b.receive("a", msg) })
			return true
		})
		b.gossip.AddPeer("a", func(msg []byte) bool {
			time.AfterFunc(way, func() { a.receive("b", msg) })
			return true
		})
		if _, known := a.gossip.ClockOffset(); known {
			t.Error("a knows its peers' clocks before anybody has pulsed")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if s := a.gossip.Peers()["b"]; s.Pulses != 1 || s.Height != 9 || s.Version != "v2" || s.RoundTrip != 0 {
			t.Errorf("after the first pulse: %+v", s)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		s := a.gossip.Peers()["b"]
		if s.Pulses < 11 || s.Pulses > 15 || time.Since(s.LastPulse) > 6*time.Second || s.RoundTrip != 2*way || s.ClockOffset != ahead {
			t.Errorf("a on b: %+v", s)
		}
		if s := b.gossip.Peers()["a"]; s.Height != 7 || s.Version != "v1" || s.RoundTrip != 2*way || s.ClockOffset != -ahead {
			t.Errorf("b on a: %+v", s)
		}
		if offset, known := a.gossip.ClockOffset(); !known || offset != (ahead-way)/2 {
			t.Errorf("by the median of b and a itself, a is off by %v, known %v", offset, known)
		}
		for _, n := range []*node{a, b} {
			select {
			case <-n.pool.Wake():
				t.Errorf("%s was woken", n.name)
			default:
			}
			if n.pool.WantsBlock() {
				t.Errorf("%s wants a block", n.name)
			}
		}
		// Who has not pulsed lately has no say.
		b.gossip.RemovePeer("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, known := a.gossip.ClockOffset(); known {
			t.Error("a knows its peers' clocks though b has been silent for a minute")
		}
		end(a, b)
	})
}

// TestClockOffset: the median of the peers' clocks and our own.
func TestClockOffset(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offsets []time.Duration
		trip    time.Duration
		want    time.Duration
	}{
		{nil, 0, 0},
		{[]time.Duration{60}, 0, 30},
		{[]time.Duration{60, 60}, 0, 60},
		{[]time.Duration{60, 0}, 0, 0},
		{[]time.Duration{-60, -61, -59}, 0, -59}, // between -60 and -59
		{[]time.Duration{1 << 60, 1, -1}, 0, 0},
		{[]time.Duration{1 << 62, 1 << 62}, 0, 1 << 62},
		{[]time.Duration{60, 60}, 20, 50}, // what the way may have taken is not held against anybody
		{[]time.Duration{-60, -60}, 20, -50},
		{[]time.Duration{60, 60}, 200, 0},
	} {
		g, err := NewGossip(GossipConfig{Pool: mustPool(t)})
		if err != nil {
			t.Fatal(err)
		}
		for i, offset := range test.offsets {
			id := string(rune('a' + i))
			g.AddPeer(id, func([]byte) bool { return true })
			g.peers[id].pulses = pulses{roundTrip: max(test.trip, 1), offset: offset, measured: time.Now()}
		}
		if got, known := g.ClockOffset(); got != test.want || known != (len(test.offsets) > 0) {
			t.Errorf("%v: %v, known %v; want %v", test.offsets, got, known, test.want)
		}
	}
}

func mustPool(t *testing.T) *Pool {
	t.Helper()
	p, err := NewPool(newLedger().config(t, Config{}))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestTooManyPulses: a peer may pulse once a second on average, and a few more times when its connection was congested.
func TestTooManyPulses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g, err := NewGossip(GossipConfig{Pool: mustPool(t)})
		if err != nil {
			t.Fatal(err)
		}
		g.AddPeer("b", func([]byte) bool { return true })
		msg := pulse{clock: 1}.encode()
		if err := g.Receive("unknown", msg); err != nil {
			t.Errorf("a peer that is not announced yet: %v", err)
		}
		for round := range 3 {
			for i := range pulseBurst {
				if err := g.Receive("b", msg); err != nil {
					t.Errorf("pulse %d of round %d: %v", i, round, err)
				}
			}
			if err := g.Receive("b", msg); !errors.Is(err, ErrTooManyPulses) {
				t.Errorf("one more than that: %v", err)
			}
			time.Sleep(pulseBurst * time.Second / pulseRate)
		}
		for range 100 {
			if err := g.Receive("b", msg); err != nil {
				t.Errorf("one a second: %v", err)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestGossipConfig(t *testing.T) {
	t.Parallel()
	_, err := NewGossip(GossipConfig{Version: "v1\n", Pulse: time.Second})
	if !errors.Is(err, ErrInvalidConfig) {
		t.Fatalf("%v", err)
	}
	for _, name := range []string{"Pool", "Version", "Pulse"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%q does not name %s", err, name)
		}
	}
}
