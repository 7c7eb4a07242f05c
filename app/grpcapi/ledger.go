package grpcapi

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

type ledgerServer struct {
	ledgerv1.UnimplementedLedgerServiceServer
	app    *app.App
	engine Engine
	access *access
	self   Self
	now    func() time.Time
	// standing judges anew how the node stands; closed says whether it took no transactions when that was done last.
	standing func(EngineStatus) standing
	closed   *atomic.Bool
	// committed hears how long a transaction took.
	committed func(took time.Duration)

	// lineage follows the changes of the validators; nil where nobody does.
	lineage *follow.Followed
	// attester returns the node key of now; nil where the node attests nothing.
	attester func() crypto.Signer

	waiters  *shares
	watchers *shares
	feed     *feed
	proofs   *gate
}

// maxWait bounds a wait for a transaction that neither the caller nor the transaction's expiry bounds.
const maxWait = 5 * time.Minute

func (s *ledgerServer) Submit(ctx context.Context, q *ledgerv1.SubmitRequest) (*ledgerv1.SubmitResponse, error) {
	begin := time.Now()
	if err := s.mayTake(ctx); err != nil {
		return nil, toStatus(err)
	}
	t, err := s.app.Pool().From(clientOf(ctx)).Submit(ctx, q.Tx)
	answer, refusal := s.submitted(ctx, t, err, q.Wait)
	if err == nil && answer.GetOutcome() != nil {
		s.committed(time.Since(begin))
	}
	return answer, refusal
}

// submitted answers a call whose transaction the pool has taken or refused.
func (s *ledgerServer) submitted(ctx context.Context, t *tx.Tx, err error, wait bool) (*ledgerv1.SubmitResponse, error) {
	if errors.Is(err, mempool.ErrCommitted) {
		err, wait = nil, true
	}
	if err != nil {
		return nil, toStatus(s.judged(ctx, err))
	}
	answer := &ledgerv1.SubmitResponse{Id: t.ID[:], Status: ledgerv1.TxStatus_TX_STATUS_PENDING}
	if wait {
		at, err := s.await(ctx, t.ID, t.ExpiresAt)
		switch {
		case err == nil:
			answer.Status, answer.Outcome = at.Status, at.Outcome
		case !tooManyWaiters(err):
			return nil, toStatus(s.judged(ctx, err))
		}
	}
	return answer, nil
}

// judged is why a transaction was refused, as far as the caller may know. A node that does not follow the network judges by what
// may have changed long since: it says that instead, and the client asks another one.
func (s *ledgerServer) judged(ctx context.Context, err error) error {
	code, rejected := tx.CodeOf(err)
	if !rejected || !stateful(code) {
		return err
	}
	if tellsOfAccounts(code) {
		stranger, failure := s.access.stranger(ctx)
		if failure != nil {
			return failure
		}
		if stranger {
			err = tx.Reject(ledgerv1.Code_CODE_KEY_NOT_LISTED, "the transaction is not authorised: an account that acts does not exist, its org is "+
				"not active, or a key that signed is not listed for it; which of these is for members to know: send a token")
		}
	}
	if s.standing(s.engine.Status()).ready {
		return err
	}
	return fmt.Errorf("%w: by what it knows of the ledger, which may be old, it would refuse: %v", ErrNotReady, err)
}

// stateful reports whether a transaction is refused with this code for what the ledger says, and not for its bytes alone.
func stateful(code ledgerv1.Code) bool {
	switch code {
	case ledgerv1.Code_CODE_TOO_LARGE, ledgerv1.Code_CODE_EXPIRY_TOO_DISTANT, ledgerv1.Code_CODE_UNKNOWN_ACCOUNT,
		ledgerv1.Code_CODE_MISSING_SIGNATURE, ledgerv1.Code_CODE_KEY_NOT_LISTED, ledgerv1.Code_CODE_TOO_MANY_LONG_EXPIRIES,
		ledgerv1.Code_CODE_ORG_NOT_ACTIVE, ledgerv1.Code_CODE_ORG_BLOCK_FULL, ledgerv1.Code_CODE_STORAGE_FULL,
		ledgerv1.Code_CODE_QUORUM_LOST:
		return true
	default:
		return false
	}
}

// tellsOfAccounts reports whether who is refused with this code learns which accounts and orgs there are, with no key of any. The other
// codes that depend on the state come after these: whoever hears them has signed with listed keys.
func tellsOfAccounts(code ledgerv1.Code) bool {
	switch code {
	case ledgerv1.Code_CODE_UNKNOWN_ACCOUNT, ledgerv1.Code_CODE_ORG_NOT_ACTIVE, ledgerv1.Code_CODE_KEY_NOT_LISTED:
		return true
	default:
		return false
	}
}

// await waits for a final status. When it waits past the expiry, it asks for the block that settles it. The error is one
// of those for which tooManyWaiters is true where the wait could not begin and the status is not final.
func (s *ledgerServer) await(ctx context.Context, id tx.ID, expiresAt int64) (app.TransactionAt, error) {
	free, ok := s.waiters.take(clientOf(ctx))
	if !ok {
		at, err := s.app.Transaction(id, expiresAt)
		if err == nil && !at.Final() {
			err = errTooManyWaiters
		}
		return at, err
	}
	defer free()
	ctx, cancel := boundWait(ctx, expiresAt)
	defer cancel()
	if expiresAt != 0 {
		settle := time.AfterFunc(time.Unix(0, expiresAt).Sub(s.now()), func() { s.app.Pool().Settle(time.Unix(0, expiresAt)) })
		defer settle.Stop()
	}
	at, err := s.app.WaitTransaction(ctx, id, expiresAt)
	if err != nil && ctx.Err() != nil {
		return at, status.Errorf(status.FromContextError(ctx.Err()).Code(),
			"transaction %s is not final yet: ask again with WaitTransaction, or send the same bytes again", id)
	}
	return at, err
}

func boundWait(ctx context.Context, expiresAt int64) (context.Context, context.CancelFunc) {
	if _, bounded := ctx.Deadline(); bounded || expiresAt != 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, maxWait)
}

// reference reads the id and expiry of a request.
func reference(id []byte, expiresAt *timestamppb.Timestamp) (tx.ID, int64, error) {
	if len(id) != len(tx.ID{}) {
		return tx.ID{}, 0, status.Errorf(codes.InvalidArgument, "id has %d bytes, a transaction's has %d", len(id), len(tx.ID{}))
	}
	if expiresAt == nil {
		return tx.ID(id), 0, nil
	}
	if err := expiresAt.CheckValid(); err != nil || expiresAt.Seconds < 0 || expiresAt.AsTime().Year() > 2261 {
		return tx.ID{}, 0, status.Error(codes.InvalidArgument, "expires_at is no time between 1970 and 2261")
	}
	return tx.ID(id), expiresAt.AsTime().UnixNano(), nil
}

func (s *ledgerServer) GetTransaction(ctx context.Context, q *ledgerv1.GetTransactionRequest) (*ledgerv1.GetTransactionResponse, error) {
	id, expiresAt, err := reference(q.Id, q.ExpiresAt)
	if err != nil {
		return nil, err
	}
	if q.ProveState && !q.Prove {
		return nil, status.Error(codes.InvalidArgument, "prove_state adds to a proof: ask with prove too")
	}
	at, err := s.app.Transaction(id, expiresAt)
	if err != nil {
		return nil, toStatus(err)
	}
	if !at.Final() && expiresAt != 0 && expiresAt <= s.now().UnixNano() {
		s.app.Pool().Settle(time.Unix(0, expiresAt))
	}
	answer := &ledgerv1.GetTransactionResponse{Status: at.Status, Outcome: at.Outcome, Height: at.Height}
	if q.Prove && at.Outcome != nil {
		if answer.Proof, err = s.proveTransaction(ctx, at.Outcome, q.ProveState); err != nil {
			return nil, toStatus(err)
		}
	}
	return answer, nil
}

func (s *ledgerServer) WaitTransaction(ctx context.Context, q *ledgerv1.WaitTransactionRequest) (*ledgerv1.WaitTransactionResponse, error) {
	id, expiresAt, err := reference(q.Id, q.ExpiresAt)
	if err != nil {
		return nil, err
	}
	at, err := s.await(ctx, id, expiresAt)
	if err != nil {
		return nil, toStatus(err)
	}
	return &ledgerv1.WaitTransactionResponse{Status: at.Status, Outcome: at.Outcome, Height: at.Height}, nil
}

func (s *ledgerServer) GetBlock(ctx context.Context, q *ledgerv1.GetBlockRequest) (*ledgerv1.GetBlockResponse, error) {
	height := q.Height
	if height == 0 {
		height = s.app.Height()
	}
	if height == 0 {
		return nil, toStatus(ErrNotReady)
	}
	if latest := s.app.Height(); height > latest {
		return nil, toStatus(&state.FutureError{Height: height, Latest: latest})
	}
	answer := new(ledgerv1.GetBlockResponse)
	var err error
	if q.Prove {
		answer.Block, answer.Proof, err = s.provenBlock(ctx, height, q.HeaderOnly)
	} else {
		answer.Block, _, err = s.decided(height, q.HeaderOnly)
	}
	if err != nil {
		return nil, toStatus(err)
	}
	return answer, nil
}

// block puts a committed block and its outcomes together.
func (s *ledgerServer) block(height uint64, headerOnly bool) (*ledgerv1.Block, error) {
	if latest := s.app.Height(); height > latest {
		return nil, &state.FutureError{Height: height, Latest: latest}
	}
	block, _, err := s.decided(height, headerOnly)
	return block, err
}

// appHash is the root of the state after a block: the next block carries it, and for the newest one the state has it.
func (s *ledgerServer) appHash(height uint64) ([]byte, error) {
	view, err := s.app.View(height)
	if err == nil {
		defer view.Release()
		return view.AppHash(), nil
	}
	next, nextErr := s.engine.Block(height + 1)
	if nextErr != nil {
		return nil, err
	}
	return next.AppHashBefore, nil
}
