package verify

import "fmt"

// ErrorKind identifies what is wrong with a proof. Kinds are constants: test for them with errors.Is. The numbers are stable;
// the text of an error is free to change.
type ErrorKind uint8

const (
	// ErrMalformed is returned for bytes that are not what they stand for, or for a message without one of its parts.
	ErrMalformed ErrorKind = 1
	// ErrTooLarge is returned for more bytes, keys, links or headers than any honest proof has.
	ErrTooLarge ErrorKind = 2
	// ErrNotCanonical is returned for bytes that mean something and are not its one encoding.
	ErrNotCanonical ErrorKind = 3
	// ErrFormat is returned for a file or a transaction that a newer version of the format may know.
	ErrFormat ErrorKind = 4
	// ErrWrongNetwork is returned for a proof of another network: another chain id, or another genesis document.
	ErrWrongNetwork ErrorKind = 5
	// ErrUnknownValidators is returned for a header of validators that the lineage does not name for its height; the error is
	// an [*UnknownValidatorsError].
	ErrUnknownValidators ErrorKind = 6
	// ErrValidators is returned for a set of validators that none can be, or that is not the one a header announces.
	ErrValidators ErrorKind = 7
	// ErrSignature is returned for votes that are not by the validators, or not for the header. One wrong vote is enough.
	ErrSignature ErrorKind = 8
	// ErrPower is returned for a header that no more than two thirds of the voting power have signed.
	ErrPower ErrorKind = 9
	// ErrHash is returned where a header does not name what is said to follow from it: the header before, the root, the
	// transactions.
	ErrHash ErrorKind = 10
	// ErrHeight is returned for heights that do not belong together, or stand in the wrong order.
	ErrHeight ErrorKind = 11
	// ErrProof is returned for a Merkle proof that does not lead to the root of the header.
	ErrProof ErrorKind = 12
	// ErrNotCovered is returned by a [Witness] for what its proof says nothing of.
	ErrNotCovered ErrorKind = 13
	// ErrOutcome is returned where the id, the outcome or the events of a transaction are not those that are proven.
	ErrOutcome ErrorKind = 14
	// ErrSurplus is returned for parts of a proof that nothing needs.
	ErrSurplus ErrorKind = 15
	// ErrAnchor is returned where the header that the caller trusts is not in the receipt, or is another.
	ErrAnchor ErrorKind = 16
	// ErrConflict is returned for two headers of one height, or for changes of validators that contradict those that are known:
	// validators have signed two histories, or somebody has left out changes.
	ErrConflict ErrorKind = 17
)

var kindTexts = [...]string{
	ErrMalformed:         "malformed proof",
	ErrTooLarge:          "proof is too large",
	ErrNotCanonical:      "proof is not in its canonical encoding",
	ErrFormat:            "unknown format",
	ErrWrongNetwork:      "proof of another network",
	ErrUnknownValidators: "unknown validators",
	ErrValidators:        "impossible validators",
	ErrSignature:         "wrong signature",
	ErrPower:             "too little voting power has signed",
	ErrHash:              "wrong hash",
	ErrHeight:            "wrong height",
	ErrProof:             "Merkle proof does not hold",
	ErrNotCovered:        "not covered by the proof",
	ErrOutcome:           "not the outcome that is proven",
	ErrSurplus:           "surplus in the proof",
	ErrAnchor:            "trusted header is not met",
	ErrConflict:          "contradiction",
}

func (k ErrorKind) Error() string {
	if int(k) < len(kindTexts) && kindTexts[k] != "" {
		return kindTexts[k]
	}
	return fmt.Sprintf("error kind %d", uint8(k))
}

// errorf returns an error of a kind. Arguments may be errors.
func errorf(kind ErrorKind, format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{kind}, args...)...)
}

// UnknownValidatorsError says that a header names validators that the lineage seen so far does not name for its height: fetch
// the lineage from height Known+1 on, Extend, and try again, once. It is an [ErrUnknownValidators].
type UnknownValidatorsError struct {
	Height uint64 // of the header
	Known  uint64 // the newest change before it that is known, as [Trust.Known] counts
}

func (e *UnknownValidatorsError) Error() string {
	if e.Known == 0 {
		return fmt.Sprintf("%v: header %d is signed, but by whom is not known before the genesis document is", ErrUnknownValidators, e.Height)
	}
	return fmt.Sprintf("%v: header %d is not of the validators that decide from the change at height %d on: a later change is missing, or it is forged",
		ErrUnknownValidators, e.Height, e.Known)
}

// Is reports whether target is ErrUnknownValidators.
func (e *UnknownValidatorsError) Is(target error) bool { return target == ErrUnknownValidators }
