package grpcapi

import (
	"context"

	"google.golang.org/grpc/codes"

	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/app/history"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/state"
)

// reasonNoHistory is the reason of a call to a node that keeps no index of history.
const reasonNoHistory = "NO_HISTORY"

type historyServer struct {
	historyv1.UnimplementedHistoryServiceServer
	*reads
	index *follow.Followed // nil where the node keeps none
}

func (s *historyServer) ListTransactions(ctx context.Context, q *historyv1.ListTransactionsRequest) (*historyv1.ListTransactionsResponse, error) {
	answer, err := s.list(ctx, q)
	if err != nil {
		return nil, toStatus(err)
	}
	listed := &historyv1.ListTransactionsResponse{Height: answer.Height, OldestHeight: answer.Oldest, NextPage: answer.Next}
	for _, e := range answer.Entries {
		listed.Transactions = append(listed.Transactions, &ledgerv1.TxOutcome{
			Id: e.ID[:], Height: e.Height, Index: e.Index, Code: e.Code, FailedOperation: -1, TimeUnixNano: e.Time.UnixNano(),
		})
	}
	return listed, nil
}

func (s *historyServer) list(ctx context.Context, q *historyv1.ListTransactionsRequest) (history.Answer, error) {
	if s.index == nil {
		return history.Answer{}, detailed(codes.FailedPrecondition, "this node keeps no index of history: ask another node, "+
			"or set enabled in the section [history] of its althing.toml and start it again", reasonNoHistory, nil)
	}
	query := history.Query{From: q.FromHeight, To: q.ToHeight, Page: q.Page, Size: q.PageSize}
	switch of := q.Subject.(type) {
	case *historyv1.ListTransactionsRequest_Org:
		query.Kind, query.Name = history.Org, of.Org
	case *historyv1.ListTransactionsRequest_Account:
		query.Kind, query.Name = history.Account, of.Account
	case *historyv1.ListTransactionsRequest_Asset:
		query.Kind, query.Name = history.Asset, of.Asset
	case *historyv1.ListTransactionsRequest_Record:
		query.Kind, query.Name = history.Record, of.Record
	}
	if err := query.Check(); err != nil {
		return history.Answer{}, err
	}
	if err := s.awaitIndex(ctx, q.MinHeight); err != nil {
		return history.Answer{}, err
	}
	leave, err := s.listings.enter(ctx)
	if err != nil {
		return history.Answer{}, err
	}
	defer leave()
	view, err := s.app.View(0)
	if err != nil {
		return history.Answer{}, err
	}
	defer view.Release()
	return history.List(view, query)
}

// awaitIndex waits until the index has got to a height, and has begun.
func (s *historyServer) awaitIndex(ctx context.Context, least uint64) error {
	wait, cancel := context.WithTimeout(ctx, maxHeightWait)
	defer cancel()
	err := s.index.Wait(wait, max(least, 1))
	switch {
	case err == nil || ctx.Err() != nil:
		return err
	case least == 0:
		return ErrNotReady
	}
	return &state.FutureError{Height: least, Latest: s.index.Height()}
}
