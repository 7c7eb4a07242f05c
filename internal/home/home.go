package home

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/althing-ledger/althing/consensus/signer"
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
func (d Dir) NodeKey() string { return d.nodeKeys(nil).Path() }

// NextNodeKey is the path of the key that was prepared to follow it.
func (d Dir) NextNodeKey() string { return d.nodeKeys(nil).NextPath() }

// ValidatorKey is the path of the key of the node's votes.
func (d Dir) ValidatorKey() string { return d.validatorKeys(nil).Path() }

// NextValidatorKey is the path of the key that was prepared to follow it.
func (d Dir) NextValidatorKey() string { return d.validatorKeys(nil).NextPath() }

// SignerState is the path of the record of what the validator signed last.
func (d Dir) SignerState() string { return d.path(signer.RecordName) }

func (d Dir) nodeKeys(passphrase []byte) signer.KeyFiles {
	return signer.KeyFiles{Dir: string(d), Name: "node_key", Passphrase: passphrase}
}

func (d Dir) validatorKeys(passphrase []byte) signer.KeyFiles {
	return signer.KeyFiles{Dir: string(d), Name: signer.ValidatorKeyName, Passphrase: passphrase}
}

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
	// NodeKey identifies the node to its peers, and NextNodeKey is the one prepared to follow it, zero if there is none.
	// Ed25519.
	NodeKey, NextNodeKey keys.PrivateKey
	// ValidatorKey signs votes, and NextValidatorKey is the one prepared to follow it. Ed25519; both zero for an observer, and
	// where a signer process has them.
	ValidatorKey, NextValidatorKey keys.PrivateKey

	passphrase []byte // nil where there is none
	other      []byte // opens what passphrase does not, see LoadToProtect
}

// Observer says whether the node has nothing to vote with: no key, and no signer process that has one.
func (h *Home) Observer() bool { return h.ValidatorKey.IsZero() && !h.Config.Signer.Remote() }

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

// PassphraseVariable names the variable that names the file with the passphrase of the key files. It comes before what the
// configuration says. The passphrase itself is neither in the environment nor among the arguments, where others see it.
const PassphraseVariable = "ALTHING_PASSPHRASE_FILE"

// Load reads a home. Its error is [ErrNotHome], [ErrNewer], [ErrConfig] or [ErrKey] when the owner has to set something
// right, and an ordinary one when the directory cannot be read. Load locks nothing and changes nothing.
func Load(dir string) (*Home, error) {
	var passphrase []byte
	if path := os.Getenv(PassphraseVariable); path != "" {
		var err error
		if passphrase, err = readPassphrase(path); err != nil {
			return nil, fmt.Errorf("load home %s: %s: %w", dir, PassphraseVariable, err)
		}
	}
	return LoadWithPassphrase(dir, passphrase)
}

// LoadWithPassphrase is Load with the passphrase of the key files. None: the configuration says where it is.
func LoadWithPassphrase(dir string, passphrase []byte) (*Home, error) {
	return LoadToProtect(dir, passphrase, nil)
}

// LoadToProtect is LoadWithPassphrase for a home whose files get another passphrase: an interrupted [Home.Protect] may have
// given it to some of them already.
func LoadToProtect(dir string, was, passphrase []byte) (*Home, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("load home: %w", err)
	}
	h := &Home{Dir: Dir(absolute), passphrase: was, other: passphrase}
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
	if file := h.Config.Signer.PassphraseFile; file != "" && len(h.passphrase) == 0 {
		if !filepath.IsAbs(file) {
			file = h.Dir.path(file)
		}
		if h.passphrase, err = readPassphrase(file); err != nil {
			return err
		}
	}
	node, validator := h.Dir.nodeKeys(h.passphrase), h.Dir.validatorKeys(h.passphrase)
	node.Former, validator.Former = h.other, h.other
	if h.NodeKey, err = checked(node.Load()); err != nil {
		return missingPart(err)
	}
	if h.NextNodeKey, err = optional(node.LoadNext()); err != nil {
		return err
	}
	if h.ValidatorKey, err = optional(validator.Load()); err != nil {
		return err
	}
	if h.NextValidatorKey, err = optional(validator.LoadNext()); err != nil {
		return err
	}
	first, err := optional(validator.LoadFirst())
	if err != nil {
		return err
	}
	return h.checkSigner(!first.IsZero())
}

func readPassphrase(path string) ([]byte, error) {
	passphrase, err := keys.ReadPassphrase(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return passphrase, nil
}

// checkSigner refuses a home that lost the key its record belongs to, and one in which it is not clear who signs. begun says that a first
// key is being made, whose record comes before its name.
func (h *Home) checkSigner(begun bool) error {
	_, err := os.Lstat(h.Dir.SignerState())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	recorded := err == nil
	switch {
	case h.Config.Signer.Remote() && (recorded || !h.ValidatorKey.IsZero()):
		return fmt.Errorf("%w: althing.toml names a signer process, and there is a validator_key.json or signer.state: "+
			"two that sign for one validator may sign twice; move both files to the signer, or take [signer] address out", ErrConfig)
	case recorded && h.ValidatorKey.IsZero() && !begun:
		return fmt.Errorf("%w: there is signer.state but no validator_key.json: put the key back", ErrKey)
	}
	return nil
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

// checked gives the errors of a key file that its owner has to set right their kind.
func checked(key keys.PrivateKey, err error) (keys.PrivateKey, error) {
	for _, kind := range []error{keys.ErrFilePermissions, keys.ErrFileFormat, keys.ErrPassphrase, signer.ErrKey} {
		if errors.Is(err, kind) {
			return keys.PrivateKey{}, fmt.Errorf("%w: %w", ErrKey, err)
		}
	}
	return key, err
}

// optional is checked for a file that need not be there.
func optional(key keys.PrivateKey, err error) (keys.PrivateKey, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return keys.PrivateKey{}, nil
	}
	return checked(key, err)
}
