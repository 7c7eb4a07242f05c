// Package subjects says what a transaction and an event touch: organisations, accounts, assets and records. A watch that is
// filtered asks it, and so does the index of the history, so that both mean the same.
//
// It reads encoded bytes by the descriptors of the protos and decodes nothing else of them: what it takes is bounded by the
// length of the bytes, how deep they nest and how many parts they have, whoever made them. What a field names stands in one
// table (fields.go); a test fails for a field of an operation or an event that is not in it.
//
// Only well-formed names count, because nobody can ask for others: a rejected transaction may say anything.
//
// Everything here is a pure function and safe for concurrent use.
package subjects

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// An ErrorKind says why something has no subjects. It does not change: test for it with errors.Is.
type ErrorKind string

func (k ErrorKind) Error() string { return string(k) }

const (
	// ErrMalformed is returned for bytes that are no transaction, or no list of events.
	ErrMalformed = ErrorKind("the bytes are no transaction")
	// ErrTooMuch is returned for bytes that nest deeper, or have more parts, than any that the ledger applies.
	ErrTooMuch = ErrorKind("the bytes have more parts than a transaction may have")
)

const (
	// maxDepth bounds the nesting of messages: a transaction may have eight levels.
	maxDepth = 16
	// maxParts bounds the messages and names in a transaction, and in its events. A transaction may have 16,384 messages and
	// elements of lists, none of which has more than eight names.
	maxParts = 1 << 17
)

// Set is what something touches: sorted, nothing twice.
type Set struct {
	// Orgs are those named, and those of everything else that is named.
	Orgs     []string
	Accounts []string
	Assets   []string
	Records  []string // org/collection/id
	// Kinds are those of operations, as in Operation: asset_transfer.
	Kinds []string
}

// OfTransaction returns what a transaction touches: who signs, pays and acts, what stands in its operations, those of a
// proposal included, and in the events of its outcome (nil where there is none). Bytes that were refused by themselves, whose
// outcome has no id, touch nothing: nobody's signature stands behind them. The error is [ErrMalformed] or [ErrTooMuch].
func OfTransaction(raw []byte, outcome *ledgerv1.TxOutcome) (Set, error) {
	if outcome != nil && len(outcome.Id) == 0 {
		return Set{}, nil
	}
	c := collector{parts: maxParts, operations: true}
	if err := c.walk(shapes.tx, raw, maxDepth); err != nil {
		return Set{}, err
	}
	c.parts, c.operations = maxParts, false
	if err := c.walk(shapes.events, outcome.GetEvents(), maxDepth); err != nil {
		return Set{}, fmt.Errorf("events of transaction %x: %w", outcome.GetId(), err)
	}
	return c.sorted(), nil
}

// OfEvent returns what an event touches. Its kind is that of the event: asset_transferred.
func OfEvent(e *ledgerv1.Event) Set {
	raw, err := e.MarshalVTStrict()
	if err != nil {
		return Set{}
	}
	c := collector{parts: maxParts, events: true}
	if err := c.walk(shapes.event, raw, maxDepth); err != nil {
		return Set{}
	}
	return c.sorted()
}

// KindsOf returns, for each operation of a transaction, its kind and, behind that of a proposal, the kinds of the operations
// in it. The error is [ErrMalformed] or [ErrTooMuch].
func KindsOf(raw []byte) ([][]string, error) {
	c := collector{parts: maxParts, operations: true}
	if err := c.walk(shapes.tx, raw, maxDepth); err != nil {
		return nil, err
	}
	return c.byOperation, nil
}

// collector gathers the names in encoded messages.
type collector struct {
	Set
	parts              int  // how many more messages and names it takes
	operations, events bool // whose kinds count
	byOperation        [][]string
	depth              int // of operations
}

// walk reads an encoded message.
func (c *collector) walk(s *shape, b []byte, depth int) error {
	if depth == 0 {
		return ErrTooMuch
	}
	for len(b) > 0 {
		number, wire, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		if wire != protowire.BytesType || int(number) >= len(s.fields) {
			if n = protowire.ConsumeFieldValue(number, wire, b); n < 0 {
				return ErrMalformed
			}
			b = b[n:]
			continue
		}
		value, n := protowire.ConsumeBytes(b)
		if n < 0 {
			return ErrMalformed
		}
		b = b[n:]
		if err := c.field(s, &s.fields[number], value, depth); err != nil {
			return err
		}
	}
	return nil
}

func (c *collector) field(s *shape, f *field, value []byte, depth int) error {
	if f.message == nil && f.names == nothing {
		return nil
	}
	if c.parts--; c.parts < 0 {
		return ErrTooMuch
	}
	if f.message == nil {
		c.add(f.names, string(value))
		return nil
	}
	if f.kind != "" && ((s == shapes.operation && c.operations) || (s == shapes.event && c.events)) {
		c.Kinds = append(c.Kinds, f.kind)
		if last := len(c.byOperation) - 1; c.operations && last >= 0 {
			c.byOperation[last] = append(c.byOperation[last], f.kind)
		}
	}
	if f.message == shapes.operation {
		if c.depth++; c.depth == 1 {
			c.byOperation = append(c.byOperation, nil)
		}
		defer func() { c.depth-- }()
	}
	return c.walk(f.message, value, depth-1)
}

// add takes a name if it is one.
func (c *collector) add(what what, name string) {
	var org string
	var err error
	switch what {
	case anOrg:
		org, err = name, names.Org(name)
	case anAccount:
		if org, err = names.Account(name); err == nil {
			c.Accounts = append(c.Accounts, name)
		}
	case anAsset:
		if org, err = names.Asset(name); err == nil {
			c.Assets = append(c.Assets, name)
		}
	case aCollection:
		org, err = names.Collection(name)
	case aRecord:
		var collection string
		if collection, _, err = names.Record(name); err == nil {
			c.Records = append(c.Records, name)
			org, err = names.Collection(collection)
		}
	}
	if err == nil {
		c.Orgs = append(c.Orgs, org)
	}
}

func (c *collector) sorted() Set {
	s := c.Set
	for _, list := range []*[]string{&s.Orgs, &s.Accounts, &s.Assets, &s.Records, &s.Kinds} {
		slices.Sort(*list)
		*list = slices.Clip(slices.Compact(*list))
	}
	return s
}
