package signer

// ErrorKind names why something was not signed or a record not opened. Kinds work with [errors.Is]; the text around them is
// for people. What says nothing about itself by Fatal or Final passes: asking again may help.
type ErrorKind string

// Error makes a kind usable as an error by itself.
func (k ErrorKind) Error() string { return string(k) }

// Fatal says that the keys will not sign any more until they are opened anew.
func (k ErrorKind) Fatal() bool { return k == ErrRecordWrite || k == ErrClosed }

// Final says that this message will never be signed.
func (k ErrorKind) Final() bool { return k == ErrRegression || k == ErrConflict || k == ErrMessage }

const (
	// ErrKey is returned for bytes that are not an Ed25519 key.
	ErrKey = ErrorKind("not an Ed25519 key")
	// ErrChainID is returned for a network's name that cannot be one.
	ErrChainID = ErrorKind("not the id of a network")

	// ErrRecordExists is returned by Create when there is a record already: one must not be begun anew for a key that may
	// have signed.
	ErrRecordExists = ErrorKind("a signer record exists already")
	// ErrNoRecord is returned by Open when there is no record.
	ErrNoRecord = ErrorKind("there is no signer record")
	// ErrRecordCorrupt is returned by Open when no slot of the record is readable.
	ErrRecordCorrupt = ErrorKind("the signer record is corrupt")
	// ErrRecordForeign is returned by Open when the record is of other keys or of another network.
	ErrRecordForeign = ErrorKind("the signer record belongs to other keys")
	// ErrRecordInUse is returned when another process holds the record.
	ErrRecordInUse = ErrorKind("the signer record is in use by another process")
	// ErrNoLock is returned by NewServer on a system without file locks: two processes could sign with one record.
	ErrNoLock = ErrorKind("this system cannot keep two signers from using one record: run the signer on a Unix")
	// ErrRecordWrite is returned when the record could not be written; nothing is signed from then on.
	ErrRecordWrite = ErrorKind("the signer record cannot be written")
	// ErrClosed is returned after Close.
	ErrClosed = ErrorKind("the signer is closed")

	// ErrMessage is returned for bytes that are no vote or proposal of the network.
	ErrMessage = ErrorKind("not a vote or proposal of this network")
	// ErrRegression is returned for a height, round or step below the recorded one.
	ErrRegression = ErrorKind("refusing to sign below what has been signed")
	// ErrConflict is returned for another message, or another key, at the recorded height, round and step.
	ErrConflict = ErrorKind("refusing to sign two different messages")

	// ErrUnknownKey is returned for a key that is not held.
	ErrUnknownKey = ErrorKind("the signer does not hold this key")
	// ErrLastKey is returned when the only key would be dropped.
	ErrLastKey = ErrorKind("refusing to drop the only key")
	// ErrKeyInUse is returned for a key that signs already, or still.
	ErrKeyInUse = ErrorKind("the key is in use")

	// ErrUnreachable is returned when the signer process does not answer.
	ErrUnreachable = ErrorKind("the signer cannot be reached")
	// ErrConfig is returned for a signer's directory or address that cannot be used.
	ErrConfig = ErrorKind("unusable signer configuration")
	// ErrExists is returned when there is something in the place of a signer's new directory.
	ErrExists = ErrorKind("the directory exists and is not empty")
)
