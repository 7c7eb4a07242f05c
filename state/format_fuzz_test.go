package state

import (
	"bytes"
	"math"
	"testing"
	"time"
)

func FuzzDecodeNode(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x02\x01k\x01v"))
	f.Add(append(append([]byte("\x02\x04\x01k\x20"), make([]byte, 32)...), 0, 2, 2, 2, 4))
	f.Fuzz(func(t *testing.T, data []byte) {
		n, err := decodeNode(data)
		if err == nil && !n.leaf() && len(n.hash) != 32 {
			t.Fatalf("accepted a hash of %d bytes", len(n.hash))
		}
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(record{time: testTime(1), root: make([]byte, 32)}.encode())
	f.Add(record{time: time.Unix(math.MaxInt32, 999999999), root: make([]byte, 32)}.encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, err := decodeRecord(data)
		if err != nil {
			return
		}
		if again, err := decodeRecord(rec.encode()); err != nil || !again.time.Equal(rec.time) || !bytes.Equal(again.root, rec.root) {
			t.Fatalf("%v, %v: %v", rec, again, err)
		}
	})
}
