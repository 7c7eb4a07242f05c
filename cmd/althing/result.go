package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/althing-ledger/althing/client"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// outcome is what every command that sends a transaction prints as JSON.
type outcome struct {
	ID     string `json:"id"`
	Status string `json:"status"`
	Height uint64 `json:"height"`
	// Code is 0 for a transaction that was applied, -1 where there is none yet; Reason is its name.
	Code            int32    `json:"code"`
	Reason          string   `json:"reason"`
	Message         string   `json:"message"`
	FailedOperation int32    `json:"failed_operation"`
	Events          []object `json:"events"`
	// HoldIDs are those of the holds that the transaction opened.
	HoldIDs []string `json:"hold_ids,omitempty"`
	Time    string   `json:"time,omitempty"`
}

// Statuses that the ledger does not have: the transaction was refused before it was ordered, or was not sent at all.
const (
	statusRefused = "refused"
	statusNotSent = "not-sent"
)

// noCode stands for a code where there is none yet.
const noCode = -1

func statusText(s ledgerv1.TxStatus) string {
	return fmt.Sprint(enumText(s.Descriptor(), s.Number()))
}

// outcomeOf turns a result into what is printed.
func outcomeOf(ctx context.Context, u *units, r *client.Result) (outcome, []*ledgerv1.Event, error) {
	o := outcome{
		ID: r.ID.String(), Status: statusText(r.Status), Height: r.Height, Code: noCode, FailedOperation: -1, Events: []object{},
	}
	if r.Status == ledgerv1.TxStatus_TX_STATUS_EXPIRED {
		o.Reason, o.Code = tx.Reason(ledgerv1.Code_CODE_EXPIRED), int32(ledgerv1.Code_CODE_EXPIRED)
		o.Message = "the transaction was in no block before it expired, and never will be"
	}
	if r.Outcome == nil {
		return o, nil, nil
	}
	events, err := r.Events()
	if err != nil {
		return o, nil, err
	}
	o.Reason, o.Code, o.Message = tx.Reason(r.Outcome.Code), int32(r.Outcome.Code), r.Outcome.Message
	o.FailedOperation = r.Outcome.FailedOperation
	o.Time = time.Unix(0, r.Outcome.TimeUnixNano).UTC().Format(timeFormat)
	for _, e := range events {
		o.Events = append(o.Events, u.render(ctx, e))
		if opened := e.GetAssetHoldOpened(); opened != nil {
			o.HoldIDs = append(o.HoldIDs, hex.EncodeToString(opened.GetHold().GetId()))
		}
	}
	return o, events, nil
}

// showResult prints the result of a transaction and returns an error unless it is committed with code 0, or may be pending.
func (s *streams) showResult(ctx context.Context, g globals, u *units, r *client.Result, mayBePending bool) error {
	o, events, err := outcomeOf(ctx, u, r)
	if err != nil {
		return err
	}
	good := r.OK() || (mayBePending && r.Status == ledgerv1.TxStatus_TX_STATUS_PENDING)
	if g.json || good {
		err := s.show(g, o, func(out io.Writer) {
			if o.Height > 0 {
				fmt.Fprintf(out, "%s at height %d\n", o.Status, o.Height)
			} else {
				fmt.Fprintln(out, o.Status)
			}
			for _, e := range events {
				fmt.Fprintln(out, "  "+eventWords(ctx, u, e))
			}
			fmt.Fprintln(out, "id "+o.ID)
		})
		if err != nil {
			return err
		}
	}
	if good {
		return nil
	}
	return &notApplied{status: o.Status, height: o.Height, code: ledgerv1.Code(max(o.Code, 0)), reason: o.Reason, text: o.Message, final: r.Final()}
}

// showUndone prints, with JSON, what is known of a transaction whose outcome is not, and returns the error.
func (s *streams) showUndone(g globals, id tx.ID, err error) error {
	o := outcome{ID: id.String(), Status: statusNotSent, Code: noCode, Message: textOf(err), FailedOperation: -1, Events: []object{}}
	var refused *client.Refused
	switch {
	case errors.As(err, &refused):
		o.Status, o.Reason, o.Code, o.Message = statusRefused, refused.Reason, int32(refused.Code), refused.Message
		err = &notApplied{status: o.Status, code: refused.Code, reason: refused.Reason, text: refused.Message, final: true}
	case errors.Is(err, client.ErrUndecided), wasHandedOver(err):
		o.Status = statusText(ledgerv1.TxStatus_TX_STATUS_UNKNOWN)
	}
	if g.json {
		err = errors.Join(err, s.showJSON(o, "  "))
	}
	return err
}

func wasHandedOver(err error) bool {
	var unreachable *client.Unreachable
	return errors.As(err, &unreachable) && unreachable.Sent()
}

// notSent prints, with JSON, that a transaction was not sent and why, unless the command was not understood.
func (s *streams) notSent(g globals, err error) error {
	if !g.json || exitCode(err) == exitUsage {
		return err
	}
	o := outcome{Status: statusNotSent, Code: noCode, Message: textOf(err), FailedOperation: -1, Events: []object{}}
	var refused *client.Refused
	if errors.As(err, &refused) {
		o.Reason, o.Code, o.Message = refused.Reason, int32(refused.Code), refused.Message
	}
	return errors.Join(err, s.showJSON(o, "  "))
}
