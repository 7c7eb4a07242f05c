package home

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/keys"
)

// Options is what a new home is made of.
type Options struct {
	// Config is written with its comments. Required.
	Config Config
	// Genesis is the content of the genesis document, which the caller has checked. Required.
	Genesis []byte
	// NodeKey identifies the node to its peers. Ed25519, required.
	NodeKey keys.PrivateKey
	// ValidatorKey signs votes and must never have signed before. Ed25519; zero makes an observer, or a node whose
	// configuration names a signer process.
	ValidatorKey keys.PrivateKey
	// Passphrase encrypts the key files. None: they are written in plain text. The configuration or the environment must say
	// where the node finds it.
	Passphrase []byte
}

func (o Options) validate() error {
	var problems []error
	problems = append(problems, o.Config.problems()...)
	if len(o.Genesis) == 0 || len(o.Genesis) > maxGenesisBytes {
		problems = append(problems, fmt.Errorf("the genesis document has %d bytes, want 1 to %d", len(o.Genesis), maxGenesisBytes))
	}
	if Ed25519(o.NodeKey) == nil {
		problems = append(problems, errors.New("the node key is missing or not an ed25519 key"))
	}
	if !o.ValidatorKey.IsZero() && Ed25519(o.ValidatorKey) == nil {
		problems = append(problems, errors.New("the validator key is not an ed25519 key"))
	}
	if !o.ValidatorKey.IsZero() && o.Config.Signer.Remote() {
		problems = append(problems, errors.New("there is a validator key, and a signer process that has one"))
	}
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// Init makes the home of a node at dir, completely or not at all: it returns once everything is on the disk. It returns
// an error that is [ErrExists] if there is something at dir other than an empty directory, and [ErrConfig] for options
// that cannot be.
func Init(dir string, o Options) error {
	if err := o.validate(); err != nil {
		return fmt.Errorf("init home %s: %w", dir, err)
	}
	err := BuildDir(dir, func(temporary string) error { return fill(Dir(temporary), o) })
	if err != nil {
		return fmt.Errorf("init home: %w", err)
	}
	return nil
}

// fill writes the parts of a home into an empty directory.
func fill(dir Dir, o Options) error {
	config, err := o.Config.Encode()
	if err != nil {
		return err
	}
	if err := WriteFile(dir.Config(), config, 0o600); err != nil {
		return err
	}
	if err := WriteFile(dir.Genesis(), o.Genesis, 0o600); err != nil {
		return err
	}
	if err := dir.nodeKeys(o.Passphrase).Save(o.NodeKey); err != nil {
		return err
	}
	if o.ValidatorKey.IsZero() {
		return nil
	}
	if err := dir.validatorKeys(o.Passphrase).Save(o.ValidatorKey); err != nil {
		return err
	}
	return signer.Create(dir.SignerState(), o.ValidatorKey.Public().Bytes())
}

// BuildDir makes the directory dir (mode 0700) with what fill writes into it, completely or not at all. fill gets the
// path of a temporary directory beside dir, which becomes dir when fill has succeeded; fill syncs the files it writes,
// as [WriteFile] does, and BuildDir syncs the directories. An error that is [ErrExists] means that something other than
// an empty directory is at dir. After a crash a directory .NAME.new-* may be left; nothing uses it.
func BuildDir(dir string, fill func(temporary string) error) (err error) {
	if err := checkFree(dir); err != nil {
		return err
	}
	parent, name := filepath.Split(filepath.Clean(dir))
	if parent == "" {
		parent = "."
	}
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp(parent, "."+name+".new-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temporary))
		}
	}()
	if err := fill(temporary); err != nil {
		return err
	}
	if err := syncTree(temporary); err != nil {
		return err
	}
	if err := takePlace(temporary, dir); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s", ErrExists, dir)
	} else if err != nil {
		return err
	}
	return syncDir(parent)
}

// takePlace renames a directory, to a name that is free or that of an empty directory. The error is fs.ErrExist for any
// other name, also one that was taken a moment ago.
func takePlace(from, to string) error {
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(from, to)
}

// checkFree says early what taking the place would say late.
func checkFree(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil && len(entries) == 0:
		return nil
	case err == nil:
		return fmt.Errorf("%w: %s", ErrExists, dir)
	}
	if info, statErr := os.Lstat(dir); statErr == nil && !info.IsDir() {
		return fmt.Errorf("%w: %s is a file", ErrExists, dir)
	}
	return err
}

// WriteFile writes a new file with the given mode and returns once it is on the disk. It fails if the file exists.
func WriteFile(path string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncTree makes the names in a directory, and in those below it, durable.
func syncTree(root string) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		return syncDir(path)
	})
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
