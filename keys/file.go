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

// fileVersion is the version of key files whose private key is in plain text.
const fileVersion = 1

// maxFileSize bounds in bytes what LoadFile reads. A key file is about 220 bytes, an encrypted one 500.
const maxFileSize = 4 << 10

// keyFile is the JSON of a key file. Keys are lower-case hex digits.
type keyFile struct {
	Version    int    `json:"version"`
	Scheme     string `json:"scheme"`
	PublicKey  string `json:"public_key"`
	PrivateKey string `json:"private_key"` // encrypted, where the next one is there
	// Encryption is there in version 2 only.
	Encryption *encryption `json:"encryption,omitempty"`
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
	return saveFile(path, data)
}

// saveFile puts the content of a key file into its place.
func saveFile(path string, data []byte) error {
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
	return keyFile{
		Version:    fileVersion,
		Scheme:     key.pub.scheme.String(),
		PublicKey:  hex.EncodeToString(key.pub.encoded()),
		PrivateKey: hex.EncodeToString(key.secret.bytes[:]),
	}.encode()
}

func (f keyFile) encode() ([]byte, error) {
	data, err := json.MarshalIndent(f, "", "  ")
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
// ErrFileFormat if it is not a key file of a version this program knows, has unknown fields, or its public key does not
// belong to its private key, and ErrPassphrase if it is encrypted: LoadEncryptedFile reads it. No error contains
// anything of the key.
func LoadFile(path string) (PrivateKey, error) {
	key, err := loadFile(path, nil)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("load key file: %w", err)
	}
	return key, nil
}

func loadFile(path string, passphrase []byte) (PrivateKey, error) {
	f, err := openPrivate(path, ErrFileFormat)
	if err != nil {
		return PrivateKey{}, err
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
	if err != nil {
		return PrivateKey{}, err
	}
	defer clear(data)
	key, err := decodeFile(data, passphrase)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%s: %w", path, err)
	}
	return key, nil
}

// decodeFile decodes the content of a key file. Errors of the JSON decoder are not passed on, for they quote what they
// stumbled over.
func decodeFile(data, passphrase []byte) (PrivateKey, error) {
	if len(data) > maxFileSize {
		return PrivateKey{}, fmt.Errorf("%w: more than %d bytes", ErrFileFormat, maxFileSize)
	}
	var file keyFile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return PrivateKey{}, fmt.Errorf("%w: want JSON with version, scheme, public_key, private_key, encryption where it is encrypted, and no more", ErrFileFormat)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return PrivateKey{}, fmt.Errorf("%w: something follows the JSON", ErrFileFormat)
	}
	if file.Version != fileVersion && file.Version != encryptedVersion {
		return PrivateKey{}, fmt.Errorf("%w: version %d, this program knows %d and %d",
			ErrFileFormat, file.Version, fileVersion, encryptedVersion)
	}
	scheme, err := ParseScheme(file.Scheme)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: unknown scheme", ErrFileFormat)
	}
	secret, err := file.secret(passphrase)
	if err != nil {
		return PrivateKey{}, err
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

// secret returns the private key in the file.
func (f keyFile) secret(passphrase []byte) ([]byte, error) {
	if f.Version == encryptedVersion {
		return f.decrypt(passphrase)
	}
	if f.Encryption != nil {
		return nil, fmt.Errorf("%w: version %d with encryption", ErrFileFormat, f.Version)
	}
	secret, err := hex.DecodeString(f.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("%w: private_key is not hex digits", ErrFileFormat)
	}
	return secret, nil
}
