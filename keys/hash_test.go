package keys

import (
	"bytes"
	"crypto/sha256"
	"testing"
)

// plainTagged is the tagged hash as the specification writes it.
func plainTagged(tag string, message []byte) [32]byte {
	h := sha256.Sum256([]byte(tag))
	input := append(append([]byte{}, h[:]...), h[:]...)
	return sha256.Sum256(append(input, message...))
}

func TestTaggedHash(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{7}, 4000)
	for _, n := range []int{0, 1, 32, stackInput - 65, stackInput - 64, stackInput - 63, 4000} {
		want := TaggedHash("t", long[:n])
		if got := TaggedHash("t", long[:n/2], nil, long[n/2:n]); got != want {
			t.Errorf("%d bytes in parts hash differently", n)
		}
		if TaggedHash("u", long[:n]) == want {
			t.Errorf("%d bytes hash alike under two tags", n)
		}
	}
	tag := NewTag("t")
	for n, path := range map[int]string{stackInput - 64: "stack", stackInput - 63: "stream"} {
		if got, want := tag.Hash(long[:n]), plainTagged("t", long[:n]); got != want {
			t.Errorf("%s: %x, want %x", path, got, want)
		}
	}
}

// TestHashAllocations is not parallel, because it counts allocations.
func TestHashAllocations(t *testing.T) {
	tag := NewTag("t")
	a, b := make([]byte, 32), make([]byte, 4096)
	if n := testing.AllocsPerRun(100, func() { tag.Hash(a); TaggedHash("althing/tx/v1", a, a) }); n != 0 {
		t.Errorf("%v allocations for a short input", n)
	}
	if n := testing.AllocsPerRun(100, func() { tag.Hash(a, b) }); n > 1 {
		t.Errorf("%v allocations for a long input", n)
	}
}
