package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// errorDomain is the domain of the google.rpc.ErrorInfo that names a code of the ledger.
const errorDomain = "althing"

// reasonNotReady is what a node says that has no answer yet, or takes no transactions: it has not done what it was asked.
const reasonNotReady = "NOT_READY"

// What a node says where the charter keeps reads to members.
const (
	reasonTokenRequired = "TOKEN_REQUIRED"
	reasonTokenInvalid  = "TOKEN_INVALID"
	reasonTokenExpired  = "TOKEN_EXPIRED"
	reasonForbidden     = "FORBIDDEN"
)

// ErrorKind identifies what went wrong. Kinds are constants: test for them with errors.Is. The numbers are stable; the
// text of an error is free to change.
type ErrorKind uint8

// The kinds of errors of this package. Errors of the read services that are none of these are gRPC statuses: ask
// status.Code, which also understands every type below.
const (
	// ErrNetworkFile is returned when a network file cannot be read or says something impossible.
	ErrNetworkFile ErrorKind = 1

	// ErrUnreachable is returned when no node answered; the error is an [*Unreachable].
	ErrUnreachable ErrorKind = 2

	// ErrWrongNetwork is returned when a node belongs to another network than the network file says. Nothing was sent to it.
	ErrWrongNetwork ErrorKind = 3

	// ErrFull is returned when a node has no room now; the error is a [*Full] and says when to come again.
	ErrFull ErrorKind = 4

	// ErrClock is returned instead of signing when this machine's clock and the node's are more than [MaxClockSkew] apart.
	ErrClock ErrorKind = 5

	// ErrNoKey is returned when there is no key file for an account, or none whose key the ledger lists for it.
	ErrNoKey ErrorKind = 6

	// ErrUndecided is returned when a transaction was handed over, or may have been, and the wait for its outcome ended
	// first; the error is an [*Undecided].
	ErrUndecided ErrorKind = 7

	// ErrTransaction is returned when bytes or a file are no transaction of this network.
	ErrTransaction ErrorKind = 8

	// ErrAnswer is returned when a node's answer contradicts the question.
	ErrAnswer ErrorKind = 9

	// ErrTokenRequired is returned when reads are for members and the client has no [Config.Token]; the error is a [*Denied].
	ErrTokenRequired ErrorKind = 10

	// ErrTokenInvalid is returned when a node does not take the client's token, because the ledger does not list its key for
	// the account, or because clocks are too far apart; the error is a [*Denied] and says which.
	ErrTokenInvalid ErrorKind = 11

	// ErrForbidden is returned when the token is good and its account may not read; the error is a [*Denied].
	ErrForbidden ErrorKind = 12

	// ErrLie is returned when what a node answers is not true; the error is a [*Lie].
	ErrLie ErrorKind = 13

	// ErrNoProof is returned when a node answers without proofs only, or this version cannot check them.
	ErrNoProof ErrorKind = 14

	// ErrStale is returned when a node is behind what this client has seen proven.
	ErrStale ErrorKind = 15

	// ErrReceipt is returned when there is nothing yet that a receipt could prove, or what nodes have given adds up to none.
	ErrReceipt ErrorKind = 16

	// ErrUnconfirmed is returned when one node says that a transaction was rejected or has expired, and it cannot be proven, or too
	// few others say so: whoever signs it again may pay twice. An [*Undecided] wraps it.
	ErrUnconfirmed ErrorKind = 17
)

// Error returns the text of the kind.
func (k ErrorKind) Error() string {
	switch k {
	case ErrNetworkFile:
		return "bad network file"
	case ErrUnreachable:
		return "no node answered"
	case ErrWrongNetwork:
		return "the node belongs to another network"
	case ErrFull:
		return "the node is full"
	case ErrClock:
		return "clocks differ"
	case ErrNoKey:
		return "no key"
	case ErrUndecided:
		return "the outcome is not known yet"
	case ErrTransaction:
		return "not a transaction"
	case ErrAnswer:
		return "the node's answer makes no sense"
	case ErrTokenRequired:
		return "reads are for members"
	case ErrTokenInvalid:
		return "the token was not taken"
	case ErrForbidden:
		return "the account may not read"
	case ErrLie:
		return "a node has not told the truth"
	case ErrNoProof:
		return "no proof is to be had"
	case ErrStale:
		return "the node is behind"
	case ErrReceipt:
		return "no receipt"
	case ErrUnconfirmed:
		return "other nodes do not confirm it"
	default:
		return fmt.Sprintf("client: error kind %d", uint8(k))
	}
}

// Refused says that a node refused a transaction before it was ordered, so that nothing was recorded under its id, or
// a question that breaks a rule.
type Refused struct {
	// Code may be one that this version has no name for.
	Code    ledgerv1.Code
	Reason  string // the code's name as people see it: `UNKNOWN_ACCOUNT`
	Message string // for people: what is wrong and what to do
	status  *status.Status
}

func (e *Refused) Error() string { return fmt.Sprintf("refused: %s: %s", e.Reason, e.Message) }

// GRPCStatus returns the status that the node answered with.
func (e *Refused) GRPCStatus() *status.Status { return e.status }

// Full says that a node has no room for a transaction, or no time for a question, now.
type Full struct {
	RetryAfter time.Duration // what the node asks to wait before the same again
	Message    string
	status     *status.Status
}

func (e *Full) Error() string {
	return fmt.Sprintf("%v: %s (again in %v)", ErrFull, e.Message, e.RetryAfter)
}

// Is reports whether target is [ErrFull].
func (e *Full) Is(target error) bool { return target == ErrFull }

// GRPCStatus returns the status that the node answered with.
func (e *Full) GRPCStatus() *status.Status { return e.status }

// Denied says that the charter keeps reads to members, and why this client does not count as one.
type Denied struct {
	Kind    ErrorKind // [ErrTokenRequired], [ErrTokenInvalid] or [ErrForbidden]
	Reason  string    // in the node's words: `TOKEN_EXPIRED`
	Message string    // for people: what is wrong and what to do
	longest time.Duration
	status  *status.Status
}

func (e *Denied) Error() string { return fmt.Sprintf("%v: %s", e.Kind, e.Message) }

// Is reports whether target is the error's kind.
func (e *Denied) Is(target error) bool { return target == e.Kind }

// GRPCStatus returns the status that the node answered with: UNAUTHENTICATED, or PERMISSION_DENIED.
func (e *Denied) GRPCStatus() *status.Status { return e.status }

// deniedOf returns the refusal of a read that an error's details name.
func deniedOf(s *status.Status, info *errdetails.ErrorInfo) (*Denied, bool) {
	kinds := map[string]ErrorKind{
		reasonTokenRequired: ErrTokenRequired, reasonTokenInvalid: ErrTokenInvalid, reasonTokenExpired: ErrTokenInvalid,
		reasonForbidden: ErrForbidden,
	}
	kind, known := kinds[info.Reason]
	if info.Domain != errorDomain || !known {
		return nil, false
	}
	// What is no number, or one that no charter has, is none.
	seconds, _ := strconv.ParseUint(info.Metadata["max_token_seconds"], 10, 32)
	return &Denied{
		Kind: kind, Reason: info.Reason, Message: s.Message(), longest: time.Duration(seconds) * time.Second, status: s,
	}, true
}

// Attempt is one try at one node.
type Attempt struct {
	Node    string // its name, or its address where it has none
	Address string
	Sent    bool // whether the request may have reached it
	Err     error
}

// Unreachable says that no node answered, and of each one why.
type Unreachable struct {
	Attempts []Attempt
}

func (e *Unreachable) Error() string {
	var b strings.Builder
	b.WriteString(ErrUnreachable.Error())
	for i, a := range e.Attempts {
		sep := "; "
		if i == 0 {
			sep = ": "
		}
		fmt.Fprintf(&b, "%s%s (%s): %s", sep, a.Node, a.Address, reasonOf(a.Err))
	}
	return b.String()
}

// Is reports whether target is [ErrUnreachable].
func (e *Unreachable) Is(target error) bool { return target == ErrUnreachable }

// Unwrap returns the error of each attempt.
func (e *Unreachable) Unwrap() []error {
	errs := make([]error, len(e.Attempts))
	for i, a := range e.Attempts {
		errs[i] = a.Err
	}
	return errs
}

// Starting reports whether a node said that it can do nothing now and may later: it has no block yet, takes no transactions, or is
// going down and may come back.
func (e *Unreachable) Starting() bool {
	return slices.ContainsFunc(e.Attempts, func(a Attempt) bool { return notReady(a.Err) })
}

// notReady reports whether a node said that it does nothing now.
func notReady(err error) bool {
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is && info.Domain == errorDomain && info.Reason == reasonNotReady {
			return true
		}
	}
	return false
}

// late reports whether a node did not lie and is not gone, but did not get to the height that was asked for.
func (e *Unreachable) late() bool {
	for _, a := range e.Attempts {
		if a.Sent && (errors.Is(a.Err, ErrStale) || status.Code(a.Err) == codes.DeadlineExceeded || status.Code(a.Err) == codes.OutOfRange) {
			return true
		}
	}
	return false
}

// GRPCStatus returns UNAVAILABLE.
func (e *Unreachable) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.Error()) }

// Sent reports whether the request may have reached a node.
func (e *Unreachable) Sent() bool {
	for _, a := range e.Attempts {
		if a.Sent {
			return true
		}
	}
	return false
}

// Undecided says that the wait for a transaction's outcome ended before the outcome was known. The transaction may still
// be committed until it expires; submitting the same bytes again, or waiting again, is safe.
type Undecided struct {
	ID        tx.ID
	ExpiresAt time.Time
	Err       error // why the wait ended; wraps the context's error where that was it
}

func (e *Undecided) Error() string {
	return fmt.Sprintf("%v of transaction %s, which expires at %s: %v",
		ErrUndecided, e.ID, e.ExpiresAt.UTC().Format(time.RFC3339), e.Err)
}

// Is reports whether target is [ErrUndecided].
func (e *Undecided) Is(target error) bool { return target == ErrUndecided }

// Unwrap returns why the wait ended.
func (e *Undecided) Unwrap() error { return e.Err }

// reasonOf returns a gRPC error's message without gRPC's own wrapping.
func reasonOf(err error) string {
	s, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	message := s.Message()
	for _, wrapping := range []string{"connection error: desc = ", "transport: Error while dialing: "} {
		message = strings.TrimPrefix(strings.Trim(message, `"`), wrapping)
	}
	message = strings.Trim(message, `"`)
	if s.Code() == codes.DeadlineExceeded {
		return "did not answer in time"
	}
	return message
}

// fromStatus turns the status of a call into the types above where its details say so. Reasons of the ledger's domain that
// are no codes, such as that of a pruned height, stay statuses.
func fromStatus(err error) error {
	if err == nil || errors.Is(err, ErrUnreachable) {
		return err
	}
	s, ok := status.FromError(err)
	if !ok {
		return err
	}
	for _, detail := range s.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if code, ok := codeOf(d); ok {
				return &Refused{Code: code, Reason: strings.TrimPrefix(d.Reason, "CODE_"), Message: s.Message(), status: s}
			}
			if denied, ok := deniedOf(s, d); ok {
				return denied
			}
		case *errdetails.RetryInfo:
			if s.Code() == codes.ResourceExhausted {
				return &Full{RetryAfter: d.RetryDelay.AsDuration(), Message: s.Message(), status: s}
			}
		}
	}
	return err
}

// codeOf returns the code that an error names, by its number where this version does not know the name.
func codeOf(info *errdetails.ErrorInfo) (ledgerv1.Code, bool) {
	if info.Domain != errorDomain {
		return 0, false
	}
	if code, known := ledgerv1.Code_value["CODE_"+strings.TrimPrefix(info.Reason, "CODE_")]; known && code != 0 {
		return ledgerv1.Code(code), true
	}
	number, err := strconv.ParseInt(info.Metadata["code"], 10, 32)
	return ledgerv1.Code(number), err == nil && number > 0
}

// isUnreachable reports whether another node may answer what this one did not. The context is the caller's, not the one
// of the attempt: a try that ran out of its own time is the node's failure.
func isUnreachable(ctx context.Context, err error) bool {
	if errors.Is(err, ErrWrongNetwork) || errors.Is(err, ErrLie) || errors.Is(err, ErrNoProof) || errors.Is(err, ErrStale) {
		return true
	}
	switch status.Code(err) {
	case codes.Unavailable:
		return true
	case codes.DeadlineExceeded, codes.Canceled:
		return ctx.Err() == nil
	default:
		return false
	}
}
