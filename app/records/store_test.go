package records

import (
	"bytes"
	"testing"
)

func FuzzDecodeHead(f *testing.F) {
	f.Add(encodeHead(1))
	f.Add(encodeHead(1 << 63))
	f.Add(make([]byte, 9))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		version, err := decodeHead(b)
		if err == nil && (version == 0 || !bytes.Equal(encodeHead(version), b)) {
			t.Errorf("%x is a second encoding of %d", b, version)
		}
	})
}

func TestVersionsOfNeighboursDoNotMix(t *testing.T) {
	t.Parallel()
	// The ids are such that one is the beginning of the other, with every character that may follow.
	for _, other := range []string{"acme/ab/1-", "acme/ab/1.", "acme/ab/10", "acme/ab/1A", "acme/ab/1_", "acme/ab-/1"} {
		if bytes.HasPrefix(versionKey(other, 1), historyRange("acme/ab/1")) {
			t.Errorf("the versions of %s stand among those of acme/ab/1", other)
		}
		if bytes.HasPrefix(headKey("acme/ab-/1"), headRange("acme/ab")) {
			t.Error("the records of acme/ab- stand among those of acme/ab")
		}
	}
	if bytes.Compare(versionKey("acme/ab/1", 255), versionKey("acme/ab/1", 256)) >= 0 {
		t.Error("versions are not in order")
	}
}
