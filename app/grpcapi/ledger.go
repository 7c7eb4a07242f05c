package grpcapi

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/althing-ledger/althing/app"
	"github.com/althing-ledger/althing/mempool"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
)

type ledgerServer struct {
	ledgerv1.UnimplementedLedgerServiceServer
	app    *app.App
	engine Engine
	self   Self
	now    func() time.Time
	ready  func() bool
	// committed hears how long a transaction took.
	committed func(took time.Duration)

	waiters  *shares
	watchers *shares
}

// maxWait bounds a wait for a transaction that neither the caller nor the transaction's expiry bounds.
const maxWait = 5 * time.Minute

func (s *ledgerServer) Submit(ctx context.Context, q *ledgerv1.SubmitRequest) (*ledgerv1.SubmitResponse, error) {
	begin := time.Now()
	t, err := s.app.Pool().Submit(ctx, q.Tx)
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
		return nil, toStatus(err)
	}
	answer := &ledgerv1.SubmitResponse{Id: t.ID[:], Status: ledgerv1.TxStatus_TX_STATUS_PENDING}
	if wait {
		at, err := s.await(ctx, t.ID, t.ExpiresAt)
		switch {
		case err == nil:
			answer.Status, answer.Outcome = at.Status, at.Outcome
		case !tooManyWaiters(err):
			return nil, toStatus(err)
		}
	}
	return answer, nil
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

func (s *ledgerServer) GetTransaction(_ context.Context, q *ledgerv1.GetTransactionRequest) (*ledgerv1.GetTransactionResponse, error) {
	id, expiresAt, err := reference(q.Id, q.ExpiresAt)
	if err != nil {
		return nil, err
	}
	at, err := s.app.Transaction(id, expiresAt)
	if err != nil {
		return nil, toStatus(err)
	}
	if !at.Final() && expiresAt != 0 && expiresAt <= s.now().UnixNano() {
		s.app.Pool().Settle(time.Unix(0, expiresAt))
	}
	return &ledgerv1.GetTransactionResponse{Status: at.Status, Outcome: at.Outcome, Height: at.Height}, nil
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

func (s *ledgerServer) GetBlock(_ context.Context, q *ledgerv1.GetBlockRequest) (*ledgerv1.GetBlockResponse, error) {
	height := q.Height
	if height == 0 {
		height = s.app.Height()
	}
	if height == 0 {
		return nil, toStatus(ErrNotReady)
	}
	block, err := s.block(height, q.HeaderOnly)
	if err != nil {
		return nil, toStatus(err)
	}
	return &ledgerv1.GetBlockResponse{Block: block}, nil
}

// block puts a committed block and its outcomes together. For a header too it reads the whole block: the transactions
// follow the header in one record.
func (s *ledgerServer) block(height uint64, headerOnly bool) (*ledgerv1.Block, error) {
	if latest := s.app.Height(); height > latest {
		return nil, &state.FutureError{Height: height, Latest: latest}
	}
	decided, err := s.engine.Block(height)
	if err != nil {
		return nil, err
	}
	hash, err := s.appHash(height)
	if err != nil {
		return nil, err
	}
	block := &ledgerv1.Block{
		Height: height, Time: timestamppb.New(decided.Time), Hash: decided.Hash, AppHash: hash,
		Proposer: decided.Proposer, TxCount: uint32(len(decided.Txs)),
	}
	if headerOnly || len(decided.Txs) == 0 {
		return block, nil
	}
	block.Txs = decided.Txs
	block.Outcomes, err = s.app.Outcomes(height)
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

func (s *ledgerServer) GetStatus(context.Context, *ledgerv1.GetStatusRequest) (*ledgerv1.GetStatusResponse, error) {
	engine := s.engine.Status()
	view, err := s.app.View(0)
	if err != nil {
		return nil, toStatus(err)
	}
	defer view.Release()
	genesis := s.app.Genesis()
	pending := s.app.Pool().Stats()
	answer := &ledgerv1.GetStatusResponse{
		ChainId: genesis.ChainID, GenesisHash: genesis.Hash[:], Node: s.self.Name, Org: s.self.Org,
		Height: view.Height(), AppHash: view.AppHash(), Phase: engine.Phase, Ready: s.ready(),
		OldestHeight: s.app.Oldest(), OldestBlock: engine.OldestBlock,
		PendingTransactions: uint64(pending.Txs), PendingBytes: uint64(pending.Bytes),
		Now: timestamppb.New(s.now()), Version: s.self.Version, FeatureLevel: s.app.FeatureLevel(),
		Validator: engine.Validator, Members: engine.Members,
	}
	if view.Height() > 0 {
		answer.BlockTime = timestamppb.New(view.BlockTime())
	}
	for _, p := range engine.Peers {
		answer.Peers = append(answer.Peers, &ledgerv1.Peer{Name: p.Name, Org: p.Org, Address: p.Address, Since: timestamppb.New(p.Since)})
	}
	return answer, nil
}

func (s *ledgerServer) Watch(q *ledgerv1.WatchRequest, stream ledgerv1.LedgerService_WatchServer) error {
	free, ok := s.watchers.take(clientOf(stream.Context()))
	if !ok {
		return toStatus(errTooManyWatchers)
	}
	defer free()
	latest := s.app.Height()
	height := q.FromHeight
	if height == 0 {
		height = latest + 1
	}
	if height > latest+1 {
		return toStatus(&state.FutureError{Height: height, Latest: latest})
	}
	for ; ; height++ {
		if err := s.app.WaitHeight(stream.Context(), height); err != nil {
			return toStatus(err)
		}
		block, err := s.block(height, false)
		if err != nil {
			return toStatus(err)
		}
		if err := stream.Send(&ledgerv1.WatchResponse{Block: block}); err != nil {
			return err
		}
	}
}
