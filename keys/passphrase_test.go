package keys

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEncryptedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	key := mustGenerate(t, SchemeEd25519, 1)
	passphrase := []byte("correct horse battery staple")
	if err := SaveEncryptedFile(path, key, passphrase); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(content), hex.EncodeToString(key.Bytes())) {
		t.Error("the file shows the key")
	}
	loaded, err := LoadEncryptedFile(path, passphrase)
	if err != nil || string(loaded.Bytes()) != string(key.Bytes()) {
		t.Errorf("loaded %v, %v", loaded, err)
	}
	for name, load := range map[string]func() (PrivateKey, error){
		"without a passphrase": func() (PrivateKey, error) { return LoadFile(path) },
		"an empty one":         func() (PrivateKey, error) { return LoadEncryptedFile(path, nil) },
		"another one":          func() (PrivateKey, error) { return LoadEncryptedFile(path, []byte("correct horse")) },
		"a huge one":           func() (PrivateKey, error) { return LoadEncryptedFile(path, make([]byte, maxPassphrase+1)) },
	} {
		if _, err := load(); !errors.Is(err, ErrPassphrase) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// With a passphrase at hand, a plain file is read as well.
	plain := filepath.Join(t.TempDir(), "k")
	if err := SaveFile(plain, key); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadEncryptedFile(plain, passphrase); err != nil {
		t.Error(err)
	}
	if err := SaveEncryptedFile(path, key, passphrase); !errors.Is(err, ErrFileExists) {
		t.Errorf("a second save: %v", err)
	}
	if err := SaveEncryptedFile(path+"2", key, nil); !errors.Is(err, ErrPassphrase) {
		t.Errorf("an empty passphrase: %v", err)
	}
}

func TestEncryptedFileIsBound(t *testing.T) {
	t.Parallel()
	passphrase := []byte("correct horse battery staple")
	key := mustGenerate(t, SchemeEd25519, 1)
	good, err := encodeEncrypted(key, passphrase)
	if err != nil {
		t.Fatal(err)
	}
	public, other := hex.EncodeToString(key.Public().Bytes()), hex.EncodeToString(mustGenerate(t, SchemeEd25519, 2).Public().Bytes())
	for name, c := range map[string]struct {
		old, new string
		want     ErrorKind
	}{
		"another public key":    {public, other, ErrPassphrase},
		"a cheap derivation":    {`"n": 32768`, `"n": 1024`, ErrFileFormat},
		"a memory bomb":         {`"n": 32768`, `"n": 1073741824`, ErrFileFormat},
		"no power of two":       {`"n": 32768`, `"n": 65535`, ErrFileFormat},
		"a large r":             {`"r": 8`, `"r": 1048576`, ErrFileFormat},
		"a large p":             {`"p": 1`, `"p": 1000000`, ErrFileFormat},
		"another derivation":    {`"scrypt"`, `"pbkdf2"`, ErrFileFormat},
		"another cipher":        {`"chacha20poly1305"`, `"rot13"`, ErrFileFormat},
		"a short salt":          {`"salt": "`, `"salt": "zz`, ErrFileFormat},
		"a short ciphertext":    {`"private_key": "`, `"private_key": "00`, ErrFileFormat},
		"an unknown field":      {`"kdf"`, `"note": "", "kdf"`, ErrFileFormat},
		"a version without key": {`"version": 2`, `"version": 1`, ErrFileFormat},
	} {
		changed := strings.Replace(string(good), c.old, c.new, 1)
		if changed == string(good) {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := decodeFile([]byte(changed), passphrase); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := decodeFile(good, passphrase); err != nil {
		t.Error(err)
	}
}

func TestReadPassphrase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
		kind    error
	}{
		"plain":     {"open sesame", 0o600, "open sesame", nil},
		"line":      {"open sesame \n", 0o600, "open sesame ", nil},
		"windows":   {"open sesame\r\n", 0o600, "open sesame", nil},
		"two lines": {"open\nsesame\n", 0o600, "", ErrPassphrase},
		"empty":     {"\n", 0o600, "", ErrPassphrase},
		"long":      {strings.Repeat("x", maxPassphrase+1), 0o600, "", ErrPassphrase},
		"longest":   {strings.Repeat("x", maxPassphrase) + "\r\n", 0o600, strings.Repeat("x", maxPassphrase), nil},
		"readable":  {"open sesame", 0o644, "", ErrFilePermissions},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPassphrase(path)
		if string(got) != c.want || !errors.Is(err, c.kind) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := ReadPassphrase(dir); !errors.Is(err, ErrPassphrase) {
		t.Errorf("a directory: %v", err)
	}
}
