package home

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/althing-ledger/althing/consensus/signer"
	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

// OpenSigner opens what the node votes with on the network of this id, nil for an observer: the keys in the home and their
// record, or a connection to the signer process, which need not be there yet. The node holds the home's lock. Errors are those of
// [signer.OpenLocal] and [signer.NewRemote].
func (h *Home) OpenSigner(chainID string, log *slog.Logger) (*signer.Rotator, error) {
	if h.Observer() {
		return nil, h.begun()
	}
	if h.Config.Signer.Remote() {
		remote, err := h.remote(log)
		if err != nil {
			return nil, err
		}
		return signer.NewRotator(remote, log), nil
	}
	local, err := signer.OpenLocal(string(h.Dir), chainID, h.passphrase)
	if err != nil {
		return nil, err
	}
	return signer.NewRotator(local, log), nil
}

// LastSigned opens the record of what was signed and returns the newest height in it, 0 if there is none. What a signer process
// has signed is not known here: 0 as well. The caller holds the home's lock.
func (h *Home) LastSigned(chainID string) (int64, error) {
	switch {
	case h.Observer():
		return 0, h.begun()
	case h.Config.Signer.Remote():
		return 0, nil
	}
	local, err := signer.OpenLocal(string(h.Dir), chainID, h.passphrase)
	if err != nil {
		return 0, err
	}
	return local.LastSigned(), local.Close()
}

// remote returns a connection to the signer process.
func (h *Home) remote(log *slog.Logger) (*signer.Remote, error) {
	identity, err := hex.DecodeString(h.Config.Signer.PublicKey)
	if err != nil {
		return nil, fmt.Errorf("%w: signer.public_key: %w", ErrConfig, err)
	}
	return signer.NewRemote(signer.RemoteConfig{
		Address: h.Config.Signer.Address, PublicKey: identity, Key: Ed25519(h.NodeKey), Logger: log,
	})
}

// NewKey is the public side of a key that is to be registered for the node, and the proof of its possession that
// registering demands.
type NewKey struct {
	PublicKey []byte // 32 bytes
	Proof     []byte // 64 bytes
}

// errObserver is returned for the validator key of a node that has none and no signer process.
var errObserver = fmt.Errorf("%w: the node is an observer: it has no validator key", ErrKey)

// ValidatorKeyProof returns the key that the node votes with, wherever it is.
func (h *Home) ValidatorKeyProof(ctx context.Context) (NewKey, error) {
	switch {
	case h.Observer():
		return NewKey{}, errObserver
	case h.Config.Signer.Remote():
		return h.ask((*signer.Remote).Present, ctx)
	}
	return h.prove(h.ValidatorKey, tx.UseValidator)
}

// BeginValidatorKey gives an observer a key to vote with, and its record; a key that the node votes with already is returned as it is. What
// was interrupted is finished by doing it again. The node may run: it finds the key when it starts anew.
func (h *Home) BeginValidatorKey(ctx context.Context) (NewKey, error) {
	if !h.Observer() {
		return h.ValidatorKeyProof(ctx)
	}
	key, err := checked(h.Dir.validatorKeys(h.passphrase).Begin())
	if err != nil {
		return NewKey{}, fmt.Errorf("make validator key: %w", err)
	}
	return h.prove(key, tx.UseValidator)
}

// begun returns an error that is [ErrKey] for an observer with the record of a key: making its first one was interrupted.
func (h *Home) begun() error {
	_, err := os.Lstat(h.Dir.SignerState())
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	default:
		return fmt.Errorf("%w: there is signer.state but no validator_key.json: `althing validator new-key` was interrupted, "+
			"run it again", ErrKey)
	}
}

// NodeKeyProof returns the key of the node's connections.
func (h *Home) NodeKeyProof() (NewKey, error) { return h.prove(h.NodeKey, tx.UseNode) }

// PrepareValidatorKey makes the key that shall vote next, where the present one is: in the home or with the signer process.
// If there is one already it is that. The node may run: it uses the key once the ledger lists it.
func (h *Home) PrepareValidatorKey(ctx context.Context) (NewKey, error) {
	switch {
	case h.Observer():
		return NewKey{}, errObserver
	case h.Config.Signer.Remote():
		return h.ask((*signer.Remote).Prepare, ctx)
	}
	key, err := checked(h.Dir.validatorKeys(h.passphrase).Prepare())
	if err != nil {
		return NewKey{}, fmt.Errorf("prepare validator key: %w", err)
	}
	return h.prove(key, tx.UseValidator)
}

// ask makes one call to the signer process.
func (h *Home) ask(call func(*signer.Remote, context.Context, string, string) ([]byte, []byte, error), ctx context.Context) (NewKey, error) {
	remote, err := h.remote(nil)
	if err != nil {
		return NewKey{}, err
	}
	public, proof, err := call(remote, ctx, h.Config.Name, h.Config.Org)
	if err := errors.Join(err, remote.Close()); err != nil {
		return NewKey{}, err
	}
	// What is registered is lost for ever, if it should be wrong.
	if err := tx.CheckPossession(public, proof, tx.UseValidator, h.Config.Name, h.Config.Org); err != nil {
		return NewKey{}, err
	}
	return NewKey{PublicKey: public, Proof: proof}, nil
}

// PrepareNodeKey makes the key of the connections to come, or returns the one there is already. The node may run: it keeps
// the present one until [Home.SwitchNodeKey].
func (h *Home) PrepareNodeKey() (NewKey, error) {
	key, err := checked(h.Dir.nodeKeys(h.passphrase).Prepare())
	if err != nil {
		return NewKey{}, fmt.Errorf("prepare node key: %w", err)
	}
	return h.prove(key, tx.UseNode)
}

// LoadNextNodeKey reads the prepared key of connections, which may have been made after Load. The zero key means that there is
// none.
func (h *Home) LoadNextNodeKey() (keys.PrivateKey, error) {
	return optional(h.Dir.nodeKeys(h.passphrase).LoadNext())
}

// SwitchNodeKey puts the prepared key of connections in the place of the present one, which is destroyed. public is the one
// that must have been prepared; if it is in its place already, nothing happens. The node holds the home's lock; h is
// as it was loaded.
func (h *Home) SwitchNodeKey(public []byte) error {
	if err := h.Dir.nodeKeys(h.passphrase).Switch(public); err != nil {
		return fmt.Errorf("switch node key: %w", err)
	}
	return nil
}

func (h *Home) prove(key keys.PrivateKey, use tx.Use) (NewKey, error) {
	proof, err := tx.ProvePossession(key, use, h.Config.Name, h.Config.Org)
	if err != nil {
		return NewKey{}, err
	}
	return NewKey{PublicKey: key.Public().Bytes(), Proof: proof}, nil
}

// Protect encrypts the home's key files with a passphrase, or writes them in plain text with an empty one. The files as they
// are were loaded by Load, or by LoadToProtect, with which doing it again finishes what was interrupted. The caller holds the
// home's lock.
func (h *Home) Protect(passphrase []byte) error {
	for _, files := range []signer.KeyFiles{h.Dir.nodeKeys(passphrase), h.Dir.validatorKeys(passphrase)} {
		if _, err := os.Lstat(files.Path()); errors.Is(err, fs.ErrNotExist) {
			continue // observers have no validator key
		}
		if err := files.Protect(h.passphrase); err != nil {
			return fmt.Errorf("protect %s: %w", files.Path(), err)
		}
	}
	return nil
}
