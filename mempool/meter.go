package mempool

import "time"

// meter measures how much is done per time, with a memory of some ten measurements. The zero value has seen nothing.
type meter struct {
	done    float64
	seconds float64
	times   float64
}

const (
	meterDecay = 0.9
	minRetry   = 100 * time.Millisecond
	maxRetry   = 5 * time.Second
)

func (m *meter) add(n int, took time.Duration) {
	m.done = m.done*meterDecay + float64(n)
	m.seconds = m.seconds*meterDecay + took.Seconds()
	m.times = m.times*meterDecay + 1
}

// each returns how much was done each time, 0 if nothing was measured.
func (m *meter) each() int {
	if m.times == 0 {
		return 0
	}
	return int(m.done / m.times)
}

// pace returns how long one takes, at most [minRetry], and unknown if nothing was measured.
func (m *meter) pace(unknown time.Duration) time.Duration {
	switch {
	case m.times == 0:
		return min(unknown, minRetry)
	case m.done <= 0:
		return minRetry
	}
	return min(time.Duration(m.seconds/m.done*float64(time.Second)), minRetry)
}

// in returns how much is done in d, 0 if nothing was measured.
func (m *meter) in(d time.Duration) int {
	if m.seconds <= 0 {
		return 0
	}
	return int(min(m.done/m.seconds*d.Seconds(), 1e9))
}

// until estimates when n more are done, for a [FullError].
func (m *meter) until(n int) time.Duration {
	if m.done <= 0 {
		return time.Second
	}
	seconds := float64(n) * m.seconds / m.done
	return time.Duration(min(max(seconds, minRetry.Seconds()), maxRetry.Seconds()) * float64(time.Second)).Round(time.Millisecond)
}
