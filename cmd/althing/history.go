package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/althing-ledger/althing/client"
	historyv1 "github.com/althing-ledger/althing/proto/gen/althing/history/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
	"github.com/althing-ledger/althing/proto/tx"
)

// historyEntry is a transaction as `tx list` prints it.
type historyEntry struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Height uint64 `json:"height"`
	Index  uint32 `json:"index"`
	Code   int32  `json:"code"`
	Reason string `json:"reason"`
	Time   string `json:"time"`
}

// historyPage is what `tx list` prints.
type historyPage struct {
	// Height is up to which height the index answers, Oldest the lowest that it knows.
	Height uint64 `json:"height"`
	Oldest uint64 `json:"oldest_height"`
	// Proven is false: nobody can prove what an index left out.
	Proven       bool           `json:"proven"`
	Transactions []historyEntry `json:"transactions"`
	More         bool           `json:"more"`
	NextPage     string         `json:"next_page"`
}

func newTxListCommand(s *streams) *cobra.Command {
	var q historyv1.ListTransactionsRequest
	var org, account, asset, record string
	var limit uint64
	cmd := &cobra.Command{
		Use:   "list --account ORG/NAME|--asset ASSET|--record RECORD|--org ORG",
		Short: "List the transactions that touched an account, an asset, a record or an organisation",
		Long: `List the transactions that touched an account, an asset, a record or an organisation, newest first.
An account is touched by what it signs, pays for or does, and by what names it, also where the
transaction was rejected; an organisation by what touches its accounts, assets or records.

The list comes from an index that the answering node keeps, so nothing proves that it is complete.
Each transaction can be proven: ` + "`althing tx show ID`, `althing tx receipt ID`" + `.`,
		Example: `  althing tx list --account acme/treasury
  althing tx list --asset acme/usd --from 1000 --to 2000 --limit 0 --output json`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&account, "account", "", "transactions of this account, `ORG/NAME`")
	flags.StringVar(&asset, "asset", "", "transactions of this `ASSET`")
	flags.StringVar(&record, "record", "", "transactions of this record, `ORG/COLLECTION/ID`")
	flags.StringVar(&org, "org", "", "transactions of this organisation, `ORG`")
	flags.Uint64Var(&q.FromHeight, "from", 0, "only from this `HEIGHT` on")
	flags.Uint64Var(&q.ToHeight, "to", 0, "only up to this `HEIGHT`")
	flags.Uint64Var(&limit, "limit", 100, "list at most so many; 0 for all")
	flags.StringVar(&q.Page, "page", "", "go on where a list before ended: its next `PAGE`")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := subjectOf(&q, org, account, asset, record); err != nil {
			return err
		}
		if q.ToHeight != 0 && q.FromHeight > q.ToHeight {
			return usagef("--from %d is above --to %d", q.FromHeight, q.ToHeight)
		}
		return s.reading(func(ctx context.Context, g globals, l *link, _ []string) error {
			page := q.Page
			answer, err := listHistory(ctx, l, &q, limit)
			var refused *client.Refused
			if errors.As(err, &refused) && refused.Code == ledgerv1.Code_CODE_BAD_FIELD && page != "" && q.Page == page {
				return hint(usagef("--page: %s", refused.Message), "a list that has more names its next page: `next_page` with --output json")
			}
			if err != nil {
				return err
			}
			if err := s.show(g, answer, answer.print); err != nil {
				return err
			}
			if answer.More {
				s.note(g, "There are more; --limit 0 lists all, --page %s goes on.", answer.NextPage)
			}
			return nil
		})(cmd, args)
	}
	return cmd
}

// subjectOf puts the one subject that the flags name into the question.
func subjectOf(q *historyv1.ListTransactionsRequest, org, account, asset, record string) error {
	named := 0
	var wrong error
	take := func(name string, check func() error) {
		if name != "" {
			named++
			wrong = check()
		}
	}
	take(org, func() error {
		q.Subject = &historyv1.ListTransactionsRequest_Org{Org: org}
		return names.Org(org)
	})
	take(account, func() error {
		q.Subject = &historyv1.ListTransactionsRequest_Account{Account: account}
		_, err := names.Account(account)
		return err
	})
	take(asset, func() error {
		q.Subject = &historyv1.ListTransactionsRequest_Asset{Asset: asset}
		_, err := names.Asset(asset)
		return err
	})
	take(record, func() error {
		q.Subject = &historyv1.ListTransactionsRequest_Record{Record: record}
		_, _, err := names.Record(record)
		return err
	})
	if named != 1 {
		return hint(usagef("name one of --account, --asset, --record and --org"), "add --account ORG/NAME, such as --account acme/treasury")
	}
	if wrong != nil {
		return usageError(wrong)
	}
	return nil
}

// listHistory asks for page after page.
func listHistory(ctx context.Context, l *link, q *historyv1.ListTransactionsRequest, limit uint64) (historyPage, error) {
	answer := historyPage{Transactions: []historyEntry{}}
	for {
		q.PageSize = largestPage
		if limit > 0 {
			q.PageSize = uint32(min(largestPage, limit-uint64(len(answer.Transactions))))
		}
		resp, err := l.History().ListTransactions(ctx, q)
		if err != nil {
			return historyPage{}, err
		}
		if answer.Height == 0 {
			answer.Height, answer.Oldest = resp.Height, resp.OldestHeight
		}
		for _, o := range resp.Transactions {
			answer.Transactions = append(answer.Transactions, historyEntryOf(o))
		}
		q.Page = resp.NextPage
		if q.Page == "" || (limit > 0 && uint64(len(answer.Transactions)) >= limit) {
			answer.More, answer.NextPage = q.Page != "", q.Page
			return answer, nil
		}
	}
}

func historyEntryOf(o *ledgerv1.TxOutcome) historyEntry {
	return historyEntry{
		ID: hex.EncodeToString(o.Id), Status: statusText(resultOf(o).Status), Height: o.Height, Index: o.Index,
		Code: int32(o.Code), Reason: tx.Reason(o.Code), Time: time.Unix(0, o.TimeUnixNano).UTC().Format(timeFormat),
	}
}

func (a historyPage) print(out io.Writer) {
	fmt.Fprintln(out, "HEIGHT\tTIME\tSTATUS\tID")
	for _, t := range a.Transactions {
		status := t.Status
		if t.Code != 0 {
			status += " " + t.Reason
		}
		fmt.Fprintf(out, "%d\t%s\t%s\t%s\n", t.Height, t.Time, status, t.ID)
	}
	fmt.Fprintf(out, "not proven to be complete: from the index of a node, heights %d to %d\n", a.Oldest, a.Height)
}
