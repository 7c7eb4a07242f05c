package consensus

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"pgregory.net/rapid"
)

const testChain = "test-chain"

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

func block(name string) cmtproto.BlockID {
	hash := bytes.Repeat([]byte(name), 32)[:32]
	return cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: hash}}
}

func newVote(height int64, round int32, kind cmtproto.SignedMsgType, blockName string) *cmtproto.Vote {
	v := &cmtproto.Vote{Type: kind, Height: height, Round: round, Timestamp: testTime}
	if blockName != "" {
		v.BlockID = block(blockName)
	}
	return v
}

func newSigner(t testing.TB) (*Signer, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "signer")
	s, err := CreateSigner(path, key("validator"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func engineView(s *Signer) engineSigner { return engineSigner{s, func(error) {}} }

func verify(t *testing.T, v *cmtproto.Vote) {
	t.Helper()
	public := key("validator").Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, types.VoteSignBytes(testChain, v), v.Signature) {
		t.Errorf("the signature of %v does not verify", v)
	}
}

func TestSignerNeverSignsTwoMessagesForOneStep(t *testing.T) {
	t.Parallel()
	const prevote, precommit = cmtproto.PrevoteType, cmtproto.PrecommitType
	tests := []struct {
		name string
		vote *cmtproto.Vote
		want error
	}{
		{"same again", newVote(5, 2, prevote, "a"), nil},
		{"another block", newVote(5, 2, prevote, "b"), ErrConflict},
		{"nil instead of a block", newVote(5, 2, prevote, ""), ErrConflict},
		{"lower height", newVote(4, 9, precommit, "a"), ErrRegression},
		{"lower round", newVote(5, 1, precommit, "a"), ErrRegression},
		{"next step", newVote(5, 2, precommit, "a"), nil},
		{"next round", newVote(5, 3, prevote, "b"), nil},
		{"next height", newVote(6, 0, prevote, "b"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, path := newSigner(t)
			if err := engineView(s).SignVote(testChain, newVote(5, 2, prevote, "a")); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := OpenSigner(path, key("validator")) // the guard survives a restart
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := engineView(s).SignVote(testChain, tt.vote); !errors.Is(err, tt.want) {
				t.Fatalf("SignVote: %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				verify(t, tt.vote)
			} else if tt.vote.Signature != nil {
				t.Error("a refused vote carries a signature")
			}
		})
	}
}

func TestSignerRefusesAProposalAfterAVote(t *testing.T) {
	t.Parallel()
	s, _ := newSigner(t)
	if err := engineView(s).SignVote(testChain, newVote(5, 2, cmtproto.PrevoteType, "a")); err != nil {
		t.Fatal(err)
	}
	p := &cmtproto.Proposal{Type: cmtproto.ProposalType, Height: 5, Round: 2, PolRound: -1, BlockID: block("a"), Timestamp: testTime}
	if err := engineView(s).SignProposal(testChain, p); !errors.Is(err, ErrRegression) {
		t.Errorf("SignProposal: %v, want %v", err, ErrRegression)
	}
}

func TestSignerReusesASignatureWhenOnlyTheTimeDiffers(t *testing.T) {
	t.Parallel()
	s, _ := newSigner(t)
	view := engineView(s)
	first := newVote(5, 0, cmtproto.PrecommitType, "a")
	if err := view.SignVote(testChain, first); err != nil {
		t.Fatal(err)
	}
	later := newVote(5, 0, cmtproto.PrecommitType, "a")
	later.Timestamp = testTime.Add(time.Hour)
	if err := view.SignVote(testChain, later); err != nil {
		t.Fatal(err)
	}
	if !later.Timestamp.Equal(testTime) || !bytes.Equal(later.Signature, first.Signature) {
		t.Errorf("got time %v and another signature, want those of the first vote", later.Timestamp)
	}
	verify(t, later)

	proposal := func(at time.Time) *cmtproto.Proposal {
		return &cmtproto.Proposal{Type: cmtproto.ProposalType, Height: 6, PolRound: -1, BlockID: block("a"), Timestamp: at}
	}
	p, q := proposal(testTime), proposal(testTime.Add(time.Second))
	if err := errors.Join(view.SignProposal(testChain, p), view.SignProposal(testChain, q)); err != nil {
		t.Fatal(err)
	}
	if !q.Timestamp.Equal(testTime) || !bytes.Equal(p.Signature, q.Signature) {
		t.Error("a proposal that differs in time only got another signature")
	}
	other := proposal(testTime)
	other.BlockID = block("b")
	if err := view.SignProposal(testChain, other); !errors.Is(err, ErrConflict) {
		t.Errorf("SignProposal: %v, want %v", err, ErrConflict)
	}
}

func TestSignerSignsExtensionsOfPrecommitsForABlockOnly(t *testing.T) {
	t.Parallel()
	s, _ := newSigner(t)
	view := engineView(s)
	v := newVote(1, 0, cmtproto.PrevoteType, "a")
	v.Extension = []byte("extension")
	if err := view.SignVote(testChain, v); err == nil {
		t.Error("a prevote with an extension was signed")
	}
	for _, extension := range []string{"", "one", "two"} { // may change between attempts
		v := newVote(1, 0, cmtproto.PrecommitType, "a")
		v.Extension = []byte(extension)
		if err := view.SignVote(testChain, v); err != nil {
			t.Fatal(err)
		}
		if !ed25519.Verify(s.public, types.VoteExtensionSignBytes(testChain, v), v.ExtensionSignature) {
			t.Errorf("the signature of extension %q does not verify", extension)
		}
	}
	v = newVote(2, 0, cmtproto.PrecommitType, "")
	if err := view.SignVote(testChain, v); err != nil || v.ExtensionSignature != nil {
		t.Errorf("nil precommit: extension signature %x, %v", v.ExtensionSignature, err)
	}
}

func TestSignerStampsVotesWithItsClock(t *testing.T) {
	t.Parallel()
	s, _ := newSigner(t)
	s.Now = func() time.Time { return testTime.Add(-time.Hour) }
	v := newVote(1, 0, cmtproto.PrevoteType, "a")
	if err := engineView(s).SignVote(testChain, v); err != nil {
		t.Fatal(err)
	}
	if !v.Timestamp.Equal(testTime.Add(-time.Hour)) {
		t.Errorf("the vote is stamped %v", v.Timestamp)
	}
	verify(t, v)
}

// TestSignerSurvivesEveryWriteFault signs through a disk that fails at each operation in turn,
// and checks that no signature was given out that the record does not know.
func TestSignerSurvivesEveryWriteFault(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{true, false} {
		for failAt := 1; failAt <= 6; failAt++ {
			t.Run(fmt.Sprintf("lose=%v/operation=%d", lose, failAt), func(t *testing.T) {
				t.Parallel()
				s, path := newSigner(t)
				s.file = &faultyFile{recordFile: s.file, failAt: failAt, lose: lose}
				given := int64(0)
				for height := int64(1); height <= 4; height++ {
					err := engineView(s).SignVote(testChain, newVote(height, 0, cmtproto.PrevoteType, "a"))
					if err == nil {
						given = height
						continue
					}
					if !errors.Is(err, ErrRecordWrite) || !errors.Is(err, errDisk) {
						t.Fatalf("SignVote: %v", err)
					}
				}
				if want := int64(failAt-1) / 2; given != want {
					t.Fatalf("signed up to %d, want %d: a broken signer must stay broken", given, want)
				}
				s.Close()
				s, err := OpenSigner(path, key("validator"))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if s.last.height < given {
					t.Fatalf("the record ends at %d, but a signature for %d was given out", s.last.height, given)
				}
				if given > 0 {
					err := engineView(s).SignVote(testChain, newVote(given, 0, cmtproto.PrevoteType, "b"))
					if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrRegression) {
						t.Fatalf("signing another block at %d: %v", given, err)
					}
				}
			})
		}
	}
}

func TestOpenSignerPicksTheNewestReadableSlot(t *testing.T) {
	t.Parallel()
	damage := func(offsets ...int) func([]byte) []byte {
		return func(b []byte) []byte {
			for _, o := range offsets {
				b[o] ^= 1
			}
			return b
		}
	}
	tests := []struct {
		name   string
		change func([]byte) []byte
		height int64
		want   error
	}{
		{"intact", damage(), 3, nil},
		{"newest torn", damage(slotSize + 200), 2, nil},
		{"oldest torn", damage(200), 3, nil},
		{"both torn", damage(200, slotSize+200), 0, ErrRecordCorrupt},
		{"newest lost", func(b []byte) []byte { return b[:slotSize] }, 2, nil},
		{"empty", func([]byte) []byte { return nil }, 0, ErrRecordCorrupt},
		{"zeros", func(b []byte) []byte { return make([]byte, len(b)) }, 0, ErrRecordCorrupt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, path := newSigner(t)
			for height := int64(1); height <= 3; height++ { // slots 1, 0, 1
				if err := engineView(s).SignVote(testChain, newVote(height, 0, cmtproto.PrevoteType, "a")); err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.change(content), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err = OpenSigner(path, key("validator"))
			if !errors.Is(err, tt.want) {
				t.Fatalf("OpenSigner: %v, want %v", err, tt.want)
			}
			if err == nil {
				defer s.Close()
				if s.LastSigned() != tt.height {
					t.Errorf("last signed %d, want %d", s.LastSigned(), tt.height)
				}
			}
		})
	}
}

func TestASignerRecordBelongsToOneKeyAndOneProcess(t *testing.T) {
	t.Parallel()
	s, path := newSigner(t)
	if _, err := CreateSigner(path, key("validator")); !errors.Is(err, ErrRecordExists) {
		t.Errorf("CreateSigner over a record: %v", err)
	}
	if _, err := OpenSigner(path, key("validator")); !errors.Is(err, ErrRecordInUse) {
		t.Errorf("OpenSigner of an open record: %v", err)
	}
	s.Close()
	if err := engineView(s).SignVote(testChain, newVote(1, 0, cmtproto.PrevoteType, "a")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("SignVote after Close: %v", err)
	}
	if _, err := OpenSigner(path, key("somebody else")); !errors.Is(err, ErrRecordForeign) {
		t.Errorf("OpenSigner with another key: %v", err)
	}
	if _, err := OpenSigner(path+"-missing", key("validator")); !errors.Is(err, ErrNoRecord) {
		t.Errorf("OpenSigner without a record: %v", err)
	}
	if _, err := OpenSigner(path, key("validator")[:32]); !errors.Is(err, ErrInvalidConfig) {
		t.Errorf("OpenSigner with half a key: %v", err)
	}
}

// TestSignerAgainstAModel signs random votes with restarts and compares with the rule: what was
// given out for a position is the only thing that is ever given out for it.
func TestSignerAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		path := filepath.Join(dir, "signer")
		s, err := CreateSigner(path, key("validator"))
		if err != nil {
			rt.Fatal(err)
		}
		defer func() { s.Close() }()
		type position struct {
			height int64
			round  int32
			kind   cmtproto.SignedMsgType
		}
		given := map[position]string{}
		for range rapid.IntRange(1, 30).Draw(rt, "votes") {
			if rapid.IntRange(0, 4).Draw(rt, "restart") == 0 {
				s.Close()
				if s, err = OpenSigner(path, key("validator")); err != nil {
					rt.Fatal(err)
				}
			}
			p := position{
				rapid.Int64Range(1, 3).Draw(rt, "height"), rapid.Int32Range(0, 2).Draw(rt, "round"),
				rapid.SampledFrom([]cmtproto.SignedMsgType{cmtproto.PrevoteType, cmtproto.PrecommitType}).Draw(rt, "kind"),
			}
			name := rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "block")
			err := engineView(s).SignVote(testChain, newVote(p.height, p.round, p.kind, name))
			before, was := given[p]
			switch {
			case err == nil && was && before != name:
				rt.Fatalf("signed %q and %q at %+v", before, name, p)
			case err == nil:
				given[p] = name
			case !errors.Is(err, ErrConflict) && !errors.Is(err, ErrRegression):
				rt.Fatal(err)
			}
		}
	})
}

func FuzzDecodeSlot(f *testing.F) {
	public := key("validator").Public().(ed25519.PublicKey)
	empty, err := encodeSlot(public, signed{})
	if err != nil {
		f.Fatal(err)
	}
	full, err := encodeSlot(public, signed{
		seq: 7, height: 1 << 40, round: 3, step: stepPrecommit, bytes: make([]byte, maxSigned), signature: make([]byte, 64),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(empty)
	f.Add(full)
	f.Add([]byte{})
	f.Add(make([]byte, slotSize))
	f.Fuzz(func(t *testing.T, slot []byte) {
		s, key, err := decodeSlot(slot)
		if err != nil {
			return
		}
		again, err := encodeSlot(key, s)
		if err != nil {
			t.Fatalf("a decoded slot does not encode: %v", err)
		}
		if back, _, err := decodeSlot(again); err != nil || back.seq != s.seq || back.height != s.height || !bytes.Equal(back.bytes, s.bytes) {
			t.Fatalf("round trip: %+v, %v, want %+v", back, err, s)
		}
	})
}
