package grpcapi

import (
	"context"
	"errors"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/proto/attest"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
)

// errNotInBlock is returned for a transaction of which there is nothing to attest.
var errNotInBlock = status.Error(codes.NotFound, "the transaction stands in no block that this node keeps: wait for it first")

// Attest implements the service.
func (s *ledgerServer) Attest(ctx context.Context, q *ledgerv1.AttestRequest) (*ledgerv1.AttestResponse, error) {
	message, err := s.attest(ctx, q.Id)
	if err != nil {
		return nil, toStatus(err)
	}
	return &ledgerv1.AttestResponse{Cose: message}, nil
}

func (s *ledgerServer) attest(ctx context.Context, about []byte) ([]byte, error) {
	id, _, err := reference(about, nil)
	if err != nil {
		return nil, err
	}
	if s.attester == nil {
		return nil, ErrNotReady
	}
	at, err := s.app.Transaction(id, 0)
	if err != nil {
		return nil, err
	}
	if at.Outcome == nil {
		return nil, errNotInBlock
	}
	leave, err := s.proofs.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	block, _, err := s.decided(at.Outcome.Height, true)
	if err != nil {
		return nil, err
	}
	statement := attest.Statement{
		Node: s.self.Name, IssuedAt: s.now(), ChainID: s.app.Genesis().ChainID, GenesisHash: s.app.Genesis().Hash, ID: id,
		Height: at.Outcome.Height, Index: at.Outcome.Index, Code: uint32(at.Outcome.Code), Time: time.Unix(0, at.Outcome.TimeUnixNano),
	}
	if copy(statement.BlockHash[:], block.Hash) != len(statement.BlockHash) || copy(statement.AppHash[:], block.AppHash) != len(statement.AppHash) {
		return nil, errors.New("attest a transaction: a hash of its block is too short")
	}
	return attest.Sign(statement, s.attester())
}
