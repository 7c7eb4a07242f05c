package pgindex

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/subjects"
	"github.com/althing-ledger/althing/proto/tx"
)

// tables are those that blocks are written to, in the order in which they are written, with their columns.
var tables = []struct {
	name    string
	columns []string
}{
	{"blocks", []string{"height", "time", "time_unix_nano", "hash", "app_hash", "proposer", "tx_count"}},
	{"transactions", []string{"height", "tx_index", "id", "code", "reason", "message", "failed_operation", "payer", "memo",
		"expires_at", "size", "time"}},
	{"operations", []string{"height", "tx_index", "op_index", "kind", "account", "body"}},
	{"events", []string{"height", "tx_index", "event_index", "op_index", "kind", "body"}},
	{"postings", []string{"height", "tx_index", "event_index", "side", "account", "asset", "amount", "held"}},
	{"subjects", []string{"kind", "name", "height", "tx_index"}},
}

// Places of the tables.
const (
	blocksTable = iota
	transactionsTable
	operationsTable
	eventsTable
	postingsTable
	subjectsTable
)

// batch is rows of consecutive blocks. Its zero value is empty.
type batch struct {
	first, last uint64 // heights
	rows        [subjectsTable + 1][][]any
}

func (b *batch) put(table int, values ...any) { b.rows[table] = append(b.rows[table], values) }

// add turns a block into rows. The error is [ErrBlock].
func (b *batch) add(block *ledgerv1.Block) error {
	height := block.GetHeight()
	if height == 0 || height > math.MaxInt64 || (b.last != 0 && height != b.last+1) {
		return fmt.Errorf("%w: block %d came after block %d", ErrBlock, height, b.last)
	}
	if len(block.Txs) != len(block.Outcomes) || int(block.TxCount) != len(block.Txs) {
		return fmt.Errorf("%w: block %d has %d transactions and %d outcomes, and says that it has %d",
			ErrBlock, height, len(block.Txs), len(block.Outcomes), block.TxCount)
	}
	at := block.Time.AsTime()
	b.put(blocksTable, int64(height), micros(at), at.UnixNano(), block.Hash, block.AppHash, text(block.Proposer), int32(block.TxCount))
	for i, raw := range block.Txs {
		o := block.Outcomes[i]
		if o.GetHeight() != height || int(o.GetIndex()) != i {
			return fmt.Errorf("%w: outcome %d of block %d is that of transaction %d of block %d", ErrBlock, i, height, o.GetIndex(), o.GetHeight())
		}
		if err := b.addTransaction(raw, o, at); err != nil {
			return fmt.Errorf("%w: transaction %d of block %d: %w", ErrBlock, i, height, err)
		}
	}
	if b.first == 0 {
		b.first = height
	}
	b.last = height
	return nil
}

func (b *batch) addTransaction(raw []byte, o *ledgerv1.TxOutcome, at time.Time) error {
	height, index := int64(o.Height), int32(o.Index)
	row := []any{height, index, nil, int32(o.Code), tx.Reason(o.Code), text(o.Message), nil, nil, nil, nil, int32(len(raw)), micros(at)}
	if o.FailedOperation >= 0 {
		row[6] = o.FailedOperation
	}
	if len(o.Id) > 0 { // else the bytes were no transaction
		envelope, body := new(ledgerv1.Tx), new(ledgerv1.Body)
		if err := envelope.UnmarshalVT(raw); err != nil {
			return err
		}
		if err := body.UnmarshalVT(envelope.Body); err != nil {
			return err
		}
		payer, _ := tx.Signers(body)
		row[2], row[7], row[8], row[9] = o.Id, text(payer), text(body.Memo), micros(body.ExpiresAt.AsTime())
		for i, op := range body.Operations {
			kind, encoded, err := encode(op, "account")
			if err != nil {
				return err
			}
			b.put(operationsTable, height, index, int32(i), kind, text(op.Account), encoded)
		}
		touched, err := subjects.OfTransaction(raw, o)
		if err != nil {
			return err
		}
		b.addSubjects(height, index, touched)
	}
	b.rows[transactionsTable] = append(b.rows[transactionsTable], row)
	return b.addEvents(height, index, o)
}

func (b *batch) addSubjects(height int64, index int32, touched subjects.Set) {
	for _, list := range []struct {
		kind  string
		names []string
	}{{"org", touched.Orgs}, {"account", touched.Accounts}, {"asset", touched.Assets}, {"record", touched.Records}} {
		seen := make(map[string]bool, len(list.names))
		for _, name := range list.names {
			// An operation that was refused may name anything.
			if name = text(name); len(name) <= maxName && !seen[name] {
				seen[name] = true
				b.put(subjectsTable, list.kind, name, height, index)
			}
		}
	}
}

// maxName bounds the names of subjects in bytes: that of a record has at most 194, and a longer one may not fit into an index.
const maxName = 255

func (b *batch) addEvents(height int64, index int32, o *ledgerv1.TxOutcome) error {
	list := new(ledgerv1.EventList)
	if err := list.UnmarshalVT(o.Events); err != nil {
		return err
	}
	for i, e := range list.Events {
		kind, encoded, err := encode(e, "operation")
		if err != nil {
			return err
		}
		b.put(eventsTable, height, index, int32(i), int32(e.Operation), kind, encoded)
		moved, err := movements(e)
		if err != nil {
			return err
		}
		for side, m := range moved {
			b.put(postingsTable, height, index, int32(i), int16(side), text(m.account), text(m.asset), numeric(m.amount), numeric(m.held))
		}
	}
	return nil
}

// movement is what an event changes of what one account has of an asset: what it may spend, and what is set aside.
type movement struct {
	account, asset string
	amount, held   *big.Int
}

// movements returns what an event moves: nothing, or one or two sides.
func movements(e *ledgerv1.Event) ([]movement, error) {
	zero := new(big.Int)
	var asset, from, to, text string
	// What the giver's side loses, besides what the receiver's gains.
	var spends, frees, holds, returns bool
	switch k := e.Kind.(type) {
	case *ledgerv1.Event_AssetMinted:
		asset, to, text = k.AssetMinted.Asset, k.AssetMinted.To, k.AssetMinted.Amount
	case *ledgerv1.Event_AssetBurned:
		asset, from, text, spends = k.AssetBurned.Asset, k.AssetBurned.From, k.AssetBurned.Amount, true
	case *ledgerv1.Event_AssetTransferred:
		t := k.AssetTransferred
		asset, from, to, text, spends = t.Asset, t.From, t.To, t.Amount, true
	case *ledgerv1.Event_AssetHoldOpened:
		h := k.AssetHoldOpened.GetHold()
		asset, from, text, spends, holds = h.GetAsset(), h.GetFrom(), h.GetAmount(), true, true
	case *ledgerv1.Event_AssetHoldReleased:
		h := k.AssetHoldReleased.GetHold()
		asset, from, to, text, frees = h.GetAsset(), h.GetFrom(), h.GetTo(), h.GetAmount(), true
	case *ledgerv1.Event_AssetHoldCancelled:
		h := k.AssetHoldCancelled.GetHold()
		asset, from, text, frees, returns = h.GetAsset(), h.GetFrom(), h.GetAmount(), true, true
	default:
		return nil, nil
	}
	n, ok := new(big.Int).SetString(text, 10)
	if !ok || n.Sign() < 0 || n.BitLen() > 128 {
		return nil, fmt.Errorf("%.60q is no amount", text)
	}
	minus := new(big.Int).Neg(n)
	var sides []movement
	if from != "" {
		m := movement{from, asset, zero, zero}
		if spends {
			m.amount = minus
		}
		if returns {
			m.amount = n
		}
		if holds {
			m.held = n
		}
		if frees {
			m.held = minus
		}
		sides = append(sides, m)
	}
	if to != "" {
		sides = append(sides, movement{to, asset, n, zero})
	}
	return sides, nil
}

func numeric(n *big.Int) pgtype.Numeric { return pgtype.Numeric{Int: n, Valid: true} }

// micros is a time as PostgreSQL keeps it. What is left out stands in time_unix_nano.
func micros(t time.Time) time.Time { return t.Truncate(time.Microsecond) }

// text is a string that PostgreSQL takes: valid UTF-8 without zero bytes, each of which becomes U+FFFD.
func text(s string) string {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "\ufffd")
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

// encode returns the name of what an operation or an event is, as its message calls it, and that in ProtoJSON with the names
// of the contract. It changes the message: its strings become ones that PostgreSQL takes. beside is the field that is no part
// of the kind.
func encode(m proto.Message, beside protoreflect.Name) (kind string, body []byte, err error) {
	reflected := m.ProtoReflect()
	reflected.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if fd.Name() != beside && fd.Message() != nil {
			kind = string(fd.Name())
			clean(v.Message())
			body, err = protojson.MarshalOptions{UseProtoNames: true}.Marshal(v.Message().Interface())
		}
		return true
	})
	if kind == "" && err == nil {
		err = fmt.Errorf("a %s says nothing that this version knows: use a newer one", reflected.Descriptor().Name())
	}
	return kind, body, err
}

// clean makes every string of a message one that PostgreSQL takes. The schema has no maps.
func clean(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.Kind() == protoreflect.StringKind && fd.IsList():
			for i := range v.List().Len() {
				v.List().Set(i, protoreflect.ValueOfString(text(v.List().Get(i).String())))
			}
		case fd.Kind() == protoreflect.StringKind:
			if s := v.String(); text(s) != s {
				m.Set(fd, protoreflect.ValueOfString(text(s)))
			}
		case fd.Message() != nil && fd.IsList():
			for i := range v.List().Len() {
				clean(v.List().Get(i).Message())
			}
		case fd.Message() != nil:
			clean(v.Message())
		}
		return true
	})
}
