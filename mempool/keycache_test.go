package mempool

import (
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/althing-ledger/althing/keys"
)

// TestKeyCache: ECDSA keys get tables with their second valid signature, others never, keys without a valid one neither, and both
// caches stay within their bounds.
func TestKeyCache(t *testing.T) {
	t.Parallel()
	c, err := newKeyCache(8, 4)
	if err != nil {
		t.Fatal(err)
	}
	for _, scheme := range []keys.Scheme{keys.SchemeSchnorr, keys.SchemeECDSA, keys.SchemeEd25519} {
		for i := range 10 {
			private := newKey(t, scheme, strconv.Itoa(i))
			digest := [32]byte{byte(i)}
			sig, err := private.Sign(digest)
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				pub, err := c.parse(scheme, private.Public().Bytes())
				if err != nil || !pub.Equal(private.Public()) {
					t.Fatalf("%v, %v", pub, err)
				}
				if err := pub.Verify(digest, sig); err != nil {
					t.Fatal(err)
				}
				if scheme == keys.SchemeECDSA {
					c.valid(private.Public().Bytes())
				}
			}
		}
		want := 0
		if scheme != keys.SchemeSchnorr {
			want = 4 // those of ECDSA
		}
		if c.tables.Len() != want || c.parsed.Len() > 8 {
			t.Errorf("after %v: %d tables and %d other keys", scheme, c.tables.Len(), c.parsed.Len())
		}
	}
	tables := c.tables.Keys()
	for i := range 8 {
		for range 3 {
			if _, err := c.parse(keys.SchemeECDSA, newKey(t, keys.SchemeECDSA, "stranger "+strconv.Itoa(i)).Public().Bytes()); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := c.tables.Keys(); !slices.Equal(got, tables) {
		t.Error("keys under which nothing was valid displaced tables")
	}
	for _, raw := range [][]byte{nil, make([]byte, 33), make([]byte, 1<<16)} {
		for range 2 {
			if _, err := c.parse(keys.SchemeECDSA, raw); !errors.Is(err, keys.ErrPublicKey) {
				t.Errorf("%d bytes: %v", len(raw), err)
			}
		}
	}
	if _, err := c.parse(99, nil); !errors.Is(err, keys.ErrScheme) {
		t.Error(err)
	}
}
