package keys

import "fmt"

// ErrorKind identifies why a key, a signature or a key file was refused. Kinds are constants: test for
// them with errors.Is. The numbers are stable and append-only; the text is free to change.
type ErrorKind uint8

// The kinds of errors of this package.
const (
	// ErrScheme is returned when a scheme's number or name is unknown.
	ErrScheme ErrorKind = 1

	// ErrPublicKey is returned when bytes are not the one canonical encoding of a public key of the
	// scheme, and by verification against the zero PublicKey.
	ErrPublicKey ErrorKind = 2

	// ErrPrivateKey is returned when bytes are not a private key of the scheme, and when the zero
	// PrivateKey is asked to sign.
	ErrPrivateKey ErrorKind = 3

	// ErrSignatureEncoding is returned when a signature has the wrong length or a component outside
	// its range. No key and no digest could make such bytes a signature.
	ErrSignatureEncoding ErrorKind = 4

	// ErrHighS is returned when an ECDSA signature's s is above half the group order. Negating s modulo
	// the order makes it acceptable.
	ErrHighS ErrorKind = 5

	// ErrSignature is returned when a well-formed signature is not a signature of the digest by the key.
	ErrSignature ErrorKind = 6

	// ErrRandom is returned when a source of randomness fails or yields only unusable values.
	ErrRandom ErrorKind = 7

	// ErrFileExists is returned when a key would overwrite an existing file.
	ErrFileExists ErrorKind = 8

	// ErrFilePermissions is returned when a key file is accessible by others than its owner.
	ErrFilePermissions ErrorKind = 9

	// ErrFileFormat is returned when a file is not a key file of a version this program knows, or when its
	// public key does not belong to its private key.
	ErrFileFormat ErrorKind = 10

	// ErrPassphrase is returned when a key file is encrypted and no passphrase was given, or not the right one, and for a
	// passphrase that cannot be one.
	ErrPassphrase ErrorKind = 11
)

// Error returns the text of the kind.
func (k ErrorKind) Error() string {
	switch k {
	case ErrScheme:
		return "unknown signature scheme"
	case ErrPublicKey:
		return "invalid public key"
	case ErrPrivateKey:
		return "invalid private key"
	case ErrSignatureEncoding:
		return "malformed signature"
	case ErrHighS:
		return "signature has a high s: use the order minus s"
	case ErrSignature:
		return "wrong signature"
	case ErrRandom:
		return "no usable randomness"
	case ErrFileExists:
		return "key file exists"
	case ErrFilePermissions:
		return "key file is accessible by others"
	case ErrFileFormat:
		return "not a key file"
	case ErrPassphrase:
		return "no usable passphrase"
	default:
		return fmt.Sprintf("keys: error kind %d", uint8(k))
	}
}
