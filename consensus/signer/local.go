package signer

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

// Local is a [Keyring] whose keys lie in files of this process: the one that votes, and the one that was prepared.
type Local struct {
	*Keyring
	files KeyFiles

	mu      sync.Mutex // one change of keys at a time
	current []byte     // public, of the key that is in its place
	looked  time.Time  // when the file of the prepared key had changed, as of the last look at it
}

// OpenLocal opens the record in a directory and the keys beside it. The error is one of [Open], fs.ErrNotExist if there is no
// key, or one of reading a key file.
func OpenLocal(dir, chainID string, passphrase []byte) (*Local, error) {
	return openFiles(chainID, KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: passphrase})
}

func openFiles(chainID string, files KeyFiles) (*Local, error) {
	l := &Local{files: files}
	current, err := l.files.Load()
	if err != nil {
		return nil, fmt.Errorf("open signer: %w", err)
	}
	l.current = current.Public().Bytes()
	found := []ed25519.PrivateKey{ed25519Key(current)}
	if info, err := os.Stat(l.files.NextPath()); err == nil {
		l.looked = info.ModTime()
	}
	next, err := l.files.LoadNext()
	switch {
	case err == nil:
		found = append(found, ed25519Key(next))
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("open signer: %w", err)
	}
	l.Keyring, err = Open(filepath.Join(files.Dir, RecordName), chainID, found...)
	for _, key := range found {
		clear(key)
	}
	if err != nil {
		return nil, err
	}
	// The record is locked: nobody else changes the files from here on.
	if err := l.files.Clean(); err != nil {
		return nil, errors.Join(fmt.Errorf("open signer: %w", err), l.Keyring.Close())
	}
	return l, nil
}

// Run has nothing to do for keys in files. It returns nil when the context ends.
func (l *Local) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Expect loads the prepared key if it is this one, which the ledger lists. It returns an error that is [ErrUnknownKey] if the
// key is neither in the ring nor prepared. Looking again costs next to nothing until the file changes.
func (l *Local) Expect(publicKey []byte) error {
	if holds(l.PublicKeys(), publicKey) {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	unknown := fmt.Errorf("%w: %x is not in %s", ErrUnknownKey, publicKey, l.files.NextPath())
	info, err := os.Stat(l.files.NextPath())
	if errors.Is(err, fs.ErrNotExist) || (err == nil && info.ModTime().Equal(l.looked)) {
		return unknown
	}
	if err != nil {
		return err
	}
	l.looked = info.ModTime()
	next, err := l.files.LoadNext()
	if err != nil {
		return err
	}
	if !bytes.Equal(next.Public().Bytes(), publicKey) {
		return unknown
	}
	return l.add(next)
}

func (l *Local) add(key keys.PrivateKey) error {
	secret := ed25519Key(key)
	defer clear(secret)
	return l.Keyring.Add(secret)
}

// Prepare makes the key that shall vote next, or finds it, puts it into the ring, and returns it with the proof that
// registering it for a node demands.
func (l *Local) Prepare(_ context.Context, node, org string) (publicKey, proof []byte, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next, err := l.files.Prepare()
	if err != nil {
		return nil, nil, err
	}
	if err := l.add(next); err != nil {
		return nil, nil, err
	}
	proof, err = tx.ProvePossession(next, tx.UseValidator, node, org)
	return next.Public().Bytes(), proof, err
}

// Keep destroys the keys before this one, which votes from a height on: whatever is neither this key nor the one that is
// prepared in its file. The error is [ErrKeyInUse] if another key has signed at that height or above, and [ErrUnknownKey] if
// the key is in no file, so that nothing else may be destroyed.
func (l *Local) Keep(_ context.Context, publicKey []byte, from int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !holds(l.PublicKeys(), publicKey) {
		return fmt.Errorf("%w: %x", ErrUnknownKey, publicKey)
	}
	onDisk, err := l.onDisk()
	if err != nil {
		return err
	}
	if !holds(onDisk, publicKey) {
		return fmt.Errorf("%w: %x is neither in %s nor in %s", ErrUnknownKey, publicKey, l.files.Path(), l.files.NextPath())
	}
	kept := onDisk
	if !bytes.Equal(publicKey, l.current) {
		kept = append(onDisk[1:], publicKey) // the present file is destroyed below
	}
	height, key := l.lastSigned()
	if height >= from && !bytes.Equal(key, publicKey) && (!bytes.Equal(publicKey, l.current) || !holds(kept, key)) {
		return fmt.Errorf("%w: %x has signed at %d, %x is to vote from %d", ErrKeyInUse, key, height, publicKey, from)
	}
	// The record first: with its key gone, it could not be opened.
	for _, public := range l.PublicKeys() {
		if holds(kept, public) {
			continue
		}
		if err := l.Drop(public, publicKey); err != nil {
			return err
		}
		l.looked = time.Time{} // its file may come back
	}
	if bytes.Equal(publicKey, l.current) {
		return l.files.Clean()
	}
	if err := l.files.Switch(publicKey); err != nil {
		return err
	}
	l.current, l.looked = bytes.Clone(publicKey), time.Time{}
	return nil
}

// onDisk returns the public keys of the files: the present one, and the prepared one if there is one.
func (l *Local) onDisk() ([][]byte, error) {
	current, err := l.files.Load()
	if err != nil {
		return nil, err
	}
	publics := [][]byte{current.Public().Bytes()}
	next, err := l.files.LoadNext()
	if errors.Is(err, fs.ErrNotExist) {
		return publics, nil
	}
	if err != nil {
		return nil, err
	}
	return append(publics, next.Public().Bytes()), nil
}

func holds(publics [][]byte, publicKey []byte) bool {
	for _, public := range publics {
		if bytes.Equal(public, publicKey) {
			return true
		}
	}
	return false
}
