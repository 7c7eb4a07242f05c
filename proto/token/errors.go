package token

import "fmt"

// ErrorKind identifies why a token was refused. Kinds are constants: test for them with errors.Is. The numbers are stable
// and append-only; the text is free to change.
type ErrorKind uint8

// The kinds of errors of this package.
const (
	// ErrMalformed is returned when bytes are no token, or one that this package does not read.
	ErrMalformed ErrorKind = 1

	// ErrAlgorithm is returned when a token is signed with another algorithm than ES256K or EdDSA, and when a key is of a
	// scheme that has none of the two.
	ErrAlgorithm ErrorKind = 2

	// ErrNetwork is returned when a token is for another network, or for more than one.
	ErrNetwork ErrorKind = 3

	// ErrExpired is returned when a token's time is over.
	ErrExpired ErrorKind = 4

	// ErrEarly is returned when a token's time has not begun.
	ErrEarly ErrorKind = 5

	// ErrLifetime is returned when a token lives longer than allowed.
	ErrLifetime ErrorKind = 6

	// ErrSignature is returned when a token was not signed with the key.
	ErrSignature ErrorKind = 7
)

// Error returns the text of the kind.
func (k ErrorKind) Error() string {
	switch k {
	case ErrMalformed:
		return "not a token"
	case ErrAlgorithm:
		return "algorithm of the token"
	case ErrNetwork:
		return "token for another network"
	case ErrExpired:
		return "token expired"
	case ErrEarly:
		return "token of the future"
	case ErrLifetime:
		return "token lives too long"
	case ErrSignature:
		return "wrong signature of the token"
	default:
		return fmt.Sprintf("token: error kind %d", uint8(k))
	}
}
