package signer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cmtproto "github.com/cometbft/cometbft/proto/tendermint/types"
	"github.com/cometbft/cometbft/types"
	"pgregory.net/rapid"
)

const testChain = "test-12345678"

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)

const (
	prevote   = cmtproto.PrevoteType
	precommit = cmtproto.PrecommitType
)

// key derives a key pair from a name, the same in every run.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func publicOf(name string) ed25519.PublicKey { return key(name).Public().(ed25519.PublicKey) }

func block(name string) cmtproto.BlockID {
	if name == "" {
		return cmtproto.BlockID{}
	}
	hash := bytes.Repeat([]byte(name), 32)[:32]
	return cmtproto.BlockID{Hash: hash, PartSetHeader: cmtproto.PartSetHeader{Total: 1, Hash: hash}}
}

func voteAt(at time.Time, height int64, round int32, kind cmtproto.SignedMsgType, blockName string) []byte {
	return types.VoteSignBytes(testChain, &cmtproto.Vote{Type: kind, Height: height, Round: round, Timestamp: at, BlockID: block(blockName)})
}

func vote(height int64, round int32, kind cmtproto.SignedMsgType, blockName string) []byte {
	return voteAt(testTime, height, round, kind, blockName)
}

func proposalAt(at time.Time, height int64, round int32, blockName string) []byte {
	return types.ProposalSignBytes(testChain, &cmtproto.Proposal{
		Type: cmtproto.ProposalType, Height: height, Round: round, PolRound: -1, BlockID: block(blockName), Timestamp: at,
	})
}

func proposal(height int64, round int32, blockName string) []byte {
	return proposalAt(testTime, height, round, blockName)
}

// newRing makes a ring of two keys, "a" and "b", of which "a" owns the record.
func newRing(t testing.TB) (*Keyring, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "record")
	if err := Create(path, publicOf("a")); err != nil {
		t.Fatal(err)
	}
	return reopen(t, path), path
}

func reopen(t testing.TB, path string) *Keyring {
	t.Helper()
	r, err := Open(path, testChain, key("a"), key("b"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func mustSign(t testing.TB, r *Keyring, by string, message []byte) []byte {
	t.Helper()
	signature, at, err := r.Sign(publicOf(by), message)
	if err != nil {
		t.Fatal(err)
	}
	if at.IsZero() && !ed25519.Verify(publicOf(by), message, signature) {
		t.Fatal("the signature does not verify")
	}
	return signature
}

func TestNeverTwoMessagesForOneStep(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		message []byte
		a, b    error // asked with the key that signed, and with the other one
	}{
		{"same again", vote(5, 2, prevote, "x"), nil, ErrConflict},
		{"another block", vote(5, 2, prevote, "y"), ErrConflict, ErrConflict},
		{"nil instead of a block", vote(5, 2, prevote, ""), ErrConflict, ErrConflict},
		{"lower height", vote(4, 9, precommit, "x"), ErrRegression, ErrRegression},
		{"lower round", vote(5, 1, precommit, "x"), ErrRegression, ErrRegression},
		{"lower step", proposal(5, 2, "x"), ErrRegression, ErrRegression},
		{"next step", vote(5, 2, precommit, "x"), nil, nil},
		{"next round", proposal(5, 3, "y"), nil, nil},
		{"next height", vote(6, 0, prevote, "y"), nil, nil},
	}
	for _, tt := range tests {
		for by, want := range map[string]error{"a": tt.a, "b": tt.b} {
			t.Run(tt.name+"/"+by, func(t *testing.T) {
				t.Parallel()
				r, path := newRing(t)
				mustSign(t, r, "a", vote(5, 2, prevote, "x"))
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				r = reopen(t, path) // the guard survives a restart
				signature, _, err := r.Sign(publicOf(by), tt.message)
				if !errors.Is(err, want) {
					t.Fatalf("Sign: %v, want %v", err, want)
				}
				if want != nil && signature != nil {
					t.Error("a refusal comes with a signature")
				}
				if want == nil && !ed25519.Verify(publicOf(by), tt.message, signature) {
					t.Error("the signature does not verify")
				}
			})
		}
	}
}

func TestASignatureIsUsedAgainWhenOnlyTheTimeDiffers(t *testing.T) {
	t.Parallel()
	r, _ := newRing(t)
	later := testTime.Add(time.Hour)
	for i, c := range []struct{ first, second []byte }{
		{vote(5, 0, precommit, "x"), voteAt(later, 5, 0, precommit, "x")},
		{proposal(6, 0, "x"), proposalAt(later, 6, 0, "x")},
		{vote(6, 0, prevote, ""), voteAt(later, 6, 0, prevote, "")},
	} {
		first := mustSign(t, r, "a", c.first)
		second, at, err := r.Sign(publicOf("a"), c.second)
		if err != nil || !bytes.Equal(first, second) || !at.Equal(testTime) {
			t.Errorf("%d: %v, %v", i, at, err)
		}
		if _, _, err := r.Sign(publicOf("b"), c.second); !errors.Is(err, ErrConflict) {
			t.Errorf("%d: with another key: %v", i, err)
		}
	}
}

func TestOnlyMessagesOfTheNetworkAreSigned(t *testing.T) {
	t.Parallel()
	good := vote(5, 0, prevote, "x")
	other := types.VoteSignBytes("other-12345678", &cmtproto.Vote{Type: prevote, Height: 5, Timestamp: testTime, BlockID: block("x")})
	for name, message := range map[string][]byte{
		"nothing":         nil,
		"a text":          []byte("hello"),
		"trailing byte":   append(bytes.Clone(good), 0),
		"truncated":       good[:len(good)-1],
		"without length":  good[1:],
		"unknown field":   append([]byte{good[0] + 2}, append(bytes.Clone(good[1:]), 0x78, 1)...),
		"repeated field":  append([]byte{good[0] + 2}, append([]byte{8, 2}, good[1:]...)...),
		"padded length":   append([]byte{good[0] | 0x80, 0}, good[1:]...),
		"other network":   other,
		"extension":       types.VoteExtensionSignBytes(testChain, &cmtproto.Vote{Type: precommit, Height: 5, Extension: []byte("x")}),
		"height zero":     vote(0, 0, prevote, "x"),
		"negative height": vote(-1, 0, prevote, "x"),
		"negative round":  vote(5, -1, prevote, "x"),
		"of no kind":      vote(5, 0, cmtproto.UnknownType, "x"),
		"too large":       types.VoteSignBytes(strings.Repeat("x", maxSigned), &cmtproto.Vote{Type: prevote, Height: 5, Timestamp: testTime}),
		"half a block":    types.VoteSignBytes(testChain, &cmtproto.Vote{Type: prevote, Height: 5, Timestamp: testTime, BlockID: cmtproto.BlockID{Hash: make([]byte, 32)}}),
		"no proposal":     proposal(5, 0, ""),
		"no time":         voteAt(time.Time{}, 5, 0, prevote, "x"),
		"far future":      voteAt(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC), 5, 0, prevote, "x"),
	} {
		r, _ := newRing(t)
		if _, _, err := r.Sign(publicOf("a"), message); !errors.Is(err, ErrMessage) {
			t.Errorf("%s: %v, want %v", name, err, ErrMessage)
		}
		if r.LastSigned() != 0 {
			t.Errorf("%s: recorded", name)
		}
	}
	r, _ := newRing(t)
	if _, _, err := r.Sign(publicOf("c"), good); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key that is not there: %v", err)
	}
}

// TestEveryWriteFault signs through a disk that fails at each operation in turn, with alternating keys, and checks that no
// signature was given out that the record does not know.
func TestEveryWriteFault(t *testing.T) {
	t.Parallel()
	for _, lose := range []bool{true, false} {
		for failAt := 1; failAt <= 6; failAt++ {
			t.Run(fmt.Sprintf("lose=%v/operation=%d", lose, failAt), func(t *testing.T) {
				t.Parallel()
				r, path := newRing(t)
				r.file = &faultyFile{recordFile: r.file, failAt: failAt, lose: lose}
				given := int64(0)
				for height := int64(1); height <= 4; height++ {
					_, _, err := r.Sign(publicOf(string("ab"[height%2])), vote(height, 0, prevote, "x"))
					if err == nil {
						given = height
						continue
					}
					if !errors.Is(err, ErrRecordWrite) || !errors.Is(err, errDisk) {
						t.Fatalf("Sign: %v", err)
					}
				}
				if want := int64(failAt-1) / 2; given != want {
					t.Fatalf("signed up to %d, want %d: a broken ring must stay broken", given, want)
				}
				if err := r.Add(key("c")); !errors.Is(err, ErrRecordWrite) {
					t.Errorf("Add to a broken ring: %v", err)
				}
				_ = r.Close()
				r = reopen(t, path)
				if r.LastSigned() < given {
					t.Fatalf("the record ends at %d, but a signature for %d was given out", r.LastSigned(), given)
				}
				for _, by := range []string{"a", "b"} {
					if given == 0 {
						break
					}
					if _, _, err := r.Sign(publicOf(by), vote(given, 0, prevote, "y")); !errors.Is(err, ErrConflict) && !errors.Is(err, ErrRegression) {
						t.Fatalf("another block at %d with %s: %v", given, by, err)
					}
				}
			})
		}
	}
}

func TestOpenPicksTheNewestReadableSlot(t *testing.T) {
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
			r, path := newRing(t)
			for height := int64(1); height <= 3; height++ { // slots 1, 0, 1
				mustSign(t, r, "a", vote(height, 0, prevote, "x"))
			}
			_ = r.Close()
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.change(content), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err = Open(path, testChain, key("a"))
			if !errors.Is(err, tt.want) {
				t.Fatalf("Open: %v, want %v", err, tt.want)
			}
			if err == nil {
				defer r.Close()
				if r.LastSigned() != tt.height {
					t.Errorf("last signed %d, want %d", r.LastSigned(), tt.height)
				}
			}
		})
	}
}

func TestARecordBelongsToItsKeysItsNetworkAndOneProcess(t *testing.T) {
	t.Parallel()
	r, path := newRing(t)
	mustSign(t, r, "a", vote(1, 0, prevote, "x"))
	if err := Create(path, publicOf("a")); !errors.Is(err, ErrRecordExists) {
		t.Errorf("Create over a record: %v", err)
	}
	if _, err := Open(path, testChain, key("a")); !errors.Is(err, ErrRecordInUse) {
		t.Errorf("Open of an open record: %v", err)
	}
	_ = r.Close()
	if _, _, err := r.Sign(publicOf("a"), vote(2, 0, prevote, "x")); !errors.Is(err, ErrClosed) {
		t.Errorf("Sign after Close: %v", err)
	}
	for name, c := range map[string]struct {
		path, chain string
		keys        []ed25519.PrivateKey
		want        error
	}{
		"other key":     {path, testChain, []ed25519.PrivateKey{key("b")}, ErrRecordForeign},
		"other network": {path, "other-12345678", []ed25519.PrivateKey{key("a")}, ErrRecordForeign},
		"no keys":       {path, testChain, nil, ErrRecordForeign},
		"half a key":    {path, testChain, []ed25519.PrivateKey{key("a")[:32]}, ErrKey},
		"a mixed key":   {path, testChain, []ed25519.PrivateKey{append(key("a")[:32:32], key("b")[32:]...)}, ErrKey},
		"no record":     {path + "-missing", testChain, []ed25519.PrivateKey{key("a")}, ErrNoRecord},
		"no network":    {path, "", []ed25519.PrivateKey{key("a")}, ErrChainID},
		"long network":  {path, string(make([]byte, 51)), []ed25519.PrivateKey{key("a")}, ErrChainID},
	} {
		if _, err := Open(c.path, c.chain, c.keys...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestDroppedKeysLeaveTheirPlaceBehind(t *testing.T) {
	t.Parallel()
	r, path := newRing(t)
	mustSign(t, r, "a", vote(7, 0, precommit, "x"))
	for _, heir := range []string{"a", "c"} {
		if err := r.Drop(publicOf("a"), publicOf(heir)); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("%s as heir: %v", heir, err)
		}
	}
	if err := r.Drop(publicOf("a"), publicOf("b")); err != nil {
		t.Fatal(err)
	}
	if err := r.Drop(publicOf("a"), publicOf("b")); err != nil {
		t.Errorf("dropped twice: %v", err)
	}
	if err := r.Drop(publicOf("b"), publicOf("a")); !errors.Is(err, ErrLastKey) {
		t.Errorf("the only key: %v", err)
	}
	if got := r.PublicKeys(); len(got) != 1 || !bytes.Equal(got[0], publicOf("b")) {
		t.Errorf("left: %x", got)
	}
	check := func() {
		t.Helper()
		for _, c := range []struct {
			by      string
			message []byte
			want    error
		}{
			{"a", vote(8, 0, prevote, "x"), ErrUnknownKey},
			{"b", vote(7, 0, precommit, "x"), ErrConflict}, // the same message, but its signature is gone with its key
			{"b", vote(7, 0, precommit, "y"), ErrConflict},
			{"b", vote(7, 0, prevote, "x"), ErrRegression},
		} {
			if _, _, err := r.Sign(publicOf(c.by), c.message); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		}
	}
	check()
	_ = r.Close()
	if _, err := Open(path, testChain, key("a")); !errors.Is(err, ErrRecordForeign) {
		t.Errorf("the dropped key still opens the record: %v", err)
	}
	var err error
	if r, err = Open(path, testChain, key("b")); err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	check()
	if err := r.Add(key("c")); err != nil {
		t.Fatal(err)
	}
	mustSign(t, r, "c", vote(7, 1, prevote, "x"))
	mustSign(t, r, "b", vote(8, 0, prevote, "x"))
}

// TestAgainstAModel signs at random with keys that come and go, through a disk that fails now and then, and compares with the
// rule: what was given out for a position is the only thing that is ever given out for it, by whichever key.
func TestAgainstAModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			rt.Fatal(err)
		}
		path := filepath.Join(dir, "record")
		if err := Create(path, publicOf("a")); err != nil {
			rt.Fatal(err)
		}
		held := map[string]bool{"a": true, "b": true}
		open := func() *Keyring {
			var private []ed25519.PrivateKey
			for _, name := range []string{"a", "b"} {
				if held[name] {
					private = append(private, key(name))
				}
			}
			r, err := Open(path, testChain, private...)
			if err != nil {
				rt.Fatal(err)
			}
			return r
		}
		r := open()
		defer func() { _ = r.Close() }()
		restart := func() {
			_ = r.Close()
			r = open()
		}
		type given struct{ name, by string }
		positions := map[position]given{}
		highest := position{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			switch rapid.IntRange(0, 9).Draw(rt, "what") {
			case 0:
				restart()
				continue
			case 1: // the next write fails, or the sync after it; what is on the disk is anybody's guess
				r.file = &faultyFile{recordFile: r.file, failAt: rapid.IntRange(1, 2).Draw(rt, "fail at"), lose: rapid.Bool().Draw(rt, "lose")}
			case 2:
				name := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "drop")
				if held[name] && len(r.PublicKeys()) == 2 {
					switch err := r.Drop(publicOf(name), publicOf(map[string]string{"a": "b", "b": "a"}[name])); {
					case err == nil:
						held[name] = false
					case errors.Is(err, ErrRecordWrite):
						restart()
					default:
						rt.Fatal(err)
					}
				}
				continue
			case 3:
				for name := range held {
					if err := r.Add(key(name)); err != nil {
						rt.Fatal(err)
					}
					held[name] = true
				}
				continue
			}
			p := position{
				rapid.Int64Range(1, 3).Draw(rt, "height"), rapid.Int32Range(0, 1).Draw(rt, "round"),
				rapid.SampledFrom([]int8{stepProposal, stepPrevote, stepPrecommit}).Draw(rt, "step"),
			}
			name := rapid.SampledFrom([]string{"", "x", "y"}).Draw(rt, "block")
			by := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "by")
			message := proposal(p.height, p.round, "z"+name)
			if p.step != stepProposal {
				message = vote(p.height, p.round, map[int8]cmtproto.SignedMsgType{stepPrevote: prevote, stepPrecommit: precommit}[p.step], name)
			}
			signature, _, err := r.Sign(publicOf(by), message)
			before, was := positions[p]
			switch {
			case err == nil:
				if !ed25519.Verify(publicOf(by), message, signature) {
					rt.Fatal("the signature does not verify")
				}
				if was && before != (given{name, by}) {
					rt.Fatalf("gave %v and %v at %v", before, given{name, by}, p)
				}
				if p.compare(highest) < 0 {
					rt.Fatalf("went back from %v to %v", highest, p)
				}
				positions[p], highest = given{name, by}, p
			case errors.Is(err, ErrRecordWrite):
				restart()
			case errors.Is(err, ErrUnknownKey) && !held[by], errors.Is(err, ErrConflict), errors.Is(err, ErrRegression):
			default:
				rt.Fatal(err)
			}
			if _, faulty := r.file.(*faultyFile); faulty {
				restart()
			}
		}
	})
}

func FuzzDecodeSlot(f *testing.F) {
	for _, s := range []signed{
		{key: publicOf("a")},
		{position: position{1 << 40, 3, stepPrecommit}, seq: 7, key: publicOf("a"), bytes: make([]byte, maxSigned), signature: make([]byte, 64)},
		{position: position{1, 0, stepPrevote}, seq: 8, key: publicOf("b"), bytes: []byte("gone")},
	} {
		slot, err := encodeSlot(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(slot)
	}
	f.Add([]byte{})
	f.Add(make([]byte, slotSize))
	f.Fuzz(func(t *testing.T, slot []byte) {
		s, err := decodeSlot(slot)
		if err != nil {
			return
		}
		again, err := encodeSlot(s)
		if err != nil {
			t.Fatalf("a decoded slot does not encode: %v", err)
		}
		back, err := decodeSlot(again)
		if err != nil || back.seq != s.seq || back.position != s.position || !bytes.Equal(back.bytes, s.bytes) || !bytes.Equal(back.signature, s.signature) {
			t.Fatalf("round trip: %+v, %v, want %+v", back, err, s)
		}
	})
}

// FuzzSign gives anything to the guard. What it signs must be a vote or proposal of the network and nothing besides.
func FuzzSign(f *testing.F) {
	f.Add(vote(5, 2, prevote, "x"))
	f.Add(vote(5, 2, precommit, ""))
	f.Add(proposal(6, 0, "x"))
	f.Add(types.VoteExtensionSignBytes(testChain, &cmtproto.Vote{Type: precommit, Height: 5, Extension: []byte("x")}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		m, err := parse(message)
		if err != nil {
			if !errors.Is(err, ErrMessage) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		var again []byte
		if m.step == stepProposal {
			var p cmtproto.CanonicalProposal
			if err := unmarshal(message, &p); err != nil {
				t.Fatal(err)
			}
			again = types.ProposalSignBytes(m.chainID, &cmtproto.Proposal{
				Type: p.Type, Height: m.height, Round: m.round, PolRound: int32(p.POLRound), BlockID: full(p.BlockID), Timestamp: m.at,
			})
		} else {
			var v cmtproto.CanonicalVote
			if err := unmarshal(message, &v); err != nil {
				t.Fatal(err)
			}
			again = types.VoteSignBytes(m.chainID, &cmtproto.Vote{Type: v.Type, Height: m.height, Round: m.round, BlockID: full(v.BlockID), Timestamp: m.at})
		}
		if !bytes.Equal(again, message) {
			t.Fatalf("%x reads as what the engine writes as %x", message, again)
		}
	})
}

func full(id *cmtproto.CanonicalBlockID) cmtproto.BlockID {
	if id == nil {
		return cmtproto.BlockID{}
	}
	return cmtproto.BlockID{Hash: id.Hash, PartSetHeader: cmtproto.PartSetHeader{Total: id.PartSetHeader.Total, Hash: id.PartSetHeader.Hash}}
}

// TestReopenWhileProgramsStart opens and closes a record while other programs are being started, which hold copies of every
// open file for a moment.
func TestReopenWhileProgramsStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "record")
	if err := Create(path, publicOf("a")); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		var err error
		for range 500 {
			err = errors.Join(err, exec.Command("true").Run())
		}
		done <- err
	}()
	for {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
		r, err := Open(path, testChain, key("a"))
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
