package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fileVersion is the version of key files that this program writes and reads.
const fileVersion = 1

// maxFileSize bounds in bytes what LoadFile reads. A key file is about 220 bytes.
const maxFileSize = 4 << 10

// keyFile is the JSON of a key file. Keys are lower-case hex digits.
type keyFile struct {
	Version    int    `json:"version"`
	Scheme     string `json:"scheme"`
	PublicKey  string `json:"public_key"`
	PrivateKey string `json:"private_key"`
}

// SaveFile writes a key file that only its owner can read (mode 0600), and returns once it is on the disk. The file
// appears whole or not at all, and never in the place of another: if path exists, SaveFile returns ErrFileExists and
// changes nothing. It returns ErrPrivateKey for the zero key.
func SaveFile(path string, key PrivateKey) error {
	data, err := encodeFile(key)
	if err != nil {
		return fmt.Errorf("save key file: %w", err)
	}
	defer clear(data)
	dir := filepath.Dir(path)
	temporary := filepath.Join(dir, "."+filepath.Base(path)+"."+strings.ToLower(rand.Text())+".tmp")
	defer func() { _ = os.Remove(temporary) }()
	if err := writeExclusive(temporary, data); err != nil {
		return fmt.Errorf("save key file: %w", err)
	}
	// A link fails if its name exists, where a rename would silently replace somebody's key.
	if err := os.Link(temporary, path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("save key file: %w: %s", ErrFileExists, path)
	} else if err != nil {
		return fmt.Errorf("save key file: %w", err)
	}
	if err := os.Remove(temporary); err != nil {
		return fmt.Errorf("save key file: remove the temporary name: %w", err)
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("save key file: %w", err)
	}
	return nil
}

// encodeFile returns the content of a key file.
func encodeFile(key PrivateKey) ([]byte, error) {
	if key.IsZero() {
		return nil, fmt.Errorf("%w: the zero key cannot be saved", ErrPrivateKey)
	}
	data, err := json.MarshalIndent(keyFile{
		Version:    fileVersion,
		Scheme:     key.pub.scheme.String(),
		PublicKey:  hex.EncodeToString(key.pub.encoded()),
		PrivateKey: hex.EncodeToString(key.secret.bytes[:]),
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("%w: not encoded", ErrPrivateKey)
	}
	return append(data, '\n'), nil
}

// writeExclusive creates a file that must not exist, writes data and syncs it.
func writeExclusive(path string, data []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// syncDir makes a new name in a directory durable.
func syncDir(dir string) (err error) {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := d.Close(); err == nil {
			err = closeErr
		}
	}()
	return d.Sync()
}

// LoadFile reads a key file. It returns ErrFilePermissions if group or others may read or write the file, and
// ErrFileFormat if it is not a key file of version 1, has unknown fields, or its public key does not belong to its
// private key. No error contains anything of the key.
func LoadFile(path string) (PrivateKey, error) {
	key, err := loadFile(path)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("load key file: %w", err)
	}
	return key, nil
}

func loadFile(path string) (PrivateKey, error) {
	// Opening a pipe would wait for a writer, so ask before opening, and again about what was opened.
	if info, err := os.Stat(path); err != nil {
		return PrivateKey{}, err
	} else if !info.Mode().IsRegular() {
		return PrivateKey{}, fmt.Errorf("%w: %s is not a regular file", ErrFileFormat, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return PrivateKey{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return PrivateKey{}, err
	}
	if !info.Mode().IsRegular() {
		return PrivateKey{}, fmt.Errorf("%w: %s is not a regular file", ErrFileFormat, path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return PrivateKey{}, fmt.Errorf("%w: %s has mode %04o; run: chmod 600 %s", ErrFilePermissions, path, mode, path)
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return PrivateKey{}, err
	}
	defer clear(data)
	key, err := decodeFile(data)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// decodeFile decodes the content of a key file. Errors of the JSON decoder are not passed on, for they quote what they
// stumbled over.
func decodeFile(data []byte) (PrivateKey, error) {
	if len(data) > maxFileSize {
		return PrivateKey{}, fmt.Errorf("%w: more than %d bytes", ErrFileFormat, maxFileSize)
	}
	var file keyFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return PrivateKey{}, fmt.Errorf("%w: want JSON with version, scheme, public_key, private_key and no more", ErrFileFormat)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return PrivateKey{}, fmt.Errorf("%w: something follows the JSON", ErrFileFormat)
	}
	if file.Version != fileVersion {
		return PrivateKey{}, fmt.Errorf("%w: version %d, this program knows %d", ErrFileFormat, file.Version, fileVersion)
	}
	scheme, err := ParseScheme(file.Scheme)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: unknown scheme", ErrFileFormat)
	}
	secret, err := hex.DecodeString(file.PrivateKey)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: private_key is not hex digits", ErrFileFormat)
	}
	defer clear(secret)
	key, err := ParsePrivateKey(scheme, secret)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrFileFormat, err)
	}
	if hex.EncodeToString(key.pub.encoded()) != file.PublicKey {
		return PrivateKey{}, fmt.Errorf("%w: public_key does not belong to private_key", ErrFileFormat)
	}
	return key, nil
}
