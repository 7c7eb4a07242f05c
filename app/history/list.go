package history

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/althing-ledger/althing/app/follow"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Bounds of a page, those of every listing.
const (
	defaultPage = 100
	maxPage     = 1000
)

// Query asks for the transactions that touched a subject.
type Query struct {
	Kind Kind
	Name string
	// From and To bound the heights, both inclusive; 0 does not.
	From, To uint64
	// Page is empty or the Next of the page before. It pins a place: what is committed meanwhile changes nothing below it.
	Page string
	// Size is how many transactions are wanted: at most 1,000, 100 for 0.
	Size uint32
}

// Entry is a transaction as the index knows it.
type Entry struct {
	ID     [32]byte
	Height uint64
	Index  uint32 // in the block, from 0
	Code   ledgerv1.Code
	Time   time.Time // of the block, UTC
}

// Answer is one page, newest first.
type Answer struct {
	// Height is up to which height the index answers, 0 for an index without any, and Oldest the lowest height it knows.
	Height, Oldest uint64
	Entries        []Entry
	// Next is the page that follows, empty after the last.
	Next string
}

// List answers a query from a view of the newest height. It returns a [tx.Rejection] for a query that breaks a rule: BAD_NAME,
// BAD_FIELD.
func List(view *state.View, q Query) (Answer, error) {
	at, err := q.begin()
	if err != nil {
		return Answer{}, err
	}
	reach, err := follow.ReachOf(view, Name)
	if err != nil {
		return Answer{}, err
	}
	answer := Answer{Height: reach.Last, Oldest: reach.First}
	reader := reader{view: view, query: q, answer: &answer}
	if err := reader.read(at); err != nil {
		return Answer{}, fmt.Errorf("read the index of history: %w", err)
	}
	return answer, nil
}

// place is that of a transaction: a page goes on with what is older.
type place struct {
	height uint64
	index  uint32
}

// newest is above every place.
var newest = place{height: ^uint64(0)}

func (p place) token() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint32(keyspace.Uint64(nil, p.height), p.index))
}

// Check returns a [tx.Rejection] for a query that breaks a rule, as [List] does.
func (q Query) Check() error {
	_, err := q.begin()
	return err
}

// begin returns the place below which to begin, and puts the default for the size.
func (q *Query) begin() (place, error) {
	bad := func(format string, args ...any) (place, error) {
		return place{}, tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, format, args...)
	}
	if q.Kind < Org || q.Kind > Record {
		return bad("name an org, an account, an asset or a record")
	}
	if err := q.Kind.check(q.Name); err != nil {
		return place{}, tx.Reject(ledgerv1.Code_CODE_BAD_NAME, "%v", err)
	}
	if q.Size > maxPage {
		return bad("page_size is %d, at most %d are allowed", q.Size, maxPage)
	}
	if q.Size == 0 {
		q.Size = defaultPage
	}
	if q.To != 0 && q.From > q.To {
		return bad("from_height is %d and to_height is %d: the first must not be above the second", q.From, q.To)
	}
	if q.Page == "" {
		return newest, nil
	}
	token, err := hex.DecodeString(q.Page)
	if err != nil || len(token) != 12 || binary.BigEndian.Uint64(token) == 0 {
		return bad("page is not what a page before returned as next_page: leave it empty for the first")
	}
	return place{binary.BigEndian.Uint64(token), binary.BigEndian.Uint32(token[8:])}, nil
}

// reader fills one answer.
type reader struct {
	view   *state.View
	query  Query
	answer *Answer

	numbers []uint32
	rows    []byte // the page of rows read last, and where it belongs
	rowsOf  place
}

// read adds what is below a place, until the page is full.
func (r *reader) read(below place) error {
	q := &r.query
	if q.To != 0 && q.To < below.height {
		below = place{height: q.To + 1} // before the first transaction of the block after
	}
	if below.height <= q.From && below.index == 0 {
		return nil
	}
	prefix := subjectPrefix(q.Kind, q.Name)
	start := appendPosition(prefix[:len(prefix):len(prefix)], below.height, uint16(min(below.index/postingsPerPage, 1<<16-1)))
	end := keyspace.PrefixEnd(prefix)
	return r.view.ScanLocal(start, end, false, func(key, value []byte) (bool, error) {
		height, page, err := splitPosition(key)
		if err != nil || height < q.From {
			return false, err
		}
		if r.numbers, err = decodePostings(r.numbers[:0], value, page); err != nil {
			return false, err
		}
		for i := len(r.numbers) - 1; i >= 0; i-- {
			at := place{height, r.numbers[i]}
			if at.height == below.height && at.index >= below.index {
				continue
			}
			if len(r.answer.Entries) == int(q.Size) {
				last := r.answer.Entries[len(r.answer.Entries)-1]
				r.answer.Next = place{last.Height, last.Index}.token()
				return false, nil
			}
			entry, err := r.entry(at)
			if err != nil {
				return false, err
			}
			r.answer.Entries = append(r.answer.Entries, entry)
		}
		return true, nil
	})
}

// entry reads the row of a transaction.
func (r *reader) entry(at place) (Entry, error) {
	page := place{at.height, at.index / rowsPerPage}
	if r.rows == nil || r.rowsOf != page {
		rows, err := r.view.Local(rowsKey(page.height, page.index))
		if err != nil {
			return Entry{}, err
		}
		r.rows, r.rowsOf = rows, page
	}
	id, code, time, err := row(r.rows, at.index)
	return Entry{ID: id, Height: at.height, Index: at.index, Code: ledgerv1.Code(code), Time: time}, err
}
