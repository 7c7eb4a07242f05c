package exec_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/app/exec"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

func TestValues(t *testing.T) {
	t.Parallel()
	var kv statetest.Memory
	want := &accountsv1.Org{Name: "acme", Admins: 3}
	if err := exec.Put(&kv, []byte("k"), want); err != nil {
		t.Fatal(err)
	}
	got := new(accountsv1.Org)
	if found, err := exec.Get(&kv, []byte("k"), got); err != nil || !found || !proto.Equal(got, want) {
		t.Error(got, found, err)
	}
	if found, err := exec.Get(&kv, []byte("absent"), got); err != nil || found {
		t.Error(found, err)
	}
	// A message with nothing in it is a value all the same.
	if err := exec.Put(&kv, []byte("empty"), &accountsv1.Org{}); err != nil {
		t.Fatal(err)
	}
	if value, _ := kv.Get([]byte("empty")); string(value) != "\x01" {
		t.Errorf("%x", value)
	}
	for _, value := range [][]byte{{}, {2, 10, 4}, {1, 10, 4}} {
		if err := exec.Decode(value, new(accountsv1.Org)); err == nil {
			t.Errorf("%x is decoded", value)
		}
	}
	kv.Set([]byte("k"), []byte{9})
	if found, err := exec.Get(&kv, []byte("k"), got); err == nil || found || !strings.Contains(err.Error(), hex.EncodeToString([]byte("k"))) {
		t.Error(found, err)
	}
	kv.Fail = statetest.ErrInjected
	if found, err := exec.Get(&kv, []byte("k"), got); !errors.Is(err, statetest.ErrInjected) || found {
		t.Error(found, err)
	}
}

func numbers(n int) *statetest.Memory {
	kv := new(statetest.Memory)
	for i := range n {
		kv.Set([]byte(fmt.Sprintf("n%04d", i)), []byte{1})
	}
	kv.Set([]byte("m"), []byte{1})
	kv.Set([]byte("o"), []byte{1})
	return kv
}

func TestListPagesMeetWithoutGapOrOverlap(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 2, 3, 7, 8} {
		for size := range uint32(9) {
			seen, pages, page := 0, 0, ""
			for first := true; first || page != ""; first = false {
				var err error
				page, err = exec.List(numbers(n), []byte("n"), page, size, func(key, _ []byte) error {
					if want := fmt.Sprintf("n%04d", seen); string(key) != want {
						t.Fatalf("%d in pages of %d: got %s, want %s", n, size, key, want)
					}
					seen++
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				pages++
			}
			wantPages := 1
			if size > 0 && n > 0 {
				wantPages = (n + int(size) - 1) / int(size)
			}
			if seen != n || pages != wantPages {
				t.Errorf("%d in pages of %d: %d on %d pages, want %d", n, size, seen, pages, wantPages)
			}
		}
	}
}

func TestListSome(t *testing.T) {
	t.Parallel()
	// Every third is taken; a page looks at five at most.
	var taken []string
	pages, page := 0, ""
	for first := true; first || page != ""; first = false {
		looked := 0
		var err error
		page, err = exec.ListSome(numbers(12), []byte("n"), page, 2, func(key, _ []byte) (exec.Step, error) {
			looked++
			if (key[len(key)-1]-'0')%3 == 0 {
				taken = append(taken, string(key))
				if looked == 5 {
					return exec.TakeLast, nil
				}
				return exec.Take, nil
			}
			if looked == 5 {
				return exec.SkipLast, nil
			}
			return exec.Skip, nil
		})
		if err != nil || looked > 5 {
			t.Fatal(looked, err)
		}
		pages++
	}
	if got := strings.Join(taken, " "); got != "n0000 n0003 n0006 n0009 n0010" || pages != 4 {
		t.Errorf("%s on %d pages", got, pages)
	}
}

func TestListBounds(t *testing.T) {
	t.Parallel()
	count := 0
	each := func(_, _ []byte) error { count++; return nil }
	if next, err := exec.List(numbers(200), []byte("n"), "", 0, each); err != nil || next == "" || count != 100 {
		t.Error(count, next, err)
	}
	for name, page := range map[string]string{"no hex": "zz", "odd": "abc", "long": strings.Repeat("00", 513)} {
		if _, err := exec.List(numbers(1), []byte("n"), page, 1, each); !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_BAD_FIELD}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := exec.List(numbers(1), []byte("n"), "", 1001, each); !errors.Is(err, &tx.Rejection{Code: ledgerv1.Code_CODE_BAD_FIELD}) {
		t.Error(err)
	}
	// A page that somebody made up leads nowhere else.
	count = 0
	if _, err := exec.List(numbers(3), []byte("n"), "ffff", 1, each); err != nil || count != 0 {
		t.Error(count, err)
	}
	failed := errors.New("failed")
	if _, err := exec.List(numbers(3), []byte("n"), "", 1, func(_, _ []byte) error { return failed }); !errors.Is(err, failed) {
		t.Error(err)
	}
	broken := &statetest.Memory{Fail: statetest.ErrInjected}
	if _, err := exec.List(broken, []byte("n"), "", 1, each); !errors.Is(err, statetest.ErrInjected) {
		t.Error(err)
	}
}

func TestListOverAView(t *testing.T) {
	t.Parallel()
	store := statetest.New(t)
	statetest.Commit(t, store, func(o *state.Overlay) {
		for _, key := range []string{"a1", "a2", "a3", "b1"} {
			o.Set([]byte(key), []byte{1})
		}
	})
	view := store.Latest()
	defer view.Release()
	var keys []string
	next, err := exec.List(view, []byte("a"), "", 2, func(key, _ []byte) error { keys = append(keys, string(key)); return nil })
	if err != nil || next != hex.EncodeToString([]byte("3")) || strings.Join(keys, " ") != "a1 a2" {
		t.Error(keys, next, err)
	}
}
