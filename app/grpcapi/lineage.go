package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/althing-ledger/althing/app/lineage"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	proofv1 "github.com/althing-ledger/althing/proto/gen/althing/proof/v1"
)

const (
	// maxLinks is how many changes of the validators an answer has at most, maxLinkBytes about how many bytes of them.
	maxLinks     = 1000
	maxLinkBytes = 2 << 20

	// lineageWait is how long a call waits for the newest block to be looked at. It takes milliseconds, unless the node catches
	// up.
	lineageWait = time.Second
)

// GetLineage implements the service.
func (s *ledgerServer) GetLineage(ctx context.Context, q *ledgerv1.GetLineageRequest) (*ledgerv1.GetLineageResponse, error) {
	answer, err := s.getLineage(ctx, q)
	return answer, toStatus(err)
}

func (s *ledgerServer) getLineage(ctx context.Context, q *ledgerv1.GetLineageRequest) (*ledgerv1.GetLineageResponse, error) {
	most := int(q.PageSize)
	switch {
	case q.PageSize > maxLinks:
		return nil, status.Errorf(codes.InvalidArgument, "page_size is %d, at most %d is allowed", q.PageSize, maxLinks)
	case most == 0:
		most = maxLinks
	}
	newest := s.app.Height()
	if newest == 0 || s.lineage == nil {
		return nil, ErrNotReady
	}
	wait, cancel := context.WithTimeout(ctx, lineageWait)
	defer cancel()
	// The engine has a block before the state machine has committed it, and its header proves reads from then on: whoever was shown
	// it asks for the lineage that leads there.
	if _, err := s.engine.SignedHeader(newest + 1); err == nil && s.app.WaitHeight(wait, newest+1) == nil {
		newest++
	}
	if err := s.lineage.Wait(wait, newest-min(newest, lineage.Lag)); err != nil && !errors.Is(err, wait.Err()) {
		return nil, err
	}
	leave, err := s.proofs.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	page, err := s.linksFrom(max(1, q.FromHeight), most)
	if err != nil {
		return nil, err
	}
	answer := &ledgerv1.GetLineageResponse{Lineage: &proofv1.Lineage{Links: page.Links}, Height: page.Height}
	if q.Genesis {
		answer.Lineage.Genesis = s.app.Genesis().File
	}
	answer.Newest, err = s.engine.SignedHeader(newest)
	return answer, err
}

func (s *ledgerServer) linksFrom(from uint64, most int) (lineage.Page, error) {
	if first := s.lineage.First(); from < first && first > 1 {
		return lineage.Page{}, fmt.Errorf("%w: this one has kept the changes of the validators from height %d on: ask one that has all",
			ErrBlockPruned, first)
	}
	view, err := s.app.View(0)
	if err != nil {
		return lineage.Page{}, err
	}
	defer view.Release()
	return lineage.Read(view, from, most, maxLinkBytes)
}
