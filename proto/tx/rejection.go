package tx

import (
	"errors"
	"fmt"
	"strings"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// Code is the reason of a [Rejection]. The numbers are consensus.
type Code = ledgerv1.Code

// Rejection says why a transaction is refused. It is deterministic: every node that sees the same bytes on the same state
// comes to the same code.
type Rejection struct {
	Code Code
	Text string // for people: what is wrong and what to do
}

func (r *Rejection) Error() string { return r.Text }

// Is makes errors.Is(err, &Rejection{Code: c}) compare codes alone.
func (r *Rejection) Is(target error) bool {
	var other *Rejection
	return errors.As(target, &other) && other.Code == r.Code
}

// Reject returns a [Rejection] as an error.
func Reject(code Code, format string, args ...any) error {
	return &Rejection{Code: code, Text: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of err: CODE_OK for nil, the code of the [Rejection] it wraps, and false for any other error.
func CodeOf(err error) (Code, bool) {
	if err == nil {
		return ledgerv1.Code_CODE_OK, true
	}
	var r *Rejection
	if errors.As(err, &r) {
		return r.Code, true
	}
	return 0, false
}

// Reason returns the name of a code as errors and the command line print it: `OVERDRAFT`.
func Reason(code Code) string { return strings.TrimPrefix(code.String(), "CODE_") }
