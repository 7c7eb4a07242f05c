package pgindex

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	"github.com/althing-ledger/althing/proto/subjects"
	"github.com/althing-ledger/althing/proto/tx"
)

// comparison compares a schema with the blocks it must have come from, row by row.
type comparison struct {
	t    *testing.T
	ctx  context.Context
	conn *pgx.Conn
}

// compare compares the schema althing with blocks from height 1 on.
func compare(t *testing.T, conn *pgx.Conn, blocks []*ledgerv1.Block) {
	t.Helper()
	c := comparison{t, t.Context(), conn}
	var height uint64
	c.one("SELECT height FROM althing.network", &height)
	if height != uint64(len(blocks)) {
		t.Errorf("the schema is at height %d, want %d", height, len(blocks))
	}
	total := map[string]int{"blocks": len(blocks)}
	for _, b := range blocks {
		c.block(b)
		for i, raw := range b.Txs {
			counts := c.transaction(raw, b.Outcomes[i])
			for table, n := range counts {
				total[table] += n
			}
		}
	}
	for _, table := range tables {
		var rows int
		c.one("SELECT count(*) FROM althing."+table.name, &rows)
		if rows != total[table.name] {
			t.Errorf("%s has %d rows, want %d", table.name, rows, total[table.name])
		}
	}
	if t.Failed() {
		t.FailNow()
	}
}

func (c comparison) one(query string, into ...any) {
	c.t.Helper()
	var args []any
	if strings.Contains(query, "$1") {
		args, into = into[:strings.Count(query, "$")], into[strings.Count(query, "$"):]
	}
	if err := c.conn.QueryRow(c.ctx, query, args...).Scan(into...); err != nil {
		c.t.Fatalf("%s %v: %v", query, args, err)
	}
}

func (c comparison) same(what string, got, want any) {
	c.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// printable is what PostgreSQL can keep of a text.
func printable(s string) string { return strings.ReplaceAll(s, "\x00", "\ufffd") }

func (c comparison) block(b *ledgerv1.Block) {
	var at time.Time
	var nanos int64
	var hash, app []byte
	var proposer string
	var count uint32
	c.one("SELECT time, time_unix_nano, hash, app_hash, proposer, tx_count FROM althing.blocks WHERE height = $1",
		b.Height, &at, &nanos, &hash, &app, &proposer, &count)
	want := b.Time.AsTime()
	if nanos != want.UnixNano() || !at.Equal(want.Truncate(time.Microsecond)) || !bytes.Equal(hash, b.Hash) || !bytes.Equal(app, b.AppHash) ||
		proposer != b.Proposer || count != b.TxCount {
		c.t.Errorf("block %d: %v %d %x %x %s %d", b.Height, at, nanos, hash, app, proposer, count)
	}
}

// transaction compares everything of one transaction and returns how many rows each table must have for it.
func (c comparison) transaction(raw []byte, o *ledgerv1.TxOutcome) map[string]int {
	c.t.Helper()
	where := fmt.Sprintf("transaction %d of block %d: ", o.Index, o.Height)
	var id []byte
	var code, size int
	var failed *int32
	var reason, message string
	var payer, memo *string
	var expires *time.Time
	c.one(`SELECT id, code, reason, message, failed_operation, payer, memo, expires_at, size FROM althing.transactions
		WHERE height = $1 AND tx_index = $2`, o.Height, o.Index, &id, &code, &reason, &message, &failed, &payer, &memo, &expires, &size)
	c.same(where+"code", code, int(o.Code))
	c.same(where+"reason", reason, tx.Reason(o.Code))
	c.same(where+"message", message, printable(o.Message))
	c.same(where+"size", size, len(raw))
	c.same(where+"id", fmt.Sprintf("%x", id), fmt.Sprintf("%x", o.Id))
	c.same(where+"has failed operation", failed != nil, o.FailedOperation >= 0)
	counts := map[string]int{"transactions": 1}
	if len(o.Id) == 0 {
		return counts
	}
	envelope, body := new(ledgerv1.Tx), new(ledgerv1.Body)
	if err := proto.Unmarshal(raw, envelope); err != nil {
		c.t.Fatal(err)
	}
	if err := proto.Unmarshal(envelope.Body, body); err != nil {
		c.t.Fatal(err)
	}
	want := body.Payer
	if want == "" {
		want = body.Operations[0].Account
	}
	c.same(where+"payer", *payer, want)
	c.same(where+"memo", *memo, printable(body.Memo))
	c.same(where+"expiry", expires.UnixMicro(), body.ExpiresAt.AsTime().UnixMicro())
	for i, op := range body.Operations {
		var kind, account, text string
		c.one("SELECT kind, account, body::text FROM althing.operations WHERE height = $1 AND tx_index = $2 AND op_index = $3",
			o.Height, o.Index, i, &kind, &account, &text)
		c.same(where+"account", account, op.Account)
		c.message(where+"operation", kind, text, op, "account")
	}
	counts["operations"] = len(body.Operations)
	c.events(where, o, counts)
	c.subjects(where, raw, o, counts)
	return counts
}

func (c comparison) events(where string, o *ledgerv1.TxOutcome, counts map[string]int) {
	c.t.Helper()
	list := new(ledgerv1.EventList)
	if err := proto.Unmarshal(o.Events, list); err != nil {
		c.t.Fatal(err)
	}
	for i, e := range list.Events {
		var kind, text string
		var op uint32
		c.one("SELECT kind, op_index, body::text FROM althing.events WHERE height = $1 AND tx_index = $2 AND event_index = $3",
			o.Height, o.Index, i, &kind, &op, &text)
		c.same(where+"operation of the event", op, e.Operation)
		c.message(where+"event", kind, text, e, "operation")
		switch e.Kind.(type) {
		case *ledgerv1.Event_AssetTransferred, *ledgerv1.Event_AssetHoldReleased:
			counts["postings"] += 2
		case *ledgerv1.Event_AssetMinted, *ledgerv1.Event_AssetBurned, *ledgerv1.Event_AssetHoldOpened, *ledgerv1.Event_AssetHoldCancelled:
			counts["postings"]++
		}
	}
	counts["events"] = len(list.Events)
}

func (c comparison) subjects(where string, raw []byte, o *ledgerv1.TxOutcome, counts map[string]int) {
	c.t.Helper()
	touched, err := subjects.OfTransaction(raw, o)
	if err != nil {
		c.t.Fatal(err)
	}
	var want []string
	for kind, names := range map[string][]string{"org": touched.Orgs, "account": touched.Accounts, "asset": touched.Assets, "record": touched.Records} {
		for _, name := range names {
			want = append(want, kind+" "+name)
		}
	}
	rows, err := c.conn.Query(c.ctx, "SELECT kind || ' ' || name FROM althing.subjects WHERE height = $1 AND tx_index = $2", o.Height, o.Index)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		c.t.Fatal(err)
	}
	slices.Sort(got)
	slices.Sort(want)
	c.same(where+"subjects", got, want)
	counts["subjects"] = len(want)
}

// message compares what is written of an operation or an event with it.
func (c comparison) message(what, kind, text string, m proto.Message, beside string) {
	c.t.Helper()
	reflected := proto.Clone(m).ProtoReflect()
	fd := reflected.Descriptor().Fields().ByName(protoreflect.Name(kind))
	if fd == nil || kind == beside || !reflected.Has(fd) {
		c.t.Errorf("%s: its kind is said to be %q: %v", what, kind, m)
		return
	}
	got := reflected.NewField(fd).Message().Interface()
	if err := protojson.Unmarshal([]byte(text), got); err != nil {
		c.t.Errorf("%s: %v: %s", what, err, text)
		return
	}
	want := reflected.Get(fd).Message().Interface()
	encoded, err := protojson.Marshal(want)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := protojson.Unmarshal(bytes.ReplaceAll(encoded, []byte(`\u0000`), []byte(`\ufffd`)), want); err != nil {
		c.t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		c.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// holdings sums up the postings and compares them with what the ledger has.
func holdings(t *testing.T, conn *pgx.Conn, want map[[2]string][2]*big.Int) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT account, asset, sum(amount)::text, sum(held)::text FROM althing.postings GROUP BY account, asset")
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	var account, asset, amount, held string
	_, err = pgx.ForEachRow(rows, []any{&account, &asset, &amount, &held}, func() error {
		got++
		w, found := want[[2]string{account, asset}]
		if !found || w[0].String() != amount || w[1].String() != held {
			t.Errorf("%s has %s and %s held of %s, want %v", account, amount, held, asset, w)
		}
		return nil
	})
	if err != nil || got != len(want) {
		t.Errorf("%d holdings, want %d: %v", got, len(want), err)
	}
}
