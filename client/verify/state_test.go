package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	ics23 "github.com/cosmos/ics23/go"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/client/verify"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

func TestState(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	absent := []byte("\x05acme\x00a05x")
	w, err := trust.State(c.state(4, append(touched(), absent)...))
	if err != nil {
		t.Fatal(err)
	}
	if w.Height() != 4 || !w.BlockTime().Equal(c.blocks[3].header.Time) {
		t.Error(w.Height(), w.BlockTime())
	}
	for _, test := range []struct {
		key, value []byte
		err        error
	}{
		{holdingKey("acme", "alice"), []byte{1, 4}, nil},
		{holdingKey("globex", "bob"), []byte{2, 4}, nil},
		{holdKey(), nil, nil},
		{absent, nil, nil},
		{holdingKey("acme", "carol"), nil, verify.ErrNotCovered},
		{append(absent, 'x'), nil, verify.ErrNotCovered}, // in the same gap, and not what was asked
		{nil, nil, verify.ErrNotCovered},
	} {
		value, err := w.Get(test.key)
		if !bytes.Equal(value, test.value) || !errors.Is(err, test.err) {
			t.Errorf("%x: %x, %v", test.key, value, err)
		}
	}
	count := 0
	w.Each(func(key, value []byte) bool { count++; return count < 3 })
	if count != 3 {
		t.Error(count)
	}
}

// TestIdleTip proves a state by the header of its own block, which changed nothing.
func TestIdleTip(t *testing.T) {
	t.Parallel()
	c := small(t)
	c.add(content{evidence: true})
	c.add(content{})
	trust := c.trust(8)
	own := func(height, root uint64) *proofv1.StateProof {
		return &proofv1.StateProof{Height: height, Signed: c.signed(height), Keys: c.prove(root, holdingKey("acme", "alice"))}
	}
	w, err := trust.State(own(6, 6))
	if err != nil || w.Height() != 6 || !w.BlockTime().Equal(c.blocks[5].header.Time) {
		t.Fatal(err)
	}
	// The first block, one with transactions and one with evidence did something.
	first := &proofv1.StateProof{Height: 1, Signed: c.signed(1), Keys: c.prove(1, holdingKey("acme", "alice"))}
	for _, p := range []*proofv1.StateProof{first, own(4, 3), own(7, 6)} {
		_, err = trust.State(p)
		wantKind(t, err, verify.ErrHeight)
	}
	p := own(6, 6)
	p.Header = c.header(6)
	_, err = trust.State(p)
	wantKind(t, err, verify.ErrSurplus)
}

func TestStateRefusals(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	keys := [][]byte{holdingKey("acme", "alice"), holdingKey("globex", "bob"), []byte("\x05acme\x00a05x")}
	for name, test := range map[string]struct {
		kind   verify.ErrorKind
		change func(*proofv1.StateProof)
	}{
		"nothing":          {verify.ErrMalformed, func(p *proofv1.StateProof) { proto.Reset(p) }},
		"no header":        {verify.ErrMalformed, func(p *proofv1.StateProof) { p.Header = nil }},
		"another header":   {verify.ErrHeight, func(p *proofv1.StateProof) { p.Header = c.header(3) }},
		"another height":   {verify.ErrSurplus, func(p *proofv1.StateProof) { p.Height++ }},
		"far height":       {verify.ErrHeight, func(p *proofv1.StateProof) { p.Height = 1<<64 - 1 }},
		"a height between": {verify.ErrHeight, func(p *proofv1.StateProof) { p.Height, p.Header = 3, c.header(3) }},
		"root of another":  {verify.ErrProof, func(p *proofv1.StateProof) { p.Keys = c.prove(3, keys...) }},
		"no keys":          {verify.ErrMalformed, func(p *proofv1.StateProof) { p.Keys = nil }},
		"cut":              {verify.ErrMalformed, func(p *proofv1.StateProof) { p.Keys = p.Keys[:len(p.Keys)-1] }},
		"trailing":         {verify.ErrMalformed, func(p *proofv1.StateProof) { p.Keys = append(p.Keys, 0) }},
		"too large":        {verify.ErrTooLarge, func(p *proofv1.StateProof) { p.Keys = make([]byte, 33<<20) }},
		"unknown field":    {verify.ErrNotCanonical, func(p *proofv1.StateProof) { p.ProtoReflect().SetUnknown([]byte{0x78, 1}) }},
	} {
		p := proto.Clone(c.state(4, keys...)).(*proofv1.StateProof)
		test.change(p)
		if _, err := trust.State(p); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
	_, err := trust.State(nil)
	wantKind(t, err, verify.ErrMalformed)

	// A header that is not the one before, though it has its height.
	other := *c.blocks[3]
	other.header.Time = other.header.Time.Add(1)
	p := c.state(4, keys...)
	p.Header = encode(t, other.header.ToProto())
	_, err = trust.State(p)
	wantKind(t, err, verify.ErrHash)
}

// batch decodes a proof of keys.
func batch(t testing.TB, raw []byte) (*ics23.CommitmentProof, *ics23.CompressedBatchProof) {
	t.Helper()
	proof := new(ics23.CommitmentProof)
	if err := proof.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	return proof, proof.GetCompressed()
}

// TestKeysRefusals changes proofs of keys in ways that a decoder, or the library, may not mind.
func TestKeysRefusals(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	// The neighbours on the left are proven themselves, so that all inner nodes have been named before they are.
	keys := append(touched(), []byte("\x05acme\x00a04"), []byte("\x05acme\x00a05"), []byte("\x05acme\x00a05x"), []byte("\x05acme\x00a07"))
	for name, test := range map[string]struct {
		kind   verify.ErrorKind
		change func(*ics23.CompressedBatchProof)
	}{
		"reordered":   {verify.ErrNotCanonical, func(b *ics23.CompressedBatchProof) { slices.Reverse(b.Entries) }},
		"entry twice": {verify.ErrNotCanonical, func(b *ics23.CompressedBatchProof) { b.Entries = append(b.Entries, b.Entries[len(b.Entries)-1]) }},
		"no entries":  {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { b.Entries = nil }},
		"empty entry": {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { b.Entries[1] = &ics23.CompressedBatchEntry{} }},
		"surplus inner": {verify.ErrSurplus, func(b *ics23.CompressedBatchProof) {
			extra := *b.LookupInners[0]
			extra.Prefix = append(bytes.Clone(extra.Prefix[:len(extra.Prefix)-1]), extra.Prefix[len(extra.Prefix)-1])
			extra.Suffix = bytes.Repeat([]byte{32}, 33)
			extra.Prefix = append([]byte{20, 40, 2}, 32)
			b.LookupInners = append(b.LookupInners, &extra)
		}},
		"inner twice": {verify.ErrNotCanonical, func(b *ics23.CompressedBatchProof) { b.LookupInners = append(b.LookupInners, b.LookupInners[0]) }},
		"inners reordered": {verify.ErrNotCanonical, func(b *ics23.CompressedBatchProof) {
			b.LookupInners[0], b.LookupInners[1] = b.LookupInners[1], b.LookupInners[0]
			swap := func(e *ics23.CompressedExistenceProof) {
				for i, step := range e.GetPath() {
					if step < 2 {
						e.Path[i] = 1 - step
					}
				}
			}
			for _, e := range b.Entries {
				swap(e.GetExist())
				swap(e.GetNonexist().GetLeft())
				swap(e.GetNonexist().GetRight())
			}
		}},
		"step out of range": {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { exist(b).Path[0] = 1 << 20 }},
		"step below zero":   {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { exist(b).Path[0] = -1 }},
		"no leaf":           {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { exist(b).Leaf = nil }},
		"no value":          {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { exist(b).Value = nil }},
		"no key":            {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { exist(b).Key = nil }},
		"long key":          {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { exist(b).Key = make([]byte, 5000) }},
		"deep":              {verify.ErrTooLarge, func(b *ics23.CompressedBatchProof) { exist(b).Path = make([]int32, 65) }},
		"another value":     {verify.ErrProof, func(b *ics23.CompressedBatchProof) { exist(b).Value = []byte{7} }},
		"another hash":      {verify.ErrProof, func(b *ics23.CompressedBatchProof) { exist(b).Leaf.Hash = ics23.HashOp_SHA512 }},
		"another length":    {verify.ErrProof, func(b *ics23.CompressedBatchProof) { exist(b).Leaf.Length = ics23.LengthOp_NO_PREFIX }},
		"inner hash":        {verify.ErrProof, func(b *ics23.CompressedBatchProof) { b.LookupInners[0].Hash = ics23.HashOp_SHA512 }},
		"long suffix":       {verify.ErrProof, func(b *ics23.CompressedBatchProof) { b.LookupInners[0].Suffix = make([]byte, 66) }},
		"large version": {verify.ErrProof, func(b *ics23.CompressedBatchProof) {
			b.LookupInners[0].Prefix = append([]byte{2, 4, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 32)
			b.LookupInners[0].Suffix = bytes.Repeat([]byte{32}, 33)
		}},
		"no left": {verify.ErrProof, func(b *ics23.CompressedBatchProof) { nonexist(b).Left = nil }},
		"neither": {verify.ErrProof, func(b *ics23.CompressedBatchProof) {
			nonexist(b).Left, nonexist(b).Right = nil, nil
		}},
		"not between": {verify.ErrProof, func(b *ics23.CompressedBatchProof) { nonexist(b).Key = []byte{4} }},
		"a neighbour": {verify.ErrProof, func(b *ics23.CompressedBatchProof) { nonexist(b).Key = nonexist(b).Left.Key }},
		"no neighbours": {verify.ErrProof, func(b *ics23.CompressedBatchProof) {
			nonexist(b).Left = exist(b)
		}},
		"absent without key": {verify.ErrMalformed, func(b *ics23.CompressedBatchProof) { nonexist(b).Key = nil }},
	} {
		p := c.state(4, keys...)
		proof, b := batch(t, p.Keys)
		test.change(b)
		p.Keys = encode(t, proof)
		if _, err := trust.State(p); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
	// Other kinds of proofs say the same, and are not the one encoding.
	proof, _ := batch(t, c.prove(4, keys...))
	p := c.state(4, keys...)
	p.Keys = encode(t, ics23.Decompress(proof))
	_, err := trust.State(p)
	wantKind(t, err, verify.ErrMalformed)
}

// exist is the first entry of a key that is there.
func exist(b *ics23.CompressedBatchProof) *ics23.CompressedExistenceProof {
	for _, e := range b.Entries {
		if found := e.GetExist(); found != nil {
			return found
		}
	}
	return nil
}

// nonexist is the first entry of an absent key.
func nonexist(b *ics23.CompressedBatchProof) *ics23.CompressedNonExistenceProof {
	for _, e := range b.Entries {
		if absent := e.GetNonexist(); absent != nil {
			return absent
		}
	}
	return nil
}

// TestPlainICS23Agrees verifies the same bytes with the library alone.
func TestPlainICS23Agrees(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	keys := [][]byte{{1}, {0xff}, []byte("\x05acme\x00a05x")}
	for i := range 40 {
		keys = append(keys, keyspace.Key(keyspace.PrefixAccounts, "acme", fmt.Sprintf("a%02d", i)))
	}
	p := c.state(4, keys...)
	w, err := trust.State(p)
	if err != nil {
		t.Fatal(err)
	}
	proof, _ := batch(t, p.Keys)
	again := ics23.Compress(ics23.Decompress(proof))
	if !bytes.Equal(encode(t, again), p.Keys) {
		t.Error("the library compresses in another way")
	}
	root := ics23.CommitmentRoot(c.blocks[4].header.AppHash)
	for _, key := range keys {
		value, err := w.Get(key)
		if err != nil {
			t.Error(err)
		}
		if value == nil && !ics23.VerifyNonMembership(ics23.IavlSpec, root, proof, key) {
			t.Errorf("the library does not find that there is no %x", key)
		}
		if value != nil && !ics23.VerifyMembership(ics23.IavlSpec, root, proof, key, value) {
			t.Errorf("the library does not find %x", key)
		}
	}
}

// TestScan scans what was recorded, and compares with the store.
func TestScan(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	view, err := c.store.At(4)
	c.must(err)
	defer view.Release()
	account := func(i int) []byte { return keyspace.Key(keyspace.PrefixAccounts, "acme", fmt.Sprintf("a%02d", i)) }
	ranges := []struct{ start, end []byte }{
		{account(0), account(5)},
		{account(3), account(4)},
		{[]byte("\x05acme\x00a05x"), []byte("\x05acme\x00a09x")},
		{[]byte("\x05acme\x00a05x"), []byte("\x05acme\x00a05y")}, // nothing in it
		{[]byte{1}, []byte{2}},
		{[]byte{1}, nil},
		{[]byte{0x12}, nil},
		{[]byte{0xf0}, nil}, // beyond the last
		{account(39), append(account(39), 0)},
		{account(38), append(account(39), 0)},
		{account(7), account(7)},
	}
	for _, limit := range []int{1, 2, 3, 1000} {
		for i, r := range ranges {
			reads := &recorder{view: view}
			want := collect(t, reads, r.start, r.end, limit)
			if len(reads.keys) == 0 {
				continue // an empty range is read without looking
			}
			w, err := trust.State(c.state(4, reads.keys...))
			if err != nil {
				t.Fatalf("range %d: %v", i, err)
			}
			if got := collect(t, w, r.start, r.end, limit); got != want {
				t.Errorf("range %d, %d at most: %s, want %s", i, limit, got, want)
			}
			// Without any one of them the same scan fails: nothing can be left out.
			for j := range reads.keys {
				if len(reads.keys) == 1 {
					break
				}
				less := append(slices.Clone(reads.keys[:j]), reads.keys[j+1:]...)
				w, err := trust.State(c.state(4, less...))
				c.must(err)
				err = scan(w, r.start, r.end, limit, func(_, _ []byte) {})
				if !errors.Is(err, verify.ErrNotCovered) {
					t.Errorf("range %d, %d at most, without %x: %v", i, limit, reads.keys[j], err)
				}
			}
		}
	}
	w, err := trust.State(c.state(4, account(0), account(1)))
	c.must(err)
	stop := errors.New("stop")
	if err := w.Scan(account(0), nil, func(_, _ []byte) (bool, error) { return true, stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	if err := w.Scan(account(1), account(0), nil); err != nil {
		t.Error(err)
	}
	// A gap between two that are there.
	w, err = trust.State(c.state(4, account(0), account(2)))
	c.must(err)
	wantKind(t, scan(w, account(0), nil, 10, func(_, _ []byte) {}), verify.ErrNotCovered)
}

type scanner interface {
	Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error
}

func scan(s scanner, start, end []byte, limit int, each func(key, value []byte)) error {
	return s.Scan(start, end, func(key, value []byte) (bool, error) {
		each(key, value)
		limit--
		return limit > 0, nil
	})
}

func collect(t *testing.T, s scanner, start, end []byte, limit int) string {
	t.Helper()
	var all bytes.Buffer
	if err := scan(s, start, end, limit, func(key, value []byte) { fmt.Fprintf(&all, "%x=%x ", key, value) }); err != nil {
		t.Error(err)
	}
	return all.String()
}

// recorder remembers what a scan reads, as a node does.
type recorder struct {
	view *state.View
	keys [][]byte
}

func (r *recorder) Scan(start, end []byte, fn func(key, value []byte) (more bool, err error)) error {
	if end != nil && bytes.Compare(start, end) >= 0 {
		return nil
	}
	r.add(start)
	stopped, last := false, []byte(nil)
	err := r.view.Scan(start, end, func(key, value []byte) (bool, error) {
		r.add(key)
		last = bytes.Clone(key)
		more, err := fn(key, value)
		stopped = !more || err != nil
		return more, err
	})
	place := append(last, 0)
	if !stopped && last != nil && (end == nil || bytes.Compare(place, end) < 0) {
		r.add(place)
	}
	return err
}

func (r *recorder) add(key []byte) {
	if !slices.ContainsFunc(r.keys, func(k []byte) bool { return bytes.Equal(k, key) }) {
		r.keys = append(r.keys, bytes.Clone(key))
	}
}

// TestTinyTrees has trees whose leaf is the root, and states that are one key.
func TestTinyTrees(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 5; n++ {
		c := newChain(t, 0)
		c.add(content{write: func(o *state.Overlay) {
			for i := range n {
				o.Set([]byte{byte(10 * (i + 1))}, []byte{1})
			}
		}})
		c.add(content{})
		var keys [][]byte
		for i := range 60 {
			keys = append(keys, []byte{byte(i + 1)})
		}
		w, err := c.trust(2).State(c.state(1, keys...))
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			value, err := w.Get(key)
			if is := key[0]%10 == 0 && int(key[0]) <= 10*n; err != nil || (value != nil) != is {
				t.Errorf("%d keys: %d: %x, %v", n, key[0], value, err)
			}
		}
	}
}
