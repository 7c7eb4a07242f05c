package signer

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/althing-ledger/althing/keys"
)

// The directory of a signer process:
//
//	signer.json          Settings
//	identity_key.json    Ed25519 key by which nodes know it
//	validator_key.json   Ed25519 key that votes; validator_key.next.json, the one prepared to follow it
//	signer.state         what was signed last
const (
	settingsName    = "signer.json"
	identityKeyName = "identity_key"
	settingsFormat  = 1
	maxSettings     = 64 << 10
	maxNodes        = 64
)

// Settings say what a signer process signs for whom.
type Settings struct {
	// ChainID is the network. It never changes.
	ChainID string
	// Nodes are the Ed25519 keys, 32 bytes each, of the nodes that may ask. At most 64, and more than one only while a
	// node's key is being changed: the signer does not keep two nodes from asking in turn.
	Nodes [][]byte
}

// settingsFile is the JSON of Settings.
type settingsFile struct {
	Format  int      `json:"format"`
	ChainID string   `json:"chain_id"`
	Nodes   []string `json:"nodes"`
}

func (s Settings) validate() error {
	if s.ChainID == "" || len(s.ChainID) > maxChainID {
		return fmt.Errorf("%w: %w: %.60q", ErrConfig, ErrChainID, s.ChainID)
	}
	if len(s.Nodes) > maxNodes {
		return fmt.Errorf("%w: %d nodes, at most %d", ErrConfig, len(s.Nodes), maxNodes)
	}
	for _, node := range s.Nodes {
		if _, err := keys.ParsePublicKey(keys.SchemeEd25519, node); err != nil {
			return fmt.Errorf("%w: node %x: %w", ErrConfig, node, err)
		}
	}
	return nil
}

// Fill makes the directory of a signer process in an empty one: an identity, a validator key that has never signed, and its
// record. It syncs the files, the caller the directory.
func Fill(dir string, s Settings, passphrase []byte) error {
	if err := s.validate(); err != nil {
		return err
	}
	if err := writeSettings(dir, s); err != nil {
		return err
	}
	var validator keys.PrivateKey
	for _, name := range []string{identityKeyName, ValidatorKeyName} {
		key, err := keys.Generate(keys.SchemeEd25519, nil)
		if err != nil {
			return err
		}
		if err := (KeyFiles{Dir: dir, Name: name, Passphrase: passphrase}).Save(key); err != nil {
			return err
		}
		validator = key // the last one
	}
	return Create(filepath.Join(dir, RecordName), validator.Public().Bytes())
}

// ReadSettings reads what [Fill] wrote.
func ReadSettings(dir string) (Settings, error) {
	s, err := readSettings(filepath.Join(dir, settingsName))
	if errors.Is(err, fs.ErrNotExist) {
		return Settings{}, fmt.Errorf("%w: %s is not the directory of a signer: it has no %s", ErrConfig, dir, settingsName)
	}
	return s, err
}

func readSettings(path string) (Settings, error) {
	f, err := os.Open(path)
	if err != nil {
		return Settings{}, err
	}
	defer func() { _ = f.Close() }()
	d := json.NewDecoder(io.LimitReader(f, maxSettings))
	d.DisallowUnknownFields()
	var file settingsFile
	if err := d.Decode(&file); err != nil {
		return Settings{}, fmt.Errorf("%w: %s: %w", ErrConfig, path, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Settings{}, fmt.Errorf("%w: %s: something follows the JSON", ErrConfig, path)
	}
	if file.Format != settingsFormat {
		return Settings{}, fmt.Errorf("%w: %s has format %d, this program knows %d", ErrConfig, path, file.Format, settingsFormat)
	}
	s := Settings{ChainID: file.ChainID}
	for _, node := range file.Nodes {
		key, err := hex.DecodeString(node)
		if err != nil {
			return Settings{}, fmt.Errorf("%w: %s: node %.80q is not hex digits", ErrConfig, path, node)
		}
		s.Nodes = append(s.Nodes, key)
	}
	return s, s.validate()
}

// writeSettings replaces the file in one step.
func writeSettings(dir string, s Settings) error {
	file := settingsFile{Format: settingsFormat, ChainID: s.ChainID, Nodes: []string{}}
	for _, node := range s.Nodes {
		file.Nodes = append(file.Nodes, hex.EncodeToString(node))
	}
	content, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, settingsName)
	tmp, err := os.CreateTemp(dir, "."+settingsName+".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already after success
	_, err = tmp.Write(append(content, '\n'))
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Rename(tmp.Name(), path); err != nil {
		return err
	}
	return syncDir(dir)
}

// SetNode lets a node in, or keeps it out, by its Ed25519 key of 32 bytes. A running process heeds it with the next call,
// also on connections that it has.
func SetNode(dir string, node []byte, admit bool) (Settings, error) {
	s, err := ReadSettings(dir)
	if err != nil {
		return Settings{}, err
	}
	var kept [][]byte
	for _, known := range s.Nodes {
		if !bytes.Equal(known, node) {
			kept = append(kept, known)
		}
	}
	if admit {
		kept = append(kept, bytes.Clone(node))
	}
	s.Nodes = kept
	if err := s.validate(); err != nil {
		return Settings{}, err
	}
	return s, writeSettings(dir, s)
}

// Identity is what the two sides have to know of a signer process.
type Identity struct {
	Settings
	// PublicKey is the key by which nodes know the process, Validator the one that votes, Next the one that was prepared to
	// follow it, nil if there is none. 32 bytes each.
	PublicKey, Validator, Next ed25519.PublicKey
}

// ReadIdentity reads the public side of a signer's directory.
func ReadIdentity(dir string, passphrase []byte) (Identity, error) {
	s, err := ReadSettings(dir)
	if err != nil {
		return Identity{}, err
	}
	id := Identity{Settings: s}
	files := KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: passphrase}
	for _, k := range []struct {
		into *ed25519.PublicKey
		load func() (keys.PrivateKey, error)
		may  bool
	}{
		{&id.PublicKey, KeyFiles{Dir: dir, Name: identityKeyName, Passphrase: passphrase}.Load, false},
		{&id.Validator, files.Load, false},
		{&id.Next, files.LoadNext, true},
	} {
		key, err := k.load()
		if k.may && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return Identity{}, err
		}
		*k.into = key.Public().Bytes()
	}
	return id, nil
}

// Protect writes all keys of a signer's directory anew, under another passphrase or, with an empty one, in plain text. The
// process must not run. Doing it again finishes what was interrupted: a file opens with either passphrase.
func Protect(dir string, was, passphrase []byte) (err error) {
	s, err := ReadSettings(dir)
	if err != nil {
		return err
	}
	// Holding the record makes sure that nobody runs.
	local, err := openFiles(s.ChainID, KeyFiles{Dir: dir, Name: ValidatorKeyName, Passphrase: was, Former: passphrase})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, local.Close()) }()
	for _, name := range []string{identityKeyName, ValidatorKeyName} {
		if err := (KeyFiles{Dir: dir, Name: name, Passphrase: passphrase}).Protect(was); err != nil {
			return fmt.Errorf("protect %s: %w", name, err)
		}
	}
	return nil
}
