package grpcapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"

	"github.com/althing-ledger/althing/mempool"
	accountsv1 "github.com/althing-ledger/althing/proto/gen/althing/accounts/v1"
	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	genesisv1 "github.com/althing-ledger/althing/proto/gen/althing/genesis/v1"
	keysv1 "github.com/althing-ledger/althing/proto/gen/althing/keys/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/tx"
)

// story is a world in which much happens, and the engine that keeps its blocks.
type story struct {
	*world
	noBlocks
	random *mathrand.Rand

	mu     sync.Mutex
	blocks []Block // from the first
	oldest uint64  // that is kept
	reads  map[uint64]int
}

// newStory seeds what happens.
func newStory(t testing.TB, seed uint64) *story {
	t.Helper()
	s := &story{random: mathrand.New(mathrand.NewPCG(seed, 1)), oldest: 1, reads: make(map[uint64]int)}
	s.world = newWorldOf(t, mempool.Config{}, func(doc *genesisv1.Genesis) {
		doc.Orgs = append(doc.Orgs, "globex")
		list := doc.Accounts[0].Keys
		doc.Accounts[0].Roles = append(doc.Accounts[0].Roles, "writer")
		doc.Accounts = append(doc.Accounts,
			&accountsv1.Account{Name: "acme/alice", Threshold: 1, Keys: list, Roles: []string{"payer"}},
			&accountsv1.Account{Name: "globex/admin", Threshold: 1, Keys: list, Roles: []string{"admin"}},
			&accountsv1.Account{Name: "globex/treasury", Threshold: 1, Keys: list, Roles: []string{"payer"}})
	})
	s.blocks = append(s.blocks, s.header(1))
	s.happen(s.do1(
		&ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: "acme/usd"}},
		&ledgerv1.Operation_AssetCreate{AssetCreate: &assetsv1.Create{Asset: "acme/eur"}},
		&ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: "acme/usd", To: admin, Amount: "1000000"}},
		&ledgerv1.Operation_RecordSetCollection{RecordSetCollection: &recordsv1.SetCollection{
			Collection: "acme/invoices", Writers: []*recordsv1.Grant{{Org: "acme", Role: "writer"}},
		}}))
	return s
}

func (s *story) header(height uint64, txs ...[]byte) Block {
	return Block{Time: blockTime(height), Hash: []byte(fmt.Sprint(height)), Proposer: "acme-1", Txs: txs}
}

// do1 returns a transaction of the admin with several operations.
func (s *story) do1(kinds ...any) []byte {
	s.t.Helper()
	var ops []*ledgerv1.Operation
	for _, kind := range kinds {
		op := &ledgerv1.Operation{Account: admin}
		switch k := kind.(type) {
		case *ledgerv1.Operation_AssetCreate:
			op.Kind = k
		case *ledgerv1.Operation_AssetMint:
			op.Kind = k
		case *ledgerv1.Operation_AssetTransfer:
			op.Kind = k
		case *ledgerv1.Operation_AccountSetRoles:
			op.Kind = k
		case *ledgerv1.Operation_RecordSetCollection:
			op.Kind = k
		case *ledgerv1.Operation_RecordPut:
			op.Kind = k
		default:
			s.t.Fatalf("%T", kind)
		}
		ops = append(ops, op)
	}
	body, err := tx.NewBody(s.chainID, blockTime(s.height).Add(time.Minute), rand.Reader, ops...)
	if err != nil {
		s.t.Fatal(err)
	}
	unsigned, _, err := tx.Unsigned(body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err = tx.AddSignature(unsigned, s.chainID, admin, s.key); err != nil {
		s.t.Fatal(err)
	}
	raw, err := unsigned.MarshalVTStrict()
	if err != nil {
		s.t.Fatal(err)
	}
	return raw
}

// anything returns an operation's kind.
func (s *story) anything() any {
	accounts := []string{"acme/alice", "globex/treasury"}
	to := accounts[s.random.IntN(len(accounts))]
	asset := []string{"acme/usd", "acme/usd", "acme/eur"}[s.random.IntN(3)] // there is no eur to transfer
	switch s.random.IntN(6) {
	case 0:
		return &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: "acme/usd", To: to, Amount: "7"}}
	case 1, 2:
		return &ledgerv1.Operation_AssetTransfer{AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: "1"}}
	case 3:
		return &ledgerv1.Operation_AccountSetRoles{AccountSetRoles: &accountsv1.SetRoles{Name: "acme/alice", Roles: []string{"payer"}}}
	default:
		return &ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record:      fmt.Sprintf("acme/invoices/%d-%d", 2026+s.random.IntN(2), s.random.IntN(3)),
			ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: []byte("paid")},
		}}
	}
}

// happen makes a block.
func (s *story) happen(txs ...[]byte) {
	s.t.Helper()
	s.mu.Lock()
	s.blocks = append(s.blocks, s.header(s.height+1, txs...))
	s.mu.Unlock()
	s.decide(s.height+1, txs...)
}

// tell makes so many blocks, some of them empty.
func (s *story) tell(blocks int) {
	s.t.Helper()
	for range blocks {
		var txs [][]byte
		for range s.random.IntN(5) {
			var ops []any
			for range 1 + s.random.IntN(3) {
				ops = append(ops, s.anything())
			}
			txs = append(txs, s.do1(ops...))
		}
		if s.random.IntN(10) == 0 {
			txs = append(txs, []byte("this is no transaction"))
		}
		s.happen(txs...)
	}
}

func (s *story) Status() EngineStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return EngineStatus{Following: true, OldestBlock: s.oldest}
}

func (s *story) Block(height uint64) (Block, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reads[height]++
	switch {
	case height < s.oldest:
		return Block{}, ErrBlockPruned
	case height > uint64(len(s.blocks)):
		return Block{}, ErrBlockFuture
	}
	return s.blocks[height-1], nil
}

// expected is what a watch must show up to a height, told from the blocks one by one without any of the code under test.
func (s *story) expected(detail ledgerv1.Detail, f *ledgerv1.Filter, from, to uint64) []string {
	s.t.Helper()
	var all []string
	for height := from; height <= to; height++ {
		s.mu.Lock()
		txs := s.blocks[height-1].Txs
		s.mu.Unlock()
		outcomes, err := s.app.Outcomes(height)
		if err != nil {
			s.t.Fatal(err)
		}
		passed := ""
		for i, raw := range txs {
			list := new(ledgerv1.EventList)
			if err := proto.Unmarshal(outcomes[i].Events, list); err != nil {
				s.t.Fatal(err)
			}
			envelope, body := new(ledgerv1.Tx), new(ledgerv1.Body)
			if len(outcomes[i].Id) > 0 {
				if err := errors.Join(proto.Unmarshal(raw, envelope), proto.Unmarshal(envelope.Body, body)); err != nil {
					s.t.Fatal(err)
				}
			}
			kinds := []string{}
			for j, e := range list.Events {
				own := append(kindsIn(e), kindsIn(body.Operations[e.Operation])...)
				kinds = append(kinds, kindsIn(e)...)
				if detail == ledgerv1.Detail_DETAIL_EVENTS && lets(f, own, e) {
					all = append(all, fmt.Sprintf("%d.%d.%d %x %v", height, i, j, outcomes[i].Id, kindsIn(e)))
				}
			}
			for _, op := range body.Operations {
				kinds = append(kinds, kindsIn(op)...)
			}
			if !lets(f, kinds, body, envelope, list) {
				continue
			}
			passed += fmt.Sprintf(" %x", outcomes[i].Id)
			if detail == ledgerv1.Detail_DETAIL_TRANSACTIONS {
				all = append(all, fmt.Sprintf("%d.%d %x", height, i, outcomes[i].Id))
			}
		}
		if detail == ledgerv1.Detail_DETAIL_UNSPECIFIED && (f == nil || passed != "") {
			all = append(all, fmt.Sprintf("%d%s", height, passed))
		}
	}
	return all
}

// kindsIn returns the kind of an operation or an event.
func kindsIn(m proto.Message) []string {
	group := m.ProtoReflect().Descriptor().Oneofs().ByName("kind")
	return []string{string(m.ProtoReflect().WhichOneof(group).Name())}
}

// lets says whether a filter lets pass what has these kinds and the texts of these messages: in this story every text that
// looks like the name of an account, an asset or a record is one.
func lets(f *ledgerv1.Filter, kinds []string, messages ...proto.Message) bool {
	if f == nil {
		return true
	}
	var texts []string
	for _, m := range messages {
		_ = protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
			if text, is := p.Index(-1).Value.Interface().(string); is && strings.Contains(text, "/") {
				texts = append(texts, text)
			}
			return nil
		})
	}
	fits := func(wanted []string, fit func(w, text string) bool, texts []string) bool {
		return len(wanted) == 0 || slices.ContainsFunc(wanted, func(w string) bool {
			return slices.ContainsFunc(texts, func(text string) bool { return fit(w, text) })
		})
	}
	same := func(w, text string) bool { return w == text }
	return fits(f.Orgs, func(w, text string) bool { return strings.HasPrefix(text, w+"/") }, texts) &&
		fits(f.Accounts, same, texts) && fits(f.Assets, same, texts) && fits(f.Kinds, same, kinds) &&
		fits(f.RecordPrefixes, func(w, text string) bool { return strings.Count(text, "/") == 2 && strings.HasPrefix(text, w) }, texts)
}

// shown says what a watch has sent as expected does.
func shown(r *ledgerv1.WatchResponse) string {
	switch item := r.Item.(type) {
	case *ledgerv1.WatchResponse_Block:
		text := fmt.Sprint(item.Block.Height)
		for _, o := range item.Block.Outcomes {
			text += fmt.Sprintf(" %x", o.Id)
		}
		return text
	case *ledgerv1.WatchResponse_Transaction:
		o := item.Transaction.Outcome
		return fmt.Sprintf("%d.%d %x", o.Height, o.Index, o.Id)
	case *ledgerv1.WatchResponse_Event:
		e := item.Event
		return fmt.Sprintf("%d.%d.%d %x %v", e.Height, e.TxIndex, e.EventIndex, e.TxId, kindsIn(e.Event))
	default:
		return fmt.Sprint(r)
	}
}

func (s *story) client() ledgerv1.LedgerServiceClient {
	return ledgerv1.NewLedgerServiceClient(dial(s.t, s.serve(func(cfg *Config) { cfg.Engine = s })))
}

// receive takes so many items, and no heartbeats.
func receive(t testing.TB, stream ledgerv1.LedgerService_WatchClient, count int) (items []*ledgerv1.WatchResponse) {
	t.Helper()
	for len(items) < count {
		r, err := stream.Recv()
		if err != nil {
			t.Fatalf("after %d items: %v", len(items), err)
		}
		if r.GetHeartbeat() == nil {
			items = append(items, r)
		}
	}
	return items
}

// someFilter draws a filter; one in four lets everything pass.
func someFilter(r *mathrand.Rand) *ledgerv1.Filter {
	some := func(list ...string) []string {
		if r.IntN(3) > 0 {
			return nil
		}
		return []string{list[r.IntN(len(list))], list[r.IntN(len(list))]}
	}
	if r.IntN(4) == 0 {
		return nil
	}
	f := &ledgerv1.Filter{
		Orgs: some("acme", "globex", "initech"), Accounts: some(admin, "acme/alice", "globex/treasury", "acme/nobody"),
		Assets: some("acme/usd", "acme/eur"), RecordPrefixes: some("acme/invoices/2026-", "acme/", "acme/invoices/2027-1", "globex"),
		Kinds: some("asset_transfer", "asset_transferred", "record_put", "account_roles_set", "asset_minted", "node_add"),
	}
	if proto.Size(f) == 0 {
		return nil
	}
	return f
}

// TestWatchFilters watches with many filters, from many places, in all details, and compares with what is in the blocks.
func TestWatchFilters(t *testing.T) {
	t.Parallel()
	seed := mathrand.Uint64()
	t.Logf("seed %d", seed)
	s := newStory(t, seed)
	s.tell(60)
	client := s.client()
	passed := 0
	for range 150 {
		detail := ledgerv1.Detail(s.random.IntN(3))
		filter := someFilter(s.random)
		want := s.expected(detail, filter, 1, s.height)
		passed += len(want)
		ctx, cancel := context.WithCancel(t.Context())
		stream, err := client.Watch(ctx, &ledgerv1.WatchRequest{FromHeight: 1, Detail: detail, Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		items := receive(t, stream, len(want))
		for i, item := range items {
			if shown(item) != want[i] {
				t.Fatalf("%v of %v: item %d is %s, want %s", detail, filter, i, shown(item), want[i])
			}
		}
		cancel()
		if len(items) < 2 {
			continue
		}
		// From the cursor of any item the rest follows.
		at := s.random.IntN(len(items) - 1)
		ctx, cancel = context.WithCancel(t.Context())
		stream, err = client.Watch(ctx, &ledgerv1.WatchRequest{FromHeight: 99, Cursor: items[at].Cursor, Detail: detail, Filter: filter})
		if err != nil {
			t.Fatal(err)
		}
		for i, item := range receive(t, stream, len(want)-at-1) {
			if shown(item) != want[at+1+i] {
				t.Fatalf("%v of %v from %s: %s, want %s", detail, filter, items[at].Cursor, shown(item), want[at+1+i])
			}
		}
		cancel()
	}
	if passed < 1000 {
		t.Errorf("only %d items passed: the test looks at little", passed)
	}
}

// TestWatchRefuses asks for what makes no sense.
func TestWatchRefuses(t *testing.T) {
	t.Parallel()
	s := newStory(t, 1)
	s.tell(5)
	client := s.client()
	for name, c := range map[string]struct {
		request *ledgerv1.WatchRequest
		reason  string
		code    codes.Code
	}{
		"a name":                      {&ledgerv1.WatchRequest{Filter: &ledgerv1.Filter{Accounts: []string{"acme"}}}, "BAD_NAME", codes.InvalidArgument},
		"a kind":                      {&ledgerv1.WatchRequest{Filter: &ledgerv1.Filter{Kinds: []string{"asset.transfer"}}}, "BAD_FIELD", codes.InvalidArgument},
		"a prefix":                    {&ledgerv1.WatchRequest{Filter: &ledgerv1.Filter{RecordPrefixes: []string{""}}}, "BAD_FIELD", codes.InvalidArgument},
		"many values":                 {&ledgerv1.WatchRequest{Filter: &ledgerv1.Filter{Orgs: slices.Repeat([]string{"acme"}, 65)}}, "BAD_FIELD", codes.InvalidArgument},
		"a detail":                    {&ledgerv1.WatchRequest{Detail: 3}, "BAD_FIELD", codes.InvalidArgument},
		"a short heartbeat":           {&ledgerv1.WatchRequest{HeartbeatMs: 999}, "BAD_FIELD", codes.InvalidArgument},
		"a long heartbeat":            {&ledgerv1.WatchRequest{HeartbeatMs: 300_001}, "BAD_FIELD", codes.InvalidArgument},
		"a cursor":                    {&ledgerv1.WatchRequest{Cursor: "1.x"}, "BAD_FIELD", codes.InvalidArgument},
		"a cursor of another detail":  {&ledgerv1.WatchRequest{Cursor: "2.1"}, "BAD_FIELD", codes.InvalidArgument},
		"a cursor of events":          {&ledgerv1.WatchRequest{Cursor: "2.0.1", Detail: ledgerv1.Detail_DETAIL_TRANSACTIONS}, "BAD_FIELD", codes.InvalidArgument},
		"a cursor behind a block":     {&ledgerv1.WatchRequest{Cursor: "2.9", Detail: ledgerv1.Detail_DETAIL_EVENTS}, "BAD_FIELD", codes.InvalidArgument},
		"a cursor behind events":      {&ledgerv1.WatchRequest{Cursor: "2.0.9", Detail: ledgerv1.Detail_DETAIL_EVENTS}, "BAD_FIELD", codes.InvalidArgument},
		"a cursor behind the ledger":  {&ledgerv1.WatchRequest{Cursor: "99"}, "FUTURE", codes.OutOfRange},
		"a height behind the ledger":  {&ledgerv1.WatchRequest{FromHeight: 9}, "FUTURE", codes.OutOfRange},
		"a proof of events":           {&ledgerv1.WatchRequest{Prove: true, Detail: ledgerv1.Detail_DETAIL_EVENTS}, "BAD_FIELD", codes.InvalidArgument},
		"a proof of a part of blocks": {&ledgerv1.WatchRequest{Prove: true, Filter: &ledgerv1.Filter{Orgs: []string{"acme"}}}, "BAD_FIELD", codes.InvalidArgument},
	} {
		stream, err := client.Watch(t.Context(), c.request)
		if err == nil {
			_, err = stream.Recv()
		}
		if reason, _ := whyOf(err); status.Code(err) != c.code || reason != c.reason {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWatchPruned asks for a block that is no longer kept, and learns which one is.
func TestWatchPruned(t *testing.T) {
	t.Parallel()
	s := newStory(t, 1)
	s.tell(5)
	s.oldest = 4
	stream, err := s.client().Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 2})
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	oldest := ""
	for _, detail := range status.Convert(err).Details() {
		if info, is := detail.(*errdetails.ErrorInfo); is && info.Reason == "PRUNED" {
			oldest = info.Metadata["oldest_height"]
		}
	}
	if status.Code(err) != codes.FailedPrecondition || oldest != "4" {
		t.Errorf("oldest %q: %v", oldest, err)
	}
}

// TestHeartbeats watches what does not happen: heartbeats say how far the watch is, in the middle of a block too.
func TestHeartbeats(t *testing.T) {
	t.Parallel()
	s := newStory(t, 1)
	s.tell(3)
	client := s.client()
	for name, c := range map[string]struct {
		request *ledgerv1.WatchRequest
		height  uint64
		cursor  string
	}{
		"the next block":   {&ledgerv1.WatchRequest{HeartbeatMs: 1000}, 5, "6"},
		"nothing passes":   {&ledgerv1.WatchRequest{HeartbeatMs: 1000, FromHeight: 1, Filter: &ledgerv1.Filter{Orgs: []string{"initech"}}}, 5, "6"},
		"inside of a next": {&ledgerv1.WatchRequest{HeartbeatMs: 1000, Cursor: "6.3", Detail: ledgerv1.Detail_DETAIL_EVENTS}, 5, "6.3"},
	} {
		stream, err := client.Watch(t.Context(), c.request)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			r, err := stream.Recv()
			if err != nil || r.GetHeartbeat().GetHeight() != c.height || r.Cursor != c.cursor {
				t.Errorf("%s: %v %v", name, r, err)
			}
		}
	}
	if count, lag := s.server.Watchers(); count != 3 || lag != 0 {
		t.Errorf("%d watchers, %d blocks behind", count, lag)
	}
}

// TestSlowReader does not read while blocks with much in them come: they are made as fast as ever, the lag is known, and
// nothing is lost.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	s := newStory(t, 1)
	client := s.client()
	stream, err := client.Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 1, Detail: ledgerv1.Detail_DETAIL_TRANSACTIONS})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, stream, 1)
	data := make([]byte, 60<<10)
	for i := range 64 {
		s.happen(s.do1(&ledgerv1.Operation_RecordPut{RecordPut: &recordsv1.Put{
			Record: fmt.Sprintf("acme/invoices/%d", i), ContentType: "text/plain", Content: &recordsv1.Put_Data{Data: data},
		}}))
	}
	if count, lag := s.server.Watchers(); count != 1 || lag < 5 {
		t.Errorf("%d watchers, %d blocks behind", count, lag)
	}
	want := s.expected(ledgerv1.Detail_DETAIL_TRANSACTIONS, nil, 3, s.height)
	for i, item := range receive(t, stream, len(want)) {
		if shown(item) != want[i] {
			t.Fatalf("%s, want %s", shown(item), want[i])
		}
	}
	for {
		if _, lag := s.server.Watchers(); lag == 0 || t.Context().Err() != nil {
			break
		}
	}
}

// TestBlocksAreShared has many watch the newest blocks: each block is read once.
func TestBlocksAreShared(t *testing.T) {
	t.Parallel()
	s := newStory(t, 1)
	client := s.client()
	var group sync.WaitGroup
	const watchers, blocks = 40, 30
	for i := range watchers {
		detail := ledgerv1.Detail(i % 3)
		stream, err := client.Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 2, Detail: detail})
		if err != nil {
			t.Fatal(err)
		}
		receive(t, stream, 1)
		group.Go(func() {
			for {
				r, err := stream.Recv()
				if err != nil {
					t.Errorf("%v", err)
					return
				}
				if b := r.GetBlock(); b.GetHeight() == 2+blocks || strings.HasPrefix(r.Cursor, fmt.Sprint(2+blocks)+".") {
					return
				}
			}
		})
	}
	s.tell(blocks - 1)
	s.happen(s.do1(s.anything(), &ledgerv1.Operation_AssetMint{AssetMint: &assetsv1.Mint{Asset: "acme/usd", To: admin, Amount: "1"}}))
	group.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for height := uint64(3); height <= 2+blocks; height++ {
		// The state after the newest block is asked of the next one only once that is there.
		if s.reads[height] > 2 {
			t.Errorf("block %d was read %d times", height, s.reads[height])
		}
	}
}

// TestFeedBounds keeps the newest blocks within its bounds, and forgets an error.
func TestFeedBounds(t *testing.T) {
	t.Parallel()
	f := newFeed()
	of := func(height uint64, size int) func() (*ledgerv1.Block, error) {
		return func() (*ledgerv1.Block, error) {
			return &ledgerv1.Block{Height: height, TxCount: 1, Txs: [][]byte{make([]byte, size)}, Outcomes: []*ledgerv1.TxOutcome{{}}}, nil
		}
	}
	broken := errors.New("broken")
	if _, err := f.block(1, func() (*ledgerv1.Block, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	for height := uint64(1); height <= 100; height++ {
		if b, err := f.block(height, of(height, 1<<20)); err != nil || b.Height != height {
			t.Fatalf("%v %v", b, err)
		}
	}
	if f.bytes > feedBytes || f.find(100) == nil || f.find(1) != nil || len(f.kept) < 20 {
		t.Errorf("%d blocks, %d bytes", len(f.kept), f.bytes)
	}
	if b, err := f.block(1, of(1, 1<<20)); err != nil || b.Height != 1 || f.find(1) != nil || f.find(100) == nil {
		t.Errorf("an old block: %v %v", b, err)
	}
	for height := uint64(1000); height < 4000; height++ {
		if _, err := f.block(height, of(height, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if len(f.kept) != feedBlocks || f.find(3999) == nil {
		t.Errorf("%d small blocks", len(f.kept))
	}
}

// TestWatchesEndWithTheNode stops a server: its watches end at once, with an error on which a client goes on elsewhere.
func TestWatchesEndWithTheNode(t *testing.T) {
	t.Parallel()
	s := newStory(t, 1)
	client := s.client()
	stream, err := client.Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 1})
	if err != nil {
		t.Fatal(err)
	}
	receive(t, stream, 2)
	s.server.feed.stop()
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable {
		t.Errorf("%v", err)
	}
	late, err := client.Watch(t.Context(), &ledgerv1.WatchRequest{FromHeight: 9})
	if err == nil {
		_, err = late.Recv()
	}
	if status.Code(err) != codes.OutOfRange && status.Code(err) != codes.Unavailable {
		t.Errorf("one that comes late: %v", err)
	}
}

// TestFilteredWatchOfMembers takes the right to read from a watch through which nothing passes.
func TestFilteredWatchOfMembers(t *testing.T) {
	t.Parallel()
	c := newClosed(t)
	ctx := metadata.NewOutgoingContext(t.Context(), metadata.Pairs("authorization", "Bearer "+c.token(asIs)))
	stream, err := ledgerv1.NewLedgerServiceClient(c.conn).Watch(ctx, &ledgerv1.WatchRequest{
		FromHeight: 1, Detail: ledgerv1.Detail_DETAIL_EVENTS, Filter: &ledgerv1.Filter{Orgs: []string{"initech"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	c.decide(2)
	c.do(&ledgerv1.Operation{Kind: &ledgerv1.Operation_AccountSetTokenKeys{
		AccountSetTokenKeys: &accountsv1.SetTokenKeys{Name: auditor, TokenKeys: []*keysv1.PublicKey{wireKey(generate(t))}},
	}})
	_, err = stream.Recv()
	if reason, _ := whyOf(err); reason != "TOKEN_INVALID" || errors.Is(err, io.EOF) {
		t.Errorf("without the key: %v", err)
	}
}
