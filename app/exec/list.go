package exec

import (
	"encoding/hex"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state/keyspace"
)

// Bounds of a page of a listing.
const (
	defaultPage = 100
	maxPage     = 1000
	maxToken    = 1024
)

// A Step is what became of one entry of a listing.
type Step int

const (
	// Take puts the entry on the page.
	Take Step = iota
	// Skip leaves it out; it does not count.
	Skip
	// TakeLast puts it on the page and ends the page.
	TakeLast
	// SkipLast leaves it out and ends the page.
	SkipLast
)

// List calls each with the keys and values under prefix, in key order, for one page of a listing. size 0 means 100; page
// is empty or what the page before returned as next. next is empty on the last page. A size above 1000 and a page that no
// listing returned are BAD_FIELD. Key and value are valid during the call only.
func List(kv Scanner, prefix []byte, page string, size uint32, each func(key, value []byte) error) (next string, err error) {
	return ListSome(kv, prefix, page, size, func(key, value []byte) (Step, error) { return Take, each(key, value) })
}

// ListSome is [List] for a listing that leaves entries out, or whose pages must end early because an entry is expensive.
func ListSome(kv Scanner, prefix []byte, page string, size uint32, each func(key, value []byte) (Step, error)) (string, error) {
	if size > maxPage {
		return "", tx.Reject(ledgerv1.Code_CODE_BAD_FIELD, "page_size is %d, at most %d are allowed", size, maxPage)
	}
	if size == 0 {
		size = defaultPage
	}
	if len(page) > maxToken {
		return "", badPage()
	}
	after, err := hex.DecodeString(page)
	if err != nil {
		return "", badPage()
	}
	start := append(append([]byte(nil), prefix...), after...)
	var taken uint32
	full, next := false, ""
	err = kv.Scan(start, keyspace.PrefixEnd(prefix), func(key, value []byte) (bool, error) {
		if full {
			next = hex.EncodeToString(key[len(prefix):])
			return false, nil
		}
		step, err := each(key, value)
		if err != nil {
			return false, err
		}
		if step == Take || step == TakeLast {
			taken++
		}
		full = taken == size || step == TakeLast || step == SkipLast
		return true, nil
	})
	return next, err
}

func badPage() error {
	return tx.Reject(ledgerv1.Code_CODE_BAD_FIELD,
		"page is not what a page before returned as next_page: leave it empty for the first")
}
