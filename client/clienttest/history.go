package clienttest

import (
	"context"
	"fmt"
	"slices"

	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/subjects"
	"github.com/althing-ledger/althing/proto/tx"
)

type historyService struct {
	historyv1.UnimplementedHistoryServiceServer
	node *Node
}

// ListTransactions looks through all blocks. A page is named by the height below which it begins: each block has one
// transaction.
func (s *historyService) ListTransactions(_ context.Context, req *historyv1.ListTransactionsRequest) (*historyv1.ListTransactionsResponse, error) {
	_, newest := s.node.ledger.at()
	below := newest + 1
	if req.ToHeight != 0 {
		below = min(below, req.ToHeight+1)
	}
	if req.Page != "" {
		var page uint64
		if _, err := fmt.Sscanf(req.Page, "below-%d", &page); err != nil {
			return nil, refused(tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "page is not what a page before returned as next_page"))
		}
		below = min(below, page)
	}
	size := int(req.PageSize)
	if size == 0 {
		size = 100
	}
	resp := &historyv1.ListTransactionsResponse{Height: newest, OldestHeight: 1}
	for height := below - 1; height >= max(req.FromHeight, 1); height-- {
		block, _ := s.node.ledger.block(height)
		for i, raw := range block.Txs {
			touched, err := subjects.OfTransaction(raw, block.Outcomes[i])
			if err != nil {
				return nil, err
			}
			if !isAmong(touched, req) {
				continue
			}
			if len(resp.Transactions) == size {
				resp.NextPage = fmt.Sprintf("below-%d", height+1)
				return resp, nil
			}
			o := block.Outcomes[i]
			resp.Transactions = append(resp.Transactions, &ledgerv1.TxOutcome{
				Id: o.Id, Height: o.Height, Index: o.Index, Code: o.Code, FailedOperation: -1, TimeUnixNano: o.TimeUnixNano,
			})
		}
	}
	return resp, nil
}

func isAmong(touched subjects.Set, req *historyv1.ListTransactionsRequest) bool {
	switch of := req.Subject.(type) {
	case *historyv1.ListTransactionsRequest_Org:
		return slices.Contains(touched.Orgs, of.Org)
	case *historyv1.ListTransactionsRequest_Account:
		return slices.Contains(touched.Accounts, of.Account)
	case *historyv1.ListTransactionsRequest_Asset:
		return slices.Contains(touched.Assets, of.Asset)
	case *historyv1.ListTransactionsRequest_Record:
		return slices.Contains(touched.Records, of.Record)
	}
	return false
}
