package signer

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// signed is what was signed last, with whichever key.
type signed struct {
	position
	seq       uint64 // counts writes; the slot with the higher one is the newer
	key       []byte // public, of the key that signed or, when that one is gone, of one that was there when it went
	bytes     []byte // what was signed
	signature []byte // nil when the key that made it is gone
}

// The record file has two slots of one page each. A write goes to the older slot, so a torn write leaves the newer one
// intact. All integers are big-endian.
//
//	offset  size  field
//	0       8     magic "ALTHSGN2": the format and its version
//	8       32    public key that signed; when it is gone, of a key that was there when it went
//	40      8     sequence number of the write
//	48      8     height
//	56      4     round
//	60      1     step: 0 nothing signed yet, 1 proposal, 2 prevote, 3 precommit
//	61      1     1 when there is a signature, 0 when there is none (yet, or no longer)
//	62      2     length n of the signed bytes, at most 3,936
//	64      64    signature, or zeros
//	128     n     signed bytes
//	128+n   -     zeros
//	4064    32    SHA-256 of everything before
const (
	slotSize   = 4096
	slotHeader = 128
	slotSum    = slotSize - sha256.Size
	maxSigned  = slotSum - slotHeader
	magicSize  = 8
	recordSize = 2 * slotSize
)

var recordMagic = [magicSize]byte{'A', 'L', 'T', 'H', 'S', 'G', 'N', '2'}

// recordFile is the disk as the record sees it. *os.File with a data sync, or a disk that fails in a test.
type recordFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Datasync returns when everything written is on the disk.
	Datasync() error
}

// osFile is the real [recordFile].
type osFile struct{ *os.File }

func (f osFile) Datasync() error { return datasync(f.File) }

func (f osFile) Close() error { return errors.Join(unlock(f.File), f.File.Close()) }

func encodeSlot(s signed) ([]byte, error) {
	if len(s.bytes) > maxSigned {
		return nil, fmt.Errorf("%d bytes to sign, at most %d", len(s.bytes), maxSigned)
	}
	slot := make([]byte, slotSize)
	copy(slot, recordMagic[:])
	copy(slot[8:40], s.key)
	binary.BigEndian.PutUint64(slot[40:], s.seq)
	binary.BigEndian.PutUint64(slot[48:], uint64(s.height))
	binary.BigEndian.PutUint32(slot[56:], uint32(s.round))
	slot[60] = byte(s.step)
	if s.signature != nil {
		slot[61] = 1
	}
	binary.BigEndian.PutUint16(slot[62:], uint16(len(s.bytes)))
	copy(slot[64:128], s.signature)
	copy(slot[slotHeader:], s.bytes)
	sum := sha256.Sum256(slot[:slotSum])
	copy(slot[slotSum:], sum[:])
	return slot, nil
}

var errSlot = errors.New("slot is not readable")

// decodeSlot returns the content of a slot.
func decodeSlot(slot []byte) (signed, error) {
	if len(slot) != slotSize || !bytes.Equal(slot[:magicSize], recordMagic[:]) {
		return signed{}, errSlot
	}
	if sum := sha256.Sum256(slot[:slotSum]); !bytes.Equal(sum[:], slot[slotSum:]) {
		return signed{}, errSlot
	}
	s := signed{
		position: position{
			height: int64(binary.BigEndian.Uint64(slot[48:])),
			round:  int32(binary.BigEndian.Uint32(slot[56:])),
			step:   int8(slot[60]),
		},
		key: bytes.Clone(slot[8:40]),
		seq: binary.BigEndian.Uint64(slot[40:]),
	}
	n := int(binary.BigEndian.Uint16(slot[62:]))
	if n > maxSigned || s.height < 0 || s.round < 0 || s.step < stepNone || s.step > stepPrecommit || slot[61] > 1 {
		return signed{}, errSlot
	}
	if s.step != stepNone {
		s.bytes = bytes.Clone(slot[slotHeader : slotHeader+n])
		if slot[61] == 1 {
			s.signature = bytes.Clone(slot[64 : 64+ed25519.SignatureSize])
		}
	}
	return s, nil
}

// readRecord returns the newest readable slot and its index.
func readRecord(f io.ReaderAt) (signed, int, error) {
	var newest signed
	at := -1
	for i := range 2 {
		slot := make([]byte, slotSize)
		if _, err := f.ReadAt(slot, int64(i)*slotSize); err != nil && !errors.Is(err, io.EOF) {
			return signed{}, 0, fmt.Errorf("read slot %d: %w", i, err)
		}
		s, err := decodeSlot(slot)
		if err != nil {
			continue
		}
		if at < 0 || s.seq > newest.seq {
			newest, at = s, i
		}
	}
	if at < 0 {
		return signed{}, 0, fmt.Errorf("%w: neither slot is readable; restoring an old copy risks signing twice", ErrRecordCorrupt)
	}
	return newest, at, nil
}

// createRecord writes a record of nothing signed yet, whole or not at all.
func createRecord(path string, public ed25519.PublicKey) error {
	slot, err := encodeSlot(signed{key: public})
	if err != nil {
		return err
	}
	content := make([]byte, recordSize)
	copy(content, slot)
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		if err == nil {
			err = ErrRecordExists
		}
		return err
	}
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // a leftover after an error; a second name after success
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	// A link, unlike a rename, does not replace a record that appeared meanwhile.
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = ErrRecordExists
		}
		return err
	}
	return syncDir(dir)
}

// beginRecord is [Create] that takes the record there is, if it is of this key and of nothing signed yet.
func beginRecord(path string, public ed25519.PublicKey) error {
	err := createRecord(path, public)
	if !errors.Is(err, ErrRecordExists) {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	last, _, err := readRecord(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if last.step != stepNone || !bytes.Equal(last.key, public) {
		return ErrRecordExists
	}
	return nil
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
