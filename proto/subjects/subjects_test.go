package subjects

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protopath"
	"google.golang.org/protobuf/reflect/protorange"
	"google.golang.org/protobuf/reflect/protoreflect"

	assetsv1 "github.com/althing-ledger/althing/proto/gen/althing/assets/v1"
	ledgerv1 "github.com/althing-ledger/althing/proto/gen/althing/ledger/v1"
	recordsv1 "github.com/althing-ledger/althing/proto/gen/althing/records/v1"
	"github.com/althing-ledger/althing/proto/names"
)

// texts calls f with every text that can stand in a message.
func texts(d protoreflect.MessageDescriptor, seen map[protoreflect.FullName]bool, f func(protoreflect.FieldDescriptor)) {
	if seen[d.FullName()] {
		return
	}
	seen[d.FullName()] = true
	for i := range d.Fields().Len() {
		switch fd := d.Fields().Get(i); fd.Kind() {
		case protoreflect.MessageKind:
			texts(fd.Message(), seen, f)
		case protoreflect.StringKind:
			f(fd)
		}
	}
}

// TestEveryFieldIsListed fails for a text of an operation or an event of which nobody has said what it names, for one that
// is listed as something other than its name says, and for a line of the table that stands for nothing.
func TestEveryFieldIsListed(t *testing.T) {
	t.Parallel()
	usual := map[protoreflect.Name]what{
		"account": anAccount, "payer": anAccount, "from": anAccount, "to": anAccount, "arbiter": anAccount, "writer": anAccount,
		"cosigner": anAccount, "asset": anAsset, "org": anOrg, "proposers": anOrg, "record": aRecord, "collection": aCollection,
		"amount": nothing, "roles": nothing, "reason": nothing, "title": nothing, "memo": nothing,
	}
	seen, used := map[protoreflect.FullName]bool{}, map[protoreflect.FullName]bool{}
	for _, m := range []proto.Message{&ledgerv1.Tx{}, &ledgerv1.Body{}, &ledgerv1.EventList{}} {
		texts(m.ProtoReflect().Descriptor(), seen, func(fd protoreflect.FieldDescriptor) {
			used[fd.FullName()] = true
			if named[fd.FullName()] == unlisted {
				t.Errorf("what does %s name? Say so in fields.go", fd.FullName())
			}
			if want, is := usual[fd.Name()]; is && named[fd.FullName()] != want {
				t.Errorf("%s is listed as %d, its name says %d", fd.FullName(), named[fd.FullName()], want)
			}
		})
	}
	for name := range named {
		if !used[name] {
			t.Errorf("there is no %s", name)
		}
	}
	for _, kind := range []string{"asset_transfer", "asset_transferred", "proposal_create", "charter_set"} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("%s is no kind", kind)
		}
	}
}

var pool = map[what][]string{
	nothing:     {"", "acme", "acme/usd", "12"},
	anOrg:       {"acme", "globex", "initech"},
	anAccount:   {"acme/alice", "acme/bob", "globex/treasury", "umbrella/admin"},
	anAsset:     {"acme/usd", "globex/eur"},
	aCollection: {"acme/invoices", "globex/orders"},
	aRecord:     {"acme/invoices/2026-001", "acme/invoices/2026-002", "globex/orders/1"},
}

// fill puts random values into every field of a message, one of each oneof, to a depth.
func fill(r *rand.Rand, m protoreflect.Message, depth int) {
	d := m.Descriptor()
	value := func(fd protoreflect.FieldDescriptor, into func() protoreflect.Message) protoreflect.Value {
		switch fd.Kind() {
		case protoreflect.MessageKind:
			sub := into()
			fill(r, sub, depth-1)
			return protoreflect.ValueOfMessage(sub)
		case protoreflect.StringKind:
			choice := pool[named[fd.FullName()]]
			return protoreflect.ValueOfString(choice[r.IntN(len(choice))])
		case protoreflect.BytesKind:
			return protoreflect.ValueOfBytes([]byte("acme/alice"))
		default:
			return fd.Default()
		}
	}
	for i := range d.Fields().Len() {
		fd := d.Fields().Get(i)
		if group := fd.ContainingOneof(); group != nil && group.Fields().Get(r.IntN(group.Fields().Len())) != fd {
			continue
		}
		switch {
		case depth == 0 || fd.FullName() == body:
		case fd.IsList():
			list := m.Mutable(fd).List()
			for range r.IntN(3) {
				list.Append(value(fd, func() protoreflect.Message { return list.NewElement().Message() }))
			}
		default:
			m.Set(fd, value(fd, func() protoreflect.Message { return m.NewField(fd).Message() }))
		}
	}
}

// naive collects the names in a decoded message.
func naive(t *testing.T, into *Set, kindsOf protoreflect.FullName, m proto.Message) {
	t.Helper()
	err := protorange.Range(m.ProtoReflect(), func(p protopath.Values) error {
		at := p.Index(-1)
		var fd protoreflect.FieldDescriptor
		switch step := at.Step; step.Kind() {
		case protopath.FieldAccessStep:
			fd = step.FieldDescriptor()
		case protopath.ListIndexStep:
			fd = p.Index(-2).Step.FieldDescriptor()
		default:
			return nil
		}
		if group := fd.ContainingOneof(); group != nil && group.Name() == "kind" && group.Parent().FullName() == kindsOf {
			into.Kinds = append(into.Kinds, string(fd.Name()))
		}
		text, is := at.Value.Interface().(string)
		if !is {
			return nil
		}
		org, _, _ := strings.Cut(text, "/")
		switch named[fd.FullName()] {
		case anOrg, aCollection:
		case anAccount:
			into.Accounts = append(into.Accounts, text)
		case anAsset:
			into.Assets = append(into.Assets, text)
		case aRecord:
			into.Records = append(into.Records, text)
		default:
			return nil
		}
		into.Orgs = append(into.Orgs, org)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (s Set) canonical() string {
	for _, list := range []*[]string{&s.Orgs, &s.Accounts, &s.Assets, &s.Records, &s.Kinds} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return fmt.Sprint(s)
}

func encode(t testing.TB, m interface{ MarshalVTStrict() ([]byte, error) }) []byte {
	t.Helper()
	raw, err := m.MarshalVTStrict()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestEveryKind fills every kind of operation and of event with names and finds the same ones as a walk through the decoded
// messages does.
func TestEveryKind(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	operation, event := (&ledgerv1.Operation{}).ProtoReflect(), (&ledgerv1.Event{}).ProtoReflect()
	operations, events := operation.Descriptor().Oneofs().ByName("kind").Fields(), event.Descriptor().Oneofs().ByName("kind").Fields()
	one := func(of protoreflect.Message, fd protoreflect.FieldDescriptor) protoreflect.Message {
		m := of.New()
		fill(r, m, 5)
		sub := m.NewField(fd).Message()
		fill(r, sub, 5)
		m.Set(fd, protoreflect.ValueOfMessage(sub))
		return m
	}
	for round := range 200 {
		body, list := new(ledgerv1.Body), new(ledgerv1.EventList)
		fill(r, body.ProtoReflect(), 1)
		body.Operations = nil
		for i := range operations.Len() {
			if round < 2 || r.IntN(8) == 0 {
				body.Operations = append(body.Operations, one(operation, operations.Get(i)).Interface().(*ledgerv1.Operation))
			}
		}
		envelope := &ledgerv1.Tx{Body: encode(t, body), Signatures: []*ledgerv1.Signature{{Account: "wayne/bruce"}}}
		for i := range events.Len() {
			if round < 2 || r.IntN(8) == 0 {
				list.Events = append(list.Events, one(event, events.Get(i)).Interface().(*ledgerv1.Event))
			}
		}
		var want Set
		naive(t, &want, operation.Descriptor().FullName(), body)
		naive(t, &want, "", envelope)
		naive(t, &want, "", list)
		got, err := OfTransaction(encode(t, envelope), &ledgerv1.TxOutcome{Id: []byte{1}, Events: encode(t, list)})
		if err != nil || fmt.Sprint(got) != want.canonical() {
			t.Fatalf("%v\ngot  %v %v\nwant %v", body, got, err, want.canonical())
		}
		for _, e := range list.Events {
			var want Set
			naive(t, &want, event.Descriptor().FullName(), e)
			if got := OfEvent(e); fmt.Sprint(got) != want.canonical() {
				t.Fatalf("%v\ngot  %v\nwant %v", e, got, want.canonical())
			}
		}
		byOperation, err := KindsOf(encode(t, envelope))
		if err != nil || len(byOperation) != len(body.Operations) {
			t.Fatalf("kinds of %d operations: %v %v", len(body.Operations), byOperation, err)
		}
		for i, op := range body.Operations {
			var want Set
			naive(t, &want, operation.Descriptor().FullName(), op)
			if fmt.Sprint(byOperation[i]) != fmt.Sprint(want.Kinds) {
				t.Fatalf("kinds of %v: %v", op, byOperation[i])
			}
		}
	}
}

func transfer(account, asset, to string) *ledgerv1.Operation {
	return &ledgerv1.Operation{Account: account, Kind: &ledgerv1.Operation_AssetTransfer{
		AssetTransfer: &assetsv1.Transfer{Asset: asset, To: to, Amount: "1"},
	}}
}

func TestOfTransaction(t *testing.T) {
	t.Parallel()
	raw := func(ops ...*ledgerv1.Operation) []byte {
		return encode(t, &ledgerv1.Tx{
			Body:       encode(t, &ledgerv1.Body{Payer: "acme/purse", Operations: ops}),
			Signatures: []*ledgerv1.Signature{{Account: "acme/alice"}, {Account: "acme/purse"}},
		})
	}
	put := &ledgerv1.Operation{Account: "acme/alice", Kind: &ledgerv1.Operation_RecordPut{
		RecordPut: &recordsv1.Put{Record: "globex/orders/Ä", Cosigner: "globex/carol"}, // no name of a record
	}}
	proposal := &ledgerv1.Operation{Account: "acme/alice", Kind: &ledgerv1.Operation_ProposalCreate{ProposalCreate: &ledgerv1.Propose{
		Operations: []*ledgerv1.Operation{transfer("", "initech/gold", "umbrella/bob")},
	}}}
	got, err := OfTransaction(raw(transfer("acme/alice", "acme/usd", "globex/bob"), put, proposal), nil)
	const want = "{[acme globex initech umbrella] [acme/alice acme/purse globex/bob globex/carol umbrella/bob] " +
		"[acme/usd initech/gold] [] [asset_transfer proposal_create record_put]}"
	if err != nil || fmt.Sprint(got) != want {
		t.Errorf("%v %v", got, err)
	}
	if got, err := OfTransaction(raw(put), &ledgerv1.TxOutcome{}); err != nil || fmt.Sprint(got) != fmt.Sprint(Set{}) {
		t.Errorf("of bytes that were refused: %v %v", got, err)
	}
	if _, err := OfTransaction([]byte{0x0a, 0x05, 1}, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("of bytes that end early: %v", err)
	}
	if _, err := OfTransaction(raw(put), &ledgerv1.TxOutcome{Id: []byte{1}, Events: []byte{0xff}}); !errors.Is(err, ErrMalformed) {
		t.Errorf("with events that are none: %v", err)
	}
}

// TestBounds nests proposals deeper than any transaction may, and has more names than one may.
func TestBounds(t *testing.T) {
	t.Parallel()
	inner := []byte{}
	for range 100_000 {
		propose := protowire.AppendBytes(protowire.AppendTag(nil, 2, protowire.BytesType), inner)
		inner = protowire.AppendBytes(protowire.AppendTag(nil, 50, protowire.BytesType), propose)
		if len(inner) > 1<<16 {
			break
		}
	}
	wrap := func(operations []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), operations)
	}
	operation := protowire.AppendBytes(protowire.AppendTag(nil, 6, protowire.BytesType), inner)
	if _, err := OfTransaction(wrap(operation), nil); !errors.Is(err, ErrTooMuch) {
		t.Errorf("nested: %v", err)
	}
	many := []byte(strings.Repeat("\x32\x00", maxParts+1))
	if _, err := OfTransaction(wrap(many), nil); !errors.Is(err, ErrTooMuch) {
		t.Errorf("many: %v", err)
	}
}

// FuzzOfTransaction holds what is found in junk against the rules for names.
func FuzzOfTransaction(f *testing.F) {
	f.Add(encode(f, &ledgerv1.Tx{Body: encode(f, &ledgerv1.Body{Operations: []*ledgerv1.Operation{transfer("acme/a1", "acme/usd", "acme/b2")}})}), []byte{})
	f.Fuzz(func(t *testing.T, raw, events []byte) {
		got, err := OfTransaction(raw, &ledgerv1.TxOutcome{Id: []byte{1}, Events: events})
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooMuch) {
				t.Fatal(err)
			}
			return
		}
		for _, list := range [][]string{got.Orgs, got.Accounts, got.Assets, got.Records, got.Kinds} {
			if !slices.IsSorted(list) || len(slices.Compact(slices.Clone(list))) != len(list) {
				t.Fatalf("%v", list)
			}
		}
		for _, org := range got.Orgs {
			if names.Org(org) != nil {
				t.Fatalf("org %q", org)
			}
		}
		if _, err := KindsOf(raw); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNewFilter(t *testing.T) {
	t.Parallel()
	for _, good := range []*ledgerv1.Filter{
		nil, {}, {Orgs: []string{"acme"}}, {Accounts: []string{"acme/alice"}}, {Assets: []string{"acme/usd"}},
		{RecordPrefixes: []string{"a", "ac", "acme", "acme/", "acme/i", "acme/invoices", "acme/invoices/", "acme/invoices/A", "acme/invoices/2026-"}},
		{Kinds: []string{"asset_transfer", "asset_transferred", "charter_set", "node_add"}},
		{Orgs: slices.Repeat([]string{"acme"}, MaxValues)},
	} {
		if f, err := NewFilter(good); err != nil || (f == nil) != (proto.Size(good) == 0) {
			t.Errorf("%v: %v %v", good, f, err)
		}
	}
	for _, bad := range []*ledgerv1.Filter{
		{Orgs: []string{""}}, {Orgs: []string{"Acme"}}, {Accounts: []string{"acme"}}, {Assets: []string{"acme/"}},
		{RecordPrefixes: []string{""}}, {RecordPrefixes: []string{"/"}}, {RecordPrefixes: []string{"acme//"}},
		{RecordPrefixes: []string{"acme/invoices/-"}}, {RecordPrefixes: []string{"acme/invoices/1/"}},
		{RecordPrefixes: []string{"acme/invoices/" + strings.Repeat("1", 129)}}, {RecordPrefixes: []string{"acme/1/"}},
		{Kinds: []string{"transfer"}}, {Kinds: []string{""}}, {Kinds: []string{"AssetTransfer"}},
		{Orgs: slices.Repeat([]string{"acme"}, MaxValues), Kinds: []string{"asset_transfer"}},
	} {
		if f, err := NewFilter(bad); err == nil || f != nil || len(err.Error()) > 600 {
			t.Errorf("%v: %v %v", bad, f, err)
		}
	}
}

// TestPasses holds filters against a look at every value.
func TestPasses(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	some := func(of []string) (list []string) {
		for range max(0, r.IntN(5)-2) {
			list = append(list, of[r.IntN(len(of))])
		}
		return list
	}
	naive := func(wanted, there []string, fits func(w, s string) bool) bool {
		if len(wanted) == 0 {
			return true
		}
		for _, w := range wanted {
			for _, s := range there {
				if fits(w, s) {
					return true
				}
			}
		}
		return false
	}
	same := func(w, s string) bool { return w == s }
	prefixes := []string{"acme/", "acme/invoices/", "acme/invoices/2026-00", "globex", "globex/orders/1", "zz"}
	passed := 0
	for range 20_000 {
		q := &ledgerv1.Filter{
			Orgs: some(pool[anOrg]), Accounts: some(pool[anAccount]), Assets: some(pool[anAsset]), RecordPrefixes: some(prefixes),
			Kinds: some([]string{"asset_transfer", "record_put"}),
		}
		s := Set{
			Orgs: some(pool[anOrg]), Accounts: some(pool[anAccount]), Assets: some(pool[anAsset]), Records: some(pool[aRecord]),
			Kinds: some([]string{"asset_transfer", "record_put", "node_add"}),
		}
		for _, list := range [][]string{s.Orgs, s.Accounts, s.Assets, s.Records, s.Kinds} {
			slices.Sort(list)
		}
		f, err := NewFilter(q)
		if err != nil {
			t.Fatal(err)
		}
		want := naive(q.Orgs, s.Orgs, same) && naive(q.Accounts, s.Accounts, same) && naive(q.Assets, s.Assets, same) &&
			naive(q.Kinds, s.Kinds, same) && naive(q.RecordPrefixes, s.Records, func(w, s string) bool { return strings.HasPrefix(s, w) })
		if f.Passes(s) != want {
			t.Fatalf("%v lets %v pass: %v", q, s, !want)
		}
		if want {
			passed++
		}
	}
	if passed < 1000 {
		t.Errorf("only %d passed: the test looks at little", passed)
	}
}
