package signer

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/althing-ledger/althing/keys"
	"github.com/althing-ledger/althing/proto/tx"
)

// maxChainID is the longest id of a network that the engine takes, in bytes.
const maxChainID = 50

// Keyring signs votes and proposals of one network with any of its keys, and never two different messages for the same
// height, round and step, whatever crashes and whichever keys: the record that spans them all is on disk before a signature
// leaves. It is safe for concurrent use.
type Keyring struct {
	chainID string
	publics atomic.Pointer[[][]byte] // those of keys, for those who must not wait for the disk

	mu     sync.Mutex
	keys   []ed25519.PrivateKey // never empty; zeros after Close
	file   recordFile
	last   signed
	slot   int   // where last is
	broken error // sticky: closed, or a write failed and what is on disk is unknown
}

// Create begins a record at path for a key (64 bytes) that has never signed. It returns an error that is [ErrRecordExists] if
// there is one already: a record must not be begun anew for a key that may have signed.
func Create(path string, public ed25519.PublicKey) error {
	if len(public) != ed25519.PublicKeySize {
		return fmt.Errorf("create signer record: %w: %d bytes", ErrKey, len(public))
	}
	if err := createRecord(path, public); err != nil {
		return fmt.Errorf("create signer record %s: %w", path, err)
	}
	return nil
}

// Open opens the record at path for one network and the keys (64 bytes each) that may vote in it. It returns an error that
// is [ErrKey], [ErrChainID], [ErrNoRecord], [ErrRecordCorrupt], [ErrRecordForeign] or [ErrRecordInUse], or one of the file
// system.
func Open(path, chainID string, private ...ed25519.PrivateKey) (*Keyring, error) {
	r := &Keyring{chainID: chainID}
	if chainID == "" || len(chainID) > maxChainID {
		return nil, fmt.Errorf("open signer: %w: %.60q", ErrChainID, chainID)
	}
	for _, key := range private {
		if err := r.add(key); err != nil {
			return nil, fmt.Errorf("open signer: %w", err)
		}
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open signer record %s: %w", path, ErrNoRecord)
	}
	if err != nil {
		return nil, fmt.Errorf("open signer record: %w", err)
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("lock signer record %s: %w", path, err), f.Close())
	}
	file := osFile{f}
	if err := r.open(file); err != nil {
		return nil, errors.Join(fmt.Errorf("open signer record %s: %w", path, err), file.Close())
	}
	return r, nil
}

// open reads the record and checks that it is of one of the keys and of this network.
func (r *Keyring) open(f recordFile) (err error) {
	if r.last, r.slot, err = readRecord(f); err != nil {
		return err
	}
	if r.find(r.last.key) == nil {
		return fmt.Errorf("%w: it is of %x, which is not one of these", ErrRecordForeign, r.last.key)
	}
	if r.last.step != stepNone {
		m, err := parse(r.last.bytes)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrRecordCorrupt, err)
		}
		if m.chainID != r.chainID {
			return fmt.Errorf("%w: it is of the network %s, this is %s", ErrRecordForeign, m.chainID, r.chainID)
		}
	}
	r.file = f
	return nil
}

// PublicKeys returns the public keys, 32 bytes each, of what it can sign with now, in the order in which they came. It does
// not wait for a signature that is being made.
func (r *Keyring) PublicKeys() [][]byte {
	publics := r.publics.Load()
	if publics == nil {
		return nil
	}
	out := make([][]byte, len(*publics))
	for i, public := range *publics {
		out[i] = bytes.Clone(public)
	}
	return out
}

// LastSigned returns the height that was signed last, 0 if none.
func (r *Keyring) LastSigned() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last.height
}

// lastSigned returns the newest height and the key whose signature of it is recorded.
func (r *Keyring) lastSigned() (int64, []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last.height, r.last.key
}

// Prove returns the signature that registering one of its validator keys for a node demands.
func (r *Keyring) Prove(publicKey []byte, node, org string) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return nil, r.broken
	}
	key := r.find(publicKey)
	if key == nil {
		return nil, fmt.Errorf("%w: %x", ErrUnknownKey, publicKey)
	}
	private, err := keys.ParsePrivateKey(keys.SchemeEd25519, key.Seed())
	if err != nil {
		return nil, err
	}
	return tx.ProvePossession(private, tx.UseValidator, node, org)
}

// Add puts a further key (64 bytes) into the ring. A key that is there already is no error.
func (r *Keyring) Add(key ed25519.PrivateKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	return r.add(key)
}

func (r *Keyring) add(key ed25519.PrivateKey) error {
	if len(key) != ed25519.PrivateKeySize || !bytes.Equal(ed25519.NewKeyFromSeed(key.Seed()), key) {
		return fmt.Errorf("%w: %d bytes, want %d that belong together", ErrKey, len(key), ed25519.PrivateKeySize)
	}
	if r.find(public(key)) == nil {
		r.keys = append(r.keys, bytes.Clone(key))
		r.publish()
	}
	return nil
}

// Drop forgets a key. One that is not there is no error, the only one is [ErrLastKey]. If the record is of it, that is given
// to the heir, so that it can be opened without the key; where the ring stands in the chain stays. The heir is another key
// of the ring, otherwise the error is [ErrUnknownKey].
func (r *Keyring) Drop(publicKey, heir []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return r.broken
	}
	key := r.find(publicKey)
	if key == nil {
		return nil
	}
	if len(r.keys) == 1 {
		return fmt.Errorf("%w %x", ErrLastKey, publicKey)
	}
	if r.find(heir) == nil || bytes.Equal(heir, publicKey) {
		return fmt.Errorf("%w: %x, which is to have the record of %x", ErrUnknownKey, heir, publicKey)
	}
	if bytes.Equal(r.last.key, publicKey) {
		// The signature goes: nobody can be asked for it any more.
		next := r.last
		next.seq, next.key, next.signature = next.seq+1, bytes.Clone(heir), nil
		if err := r.commit(next); err != nil {
			return err
		}
	}
	r.keys = slices.DeleteFunc(r.keys, func(k ed25519.PrivateKey) bool { return bytes.Equal(public(k), publicKey) })
	clear(key)
	r.publish()
	return nil
}

// find returns the key of a public one, or nil.
func (r *Keyring) find(publicKey []byte) ed25519.PrivateKey {
	for _, key := range r.keys {
		if bytes.Equal(public(key), publicKey) {
			return key
		}
	}
	return nil
}

func (r *Keyring) publish() {
	publics := make([][]byte, len(r.keys))
	for i, key := range r.keys {
		publics[i] = bytes.Clone(public(key))
	}
	r.publics.Store(&publics)
}

func public(key ed25519.PrivateKey) []byte { return key[ed25519.PrivateKeySize-ed25519.PublicKeySize:] }

// Sign returns the signature (64 bytes) of a vote or proposal in the form that validators of CometBFT sign, after recording
// it. Height, round and step are those in the message. For the message that was signed last it returns the earlier
// signature; if the message differs from that one in its time only, it also returns the earlier time, which must be
// put into the message. It returns an error that is [ErrMessage], [ErrUnknownKey], [ErrRegression], [ErrConflict],
// [ErrRecordWrite] or [ErrClosed].
func (r *Keyring) Sign(publicKey, bytesToSign []byte) (signature []byte, at time.Time, err error) {
	m, err := parse(bytesToSign)
	if err != nil {
		return nil, time.Time{}, err
	}
	if m.chainID != r.chainID {
		return nil, time.Time{}, fmt.Errorf("%w: it is of the network %q, not %s", ErrMessage, m.chainID, r.chainID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return nil, time.Time{}, r.broken
	}
	key := r.find(publicKey)
	if key == nil {
		return nil, time.Time{}, fmt.Errorf("%w: %x", ErrUnknownKey, publicKey)
	}
	switch order := m.compare(r.last.position); {
	case order < 0:
		return nil, time.Time{}, fmt.Errorf("%w: asked for %v after %v", ErrRegression, m.position, r.last.position)
	case order == 0:
		return r.again(publicKey, bytesToSign, m)
	}
	signature = ed25519.Sign(key, bytesToSign)
	err = r.commit(signed{
		position: m.position, seq: r.last.seq + 1, key: bytes.Clone(publicKey), bytes: bytes.Clone(bytesToSign), signature: signature,
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	return bytes.Clone(signature), time.Time{}, nil
}

// again answers for the position that was signed last. Another key would make the same validator vote twice, under two names.
func (r *Keyring) again(publicKey, bytesToSign []byte, m message) ([]byte, time.Time, error) {
	if r.last.signature == nil || !bytes.Equal(r.last.key, publicKey) {
		return nil, time.Time{}, fmt.Errorf("%w at %v: another key has signed there", ErrConflict, m.position)
	}
	if bytes.Equal(bytesToSign, r.last.bytes) {
		return bytes.Clone(r.last.signature), time.Time{}, nil
	}
	was, err := parse(r.last.bytes)
	if err != nil || !bytes.Equal(was.rest, m.rest) {
		return nil, time.Time{}, fmt.Errorf("%w at %v", ErrConflict, m.position)
	}
	return bytes.Clone(r.last.signature), was.at, nil
}

// commit puts the next state of the record on the disk. After a failure what is there is unknown: reopening will find out,
// this process must not sign again.
func (r *Keyring) commit(next signed) error {
	if err := r.write(next); err != nil {
		r.broken = fmt.Errorf("%w: %w", ErrRecordWrite, err)
		return r.broken
	}
	r.last, r.slot = next, 1-r.slot
	return nil
}

func (r *Keyring) write(next signed) error {
	slot, err := encodeSlot(next)
	if err != nil {
		return err
	}
	if _, err := r.file.WriteAt(slot, int64(1-r.slot)*slotSize); err != nil {
		return err
	}
	return r.file.Datasync()
}

// Close closes the record. The ring refuses to sign afterwards.
func (r *Keyring) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken == nil {
		r.broken = ErrClosed
	}
	for _, key := range r.keys {
		clear(key)
	}
	return r.file.Close()
}
