package verify_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/types"
	"google.golang.org/protobuf/proto"

	"github.com/althing-ledger/althing/client/verify"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

func wantKind(t *testing.T, err error, kind verify.ErrorKind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("%v, want %v", err, kind)
	}
}

func TestHeaderAcrossChanges(t *testing.T) {
	t.Parallel()
	c := changing(t)
	top := uint64(len(c.blocks))
	trust := c.trust(top)
	for height := uint64(1); height <= top; height++ {
		h, err := trust.Header(c.signed(height))
		if err != nil {
			t.Fatal(err)
		}
		want := c.blocks[height-1].header
		if h.Height != height || !h.Time.Equal(want.Time) || !bytes.Equal(h.Hash, want.Hash()) || !bytes.Equal(h.AppHash, want.AppHash) ||
			!bytes.Equal(h.LastBlockHash, want.LastBlockID.Hash) || !bytes.Equal(h.Proposer, want.ProposerAddress) {
			t.Errorf("header %d is read as %+v", height, h)
		}
	}
}

// TestLightVerifierAgrees holds headers and lineage against CometBFT's own light client, which knows nothing of this package.
func TestLightVerifierAgrees(t *testing.T) {
	t.Parallel()
	c := changing(t)
	trust := c.trust(uint64(len(c.blocks)))
	now := c.blocks[len(c.blocks)-1].header.Time.Add(time.Minute)
	signed := func(b *block) *types.SignedHeader { return &types.SignedHeader{Header: &b.header, Commit: b.commit} }
	for i := 1; i < len(c.blocks); i++ {
		before, b := c.blocks[i-1], c.blocks[i]
		if err := light.VerifyAdjacent(signed(before), signed(b), b.set, time.Hour, now, time.Minute); err != nil {
			t.Errorf("light client: header %d: %v", b.header.Height, err)
		}
		if _, err := trust.Header(c.signed(uint64(b.header.Height))); err != nil {
			t.Error(err)
		}
		forged := *b
		forged.header.AppHash = bytes.Repeat([]byte{1}, 32)
		forged.id.Hash = forged.header.Hash()
		forged.commit = b.commit
		ours := &proofv1.SignedHeader{Header: encode(t, forged.header.ToProto()), Commit: encode(t, forged.commit.ToProto())}
		if light.VerifyAdjacent(signed(before), signed(&forged), b.set, time.Hour, now, time.Minute) == nil {
			t.Error("the light client takes a forged header")
		}
		if _, err := trust.Header(ours); err == nil {
			t.Error("a forged header is taken")
		}
	}
}

func TestExtendInParts(t *testing.T) {
	t.Parallel()
	c := changing(t)
	top := uint64(len(c.blocks))
	trust := verify.NewTrust(c.id, c.genesisHash)
	if trust.Known() != 0 {
		t.Error(trust.Known())
	}
	_, err := trust.Header(c.signed(1))
	var unknown *verify.UnknownValidatorsError
	if !errors.As(err, &unknown) || unknown.Height != 1 || unknown.Known != 0 || !errors.Is(err, verify.ErrUnknownValidators) {
		t.Error(err)
	}
	wantKind(t, trust.Extend(c.lineage(2, top)), verify.ErrMalformed)
	c.must(trust.Extend(c.lineage(0, 1)))
	if trust.Known() != 1 {
		t.Error(trust.Known())
	}
	// As a client does it: a header of validators that are not known asks for more.
	for trust.Known() < c.lastChange() {
		_, err := trust.Header(c.signed(top))
		if !errors.As(err, &unknown) || unknown.Known != trust.Known() || unknown.Height != top {
			t.Fatal(err)
		}
		from := unknown.Known + 1
		part := c.lineage(from, top)
		part.Links = part.Links[:min(3, len(part.Links))]
		c.must(trust.Extend(part))
		if trust.Known() < from {
			t.Fatal("nothing was learnt")
		}
	}
	if _, err := trust.Header(c.signed(top)); err != nil {
		t.Error(err)
	}
	// What is known may come again, in part or whole, and a missing beginning asks for it.
	c.must(trust.Extend(c.lineage(0, top)))
	c.must(trust.Extend(c.lineage(5, 9)))
	c.must(trust.Extend(&proofv1.Lineage{}))
	fresh := c.trust(1)
	if err := fresh.Extend(c.lineage(5, top)); !errors.As(err, &unknown) || unknown.Known != 1 {
		t.Error(err)
	}
	if fresh.Known() != 1 {
		t.Error("something was learnt from a lineage with a gap")
	}
}

func (c *chain) lastChange() (height uint64) {
	for _, b := range c.blocks {
		if !bytes.Equal(b.header.ValidatorsHash, b.header.NextValidatorsHash) {
			height = uint64(b.header.Height)
		}
	}
	return height
}

// TestSetsHoldForTheirHeights signs a header with a set that is known, and is not that of the height.
func TestSetsHoldForTheirHeights(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	old := c.blocks[0].set
	for _, height := range []uint64{4, 5, 6} {
		forged := *c.blocks[height-1]
		forged.set, forged.header.ValidatorsHash = old, old.Hash()
		_, err := trust.Header(c.resign(&forged))
		var unknown *verify.UnknownValidatorsError
		if !errors.As(err, &unknown) || unknown.Height != height || unknown.Known != 3 {
			t.Errorf("header %d by the validators before: %v", height, err)
		}
	}
	// And one that a set signs after it has been replaced, before that is known.
	early := c.trust(1)
	forged := *c.blocks[5]
	forged.set, forged.header.ValidatorsHash, forged.header.NextValidatorsHash = old, old.Hash(), old.Hash()
	late := c.resign(&forged)
	if _, err := early.Header(late); err != nil {
		t.Fatal(err) // nothing that is known says otherwise
	}
	c.must(early.Extend(c.lineage(0, 6)))
	if _, err := early.Header(late); err == nil {
		t.Error("a header is remembered that the lineage has shown to be false")
	}
	// The header of a change is the only one of its height.
	twin := *c.blocks[2]
	twin.header.NextValidatorsHash = old.Hash()
	_, err := trust.Header(c.resign(&twin))
	wantKind(t, err, verify.ErrConflict)
}

// TestLeftOutChangesHeal takes a lineage that leaves out a change and its reverse, which nothing in it shows, and then the whole.
func TestLeftOutChangesHeal(t *testing.T) {
	t.Parallel()
	c := newChain(t, 0, 1, 2)
	c.add(content{write: accounts(1), next: []int{2, 3, 4}})
	c.add(content{next: []int{0, 1, 2}})
	c.add(content{next: []int{5, 6, 7}})
	for range 4 {
		c.add(content{})
	}
	whole := c.lineage(0, 7)
	if len(whole.Links) != 3 {
		t.Fatal(len(whole.Links))
	}
	trust := verify.NewTrust(c.id, c.genesisHash)
	c.must(trust.Extend(&proofv1.Lineage{Genesis: c.genesis, Links: whole.Links[2:]}))
	_, err := trust.Header(c.signed(3))
	var unknown *verify.UnknownValidatorsError
	if !errors.As(err, &unknown) || unknown.Known != 1 {
		t.Fatal(err)
	}
	// One of the two alone contradicts what is known.
	wantKind(t, trust.Extend(&proofv1.Lineage{Links: whole.Links[:1]}), verify.ErrConflict)
	c.must(trust.Extend(whole))
	for height := uint64(1); height <= 7; height++ {
		if _, err := trust.Header(c.signed(height)); err != nil {
			t.Error(err)
		}
	}
}

func TestVotes(t *testing.T) {
	t.Parallel()
	c := newChain(t, 0, 3, 6, 9) // all of one power
	b := c.add(content{write: accounts(1)})
	trust := c.trust(1)
	flags := func(s string) func(int) types.BlockIDFlag {
		return func(i int) types.BlockIDFlag {
			return map[byte]types.BlockIDFlag{'c': types.BlockIDFlagCommit, 'n': types.BlockIDFlagNil, '-': types.BlockIDFlagAbsent}[s[i]]
		}
	}
	for votes, want := range map[string]error{
		"cccc": nil, "ccc-": nil, "-ccc": nil, "cncc": nil, "cc--": verify.ErrPower, "ccnn": verify.ErrPower, "----": verify.ErrPower,
	} {
		if _, err := trust.Header(c.signedBy(1, c.sign(b, flags(votes)))); !errors.Is(err, want) {
			t.Errorf("%s: %v", votes, err)
		}
	}
	change := func(name string, want verify.ErrorKind, with func(*types.Commit)) {
		t.Helper()
		commit := c.sign(b, flags("cccc"))
		with(commit)
		if _, err := trust.Header(c.signedBy(1, commit)); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// One wrong vote is enough, though the others have two thirds.
	change("wrong vote", verify.ErrSignature, func(c *types.Commit) { c.Signatures[3].Signature[5] ^= 1 })
	change("another time", verify.ErrSignature, func(c *types.Commit) { c.Signatures[3].Timestamp = c.Signatures[3].Timestamp.Add(1) })
	change("nil for a vote", verify.ErrSignature, func(c *types.Commit) { c.Signatures[3].BlockIDFlag = types.BlockIDFlagNil })
	change("another's vote", verify.ErrSignature, func(c *types.Commit) { c.Signatures[3] = c.Signatures[2] })
	change("swapped", verify.ErrSignature, func(c *types.Commit) {
		c.Signatures[0], c.Signatures[1] = c.Signatures[1], c.Signatures[0]
	})
	change("one less", verify.ErrSignature, func(c *types.Commit) { c.Signatures = c.Signatures[:3] })
	change("one more", verify.ErrSignature, func(c *types.Commit) { c.Signatures = append(c.Signatures, types.NewCommitSigAbsent()) })
	change("short signature", verify.ErrSignature, func(c *types.Commit) { c.Signatures[0].Signature = c.Signatures[0].Signature[:63] })
	change("another round", verify.ErrSignature, func(c *types.Commit) { c.Round++ })
	change("another height", verify.ErrHeight, func(c *types.Commit) { c.Height++ })
	change("another block", verify.ErrHash, func(c *types.Commit) { c.BlockID.Hash = bytes.Repeat([]byte{1}, 32) })
	change("other parts", verify.ErrSignature, func(c *types.Commit) { c.BlockID.PartSetHeader.Total++ })
	change("no block", verify.ErrMalformed, func(c *types.Commit) { c.BlockID = types.BlockID{} })

	// A flag that becomes another one when it is cut to a byte.
	s := c.signed(1)
	wide := protoCommit(t, s.Commit)
	wide.Signatures[0].BlockIdFlag += 256
	s.Commit = encode(t, wide)
	_, err := trust.Header(s)
	wantKind(t, err, verify.ErrNotCanonical)
}

func TestHeaderRefusals(t *testing.T) {
	t.Parallel()
	c := small(t)
	trust := c.trust(6)
	for name, test := range map[string]struct {
		kind   verify.ErrorKind
		change func(*proofv1.SignedHeader)
	}{
		"no header":       {verify.ErrMalformed, func(s *proofv1.SignedHeader) { s.Header = nil }},
		"no votes":        {verify.ErrMalformed, func(s *proofv1.SignedHeader) { s.Commit = nil }},
		"no protobuf":     {verify.ErrMalformed, func(s *proofv1.SignedHeader) { s.Header = []byte{0xff} }},
		"large header":    {verify.ErrTooLarge, func(s *proofv1.SignedHeader) { s.Header = make([]byte, 5000) }},
		"large votes":     {verify.ErrTooLarge, func(s *proofv1.SignedHeader) { s.Commit = make([]byte, 1<<20) }},
		"unknown field":   {verify.ErrNotCanonical, func(s *proofv1.SignedHeader) { s.Header = append(bytes.Clone(s.Header), 0xf8, 0x01, 0x01) }},
		"field twice":     {verify.ErrNotCanonical, func(s *proofv1.SignedHeader) { s.Header = append(bytes.Clone(s.Header), s.Header...) }},
		"votes twice":     {verify.ErrNotCanonical, func(s *proofv1.SignedHeader) { s.Commit = append(bytes.Clone(s.Commit), 0x08, 0x05) }},
		"in our message":  {verify.ErrNotCanonical, func(s *proofv1.SignedHeader) { s.ProtoReflect().SetUnknown([]byte{0x18, 1}) }},
		"votes of others": {verify.ErrHeight, func(s *proofv1.SignedHeader) { s.Commit = c.signed(4).Commit }},
	} {
		s := c.signed(5)
		test.change(s)
		if _, err := trust.Header(s); !errors.Is(err, test.kind) {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
	_, err := trust.Header(nil)
	wantKind(t, err, verify.ErrMalformed)
	other := newChain(t, 0, 1)
	other.add(content{write: accounts(1)})
	_, err = trust.Header(other.signed(1))
	wantKind(t, err, verify.ErrWrongNetwork)

	for name, change := range map[string]func(*types.Header){
		"no app hash":        func(h *types.Header) { h.AppHash = nil },
		"short app hash":     func(h *types.Header) { h.AppHash = h.AppHash[:31] },
		"no data hash":       func(h *types.Header) { h.DataHash = nil },
		"no block before":    func(h *types.Header) { h.LastBlockID = types.BlockID{} },
		"no hash of results": func(h *types.Header) { h.LastResultsHash = nil },
	} {
		b := *c.blocks[4]
		change(&b.header)
		if _, err := trust.Header(c.resign(&b)); !errors.Is(err, verify.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLineageRefusals(t *testing.T) {
	t.Parallel()
	c := changing(t)
	top := uint64(len(c.blocks))
	clone := func() *proofv1.Lineage { return proto.Clone(c.lineage(0, top)).(*proofv1.Lineage) }
	for name, test := range map[string]struct {
		kind   verify.ErrorKind
		change func(*proofv1.Lineage)
	}{
		"other genesis":   {verify.ErrWrongNetwork, func(l *proofv1.Lineage) { l.Genesis = append(l.Genesis, '\n') }},
		"no genesis":      {verify.ErrMalformed, func(l *proofv1.Lineage) { l.Genesis = nil }},
		"one left out":    {verify.ErrUnknownValidators, func(l *proofv1.Lineage) { l.Links = append(l.Links[:3:3], l.Links[4:]...) }},
		"the first out":   {verify.ErrUnknownValidators, func(l *proofv1.Lineage) { l.Links = l.Links[1:] }},
		"swapped":         {verify.ErrUnknownValidators, func(l *proofv1.Lineage) { l.Links[3], l.Links[4] = l.Links[4], l.Links[3] }},
		"last two swap":   {verify.ErrUnknownValidators, func(l *proofv1.Lineage) { l.Links[8], l.Links[9] = l.Links[9], l.Links[8] }},
		"one twice":       {verify.ErrHeight, func(l *proofv1.Lineage) { l.Links = append(l.Links[:4:4], l.Links[3:]...) }},
		"nil link":        {verify.ErrMalformed, func(l *proofv1.Lineage) { l.Links[2] = nil }},
		"empty link":      {verify.ErrMalformed, func(l *proofv1.Lineage) { l.Links[2] = &proofv1.Link{} }},
		"no set":          {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators = nil }},
		"one missing":     {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators = l.Links[2].Validators[1:] }},
		"more power":      {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators[0].Power += 100 }},
		"no power":        {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators[3].Power = 0 }},
		"endless power":   {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators[0].Power = 1 << 63 }},
		"too much in all": {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators[0].Power = 1<<60 - 1 }},
		"short key":       {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators[0].PublicKey = []byte{1} }},
		"twice the same":  {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators[1] = l.Links[2].Validators[0] }},
		"out of order": {verify.ErrNotCanonical, func(l *proofv1.Lineage) {
			v := l.Links[2].Validators
			v[0], v[3] = v[3], v[0]
		}},
		"too many": {verify.ErrTooLarge, func(l *proofv1.Lineage) {
			l.Links[2].Validators = make([]*proofv1.Validator, 300)
		}},
		"nil validator":  {verify.ErrMalformed, func(l *proofv1.Lineage) { l.Links[2].Validators[0] = nil }},
		"set of another": {verify.ErrValidators, func(l *proofv1.Lineage) { l.Links[2].Validators = l.Links[3].Validators }},
		"no change": {verify.ErrSurplus, func(l *proofv1.Lineage) {
			l.Links = append(l.Links, &proofv1.Link{Signed: c.signed(top), Validators: listed(c.blocks[top-1].set)})
		}},
		"unknown field": {verify.ErrNotCanonical, func(l *proofv1.Lineage) {
			l.Links[2].Validators[0].ProtoReflect().SetUnknown([]byte{0x18, 1})
		}},
	} {
		for _, knows := range []bool{false, true} {
			l := clone()
			test.change(l)
			trust := verify.NewTrust(c.id, c.genesisHash)
			if knows {
				if name == "no genesis" || name == "one left out" || name == "the first out" {
					continue // what is known fills the gap
				}
				c.must(trust.Extend(c.lineage(0, top)))
			}
			known := trust.Known()
			err := trust.Extend(l)
			if err == nil || (!knows && !errors.Is(err, test.kind)) {
				t.Errorf("%s (known: %v): %v, want %v", name, knows, err, test.kind)
			}
			if trust.Known() != known {
				t.Errorf("%s: something was learnt", name)
			}
		}
	}
	wantKind(t, verify.NewTrust(c.id, c.genesisHash).Extend(nil), verify.ErrMalformed)
	wantKind(t, verify.NewTrust("demo-00000000", c.genesisHash).Extend(c.lineage(0, top)), verify.ErrWrongNetwork)
	wantKind(t, verify.NewTrust("other"+c.id[4:], c.genesisHash).Extend(c.lineage(0, top)), verify.ErrWrongNetwork)
	wantKind(t, verify.NewTrust(c.id, [32]byte{}).Extend(c.lineage(0, top)), verify.ErrWrongNetwork)
}

// TestForgedLink lets the validators of now sign a change of the past, and others than the validators of then.
func TestForgedLink(t *testing.T) {
	t.Parallel()
	c := small(t)
	forged := *c.blocks[2]
	set := c.validators([]int{7, 8, 9})
	forged.header.NextValidatorsHash = set.Hash()
	forged.set = c.blocks[3].set
	forged.header.ValidatorsHash = c.blocks[2].set.Hash()
	link := &proofv1.Link{Signed: c.resign(&forged), Validators: listed(set)}
	wantKind(t, verify.NewTrust(c.id, c.genesisHash).Extend(&proofv1.Lineage{Genesis: c.genesis, Links: []*proofv1.Link{link}}), verify.ErrSignature)
	// With the keys of then, but after the true one is known.
	forged.set = c.blocks[2].set
	link.Signed = c.resign(&forged)
	wantKind(t, c.trust(6).Extend(&proofv1.Lineage{Links: []*proofv1.Link{link}}), verify.ErrConflict)
	// No change can stand in the first header.
	first := *c.blocks[0]
	first.header.NextValidatorsHash = set.Hash()
	link.Signed = c.resign(&first)
	wantKind(t, verify.NewTrust(c.id, c.genesisHash).Extend(&proofv1.Lineage{Genesis: c.genesis, Links: []*proofv1.Link{link}}), verify.ErrHeight)
}

func TestTrustIsConcurrent(t *testing.T) {
	t.Parallel()
	c := changing(t)
	top := uint64(len(c.blocks))
	trust := c.trust(1)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for height := uint64(1); height <= top; height++ {
				_, err := trust.Header(c.signed(height))
				for errors.Is(err, verify.ErrUnknownValidators) {
					if err = trust.Extend(c.lineage(uint64(i), height)); err == nil {
						_, err = trust.Header(c.signed(height))
					}
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if trust.Known() != c.lastChange() {
		t.Error(trust.Known())
	}
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for kind := verify.ErrMalformed; kind <= verify.ErrConflict; kind++ {
		text := kind.Error()
		if seen[text] || strings.HasPrefix(text, "error kind") {
			t.Errorf("kind %d: %s", kind, text)
		}
		seen[text] = true
		if !errors.Is(fmt.Errorf("x: %w", kind), kind) {
			t.Error(kind)
		}
	}
	if text := verify.ErrorKind(200).Error(); text != "error kind 200" {
		t.Error(text)
	}
}
