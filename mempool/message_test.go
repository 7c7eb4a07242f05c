package mempool

import (
	"bytes"
	"errors"
	"testing"
)

func TestMessageRoundTrip(t *testing.T) {
	t.Parallel()
	for _, raws := range [][][]byte{
		{{1}},
		{bytes.Repeat([]byte{7}, 127), bytes.Repeat([]byte{8}, 128), {9}},
		{make([]byte, MaxTxBytes)},
	} {
		msg := encodeMessage(raws)
		got, err := decodeMessage(msg)
		if err != nil || len(got) != len(raws) {
			t.Fatalf("decode: %d transactions, %v", len(got), err)
		}
		for i := range raws {
			if !bytes.Equal(got[i], raws[i]) {
				t.Errorf("transaction %d differs", i)
			}
		}
	}
	if n := len(encodeMessage([][]byte{make([]byte, MaxTxBytes)})); n != MaxMessageBytes {
		t.Errorf("the largest transaction makes a message of %d bytes, MaxMessageBytes is %d", n, MaxMessageBytes)
	}
}

// malformed are messages that no node sends.
var malformed = map[string][]byte{
	"nothing":           {},
	"kind only":         {1},
	"another kind":      {4, 1, 0},
	"zero length":       {1, 0},
	"cut off":           {1, 2, 0},
	"length cut off":    {1, 0x80},
	"longer than needs": {1, 0x81, 0x00, 5},
	"too large":         {1, 0x81, 0x80, 0x80, 0x02},
	"overflow":          {1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
	"too many":          append([]byte{1}, bytes.Repeat([]byte{1, 0}, maxMessageTxs+1)...),
}

func TestMalformedMessages(t *testing.T) {
	t.Parallel()
	for name, msg := range malformed {
		if _, err := decodeMessage(msg); !errors.Is(err, ErrMalformedMessage) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := decodeMessage(make([]byte, MaxMessageBytes+1)); !errors.Is(err, ErrMalformedMessage) {
		t.Errorf("message above the maximum: %v", err)
	}
}

func TestSettleMessages(t *testing.T) {
	t.Parallel()
	const at = 1_800_000_000_000_000_000
	if got, is, err := decodeSettle(encodeSettle(at)); got != at || !is || err != nil {
		t.Errorf("decoded %d, %v, %v", got, is, err)
	}
	if _, is, err := decodeSettle(encodeMessage([][]byte{{1}})); is || err != nil {
		t.Errorf("transactions are taken for a wish to settle: %v", err)
	}
	for _, msg := range [][]byte{{2}, {2, 1, 2, 3}, append(encodeSettle(at), 0), encodeSettle(0), encodeSettle(-1)} {
		if _, is, err := decodeSettle(msg); !is || !errors.Is(err, ErrMalformedMessage) {
			t.Errorf("%x: %v, %v", msg, is, err)
		}
	}
}

// FuzzMessage: whatever decodes encodes to the same bytes, and nothing else is accepted.
func FuzzMessage(f *testing.F) {
	for _, msg := range malformed {
		f.Add(msg)
	}
	f.Add(encodeMessage([][]byte{{1}, bytes.Repeat([]byte{2}, 300), {3, 4}}))
	f.Add(encodeSettle(1_800_000_000_000_000_000))
	for _, msg := range malformedPulses {
		f.Add(msg)
	}
	f.Add(pulse{clock: 1_800_000_000_000_000_000, height: 5, echo: 1, age: 2, version: "v0.1.0"}.encode())
	f.Fuzz(func(t *testing.T, msg []byte) {
		if expiresAt, is, err := decodeSettle(msg); is {
			if again := encodeSettle(expiresAt); err == nil && !bytes.Equal(again, msg) {
				t.Fatalf("%x decodes and encodes to %x", msg, again)
			}
			return
		}
		if len(msg) > 0 && msg[0] == kindPulse {
			if p, err := decodePulse(msg); err == nil && !bytes.Equal(p.encode(), msg) {
				t.Fatalf("%x decodes and encodes to %x", msg, p.encode())
			} else if err != nil && !errors.Is(err, ErrMalformedMessage) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		raws, err := decodeMessage(msg)
		if err != nil {
			if !errors.Is(err, ErrMalformedMessage) {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if again := encodeMessage(raws); !bytes.Equal(again, msg) {
			t.Fatalf("%x decodes and encodes to %x", msg, again)
		}
	})
}
