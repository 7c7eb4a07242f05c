package signer

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/althing-ledger/althing/keys"
)

// The names of a validator's files, in the home of a node as in that of a signer process.
const (
	ValidatorKeyName = "validator_key"
	RecordName       = "signer.state"
)

// KeyFiles are the files of an Ed25519 key that is changed from time to time, in one directory:
//
//	NAME.json         the key that is used
//	NAME.next.json    the key that was prepared to follow it
//	NAME.former.json  a key that is being destroyed, NAME.new.json one that is being written; after an interruption only
//	NAME.first.json   a first key that Begin is making; after an interruption only
//
// There is always a whole NAME.json, wherever a change is interrupted. Prepare may run beside anything, in any process; Switch,
// Protect and Clean one at a time.
type KeyFiles struct {
	Dir, Name string
	// Passphrase encrypts the files that are written and opens those that are encrypted. None: they are written in plain
	// text, mode 0600.
	Passphrase []byte
	// Former opens files that Passphrase does not: those that an interrupted Protect has not come to, or those that it has
	// written already. Nothing is written with it. None: it is not tried.
	Former []byte

	step func(string) error // tests interrupt changes with it
}

// Path is the key that is used, NextPath the one to follow it.
func (f KeyFiles) Path() string       { return filepath.Join(f.Dir, f.Name+".json") }
func (f KeyFiles) NextPath() string   { return filepath.Join(f.Dir, f.Name+".next.json") }
func (f KeyFiles) formerPath() string { return filepath.Join(f.Dir, f.Name+".former.json") }
func (f KeyFiles) newPath() string    { return filepath.Join(f.Dir, f.Name+".new.json") }
func (f KeyFiles) firstPath() string  { return filepath.Join(f.Dir, f.Name+".first.json") }

// next is the prepared key taken for one that is used.
func (f KeyFiles) next() KeyFiles {
	f.Name += ".next"
	return f
}

// Load reads the key that is used. It returns an error that is fs.ErrNotExist if there is none.
func (f KeyFiles) Load() (keys.PrivateKey, error) { return f.load(f.Path()) }

// LoadNext reads the key that was prepared. It returns an error that is fs.ErrNotExist if there is none.
func (f KeyFiles) LoadNext() (keys.PrivateKey, error) { return f.load(f.NextPath()) }

// LoadFirst reads the key that an interrupted Begin left. It returns an error that is fs.ErrNotExist if there is none.
func (f KeyFiles) LoadFirst() (keys.PrivateKey, error) { return f.load(f.firstPath()) }

func (f KeyFiles) load(path string) (keys.PrivateKey, error) {
	key, err := keys.LoadEncryptedFile(path, f.Passphrase)
	if errors.Is(err, keys.ErrPassphrase) && len(f.Former) > 0 {
		key, err = keys.LoadEncryptedFile(path, f.Former)
	}
	if err != nil {
		return keys.PrivateKey{}, err
	}
	if key.Public().Scheme() != keys.SchemeEd25519 {
		return keys.PrivateKey{}, fmt.Errorf("%s: %w but one of %s", path, ErrKey, key.Public().Scheme())
	}
	return key, nil
}

// Save writes the key that is used, where there is none yet.
func (f KeyFiles) Save(key keys.PrivateKey) error { return f.save(f.Path(), key) }

func (f KeyFiles) save(path string, key keys.PrivateKey) error {
	if len(f.Passphrase) > 0 {
		return keys.SaveEncryptedFile(path, key, f.Passphrase)
	}
	return keys.SaveFile(path, key)
}

// Prepare returns the key to follow the present one, and makes it if there is none.
func (f KeyFiles) Prepare() (keys.PrivateKey, error) { return f.obtain(f.NextPath()) }

// obtain returns the key at path, and makes it if there is none.
func (f KeyFiles) obtain(path string) (keys.PrivateKey, error) {
	key, err := f.load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if key, err = keys.Generate(keys.SchemeEd25519, nil); err != nil {
		return keys.PrivateKey{}, err
	}
	if err := f.save(path, key); errors.Is(err, keys.ErrFileExists) {
		return f.load(path) // somebody else was faster
	} else if err != nil {
		return keys.PrivateKey{}, err
	}
	return key, nil
}

// Begin makes the key that is used, where there is none, and the record beside it of what it signs; a key that is there is returned as
// it is. The key gets its name last: whatever interrupts it, there is none without a record, and Begin goes on where it was. The
// error is [ErrRecordExists] if there is a record that this key did not begin, or that has signed, and [ErrKeyInUse] if there is a key
// that was prepared to follow one that is gone: it may have signed.
func (f KeyFiles) Begin() (keys.PrivateKey, error) {
	if key, err := f.Load(); !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if _, err := os.Lstat(f.NextPath()); err == nil {
		return keys.PrivateKey{}, fmt.Errorf("%w: %s may have signed: put the key back that it was to follow", ErrKeyInUse, f.NextPath())
	} else if !errors.Is(err, fs.ErrNotExist) {
		return keys.PrivateKey{}, err
	}
	key, err := f.obtain(f.firstPath())
	if err != nil {
		return keys.PrivateKey{}, err
	}
	for _, do := range []struct {
		step string
		do   func() error
	}{
		{"record", func() error { return beginRecord(filepath.Join(f.Dir, RecordName), key.Public().Bytes()) }},
		{"rename", func() error { return os.Rename(f.firstPath(), f.Path()) }},
		{"sync rename", func() error { return syncDir(f.Dir) }},
	} {
		if f.step != nil {
			if err := f.step(do.step); err != nil {
				return keys.PrivateKey{}, err
			}
		}
		if err := do.do(); err != nil {
			return keys.PrivateKey{}, fmt.Errorf("begin %s: %s: %w", f.Path(), do.step, err)
		}
	}
	return key, nil
}

// Switch puts the prepared key in the place of the present one and destroys that. public is the one that must have been
// prepared, otherwise the error is [ErrUnknownKey]; if it is in its place already, only what an interruption left is done.
func (f KeyFiles) Switch(public []byte) error {
	current, err := f.Load()
	if err != nil {
		return err
	}
	if err := f.Clean(); err != nil {
		return err
	}
	if bytes.Equal(current.Public().Bytes(), public) {
		return nil
	}
	next, err := f.LoadNext()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil || !bytes.Equal(next.Public().Bytes(), public) {
		return fmt.Errorf("%w: %x is not in %s", ErrUnknownKey, public, f.NextPath())
	}
	return f.replace(f.NextPath())
}

// Protect writes the present key and the prepared one anew, under the passphrase of f or, without one, in plain text, and
// destroys what was there. was opens the files as they are. Files that are as they shall be stay, so that doing it again
// finishes what was interrupted.
func (f KeyFiles) Protect(was []byte) error {
	f.Former = was
	// Both must be readable before anything changes.
	key, err := f.Load()
	if err != nil {
		return err
	}
	prepared, err := f.LoadNext()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	hasNext := err == nil
	if err := f.Clean(); err != nil {
		return err
	}
	if hasNext {
		if err := f.next().rewrite(prepared); err != nil {
			return err
		}
	}
	return f.rewrite(key)
}

// protected says whether the key that is used is encrypted with the passphrase of f or, without one, in plain text.
func (f KeyFiles) protected() bool {
	_, err := keys.LoadEncryptedFile(f.Path(), nil)
	if len(f.Passphrase) == 0 {
		return err == nil
	}
	if !errors.Is(err, keys.ErrPassphrase) {
		return false
	}
	_, err = keys.LoadEncryptedFile(f.Path(), f.Passphrase)
	return err == nil
}

func (f KeyFiles) rewrite(key keys.PrivateKey) error {
	if f.protected() {
		return nil
	}
	if err := f.save(f.newPath(), key); err != nil {
		return err
	}
	return f.replace(f.newPath())
}

// replace puts the file at path in the place of the key that is used. The old file keeps a name until it is destroyed, so
// that an interruption does not leave a key on the disk that nobody finds any more.
func (f KeyFiles) replace(path string) error {
	for _, do := range []struct {
		step string
		do   func() error
	}{
		{"link", func() error { return os.Link(f.Path(), f.formerPath()) }},
		{"sync link", func() error { return syncDir(f.Dir) }},
		{"rename", func() error { return os.Rename(path, f.Path()) }},
		{"sync rename", func() error { return syncDir(f.Dir) }},
		{"destroy", func() error { return destroy(f.formerPath()) }},
	} {
		if f.step != nil {
			if err := f.step(do.step); err != nil {
				return err
			}
		}
		if err := do.do(); err != nil {
			return fmt.Errorf("replace %s: %s: %w", f.Path(), do.step, err)
		}
	}
	return nil
}

// Clean finishes or takes back what an interruption left, of the present key and of the prepared one.
func (f KeyFiles) Clean() error {
	for _, files := range []KeyFiles{f, f.next()} {
		if err := destroy(files.newPath()); err != nil {
			return err
		}
		if err := files.cleanFormer(); err != nil {
			return err
		}
	}
	return nil
}

func (f KeyFiles) cleanFormer() error {
	former, err := os.Lstat(f.formerPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if current, err := os.Lstat(f.Path()); err == nil && os.SameFile(former, current) {
		// The key is still the one that is used: it has a second name, no more.
		if err := os.Remove(f.formerPath()); err != nil {
			return err
		}
		return syncDir(f.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return destroy(f.formerPath())
}

// destroy overwrites a file with zeros and removes it. A file that is not there is no error.
func destroy(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(make([]byte, info.Size()), 0)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// ed25519Key returns the 64-byte form of an Ed25519 key.
func ed25519Key(key keys.PrivateKey) ed25519.PrivateKey {
	seed := key.Bytes()
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed)
}
