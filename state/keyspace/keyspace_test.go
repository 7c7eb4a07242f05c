package keyspace

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		got  []byte
		want string
	}{
		{Key(PrefixChain), "\x01"},
		{Key(PrefixOrgs, "acme"), "\x03acme"},
		{Key(PrefixAccounts, "acme", "alice"), "\x05acme\x00alice"},
		{Key(PrefixAccounts, "acme", ""), "\x05acme\x00"},
		{Uint64(Key(PrefixRecordHistory, "acme", "bills", "1", ""), 258), "\x22acme\x00bills\x001\x00\x00\x00\x00\x00\x00\x00\x01\x02"},
		{PrefixEnd([]byte("a\xff\xff")), "b"},
		{PrefixEnd([]byte("ab")), "ac"},
	} {
		if string(test.got) != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
	if PrefixEnd(nil) != nil || PrefixEnd([]byte{0xff, 0xff}) != nil {
		t.Error("a prefix without an end")
	}
	defer func() {
		if recover() == nil {
			t.Error("a part with a zero byte must panic")
		}
	}()
	Key(PrefixOrgs, "a\x00b")
}

// TestKeyOrder checks that all keys below leading parts, and no others, are in
// their range, and that keys sort as their parts do.
func TestKeyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		part := rapid.StringMatching(`[a-c-]{1,3}`)
		a := []string{part.Draw(rt, "a1"), part.Draw(rt, "a2")}
		b := []string{part.Draw(rt, "b1"), part.Draw(rt, "b2")}
		x, y := Key(PrefixBalances, a...), Key(PrefixBalances, b...)
		if got, want := bytes.Compare(x, y), slices.Compare(a, b); got != want {
			rt.Fatalf("%q and %q: order %d, want %d", a, b, got, want)
		}
		start, end := PrefixRange(Key(PrefixBalances, a[0], ""))
		in := bytes.Compare(start, y) <= 0 && bytes.Compare(y, end) < 0
		if in != (a[0] == b[0]) {
			rt.Fatalf("%q in the range of %q: %v", b, a[0], in)
		}
	})
}
