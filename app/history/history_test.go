package history_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/althing-ledger/althing/app/follow"
	"github.com/althing-ledger/althing/app/history"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/subjects"
	"github.com/althing-ledger/althing/proto/tx"
	"github.com/althing-ledger/althing/state"
	"github.com/althing-ledger/althing/state/statetest"
)

// ledger is blocks that somebody else has decided, and a store that has got as far.
type ledger struct {
	t      testing.TB
	store  *state.Store
	blocks map[uint64]history.Block
	height uint64
	nonce  uint64
}

func newLedger(t testing.TB) *ledger {
	t.Helper()
	store, err := state.Open(statetest.Config(t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &ledger{t: t, store: store, blocks: map[uint64]history.Block{}}
}

var genesisTime = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// decide adds a block.
func (l *ledger) decide(transactions ...transaction) {
	l.t.Helper()
	l.height++
	block := history.Block{Time: genesisTime.Add(time.Duration(l.height) * time.Millisecond)}
	for i, made := range transactions {
		made.outcome.Height, made.outcome.Index = l.height, uint32(i)
		block.Txs, block.Outcomes = append(block.Txs, made.raw), append(block.Outcomes, made.outcome)
	}
	l.blocks[l.height] = block
	view := l.store.Latest()
	defer view.Release()
	if _, err := l.store.Stage(l.height, block.Time, state.NewOverlay(view), nil); err != nil {
		l.t.Fatal(err)
	}
	if err := l.store.Commit(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *ledger) block(_ context.Context, height uint64) (history.Block, error) {
	block, found := l.blocks[height]
	if !found {
		return block, fmt.Errorf("block %d is gone", height)
	}
	return block, nil
}

func (l *ledger) waitHeight(_ context.Context, height uint64) error {
	if height > l.height {
		return errEnd
	}
	return nil
}

// errEnd ends a follower that has seen all.
var errEnd = errors.New("that was all")

func (l *ledger) follower() *history.Follower {
	return &history.Follower{Block: l.block, Logger: slog.New(slog.DiscardHandler)}
}

// catchUp has the index read what it has not seen.
func (l *ledger) catchUp(oldest uint64) {
	l.t.Helper()
	cfg := follow.Config{Store: l.store, WaitHeight: l.waitHeight, Oldest: func() uint64 { return oldest }}
	if err := follow.Run(l.t.Context(), cfg, l.follower()); !errors.Is(err, errEnd) {
		l.t.Fatal(err)
	}
}

func (l *ledger) list(q history.Query) (history.Answer, error) {
	view := l.store.Latest()
	defer view.Release()
	return history.List(view, q)
}

// all reads page after page.
func (l *ledger) all(q history.Query) []history.Entry {
	l.t.Helper()
	var entries []history.Entry
	for {
		answer, err := l.list(q)
		if err != nil {
			l.t.Fatal(err)
		}
		if answer.Next != "" && len(answer.Entries) != int(q.Size) {
			l.t.Fatalf("a page that is not the last has %d entries of %d", len(answer.Entries), q.Size)
		}
		entries = append(entries, answer.Entries...)
		if q.Page = answer.Next; q.Page == "" {
			return entries
		}
	}
}

type transaction struct {
	raw     []byte
	outcome *ledgerv1.TxOutcome
}

// transfer is a transaction that was applied.
func (l *ledger) transfer(from, to, asset string) transaction {
	l.t.Helper()
	l.nonce++
	nonce := binary.BigEndian.AppendUint64(make([]byte, 8), l.nonce)
	body := &ledgerv1.Body{ChainId: "test-00000000", Nonce: nonce, Operations: []*ledgerv1.Operation{{
		Account: from, Kind: &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: "1"}},
	}}}
	unsigned, id, err := tx.Unsigned(body)
	if err != nil {
		l.t.Fatal(err)
	}
	unsigned.Signatures = []*ledgerv1.Signature{{Account: from, PublicKey: make([]byte, 32), Signature: make([]byte, 64)}}
	raw, err := unsigned.MarshalVTStrict()
	if err != nil {
		l.t.Fatal(err)
	}
	events, err := (&ledgerv1.EventList{Events: []*ledgerv1.Event{{Kind: &ledgerv1.Event_AssetTransferred{
		AssetTransferred: &assetsv1.Transferred{Asset: asset, From: from, To: to, Amount: "1"}}}}}).MarshalVTStrict()
	if err != nil {
		l.t.Fatal(err)
	}
	return transaction{raw, &ledgerv1.TxOutcome{Id: id[:], FailedOperation: -1, Events: events}}
}

// rejected is a transaction that was refused with a code.
func (l *ledger) rejected(from, to, asset string) transaction {
	t := l.transfer(from, to, asset)
	t.outcome.Events, t.outcome.Code = nil, ledgerv1.Code_CODE_NOT_FOUND
	return t
}

// garbage is bytes that were refused by themselves.
func garbage() transaction {
	return transaction{[]byte("garbage"), &ledgerv1.TxOutcome{Code: ledgerv1.Code_CODE_MALFORMED, FailedOperation: -1}}
}

// expected returns what a list must say, from the blocks alone.
func (l *ledger) expected(q history.Query) []history.Entry {
	l.t.Helper()
	var entries []history.Entry
	for height := uint64(1); height <= l.height; height++ {
		if height < q.From || (q.To != 0 && height > q.To) {
			continue
		}
		block := l.blocks[height]
		for i, raw := range block.Txs {
			o := block.Outcomes[i]
			touched, err := subjects.OfTransaction(raw, o)
			if err != nil {
				l.t.Fatal(err)
			}
			names := map[history.Kind][]string{
				history.Org: touched.Orgs, history.Account: touched.Accounts, history.Asset: touched.Assets, history.Record: touched.Records,
			}[q.Kind]
			if slices.Contains(names, q.Name) {
				entries = append(entries, history.Entry{ID: [32]byte(o.Id), Height: height, Index: uint32(i), Code: o.Code, Time: block.Time})
			}
		}
	}
	slices.Reverse(entries)
	return entries
}

// TestListIsWhatBlocksSay makes blocks at random, also with more transactions than a page of the layout holds, and compares
// every list with them.
func TestListIsWhatBlocksSay(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		l := newLedger(t)
		accounts := []string{"acme/alice", "acme/bob", "globex/carol"}
		assets := []string{"acme/usd", "globex/eur"}
		account, asset := rapid.SampledFrom(accounts), rapid.SampledFrom(assets)
		for range rapid.IntRange(1, 6).Draw(rt, "blocks") {
			var made []transaction
			count := rapid.OneOf(rapid.Just(0), rapid.IntRange(1, 5), rapid.IntRange(60, 70), rapid.IntRange(1020, 1030)).Draw(rt, "transactions")
			kinds := rapid.SliceOfN(rapid.IntRange(0, 9), 16, 16).Draw(rt, "kinds")
			a, b, c := account.Draw(rt, "a"), account.Draw(rt, "b"), asset.Draw(rt, "asset")
			for i := range count {
				switch kinds[i%len(kinds)] {
				case 0:
					made = append(made, garbage())
				case 1:
					made = append(made, l.rejected(a, b, c))
				case 2:
					made = append(made, l.transfer(b, a, assets[0]))
				default:
					made = append(made, l.transfer(a, accounts[i%len(accounts)], c))
				}
			}
			l.decide(made...)
		}
		l.catchUp(1)
		q := history.Query{Size: rapid.SampledFrom([]uint32{1, 7, 64, 1000}).Draw(rt, "size")}
		if l.height > 1 && rapid.Bool().Draw(rt, "bounded") {
			q.From = rapid.Uint64Range(0, l.height).Draw(rt, "from")
			q.To = rapid.Uint64Range(max(q.From, 1), l.height+1).Draw(rt, "to")
		}
		if q.Size == 1 {
			q.From = max(q.From, l.height) // or it takes long
		}
		if q.To != 0 && q.From > q.To {
			q.To = q.From
		}
		check := func(kind history.Kind, name string) {
			q := q
			q.Kind, q.Name = kind, name
			if got, want := l.all(q), l.expected(q); !slices.Equal(got, want) {
				rt.Fatalf("%v: %d entries, want %d", q, len(got), len(want))
			}
		}
		for _, name := range accounts {
			check(history.Account, name)
		}
		for _, name := range assets {
			check(history.Asset, name)
		}
		check(history.Org, "acme")
		check(history.Org, "globex")
		check(history.Org, "glo")
		check(history.Record, "acme/bills/1")
	})
}

// TestPagesAreStable reads a page, has blocks come, and goes on: nothing is missing and nothing comes twice.
func TestPagesAreStable(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	for range 3 {
		l.decide(l.transfer("acme/alice", "acme/bob", "acme/usd"), l.transfer("acme/alice", "acme/bob", "acme/usd"))
	}
	l.catchUp(1)
	q := history.Query{Kind: history.Account, Name: "acme/bob", Size: 1}
	want := l.expected(q)
	var got []history.Entry
	for {
		answer, err := l.list(q)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, answer.Entries...)
		if q.Page = answer.Next; q.Page == "" {
			break
		}
		l.decide(l.transfer("acme/bob", "acme/alice", "acme/usd"))
		l.catchUp(1)
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

// TestAnswerNamesItsHeights reads an index that lags, one that begins late, and one that is built again.
func TestAnswerNamesItsHeights(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	q := history.Query{Kind: history.Org, Name: "acme"}
	answer, err := l.list(q)
	if err != nil || answer.Height != 0 || answer.Oldest != 0 || answer.Entries != nil {
		t.Fatalf("before the first block: %v %v", answer, err)
	}
	for range 4 {
		l.decide(l.transfer("acme/alice", "acme/bob", "acme/usd"))
	}
	l.catchUp(3)
	check := func(oldest, height uint64, entries int) {
		t.Helper()
		answer, err := l.list(q)
		if err != nil || answer.Height != height || answer.Oldest != oldest || len(answer.Entries) != entries {
			t.Errorf("%v %v, want heights %d to %d and %d entries", answer, err, oldest, height, entries)
		}
	}
	check(3, 4, 2)
	l.decide()
	check(3, 4, 2)
	l.catchUp(3)
	check(3, 5, 2)
	if err := follow.Drop(l.store, history.Name, history.Prefixes()...); err != nil {
		t.Fatal(err)
	}
	check(0, 0, 0)
	l.catchUp(1)
	check(1, 5, 4)
}

// TestBadQueries asks for what cannot be answered.
func TestBadQueries(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.decide(l.transfer("acme/alice", "acme/bob", "acme/usd"), l.transfer("acme/alice", "acme/bob", "acme/usd"))
	l.catchUp(1)
	good := history.Query{Kind: history.Account, Name: "acme/bob", Size: 1}
	answer, err := l.list(good)
	if err != nil || answer.Next == "" {
		t.Fatalf("%v %v", answer, err)
	}
	with := func(change func(*history.Query)) history.Query {
		q := good
		change(&q)
		return q
	}
	for name, c := range map[string]struct {
		query history.Query
		code  ledgerv1.Code
	}{
		"no subject":     {history.Query{}, ledgerv1.Code_CODE_BAD_FIELD},
		"no name":        {with(func(q *history.Query) { q.Name = "" }), ledgerv1.Code_CODE_BAD_NAME},
		"an org's":       {with(func(q *history.Query) { q.Name = "acme" }), ledgerv1.Code_CODE_BAD_NAME},
		"a zero byte":    {with(func(q *history.Query) { q.Name = "acme/bo\x00b" }), ledgerv1.Code_CODE_BAD_NAME},
		"large page":     {with(func(q *history.Query) { q.Size = 1001 }), ledgerv1.Code_CODE_BAD_FIELD},
		"heights":        {with(func(q *history.Query) { q.From, q.To = 2, 1 }), ledgerv1.Code_CODE_BAD_FIELD},
		"page no hex":    {with(func(q *history.Query) { q.Page = "what" }), ledgerv1.Code_CODE_BAD_FIELD},
		"page cut":       {with(func(q *history.Query) { q.Page = answer.Next[:22] }), ledgerv1.Code_CODE_BAD_FIELD},
		"page long":      {with(func(q *history.Query) { q.Page = answer.Next + "00" }), ledgerv1.Code_CODE_BAD_FIELD},
		"page of height": {with(func(q *history.Query) { q.Page = "000000000000000000000001" }), ledgerv1.Code_CODE_BAD_FIELD},
	} {
		if _, err := l.list(c.query); err == nil {
			t.Errorf("%s: no error", name)
		} else if code, _ := tx.CodeOf(err); code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A page that another node gave, which is ahead, begins with the newest here.
	ahead, err := l.list(with(func(q *history.Query) { q.Page = "ffffffffffffffffffffffff" }))
	if err != nil || len(ahead.Entries) != 1 || ahead.Entries[0] != answer.Entries[0] {
		t.Errorf("a page from ahead: %v %v", ahead, err)
	}
}

// TestManySubjects bounds what one transaction leaves.
func TestManySubjects(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	body := &ledgerv1.Body{ChainId: "test-00000000", Nonce: make([]byte, 16)}
	for i := range 10_000 {
		body.Operations = append(body.Operations, &ledgerv1.Operation{Account: "acme/alice", Kind: &ledgerv1.Operation_AssetTransfer{
			AssetTransfer: &assetsv1.Transfer{Asset: "acme/usd", To: fmt.Sprintf("globex/a-%04d", i), Amount: "1"}}})
	}
	unsigned, id, err := tx.Unsigned(body)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := unsigned.MarshalVTStrict()
	if err != nil {
		t.Fatal(err)
	}
	l.decide(transaction{raw, &ledgerv1.TxOutcome{Id: id[:]}})
	writes, err := l.follower().Follow(t.Context(), 1)
	if err != nil || len(writes) != 8192+1 {
		t.Errorf("%d writes: %v", len(writes), err)
	}
}

// TestDamage reads an index whose pages somebody has changed.
func TestDamage(t *testing.T) {
	t.Parallel()
	l := newLedger(t)
	l.decide(l.transfer("acme/alice", "acme/bob", "acme/usd"))
	l.catchUp(1)
	writes, err := l.follower().Follow(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	q := history.Query{Kind: history.Account, Name: "acme/bob"}
	for _, w := range writes {
		for _, value := range [][]byte{{}, {0xff}, {0x85, 0x08}, {2, 0, 0, 0, 0, 0, 0, 0, 0}, append([]byte{0}, w.Value...), make([]byte, 43)} {
			if err := l.store.SetLocal([]state.LocalWrite{{Key: w.Key, Value: value}}, false); err != nil {
				t.Fatal(err)
			}
			answer, err := l.list(q)
			if err == nil && len(answer.Entries) > 1 {
				t.Errorf("key %x with value %x: %v", w.Key, value, answer)
			}
		}
		if err := l.store.SetLocal([]state.LocalWrite{w}, false); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := l.all(q), l.expected(q); !slices.Equal(got, want) {
		t.Errorf("mended: %v, want %v", got, want)
	}
}

// BenchmarkFollow says what a transfer costs in blocks of several sizes, among a thousand accounts of two orgs.
func BenchmarkFollow(b *testing.B) {
	for _, size := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("block of %d", size), func(b *testing.B) {
			l := newLedger(b)
			made := make([]transaction, size)
			for i := range made {
				made[i] = l.transfer(fmt.Sprintf("acme/customer-%d", i*7%1000), fmt.Sprintf("globex/customer-%d", i*11%1000), "acme/usd")
			}
			l.decide(made...)
			follower := l.follower()
			var bytes, keys int
			b.ReportAllocs()
			for b.Loop() {
				writes, err := follower.Follow(b.Context(), 1)
				if err != nil {
					b.Fatal(err)
				}
				bytes, keys = 0, len(writes)
				for _, w := range writes {
					bytes += len(w.Key) + len(w.Value)
				}
			}
			b.ReportMetric(float64(bytes)/float64(size), "B/tx")
			b.ReportMetric(float64(keys)/float64(size), "keys/tx")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*size), "ns/tx")
		})
	}
}

// BenchmarkList reads a page of a thousand.
func BenchmarkList(b *testing.B) {
	l := newLedger(b)
	for range 20 {
		made := make([]transaction, 1000)
		for i := range made {
			made[i] = l.transfer("acme/alice", fmt.Sprintf("globex/customer-%d", i), "acme/usd")
		}
		l.decide(made...)
	}
	l.catchUp(1)
	for name, q := range map[string]history.Query{
		"of one block":   {Kind: history.Account, Name: "acme/alice", Size: 1000},
		"of many blocks": {Kind: history.Account, Name: "globex/customer-500", Size: 1000},
	} {
		b.Run(name, func(b *testing.B) {
			entries := 0
			for b.Loop() {
				answer, err := l.list(q)
				if err != nil {
					b.Fatal(err)
				}
				entries = len(answer.Entries)
			}
			b.ReportMetric(float64(entries), "entries")
		})
	}
}
