package home

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/althing-ledger/althing/keys"
)

// maxGenesisBytes bounds a genesis document; the state machine reads no larger one.
const maxGenesisBytes = 16 << 20

// Dir is the path of a home; its methods say what lies where.
type Dir string

func (d Dir) path(name string) string { return filepath.Join(string(d), name) }

// Config is the path of the configuration file.
func (d Dir) Config() string { return d.path("althing.toml") }

// Genesis is the path of the genesis document.
func (d Dir) Genesis() string { return d.path("genesis.json") }

// NodeKey is the path of the key of the node's connections.
func (d Dir) NodeKey() string { return d.path("node_key.json") }

// ValidatorKey is the path of the key of the node's votes.
func (d Dir) ValidatorKey() string { return d.path("validator_key.json") }

// SignerState is the path of the record of what the validator signed last.
func (d Dir) SignerState() string { return d.path("signer.state") }

// Data is the directory of the state.
func (d Dir) Data() string { return d.path("data") }

// Consensus is the directory of the engine's write-ahead log.
func (d Dir) Consensus() string { return d.path("consensus") }

// Certificate is the path of the gRPC server's certificate, in PEM.
func (d Dir) Certificate() string { return d.path("tls.crt") }

// PrivateKey is the path of the certificate's key, in PEM.
func (d Dir) PrivateKey() string { return d.path("tls.key") }

// Log is where who starts the node may send its output.
func (d Dir) Log() string { return d.path("node.log") }

// PID is the path of the locked file that names the running process.
func (d Dir) PID() string { return d.path("node.pid") }

// Home is what a node needs from its directory. It is read once and never modified.
type Home struct {
	// Dir is absolute.
	Dir    Dir
	Config Config
	// Genesis is the content of the genesis document, byte for byte: the network's id depends on it.
	Genesis []byte
	// NodeKey identifies the node to its peers. Ed25519.
	NodeKey keys.PrivateKey
	// ValidatorKey signs votes. Ed25519; zero for an observer.
	ValidatorKey keys.PrivateKey
}

// Observer says whether the node has no key to vote with.
func (h *Home) Observer() bool { return h.ValidatorKey.IsZero() }

// Ed25519 returns the 64-byte form of an Ed25519 key that the engine wants. The zero key and keys of other schemes
// give nil.
func Ed25519(key keys.PrivateKey) ed25519.PrivateKey {
	if key.IsZero() || key.Public().Scheme() != keys.SchemeEd25519 {
		return nil
	}
	seed := key.Bytes()
	defer clear(seed)
	return ed25519.NewKeyFromSeed(seed)
}

// Load reads a home. Its error is [ErrNotHome], [ErrNewer], [ErrConfig] or [ErrKey] when the owner has to set something
// right, and an ordinary one when the directory cannot be read. Load locks nothing and changes nothing.
func Load(dir string) (*Home, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("load home: %w", err)
	}
	h := &Home{Dir: Dir(absolute)}
	if err := h.load(); err != nil {
		return nil, fmt.Errorf("load home %s: %w", dir, err)
	}
	return h, nil
}

func (h *Home) load() error {
	config, err := h.readPart(h.Dir.Config(), maxConfigBytes)
	if err != nil {
		return err
	}
	if h.Config, err = ParseConfig(config); err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(h.Dir.Config()), err)
	}
	if h.Genesis, err = h.readPart(h.Dir.Genesis(), maxGenesisBytes); err != nil {
		return err
	}
	if h.NodeKey, err = loadKey(h.Dir.NodeKey()); err != nil {
		return missingPart(err)
	}
	h.ValidatorKey, err = loadKey(h.Dir.ValidatorKey())
	if errors.Is(err, fs.ErrNotExist) {
		return h.checkObserver()
	}
	return err
}

// checkObserver refuses a home that lost the key its record belongs to.
func (h *Home) checkObserver() error {
	_, err := os.Lstat(h.Dir.SignerState())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: there is signer.state but no validator_key.json: put the key back", ErrKey)
}

// readPart reads a file that every home has.
func (h *Home) readPart(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, missingPart(err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%w: %s has more than %d bytes", ErrNotHome, filepath.Base(path), limit)
	}
	return content, nil
}

// missingPart turns the absence of a file, or of the directory, into ErrNotHome.
func missingPart(err error) error {
	var absent *fs.PathError
	if errors.As(err, &absent) && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: it has no %s", ErrNotHome, filepath.Base(absent.Path))
	}
	return err
}

// loadKey reads an Ed25519 key file.
func loadKey(path string) (keys.PrivateKey, error) {
	key, err := keys.LoadFile(path)
	switch {
	case errors.Is(err, keys.ErrFilePermissions), errors.Is(err, keys.ErrFileFormat):
		return keys.PrivateKey{}, fmt.Errorf("%w: %w", ErrKey, err)
	case err != nil:
		return keys.PrivateKey{}, err
	case key.Public().Scheme() != keys.SchemeEd25519:
		return keys.PrivateKey{}, fmt.Errorf("%w: %s is of scheme %s, nodes have ed25519 keys", ErrKey, path, key.Public().Scheme())
	}
	return key, nil
}
