package state

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	dbm "github.com/cometbft/cometbft-db"
	"pgregory.net/rapid"
)

// TestCometDBAgainstMemDB runs random operations on our adapter and on
// CometBFT's own in-memory database and compares everything they answer. The
// neighbouring namespaces hold data that must never show.
func TestCometDBAgainstMemDB(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := mustOpen(rt, testConfig(t.TempDir()))
		defer mustClose(rt, s)
		for _, name := range []string{"blockstore", "evidence"} {
			for _, key := range []string{"\x00", "a", "\xff\xff"} {
				if err := s.CometDB(name).Set([]byte(key), []byte("other")); err != nil {
					rt.Fatal(err)
				}
			}
		}
		ours, theirs := s.CometDB("state"), dbm.DB(dbm.NewMemDB())
		keys := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xff}), 0, 3)
		value := rapid.SliceOfN(rapid.Byte(), 0, 3)
		bound := func(label string) []byte {
			b := keys.Draw(rt, label)
			if rapid.Bool().Draw(rt, label+" open") {
				return nil
			}
			return b
		}
		rt.Repeat(map[string]func(*rapid.T){
			"set": func(rt *rapid.T) {
				k, v := keys.Draw(rt, "key"), value.Draw(rt, "value")
				if rapid.Bool().Draw(rt, "sync") {
					sameErr(rt, ours.SetSync(k, v), theirs.SetSync(k, v))
				} else {
					sameErr(rt, ours.Set(k, v), theirs.Set(k, v))
				}
			},
			"set nil": func(rt *rapid.T) {
				sameErr(rt, ours.Set([]byte("a"), nil), theirs.Set([]byte("a"), nil))
			},
			"delete": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				if rapid.Bool().Draw(rt, "sync") {
					sameErr(rt, ours.DeleteSync(k), theirs.DeleteSync(k))
				} else {
					sameErr(rt, ours.Delete(k), theirs.Delete(k))
				}
			},
			"batch": func(rt *rapid.T) {
				a, b := ours.NewBatch(), theirs.NewBatch()
				for range rapid.IntRange(0, 5).Draw(rt, "ops") {
					k, v := keys.Draw(rt, "key"), value.Draw(rt, "value")
					if rapid.Bool().Draw(rt, "delete") {
						sameErr(rt, a.Delete(k), b.Delete(k))
					} else {
						sameErr(rt, a.Set(k, v), b.Set(k, v))
					}
				}
				switch rapid.IntRange(0, 2).Draw(rt, "end") {
				case 0:
					sameErr(rt, a.Write(), b.Write())
				case 1:
					sameErr(rt, a.WriteSync(), b.WriteSync())
				}
				sameErr(rt, a.Close(), b.Close())
				sameErr(rt, a.Set([]byte("late"), []byte("x")), b.Set([]byte("late"), []byte("x")))
				sameErr(rt, a.Delete([]byte("late")), b.Delete([]byte("late")))
				sameErr(rt, a.Write(), b.Write())
				sameErr(rt, a.WriteSync(), b.WriteSync())
				sameErr(rt, a.Close(), b.Close())
			},
			"get": func(rt *rapid.T) {
				k := keys.Draw(rt, "key")
				v1, err1 := ours.Get(k)
				v2, err2 := theirs.Get(k)
				h1, err3 := ours.Has(k)
				h2, err4 := theirs.Has(k)
				sameErr(rt, err1, err2)
				sameErr(rt, err3, err4)
				if !bytes.Equal(v1, v2) || (v1 == nil) != (v2 == nil) || h1 != h2 {
					rt.Fatalf("%x: %#v %v, want %#v %v", k, v1, h1, v2, h2)
				}
			},
			"iterate": func(rt *rapid.T) {
				start, end := bound("start"), bound("end")
				a, err1 := ours.Iterator(start, end)
				b, err2 := theirs.Iterator(start, end)
				sameErr(rt, err1, err2)
				if err1 == nil {
					sameIteration(rt, a, b)
				}
				a, err1 = ours.ReverseIterator(start, end)
				b, err2 = theirs.ReverseIterator(start, end)
				sameErr(rt, err1, err2)
				if err1 == nil {
					sameIteration(rt, a, b)
				}
			},
		})
	})
}

func sameErr(rt *rapid.T, ours, theirs error) {
	rt.Helper()
	if (ours == nil) != (theirs == nil) {
		rt.Fatalf("error is %v, want %v", ours, theirs)
	}
}

func sameIteration(rt *rapid.T, a, b dbm.Iterator) {
	rt.Helper()
	s1, e1 := a.Domain()
	s2, e2 := b.Domain()
	if !bytes.Equal(s1, s2) || !bytes.Equal(e1, e2) {
		rt.Fatalf("domain %x to %x, want %x to %x", s1, e1, s2, e2)
	}
	for b.Valid() {
		if !a.Valid() || !bytes.Equal(a.Key(), b.Key()) || !bytes.Equal(a.Value(), b.Value()) {
			rt.Fatalf("not at %x", b.Key())
		}
		a.Next()
		b.Next()
	}
	if a.Valid() {
		rt.Fatalf("goes on at %x", a.Key())
	}
	if !panics(func() { a.Next() }) || !panics(func() { a.Key() }) || !panics(func() { a.Value() }) {
		rt.Fatal("an iterator past its end must panic")
	}
	if err := errors.Join(a.Error(), a.Close(), a.Close(), b.Close()); err != nil {
		rt.Fatal(err)
	}
}

func panics(f func()) (yes bool) {
	defer func() { yes = recover() != nil }()
	f()
	return false
}

func TestCometDBIteratorIsASnapshot(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	defer mustClose(t, s)
	db := s.CometDB("blockstore")
	for i := range 10 {
		if err := db.Set(fmt.Appendf(nil, "k%d", i), []byte("v")); err != nil {
			t.Fatal(err)
		}
	}
	it, err := db.Iterator(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; it.Valid(); it.Next() { // as CometBFT prunes
		if err := db.Delete(it.Key()); err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 10 || it.Error() != nil {
		t.Fatalf("saw %d keys, %v", n, it.Error())
	}
	if err := errors.Join(it.Close(), db.Compact(nil, nil), db.Close()); err != nil {
		t.Fatal(err)
	}
	if has, err := db.Has([]byte("k3")); has || err != nil {
		t.Fatal("closing the adapter must not close the store", has, err)
	}
	if stats := db.Stats(); stats["pebble"] == "" {
		t.Fatal("no statistics")
	}
}

func TestCometDBAfterClose(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testConfig(t.TempDir()))
	db := s.CometDB("state")
	batch := db.NewBatch()
	if err := batch.Set([]byte("a"), []byte("b")); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	_, getErr := db.Get([]byte("a"))
	_, iterErr := db.Iterator(nil, nil)
	for i, err := range []error{getErr, iterErr, db.SetSync([]byte("a"), []byte("b")), db.Delete([]byte("a")), batch.Write()} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	if !panics(func() { s.CometDB("tx_index") }) {
		t.Error("an unknown database must panic")
	}
}
