package signer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

// patience bounds every wait: the machine may be busy.
const patience = 30 * time.Second

func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		}
	}
}

var errCrash = errors.New("the power went")

// newValidator fills a directory with a key and its record, and returns the public key.
func newValidator(t *testing.T, passphrase []byte) (string, []byte) {
	t.Helper()
	dir := t.TempDir()
	key, err := keys.Generate(keys.SchemeEd25519, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := (KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: passphrase}).Save(key); err != nil {
		t.Fatal(err)
	}
	if err := Create(filepath.Join(dir, RecordName), key.Public().Bytes()); err != nil {
		t.Fatal(err)
	}
	return dir, key.Public().Bytes()
}

func openLocal(t *testing.T, dir string, passphrase []byte) *Local {
	t.Helper()
	l, err := OpenLocal(dir, testChain, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// files returns what lies in a directory.
func files(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

const settled = "signer.state validator_key.json"

// TestKeepSurvivesEveryInterruption stops the switch before each of its steps, opens everything again as a new process would,
// and finishes it.
func TestKeepSurvivesEveryInterruption(t *testing.T) {
	t.Parallel()
	for _, passphrase := range [][]byte{nil, []byte("open sesame")} {
		for _, step := range []string{"link", "sync link", "rename", "sync rename", "destroy"} {
			t.Run(fmt.Sprintf("%s/encrypted=%v", step, passphrase != nil), func(t *testing.T) {
				t.Parallel()
				dir, old := newValidator(t, passphrase)
				l := openLocal(t, dir, passphrase)
				next, proof, err := l.Prepare(t.Context(), "acme-1", "acme")
				if err != nil {
					t.Fatal(err)
				}
				if err := tx.CheckPossession(next, proof, tx.UseValidator, "acme-1", "acme"); err != nil {
					t.Error(err)
				}
				if _, _, err := l.Sign(old, vote(9, 0, precommit, "x")); err != nil {
					t.Fatal(err)
				}
				// The old file's bytes, seen through a name of our own: they must be gone in the end.
				spy := filepath.Join(t.TempDir(), "spy")
				if err := os.Link(l.files.Path(), spy); err != nil {
					t.Fatal(err)
				}
				l.files.step = func(s string) error {
					if s == step {
						return errCrash
					}
					return nil
				}
				if err := l.Keep(t.Context(), next, 10); !errors.Is(err, errCrash) {
					t.Fatalf("Keep: %v", err)
				}
				_ = l.Close()

				l = openLocal(t, dir, passphrase)
				if _, _, err := l.Sign(next, vote(9, 0, precommit, "x")); !errors.Is(err, ErrConflict) {
					t.Errorf("the new key where the old one has signed: %v", err)
				}
				if _, _, err := l.Sign(next, vote(10, 0, prevote, "x")); err != nil {
					t.Errorf("the new key votes: %v", err)
				}
				if err := l.Keep(t.Context(), next, 10); err != nil {
					t.Fatal(err)
				}
				if err := l.Keep(t.Context(), next, 10); err != nil {
					t.Errorf("once more: %v", err)
				}
				if got := l.PublicKeys(); len(got) != 1 || !bytes.Equal(got[0], next) {
					t.Errorf("left in the ring: %x", got)
				}
				if got := files(t, dir); got != settled {
					t.Errorf("left in the directory: %s", got)
				}
				content, err := os.ReadFile(spy)
				if err != nil || len(content) == 0 || len(bytes.Trim(content, "\x00")) != 0 {
					t.Errorf("the old key is still on the disk: %q, %v", content, err)
				}
				_ = l.Close()
				openLocal(t, dir, passphrase)
			})
		}
	}
}

// TestBeginSurvivesEveryInterruption makes the first key of a directory.
func TestBeginSurvivesEveryInterruption(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"record", "rename", "sync rename"} {
		t.Run(step, func(t *testing.T) {
			t.Parallel()
			f := KeyFiles{Dir: t.TempDir(), Name: ValidatorKeyName, Passphrase: []byte("open sesame")}
			f.step = func(s string) error {
				if s == step {
					return errCrash
				}
				return nil
			}
			if _, err := f.Begin(); !errors.Is(err, errCrash) {
				t.Fatalf("Begin: %v", err)
			}
			first, firstErr := f.LoadFirst()
			present, err := f.Load()
			if (firstErr == nil) == (err == nil) {
				t.Fatalf("after the crash: %v, %v", firstErr, err)
			}
			f.step = nil
			key, err := f.Begin()
			if err != nil {
				t.Fatal(err)
			}
			if public := key.Public(); !public.Equal(first.Public()) && !public.Equal(present.Public()) {
				t.Error("it began another key")
			}
			if again, err := f.Begin(); err != nil || !again.Public().Equal(key.Public()) {
				t.Errorf("once more: %v", err)
			}
			if got := files(t, f.Dir); got != settled {
				t.Errorf("in the directory: %s", got)
			}
			l := openLocal(t, f.Dir, f.Passphrase)
			if _, _, err := l.Sign(key.Public().Bytes(), vote(1, 0, prevote, "x")); err != nil {
				t.Errorf("it does not vote: %v", err)
			}
		})
	}
}

// TestBeginRefuses finds records that are not of a key that is just being made, and a key that may have voted.
func TestBeginRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		next, lost bool // the next key is there and has voted; the record is gone
		want       error
	}{
		"the key is gone":                                        {false, false, ErrRecordExists},
		"the key is gone, the next one is there":                 {true, false, ErrKeyInUse},
		"the key and the record are gone, the next one is there": {true, true, ErrKeyInUse},
	} {
		dir, old := newValidator(t, nil)
		l := openLocal(t, dir, nil)
		voter := old
		if c.next {
			var err error
			if voter, _, err = l.Prepare(t.Context(), "acme-1", "acme"); err != nil {
				t.Fatal(err)
			}
		}
		if _, _, err := l.Sign(voter, vote(9, 0, precommit, "x")); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Close(), os.Remove(l.files.Path())); err != nil {
			t.Fatal(err)
		}
		if c.lost {
			if err := os.Remove(filepath.Join(dir, RecordName)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := l.files.Begin(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := l.files.Load(); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: there is a key: %v", name, err)
		}
	}
}

func TestKeepRefuses(t *testing.T) {
	t.Parallel()
	dir, old := newValidator(t, nil)
	l := openLocal(t, dir, nil)
	if err := l.Keep(t.Context(), publicOf("stranger"), 1); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a key that is not there: %v", err)
	}
	next, _, err := l.Prepare(t.Context(), "acme-1", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := l.Prepare(t.Context(), "acme-1", "acme"); err != nil || !bytes.Equal(again, next) {
		t.Errorf("prepared twice: %x and %x, %v", next, again, err)
	}
	if _, _, err := l.Sign(old, vote(10, 0, prevote, "x")); err != nil {
		t.Fatal(err)
	}
	if err := l.Keep(t.Context(), next, 10); !errors.Is(err, ErrKeyInUse) {
		t.Errorf("while the old key votes: %v", err)
	}
	// What was prepared to follow the present key stays.
	if err := l.Keep(t.Context(), old, 1); err != nil || len(l.PublicKeys()) != 2 {
		t.Errorf("the present key: %v, left %x", err, l.PublicKeys())
	}
}

// TestKeepLeavesARecordThatOpens: of three keys in the ring, that of the middle is in no file any more.
func TestKeepLeavesARecordThatOpens(t *testing.T) {
	t.Parallel()
	for _, signed := range []int{0, 1} {
		dir, a := newValidator(t, nil)
		l := openLocal(t, dir, nil)
		prepare := func() []byte {
			public, _, err := l.Prepare(t.Context(), "acme-1", "acme")
			if err != nil {
				t.Fatal(err)
			}
			return public
		}
		b := prepare()
		if err := os.Remove(l.files.NextPath()); err != nil {
			t.Fatal(err)
		}
		// The key of no file must not be the only one left.
		if err := l.Keep(t.Context(), b, 10); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("a key without a file: %v", err)
		}
		c := prepare()
		if _, _, err := l.Sign([][]byte{a, b}[signed], vote(9, 0, precommit, "x")); err != nil {
			t.Fatal(err)
		}
		if err := l.Keep(t.Context(), c, 10); err != nil {
			t.Fatal(err)
		}
		if got := l.PublicKeys(); len(got) != 1 || !bytes.Equal(got[0], c) {
			t.Errorf("left in the ring: %x", got)
		}
		_ = l.Close()
		l = openLocal(t, dir, nil)
		if _, _, err := l.Sign(c, vote(9, 0, precommit, "y")); !errors.Is(err, ErrConflict) {
			t.Errorf("where another key has signed: %v", err)
		}
		if _, _, err := l.Sign(c, vote(10, 0, prevote, "x")); err != nil {
			t.Error(err)
		}
	}
}

// TestKeepOfThePresentKey: it stays, with what is prepared in a file, and takes the record of a key that is in none.
func TestKeepOfThePresentKey(t *testing.T) {
	t.Parallel()
	dir, a := newValidator(t, nil)
	l := openLocal(t, dir, nil)
	b, _, err := l.Prepare(t.Context(), "acme-1", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(l.files.NextPath()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Sign(b, vote(9, 0, precommit, "x")); err != nil {
		t.Fatal(err)
	}
	c, _, err := l.Prepare(t.Context(), "acme-1", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Keep(t.Context(), a, 9); !errors.Is(err, ErrKeyInUse) {
		t.Errorf("while another key votes: %v", err)
	}
	if err := l.Keep(t.Context(), a, 10); err != nil {
		t.Fatal(err)
	}
	if got := l.PublicKeys(); len(got) != 2 || !bytes.Equal(got[0], a) || !bytes.Equal(got[1], c) {
		t.Errorf("left in the ring: %x, want %x and %x", got, a, c)
	}
	_ = l.Close()
	openLocal(t, dir, nil)
}

func TestProtectSurvivesEveryInterruption(t *testing.T) {
	t.Parallel()
	secret := []byte("open sesame")
	steps := []string{"link", "sync link", "rename", "sync rename", "destroy"}
	other := []byte("open barley")
	for stop := range 2*len(steps) + 1 { // the prepared key, then the present one, then not at all
		for change, c := range map[string]struct{ was, is []byte }{"encrypt": {nil, secret}, "decrypt": {secret, nil}, "change": {other, secret}} {
			t.Run(fmt.Sprintf("%d/%s", stop, change), func(t *testing.T) {
				t.Parallel()
				was, is := c.was, c.is
				dir, public := newValidator(t, was)
				plain := KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: was}
				next, err := plain.Prepare()
				if err != nil {
					t.Fatal(err)
				}
				count := 0
				f := KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: is, step: func(string) error {
					if count++; count > stop {
						return errCrash
					}
					return nil
				}}
				if err := f.Protect(was); (err == nil) != (stop == 2*len(steps)) {
					t.Fatalf("Protect: %v", err)
				}
				// With the passphrase at hand, whatever is there can be read.
				either := KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: was, Former: is}
				if err := either.Clean(); err != nil {
					t.Fatal(err)
				}
				check := func(files KeyFiles) {
					t.Helper()
					for what, c := range map[string]struct {
						load func() (keys.PrivateKey, error)
						want []byte
					}{"present": {files.Load, public}, "prepared": {files.LoadNext, next.Public().Bytes()}} {
						if key, err := c.load(); err != nil || !bytes.Equal(key.Public().Bytes(), c.want) {
							t.Errorf("the %s key: %v, %v", what, key, err)
						}
					}
				}
				check(either)
				// Once more, it is finished, and nothing needs the passphrase of before.
				again := KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: is}
				if err := again.Protect(was); err != nil {
					t.Fatal(err)
				}
				check(again)
				for _, files := range []KeyFiles{again, again.next()} {
					if !files.protected() {
						t.Errorf("%s is not as it shall be", files.Path())
					}
				}
				if got := files(t, dir); got != "signer.state validator_key.json validator_key.next.json" {
					t.Errorf("left in the directory: %s", got)
				}
			})
		}
	}
}

func TestProtectedFilesNeedThePassphrase(t *testing.T) {
	t.Parallel()
	dir, _ := newValidator(t, nil)
	if err := (KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: []byte("open sesame")}).Protect(nil); err != nil {
		t.Fatal(err)
	}
	for _, passphrase := range []string{"", "open barley"} {
		if _, err := OpenLocal(dir, testChain, []byte(passphrase)); !errors.Is(err, keys.ErrPassphrase) {
			t.Errorf("with %q: %v", passphrase, err)
		}
	}
	openLocal(t, dir, []byte("open sesame"))
}

// TestProtectIsFinished: of a signer's directory, some files have the new passphrase already.
func TestProtectIsFinished(t *testing.T) {
	t.Parallel()
	was, is := []byte("open sesame"), []byte("open barley")
	for _, name := range []string{identityKeyName, ValidatorKeyName} {
		dir := t.TempDir()
		if err := Fill(dir, Settings{ChainID: testChain}, was); err != nil {
			t.Fatal(err)
		}
		before, err := ReadIdentity(dir, was)
		if err != nil {
			t.Fatal(err)
		}
		if err := (KeyFiles{Dir: dir, Name: name, Passphrase: is}).Protect(was); err != nil {
			t.Fatal(err)
		}
		if err := Protect(dir, []byte("neither"), is); !errors.Is(err, keys.ErrPassphrase) {
			t.Errorf("with another passphrase: %v", err)
		}
		if err := Protect(dir, was, is); err != nil {
			t.Fatal(err)
		}
		after, err := ReadIdentity(dir, is)
		if err != nil || !after.PublicKey.Equal(before.PublicKey) || !after.Validator.Equal(before.Validator) {
			t.Errorf("%s first: %+v, %v; want %+v", name, after, err, before)
		}
	}
}

// rotating is a validator whose key is rotated in the test: where its keys are, and how it restarts.
type rotating struct {
	*Rotator
	prepare func() []byte // what `althing validator rotate-key` does before it tells the ledger
	crash   func()        // ends everything without a goodbye, and starts it again
	dir     string        // where the key files are
}

func (r *rotating) run(t *testing.T, holder Holder) {
	r.Rotator = NewRotator(holder, nil)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	rotator := r.Rotator
	go func() { done <- rotator.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = holder.Close()
	})
}

func localRotating(t *testing.T) *rotating {
	dir, _ := newValidator(t, nil)
	r := &rotating{dir: dir}
	l := openLocal(t, dir, nil)
	r.run(t, l)
	r.prepare = func() []byte { // another process
		key, err := KeyFiles{Dir: dir, Name: ValidatorKeyName}.Prepare()
		if err != nil {
			t.Fatal(err)
		}
		return key.Public().Bytes()
	}
	r.crash = func() {
		_ = l.Close()
		l = openLocal(t, dir, nil)
		r.run(t, l)
	}
	return r
}

func remoteRotating(t *testing.T) *rotating {
	p := newProcess(t)
	r := &rotating{dir: p.dir}
	p.start()
	r.run(t, p.remote())
	r.prepare = func() []byte {
		public, _, err := p.remote().Prepare(t.Context(), "acme-1", "acme")
		if err != nil {
			t.Fatal(err)
		}
		return public
	}
	r.crash = func() {
		p.stop()
		r.run(t, p.remote())
		p.start()
	}
	return r
}

// signs makes the validator sign a prevote, once that works.
func (r *rotating) signs(t *testing.T, public []byte, height int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("%x signs at %d", public[:4], height), func() bool {
		_, _, err := r.Sign(public, vote(height, 0, prevote, "x"))
		var kind ErrorKind
		if err != nil && (!errors.As(err, &kind) || kind.Final()) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// TestRotation walks through two rotations, in files and with a signer process, and restarts everything between any two
// steps of the first one.
func TestRotation(t *testing.T) {
	t.Parallel()
	for kind, start := range map[string]func(*testing.T) *rotating{"files": localRotating, "process": remoteRotating} {
		for crash := range 8 {
			t.Run(fmt.Sprintf("%s/crash=%d", kind, crash), func(t *testing.T) {
				t.Parallel()
				r := start(t)
				step := 0
				pause := func() {
					if step++; step == crash {
						r.crash()
					}
				}
				old, err := KeyFiles{Dir: r.dir, Name: ValidatorKeyName}.Load()
				if err != nil {
					t.Fatal(err)
				}
				first := old.Public().Bytes()
				r.Rotate(first, 1, 7)
				r.signs(t, first, 7)
				pause() // 1
				r.Rotate(first, 1, 8)
				second := r.prepare()
				pause() // 2
				r.Rotate(first, 1, 8)
				r.signs(t, first, 8)
				// Block 8 has the operation: the key votes from 10 on.
				r.Rotate(second, 10, 9)
				if !holds(r.PublicKeys(), second) {
					t.Fatal("the listed key is not there when the commit returns")
				}
				pause() // 3
				r.Rotate(second, 10, 9)
				r.signs(t, first, 9)
				pause() // 4
				r.Rotate(second, 10, 10)
				pause() // 5
				r.Rotate(second, 10, 10)
				r.signs(t, second, 10)
				pause() // 6
				r.Rotate(second, 10, 11)
				r.signs(t, second, 11)
				eventually(t, "the old key is destroyed", func() bool { return onlyKey(t, r.dir) })
				pause() // 7
				r.Rotate(second, 10, 12)
				if key, err := (KeyFiles{Dir: r.dir, Name: ValidatorKeyName}).Load(); err != nil || !bytes.Equal(key.Public().Bytes(), second) {
					t.Errorf("in its place is %v, %v", key, err)
				}
				eventually(t, "the old key is forgotten", func() bool { return !holds(r.PublicKeys(), first) })

				// The next rotation is prepared long before it is voted on.
				third := r.prepare()
				for height := uint64(12); height < 15; height++ {
					r.Rotate(second, 10, height)
					r.signs(t, second, int64(height))
				}
				if key, err := (KeyFiles{Dir: r.dir, Name: ValidatorKeyName}).LoadNext(); err != nil || !bytes.Equal(key.Public().Bytes(), third) {
					t.Errorf("prepared is %v, %v", key, err)
				}
				r.Rotate(third, 16, 16)
				r.signs(t, third, 16)
				eventually(t, "the second key is destroyed", func() bool { return onlyKey(t, r.dir) })
			})
		}
	}
}

// onlyKey says whether no prepared and no former key is left.
func onlyKey(t *testing.T, dir string) bool {
	for _, name := range []string{"validator_key.next.json", "validator_key.former.json"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}

func TestAKeyThatIsNotThere(t *testing.T) {
	t.Parallel()
	r := localRotating(t)
	r.Rotate(publicOf("lost"), 10, 20)
	if !r.unknown || holds(r.PublicKeys(), publicOf("lost")) {
		t.Error("nobody noticed")
	}
	if got := files(t, r.dir); got != settled {
		t.Errorf("left: %s", got)
	}
	// It turns up.
	if err := keys.SaveFile(filepath.Join(r.dir, "validator_key.next.json"), mustParse(t, "lost")); err != nil {
		t.Fatal(err)
	}
	r.Rotate(publicOf("lost"), 10, 21)
	r.signs(t, publicOf("lost"), 21)
	eventually(t, "it is in its place", func() bool { return onlyKey(t, r.dir) })
}

func mustParse(t *testing.T, name string) keys.PrivateKey {
	t.Helper()
	k, err := keys.ParsePrivateKey(keys.SchemeEd25519, key(name).Seed())
	if err != nil {
		t.Fatal(err)
	}
	return k
}
