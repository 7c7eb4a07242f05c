package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

// domain marks the errors of the ledger in google.rpc.ErrorInfo.
const domain = "althing"

// lineRetry is when to come back to a node on which too many calls wait.
const lineRetry = time.Second

// readyRetry is when to ask a node again that is only just starting.
const readyRetry = 200 * time.Millisecond

// An ErrorKind says why an [Engine] cannot give a block.
type ErrorKind string

func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrBlockPruned is returned for a block that is no longer kept.
	ErrBlockPruned = ErrorKind("the block is no longer kept on this node")
	// ErrBlockFuture is returned for a block that has not been committed.
	ErrBlockFuture = ErrorKind("the block has not been committed")
	// ErrNotReady is returned while the node cannot read blocks.
	ErrNotReady = ErrorKind("the node is not ready")

	// errLost ends a wait for a transaction that may be pending.
	errLost            = ErrorKind("this node has lost the network: wait for the transaction at another one, or send it the same bytes")
	errTooManyWaiters  = ErrorKind("too many calls of this client wait for transactions on this node")
	errTooManyWatchers = ErrorKind("too many watchers on this node: close one, or ask another node")
	errTooManyRequests = ErrorKind("too many requests of this client are under way on this node")
	errLongLine        = ErrorKind("too many listings, proofs or checks of the supply stand in line on this node")
	errTooMuchToProve  = ErrorKind("ask for a smaller page, or without a proof")
	errUnproven        = ErrorKind("the next block, which signs it, has not been made: ask again, or for an earlier height, or for the status to learn what keeps the network")
)

// reasonFull is the reason of refusals for want of room.
const reasonFull = "FULL"

// toStatus is the one place where errors become gRPC codes.
func toStatus(err error) error {
	if err == nil {
		return nil
	}
	if _, already := status.FromError(err); already {
		return err
	}
	var rejection *tx.Rejection
	var full *mempool.FullError
	var pruned *state.PrunedError
	var denied *deniedError
	switch {
	case errors.As(err, &denied):
		return refusedRead(denied)
	case errors.As(err, &rejection):
		return refused(rejection)
	case errors.As(err, &full):
		return detailed(codes.ResourceExhausted, err.Error(), reasonFull, nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(full.RetryAfter)})
	case tooManyWaiters(err), errors.Is(err, errTooManyWatchers), errors.Is(err, errTooManyRequests), errors.Is(err, errLongLine):
		return detailed(codes.ResourceExhausted, err.Error(), reasonFull, nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(lineRetry)})
	case errors.As(err, &pruned):
		return detailed(codes.FailedPrecondition, err.Error(), "PRUNED", map[string]string{"oldest_height": fmt.Sprint(pruned.Oldest)})
	case errors.Is(err, app.ErrHistoryPruned), errors.Is(err, ErrBlockPruned):
		return detailed(codes.FailedPrecondition, err.Error(), "PRUNED", nil)
	case errors.Is(err, errTooMuchToProve):
		return detailed(codes.InvalidArgument, err.Error(), "TOO_MUCH_TO_PROVE", nil)
	case errors.Is(err, state.ErrFuture), errors.Is(err, ErrBlockFuture):
		return detailed(codes.OutOfRange, err.Error(), "FUTURE", nil)
	case errors.Is(err, errUnproven):
		return detailed(codes.Unavailable, err.Error(), "UNSIGNED", nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(nextRetry)})
	case errors.Is(err, errLost):
		return detailed(codes.Unavailable, err.Error(), "UNDECIDED", nil)
	case errors.Is(err, ErrNotReady):
		return detailed(codes.Unavailable, err.Error(), "NOT_READY", nil, &errdetails.RetryInfo{RetryDelay: durationpb.New(readyRetry)})
	case errors.Is(err, mempool.ErrClosed), errors.Is(err, state.ErrClosed):
		return status.Error(codes.Unavailable, err.Error())
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	default:
		return status.Error(codes.Internal, err.Error())
	}
}

// refusedRead is the status of a read that the charter does not allow. Its details say how long a token may live, so that a
// client can sign one that is not too long.
func refusedRead(denied *deniedError) error {
	code := codes.Unauthenticated
	if denied.reason == reasonForbidden {
		code = codes.PermissionDenied
	}
	return detailed(code, denied.text, denied.reason, map[string]string{"max_token_seconds": fmt.Sprint(denied.longest)})
}

// tooManyWaiters reports whether a wait could not begin.
func tooManyWaiters(err error) bool {
	return errors.Is(err, errTooManyWaiters) || errors.Is(err, app.ErrTooManyWaiters)
}

// refused is the status of a transaction or a question that breaks a rule.
func refused(r *tx.Rejection) error {
	code := codes.InvalidArgument
	switch r.Code {
	case ledgerv1.Code_CODE_NOT_FOUND:
		code = codes.NotFound
	case ledgerv1.Code_CODE_ALREADY_EXISTS, ledgerv1.Code_CODE_DUPLICATE:
		code = codes.AlreadyExists
	case ledgerv1.Code_CODE_EXPIRED, ledgerv1.Code_CODE_EXPIRY_TOO_DISTANT, ledgerv1.Code_CODE_TOO_MANY_LONG_EXPIRIES:
		code = codes.FailedPrecondition
	case ledgerv1.Code_CODE_UNKNOWN_ACCOUNT, ledgerv1.Code_CODE_MISSING_SIGNATURE, ledgerv1.Code_CODE_WRONG_SIGNATURE,
		ledgerv1.Code_CODE_HIGH_S, ledgerv1.Code_CODE_KEY_NOT_LISTED, ledgerv1.Code_CODE_SURPLUS_SIGNATURE,
		ledgerv1.Code_CODE_ORG_NOT_ACTIVE:
		code = codes.PermissionDenied
	}
	return detailed(code, r.Text, tx.Reason(r.Code), map[string]string{"code": fmt.Sprint(int32(r.Code))})
}

func detailed(code codes.Code, text, reason string, metadata map[string]string, more ...protoadapt.MessageV1) error {
	st := status.New(code, text)
	details := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Domain: domain, Reason: reason, Metadata: metadata}}, more...)
	if with, err := st.WithDetails(details...); err == nil {
		st = with
	}
	return st.Err()
}
