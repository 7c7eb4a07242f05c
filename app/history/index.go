package history

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/althing-ledger/althing/app/follow"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/subjects"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Name is the name of the index's cursor.
const Name = "history"

// maxSubjects bounds the entries of one transaction. A thousand operations, the most that a charter can allow, stay below it
// unless they propose many others: then what is left out are records and accounts, the last by name.
const maxSubjects = 8192

// Block is what the index needs of a committed block. Outcomes has one for each of Txs, in their order.
type Block struct {
	Time     time.Time
	Txs      [][]byte
	Outcomes []*ledgerv1.TxOutcome
}

// Follower keeps the index of history of one node.
type Follower struct {
	// Block returns a committed block. Required.
	Block func(ctx context.Context, height uint64) (Block, error)
	// Logger hears of transactions with too many subjects. Required.
	Logger *slog.Logger
}

var _ follow.Follower = (*Follower)(nil)

// Prefixes returns the beginnings of all keys that a [Follower] writes, for [follow.Drop].
func Prefixes() [][]byte { return [][]byte{keyspace.Key(keyspace.LocalHistory)} }

// Name implements [follow.Follower].
func (f *Follower) Name() string { return Name }

// Follow implements [follow.Follower].
func (f *Follower) Follow(ctx context.Context, height uint64) ([]state.LocalWrite, error) {
	block, err := f.Block(ctx, height)
	if err != nil {
		return nil, err
	}
	writes, err := f.index(height, block)
	if err != nil {
		return nil, fmt.Errorf("index its transactions: %w", err)
	}
	return writes, nil
}

// index returns what a block leaves in the index: nothing, for one without transactions.
func (f *Follower) index(height uint64, block Block) ([]state.LocalWrite, error) {
	if len(block.Txs) != len(block.Outcomes) || len(block.Txs) > maxTransactions {
		return nil, fmt.Errorf("it has %d transactions and %d outcomes", len(block.Txs), len(block.Outcomes))
	}
	lists := postings{height: height, open: make(map[subject]int)}
	var writes []state.LocalWrite
	var rows []byte
	for i, raw := range block.Txs {
		if i%rowsPerPage == 0 {
			rows = beginRows(block.Time, min(rowsPerPage, len(block.Txs)-i))
		}
		outcome := block.Outcomes[i]
		var err error
		if rows, err = appendRow(rows, outcome.GetId(), int32(outcome.GetCode())); err != nil {
			return nil, err
		}
		if i%rowsPerPage == rowsPerPage-1 || i == len(block.Txs)-1 {
			writes = append(writes, state.LocalWrite{Key: rowsKey(height, uint32(i/rowsPerPage)), Value: rows})
		}
		touched, err := subjects.OfTransaction(raw, outcome)
		if err != nil {
			return nil, fmt.Errorf("transaction %d: %w", i, err)
		}
		if left := lists.add(i, touched); left > 0 {
			f.Logger.Warn("a transaction has more subjects than the index keeps", "id", fmt.Sprintf("%x", outcome.Id), "left_out", left)
		}
	}
	return append(writes, lists.writes...), nil
}

// subject is what a transaction touched.
type subject struct {
	kind Kind
	name string
}

// postings are the pages of one block, in the order in which they were begun: nothing depends on it.
type postings struct {
	height uint64
	writes []state.LocalWrite
	last   []int           // number of the last transaction on each
	open   map[subject]int // the page of each subject that may still grow
}

// add notes what a transaction touched and returns how many subjects were left out.
func (p *postings) add(index int, touched subjects.Set) (left int) {
	taken := 0
	for _, list := range []struct {
		kind  Kind
		names []string
	}{{Org, touched.Orgs}, {Asset, touched.Assets}, {Account, touched.Accounts}, {Record, touched.Records}} {
		for _, name := range list.names {
			if taken == maxSubjects {
				left++
				continue
			}
			taken++
			p.note(subject{list.kind, name}, index)
		}
	}
	return left
}

func (p *postings) note(s subject, index int) {
	page := index / postingsPerPage
	at, found := p.open[s]
	if !found || p.last[at]/postingsPerPage != page {
		at = len(p.writes)
		p.open[s] = at
		p.last = append(p.last, page*postingsPerPage-1)
		p.writes = append(p.writes, state.LocalWrite{Key: postingKey(s.kind, s.name, p.height, uint16(page)), Value: []byte{}})
	}
	w := &p.writes[at]
	w.Value = appendPosting(w.Value, index, p.last[at])
	p.last[at] = index
}
