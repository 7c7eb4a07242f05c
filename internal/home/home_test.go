package home

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/althing-ledger/althing/keys"
)

func generate(t *testing.T, scheme keys.Scheme) keys.PrivateKey {
	t.Helper()
	key, err := keys.Generate(scheme, nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func validator(t *testing.T) Options {
	t.Helper()
	return Options{
		Config:       Default("acme-1", "acme"),
		Genesis:      []byte("{\"name\": \"local\"}\n"),
		NodeKey:      generate(t, keys.SchemeEd25519),
		ValidatorKey: generate(t, keys.SchemeEd25519),
	}
}

// made returns the directory of a new home.
func made(t *testing.T, o Options) Dir {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "node")
	if err := Init(dir, o); err != nil {
		t.Fatal(err)
	}
	return Dir(dir)
}

func TestInitThenLoad(t *testing.T) {
	t.Parallel()
	o := validator(t)
	dir := made(t, o)
	h, err := Load(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(h.Config, o.Config) || !bytes.Equal(h.Genesis, o.Genesis) || h.Observer() {
		t.Errorf("loaded %+v with genesis %q", h.Config, h.Genesis)
	}
	if !bytes.Equal(Ed25519(h.NodeKey), Ed25519(o.NodeKey)) || !bytes.Equal(Ed25519(h.ValidatorKey), Ed25519(o.ValidatorKey)) {
		t.Error("the keys are not those that were given")
	}
	if height, err := h.LastSigned("local-12345678"); height != 0 || err != nil {
		t.Fatalf("the record of the new key: %d, %v", height, err)
	}
	err = filepath.WalkDir(string(dir), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %04o: others get in", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestObserverHasNoRecord(t *testing.T) {
	t.Parallel()
	o := validator(t)
	o.ValidatorKey = keys.PrivateKey{}
	dir := made(t, o)
	h, err := Load(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir.SignerState()); !h.Observer() || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("observer %v; its record: %v", h.Observer(), err)
	}
}

func TestInitNeverReplaces(t *testing.T) {
	t.Parallel()
	dir := made(t, validator(t))
	before, err := os.ReadFile(dir.NodeKey())
	if err != nil {
		t.Fatal(err)
	}
	if err := Init(string(dir), validator(t)); !errors.Is(err, ErrExists) {
		t.Errorf("a second Init: %v, want ErrExists", err)
	}
	if after, err := os.ReadFile(dir.NodeKey()); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key has changed, or %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	mustWrite(t, file, "something")
	if err := Init(file, validator(t)); !errors.Is(err, ErrExists) {
		t.Errorf("in the place of a file: %v, want ErrExists", err)
	}
	empty := t.TempDir()
	if err := Init(empty, validator(t)); err != nil {
		t.Errorf("in an empty directory: %v", err)
	}
}

// TestBuildDirIsAllOrNothing makes the filling fail after it has written something.
func TestBuildDirIsAllOrNothing(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	full := errors.New("disk full")
	err := BuildDir(filepath.Join(parent, "node"), func(temporary string) error {
		mustWrite(t, filepath.Join(temporary, "part"), "of it")
		return full
	})
	if !errors.Is(err, full) {
		t.Errorf("error is %v", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	// Somebody else fills the place in the meantime.
	dir := filepath.Join(parent, "node")
	err = BuildDir(dir, func(string) error {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, "theirs"), nil, 0o600)
	})
	if !errors.Is(err, ErrExists) {
		t.Errorf("a place that was taken meanwhile: %v, want ErrExists", err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestInitRefusesBadOptions(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Options){
		"name":            func(o *Options) { o.Config.Name = "A" },
		"no genesis":      func(o *Options) { o.Genesis = nil },
		"no node key":     func(o *Options) { o.NodeKey = keys.PrivateKey{} },
		"schnorr node":    func(o *Options) { o.NodeKey = generate(t, keys.SchemeSchnorr) },
		"schnorr signing": func(o *Options) { o.ValidatorKey = generate(t, keys.SchemeSchnorr) },
	} {
		o := validator(t)
		spoil(&o)
		dir := filepath.Join(t.TempDir(), "node")
		if err := Init(dir, o); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v, want ErrConfig", name, err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: something was made", name)
		}
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(t *testing.T, d Dir) error
		kind  ErrorKind
	}{
		"no directory":       {func(_ *testing.T, d Dir) error { return os.RemoveAll(string(d)) }, ErrNotHome},
		"no configuration":   {func(_ *testing.T, d Dir) error { return os.Remove(d.Config()) }, ErrNotHome},
		"no genesis":         {func(_ *testing.T, d Dir) error { return os.Remove(d.Genesis()) }, ErrNotHome},
		"no node key":        {func(_ *testing.T, d Dir) error { return os.Remove(d.NodeKey()) }, ErrNotHome},
		"record without key": {func(_ *testing.T, d Dir) error { return os.Remove(d.ValidatorKey()) }, ErrKey},
		"readable by others": {func(_ *testing.T, d Dir) error { return os.Chmod(d.ValidatorKey(), 0o640) }, ErrKey},
		"damaged key":        {func(_ *testing.T, d Dir) error { return os.Truncate(d.NodeKey(), 20) }, ErrKey},
		"other scheme": {func(t *testing.T, d Dir) error {
			return errors.Join(os.Remove(d.NodeKey()), keys.SaveFile(d.NodeKey(), generate(t, keys.SchemeECDSA)))
		}, ErrKey},
		"unknown key": {func(_ *testing.T, d Dir) error {
			return os.WriteFile(d.Config(), []byte("format=1\nname='acme-1'\norg='acme'\nx=1\n"), 0o600)
		}, ErrConfig},
		"newer": {func(_ *testing.T, d Dir) error {
			return os.WriteFile(d.Config(), []byte("format=7\nx=1\n"), 0o600)
		}, ErrNewer},
		"huge genesis": {func(_ *testing.T, d Dir) error { return os.Truncate(d.Genesis(), maxGenesisBytes+1) }, ErrNotHome},
	} {
		dir := made(t, validator(t))
		if err := c.spoil(t, dir); err != nil {
			t.Fatal(err)
		}
		var kind ErrorKind
		if _, err := Load(string(dir)); !errors.As(err, &kind) || kind != c.kind {
			t.Errorf("%s: %v, want %q", name, err, c.kind)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	o := validator(t)
	o.Config.GRPC.Listen = "0.0.0.0:9090"
	o.Config.GRPC.TLSNames = []string{"node.example", "192.0.2.7"}
	dir := made(t, o)
	h, err := Load(string(dir))
	if err != nil {
		t.Fatal(err)
	}
	// What is left when the first attempt ended between the two files.
	mustWrite(t, dir.PrivateKey(), "half a key")
	mustWrite(t, dir.Certificate()+".new", "half a certificate")
	first, err := h.TLS()
	if err != nil {
		t.Fatal(err)
	}
	leaf := first.Certificates[0].Leaf
	for _, name := range []string{"localhost", "127.0.0.1", "acme-1", "node.example", "192.0.2.7"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Errorf("clients cannot use %s: %v", name, err)
		}
	}
	second, err := h.TLS()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(second.Certificates[0].Certificate[0], leaf.Raw) {
		t.Error("the second start made another certificate")
	}
	if err := os.Chmod(dir.PrivateKey(), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := h.TLS(); !errors.Is(err, ErrKey) {
		t.Errorf("a key that others can read: %v, want ErrKey", err)
	}
	plain, err := Load(string(made(t, validator(t))))
	if err != nil {
		t.Fatal(err)
	}
	if c, err := plain.TLS(); c != nil || err != nil {
		t.Errorf("on loopback: %v, %v; want plaintext", c, err)
	}
}
