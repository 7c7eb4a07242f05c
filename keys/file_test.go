package keys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestFileRoundTrip(t *testing.T) {
	t.Parallel()
	for _, scheme := range allSchemes {
		t.Run(scheme.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "node.key")
			key := mustGenerate(t, scheme, 1)
			if err := SaveFile(path, key); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != 0o600 {
				t.Errorf("mode is %v", info.Mode())
			}
			loaded, err := LoadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !loaded.Public().Equal(key.Public()) || string(loaded.Bytes()) != string(key.Bytes()) {
				t.Error("another key came back")
			}

			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := SaveFile(path, mustGenerate(t, scheme, 2)); !errors.Is(err, ErrFileExists) {
				t.Errorf("second save: %v", err)
			}
			after, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if string(before) != string(after) {
				t.Error("the second save changed the file")
			}
			assertOnly(t, dir, "node.key")
		})
	}
}

// assertOnly checks that a directory holds one file and no left-overs.
func assertOnly(t *testing.T, dir, name string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("%v is in %s, want only %s", entries, dir, name)
	}
}

// TestSaveFileRace saves different keys under one name at once: one wins, the others are told.
func TestSaveFileRace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "k")
	errs := make([]error, 8)
	var group sync.WaitGroup
	for i := range errs {
		key := mustGenerate(t, SchemeEd25519, byte(i))
		group.Go(func() { errs[i] = SaveFile(path, key) })
	}
	group.Wait()
	loaded, err := LoadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	won := 0
	for i, err := range errs {
		switch {
		case err == nil:
			won++
			if !loaded.Public().Equal(mustGenerate(t, SchemeEd25519, byte(i)).Public()) {
				t.Error("the file is not the winner's")
			}
		case !errors.Is(err, ErrFileExists):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d saves succeeded", won)
	}
	assertOnly(t, dir, "k")
}

func TestSaveFileFails(t *testing.T) {
	t.Parallel()
	if err := SaveFile(filepath.Join(t.TempDir(), "missing", "k"), mustGenerate(t, SchemeSchnorr, 1)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing directory: %v", err)
	}
	if err := SaveFile(filepath.Join(t.TempDir(), "k"), PrivateKey{}); !errors.Is(err, ErrPrivateKey) {
		t.Errorf("zero key: %v", err)
	}
}

func TestLoadFilePermissions(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k")
	if err := SaveFile(path, mustGenerate(t, SchemeSchnorr, 1)); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []fs.FileMode{0o640, 0o604, 0o620, 0o602, 0o644, 0o666, 0o601} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := LoadFile(path)
		if !errors.Is(err, ErrFilePermissions) || !strings.Contains(err.Error(), "chmod 600 "+path) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
	for _, mode := range []fs.FileMode{0o600, 0o400} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadFile(path); err != nil {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestLoadFileRefuses(t *testing.T) {
	t.Parallel()
	key := mustGenerate(t, SchemeSchnorr, 1)
	secret := fmt.Sprintf("%x", key.Bytes())
	public := fmt.Sprintf("%x", key.Public().Bytes())
	other := fmt.Sprintf("%x", mustGenerate(t, SchemeSchnorr, 2).Public().Bytes())
	good := fmt.Sprintf(`{"version":1,"scheme":"schnorr","public_key":"%s","private_key":"%s"}`, public, secret)
	if _, err := decodeFile([]byte(good), nil); err != nil {
		t.Fatal(err)
	}
	cases := map[string]string{
		"empty":                   "",
		"not JSON":                secret,
		"truncated":               good[:len(good)-5],
		"trailing":                good + good,
		"trailing text":           good + secret,
		"unknown field":           strings.Replace(good, `{`, `{"note":"`+secret+`",`, 1),
		"version 0":               strings.Replace(good, `"version":1,`, ``, 1),
		"version 2 in plain":      strings.Replace(good, `"version":1`, `"version":2`, 1),
		"version 3":               strings.Replace(good, `"version":1`, `"version":3`, 1),
		"encryption in version 1": strings.Replace(good, `{`, `{"encryption":{},`, 1),
		"unknown scheme":          strings.Replace(good, `"schnorr"`, `"rsa"`, 1),
		"secret as scheme":        strings.Replace(good, `"schnorr"`, `"`+secret+`"`, 1),
		"other scheme":            strings.Replace(good, `"schnorr"`, `"ed25519"`, 1),
		"other public key":        strings.Replace(good, public, other, 1),
		"no public key":           strings.Replace(good, public, "", 1),
		"upper-case public key":   strings.Replace(good, public, strings.ToUpper(public), 1),
		"short private key":       strings.Replace(good, secret, secret[2:], 1),
		"odd private key":         strings.Replace(good, secret, secret[1:], 1),
		"zero private key":        strings.Replace(good, secret, strings.Repeat("0", 64), 1),
		"private key not hex":     strings.Replace(good, secret, "zz"+secret[2:], 1),
		"private key as a number": strings.Replace(good, `"`+secret+`"`, "123456789123456789", 1),
		"too large":               good + strings.Repeat(" ", maxFileSize),
	}
	for name, content := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "k")
			if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := LoadFile(path)
			if !errors.Is(err, ErrFileFormat) {
				t.Fatalf("got %v", err)
			}
			for i := 0; i+16 <= len(secret); i++ {
				if strings.Contains(err.Error(), secret[i:i+16]) {
					t.Fatalf("the error shows the key: %v", err)
				}
			}
			if strings.Contains(err.Error(), "123456789") {
				t.Fatalf("the error quotes the file: %v", err)
			}
		})
	}
}

func TestLoadFileNotRegular(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := LoadFile(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := LoadFile(dir); !errors.Is(err, ErrFileFormat) {
		t.Errorf("directory: %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFile(pipe); !errors.Is(err, ErrFileFormat) {
		t.Errorf("pipe: %v", err)
	}
}

func FuzzKeyFile(f *testing.F) {
	for _, scheme := range allSchemes {
		data, err := encodeFile(mustGenerate(f, scheme, 1))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"version":1,"scheme":"schnorr","public_key":"","private_key":""}`))
	encrypted, err := encodeEncrypted(mustGenerate(f, SchemeEd25519, 1), []byte("a passphrase"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(encrypted)
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := decodeFile(data, []byte("a passphrase"))
		if err != nil {
			if !errors.Is(err, ErrFileFormat) && !errors.Is(err, ErrPassphrase) {
				t.Fatalf("untyped error: %v", err)
			}
			return
		}
		// What was accepted must survive being written and read again.
		again, err := encodeFile(key)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := decodeFile(again, nil); err != nil || !back.Public().Equal(key.Public()) {
			t.Fatalf("%v", err)
		}
	})
}
