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
	// Verified says that the validators' signatures stand for it, its message and its failed operation aside. Otherwise it is the
	// word of the node that answered.
	Verified bool `json:"verified,omitempty"`
	// Receipt is what --receipt wrote.
	Receipt *receiptView `json:"receipt,omitempty"`
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
func (s *streams) showResult(ctx context.Context, g globals, l *link, r *client.Result, mayBePending bool) error {
	u := l.units
	o, events, err := outcomeOf(ctx, u, r)
	if err != nil {
		return err
	}
	o.Receipt, o.Verified = l.receipt, r.Proven || l.receipt != nil
	good := r.OK() || (mayBePending && r.Status == ledgerv1.TxStatus_TX_STATUS_PENDING)
	if g.json || good {
		err := s.show(g, l.shaped(o, events), func(out io.Writer) {
			if o.Height > 0 {
				fmt.Fprintf(out, "%s at height %d\n", o.Status, o.Height)
			} else {
				fmt.Fprintln(out, o.Status)
			}
			for _, e := range events {
				fmt.Fprintln(out, "  "+eventWords(ctx, u, e))
			}
			fmt.Fprintln(out, "id "+o.ID)
			if o.Receipt != nil {
				fmt.Fprintln(out, o.Receipt.line())
			}
		})
		if err != nil {
			return err
		}
		if o.Verified {
			s.noteProof(g, r.Height)
		}
	}
	if good {
		return nil
	}
	return l.explain(&notApplied{status: o.Status, height: o.Height, code: ledgerv1.Code(max(o.Code, 0)), reason: o.Reason, text: o.Message, final: r.Final()})
}

// showProven prints what nodes have proven to this client, unless the user chose to believe them.
func (s *streams) showProven(g globals, height uint64, value any, text func(io.Writer)) error {
	if g.mixed {
		return s.show(g, value, text)
	}
	if err := s.show(g, marked{value, !g.unverified}, text); err != nil {
		return err
	}
	s.noteProof(g, height)
	return nil
}

// noteProof tells somebody who sits at a terminal that what was printed is proven. In scripts, JSON says it.
func (s *streams) noteProof(g globals, height uint64) {
	switch {
	case !s.terminal:
	case g.unverified:
		s.note(g, "Not verified: this is one node's word.")
	default:
		s.note(g, "Verified at height %d: more than two thirds of the validators signed for it.", height)
	}
}

// explain gives what only the members together can do the hint how they do it.
func (l *link) explain(err *notApplied) error {
	if l.ballot == "" || (err.code != ledgerv1.Code_CODE_BEYOND_ALLOTMENT && err.code != ledgerv1.Code_CODE_VOTE_REQUIRED) {
		return err
	}
	return hint(err, "ask the members: %s", l.ballot)
}

// showUndone prints, with JSON, what is known of a transaction whose outcome is not, and returns the error.
func (s *streams) showUndone(g globals, l *link, id tx.ID, err error) error {
	o := outcome{ID: id.String(), Status: statusNotSent, Code: noCode, Message: textOf(err), FailedOperation: -1, Events: []object{}}
	var refused *client.Refused
	switch {
	case errors.As(err, &refused):
		o.Status, o.Reason, o.Code, o.Message = statusRefused, refused.Reason, int32(refused.Code), refused.Message
		err = l.explain(&notApplied{status: o.Status, code: refused.Code, reason: refused.Reason, text: refused.Message, final: true})
	case errors.Is(err, client.ErrUndecided), wasHandedOver(err):
		o.Status = statusText(ledgerv1.TxStatus_TX_STATUS_UNKNOWN)
	}
	if g.json {
		err = errors.Join(err, s.showJSON(l.shaped(o, nil), "  "))
	}
	return err
}

func wasHandedOver(err error) bool {
	var unreachable *client.Unreachable
	return errors.As(err, &unreachable) && unreachable.Sent()
}

// notSent prints, with JSON, that a transaction was not sent and why, unless the command was not understood.
func (s *streams) notSent(g globals, l *link, err error) error {
	if !g.json || exitCode(err) == exitUsage {
		return err
	}
	o := outcome{Status: statusNotSent, Code: noCode, Message: textOf(err), FailedOperation: -1, Events: []object{}}
	var refused *client.Refused
	if errors.As(err, &refused) {
		o.Reason, o.Code, o.Message = refused.Reason, int32(refused.Code), refused.Message
	}
	return errors.Join(err, s.showJSON(l.shaped(o, nil), "  "))
}
