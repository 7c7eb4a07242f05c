package verify_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/client/verify"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

// mutate calls try with every truncation of raw, with every byte changed in several ways, and with bytes cut out, doubled, moved
// and put in at random, by a fixed seed. None of what it is called with is raw.
//
// With a stride above 1 only some of the bytes are changed.
func mutate(raw []byte, stride int, try func(what string, changed []byte)) {
	flips := []byte{0x01, 0x80, 0xff}
	for i := 0; i < len(raw); i += stride {
		for _, flip := range flips {
			changed := bytes.Clone(raw)
			changed[i] ^= flip
			try(fmt.Sprintf("byte %d ^ %#x", i, flip), changed)
		}
	}
	for n := 0; n < len(raw); n += 1 + len(raw)*stride/2000 {
		try(fmt.Sprintf("the first %d bytes", n), raw[:n:n])
	}
	for b := range 256 {
		try(fmt.Sprintf("%#x behind it", b), append(bytes.Clone(raw), byte(b)))
		try(fmt.Sprintf("a field %d behind it", b), append(bytes.Clone(raw), byte(b), 0))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 / stride {
		from := random.IntN(len(raw))
		to := from + 1 + random.IntN(min(len(raw)-from, 300))
		at := random.IntN(len(raw))
		var changed []byte
		switch i % 4 {
		case 0: // cut out
			changed = append(bytes.Clone(raw[:from]), raw[to:]...)
		case 1: // doubled
			changed = append(bytes.Clone(raw[:to]), raw[from:]...)
		case 2: // over another place
			changed = bytes.Clone(raw)
			copy(changed[at:], raw[from:to])
		case 3: // put in elsewhere
			changed = append(append(bytes.Clone(raw[:at]), raw[from:to]...), raw[at:]...)
		}
		if !bytes.Equal(changed, raw) {
			try(fmt.Sprintf("case %d: %d to %d, %d", i%4, from, to, at), changed)
		}
	}
}

// TestNoByteOfAReceiptIsFree has no list of exceptions: a receipt whose last part is its anchor can be cut off before that, and
// is the receipt without one then, to the byte.
func TestNoByteOfAReceiptIsFree(t *testing.T) {
	t.Parallel()
	files := receiptKinds(t)
	for name, stride := range map[string]int{"state": 1, "rejected": 1, "anchor-later": 2, "anchor-early": 5, "ten-changes": 11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := files[name]
			r, err := verify.DecodeReceipt(file)
			if err != nil {
				t.Fatal(err)
			}
			r.Anchor = nil
			without, err := verify.EncodeReceipt(r)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verify.Receipt(file, verify.ReceiptOptions{}); err != nil {
				t.Fatal(err)
			}
			mutate(file, stride, func(what string, changed []byte) {
				if _, err := verify.Receipt(changed, verify.ReceiptOptions{}); err == nil && !bytes.Equal(changed, without) {
					t.Errorf("%s: it still verifies", what)
				}
			})
		})
	}
}

// TestNoByteOfAStateProofIsFree asks the question again of what is left: a proof whose keys name other places than the question
// may be right, and does not answer it.
func TestNoByteOfAStateProofIsFree(t *testing.T) {
	t.Parallel()
	c := small(t)
	view, err := c.store.At(4)
	c.must(err)
	defer view.Release()
	reads := &recorder{view: view}
	start, end := []byte("\x05acme\x00a05x"), []byte("\x05acme\x00a08x")
	want := collect(t, reads, start, end, 100)
	keys := append(touched(), reads.keys...)
	for name, p := range map[string]*proofv1.StateProof{
		"next header": c.state(4, keys...),
		"own header":  {Height: 6, Signed: c.signed(6), Keys: c.prove(5, keys...)},
	} {
		verifies := func(p *proofv1.StateProof) bool {
			w, err := c.trust(6).State(p)
			if err != nil {
				return false
			}
			for i, key := range touched() {
				if value, err := w.Get(key); err != nil || !bytes.Equal(value, [][]byte{{3, 4}, {1, 4}, {2, 4}, nil}[i]) {
					return false
				}
			}
			var got bytes.Buffer
			err = scan(w, start, end, 100, func(key, value []byte) { fmt.Fprintf(&got, "%x=%x ", key, value) })
			return err == nil && got.String() == want && w.Height() == p.Height
		}
		if !verifies(p) {
			t.Fatal(name)
		}
		raw, err := p.MarshalVTStrict()
		c.must(err)
		mutate(raw, 1, func(what string, changed []byte) {
			other := new(proofv1.StateProof)
			if other.UnmarshalVT(changed) == nil && !proto.Equal(other, p) && verifies(other) {
				t.Errorf("%s: %s: it still verifies", name, what)
			}
		})
	}
}

func TestNoByteOfALineageIsFree(t *testing.T) {
	t.Parallel()
	c := changing(t)
	l := c.lineage(0, 5)
	raw, err := l.MarshalVTStrict()
	c.must(err)
	top := l.Links[len(l.Links)-1]
	last, err := c.trust(5).Header(top.Signed)
	c.must(err)
	mutate(raw, 1, func(what string, changed []byte) {
		other := new(proofv1.Lineage)
		if other.UnmarshalVT(changed) != nil || proto.Equal(other, l) {
			return
		}
		trust := verify.NewTrust(c.id, c.genesisHash)
		if trust.Extend(other) != nil {
			return
		}
		// A beginning of a lineage is a lineage, that leads less far.
		if trust.Known() >= last.Height || len(other.Links) >= len(l.Links) || !proto.Equal(other, c.lineage(0, trust.Known())) {
			t.Errorf("%s: it is still a lineage", what)
		}
	})
}
