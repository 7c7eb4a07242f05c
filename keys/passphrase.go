package keys

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/scrypt"
)

// encryptedVersion is the version of key files whose private key is encrypted.
const encryptedVersion = 2

// The cost of trying one passphrase: 128·r·n bytes of memory, 32 MiB here. Files that ask for more than maxScryptN are
// refused, so that a file cannot take the memory of who reads it.
const (
	scryptN    = 1 << 15
	maxScryptN = 1 << 17
	scryptR    = 8
	scryptP    = 1
	saltSize   = 32
)

// maxPassphrase bounds a passphrase in bytes.
const maxPassphrase = 1 << 10

// encryption says in a key file how to get at its private key.
type encryption struct {
	KDF    string `json:"kdf"` // "scrypt"
	N      int    `json:"n"`
	R      int    `json:"r"`
	P      int    `json:"p"`
	Salt   string `json:"salt"`   // 32 bytes in hex
	Cipher string `json:"cipher"` // "chacha20poly1305"
}

// SaveEncryptedFile is SaveFile for a file that nobody can use without the passphrase. It returns ErrPassphrase for an empty
// passphrase and one of more than 1,024 bytes.
func SaveEncryptedFile(path string, key PrivateKey, passphrase []byte) error {
	data, err := encodeEncrypted(key, passphrase)
	if err != nil {
		return fmt.Errorf("save key file: %w", err)
	}
	return saveFile(path, data)
}

// LoadEncryptedFile is LoadFile with a passphrase for a file that is encrypted. It reads files that are not, too. It returns
// ErrPassphrase if the file is encrypted and the passphrase is empty or not the file's.
func LoadEncryptedFile(path string, passphrase []byte) (PrivateKey, error) {
	key, err := loadFile(path, passphrase)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("load key file: %w", err)
	}
	return key, nil
}

// ReadPassphrase reads a passphrase from a file that only its owner can read: its content up to the end of the first line. It
// returns ErrFilePermissions or ErrPassphrase for a file that cannot be one.
func ReadPassphrase(path string) ([]byte, error) {
	f, err := openPrivate(path, ErrPassphrase)
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, maxPassphrase+3))
	if err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	line, rest, _ := bytes.Cut(content, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(rest) > 0 {
		return nil, fmt.Errorf("read passphrase: %w: %s has more than one line", ErrPassphrase, path)
	}
	if err := checkPassphrase(line); err != nil {
		return nil, fmt.Errorf("read passphrase: %w", err)
	}
	return line, nil
}

// openPrivate opens a regular file that only its owner can read. kind is that of the error for one that is not regular.
func openPrivate(path string, kind ErrorKind) (*os.File, error) {
	// Opening a pipe would wait for a writer, so ask before opening, and again about what was opened.
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is not a regular file", kind, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%w: %s is not a regular file", kind, path)
	case info.Mode().Perm()&0o077 != 0:
		err = fmt.Errorf("%w: %s has mode %04o; run: chmod 600 %s", ErrFilePermissions, path, info.Mode().Perm(), path)
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}

func checkPassphrase(passphrase []byte) error {
	if len(passphrase) == 0 || len(passphrase) > maxPassphrase {
		return fmt.Errorf("%w: a passphrase has 1 to %d bytes", ErrPassphrase, maxPassphrase)
	}
	return nil
}

// encodeEncrypted returns the content of a key file whose private key is encrypted.
func encodeEncrypted(key PrivateKey, passphrase []byte) ([]byte, error) {
	if key.IsZero() {
		return nil, fmt.Errorf("%w: the zero key cannot be saved", ErrPrivateKey)
	}
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	salt := make([]byte, saltSize)
	if _, err := rand.Read(salt); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRandom, err)
	}
	file := keyFile{
		Version:   encryptedVersion,
		Scheme:    key.pub.scheme.String(),
		PublicKey: hex.EncodeToString(key.pub.encoded()),
		Encryption: &encryption{
			KDF: "scrypt", N: scryptN, R: scryptR, P: scryptP, Salt: hex.EncodeToString(salt), Cipher: "chacha20poly1305",
		},
	}
	sealing, err := file.Encryption.derive(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(sealing)
	cipher, err := chacha20poly1305.New(sealing)
	if err != nil {
		return nil, err
	}
	// Salt and thus key are new in every file, so that the nonce may be zero.
	sealed := cipher.Seal(nil, make([]byte, cipher.NonceSize()), key.secret.bytes[:], file.bound())
	file.PrivateKey = hex.EncodeToString(sealed)
	return file.encode()
}

// bound is what the encryption binds the private key to.
func (f keyFile) bound() []byte { return []byte(f.Scheme + ":" + f.PublicKey) }

// derive returns the key of the encryption. It returns ErrFileFormat for parameters that cost too little or too much.
func (e *encryption) derive(passphrase []byte) ([]byte, error) {
	salt, err := hex.DecodeString(e.Salt)
	if err != nil || len(salt) != saltSize {
		return nil, fmt.Errorf("%w: encryption: salt is not %d bytes in hex", ErrFileFormat, saltSize)
	}
	if e.KDF != "scrypt" || e.Cipher != "chacha20poly1305" {
		return nil, fmt.Errorf("%w: encryption: of a kind this program does not know", ErrFileFormat)
	}
	if e.N < scryptN || e.N > maxScryptN || e.N&(e.N-1) != 0 || e.R != scryptR || e.P != scryptP {
		return nil, fmt.Errorf("%w: encryption: n must be a power of two from %d to %d, r %d, p %d",
			ErrFileFormat, scryptN, maxScryptN, scryptR, scryptP)
	}
	return scrypt.Key(passphrase, salt, e.N, e.R, e.P, chacha20poly1305.KeySize)
}

// decrypt returns the private key in an encrypted file.
func (f keyFile) decrypt(passphrase []byte) ([]byte, error) {
	if f.Encryption == nil {
		return nil, fmt.Errorf("%w: version %d without encryption", ErrFileFormat, f.Version)
	}
	sealed, err := hex.DecodeString(f.PrivateKey)
	if err != nil || len(sealed) != PrivateKeySize+chacha20poly1305.Overhead {
		return nil, fmt.Errorf("%w: private_key is not %d bytes in hex", ErrFileFormat, PrivateKeySize+chacha20poly1305.Overhead)
	}
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w: the key file is encrypted, and there is no passphrase", ErrPassphrase)
	}
	if err := checkPassphrase(passphrase); err != nil {
		return nil, err
	}
	sealing, err := f.Encryption.derive(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(sealing)
	cipher, err := chacha20poly1305.New(sealing)
	if err != nil {
		return nil, err
	}
	secret, err := cipher.Open(nil, make([]byte, cipher.NonceSize()), sealed, f.bound())
	if err != nil {
		return nil, fmt.Errorf("%w: it is not the one that the key file is encrypted with, or the file is damaged", ErrPassphrase)
	}
	return secret, nil
}
